# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and plans of a database's restore: every state that a run can leave behind, and every phase on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _databases
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._pgdump import Entry, Header

N = _databases.names_of("moodle", "t1")
CURRENT, LOAD, NEW, OLD, NONE = N


def interrupted(existing, steps):
    """Every state in which a run that carries out these steps can be killed, and the one after the last."""
    return [_databases.after(existing, steps[:count]) for count in range(len(steps) + 1)]


def run(phase, existing):
    return _databases.after(existing, _databases.plan(phase, existing, N))


def prepared(existing):
    return run("prepare", existing) | {NEW}


@pytest.mark.parametrize("database", ["moodle", "x" * 63, "ä" * 31, "-", "日本語" * 7])
@given(transaction=st.from_regex(r"[a-z0-9]{1,24}", fullmatch=True))
def test_names_fit_and_differ(database, transaction):
    names = _databases.names_of(database, transaction)
    assert len(set(names)) == 5
    for name in names:
        assert len(name.encode()) <= 63


def test_short_names_are_readable_and_long_ones_stay_apart():
    assert _databases.side_name("moodle", "t1", "old") == "moodle_mb_t1_old"
    assert _databases.side_name("x" * 62 + "a", "t1", "old") != _databases.side_name("x" * 62 + "b", "t1", "old")


@pytest.mark.parametrize("before", [{CURRENT}, set()], ids=["over a database", "onto an empty server"])
def test_all_phases_in_order(before):
    ready = prepared(before)
    assert ready == before | {NEW}
    switched = run("switch", ready)
    assert switched == {CURRENT, OLD if before else NONE}
    assert run("switch", switched) == switched
    done = run("commit", switched)
    assert done == {CURRENT}
    assert _databases.plan("commit", done, N) == []


@pytest.mark.parametrize("before", [{CURRENT}, set()], ids=["over a database", "onto an empty server"])
def test_rollback_restores_the_state_before_from_every_point(before):
    ready = prepared(before)
    states = [before | {LOAD}, *interrupted(ready, _databases.plan("switch", ready, N))]
    for state in states:
        steps = _databases.plan("rollback", state, N)
        for broken in interrupted(state, steps):  # and the rollback itself may be killed
            assert run("rollback", broken) == before, (state, broken)
    assert _databases.plan("rollback", before, N) == []


def test_a_killed_rollback_onto_an_empty_server_spares_a_database_that_came_later():
    steps = _databases.plan("rollback", {CURRENT, NONE}, N)
    for broken in interrupted({CURRENT, NONE}, steps)[1:]:
        assert CURRENT in run("rollback", broken | {CURRENT})


@pytest.mark.parametrize("leftover", [{LOAD}, {NEW}, {NEW, LOAD}, {NEW, NONE}])
def test_prepare_starts_anew_over_leftovers(leftover):
    assert run("prepare", leftover) == set()
    assert run("prepare", leftover | {CURRENT}) == {CURRENT}


@pytest.mark.parametrize("phase, existing, text", [
    ("switch", {CURRENT}, "Nothing is prepared"),
    ("switch", set(), "Nothing is prepared"),
    ("switch", {CURRENT, LOAD}, "Nothing is prepared"),
    ("switch", {CURRENT, NEW, OLD}, "no restore leaves behind"),
    ("rollback", {CURRENT, NEW, OLD}, "no restore leaves behind"),
    ("prepare", {CURRENT, OLD}, "switched in this transaction already"),
    ("prepare", {CURRENT, NONE}, "switched in this transaction already"),
    ("commit", {CURRENT, NEW}, "has not been switched"),
])
def test_phases_that_make_no_sense_are_refused(phase, existing, text):
    with pytest.raises(UsageError, match=text):
        _databases.plan(phase, existing, N)


def test_a_database_that_appeared_after_prepare_is_kept():
    switched = run("switch", {NEW, NONE, CURRENT})
    assert switched == {CURRENT, OLD}


def header(*entries):
    return Header("custom", "15", "15", "UTF8", tuple(
        Entry(number, False, tag, kind, definition, b"", "", "moodle")
        for number, (kind, tag, definition) in enumerate(entries)), True)


@pytest.mark.parametrize("name, written", [("moodle", "moodle"), ('od"d ;db', '"od""d ;db"')])
def test_settings_follow_the_database_to_its_new_name(name, written):
    found = _databases.settings_statements(header(
        ("DATABASE", name, "CREATE DATABASE %s WITH TEMPLATE = template0;\n" % written),
        ("COMMENT", "DATABASE " + written, "COMMENT ON DATABASE %s IS 'on database %s ;\n x';\n" % (written, written)),
        ("ACL", "DATABASE " + written, "REVOKE ALL ON DATABASE %s FROM PUBLIC;\nGRANT CONNECT ON DATABASE %s TO r;\n"
         % (written, written)),
        ("DATABASE PROPERTIES", name, "ALTER DATABASE %s CONNECTION LIMIT = 5;\n"
         "ALTER ROLE r IN DATABASE %s SET work_mem TO '8MB';\n" % (written, written)),
        ("ACL", "TABLE t", "GRANT SELECT ON TABLE public.t TO r;\n"),
    ), 'n"ew')
    assert found == [
        "COMMENT ON DATABASE \"n\"\"ew\" IS 'on database %s ;\n x';" % written,
        'REVOKE ALL ON DATABASE "n""ew" FROM PUBLIC;',
        'GRANT CONNECT ON DATABASE "n""ew" TO r;',
        'ALTER DATABASE "n""ew" CONNECTION LIMIT = 5;',
        "ALTER ROLE r IN DATABASE \"n\"\"ew\" SET work_mem TO '8MB';",
    ]


def test_a_plain_dump_has_no_settings():
    assert _databases.settings_statements(Header("plain", "", "", "UTF8", (), True), "x") == []
