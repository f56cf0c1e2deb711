# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps a PostgreSQL database into a file with the pg_dump of its own container, and checks the dump on the way."""
from __future__ import annotations

import os
import subprocess
import threading

from .. import _stream
from .._call import COMPRESSION, Call
from .._errors import NotFoundError, UsageError
from .._pgdump import CUSTOM, DumpReader
from . import _references, _roles
from ._connection import OPTIONS, RULES, check_name, conninfo, log_in
from ._references import References, split_name

_UNPACK = ["zstd", "-q", "-d", "-c"]

# Runs "$@", through the compressor $compress if there is one; both exit codes count. When the caller goes away, even by
# kill -9, the engine closes standard input, and the server is told to end the dump: pg_dump would go on for nobody.
# No process is ever left without its parent. PostgreSQL is the container's first process, inherits such orphans, takes
# one that was killed for a server process that crashed, and restarts.
_SUPERVISED = r"""
exec 5<&0 </dev/null
(read -r _ <&5; exec psql -X -q -w -o /dev/null -d "$target" -c "SELECT pg_catalog.pg_terminate_backend(pid)
    FROM pg_catalog.pg_stat_activity
    WHERE application_name = current_setting('application_name') AND pid <> pg_catalog.pg_backend_pid()"
) >/dev/null 2>&1 &
watcher=$!
if [ -n "$compress" ]; then
    exec 4>&1
    codes=$({ { "$@" 3>&- 4>&- 5<&-; echo $? >&3; } | $compress >&4 3>&- 4>&- 5<&-; echo $? >&3; } 3>&1)
else
    "$@" 5<&-
    codes=$?
fi
{ kill $watcher; wait $watcher; } 2>/dev/null  # some shells would say "Terminated" here
for code in $codes; do
    [ "$code" = 0 ] || exit "$code"
done
"""


def dump(engine, params, check_mode=False, client=None):
    """Write a database into a file. Return what database_dump returns.

    :param params: dict, the options of database_dump.
    :param client: Client, if the caller has logged in already as params tell.
    """
    check_name(params["database"])
    _check_destinations(params, check_mode)
    client = client or log_in(engine, params, [params["database"]])
    info = _database_info(client, params)
    client_major = client.client_major("pg_dump")
    if client_major < client.major:
        raise UsageError(
            "pg_dump in container '%s' is of version %d, the server of version %d"
            % (params["container"], client_major, client.major),
            "Name the server's own container: an older client cannot dump a newer server.",
        )
    result = {"changed": True, "dest": params["dest"], "database": params["database"], "format": params["format"],
              "server_version": client.version_text, "encoding": info["encoding"], "collation": info["collation"],
              "ctype": info["ctype"], "database_owner": info["owner"], "database_size": info["size"],
              "warnings": _checked_tables(info, params)}
    if check_mode:
        return result
    if params["roles_dest"]:
        with _stream.PartialFile(params["roles_dest"], params["overwrite"]) as roles:
            text, passwords = _dump_roles(engine, params, client)
            roles.write(text)
            result.update(_dump_database(client, params, result["warnings"]))
            result["roles"] = dict(roles.publish(), passwords=passwords)
    else:
        result.update(_dump_database(client, params, result["warnings"]))
    return result


def estimate(engine, params):
    """Return how many bytes the file will have at the most or about so (int): what the tables take without indexes.

    A dump writes rows shorter than the server stores them, and compression makes at least two of one.
    """
    check_name(params["database"])
    client = log_in(engine, params, [params["database"]])
    size = client.query(
        "SELECT to_json(coalesce(sum(pg_catalog.pg_table_size(oid)), 0)::bigint) FROM pg_catalog.pg_class"
        " WHERE relkind = 'r' AND relpersistence <> 't';",
        database=params["database"], options="-c lock_timeout=%ds" % params["timeout"],
    )[0]
    return size if params["compression"] == "none" else size // 2


def _check_destinations(params, check_mode):
    paths = [params["dest"], params["roles_dest"]] + [item["dest"] for item in params["references"]]
    taken = set()
    for path in filter(None, paths):
        if os.path.abspath(path) in taken:
            raise UsageError("Two files would be written to '%s'" % path, "Give each of them a path of its own.")
        taken.add(os.path.abspath(path))
        _stream.check_destination(path, params["overwrite"], check_mode)


def _database_info(client, params):
    """Return what the server knows of the database and of its tables (dict)."""
    return client.query(
        "SELECT json_build_object('encoding', pg_catalog.pg_encoding_to_char(encoding), 'collation', datcollate,"
        " 'ctype', datctype, 'owner', pg_catalog.pg_get_userbyid(datdba),"
        " 'size', pg_catalog.pg_database_size(oid), 'tables', (SELECT"
        " coalesce(json_agg(json_build_array(n.nspname, c.relname)), '[]') FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')))"
        " FROM pg_catalog.pg_database WHERE datname = :'name';", name=params["database"],
    )[0]


def _checked_tables(info, params):
    """Return warnings (list of str) about tables that are not there; for references that is an error."""
    known = {tuple(table) for table in info["tables"]}
    known |= {(None, name) for _schema, name in known}
    for item in params["references"]:
        if split_name(item["table"]) not in known:
            raise NotFoundError("references: there is no table '%s' in database '%s'"
                                % (item["table"], params["database"]))
    return ["exclude_table_data: there is no table '%s'" % table
            for table in params["exclude_table_data"] or [] if split_name(table) not in known]


