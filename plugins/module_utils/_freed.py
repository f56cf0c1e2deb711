# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes files and folders and counts the room on the disk that this really frees. Pure.

A file lives until its last name is gone: archives that backups share have several.
"""
from __future__ import annotations

import contextlib
import os
import stat

_BLOCK = 512  # bytes; the unit of st_blocks, whatever the file system's own is


class Freed:
    """What was removed, or would be.

    :param dry: bool, whether to count only and remove nothing.
    bytes (int): the room that was freed.
    """

    def __init__(self, dry=False):
        self.dry, self.bytes = dry, 0
        self._names = {}  # when dry: how many names of a file would have gone by now

    def file(self, path, dir_fd=None):
        """Remove a file, or anything else that is no folder. :raises: OSError."""
        found = os.lstat(path, dir_fd=dir_fd)
        if self._is_last(found):
            self.bytes += found.st_blocks * _BLOCK
        if not self.dry:
            os.unlink(path, dir_fd=dir_fd)

    def _is_last(self, found):
        if not self.dry or found.st_nlink == 1:
            return found.st_nlink == 1
        key = (found.st_dev, found.st_ino)
        self._names[key] = self._names.get(key, 0) + 1
        return self._names[key] == found.st_nlink

    def tree(self, path):
        """Remove a folder with all that is in it, or a file; links are not followed. :raises: OSError."""
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            self.file(path)
            return
        for _base, folders, files, fd in os.fwalk(path, topdown=False, onerror=_raise):
            for name in files:
                self.file(name, fd)
            for name in folders:
                if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    self._folder(name, fd)
                else:
                    self.file(name, fd)
        self._folder(path)

    def _folder(self, path, dir_fd=None):
        self.bytes += os.lstat(path, dir_fd=dir_fd).st_blocks * _BLOCK
        if not self.dry:
            os.rmdir(path, dir_fd=dir_fd)

    def empty_folder(self, path):
        """Remove a folder if nothing is in it; only then is it counted."""
        if not self.dry:
            with contextlib.suppress(OSError):
                blocks = os.lstat(path).st_blocks
                os.rmdir(path)
                self.bytes += blocks * _BLOCK


def size_of(folder):
    """Return the bytes (int) of all files below a folder."""
    return sum(os.lstat(name, dir_fd=fd).st_size for _base, _folders, files, fd in os.fwalk(folder, onerror=_raise)
               for name in files)


def _raise(error):
    raise error
