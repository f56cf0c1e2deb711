# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree that is changed entry by entry, by this process. The one in _shell_place has the same operations.

Paths are relative (bytes), b"" is the tree's root. No link above an entry is followed.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import stat

from . import _beneath
from ._errors import ExistsError, StorageError
from ._paths import parent, show


class DirectPlace:
    """A tree below an open folder of this host.

    :param root: O_PATH descriptor; stays the caller's.
    """

    def __init__(self, root):
        self.root = root

    @contextlib.contextmanager
    def _folder(self, path):
        fd = _beneath.open_folder(self.root, path)
        try:
            yield fd
        finally:
            os.close(fd)

    def names(self, path):
        """Return the names (sorted list of bytes) in a folder; an empty list if it is no folder."""
        try:
            with self._folder(path) as fd:
                return sorted(os.listdir(_beneath.through(fd)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _lstat(self, path):
        try:
            with self._folder(parent(path)) as fd:
                return os.stat(os.path.basename(path) or b".", dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, path):
        return self._lstat(path) is not None

    def is_folder(self, path):
        found = self._lstat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def make(self, path):
        """Make a folder that only root can enter."""
        with self._folder(parent(path)) as fd:
            os.mkdir(os.path.basename(path), 0o700, dir_fd=fd)

    def move(self, pairs):
        """Rename entries: list of (path, new path). Nothing is ever replaced."""
        for source, target in pairs:
            if self.exists(target):
                raise ExistsError("'%s' and '%s' both exist" % (show(source), show(target)))
            with self._folder(parent(source)) as here, self._folder(parent(target)) as there:
                self._rename(os.path.basename(source), here, os.path.basename(target), there)

    @staticmethod
    def _rename(source, here, target, there):
        try:
            os.rename(source, target, src_dir_fd=here, dst_dir_fd=there)
        except OSError as error:
            raise StorageError("'%s' cannot be moved: %s" % (show(source), error.strerror)) from error

    def copy_attributes(self, source, target):
        """Give a folder the owner, mode, extended attributes (ACLs among them) and times of another one."""
        with self._folder(source) as here, self._folder(target) as there:
            copy_attributes(here, there)

    def remove_attributes(self, path):
        """Remove the extended attributes of a folder that can be removed, ACLs among them."""
        with self._folder(path) as fd:
            place = _beneath.through(fd)
            for name in os.listxattr(place):
                with contextlib.suppress(OSError):
                    os.removexattr(place, name)

    @contextlib.contextmanager
    def times_kept(self):
        """Give the tree's root the times back that it has now, whatever is done in it meanwhile."""
        found = os.stat(_beneath.through(self.root))
        yield
        os.utime(_beneath.through(self.root), ns=(found.st_atime_ns, found.st_mtime_ns))

    def remove(self, path):
        """Remove an entry with everything below; no error if it is not there. Never leaves its file system."""
        with contextlib.suppress(FileNotFoundError), self._folder(parent(path)) as fd:
            remove(fd, os.path.basename(path))

    def remove_if_empty(self, path):
        with contextlib.suppress(OSError), self._folder(parent(path)) as fd:
            os.rmdir(os.path.basename(path), dir_fd=fd)

    def read(self, path):
        """Return the content (bytes) of a small file."""
        with self._folder(parent(path)) as fd:
            handle = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
            with os.fdopen(handle, "rb") as opened:
                return opened.read()

    def write(self, path, data):
        """Write a small file."""
        with self._folder(parent(path)) as fd:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(os.path.basename(path), flags, 0o600, dir_fd=fd), "wb") as opened:
                opened.write(data)

    def sync(self):
        """Bring the file system that holds the tree to disk."""
        fd = os.open(_beneath.through(self.root), os.O_RDONLY | os.O_DIRECTORY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
                raise StorageError("The tree cannot be brought to disk: %s" % os.strerror(ctypes.get_errno()))
        finally:
            os.close(fd)


def copy_attributes(source, target):
    """Give an open folder (O_PATH descriptor) the owner, mode, extended attributes and times of another one."""
    here, there = _beneath.through(source), _beneath.through(target)
    found = os.stat(here)
    wanted = {name: os.getxattr(here, name) for name in os.listxattr(here)}
    os.chown(there, found.st_uid, found.st_gid)
    for name in os.listxattr(there):
        if name not in wanted:
            with contextlib.suppress(OSError):
                os.removexattr(there, name)
    for name, value in wanted.items():
        if name not in os.listxattr(there) or os.getxattr(there, name) != value:
            os.setxattr(there, name, value)
    os.chmod(there, stat.S_IMODE(found.st_mode))  # after the owner and the ACL, which both change it
    os.utime(there, ns=(found.st_atime_ns, found.st_mtime_ns))


def remove(folder, name):
    """Remove an entry of an open folder with everything below, without following links or leaving the file system."""
    try:
        os.unlink(name, dir_fd=folder)
        return
    except IsADirectoryError:
        pass
    fd = _beneath.open_folder(folder, name)
    try:
        if os.fstat(fd).st_dev != os.fstat(folder).st_dev:
            raise StorageError("'%s' is a mount point and is not removed" % show(name), "Unmount it.")
        for inner in os.listdir(_beneath.through(fd)):
            remove(fd, inner)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder)
