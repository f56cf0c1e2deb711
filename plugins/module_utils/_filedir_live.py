# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a live folder of blobs (xx/yy/<sha1>) while its owner goes on writing to it: directly; _filedir_api otherwise.

Each class for it has: groups, prefixes of names (sorted list of str), asked for in this order; blobs(group, needed),
which yields (sha1, size, content) with content None unless needed(sha1, size), otherwise a function that returns an
iterator of bytes, to be used before the next blob unless parallel is true; one_stream, whether nothing else can be
asked of the container until the last group has been read; has(sha1) and read(sha1), for single blobs; survey, what was
seen on the way. What vanishes is not an error: it is not yielded, or reading it raises FileNotFoundError.
"""
from __future__ import annotations

import collections
import contextlib
import errno
import functools
import os
import re
import stat

from . import _beneath, _throttle
from ._hash_list import SHA1
from ._paths import show
from ._pool import read_chunks
from ._switch import PREFIX

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # vanished, or something else has taken its place
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
PAIR = re.compile(r"[0-9a-f]{2}\Z")


class Examples:
    """Counts things and remembers the first of them. :param limit: how many."""

    def __init__(self, limit=100):
        self.count, self.names, self._limit = 0, [], limit

    def add(self, name):
        self.count += 1
        if len(self.names) < self._limit:
            self.names.append(name)

    def result(self):
        return {"count": self.count, "examples": self.names}


class Survey:
    """What a folder of blobs looks like: owners, modes, and names (Examples) that are no blobs."""

    def __init__(self):
        self.unknown = Examples(20)
        self._owners, self._files, self._folders = collections.Counter(), collections.Counter(), collections.Counter()

    def file(self, mode, uid, gid):
        self._owners[uid, gid] += 1
        self._files[stat.S_IMODE(mode)] += 1

    def folder(self, mode):
        self._folders[stat.S_IMODE(mode)] += 1

    def other(self, path):
        """Take note of a name (bytes) that is no blob; Moodle's own small files are not worth a word."""
        name = path.rpartition(b"/")[2]
        if not (name.endswith(b".tmp") or path == b"warning.txt" or path.startswith(PREFIX)):
            self.unknown.add(show(path))

    def attributes(self):
        """Return the most common {"owner" [uid, gid], "file_mode", "folder_mode"}; None for what there is none of."""
        owner, file, folder = _most(self._owners), _most(self._files), _most(self._folders)
        return {
            "owner": list(owner) if owner else None,
            "file_mode": _digits(file),
            "folder_mode": _digits(folder),
        }


def _digits(mode):
    """Return a mode (int or None) as four octal digits, or None."""
    return None if mode is None else format(mode, "04o")


def _most(counter):
    # Of two that are equally common always the same one.
    return max(counter.items(), key=lambda item: (item[1], item[0]))[0] if counter else None


def is_blob(name, prefix):
    """True if a name (str) is that of a blob in the folders whose names make up prefix (four digits)."""
    return bool(SHA1.match(name)) and name.startswith(prefix)


def blob_of(path):
    """Return the SHA-1 (str) that a relative path (bytes) in a folder of blobs names, or None."""
    parts = path.decode("ascii", "replace").split("/")
    return parts[2] if len(parts) == 3 and is_blob(parts[2], parts[0] + parts[1]) else None


def inside(sha1):
    """Return the relative path (bytes) of a blob."""
    return ("%s/%s/%s" % (sha1[:2], sha1[2:4], sha1)).encode("ascii")


def gone(name):
    """Return the error for a blob (str) that is not there."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


class DirectLive:
    """A folder on this host. :param root: descriptor of it; no link below it is ever followed."""

    transport, parallel, one_stream = "direct", True, False
    groups = ["%02x" % number for number in range(256)]

    def __init__(self, root):
        self._root, self.survey, self._looked = root, Survey(), False

    def blobs(self, group, needed):
        self._look_around()
        with _opened(self._root, group) as upper:
            if upper is None:
                return  # nothing, or a link, which is no folder of blobs
            self.survey.folder(os.fstat(upper).st_mode)
            for lower in sorted(os.listdir(upper)):
                with _opened(upper, lower) if PAIR.match(lower) else contextlib.nullcontext() as folder:
                    if folder is None:
                        self.survey.other(os.fsencode("%s/%s" % (group, lower)))
                    else:
                        yield from self._files(group + lower, folder, needed)

    def _look_around(self):
        if not self._looked:
            self._looked = True
            self.survey.folder(os.fstat(self._root).st_mode)
            with os.scandir(_beneath.through(self._root)) as entries:
                for entry in entries:
                    if not (PAIR.match(os.fsdecode(entry.name)) and entry.is_dir(follow_symlinks=False)):
                        self.survey.other(entry.name)

    def _files(self, prefix, folder, needed):
        self.survey.folder(os.fstat(folder).st_mode)
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(state.st_mode) and is_blob(entry.name, prefix):
                        self.survey.file(state.st_mode, state.st_uid, state.st_gid)
                        found.append((entry.name, state.st_size))
                    else:
                        self.survey.other(os.fsencode("%s/%s/%s" % (prefix[:2], prefix[2:], entry.name)))
        for name, size in sorted(found):
            yield name, size, functools.partial(self.read, name) if needed(name, size) else None

    def has(self, sha1):
        """True if there is a blob of this name."""
        with self._blob(sha1) as fd:
            return fd is not None

    def read(self, sha1):
        """Yield the content of one blob (bytes). :raises: FileNotFoundError, OSError."""
        with self._blob(sha1) as fd:
            if fd is None:
                raise gone(sha1)
            yield from read_chunks(fd, _throttle.wait)

    @contextlib.contextmanager
    def _blob(self, sha1):
        with _opened(self._root, sha1[:2]) as upper, _opened(upper, sha1[2:4]) as lower, \
                _opened(lower, sha1, _FILE) as fd:
            yield fd if fd is not None and stat.S_ISREG(os.fstat(fd).st_mode) else None


class _opened:
    """Gives a descriptor of a name in an open folder (None: there is none), or None if it is not there."""

    # A class and no generator: with 500,000 small files to read the difference is seconds.
    def __init__(self, folder, name, flags=_FOLDER):
        try:
            self._fd = None if folder is None else os.open(name, flags, dir_fd=folder)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._fd = None

    def __enter__(self):
        return self._fd

    def __exit__(self, *unused):
        if self._fd is not None:
            os.close(self._fd)
