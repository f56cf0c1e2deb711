# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings a dump back into a PostgreSQL server: beside what is there, checked, and then in its place."""
from __future__ import annotations

import os
import re
import threading

from .. import _stream
from .._call import PHASE, PHASE_RULES, Call
from .._errors import BackupError, CommandError, IntegrityError, NotFoundError, StorageError, UsageError
from .._pgdump import CUSTOM, DumpReader, major
from . import _databases, _roles
from ._connection import OPTIONS, RULES, check_name, conninfo, log_in, wait_until_ready

_SINGLE = "single"  # the transaction of a restore that is done in one call
_TRANSACTION = re.compile(r"[a-z0-9]{1,24}\Z")
_ROLES_HINT = "Give roles_src, create the roles, or give everything to one that is there with owner and no_owner."
_MEGABYTE = 1024 * 1024
_MAINTENANCE_MEMORY = 512 * _MEGABYTE


def restore(engine, params, check_mode=False):
    """Run one phase, or all, of bringing a database back. Return what database_restore returns.

    :param params: dict, the options of database_restore.
    """
    names = _checked_names(params)
    phases = ("prepare", "switch", "commit") if params["phase"] == "all" else (params["phase"],)
    header = read_header(params["src"]) if "prepare" in phases else None
    hosts = [name for name in ("postgres", "template1") if name != params["database"]]
    if params["wait_seconds"]:
        wait_until_ready(engine, params, hosts, params["wait_seconds"])
    client = log_in(engine, params, hosts, admin=True)
    job = _Restore(client, params, names, header)
    before = _databases.existing_of(client, names)
    planned = job.predict(phases, before)
    if not check_mode:
        job.run(phases)
    result = dict(job.result)
    result.update(changed="prepare" in phases or planned != before, database=params["database"], phase=params["phase"],
                  server_version=client.version_text, kept=names.old if names.old in planned else None,
                  diff={"before": _listing(before), "after": _listing(planned, job.replaced, params["src"])})
    return result


def _checked_names(params):
    check_name(params["database"])
    if params["database"] in ("template0", "template1"):
        raise UsageError("'%s' belongs to the server itself and cannot be restored" % params["database"])
    transaction = params["transaction"] or _SINGLE
    if not _TRANSACTION.match(transaction):
        raise UsageError("'%s' cannot be the name of a transaction" % transaction,
                         "Use 1 to 24 lower-case letters and digits.")
    return _databases.names_of(params["database"], transaction)


def _listing(existing, replaced=None, src=None):
    """Return the databases as lines (str), telling which one comes from the dump."""
    return "".join(
        "database %s%s\n" % (name, " from %s" % src if name == replaced else "") for name in sorted(existing))


def read_header(path):
    """Return the _pgdump.Header of a dump on this host; reads no more than the beginning."""
    _check_readable(path)
    reader = DumpReader()
    with _stream.plain_content(path) as chunks:
        for chunk in chunks:
            reader.feed(chunk)
            if reader.header:
                return reader.header
    reader.close()
    return reader.header


def _check_readable(path):
    if not os.path.isfile(path):
        raise NotFoundError("%s does not exist on this host, or is no file" % path)
    if not os.access(path, os.R_OK):
        raise StorageError("%s cannot be read: permission denied" % path)


def _numbers(tables):
    """Return the expected rows ({str: int}); templates may have made texts of the numbers."""
    try:
        return {str(table): int(rows) for table, rows in tables.items()}
    except (TypeError, ValueError) as error:
        raise UsageError("tables must give a number of rows for each table") from error


def _with_hint(error):
    """Return the error (CommandError) with what to do about the most likely causes."""
    if re.search(r'role ".*" does not exist', error.message):
        return CommandError(error.message, _ROLES_HINT, **error.details)
    return error


