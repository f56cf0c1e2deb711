# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells from the entries of a tree, without reading a file, whether it is what it was when it was archived.

The kernel sets an entry's ctime at every change, whatever is done to its other times. So two walks that meet the same
names with the same inodes and ctimes have met the same content. Memory: the names of one folder on each level.

A folder of which all that is in it is left out ("sessions/*") has other times whenever something comes or goes there,
so these times do not count; its extended attributes are looked at instead.
"""
from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import namedtuple

from . import _beneath, _gnutar
from ._paths import ancestors, join, parent, part_matcher

# value: hex str, or None if the tree cannot be told from a later one. size: bytes that an archive of it takes before
# compression, about. entries: how many there are.
Fingerprint = namedtuple("Fingerprint", "value size entries")

# A change within the kernel's tick of the walk could leave the same ctime as one just before it.
_RACY = 2 * 10 ** 9  # nanoseconds
_HEADERS = 2048  # bytes of tar's headers and padding for one entry, about
_ANY = part_matcher(b"*")
_BLOCK = 512  # bytes, the unit of st_blocks


def take(root, name=None, paths=None, excludes=()):
    """Walk an open tree as GNU tar would. Return its Fingerprint.

    :param root: descriptor of the tree's folder, or of the folder that holds the single file.
    :param name: bytes, of the single file, or None. :param paths: relative paths (bytes), the only ones that count with
        the entries of the folders above them, or None for all. :param excludes: patterns (bytes) of what is left out.
    """
    walk = _Walk([[part_matcher(part) for part in pattern.split(b"/")] for pattern in excludes])
    # Another way of writing archives makes others of the same tree.
    walk.note(repr((_gnutar.CREATE, name, sorted(paths or []), sorted(excludes))).encode("ascii"))
    if name is not None:
        walk.part(root, name)
    else:
        walk.entry(b"", os.stat(_beneath.through(root)), b"")
        for folder in sorted({above for path in paths or [] for above in ancestors(path)}):
            walk.part(root, folder, alone=True)
        for path in [b""] if paths is None else _gnutar.outermost(paths):
            walk.part(root, path)
    return Fingerprint(walk.value(), walk.size, walk.entries)


class _Walk:
    """One walk. A rule is a list of matchers, one for each part of a pattern that is still to come."""

    def __init__(self, rules):
        self.rules = rules
        self.size = self.entries = 0
        self._sure = True
        self._limit = time.time_ns() - _RACY
        self._digest = hashlib.sha256()

    def value(self):
        return self._digest.hexdigest() if self._sure else None

    def note(self, data):
        self._digest.update(b"%d " % len(data))
        self._digest.update(data)

    def part(self, root, path, alone=False):
        """Take an entry by its relative path, with everything below unless it is wanted alone."""
        rules = self.rules
        for part in filter(None, path.split(b"/")):
            rules = _inside(rules, part) or []
        try:
            holder = _beneath.open_folder(root, parent(path))
            try:
                if path:
                    self._one(holder, path.rpartition(b"/")[2], path, rules, alone)
                else:
                    self._folder(holder, b".", b"", rules)
            finally:
                os.close(holder)
        except (OSError, RecursionError):
            self._sure = False  # tar will say what is wrong with it

    def _folder(self, holder, name, path, rules):
        """Take everything below a folder."""
        here = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=holder)
        try:
            for inner in sorted(os.listdir(_beneath.through(here))):
                below = _inside(rules, inner) if rules else rules
                if below is None:
                    continue
                try:
                    self._one(here, inner, join(path, inner), below)
                except OSError:
                    self._sure = False  # it went away or became something else just now
        finally:
            os.close(here)

    def _one(self, folder, name, path, rules, alone=False):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and not alone and any(len(rule) == 1 and rule[0] == _ANY for rule in rules):
            self.entry(path, found, _attributes(folder, name), timed=False)
            return
        self.entry(path, found, os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else b"")
        if stat.S_ISDIR(found.st_mode) and not alone:
            self._folder(folder, name, path, rules)

    def entry(self, path, found, more, timed=True):
        """Take one entry.

        :param path: bytes, relative. :param found: os.stat_result. :param more: bytes that count too, such as what it
            links to. :param timed: bool, whether its times count.
        """
        regular = stat.S_ISREG(found.st_mode)
        size = found.st_size if regular else 0
        mtime, ctime = (found.st_mtime_ns, found.st_ctime_ns) if timed else (0, 0)
        self._digest.update(b"%s\0%d %d %d %d %d %d %d %d %s\0" % (
            path, found.st_mode, size, mtime, ctime, found.st_ino, found.st_uid, found.st_gid, found.st_rdev, more))
        if ctime > self._limit:
            self._sure = False
        self.entries += 1
        # Holes are not in an archive.
        self.size += _HEADERS + (min(size, found.st_blocks * _BLOCK) if regular else 0)


def _attributes(folder, name):
    path = os.path.join(_beneath.through(folder), name)
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return repr([(key, os.getxattr(path, key, follow_symlinks=False)) for key in names]).encode("utf-8", "replace")


def _inside(rules, name):
    """Return the rules that go on below an entry, or None if one of them leaves the entry out."""
    below = []
    for rule in rules:
        if rule[0].match(name):
            if len(rule) == 1:
                return None
            below.append(rule[1:])
    return below
