# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a tree like another one on the same file system and touches only what differs.

For a container's writable layer: what the image holds already is left alone, so the layer stays as small as it was.
"""
from __future__ import annotations

import contextlib
import os
import stat

from . import _beneath
from ._paths import ancestors, join, show
from ._place import copy_attributes, remove

_PIECE = 1024 * 1024


class Merge:
    """One merge; afterwards changed holds the relative paths (list of str) of what was written or removed, the first
    hundred of them, and count how many there were.

    :param stay: set of relative paths (bytes) that are left alone: patterns to keep, mount points, the staging folder.
    """

    def __init__(self, stay):
        self._stay = set(stay)
        self._split = {above for path in stay for above in ancestors(path)}
        self.changed = []
        self.count = 0

    def folder(self, source, target, path=b""):
        """Make an open folder like another one. The source is used up.

        :param source, target: O_PATH descriptors. :param path: bytes, the target's relative path.
        """
        wanted = set(os.listdir(_beneath.through(source)))
        ours, theirs = _beneath.through(source), _beneath.through(target)
        times, same = os.stat(ours), same_attributes(ours, theirs)
        for name in sorted(set(os.listdir(_beneath.through(target))) - wanted):
            inner = join(path, name)
            if inner not in self._stay and inner not in self._split:
                self._note(inner)
                remove(target, name)
            elif inner in self._split:
                self._empty(target, name, inner)
        for name in sorted(wanted):
            if join(path, name) not in self._stay:
                self.entry(source, target, name, join(path, name))
        if not same:
            self._note(path or b".")
        # What moved has changed the times of both.
        os.utime(ours, ns=(times.st_atime_ns, times.st_mtime_ns))
        if not same_attributes(ours, theirs):
            copy_attributes(source, target)

    def entry(self, source, target, name, path):
        """Make one entry of an open folder like that of another one."""
        try:
            there = os.stat(name, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        here = os.stat(name, dir_fd=source, follow_symlinks=False)
        if there is not None and stat.S_ISDIR(here.st_mode) and stat.S_ISDIR(there.st_mode):
            with _opened(source, name) as inner_source, _opened(target, name) as inner_target:
                self.folder(inner_source, inner_target, path)
            return
        if there is not None and _same_entry(source, target, name, here, there):
            return
        self._note(path)
        if there is not None and (stat.S_ISDIR(there.st_mode) or stat.S_ISDIR(here.st_mode)):
            remove(target, name)
        # The source is a fresh folder of the same layer, so a whole folder moves at once; a file replaces the old one.
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)

    def _empty(self, target, name, path):
        """Remove what a folder holds beside that which stays."""
        try:
            inner = _beneath.open_folder(target, name)
        except NotADirectoryError:
            self._note(path)
            remove(target, name)
            return
        try:
            for entry in os.listdir(_beneath.through(inner)):
                below = join(path, entry)
                if below in self._split:
                    self._empty(inner, entry, below)
                elif below not in self._stay:
                    self._note(below)
                    remove(inner, entry)
        finally:
            os.close(inner)

    def _note(self, path):
        self.count += 1
        if len(self.changed) < 100:
            self.changed.append(show(path))


@contextlib.contextmanager
def _opened(folder, name):
    fd = _beneath.open_folder(folder, name)
    try:
        yield fd
    finally:
        os.close(fd)


def _same_entry(source, target, name, here, there):
    if stat.S_IFMT(here.st_mode) != stat.S_IFMT(there.st_mode):
        return False
    if stat.S_ISLNK(here.st_mode):
        same_owner = (here.st_uid, here.st_gid) == (there.st_uid, there.st_gid)
        return same_owner and os.readlink(name, dir_fd=source) == os.readlink(name, dir_fd=target)
    # Which names are hard links of each other cannot be seen entry by entry, so such files are always put anew.
    if here.st_nlink != 1 or there.st_nlink != 1 or here.st_rdev != there.st_rdev:
        return False
    flags = os.O_PATH | os.O_NOFOLLOW
    one = os.open(name, flags, dir_fd=source)
    try:
        two = os.open(name, flags, dir_fd=target)
        try:
            ours, theirs = _beneath.through(one), _beneath.through(two)
            if not same_attributes(ours, theirs):
                return False
            return not stat.S_ISREG(here.st_mode) or (here.st_size == there.st_size and _same_content(ours, theirs))
        finally:
            os.close(two)
    finally:
        os.close(one)


def same_attributes(one, two):
    """True if two paths have the same mode, owner, time of change (to the second: what images keep) and attributes."""
    first, second = os.stat(one), os.stat(two)
    plain = [(item.st_mode, item.st_uid, item.st_gid, int(item.st_mtime)) for item in (first, second)]
    return plain[0] == plain[1] and _attributes(one) == _attributes(two)


def _attributes(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def _same_content(one, two):
    with open(one, "rb", buffering=0) as first, open(two, "rb", buffering=0) as second:
        while True:
            ours, theirs = first.read(_PIECE), second.read(_PIECE)
            if ours != theirs:
                return False
            if not ours:
                return True
