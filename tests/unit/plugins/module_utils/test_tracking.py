# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _tracking
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError, UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._tracking import Entry

SHA = "ab" * 32
FIRST = Entry("2025-01-31T20:15:30Z", "school_1", "school", "local", "host:/root/backups/school_1", "a.tar", 12, SHA)

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", fullmatch=True).filter(lambda name: name != "latest")
# Any text, and any bytes as Python shows them in a file's name. Either alone: together they may spell something else.
TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
                  st.binary(min_size=1).map(os.fsdecode))
ENTRIES = st.builds(
    Entry,
    created=st.integers(0, 4 * 10**9).map(_tracking.timestamp),
    name=NAMES, stack=NAMES,
    storage=st.one_of(st.sampled_from(["local", "pool"]), NAMES.map("copy:{}".format)),
    where=TEXTS, artefact=TEXTS,
    size=st.one_of(st.none(), st.integers(0, 2**63)),
    sha256=st.one_of(st.none(), st.binary(min_size=32, max_size=32).map(bytes.hex)),
)


@given(st.lists(ENTRIES, max_size=8))
def test_a_parser_reads_back_what_was_written(entries):
    text = _tracking.render(entries)
    assert set(_tracking.parse(text)) == set(entries)
    assert text.encode().decode() == text and text.count("\n") == 2 + len(set(entries))
    assert len(text.splitlines()) == text.count("\n")  # nothing in it is a line break for somebody else
    assert _tracking.render(_tracking.parse(text)) == text
    shuffled = random.Random(1).sample(entries, len(entries))
    assert _tracking.render(shuffled + entries) == text


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_what_is_cut_off_is_never_taken_for_the_whole(entries, data):
    text = _tracking.render(entries)
    cut = text[:data.draw(st.integers(0, len(text) - 1))]
    try:
        found = _tracking.parse(cut)
    except IntegrityError:
        return
    assert cut.endswith("\n") and set(found) < set(entries)  # between two lines


def test_the_format_is_what_is_documented():
    copy = FIRST._replace(storage="copy:nas", where="100%\tfull", size=None, sha256=None)
    assert _tracking.render([FIRST, copy]) == (
        "# moodleclaude.backup tracking 1\n"
        "# created\tname\tstack\tstorage\twhere\tartefact\tsize\tsha256\n"
        "2025-01-31T20:15:30Z\tschool_1\tschool\tcopy:nas\t100%25%09full\ta.tar\t-\t-\n"
        "2025-01-31T20:15:30Z\tschool_1\tschool\tlocal\thost:/root/backups/school_1\ta.tar\t12\t" + SHA + "\n")


@pytest.mark.parametrize(("line", "said"), [
    ("one field", "Line 3 .* is damaged"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "w", "a", "1", SHA, "more"]), "Line 3"),
    ("\t".join(["yesterday", "n", "s", "local", "w", "a", "1", SHA]), "Line 3.*created"),
    ("\t".join(["2025-01-31T20:15:30Z", "../n", "s", "local", "w", "a", "1", SHA]), "Line 3.*name"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "tape", "w", "a", "1", SHA]), "Line 3.*storage"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "", "a", "1", SHA]), "Line 3.*where"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "w%zz", "a", "1", SHA]), "Line 3"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "w", "a", "-1", SHA]), "Line 3"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "w", "a", "٣", SHA]), "Line 3"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "w", "a", "1", "abc"]), "Line 3.*sha256"),
    ("\t".join(["2025-01-31T20:15:30Z", "n", "s", "local", "\udcff", "a", "1", SHA]), "Line 3"),
    ("<<<<<<< HEAD", "merge conflict in line 3"),
    ("=======", "merge conflict in line 3"),
])
def test_a_damaged_line_is_named(line, said):
    with pytest.raises(IntegrityError, match=said):
        _tracking.parse(_tracking.render([]) + line + "\n")


@pytest.mark.parametrize(("text", "said"), [
    ("", "does not begin"), ("something else\n", "does not begin"), ("# moodleclaude.backup tracking 2\n", "newer"),
    (_tracking.HEADER, "cut off in line 1"),
])
def test_another_file_is_refused(text, said):
    with pytest.raises(IntegrityError, match=said):
        _tracking.parse(text)


def test_remarks_and_empty_lines_of_people_do_no_harm():
    text = _tracking.render([FIRST])
    assert _tracking.parse(text + "\n# moved to the new disk\n") == [FIRST]


def test_what_cannot_be_an_entry_is_not_written():
    for wrong in (FIRST._replace(name="a b"), FIRST._replace(created=""), FIRST._replace(size=-1),
                  FIRST._replace(where=""), FIRST._replace(storage="copy:"), FIRST._replace(sha256="")):
        with pytest.raises(UsageError):
            _tracking.render([wrong] if wrong.sha256 else [wrong._replace(sha256="x")])


def test_entries_are_found_and_taken_out():
    manifest = FIRST._replace(artefact="backup_manifest.txt", size=3, sha256="cd" * 32)
    copy = manifest._replace(storage="copy:nas", where="nas:/b", size=500)
    other = FIRST._replace(name="school_0", created="2025-01-30T00:00:00Z", size=None)
    entries = [FIRST, manifest, copy, other]
    assert _tracking.names(entries) == ["school_0", "school_1"]
    assert _tracking.storages(entries, "school_1") == [
        {"storage": "local", "where": FIRST.where, "size": 15, "sha256": "cd" * 32},
        {"storage": "copy:nas", "where": "nas:/b", "size": 500, "sha256": "cd" * 32}]
    assert _tracking.storages(entries, "school_0")[0]["size"] is None and _tracking.storages(entries, "x") == []
    assert _tracking.without(entries, "school_1") == [other]
    assert _tracking.without(entries, "school_1", "copy:nas") == [FIRST, manifest, other]
