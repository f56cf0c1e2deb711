# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pure: follows a PostgreSQL dump as it streams by, in constant memory.

Knows the custom format of pg_dump (archive versions 1.12 to 1.16, PostgreSQL 11 to 18) and plain SQL. Counts the rows
of every table and notices a dump that is cut off. Needs neither a server nor pg_restore.
"""
from __future__ import annotations

import re
from collections import namedtuple

from ._errors import IntegrityError

CUSTOM, PLAIN = "custom", "plain"
_MAGIC = b"PGDMP"
_VERSIONS = range(12, 17)  # minor archive versions: 1.12 came with PostgreSQL 9.0, 1.16 with 17
_HEADER_LIMIT = 64 * 1024  # bytes of a plain dump after which its head is surely over
_LINE_LIMIT = 1024 * 1024  # bytes; no line longer than this is one that matters here
_BLOCK_DATA, _BLOCK_BLOBS = 1, 3
_END_OF_COPY = b"\\.\n\n\n"

_IDENTIFIER = rb'(?:"(?:[^"]|"")*"|[^\s".,();]+)'
_COPY = re.compile(rb"COPY (%s)\.(%s) (?:\((.*)\) )? ?FROM stdin;\n\Z" % (_IDENTIFIER, _IDENTIFIER), re.DOTALL)
_CODECS = {
    "LATIN1": "latin-1", "LATIN2": "iso8859-2", "LATIN9": "iso8859-15", "WIN1250": "cp1250", "WIN1251": "cp1251",
    "WIN1252": "cp1252", "KOI8R": "koi8-r", "EUC_JP": "euc-jp", "EUC_KR": "euc-kr",
}

# One line of the table of contents of a custom dump; texts are str ("" when absent), copy is the COPY statement.
Entry = namedtuple("Entry", "dump_id has_data tag kind definition copy namespace owner")

# What the beginning of a dump tells. format: "custom" or "plain"; server_version and client_version: str such as
# "15.13 (Debian 15.13-0+deb12u1)", "" when unknown; encoding: PostgreSQL's name of it, "" when unknown;
# entries: tuple of Entry, empty for a plain dump; counted: bool, False when the rows cannot be counted because pg_dump
# compressed them itself.
Header = namedtuple("Header", "format server_version client_version encoding entries counted")


def major(version):
    """Return the major version (int) of a text like "15.13 (Debian ...)" or "17devel"; 0 when it has none."""
    found = re.match(r"\d+", version)
    return int(found.group()) if found else 0


def decode(name, encoding):
    """Return the text (str) of a name (bytes) in PostgreSQL's encoding; what cannot be read becomes \\xNN."""
    return name.decode(_CODECS.get(encoding, "utf-8"), "backslashreplace")


class DumpReader:
    """Follows one dump: feed() with every chunk, then close().

    :param on_row: function(table, columns, line) that is called for every row of the chosen tables as it passes;
        table: str "schema.table", columns: tuple of str, line: bytes in COPY's text form without the newline.
    :param row_tables: collection of "schema.table" that on_row wants to see.
    header (Header) is there as soon as the beginning of the dump has been read; None before.
    """

    def __init__(self, on_row=None, row_tables=()):
        self._rows = _Rows(on_row, frozenset(row_tables) if on_row else frozenset())
        self._start = b""
        self._format = None

    @property
    def header(self):
        return self._format.header if self._format else None

    def feed(self, data):
        """Take the next bytes. :raises: IntegrityError if the dump is damaged or of a kind that is not known."""
        if self._format is None:
            self._start += data
            if len(self._start) < len(_MAGIC):
                return
            data = self._start
            self._format = (_Custom if data.startswith(_MAGIC) else _Plain)(self._rows)
        self._format.feed(data)

    def close(self):
        """Return the rows per table ({"schema.table": int}). :raises: IntegrityError if the dump is not whole."""
        if self._format is None:
            raise IntegrityError("The dump is empty")
        self._format.close()
        return dict(self._rows.counts)


