# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole databases of a server: which belong to a transaction, and how one takes the place of another.

The state is in the names alone. ``_load`` is being filled, ``_new`` is whole and checked, ``_old`` is what was there
before, ``_none`` is an empty database that says that nothing was there before. Renames that belong together are one
transaction of the server, so a run that is killed leaves either all or none of them.
"""
from __future__ import annotations

import hashlib
import re
from collections import namedtuple

from .._errors import CommandError, UsageError
from .._pgdump import DumpReader
from ._connection import conninfo
from ._roles import statements

_NAME_LIMIT = 63  # bytes
_ATTEMPTS = 5

Names = namedtuple("Names", "current load new old none")


def names_of(database, transaction):
    """Return the Names of a database (str) in a transaction (str)."""
    return Names(database, *(side_name(database, transaction, part) for part in ("load", "new", "old", "none")))


def side_name(database, transaction, part):
    """Return the name (str, at most 63 bytes) of a database beside another one; long names are shortened by a hash."""
    suffix = "_mb_%s_%s" % (transaction, part)
    name = database.encode("utf-8")
    if len(name) + len(suffix) > _NAME_LIMIT:
        digest = hashlib.sha256(name).hexdigest()[:8]
        name = name[:_NAME_LIMIT - len(suffix) - len(digest) - 1] + b"_" + digest.encode("ascii")
    return name.decode("utf-8", "ignore") + suffix


# --- plans: pure. A step is ("drop", name), ("mark", name) or ("rename", ((from, to), ...)) --------------------------


def plan(phase, existing, names):
    """Return the steps (list) of a phase, given the databases that exist (set of str).

    :raises: UsageError if the phase makes no sense in this state.
    """
    return {"prepare": _plan_prepare, "switch": _plan_switch, "commit": _plan_commit,
            "rollback": _plan_rollback}[phase](existing, names)


def after(existing, steps):
    """Return the databases (set of str) that exist after some steps."""
    found = set(existing)
    for kind, what in steps:
        if kind == "rename":
            found -= {source for source, _target in what}
            found |= {target for _source, target in what}
        elif kind == "drop":
            found.discard(what)
        else:
            found.add(what)
    return found


def _drops(existing, *candidates):
    return [("drop", name) for name in candidates if name in existing]


def _plan_prepare(existing, names):
    if names.old in existing or (names.none in existing and names.new not in existing):
        raise UsageError(
            "Database '%s' has been switched in this transaction already" % names.current,
            "Finish it with phase=commit, or undo it with phase=rollback.",
        )
    return _drops(existing, names.load, names.none, names.new)


def _plan_switch(existing, names):
    if names.new not in existing:
        if names.current in existing and (names.old in existing or names.none in existing):
            return []  # done before
        raise UsageError("Nothing is prepared for database '%s' in this transaction" % names.current,
                         "Run phase=prepare first.")
    _refuse_mixture(existing, names)
    if names.current in existing:
        return _drops(existing, names.none) + [
            ("rename", ((names.current, names.old), (names.new, names.current)))]
    mark = [] if names.none in existing else [("mark", names.none)]
    return mark + [("rename", ((names.new, names.current),))]


def _plan_commit(existing, names):
    if names.new in existing:
        raise UsageError("Database '%s' has not been switched in this transaction" % names.current,
                         "Run phase=switch first, or phase=rollback.")
    return _drops(existing, names.load, names.old, names.none)


def _plan_rollback(existing, names):
    steps = _drops(existing, names.load)
    switched = names.new not in existing
    if names.old in existing:
        _refuse_mixture(existing, names)
        if names.current in existing:
            steps += [("rename", ((names.current, names.load), (names.old, names.current))), ("drop", names.load)]
        else:
            steps += [("rename", ((names.old, names.current),))]
    elif names.none in existing and names.current in existing and switched:
        # In one go, so that a run that is killed here never takes a later database of that name for the restored one.
        steps += [("rename", ((names.current, names.load), (names.none, names.new)))]
        return steps + [("drop", names.load), ("drop", names.new)]
    return steps + _drops(existing, names.none, names.new)


def _refuse_mixture(existing, names):
    if names.old in existing and names.new in existing:
        raise UsageError(
            "Both '%s' and '%s' exist, which no restore leaves behind" % (names.old, names.new),
            "Drop or rename the one that is not needed.",
        )


# --- the server -----------------------------------------------------------------------------------------------------


def existing_of(client, names):
    """Return those of the names that exist (set of str)."""
    found = client.query("SELECT to_json(datname) FROM pg_catalog.pg_database;")
    return set(names) & set(found)


def carry_out(client, steps):
    for kind, what in steps:
        if kind == "drop":
            client.query('DROP DATABASE IF EXISTS :"name" WITH (FORCE);', name=what)
        elif kind == "mark":
            client.query('CREATE DATABASE :"name" TEMPLATE template0;', name=what)
        else:
            _rename(client, what)


def _rename(client, pairs):
    """Rename databases in one transaction, after ending the sessions of others on them."""
    sql, variables = "BEGIN;\n", {}
    for number, (source, target) in enumerate(pairs):
        variables.update({"source%d" % number: source, "target%d" % number: target})
        sql += (
            "SELECT to_json(count(pg_catalog.pg_terminate_backend(pid))) FROM pg_catalog.pg_stat_activity"
            " WHERE datname = :'source%d' AND pid <> pg_catalog.pg_backend_pid()"
            " AND backend_type IN ('client backend', 'walsender');\n"
            'ALTER DATABASE :"source%d" RENAME TO :"target%d";\n'
        ) % (number, number, number)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            client.query(sql + "COMMIT;\n", **variables)
            return
        except CommandError as error:
            # Somebody connected again in between; the server itself waits five seconds before it says so.
            if "being accessed by other users" not in error.message or attempt == _ATTEMPTS:
                raise


def create(client, name, owner, header):
    """Create an empty database like the one that a dump's header describes (encoding, locale, provider).

    :param header: _pgdump.Header of the dump, or of the database whose place the new one will take.
    """
    options = _create_options(header)
    try:
        client.query('CREATE DATABASE :"name" WITH OWNER = :"owner" %s;' % options, name=name, owner=owner)
    except CommandError as error:
        raise CommandError(
            "A database like the one in the dump cannot be created (%s): %s" % (options, error.message),
            "The server must know the same locales: use the image that the dump comes from.", **error.details,
        ) from error


def _create_options(header):
    for entry in header.entries:
        if entry.kind == "DATABASE":
            found = re.match(r'CREATE DATABASE (?:"(?:[^"]|"")*"|\S+) WITH (.*);\s*\Z', entry.definition, re.DOTALL)
            if found:
                return found.group(1)
    return "TEMPLATE = template0" + (" ENCODING = '%s'" % header.encoding if header.encoding else "")


def owner_in(header):
    """Return the owner (str) of the database that a dump's header describes, or ""."""
    return next((entry.owner for entry in header.entries if entry.kind == "DATABASE"), "")


