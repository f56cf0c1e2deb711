# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tree of files is, down to the last attribute, for comparing two of them."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple


class Entry(NamedTuple):
    """One entry: links is the sorted tuple of all names of the same file, if it has several."""

    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes
    device: int
    xattrs: tuple
    links: tuple
    sha256: str
    sparse: bool


def tree_state(path) -> dict[bytes, Entry]:
    """Return {relative path: Entry} of everything at and below a path; its own entry is b".", sockets are left out.

    Large sparse files are told apart by their data only: reading holes takes long and tells nothing.
    """
    root = os.fsencode(path)
    names = _names(root)
    files: dict[tuple[int, int], list[bytes]] = {}
    for name in names:
        found = os.lstat(os.path.join(root, name))
        if not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1:
            files.setdefault((found.st_dev, found.st_ino), []).append(name)
    return {name: _entry(os.path.join(root, name), files) for name in names}


def _names(root):
    names = [b"."]
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            full = os.path.join(folder, name)
            if not stat.S_ISSOCK(os.lstat(full).st_mode):
                names.append(os.path.relpath(full, root))
    return sorted(names)


def _entry(path, files):
    found = os.lstat(path)
    regular = stat.S_ISREG(found.st_mode)
    return Entry(
        kind=stat.S_IFMT(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        size=0 if stat.S_ISDIR(found.st_mode) else found.st_size,
        mtime_ns=found.st_mtime_ns,
        target=os.readlink(path) if stat.S_ISLNK(found.st_mode) else b"",
        device=found.st_rdev,
        xattrs=tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False))
                            for name in os.listxattr(path, follow_symlinks=False))),
        links=tuple(sorted(files.get((found.st_dev, found.st_ino), ()))),
        sha256=_content(path, found.st_size) if regular else "",
        # A small file takes a block whatever is in it; only a real hole counts.
        sparse=regular and found.st_size > 1 << 20 and found.st_blocks * 512 < found.st_size // 2,
    )


def _content(path, size):
    """Return the checksum (hex) of a file's data and of where it is."""
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY)
    try:
        position = 0
        while position < size:
            try:
                start = os.lseek(fd, position, os.SEEK_DATA)
            except OSError:
                break  # only a hole is left
            position = os.lseek(fd, start, os.SEEK_HOLE)
            os.lseek(fd, start, os.SEEK_SET)
            _hash_range(fd, start, position, digest)
    finally:
        os.close(fd)
    return digest.hexdigest()


def _hash_range(fd, start, end, digest):
    """Take the blocks of a range that are not all zero into a checksum, each with its place."""
    block = 4096
    for offset in range(start - start % block, end, block):
        data = os.pread(fd, block, offset)
        if data.strip(b"\0"):
            digest.update(b"%d:" % offset)
            digest.update(data)


def without(state, *fields):
    """Return a state in which some fields of all entries are None, for what a transport cannot carry."""
    return {name: entry._replace(**dict.fromkeys(fields)) for name, entry in state.items()}


def whole_seconds(state):
    """Return a state with times in whole seconds."""
    return {name: entry._replace(mtime_ns=entry.mtime_ns // 10**9) for name, entry in state.items()}


def difference(one, two):
    """Return a readable account (list of str) of how two states differ."""
    lines = []
    for name in sorted(set(one) | set(two)):
        if name not in one or name not in two:
            lines.append("%r is only in the %s" % (name, "first" if name in one else "second"))
        else:
            lines += ["%r: %s is %r and %r" % (name, field, left, right)
                      for field, left, right in zip(Entry._fields, one[name], two[name]) if left != right]
    return lines
