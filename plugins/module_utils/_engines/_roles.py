# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles: the text that pg_dumpall writes, and those parts of it that a server does not have yet."""
from __future__ import annotations

import re

from .._errors import CommandError

_NAME = r'(?:"(?:[^"]|"")*"|\w+)'
# Texts and quoted names come as a whole, so that a semicolon in them ends nothing.
_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|--[^\n]*|^\\[^\n]*|;|[^'"\\;-]+|.""", re.DOTALL | re.MULTILINE)
_OF_ROLE = re.compile(r"(CREATE ROLE|ALTER ROLE|COMMENT ON ROLE|SECURITY LABEL .*?ON ROLE) (%s)" % _NAME, re.DOTALL)
_GRANT = re.compile(r"GRANT .+? TO (%s)" % _NAME, re.DOTALL)
_GRANTED_BY = re.compile(r" GRANTED BY (%s)\Z" % _NAME)


def statements(text):
    """Return the SQL statements (list of str, without semicolon) of a text, without comments and psql's commands."""
    found, current = [], ""
    for token in _TOKEN.findall(text):
        if token == ";":
            found.append(current.strip())
            current = ""
        elif not token.startswith(("--", "\\")):
            current += token
    return [statement for statement in found if statement]


def missing_roles(text, existing):
    """Choose what creates the roles that a server does not have.

    :param text: str, as pg_dumpall --roles-only writes it. :param existing: collection of str, roles of the server.
    :returns: (sql, names): SQL (str) that never touches an existing role, names (list of str) of the roles it creates.
    """
    parts = statements(text)
    names = []
    for part in parts:
        found = _OF_ROLE.match(part)
        if found and found.group(1) == "CREATE ROLE" and _plain(found.group(2)) not in existing:
            names.append(_plain(found.group(2)))
    known = set(existing) | set(names)
    chosen = []
    for part in parts:
        found = _OF_ROLE.match(part)
        grant = _GRANT.match(part)
        if part.startswith("SET ") or (found and _plain(found.group(2)) in names):
            chosen.append(part)
        elif grant and _plain(grant.group(1)) in names:
            chosen.append(_known_grantor(part, known))
    return "".join("%s;\n" % part for part in chosen) if names else "", names


def _known_grantor(part, known):
    """Leave out the clause that says who granted a membership if there is nobody of that name."""
    found = _GRANTED_BY.search(part)
    return part[:found.start()] if found and _plain(found.group(1)) not in known else part


def _plain(identifier):
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def dump_roles(client):
    """Return (text as bytes, has_passwords as bool): all roles of the server as pg_dumpall writes them.

    Only a superuser may read the password hashes; without them the roles are still there.
    """
    argv = ["pg_dumpall", "--roles-only", "--no-password"]
    if not client.superuser:
        argv.append("--no-role-passwords")
    text = client.engine.run(client.container, argv, environment=client.environment(), user=client.os_user)[1]
    if b"PostgreSQL database cluster dump complete" not in text:
        raise CommandError("pg_dumpall in container '%s' wrote only a part of the roles" % client.container)
    return text, b" PASSWORD '" in text


def create_missing(client, text):
    """Create the roles that the server does not have. Return their names (list of str)."""
    existing = client.query("SELECT to_json(rolname) FROM pg_catalog.pg_roles;")
    sql, names = missing_roles(text, existing)
    if names:
        client.query("BEGIN;\n%sCOMMIT;\n" % sql)
    return names
