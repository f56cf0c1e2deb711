# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What damage means: which backups need a damaged file or blob, and where a good copy of it exists."""
from __future__ import annotations

import contextlib
import os

from . import _backup_set, _catalog, _hash_list, _notes
from ._errors import BackupError
from ._inventory import Inventory
from ._pool import Pool
from ._stream import sha256_of

_NAMED = 1000  # blobs that are described one by one
_FROM_SITE = "the site, if it still has it: the next backup replaces it"
_NOWHERE = "no other copy is known"


class Damage:
    """Damaged or missing parts of backups of a stack.

    damaged: [{"path" (relative to the root), "problem", "needed_by" (names), "good_copy" (str)} ...]
    problems: {name of a backup: [{"path", "problem"} ...]} for all backups that need a part of it; paths are relative
        to the backup's folder.
    elsewhere: SHA-256 of the damaged archives that another backup has too, in a good file of its own. The damaged
        record knows archives by their SHA-256 and must not name these; what is bad, the notes of the backups say.

    :param root: _backup_set.Root. :param stack: str.
    """

    def __init__(self, root, stack):
        self._root, self._stack = root, stack
        self._known, self._inventory, self._done = None, None, set()
        self.damaged, self.problems, self.elsewhere = [], {}, set()

    def _entries(self):
        if self._known is None:
            self._known = _catalog.backups(self._root)
        return self._known

    def _files(self):
        if self._inventory is None:
            self._inventory = Inventory(self._entries())
        return self._inventory

    def add_file(self, name, path, problem, digest=None):
        """Take up a file of a backup, unless it has been, perhaps as part of another one.

        :param path: relative to the backup's folder, "" for the backup as a whole. :param digest: the SHA-256 that it
            should have, None if nobody knows.
        """
        if (name, path) in self._done:
            return
        file = os.path.join(self._root.backups, name, path)
        users, good = {(name, path)}, None
        if digest is not None:
            inode = _inode(file)
            users.update(self._files().sharing(inode) if inode else ())
            good = self._good_file(digest, inode)
        if good:
            self.elsewhere.add(digest)
        elif problem == "unknown":
            good = "it does not belong to the backup: look at it, and remove it"
        self._done |= users
        self._add(os.path.relpath(file, self._root.path), problem, sorted(users), good or _NOWHERE)

    def _good_file(self, digest, inode):
        """Return where another file with a SHA-256 is (str), after reading it, or None."""
        for other, (_size, users) in self._files().files.get(digest, {}).items():
            found = os.path.join(self._root.backups, *users[0])
            with contextlib.suppress(OSError):
                if other != inode and sha256_of(found) == digest:
                    return os.path.relpath(found, self._root.path)
        return None

    def add_blobs(self, bad):
        """Take up blobs of the stack's pool, {SHA-1: problem}, as far as a backup needs them."""
        if not bad:
            return
        lists = [(entry["name"], os.path.join(entry["path"], _hash_list.FILENAME)) for entry in self._entries()
                 if entry["stack"] == self._stack]
        for sha1 in sorted(bad)[:_NAMED]:
            users = [name for name, path in lists if _holds(path, sha1)]
            if users:  # else the last backup that needed it was removed meanwhile
                path = os.path.relpath(Pool(self._root.pool(self._stack)).path_of(sha1), self._root.path)
                inside = os.path.join("..", "..", path)
                good = self._good_blob(sha1)
                self._add(path, bad[sha1], [(name, inside) for name in users], good or _FROM_SITE)
        if len(bad) > _NAMED:
            self._add_rest(bad, lists)

    def _add_rest(self, bad, lists):
        users = [(name, _hash_list.FILENAME) for name, path in lists if _holds_any(path, bad)]
        pool = os.path.relpath(self._root.pool(self._stack), self._root.path)
        self._add(pool, "%d more missing or damaged" % (len(bad) - _NAMED), users, _FROM_SITE)

    def _good_blob(self, sha1):
        for stack in _backup_set.stacks(self._root, [entry["backup"] for entry in self._entries()]):
            with contextlib.suppress(BackupError):
                pool = Pool(self._root.pool(stack))
                if stack != self._stack and pool.is_right(sha1):
                    return os.path.relpath(pool.path_of(sha1), self._root.path)
        return None

    def _add(self, path, problem, users, good):
        names = sorted({name for name, _path in users})
        if good in (_NOWHERE, _FROM_SITE):
            good = self._copies(names) or good
        self.damaged.append({"path": path, "problem": problem, "needed_by": names, "good_copy": good})
        for name, inside in filter(lambda user: user[1], users):  # what is broken as a whole needs no note of it
            self.problems.setdefault(name, []).append({"path": inside, "problem": problem})

    def _copies(self, names):
        """Return where copies of backups are (str), or None."""
        for name in names:
            with contextlib.suppress(BackupError):
                copies = _notes.read(self._root, name).get("copies") or {}
                for copy, found in sorted(copies.items()):
                    return "copy %s (%s, %s) of backup %s" % (copy, found["kind"], found["where"], name)
        return None


def say(damaged, most=5):
    """Return what is damaged as a text (str). :param most: how many are named."""
    named = ["%s (%s), needed by %s; good copy: %s" % (
        one["path"], one["problem"], few(one["needed_by"]), one["good_copy"]) for one in damaged[:most]]
    more = ["and %d more" % (len(damaged) - most)] if len(damaged) > most else []
    return ". ".join(named + more)


def few(names, most=5):
    """Return names (list of str) as a text (str) that is never long."""
    return ", ".join(names[:most]) + (" and %d more" % (len(names) - most) if len(names) > most else "")


def _inode(path):
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None


def _holds(path, sha1):
    try:
        return _hash_list.holds(path, sha1)
    except OSError:
        return False


def _holds_any(path, bad):
    try:
        return any(sha1 in bad for sha1 in _hash_list.entries(path))
    except (OSError, BackupError):
        return os.path.exists(path)  # a list that cannot be read may name any of them
