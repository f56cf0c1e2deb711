# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks into tar streams and renames their members while they pass. Pure; constant memory.

The engine's archive endpoint writes a folder as "./…" (or "/…" for a container's root); here it takes the form that
GNU tar gives it: "./", "./a/", "./a/b".
"""
from __future__ import annotations

import tarfile

from ._errors import IntegrityError

_BLOCK = 512
_PIECE = 1024 * 1024
_ZERO = bytes(_BLOCK)
_NO_MEMBER = (b"x", b"g", b"L", b"K")
# What a member's pax header may keep; everything else is written from the member itself.
_KEPT_RECORDS = ("mtime",)


class Counter:
    """Counts the members of a tar stream and knows whether its end was seen.

    Only headers are looked at, so it costs next to nothing. feed() takes the stream in pieces of any size.
    """

    def __init__(self):
        self.members = 0
        self.first = None
        self.complete = False
        self._pending = b""
        self._skip = 0
        self._pax = None  # bytes of the pax header that is being read
        self._override = None  # size of the next member, from its pax header
        self._padding = 0

    def feed(self, data):
        view = memoryview(data)
        while view and not self.complete:
            if self._skip:
                count = min(self._skip, len(view))
                if self._pax is not None:
                    self._pax += view[:count]
                self._skip -= count
                view = view[count:]
                if not self._skip and self._pax is not None:
                    self._end_of_pax()
                continue
            need = _BLOCK - len(self._pending)
            self._pending += view[:need]
            view = view[need:]
            if len(self._pending) == _BLOCK:
                header, self._pending = self._pending, b""
                self._header(header)

    def _header(self, header):
        if header == _ZERO:
            self.complete = True
            return
        kind, size = header[156:157], _number(header[124:136])
        if kind in _NO_MEMBER:
            if kind == b"x":
                self._pax, self._padding = b"", -size % _BLOCK
        else:
            self.members += 1
            if self.first is None:
                self.first = header[:100].rstrip(b"\0")
            if self._override is not None:
                size, self._override = self._override, None
        self._skip = size + -size % _BLOCK

    def _end_of_pax(self):
        records = pax_records(self._pax[:len(self._pax) - self._padding])
        self._pax = None
        if b"size" in records:
            self._override = int(records[b"size"])

    def require_complete(self, what):
        """Raise IntegrityError unless the end of the archive was seen."""
        if not self.complete:
            raise IntegrityError("%s: the archive ends too early" % what)


def _number(field):
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ").strip() or b"0", 8)
    except ValueError:
        raise IntegrityError("This is no tar archive, or it is damaged") from None


def pax_records(data):
    """Return the records of a pax header (dict of bytes). :raises: IntegrityError when it is damaged."""
    records = {}
    while data:
        length, _space, _rest = data.partition(b" ")
        end = int(length) if length.isdigit() else 0
        if not len(length) < end <= len(data):
            raise IntegrityError("This is no tar archive, or it is damaged")
        record, data = data[len(length) + 1:end - 1], data[end:]
        key, _equals, value = record.partition(b"=")
        records[key] = value
    return records


def members(chunks):
    """Yield (name, TarInfo, TarFile) of each member of a tar stream; name: bytes, without "./" and "/" at the ends.

    The stream is read to its very end. :raises: IntegrityError when it is no tar archive or ends too early.
    """
    chunks, counter = iter(chunks), Counter()

    def counted():
        for chunk in chunks:
            counter.feed(chunk)
            yield chunk

    try:
        with tarfile.open(
            fileobj=_Reader(counted()), mode="r|", bufsize=_PIECE, encoding="utf-8", errors="surrogateescape",
        ) as archive:
            for member in archive:
                yield bare(member.name), member, archive
                archive.members = []  # the library would keep every member that it has seen
    except (tarfile.TarError, EOFError) as error:
        raise IntegrityError("The archive cannot be read: %s" % error) from error
    for _rest in chunks:
        pass
    counter.require_complete("The archive")


def bare(name):
    """Return a member's name (str) as the relative path (bytes) that it means."""
    return b"/".join(part for part in name.encode("utf-8", "surrogateescape").split(b"/") if part not in (b"", b"."))