class _Restore:
    """One call of restore()."""

    def __init__(self, client, params, names, header):
        self.client, self.params, self.names, self.header = client, params, names, header
        self.replaced = None  # the name under which the dump's content is found afterwards
        self.result = {}

    def predict(self, phases, existing):
        """Return the databases (set of str) that there will be afterwards; raise what can be known to fail."""
        for phase in phases:
            existing = _databases.after(existing, _databases.plan(phase, existing, self.names))
            if phase == "prepare":
                self._check_prepare(existing)
                existing = existing | {self.names.new}
                self.replaced = self.names.new if len(phases) == 1 else self.names.current
        return existing

    def run(self, phases):
        try:
            for phase in phases:
                getattr(self, "_" + phase)()
        except BaseException:
            # Once it is switched the restored database is in use: a failure to tidy up is no reason to take it back.
            if len(phases) > 1 and phase != "commit":
                self._undo("rollback")
            elif phase == "prepare":
                self._undo("prepare")
            raise

    def _undo(self, phase):
        try:
            self._steps(phase)
        except BackupError:
            pass  # the first error is the one to tell; a later run of the same transaction cleans up

    def _steps(self, phase):
        """Carry out a phase that is nothing but renaming and dropping. Return the databases that exist then."""
        existing = _databases.existing_of(self.client, self.names)
        steps = _databases.plan(phase, existing, self.names)
        _databases.carry_out(self.client, steps)
        return _databases.after(existing, steps)

    def _switch(self):
        self._steps("switch")

    def _commit(self):
        self._steps("commit")

    def _rollback(self):
        self._steps("rollback")

    # --- prepare ------------------------------------------------------------------------------------------------

    def _check_prepare(self, existing):
        client, header = self.client, self.header
        if not client.createdb:
            raise UsageError("User '%s' may not create databases in container '%s'" % (client.user, client.container),
                             "Name a superuser with 'username' and 'password'.")
        if major(header.server_version) > client.major:
            raise UsageError(
                "The dump comes from PostgreSQL %d, the server in container '%s' is of version %d"
                % (major(header.server_version), client.container, client.major),
                "Restore it into version %d or newer." % major(header.server_version),
            )
        _numbers(self.params["tables"] or {})
        program = self._program()
        if header.format == CUSTOM and major(header.client_version) > client.client_major(program):
            raise UsageError("%s in container '%s' is older than the pg_dump %d that wrote the dump"
                             % (program, client.container, major(header.client_version)))
        if header.format != CUSTOM and self.params["no_owner"]:
            raise UsageError("A plain SQL dump names its owners itself; no_owner cannot change them",
                             "Use a dump in custom format.")
        if self.params["roles_src"]:
            _check_readable(self.params["roles_src"])
        else:
            self._check_roles(self._owner(existing))

    def _program(self):
        return "pg_restore" if self.header.format == CUSTOM else "psql"

    def _owner(self, existing):
        """Return the role (str) that will own the database."""
        owner = self.params["owner"] or _databases.owner_in(self.header)
        if not owner and self.names.current in existing:
            owner = _databases.owner_in(_databases.describe(self.client, self.names.current))
        return owner or self.params["username"] or self.client.user

    def _check_roles(self, owner):
        needed = {owner}
        if not self.params["no_owner"]:
            needed |= {entry.owner for entry in self.header.entries if entry.owner and entry.kind != "DATABASE"
                       and not entry.tag.startswith("DATABASE ") and entry.kind != "DATABASE PROPERTIES"}
        missing = needed - set(self.client.query("SELECT to_json(rolname) FROM pg_catalog.pg_roles;"))
        if missing:
            raise NotFoundError(
                "The server in container '%s' has no role %s, who own what is in the dump"
                % (self.client.container, ", ".join("'%s'" % name for name in sorted(missing))),
                _ROLES_HINT, missing_roles=sorted(missing),
            )

    def _prepare(self):
        client, names = self.client, self.names
        existing = self._steps("prepare")
        self.result["roles_created"] = self._create_roles()
        current = _databases.describe(client, names.current) if names.current in existing else None
        owner = self._owner(existing)
        if self.params["roles_src"]:
            self._check_roles(owner)
        described = self.header if _databases.owner_in(self.header) or current is None else current
        _databases.create(client, names.load, owner, described)
        counts = self._load(owner)
        self._verify_and_analyze(counts)
        self._apply_settings(current)
        _databases.carry_out(client, [("rename", ((names.load, names.new),))])
        self.result.update(tables=counts, table_count=len(counts), row_count=sum(counts.values()), database_owner=owner)

    def _apply_settings(self, current):
        """Give the new database the settings of the one whose place it takes, or those in the dump if there is none."""
        statements = _databases.settings_statements(current or self.header, self.names.load)
        if current is None and self.params["no_owner"]:
            statements = [text for text in statements if text.startswith(("ALTER DATABASE ", "COMMENT "))]
        try:
            self.client.query("BEGIN;\n%s\nCOMMIT;\n" % "\n".join(statements))
        except CommandError as error:
            raise _with_hint(error) from error

    def _create_roles(self):
        if not self.params["roles_src"]:
            return []
        with _stream.plain_content(self.params["roles_src"]) as chunks:
            return _roles.create_missing(self.client, b"".join(chunks).decode("utf-8", "surrogateescape"))

    def _load(self, owner):
        """Load the dump into the empty database. Return the rows per table that the dump holds."""
        client, params = self.client, self.params
        target = conninfo(self.names.load)
        if self.header.format == CUSTOM:
            argv = ["pg_restore", "--no-password", "--exit-on-error", "--dbname", target]
            if params["no_owner"]:
                argv += ["--no-owner", "--no-privileges", "--role", owner]
        else:
            argv = ["psql", "--no-password", "--no-psqlrc", "--quiet", "--output=/dev/null",
                    "--set", "ON_ERROR_STOP=1", "--dbname", target]
        stream = client.engine.exec_stream(
            client.container, argv, environment=client.environment(self._session()), user=client.os_user, stdin=True,
        )
        stream.what = "%s of %s in container '%s'" % (argv[0], params["src"], client.container)
        reader = DumpReader()
        try:
            with _stream.plain_content(params["src"]) as chunks:
                feeder = _Aside(lambda: stream.feed(_watched(chunks, reader)))
                feeder.start()
                for _output in stream.chunks():
                    pass  # there is none; the end of it is the end of the program
                rc = stream.wait()
                stream.abort()
                feeder.join()
        finally:
            stream.abort()
        if feeder.error is not None:
            raise feeder.error
        if rc != 0:
            raise _with_hint(stream.failure(rc))
        return reader.close()

    def _session(self):
        """Return session settings for a load: what is lost in a crash is a database that nobody uses yet."""
        limit = self.client.engine.container(self.client.container)["HostConfig"].get("Memory") or 0
        memory = min(_MAINTENANCE_MEMORY, limit // 8) if limit else _MAINTENANCE_MEMORY
        return "-c synchronous_commit=off -c maintenance_work_mem=%dkB" % max(memory // 1024, 16 * 1024)

    def _verify_and_analyze(self, counts):
        """Count the rows while another session collects the statistics that the server plans with."""
        analyze = _Aside(lambda: self.client.query(
            "ANALYZE;", database=self.names.load, options="-c client_min_messages=error"))
        analyze.start()
        try:
            self._verify(counts)
        finally:
            analyze.join()
        if analyze.error is not None:
            raise analyze.error

    def _verify(self, counts):
        """Count every row of the new database and compare with what the dump held and with what was expected."""
        found = {}
        lines = self.client.query(
            "SELECT pg_catalog.format('SELECT json_build_array(%L, count(*)) FROM ONLY %I.%I;',"
            " n.nspname || '.' || c.relname, n.nspname, c.relname) FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema') \\gexec\n",
            database=self.names.load, options="-c row_security=off",
        )
        for table, rows in lines:
            found[table] = rows
        expected = dict(counts)
        expected.update(_numbers(self.params["tables"] or {}))
        wrong = {
            table: {"expected": rows, "found": found.get(table)}
            for table, rows in expected.items() if found.get(table) != rows or counts.get(table, rows) != rows
        }
        if wrong:
            shown = ", ".join(
                "%s has %s rows instead of %s" % (table, "no" if rows["found"] is None else rows["found"],
                                                  rows["expected"])
                for table, rows in sorted(wrong.items())[:5])
            raise IntegrityError("%d tables of database '%s' are not as expected after loading %s: %s"
                                 % (len(wrong), self.params["database"], self.params["src"], shown), mismatches=wrong)


class _Aside(threading.Thread):
    """Does work in a thread; keeps the error for the main thread."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self._work = work
        self.error = None

    def run(self):
        try:
            self._work()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.error = error


def _watched(chunks, reader):
    """Yield the chunks of a dump (bytes), each read along first."""
    for chunk in chunks:
        reader.feed(chunk)
        yield chunk


RESTORE = Call(
    options={
        **OPTIONS,
        **PHASE,
        "src": {"type": "path"},
        "roles_src": {"type": "path"},
        "owner": {"type": "str"},
        "no_owner": {"type": "bool", "default": False},
        "tables": {"type": "dict"},
        "wait_seconds": {"type": "int", "default": 0},
    },
    rules={**RULES, **PHASE_RULES},
    work=lambda engine, params, check_mode, _diff: restore(engine, params, check_mode),
)
