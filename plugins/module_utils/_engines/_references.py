# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collects the values of columns from a dump that passes by: each once, sorted, one a line, in constant memory."""
from __future__ import annotations

import contextlib
import os
import re
import subprocess

from .. import _stream
from .._errors import IntegrityError, UsageError
from .._pgdump import encode

_SORT_MEMORY = "16M"  # what sort keeps in memory before it uses files beside the destination
_END_SECONDS = 10  # for sort to remove these files when it is told to stop
_NULL = b"\\N"
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_CONTROL = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

OPTION = {
    "type": "list", "elements": "dict", "default": [],
    "options": {
        "table": {"type": "str", "required": True},
        "column": {"type": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "where": {
            "type": "list", "elements": "dict", "default": [],
            "options": {
                "column": {"type": "str", "required": True},
                "null": {"type": "bool"},
                "not": {"type": "str"},
            },
            "required_one_of": [("null", "not")],
        },
    },
}


def split_name(table):
    """Return (schema as str or None, name as str) of "schema.table" or "table"."""
    schema, dot, name = table.partition(".")
    return (schema, name) if dot else (None, table)


def plain_value(raw):
    """Return the value (bytes) that stands in a row of COPY's text form (bytes, not NULL)."""
    return _ESCAPE.sub(_unescaped, raw) if b"\\" in raw else raw


def _unescaped(match):
    octal, hexadecimal, other = match.groups()
    if other is not None:
        return _CONTROL.get(other, other)
    return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])


def selector(columns, wanted, encoding=""):
    """Return a function that takes rows (list of bytes) and returns the different values (set of bytes) of a column.

    :param columns: tuple of str, the columns of the rows. :param wanted: dict, one of the option references.
    :raises: UsageError if the table has no such column.
    """
    index = _position(columns, wanted["column"], wanted)
    conditions = [_condition(columns, item, wanted, encoding) for item in wanted.get("where") or []]
    parts = max([index] + [position for position, _fits in conditions]) + 1

    def select(lines):
        try:
            rows = [line.split(b"\t", parts) for line in lines]
            for position, fits in conditions:
                # Rows are many and different values few: only these are looked at closely.
                fitting = {raw for raw in {row[position] for row in rows} if fits(raw)}
                rows = [row for row in rows if row[position] in fitting]
            found = {row[index] for row in rows}
        except IndexError:
            raise IntegrityError("A row of table %s in the dump has too few columns" % wanted["table"]) from None
        found.discard(_NULL)
        return {plain_value(raw) for raw in found}

    return select


def _position(columns, name, wanted):
    try:
        return columns.index(name)
    except ValueError:
        raise UsageError("references: table '%s' has no column '%s' in the dump" % (wanted["table"], name)) from None


def _condition(columns, item, wanted, encoding):
    """Return (position of the column, function(raw value) that tells whether it fits)."""
    null, other = item.get("null"), item.get("not")
    unwanted = None if other is None else encode(other, encoding)

    def fits(raw):
        if raw == _NULL:
            return null is not False
        return null is not True and (unwanted is None or plain_value(raw) != unwanted)

    return _position(columns, item["column"], wanted), fits


class References:
    """The files that the option references asks for. A context manager; nothing is left of what is not published.

    :param wanted: list of dict, the option. :param encoding: function that returns the dump's encoding (str).
    """

    def __init__(self, wanted, overwrite, encoding):
        self._encoding = encoding
        self._files = []
        try:
            for item in wanted:
                self._files.append(_ValuesFile(item, overwrite))
        except BaseException:
            self.__exit__()
            raise

    def watch(self, schema, name, columns):
        """Be the watch of a DumpReader."""
        takers = [taker for taker in (item.taker(schema, name, columns, self._encoding()) for item in self._files)
                  if taker]
        if not takers:
            return None

        def take(lines):
            for taker in takers:
                taker(lines)

        return take

    def finish(self, counted):
        """Write the files. counted: whether the rows of the dump could be read. :raises: UsageError, IntegrityError."""
        if self._files and not counted:
            raise UsageError("The values of columns cannot be read: pg_dump has compressed the dump itself",
                             "Do without references, or use a pg_dump that obeys --compress=0.")
        for item in self._files:
            item.finish()

    def publish(self):
        """Give the files their names. Return the result references (list of dict)."""
        return [item.publish() for item in self._files]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for item in self._files:
            item.abort()


class _ValuesFile:
    """One file of values."""

    def __init__(self, wanted, overwrite):
        self._wanted = wanted
        self._schema, self._name = split_name(wanted["table"])
        self._problem = UsageError("references: the data of table '%s' is not in the dump" % wanted["table"])
        self._count = 0
        dest = wanted["dest"]
        self._out = _stream.PartialFile(dest, overwrite)
        try:
            self._sort = _stream.Process(
                ["sort", "-u", "-S", _SORT_MEMORY, "-T", os.path.dirname(os.path.abspath(dest))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, LC_ALL="C"),
                what="sorting the values for %s" % dest,
            )
        except BaseException:
            self._out.__exit__()
            raise

    def taker(self, schema, name, columns, encoding):
        """Return a function(rows) for a table whose data begins, or None if this file wants nothing of it."""
        if name != self._name or self._schema not in (None, schema):
            return None
        try:
            select = selector(columns, self._wanted, encoding)
        except UsageError as error:
            self._problem = self._problem and error  # a table of that name in another schema may have the columns
            return None
        self._problem = None

        def take(lines):
            values = select(lines)
            if values:
                self._write(values)

        return take

    def _write(self, values):
        data = b"\n".join(values) + b"\n"
        if data.count(b"\n") != len(values):
            raise IntegrityError(
                "references: a value of column '%s' of table '%s' holds a line break, so values cannot be told apart"
                % (self._wanted["column"], self._wanted["table"]))
        try:
            self._sort.stdin.write(data)
        except BrokenPipeError:
            self._sort.finish()  # its exit code tells why
            raise

    def finish(self):
        if self._problem:
            raise self._problem
        try:
            self._sort.stdin.close()
        except BrokenPipeError:
            pass  # as above
        for chunk in _stream.read_chunks(self._sort.stdout):
            self._count += chunk.count(b"\n")
            self._out.write(chunk)
        self._sort.finish()

    def publish(self):
        return dict(self._out.publish(), table=self._wanted["table"], count=self._count)

    def abort(self):
        """End what still runs and remove the partial file; after publish() there is nothing to do."""
        if self._sort.popen.poll() is None:
            self._sort.popen.terminate()  # on this signal it removes its files
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._sort.popen.wait(_END_SECONDS)
        self._sort.abort()
        self._out.__exit__()