def renamed(chunks, rename, folder):
    """Yield a tar stream whose members have other names.

    :param rename: function, relative path (bytes) to its new name (bytes, without "./"), or None to leave it out.
    :param folder: bool; the tree is a folder: names get "./" in front. Otherwise it is a single file.
    """
    prefix = b"./" if folder else b""
    for path, member, archive in members(chunks):
        name = rename(path)
        if name is None:
            continue
        name = prefix + name
        if member.isdir() and not name.endswith(b"/"):
            name += b"/"
        link = member.linkname.encode("utf-8", "surrogateescape")
        if member.islnk():
            target = rename(bare(member.linkname))
            if target is None:
                continue  # its content was left out
            link = prefix + target
        yield header(member, name, link)
        if member.isreg():
            yield from _content(archive.extractfile(member), member.size)
    yield _ZERO * 2


def _content(handle, size):
    left = size
    while left:
        piece = handle.read(min(left, _PIECE))
        if not piece:
            raise IntegrityError("The archive ends too early")
        left -= len(piece)
        yield piece
    yield bytes(-size % _BLOCK)


def header(member, name, link):
    """Return the header (bytes) of a member under another name, in pax format where that is needed.

    :param member: tarfile.TarInfo. :param name: bytes. :param link: bytes, what it links to.
    """
    records = {
        key.encode(): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items() if key in _KEPT_RECORDS or key.startswith("SCHILY.")
    }
    if len(name) > 100 or not name.isascii():
        records[b"path"] = name
    if len(link) > 100 or not link.isascii():
        records[b"linkpath"] = link
    limits = ((b"size", member.size, 8 ** 11), (b"uid", member.uid, 8 ** 7), (b"gid", member.gid, 8 ** 7))
    for key, value, limit in limits:
        if not 0 <= value < limit:
            records[key] = b"%d" % value
    size = member.size if member.isreg() else 0
    block = _block(name, member.mode, member.uid, member.gid, size, int(member.mtime),
                   tarfile.REGTYPE if member.isreg() else member.type, link,
                   member.devmajor, member.devminor)
    if not records:
        return block
    data = b"".join(_record(key, value) for key, value in sorted(records.items()))
    extra = _block(b"./PaxHeaders/" + name.rstrip(b"/").rpartition(b"/")[2], 0o644, 0, 0, len(data), 0, b"x", b"", 0, 0)
    return extra + data + bytes(-len(data) % _BLOCK) + block


def _record(key, value):
    base = len(key) + len(value) + 3
    length = base + len(str(base))
    if len(str(length)) != len(str(base)):
        length = base + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(name, mode, uid, gid, size, mtime, kind, link, major, minor):
    def octal(value, width, limit):
        return b"%0*o\0" % (width, value if 0 <= value < limit else 0)

    block = b"".join((
        name[:100].ljust(100, b"\0"), octal(mode & 0o7777, 7, 8 ** 7), octal(uid, 7, 8 ** 7), octal(gid, 7, 8 ** 7),
        octal(size, 11, 8 ** 11), octal(mtime, 11, 8 ** 11), b" " * 8, kind, link[:100].ljust(100, b"\0"),
        b"ustar\x0000", bytes(64), octal(major, 7, 8 ** 7), octal(minor, 7, 8 ** 7),
    )).ljust(_BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


class _Reader:
    """A readable file object over an iterator of bytes."""

    def __init__(self, chunks):
        self._chunks, self._buffer = iter(chunks), b""

    def read(self, size):
        parts, missing = [], size
        while missing:
            if not self._buffer:
                self._buffer = next(self._chunks, b"")
                if not self._buffer:
                    break
            part, self._buffer = self._buffer[:missing], self._buffer[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