class _Rows:
    """Counts the rows of the table whose data passes, and shows them to on_row if it wants them."""

    def __init__(self, on_row, wanted):
        self._on_row, self._wanted = on_row, wanted
        self.counts = {}
        self._table = self._columns = self._rest = None

    def begin(self, table, columns):
        self.counts.setdefault(table, 0)
        self._table, self._columns = table, columns
        self._rest = b"" if table in self._wanted else None

    @property
    def watching(self):
        return self._rest is not None

    def show(self, piece):
        """Take a piece of the data of a table that is watched; rows may straddle pieces."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line == b"\\.":
                self._rest = None  # what follows is not data
                return
            self._on_row(self._table, self._columns, line)

    def end(self, rows):
        self.counts[self._table] += rows
        self._rest = None


def _columns_of(copy, encoding):
    """Return schema, table (str) and columns (tuple of str) of a COPY statement (bytes), or None if it is none."""
    found = _COPY.match(copy)
    if not found:
        return None
    names = re.findall(_IDENTIFIER, found.group(3) or b"")
    return _plain_name(found.group(1), encoding), _plain_name(found.group(2), encoding), tuple(
        _plain_name(name, encoding) for name in names
    )


def _plain_name(identifier, encoding):
    if identifier.startswith(b'"'):
        identifier = identifier[1:-1].replace(b'""', b'"')
    return decode(identifier, encoding)


def _damaged(detail):
    return IntegrityError("The dump is damaged or cut off: %s" % detail, "Take another copy of it, or another backup.")


class _Custom:
    """pg_dump's custom format: header, table of contents, then one block of data for each entry that has data."""

    def __init__(self, rows):
        self.header = None
        self._rows = rows
        self._buffer, self._position = b"", 0
        self._head = self._read_head()
        self._expected = {}  # dump ID -> Entry, for entries whose data has not passed yet
        self._entry = None  # the entry whose block is passing
        self._in_object = False  # inside one large object of a block of them
        self._left = 0  # bytes that are left of the current piece
        self._newlines = 0
        self._tail = b""

    def feed(self, data):
        self._buffer = self._buffer[self._position:] + data if self._position < len(self._buffer) else data
        self._position = 0
        if self._head is not None:
            try:
                next(self._head)
                return
            except StopIteration:
                self._head = None
        self._read_blocks()

    def close(self):
        if self.header is None:
            raise _damaged("it ends in its table of contents")
        if self._entry is not None or self._position < len(self._buffer):
            raise _damaged("it ends in the data of %s" % (self._entry.tag if self._entry else "an unknown object"))
        if self._expected:
            entry = next(iter(self._expected.values()))
            raise _damaged("the data of %s and of %d others is missing" % (entry.tag, len(self._expected) - 1))

    # --- header and table of contents: generators that wait for more bytes ----------------------------------------

    def _take(self, count):
        while len(self._buffer) - self._position < count:
            yield
        start, self._position = self._position, self._position + count
        return self._buffer[start:self._position]

    def _int(self):
        raw = yield from self._take(5)
        return _signed(raw, 0)

    def _text(self):
        """Read a length and so many bytes; None stands for PostgreSQL's NULL."""
        size = yield from self._int()
        if size < 0:
            return None
        return (yield from self._take(size))

    def _read_head(self):
        head = yield from self._take(11)
        version, int_size, offset_size, kind = (head[5], head[6]), head[8], head[9], head[10]
        if version[0] != 1 or version[1] not in _VERSIONS or int_size != 4 or kind != 1:
            raise IntegrityError(
                "The dump has archive version %d.%d, which is not known here" % version,
                "Known are 1.%d to 1.%d in custom format." % (_VERSIONS[0], _VERSIONS[-1]),
            )
        if version[1] >= 15:
            compression = (yield from self._take(1))[0]
        else:
            compression = yield from self._int()
        for _field in range(7):  # the date
            yield from self._int()
        yield from self._text()  # the database's name, also in the entry DATABASE
        server = yield from self._text()
        client = yield from self._text()
        count = yield from self._int()
        raw = []
        for _number in range(count):
            raw.append((yield from self._read_entry(version[1], offset_size)))
        self._finish_head(raw, server, client, compression == 0)

    def _read_entry(self, version, offset_size):
        dump_id = yield from self._int()
        has_data = yield from self._int()
        yield from self._text()  # OID of the catalogue
        yield from self._text()  # OID of the object
        tag = yield from self._text()
        kind = yield from self._text()
        yield from self._int()  # section
        definition = yield from self._text()
        yield from self._text()  # DROP statement
        copy = yield from self._text()
        namespace = yield from self._text()
        yield from self._text()  # tablespace
        if version >= 14:
            yield from self._text()  # table access method
        if version >= 16:
            yield from self._int()  # kind of relation
        owner = yield from self._text()
        yield from self._text()  # with OIDs
        while (yield from self._text()) is not None:
            pass  # dependencies
        yield from self._take(1 + offset_size)  # position, which a stream does not have
        return dump_id, bool(has_data), tag, kind, definition, copy, namespace, owner

    def _finish_head(self, raw, server, client, counted):
        encoding = ""
        for item in raw:
            if item[3] == b"ENCODING":
                found = re.search(rb"'([^']*)'", item[4] or b"")
                encoding = found.group(1).decode("ascii") if found else ""
        entries = tuple(
            Entry(item[0], item[1], *(decode(text or b"", encoding) for text in item[2:5]), item[5] or b"",
                  *(decode(text or b"", encoding) for text in item[6:])) for item in raw
        )
        self._expected = {entry.dump_id: entry for entry in entries if entry.has_data}
        self.header = Header(
            CUSTOM, decode(server or b"", ""), decode(client or b"", ""), encoding, entries, counted,
        )

    # --- blocks of data: one loop, because pg_dump writes a piece for each row ------------------------------------

    def _read_blocks(self):
        buffer, position, size = self._buffer, self._position, len(self._buffer)
        counting = self._counting()
        while True:
            if self._left:
                end = min(position + self._left, size)
                if end == position:
                    break
                if counting:
                    self._newlines += buffer.count(b"\n", position, end)
                    self._tail = (self._tail + buffer[position:end] if end - position < 6 else buffer[end - 6:end])[-6:]
                    if self._rows.watching:
                        self._rows.show(buffer[position:end])
                self._left -= end - position
                position = end
            elif self._entry is None:
                if size - position < 6:
                    break
                self._begin_block(buffer[position], _signed(buffer, position + 1))
                counting = self._counting()
                position += 6
            else:
                if size - position < 5:
                    break
                self._piece(_signed(buffer, position))
                position += 5
        self._position = position

    def _counting(self):
        return self.header.counted and self._entry is not None and self._entry.kind == "TABLE DATA"

    def _begin_block(self, block, dump_id):
        entry = self._expected.pop(dump_id, None)
        if entry is None or block not in (_BLOCK_DATA, _BLOCK_BLOBS):
            raise _damaged("a block of data belongs to no object")
        self._entry, self._in_object = entry, block == _BLOCK_DATA
        if self._counting():
            found = _columns_of(entry.copy, self.header.encoding)
            self._rows.begin("%s.%s" % (entry.namespace, entry.tag), found[2] if found else ())
            self._newlines, self._tail = 0, b"\n"

    def _piece(self, size):
        """Take the number before a piece: its length, 0 for the end; before a large object it is the object's OID."""
        if size < 0:
            raise _damaged("a piece of the data of %s has a negative length" % self._entry.tag)
        if not self._in_object:
            self._in_object = size != 0
            if size == 0:
                self._entry = None
        elif size:
            self._left = size
        elif self._entry.kind == "TABLE DATA":
            self._end_table()
        else:
            self._in_object = False

    def _end_table(self):
        if self._counting():
            if self._tail != b"\n" + _END_OF_COPY:
                raise _damaged("the data of %s does not end as it should" % self._entry.tag)
            self._rows.end(self._newlines - _END_OF_COPY.count(b"\n"))
        self._entry = None


def _signed(buffer, position):
    """Return the int at a position: a byte for the sign, four bytes for the value."""
    value = int.from_bytes(buffer[position + 1:position + 5], "little")
    return -value if buffer[position] else value


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
            raise _damaged("it ends in the data of a table")
        if self._is_pg_dump and not self._complete:
            raise _damaged("its last line is missing")
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
                raise _damaged("a COPY statement has no end")
            self._statement = text
            return
        self._statement, self._expecting = b"", False
        found = _columns_of(text, decode(self._facts["encoding"], ""))
        if found is None:
            raise _damaged("a COPY statement cannot be read")
        self._rows.begin("%s.%s" % found[:2], found[2])
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
