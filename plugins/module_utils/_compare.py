# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a tree with an archive of it, member by member in one pass, and writes nothing.

Equal means: same type, content, mode, owner, time (to the second: what images keep), extended attributes, target of a
link, and the same names for one file. Memory: eight bytes for each name.
"""
from __future__ import annotations

import array
import bisect
import contextlib
import errno
import hashlib
import os
import stat

from . import _beneath
from ._errors import NotFoundError, UsageError
from ._paths import Patterns, ancestors, is_within, join, parent, show
from ._place import DirectPlace
from ._switch import owner_of
from ._tar_content import same_content
from ._tarmembers import BLOCK, CHARACTER, FIFO, FOLDER, LINK, REGULAR, SYMLINK, Members

_EXAMPLES = 100
_KINDS = {REGULAR: stat.S_IFREG, LINK: stat.S_IFREG, SYMLINK: stat.S_IFLNK, CHARACTER: stat.S_IFCHR,
          BLOCK: stat.S_IFBLK, FOLDER: stat.S_IFDIR, FIFO: stat.S_IFIFO}
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ELOOP)  # or something else just now
_LABEL = "security.selinux"  # given by the host's policy where the archive says nothing of it


class Different(Exception):
    """The first difference was found, and no other is wanted. path: str, where it is."""

    def __init__(self, path):
        super().__init__(path)
        self.path = path


def short(name):
    """Return a name (bytes) as a number: names are many and long, and eight bytes are enough to tell them apart."""
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big")


class Comparison:
    """How a tree differs from an archive; run() finds out.

    members: numbers of the members that are to be written (sorted array). folders: set of short(): folders in which
    something is to be written or removed, so that their times must be set again. conflicts: paths (bytes) of what
    stands in the way of a member and is to be removed first. plain: paths of folders whose extended attributes are
    to be removed first. surplus: paths of what the archive does not have. changed: the first hundred paths (str) of all
    that differs, count: how many there are. entries: members of the archive.

    :param selection: _unpack.Selection. :param root: O_PATH descriptor of the tree's folder, or of the one that holds
        its single file. :param name: bytes, of the single file, or None. :param mounts: relative paths.
    :param times: bool, whether the times of folders count too. :param first: bool, whether to stop with Different at
        the first difference.
    """

    def __init__(self, selection, root, name, mounts, times=True, first=False):
        self._selection, self._root, self._name = selection, root, name
        self._mounts, self._times, self._first = mounts, times, first
        self.members, self.folders = array.array("Q"), set()
        self.conflicts, self.plain, self.surplus = [], [], []
        self.changed, self.count, self.entries = [], 0, 0
        self._names = array.array("Q")
        self._missing = set(selection.paths or [])
        self._links = {}  # path of a file with several names: [inode, links, names that agree, their members]

    def run(self):
        """Compare. Return self. :raises: Different, IntegrityError, NotFoundError when a path is not in the archive."""
        walk = _Folders(self._root)
        try:
            with self._selection.content() as chunks:
                members = Members(chunks)
                for member in members:
                    self._member(members, member, walk)
                self.entries = members.count
        finally:
            walk.close()
        if self._missing:
            raise NotFoundError("There is no '%s' in '%s'" % (show(min(self._missing)), self._selection.src))
        if self._name is None:
            self._find_surplus()
        self._check_links()
        self.members = array.array("Q", sorted(self.members))
        return self

    # --- members ------------------------------------------------------------------------------------------------

    def _member(self, members, member, walk):
        name = member.name if self._name is None else self._name
        if self._name is None and not self._wants(name):
            self._other_name(member, walk)
            return
        self._missing.discard(name)
        self._names.append(short(name))
        above = self._selection.is_above(name)
        folder = walk.open(parent(name))
        found = self._stat(folder, name)
        if found is None:
            self._differs(member, name)
        elif stat.S_IFMT(found.st_mode) != _KINDS.get(member.kind):
            if above:
                raise UsageError("'%s' is a link or no folder in the tree" % show(name), "Restore the whole tree.")
            self._in_the_way(found, member, name)
        elif not above:
            try:
                same = self._same(members, member, walk, name, found)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                same = False
            if not same:
                self._differs(member, name)

    def chooser(self):
        """Return a function that tells of each member of the archive, in its order, whether it is to be written."""
        numbers = iter(self.members)
        following = [next(numbers, None)]

        def wanted(member):
            if member.index == following[0]:
                following[0] = next(numbers, None)
                return True
            return (member.kind == FOLDER and short(member.name) in self.folders and self._wants(member.name)
                    and not self._selection.is_above(member.name))

        return wanted

    def _wants(self, name):
        return self._selection.wants(name) and not any(is_within(name, path) for path in self._mounts)

    @staticmethod
    def _stat(folder, name):
        if folder is None:
            return None
        try:
            return os.stat(name.rpartition(b"/")[2] or b".", dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _in_the_way(self, found, member, name):
        if stat.S_ISDIR(found.st_mode) and any(is_within(path, name) for path in self._stay()):
            raise UsageError("'%s' is no folder in the archive, and holds what is to stay" % show(name))
        self.conflicts.append(name)
        self._differs(member, name)

    def _differs(self, member, name):
        self.members.append(member.index)
        self._note(name)
        self.folders.add(short(parent(name)))

    def _note(self, name):
        if self._first:
            raise Different(show(name or b"."))
        self.count += 1
        if len(self.changed) < _EXAMPLES:
            self.changed.append(show(name or b"."))

    def _same(self, members, member, walk, name, found):
        if not member.known:
            return False
        folder = walk.open(parent(name))
        if member.kind == LINK:
            return self._same_link(member, found, walk)
        base = name.rpartition(b"/")[2] or b"."
        if member.kind == FOLDER:
            return self._same_folder(member, folder, base, name, found)
        if (member.uid, member.gid) != (found.st_uid, found.st_gid):
            return False
        if member.kind == SYMLINK:
            return os.readlink(base, dir_fd=folder) == member.link
        if member.mode != stat.S_IMODE(found.st_mode):
            return False
        if member.time != found.st_mtime_ns // 10 ** 9:
            return False
        if member.kind != REGULAR:
            device = (os.major(found.st_rdev), os.minor(found.st_rdev))
            return (found.st_nlink == 1 and (member.kind == FIFO or device == member.device)
                    and _attributes(_path(folder, base), member.attributes) == member.attributes)
        return self._same_file(members, member, folder, base, name, found)

    def _same_folder(self, member, folder, base, name, found):
        attributes = _attributes(_path(folder, base), member.attributes)
        if set(attributes) - set(member.attributes):
            self.plain.append(name)  # tar adds attributes to a folder that is there, and takes none away
        return (attributes == member.attributes and member.mode == stat.S_IMODE(found.st_mode)
                and (member.uid, member.gid) == (found.st_uid, found.st_gid)
                and not (self._times and member.time != found.st_mtime_ns // 10 ** 9))

    def _same_file(self, members, member, folder, base, name, found):
        size = member.size if member.sparse is None else member.sparse
        if size != found.st_size:
            return False
        fd = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if _attributes(fd, member.attributes) != member.attributes or not same_content(members, member, fd):
                return False
        finally:
            os.close(fd)
        if found.st_nlink > 1:
            self._links[name] = [found.st_ino, found.st_nlink, [name], [member.index]]
        return True

    # --- names of one file --------------------------------------------------------------------------------------

    def _same_link(self, member, found, walk):
        if not self._wants(member.link):
            # The file itself stays as it is, so this must only be another name of it.
            first = self._stat(walk.open(parent(member.link)), member.link)
            return first is not None and first.st_ino == found.st_ino
        group = self._links.get(member.link)
        if group is None or group[0] != found.st_ino:
            return False
        group[2].append(member.name)
        group[3].append(member.index)
        return True

    def _other_name(self, member, walk):
        """Know a name that stays as it is as a name of a file that is compared."""
        group = self._links.get(member.link) if member.kind == LINK else None
        if group is not None:
            found = self._stat(walk.open(parent(member.name)), member.name)
            if found is not None and found.st_ino == group[0]:
                group[1] -= 1

    def _check_links(self):
        """A file of which other names are known here than there is written anew with all its names."""
        gone = [self._inode(path) for path in self.surplus] if self._links else []
        for inode, links, names, numbers in self._links.values():
            if links - gone.count(inode) != len(names):
                for name, number in zip(names, numbers):
                    self.members.append(number)
                    self._note(name)
                    self.folders.add(short(parent(name)))

    def _inode(self, path):
        holder = _beneath.open_folder(self._root, parent(path))
        try:
            found = self._stat(holder, path)
            return None if found is None else found.st_ino
        finally:
            os.close(holder)

    # --- what the archive does not have -------------------------------------------------------------------------

    def _stay(self):
        """Return what is left alone (set of relative paths)."""
        place = DirectPlace(self._root)
        own = {name for name in place.names(b"") if owner_of(name) is not None}
        return {*Patterns(self._selection.keep).expand(place.names, place.is_folder), *self._mounts, *own}

    def _find_surplus(self):
        self._names = array.array("Q", sorted(self._names))
        stay = self._stay()
        split, ways = {above for path in stay for above in ancestors(path)}, set(self.conflicts)
        for path in [b""] if self._selection.paths is None else self._selection.paths:
            if path in ways or path in stay:
                continue
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._surplus_at(self._root, path, path, stay, split, ways)

    def _surplus_at(self, holder, name, path, *where):
        fd = _beneath.open_folder(holder, name)
        try:
            self._surplus_in(fd, path, *where)
        finally:
            os.close(fd)

    def _surplus_in(self, fd, path, stay, split, ways):
        with os.scandir(_beneath.through(fd)) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry) for entry in entries)
        for name, is_folder, entry in found:
            inner = join(path, name)
            if inner in stay or inner in ways:
                continue
            known = self._knows(inner)
            if is_folder and (known or inner in split):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self._surplus_at(fd, name, inner, stay, split, ways)
            elif not known and not stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
                self.surplus.append(inner)
                self._note(inner)
                self.folders.add(short(path))

    def _knows(self, path):
        number = short(path)
        at = bisect.bisect_left(self._names, number)
        return at < len(self._names) and self._names[at] == number


class _Folders:
    """Keeps the folders open in which the last member was: the members of an archive come folder by folder."""

    def __init__(self, root):
        self._open = [(b"", os.dup(root))]

    def open(self, path):
        """Return a descriptor (stays ours) of a folder by its relative path, or None if there is no such folder."""
        while not is_within(path, self._open[-1][0]):
            os.close(self._open.pop()[1])
        here, fd = self._open[-1]
        rest = path[len(here):].strip(b"/")
        for name in rest.split(b"/") if rest else []:
            try:
                fd = _beneath.open_folder(fd, name)
            except (FileNotFoundError, NotADirectoryError):
                return None
            here = join(here, name)
            self._open.append((here, fd))
        return fd

    def close(self):
        while self._open:
            os.close(self._open.pop()[1])


def _path(folder, name):
    return _beneath.through(folder) + b"/" + name


def _attributes(where, wanted=()):
    """Return the extended attributes (dict of bytes) of a path or a descriptor."""
    options = {} if isinstance(where, int) else {"follow_symlinks": False}
    names = os.listxattr(where, **options)
    return {os.fsencode(name): os.getxattr(where, name, **options) for name in names
            if name != _LABEL or _LABEL.encode("ascii") in wanted}
