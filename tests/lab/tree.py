# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be seen of a tree of files, without ever following a symbolic link."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

BLOCK = 65536
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
          stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}


def open_beneath(root: int, path: str) -> int:
    """Open a path below a folder's descriptor; a symbolic link on the way is an error, not a way out."""
    current = os.dup(root)
    for part in path.strip("/").split("/"):
        if part:
            try:
                entered = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            finally:
                os.close(current)
            current = entered
    return current


def tree_state(folder: int, ignored: tuple[str, ...] = ()) -> dict[str, dict]:
    """Describe all that is below an open folder, and the folder itself as ".".

    :param ignored: folders of which only the existence, mode and owner count.
    :returns: path (undecodable bytes as surrogates) -> type, mode, uid, gid, and where they apply size, mtime (ns),
        link, hard (the first name of the same file), xattrs, sha256, sparse, device.
    """
    found: dict[str, dict] = {}
    _walk(folder, b".", found, {os.fsencode(path) for path in ignored})
    return _with_hard_links({os.fsdecode(path): entry for path, entry in sorted(found.items())})


def _walk(folder: int, path: bytes, found: dict[bytes, dict], ignored: set[bytes]) -> None:
    found[path] = _describe(os.fstat(folder))
    found[path].update(_attributes(b"/proc/self/fd/%d" % folder, follow=True))
    if path in ignored:
        del found[path]["mtime"]
        return
    readable = os.open(b"/proc/self/fd/%d" % folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in sorted(os.listdir(b"/proc/self/fd/%d" % readable)):
            below = name if path == b"." else path + b"/" + name
            entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=readable)
            try:
                if stat.S_ISDIR(os.fstat(entry).st_mode):
                    _walk(entry, below, found, ignored)
                else:
                    found[below] = _entry(readable, name, entry)
            finally:
                os.close(entry)
    finally:
        os.close(readable)


def _entry(folder: int, name: bytes, entry: int) -> dict:
    status = os.fstat(entry)
    described = _describe(status)
    described.update(_attributes(b"/proc/self/fd/%d/%s" % (folder, name), follow=False))
    if stat.S_ISLNK(status.st_mode):
        described["link"] = os.fsdecode(os.readlink(name, dir_fd=folder))
    elif stat.S_ISREG(status.st_mode):
        described["size"] = status.st_size
        described["sparse"] = status.st_blocks * 512 < status.st_size * 0.9 and status.st_size > BLOCK
        described["sha256"] = _digest(entry, status.st_size)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        described["device"] = status.st_rdev
    described["_inode"] = [status.st_dev, status.st_ino, status.st_nlink]
    return described


def _describe(status: os.stat_result) -> dict:
    return {"type": _TYPES[stat.S_IFMT(status.st_mode)], "mode": "%04o" % stat.S_IMODE(status.st_mode),
            "uid": status.st_uid, "gid": status.st_gid, "mtime": status.st_mtime_ns}


def _attributes(path: bytes, follow: bool) -> dict:
    xattrs = {}
    with contextlib.suppress(OSError):  # a file system may have none
        for name in sorted(os.listxattr(path, follow_symlinks=follow)):
            xattrs[name] = os.getxattr(path, name, follow_symlinks=follow).hex()
    return {"xattrs": xattrs} if xattrs else {}


def _digest(entry: int, size: int) -> str:
    """Return the SHA-256 of a file's blocks that hold data, each with its place, so that holes cost no time."""
    digest = hashlib.sha256(b"%d" % size)
    empty = bytes(BLOCK)
    fd = os.open(b"/proc/self/fd/%d" % entry, os.O_RDONLY | os.O_CLOEXEC)
    try:
        position = 0
        while position < size:
            try:
                position = os.lseek(fd, position, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:
                break  # only a hole is left
            content = os.pread(fd, BLOCK, position)
            if not content:
                break
            if content != empty[: len(content)]:
                digest.update(b"@%d " % position)
                digest.update(content)
            position += BLOCK
    finally:
        os.close(fd)
    return digest.hexdigest()


def _with_hard_links(found: dict[str, dict]) -> dict[str, dict]:
    first: dict[tuple, str] = {}
    for path, entry in found.items():
        device, inode, links = entry.pop("_inode", (0, 0, 1))
        if links > 1:
            entry["hard"] = first.setdefault((device, inode), path)
    return found
