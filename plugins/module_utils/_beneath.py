# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opens paths inside a root without ever leaving it.

Every part is opened by itself, relative to the part before and without following links; links are resolved here. So
an absolute link in a container leads to the container's own file, never to the host's, and nobody can put a link in
place between a check and the use: what was opened stays what it is.
"""
from __future__ import annotations

import collections
import os
import stat

from ._errors import NotFoundError, UsageError
from ._paths import show

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40


class Found:
    """A resolved path. As a context manager it closes its descriptors.

    fd: O_PATH descriptor, None if nothing is there; parent: O_PATH descriptor of the folder above (the root's own for
    the root), None if that is missing too; path: absolute path (bytes) in the root's terms, without links;
    mount: key of the mount table that the path lies in, or None; made: True if the folder itself was created.
    """

    def __init__(self, fd, parent, path, mount, made=False):
        self.fd, self.parent, self.path, self.mount, self.made = fd, parent, path, mount, made

    @property
    def name(self):
        """The last part of the path (bytes)."""
        return self.path.rpartition(b"/")[2]

    def is_folder(self):
        return self.fd is not None and stat.S_ISDIR(os.fstat(self.fd).st_mode)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for fd in (self.fd, self.parent):
            if fd is not None:
                os.close(fd)


class _Walk:
    """The folders from the root to where the walk is: (name, descriptor or None, mount)."""

    def __init__(self, root, mounts):
        self.mounts = mounts
        self.stack = [(b"", os.dup(root), None)]

    def path(self):
        return b"/" + b"/".join(name for name, _fd, _mount in self.stack[1:])

    def top(self):
        return self.stack[-1]

    def pop(self):
        _name, fd, _mount = self.stack.pop()
        if fd is not None:
            os.close(fd)

    def to_root(self):
        while len(self.stack) > 1:
            self.pop()

    def open(self, name):
        """Return (descriptor or None, mount) of a name in the innermost folder."""
        _name, folder, mount = self.top()
        path = self.path().rstrip(b"/") + b"/" + name
        if path in self.mounts:
            return self.mounts[path](), path
        if folder is None:
            return None, mount
        try:
            return os.open(name, _PATH, dir_fd=folder), mount
        except FileNotFoundError:
            return None, mount
        except NotADirectoryError:
            raise NotFoundError("'%s' is not a folder" % show(self.path())) from None

    def close(self):
        while self.stack:
            self.pop()


def open_root(path):
    """Return an O_PATH descriptor of a folder of this host (str or bytes); its links are followed."""
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        raise NotFoundError("'%s' cannot be opened: %s" % (os.fsdecode(path), error.strerror)) from error


def resolve(root, path, mounts=None, strict=False, create=None):
    """Find a path inside a root. Return a Found.

    :param root: descriptor of the root folder. :param path: bytes.
    :param mounts: dict of absolute path (bytes) to a function that returns a new O_PATH descriptor: what is mounted
        there, for a container that does not run.
    :param strict: bool; a link that leads out of the root is an error instead of being read in the root's terms.
    :param create: None, "parents" or "all": folders that are missing are made (mode 0755).
    :raises: NotFoundError when a part is no folder, UsageError when a link leads out of the root or in circles.
    """
    walk = _Walk(root, mounts or {})
    try:
        made = _walk(walk, path, strict, create)
        _name, fd, mount = walk.stack.pop()
        found = Found(fd, None, b"/", mount, made)
        if walk.stack:
            found.path = walk.path().rstrip(b"/") + b"/" + _name
            found.parent = _dup(walk.top()[1])
        else:
            found.parent = _dup(fd)
        return found
    finally:
        walk.close()


def _dup(fd):
    return None if fd is None else os.dup(fd)


def _walk(walk, path, strict, create):
    todo, links, made = collections.deque(path.split(b"/")), 0, False
    while todo:
        name = todo.popleft()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if len(walk.stack) > 1:
                walk.pop()
            elif strict:
                raise UsageError("'%s' leads out of its root" % show(path))
            continue
        fd, mount = walk.open(name)
        made = False
        if fd is not None and stat.S_ISLNK(os.fstat(fd).st_mode):
            target = os.readlink(b"", dir_fd=fd)
            os.close(fd)
            links += 1
            if links > _MAX_LINKS:
                raise UsageError("'%s' is a link in circles" % show(path))
            if target.startswith(b"/"):
                if strict:
                    raise UsageError(
                        "'%s' goes through the absolute link '%s', which means something only inside a container"
                        % (show(path), show(name)), "Give the path of a container instead.",
                    )
                walk.to_root()
            todo.extendleft(reversed(target.split(b"/")))
            continue
        last = not any(part not in (b"", b".") for part in todo)
        if fd is None and walk.top()[1] is not None and create and (create == "all" or not last):
            fd, made = make_folder(walk.top()[1], name), True
        walk.stack.append((name, fd, mount))
    return made


def make_folder(parent, name, mode=0o755):
    """Make a folder whatever the umask is; return an O_PATH descriptor of it."""
    os.mkdir(name, mode, dir_fd=parent)
    os.chmod(name, mode, dir_fd=parent)
    return os.open(name, _PATH | os.O_DIRECTORY, dir_fd=parent)


def open_folder(root, path):
    """Open a folder by its relative path (bytes) without following any link. Return an O_PATH descriptor.

    :raises: OSError; NotADirectoryError also for a link.
    """
    fd = os.dup(root)
    try:
        for name in filter(None, path.split(b"/")):
            inner = os.open(name, _PATH | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def through(fd):
    """Return a path (bytes) by which this process and its children (pass_fds) reach an open folder or file."""
    return b"/proc/self/fd/%d" % fd
