# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pure: follows a PostgreSQL dump as it streams by, in constant memory.

Knows pg_dump's custom format and plain SQL. Counts the rows of every table, shows those that somebody wants to see, and
notices a dump that is cut off. Needs neither a server nor pg_restore.
"""
from __future__ import annotations

from ._errors import IntegrityError
from ._pgdump_common import CUSTOM, PLAIN, Entry, Header, Rows, columns_of, damaged, decode, encode, major
from ._pgdump_custom import MAGIC, Custom

__all__ = ["CUSTOM", "PLAIN", "DumpReader", "Entry", "Header", "decode", "encode", "major"]

_HEADER_LIMIT = 64 * 1024  # bytes of a plain dump after which its head is surely over
_LINE_LIMIT = 1024 * 1024  # bytes; no line longer than this is one that matters here


class DumpReader:
    """Follows one dump: feed() with every chunk, then close().

    :param watch: function(schema, table, columns) that is called when the data of a table begins (str, str, tuple of
        str) and returns None, or a function that is given all its rows as they pass: lists of bytes, each a row in
        COPY's text form without the newline.
    header (Header) is there as soon as the beginning of the dump has been read; None before.
    """

    def __init__(self, watch=None):
        self._rows = Rows(watch)
        self._start = b""
        self._format = None

    @property
    def header(self):
        return self._format.header if self._format else None

    def feed(self, data):
        """Take the next bytes. :raises: IntegrityError if the dump is damaged or of a kind that is not known."""
        if self._format is None:
            self._start += data
            if len(self._start) < len(MAGIC):
                return
            data = self._start
            self._format = (Custom if data.startswith(MAGIC) else _Plain)(self._rows)
        self._format.feed(data)

    def close(self):
        """Return the rows per table ({"schema.table": int}). :raises: IntegrityError if the dump is not whole."""
        if self._format is None:
            raise IntegrityError("The dump is empty")
        self._format.close()
        return dict(self._rows.counts)


class _Plain:
    """SQL text as pg_dump writes it; rows are counted where they are given by COPY."""

    def __init__(self, rows):
        self._rows = rows
        self._buffer = b""
        self._seen = 0
        self._facts = {"server": b"", "client": b"", "encoding": b""}
        self._is_pg_dump = self._complete = False
        self._expecting = False  # the comment that announces a table's data has passed
        self._statement = b""  # a COPY statement that goes on in the next line
        self._copying = False
        self._skip_first = 0  # 1 while the newline before the first row is in the buffer
        self._newlines = 0
        self._skipping = False  # inside a line that is too long to matter

    @property
    def header(self):
        if not self._facts["encoding"] and self._seen < _HEADER_LIMIT:
            return None
        text = {key: decode(value, "") for key, value in self._facts.items()}
        return Header(PLAIN, text["server"], text["client"], text["encoding"], (), True)

    def feed(self, data):
        self._seen += len(data)
        self._buffer += data
        while self._read_copy() if self._copying else self._read_line():
            pass

    def close(self):
        if self._copying or self._statement:
            raise damaged("it ends in the data of a table")
        if self._is_pg_dump and not self._complete:
            raise damaged("its last line is missing")
        self._seen = max(self._seen, _HEADER_LIMIT)  # a short text without an encoding has a header all the same

    def _read_copy(self):
        """Take rows up to the end of the COPY block or of the buffer; the buffer starts with the newline before."""
        end = self._buffer.find(b"\n\\.\n")
        cut = end + 1 if end >= 0 else max(0, len(self._buffer) - 3)
        self._newlines += self._buffer.count(b"\n", 0, cut)
        if self._rows.watching:
            self._rows.show(self._buffer[self._skip_first:cut])
        self._skip_first = 0 if cut else self._skip_first
        if end < 0:
            self._buffer = self._buffer[cut:]
            return False
        self._buffer = self._buffer[end + 4:]
        self._rows.end(self._newlines - 1)
        self._copying = False
        return True

    def _read_line(self):
        end = self._buffer.find(b"\n") + 1
        if end == 0:
            if len(self._buffer) > _LINE_LIMIT:
                self._buffer, self._skipping, self._complete = b"", True, False
            return False
        line, self._buffer = self._buffer[:end], self._buffer[end:]
        if self._skipping:
            self._skipping = False
        elif self._statement or (self._expecting and line.startswith(b"COPY ")):
            self._copy_statement(self._statement + line)
        else:
            self._other_line(line)
        return True

    def _copy_statement(self, text):
        """Begin a COPY block, unless the statement goes on: a quoted name may hold a newline."""
        if text.count(b'"') % 2 or not text.endswith(b" FROM stdin;\n"):
            if len(text) > _LINE_LIMIT:
                raise damaged("a COPY statement has no end")
            self._statement = text
            return
        self._statement, self._expecting = b"", False
        found = columns_of(text, decode(self._facts["encoding"], ""))
        if found is None:
            raise damaged("a COPY statement cannot be read")
        self._rows.begin(*found)
        self._copying, self._newlines, self._skip_first = True, 0, 1
        self._buffer = b"\n" + self._buffer

    def _other_line(self, line):
        if line.startswith(b"--"):
            self._comment(line)
        elif line.startswith(b"SET client_encoding = '") and not self._facts["encoding"]:
            self._facts["encoding"] = line.split(b"'")[1]
        if line.strip() and not line.startswith((b"--", b"\\unrestrict ")):
            self._complete = False

    def _comment(self, line):
        line = line.rstrip(b"\r\n")
        if line.startswith(b"-- Data for Name: ") and b"; Type: TABLE DATA;" in line:
            self._expecting = True
        elif line.startswith(b"-- Name: "):
            self._expecting = False
        elif line == b"-- PostgreSQL database dump":
            self._is_pg_dump = True
        elif line == b"-- PostgreSQL database dump complete":
            self._complete = True
        elif line.startswith(b"-- Dumped from database version ") and not self._facts["server"]:
            self._facts["server"] = line[32:]
        elif line.startswith(b"-- Dumped by pg_dump version ") and not self._facts["client"]:
            self._facts["client"] = line[29:]
