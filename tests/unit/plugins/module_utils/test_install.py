# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _install
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    CommandError,
    ExistsError,
    IntegrityError,
    NotFoundError,
)

PARAMS = {
    "database_host": "db", "database_port": None, "database": "moodle", "database_user": "moodle",
    "database_password": "p", "prefix": "mdl_", "language": "en", "admin_user": "admin", "admin_password": "a=b --c",
    "admin_email": "", "full_name": "My \"school\"", "short_name": "-s",
}
EMPTY = {"own": 0, "others": 0, "examples": [], "version": None, "complete": False}


def php_value(literal):
    """Read a PHP literal between single quotes as PHP does; None if it ends early."""
    if not re.fullmatch(r"'(?:[^'\\]|\\.)*'", literal, re.S):
        return None
    return re.sub(r"\\([\\'])", r"\1", literal[1:-1])


@given(st.text())
def test_php_string_means_the_same_to_php(text):
    assert php_value(_install.php_string(text)) == text


@pytest.mark.parametrize("text", ["it's", "a\\", "\\'", "$CFG {$x}", "%s%%", '"', "?>", "new\nline"])
def test_php_string_of_odd_text(text):
    assert php_value(_install.php_string(text)) == text


def site(**changes):
    wanted = {"database": _install.database_settings(PARAMS), "wwwroot": "https://x", "dataroot": "/data",
              "ssl_proxy": False}
    return dict(wanted, **changes)


def test_config_php_has_every_setting():
    lines = _install.config_php(site()).splitlines()
    assert lines[0].startswith("<?php")
    assert "$CFG->dbname    = 'moodle';" in lines
    assert "$CFG->prefix    = 'mdl_';" in lines
    assert "$CFG->dataroot  = '/data';" in lines
    assert lines[-1] == "require_once(__DIR__ . '/lib/setup.php');"
    assert not [line for line in lines if "sslproxy" in line]


def test_config_php_of_newer_code_behind_a_proxy():
    lines = _install.config_php(site(ssl_proxy=True), "public/lib/setup.php").splitlines()
    assert "$CFG->sslproxy  = true;" in lines
    assert lines[-1] == "require_once(__DIR__ . '/public/lib/setup.php');"


def test_config_php_with_a_port():
    database = _install.database_settings(dict(PARAMS, database_port=5433))
    assert "'dbport' => '5433'" in _install.config_php(site(database=database))


def test_arguments_leave_out_what_is_empty():
    assert _install.arguments(PARAMS) == [
        "--agree-license", "--lang=en", "--adminuser=admin", "--adminpass=a=b --c", "--fullname=My \"school\"",
        "--shortname=-s",
    ]


def test_an_empty_database_is_installed_into():
    assert _install.wanted_step(EMPTY, "x") == "install"


def test_a_complete_site_is_left_alone():
    assert _install.wanted_step(dict(EMPTY, own=500, others=3, version="1", complete=True), "x") == "nothing"


@pytest.mark.parametrize(("found", "error", "text"), [
    ({"own": 1}, IntegrityError, "1 table\\(s\\) of an installation that was not completed"),
    ({"own": 400, "others": 1, "version": "1"}, IntegrityError, "400 table"),
    ({"others": 2, "examples": ["a", "b"]}, ExistsError, "2 table\\(s\\) of something else, such as a, b"),
])
def test_any_other_database_is_refused(found, error, text):
    with pytest.raises(error, match=text):
        _install.wanted_step(dict(EMPTY, **found), "container 'x'")


def test_waiting_ends_at_once_where_it_is_of_no_use():
    calls = []

    def attempt():
        calls.append(1)
        raise CommandError("FATAL: password authentication failed for user")

    with pytest.raises(CommandError, match="password authentication failed"):
        _install._awaited(attempt, 600)
    assert len(calls) == 1


def test_waiting_goes_on_until_it_works():
    calls = []

    def attempt():
        calls.append(1)
        if len(calls) < 2:
            raise NotFoundError("not yet")
        return EMPTY

    assert _install._awaited(attempt, 600) is EMPTY
