# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the members of a tar stream as they are, with their blocks: to compare them, or to hand some of them on. Pure.

Several times as fast as the standard library, which does more. Nothing is interpreted that GNU tar could read another
way: whoever does not understand a member completely hands it on to GNU tar.
"""
from __future__ import annotations

from ._errors import IntegrityError
from ._tarstream import pax_records

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_PIECE = 1024 * 1024  # bytes
_XATTR = b"SCHILY.xattr."

REGULAR, LINK, SYMLINK, CHARACTER, BLOCK, FOLDER, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


class Member:
    """One member: name and link are relative paths (bytes) without "./" (a symbolic link's is its target as it is);
    time: whole seconds; device: (major, minor); attributes: dict of extended attributes (bytes); size: bytes of
    content as stored; sparse: None, the file's real size in bytes if the content is a map and the data of a file with
    holes; known: False if something in it is not understood; raw: its header blocks.
    """

    __slots__ = ("index", "name", "kind", "mode", "uid", "gid", "size", "time", "link", "device", "attributes",
                 "sparse", "known", "raw")


class Stream:
    """Gives bytes of an iterator of chunks in the pieces that are asked for."""

    def __init__(self, chunks):
        self._chunks, self._chunk, self._at = iter(chunks), b"", 0

    def some(self, limit):
        """Return between one and limit bytes. :raises: IntegrityError at the end."""
        while self._at >= len(self._chunk):
            self._chunk, self._at = next(self._chunks, None), 0
            if self._chunk is None:
                self._chunk = b""
                raise IntegrityError("The archive ends too early")
        piece = self._chunk[self._at:self._at + limit]
        self._at += len(piece)
        return piece

    def exactly(self, size):
        piece = self.some(size) if size else b""
        while len(piece) < size:
            piece += self.some(size - len(piece))
        return piece

    def skip(self, size):
        while size:
            left = len(self._chunk) - self._at
            if not left:
                size -= len(self.some(size))
                continue
            step = min(left, size)
            self._at += step
            size -= step

    def drain(self):
        """Read on to the end, so that whoever writes the stream can end well or tell what went wrong."""
        for _chunk in self._chunks:
            pass


class Members:
    """The members of a tar stream, an iterator of Member.

    What is left of a member's content is skipped when the next one is asked for. The stream is read to its very end.
    :raises: IntegrityError when it is no tar archive, damaged, or ends too early.
    """

    def __init__(self, chunks):
        self._stream = Stream(chunks)
        self._left = self._padding = 0
        self._global = False
        self.count = 0

    def __iter__(self):
        while True:
            self._stream.skip(self._left + self._padding)
            member = self._next()
            if member is None:
                self._stream.drain()
                return
            self._left, self._padding = member.size, -member.size % _BLOCK
            self.count += 1
            yield member

    def piece(self, limit=_PIECE):
        """Return some of the present member's content, at most limit bytes; b"" at its end."""
        if not self._left:
            return b""
        piece = self._stream.some(min(limit, self._left))
        self._left -= len(piece)
        return piece

    def exactly(self, size):
        """Return this many bytes of the present member's content, fewer only at its end."""
        size = min(size, self._left)
        self._left -= size
        return self._stream.exactly(size)

    def rest(self):
        """Yield what is left of the present member's blocks, padding included."""
        while self._left or self._padding:
            if not self._left:
                yield self._stream.exactly(self._padding)
                self._padding = 0
                return
            yield self.piece()

    def _next(self):
        raw, records, long = [], {}, {}
        while True:
            block = self._stream.exactly(_BLOCK)
            if block == _ZERO:
                return None
            _check(block)
            raw.append(block)
            kind = block[156:157]
            if kind not in (b"x", b"g", b"L", b"K"):
                break
            size = _number(block[124:136])
            if not 0 <= size <= _PIECE:
                raise IntegrityError("A header of the archive is too long")
            data = self._stream.exactly(size + -size % _BLOCK)
            raw.append(data)
            if kind == b"x":
                records.update(pax_records(data[:size]))
            elif kind == b"g":
                self._global = True  # holds for all that follow: too rare to be worth following
            else:
                long[kind] = data[:size].rstrip(b"\0")
        return self._member(block, records, long, b"".join(raw))

    def _member(self, block, records, long, raw):
        member = Member()
        member.index, member.raw = self.count, raw
        kind = block[156:157]
        member.kind = kind if kind != b"\0" else REGULAR
        member.mode = _number(block[100:108]) & 0o7777
        member.uid = _integer(records, b"uid", block[108:116])
        member.gid = _integer(records, b"gid", block[116:124])
        member.time = _seconds(records[b"mtime"]) if b"mtime" in records else _number(block[136:148])
        member.size = _integer(records, b"size", block[124:136])
        if member.kind in (SYMLINK, CHARACTER, BLOCK, FOLDER, FIFO):
            member.size = 0
        if member.size < 0:
            raise IntegrityError("This is no tar archive, or it is damaged")
        member.device = (_number(block[329:337]), _number(block[337:345]))
        name = records.get(b"GNU.sparse.name") or records.get(b"path") or long.get(b"L") or _name(block)
        member.name = _relative(name)
        link = records.get(b"linkpath") or long.get(b"K") or _text(block[157:257])
        member.link = _relative(link) if member.kind == LINK else link
        member.attributes = {key[len(_XATTR):]: value for key, value in records.items() if key.startswith(_XATTR)}
        member.sparse, understood = _sparse(records, member.kind)
        member.known = understood and not self._global
        return member


def chosen(chunks, wanted):
    """Yield the tar stream (bytes) of those members for which wanted(member) is true, block for block as they are."""
    members = Members(chunks)
    for member in members:
        if wanted(member):
            yield member.raw
            yield from members.rest()
    yield _ZERO * 2


def _check(block):
    total = sum(block) - sum(block[148:156]) + 8 * 32
    if total != _number(block[148:156]):
        raise IntegrityError("This is no tar archive, or it is damaged")


def _number(field):
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) if field[0] == 0xFF else int.from_bytes(
            bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.partition(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        raise IntegrityError("This is no tar archive, or it is damaged") from None


def _integer(records, key, field):
    if key not in records:
        return _number(field)
    try:
        return int(records[key])
    except ValueError:
        raise IntegrityError("This is no tar archive, or it is damaged") from None


def _seconds(text):
    try:
        whole, _point, rest = text.partition(b".")
        # Downwards, as the kernel counts.
        return int(whole) - (1 if text[:1] == b"-" and rest.strip(b"0") else 0)
    except ValueError:
        raise IntegrityError("This is no tar archive, or it is damaged") from None


def _text(field):
    return field.partition(b"\0")[0]


def _name(block):
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _relative(name):
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise IntegrityError("'%s' in the archive leads out of the tree" % name.decode("utf-8", "backslashreplace"))
    return b"/".join(parts)


def _sparse(records, kind):
    """Return (Member.sparse, whether it is understood)."""
    if kind not in (REGULAR, LINK, SYMLINK, CHARACTER, BLOCK, FOLDER, FIFO):
        return None, False
    if not any(key.startswith(b"GNU.sparse.") for key in records):
        return None, True
    form = records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor")
    if form == (b"1", b"0") and records.get(b"GNU.sparse.realsize", b"").isdigit():
        return int(records[b"GNU.sparse.realsize"]), True
    return None, False