def settings_statements(header, name):
    """Return SQL statements (list of str) that give a database the settings, privileges and comment of a header's one.

    :param name: str, the database they are for.
    """
    original = next((entry.tag for entry in header.entries if entry.kind == "DATABASE"), None)
    if original is None:
        return []
    written = '(?:%s|%s)' % (re.escape(original), re.escape(_quoted(original)))
    place = re.compile(r"\A([^']*?\bDATABASE )%s(?= )" % written)
    found = []
    for entry in header.entries:
        of_database = entry.kind in ("ACL", "COMMENT") and not entry.namespace and entry.tag.startswith("DATABASE ")
        if entry.kind == "DATABASE PROPERTIES" or of_database:
            for statement in statements(entry.definition):
                found.append(place.sub(lambda match: match.group(1) + _quoted(name), statement) + ";")
    return found


def _quoted(name):
    return '"%s"' % name.replace('"', '""')


def describe(client, database):
    """Return the _pgdump.Header of a database as it is now: its locale, settings, privileges and comment."""
    argv = ["pg_dump", "--no-password", "--format=custom", "--schema-only", "--exclude-schema=*",
            "--dbname", conninfo(database)]
    reader = DumpReader()
    reader.feed(client.engine.run(client.container, argv, environment=client.environment(), user=client.os_user)[1])
    reader.close()
    return reader.header