def _dump_roles(engine, params, client):
    if not client.superuser:
        client = log_in(engine, params, [params["database"]], admin=True)
    return _roles.dump_roles(client)


def _dump_database(client, params, warnings):
    reader = DumpReader()
    with References(params["references"], params["overwrite"], lambda: reader.header.encoding) as references:
        if params["references"]:
            reader = DumpReader(references.watch)
        source, stored = _store(client, params, reader, references)
        stored["references"] = references.publish()
    if source.stderr:
        warnings.append("pg_dump: %s" % source.stderr)
    return dict(
        stored, raw_size=source.raw_size, client_version=reader.header.client_version, tables=source.tables,
        table_count=len(source.tables), row_count=sum(source.tables.values()),
    )


def _store(client, params, reader, references):
    compression = params["compression"]
    command = _stream.compressor_command(compression, params["compression_level"], params["processes"])
    inside = ""
    if compression == "zstd" and _has_program(client, "zstd"):
        inside = " ".join(["zstd"] + command[1:])
    source = _DumpSource(client, _dump_command(params), inside, reader, references)
    return source, _stream.store(
        source, params["dest"], "none" if inside else compression, params["compression_level"], params["processes"],
        params["overwrite"], observe=source.inspect,
    )


def _has_program(client, name):
    script = 'command -v "$1" >/dev/null'
    return client.engine.run(client.container, ["sh", "-c", script, "sh", name], check=False)[0] == 0


def _dump_command(params):
    argv = ["pg_dump", "--no-password", "--format=%s" % params["format"],
            "--lock-wait-timeout=%d" % (params["timeout"] * 1000)]
    if params["format"] == CUSTOM:
        argv.append("--compress=0")
    for table in params["exclude_table_data"] or []:
        schema, name = split_name(table)
        argv.append("--exclude-table-data=%s.%s" % (_pattern(schema) if schema else "*", _pattern(name)))
    return argv + ["--dbname", conninfo(params["database"])]


def _pattern(name):
    """Return a name as a pattern (str) that means nothing but this name."""
    return '"%s"' % name.replace('"', '""')


class _DumpSource:
    """pg_dump in the container as a source for store(), with everything that leaves it checked on the way.

    :param inside: str, the command that compresses in the container, "" for none.
    """

    def __init__(self, client, argv, inside, reader, references):
        self._reader, self._references = reader, references
        self._error = self._unpacker = None
        self.raw_size, self.tables, self.stderr = 0, {}, ""
        self._stream = client.engine.exec_stream(
            client.container, ["sh", "-c", _SUPERVISED, "sh"] + argv,
            environment=dict(
                client.environment(), compress=inside, target=argv[-1], PGAPPNAME="pg_dump %s" % os.urandom(8).hex(),
            ), user=client.os_user, stdin=True,
        )
        self._stream.what = "pg_dump of database '%s' in container '%s'" % (client.database, client.container)
        if inside:
            try:
                self._unpacker = _stream.Process(_UNPACK, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            except BaseException:
                self._stream.abort()
                raise
            self._thread = threading.Thread(target=self._read_unpacked, daemon=True)
            self._thread.start()

    def chunks(self):
        return self._stream.chunks()

    def inspect(self, chunk):
        """Take a chunk as it goes into the file. An error is kept for finish(): pg_dump's own word comes first."""
        if self._unpacker is None:
            self._read(chunk)
            return
        try:
            self._unpacker.stdin.write(chunk)
        except (BrokenPipeError, ValueError):
            pass  # its exit code tells why

    def _read_unpacked(self):
        for chunk in _stream.read_chunks(self._unpacker.stdout):
            self._read(chunk)

    def _read(self, chunk):
        self.raw_size += len(chunk)
        if self._error is None:
            try:
                self._reader.feed(chunk)
            except BaseException as error:  # pylint: disable=broad-exception-caught
                self._error = error

    def finish(self):
        self._stream.finish()
        self.stderr = self._stream.stderr_tail()
        if self._unpacker is not None:
            self._unpacker.stdin.close()
            self._thread.join()
            self._unpacker.finish()
        if self._error is not None:
            raise self._error
        self.tables = self._reader.close()
        self._references.finish(self._reader.header.counted)

    def abort(self):
        self._stream.abort()
        if self._unpacker is not None:
            self._unpacker.popen.kill()
            self._thread.join()  # it must not find its pipe closed
            self._unpacker.abort()


DUMP = Call(
    options={
        **OPTIONS,
        **COMPRESSION,
        "dest": {"type": "path", "required": True},
        "format": {"type": "str", "choices": ["custom", "plain"], "default": "custom"},
        "overwrite": {"type": "bool", "default": False},
        "exclude_table_data": {"type": "list", "elements": "str", "default": []},
        "roles_dest": {"type": "path"},
        "references": _references.OPTION,
    },
    rules=RULES,
    work=lambda engine, params, check_mode, _diff: dump(engine, params, check_mode),
    estimate=estimate,
)
