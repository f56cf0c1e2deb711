# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which statements of a file with roles are carried out: those for roles that are missing, and no others."""

from __future__ import annotations

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _roles

TEXT = r"""--
-- PostgreSQL database cluster dump
--

\restrict abc

SET client_encoding = 'UTF8';

CREATE ROLE admin;
ALTER ROLE admin WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:a;b''c"$x:y=';
CREATE ROLE moodle;
ALTER ROLE moodle WITH LOGIN PASSWORD 'md5;--x';
CREATE ROLE "odd ""role;";
ALTER ROLE "odd ""role;" WITH NOLOGIN;
COMMENT ON ROLE "odd ""role;" IS 'one;
two -- three';
ALTER ROLE moodle SET search_path TO 'a', 'b';

GRANT admin TO moodle GRANTED BY admin;
GRANT moodle TO "odd ""role;" WITH ADMIN OPTION GRANTED BY gone;
GRANT "odd ""role;" TO admin GRANTED BY admin;

\unrestrict abc
"""


def test_statements_end_at_semicolons_that_are_not_quoted():
    assert _roles.statements(TEXT)[:3] == [
        "SET client_encoding = 'UTF8'", "CREATE ROLE admin",
        "ALTER ROLE admin WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:a;b''c\"$x:y='",
    ]
    assert len(_roles.statements(TEXT)) == 12


def test_only_missing_roles_are_created():
    sql, names = _roles.missing_roles(TEXT, {"admin", "postgres"})
    assert names == ["moodle", 'odd "role;']
    assert _roles.statements(sql) == [
        "SET client_encoding = 'UTF8'",
        "CREATE ROLE moodle",
        "ALTER ROLE moodle WITH LOGIN PASSWORD 'md5;--x'",
        'CREATE ROLE "odd ""role;"',
        'ALTER ROLE "odd ""role;" WITH NOLOGIN',
        "COMMENT ON ROLE \"odd \"\"role;\" IS 'one;\ntwo -- three'",
        "ALTER ROLE moodle SET search_path TO 'a', 'b'",
        "GRANT admin TO moodle GRANTED BY admin",
        'GRANT moodle TO "odd ""role;" WITH ADMIN OPTION',
    ]


def test_nothing_is_done_when_all_roles_exist():
    assert _roles.missing_roles(TEXT, {"admin", "moodle", 'odd "role;'}) == ("", [])
