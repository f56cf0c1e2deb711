# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where blobs come from when a filedir is restored: a list and a pool, or one archive.

A blob is a file whose name is the SHA-1 of its content (40 hex digits, bytes), kept as xx/yy/<name>. Names come sorted
and are handled by their first two digits, so that memory does not grow with the number of files.
"""
from __future__ import annotations

import hashlib
import itertools
import os
import re

from . import _throttle
from ._errors import IntegrityError, NotFoundError, UsageError
from ._stream import CHUNK, decompressor_command, plain_content
from ._tarstream import members

PREFIXES = [b"%02x" % number for number in range(256)]
NAME = re.compile(rb"[0-9a-f]{40}\Z")
_LINE = re.compile(rb"([0-9a-f]{40})  (?:[^\n]*/)?([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{40})\n?\Z")
_MEMBER = re.compile(rb"([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{40})\Z")
_LONGEST_LINE = 8192  # bytes
_POOL_HINT = "Verify the backup: it tells which blobs are wrong. A backup of a site that still has them replaces them."


def location(name):
    """Return where a blob lies (bytes) in a filedir or a pool."""
    return b"%s/%s/%s" % (name[:2], name[2:4], name)


def new_hash():
    """Return the hash that gives blobs their names; it proves nothing against an attacker, and need not."""
    return hashlib.sha1(usedforsecurity=False)


class Blob:
    """The content of one blob. It must be taken before the next one is asked for.

    name: bytes; size: bytes; file: the open file that it is, or None if it is a part of an archive.
    """

    def __init__(self, name, size, handle, where, file=None):
        self.name, self.size, self.file = name, size, file
        self._handle, self._where = handle, where

    def chunks(self):
        """Yield the content. :raises: IntegrityError after the last chunk if it is not what the name says."""
        return self.checked(self._read())

    def _read(self):
        piece = min(self.size + 1, CHUNK)  # a read of small files must not ask for a lot of memory
        while True:
            chunk = self._handle.read(piece)
            if not chunk:
                return
            if self.file is not None:  # an archive is slowed down as a whole
                _throttle.wait(len(chunk))
            yield chunk

    def checked(self, chunks):
        """Yield chunks that were got in another way, checked in the same way."""
        digest = new_hash()
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        if digest.hexdigest().encode("ascii") != self.name:
            raise IntegrityError("'%s' in '%s' does not have the content that its name says"
                                 % (location(self.name).decode("ascii"), self._where), _POOL_HINT)


def open_source(src, pool):
    """Return the ListSource or ArchiveSource of a file (str), whose content tells what it is.

    :param pool: str, path of the pool that a list needs, or None.
    """
    if not os.path.isfile(src):
        raise NotFoundError("There is no '%s'" % src)
    if _is_archive(src):
        return ArchiveSource(src)
    if not pool:
        raise UsageError("'%s' is a list of blobs, and no pool is named" % src, "Say where they are with 'pool'.")
    if not os.path.isdir(pool):
        raise NotFoundError("There is no pool '%s'" % pool)
    return ListSource(src, pool)


def _is_archive(src):
    if decompressor_command(src) is not None:
        return True
    with open(src, "rb") as handle:
        start = handle.read(512)
    return start[257:262] == b"ustar" or start[:1] == b"\0"


class _Ascending:
    """Sees to it that names come sorted. :param src: str, for the message."""

    def __init__(self, src):
        self._src, self._last = src, b""

    def next(self, name):
        """Return a name; IntegrityError unless it is greater than the one before."""
        if name <= self._last:
            raise IntegrityError("'%s' is not sorted: %s comes after %s"
                                 % (self._src, name.decode("ascii"), self._last.decode("ascii")))
        self._last = name
        return name


class ListSource:
    """Blobs of a pool. :param src: str, path of the list. :param pool: str, path of the pool's filedir."""

    def __init__(self, src, pool):
        self.src, self.pool = src, pool
        self._pool = os.fsencode(pool)

    def groups(self):
        """Yield (first two digits, sorted list of names), sorted."""
        for prefix, names in itertools.groupby(self._names(), lambda name: name[:2]):
            yield prefix, list(names)

    def _names(self):
        order = _Ascending(self.src)
        with open(self.src, "rb") as handle:
            for number in itertools.count(1):
                line = handle.readline(_LONGEST_LINE)
                if not line:
                    return
                found = _LINE.match(line)
                if not found or found.group(1) != found.group(4) or (
                        found.group(1)[:4] != found.group(2) + found.group(3)):
                    raise IntegrityError("'%s': line %d is not '<sha1>  …/xx/yy/<sha1>'" % (self.src, number))
                yield order.next(found.group(1))

    def size(self, name):
        """Return the size (bytes) of a blob."""
        try:
            return os.stat(os.path.join(self._pool, location(name)), follow_symlinks=False).st_size
        except FileNotFoundError:
            raise self._missing(name) from None

    def _missing(self, name):
        return IntegrityError("'%s' is not in the pool '%s'" % (location(name).decode("ascii"), self.pool), _POOL_HINT)

    def contents(self, names):
        """Yield the Blob of each name (iterable of bytes, sorted)."""
        for name in names:
            try:
                fd = os.open(os.path.join(self._pool, location(name)), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                raise self._missing(name) from None
            with os.fdopen(fd, "rb", buffering=0) as handle:
                yield Blob(name, os.fstat(fd).st_size, handle, self.pool, handle)


class ArchiveSource:
    """Blobs of an archive with members xx/yy/<name>, sorted. It is read anew each time.

    :param src: str, path of the archive.
    """

    pool = None

    def __init__(self, src):
        self.src = src
        self._sizes = {}

    def groups(self):
        """As ListSource.groups; size() knows the blobs of the group that came last."""
        sizes = ((name, member.size) for name, member, _archive in self._members())
        for prefix, group in itertools.groupby(sizes, lambda pair: pair[0][:2]):
            self._sizes = dict(group)
            yield prefix, list(self._sizes)

    def _members(self):
        order = _Ascending(self.src)
        try:
            with plain_content(self.src) as chunks:
                for path, member, archive in members(chunks):
                    if member.isdir():
                        continue
                    found = _MEMBER.match(path)
                    if not found or not member.isreg() or path != location(found.group(3)):
                        raise IntegrityError("'%s' is no archive of a filedir: it holds '%s'"
                                             % (self.src, path.decode("utf-8", "backslashreplace")))
                    yield order.next(found.group(3)), member, archive
        except IntegrityError as error:
            if self.src in error.message:
                raise
            raise IntegrityError("'%s': %s" % (self.src, error.message), error.hint) from error

    def size(self, name):
        return self._sizes[name]

    def contents(self, names):
        names = iter(names)
        wanted = next(names, None)
        if wanted is None:
            return
        for name, member, archive in self._members():
            if name == wanted:
                yield Blob(name, member.size, archive.extractfile(member), self.src)
                wanted = next(names, None)
        if wanted is not None:
            raise IntegrityError("'%s' is not in '%s'" % (location(wanted).decode("ascii"), self.src))
