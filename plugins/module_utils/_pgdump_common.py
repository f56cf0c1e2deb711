# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pure: what both formats of PostgreSQL dumps have in common; the reader of dumps is in _pgdump."""
from __future__ import annotations

import re
from collections import namedtuple

from ._errors import IntegrityError

CUSTOM, PLAIN = "custom", "plain"

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


def encode(text, encoding):
    """Return a text (str) as bytes in PostgreSQL's encoding, which should know its letters."""
    return text.encode(_CODECS.get(encoding, "utf-8"), "backslashreplace")


class Rows:
    """Counts the rows of the table whose data passes, and shows them to whom watch names."""

    def __init__(self, watch):
        self._watch = watch
        self.counts = {}
        self._table = self._take = None
        self._rest = b""

    def begin(self, schema, table, columns):
        self._table = "%s.%s" % (schema, table)
        self.counts.setdefault(self._table, 0)
        self._rest = b""
        self._take = self._watch(schema, table, columns) if self._watch else None

    @property
    def watching(self):
        return self._take is not None

    def show(self, piece):
        """Take a piece of the data of a table that is watched; rows may straddle pieces."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        take = self._take
        if b"\\." in lines:  # what follows is not data
            lines, self._take = lines[:lines.index(b"\\.")], None
        if lines:
            take(lines)

    def end(self, rows):
        self.counts[self._table] += rows
        self._take = None


def columns_of(copy, encoding):
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


def damaged(detail):
    return IntegrityError("The dump is damaged or cut off: %s" % detail, "Take another copy of it, or another backup.")
