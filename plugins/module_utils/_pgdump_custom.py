# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pure: follows pg_dump's custom format (archive versions 1.12 to 1.16, PostgreSQL 11 to 18)."""
from __future__ import annotations

import re
import struct

from ._errors import IntegrityError
from ._pgdump_common import CUSTOM, Entry, Header, columns_of, damaged, decode

MAGIC = b"PGDMP"
_VERSIONS = range(12, 17)  # minor archive versions: 1.12 came with PostgreSQL 9.0, 1.16 with 17
_BLOCK_DATA, _BLOCK_BLOBS = 1, 3
_END_OF_COPY = b"\\.\n\n\n"
_PIECE = struct.Struct("<BI").unpack_from  # the number before a piece of data: its sign and its value


class Custom:
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
            raise damaged("it ends in its table of contents")
        if self._entry is not None or self._position < len(self._buffer):
            raise damaged("it ends in the data of %s" % (self._entry.tag if self._entry else "an unknown object"))
        if self._expected:
            entry = next(iter(self._expected.values()))
            raise damaged("the data of %s and of %d others is missing" % (entry.tag, len(self._expected) - 1))

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
                    self._count_in(buffer[position:end])
                self._left -= end - position
                position = end
            elif self._entry is None:
                if size - position < 6:
                    break
                self._begin_block(buffer[position], _signed(buffer, position + 1))
                counting = self._counting()
                position += 6
            else:
                if counting:
                    position = self._read_rows(buffer, position, size)
                if size - position < 5:
                    break
                self._piece(_signed(buffer, position))
                position += 5
        self._position = position

    def _count_in(self, piece):
        self._newlines += piece.count(b"\n")
        self._tail = (self._tail + piece)[-6:]
        if self._rows.watching:
            self._rows.show(piece)

    def _read_rows(self, buffer, position, size):
        """Take the pieces of a table that are whole in the buffer, as fast as can be. Return the position after."""
        newlines, tail, last = 0, self._tail, 0  # last: the end of the last piece if the tail is to be read there
        shown = [] if self._rows.watching else None
        while size - position >= 5:
            negative, length = _PIECE(buffer, position)
            start = position + 5
            end = start + length
            if negative or not length or end > size:
                break
            newlines += buffer.count(b"\n", start, end)
            if length >= 6:
                last = end
            else:
                tail = ((buffer[last - 6:last] if last else tail) + buffer[start:end])[-6:]
                last = 0
            if shown is not None:
                shown.append(buffer[start:end])
            position = end
        self._newlines += newlines
        self._tail = buffer[last - 6:last] if last else tail
        if shown:
            self._rows.show(b"".join(shown))
        return position

    def _counting(self):
        return self.header.counted and self._entry is not None and self._entry.kind == "TABLE DATA"

    def _begin_block(self, block, dump_id):
        entry = self._expected.pop(dump_id, None)
        if entry is None or block not in (_BLOCK_DATA, _BLOCK_BLOBS):
            raise damaged("a block of data belongs to no object")
        self._entry, self._in_object = entry, block == _BLOCK_DATA
        if self._counting():
            found = columns_of(entry.copy, self.header.encoding)
            self._rows.begin(entry.namespace, entry.tag, found[2] if found else ())
            self._newlines, self._tail = 0, b"\n"

    def _piece(self, size):
        """Take the number before a piece: its length, 0 for the end; before a large object it is the object's OID."""
        if size < 0:
            raise damaged("a piece of the data of %s has a negative length" % self._entry.tag)
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
                raise damaged("the data of %s does not end as it should" % self._entry.tag)
            self._rows.end(self._newlines - _END_OF_COPY.count(b"\n"))
        self._entry = None


def _signed(buffer, position):
    """Return the int at a position: a byte for the sign, four bytes for the value."""
    value = int.from_bytes(buffer[position + 1:position + 5], "little")
    return -value if buffer[position] else value
