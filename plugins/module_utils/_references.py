# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which blobs of a stack's pool its backups need, and how much of it only one of them needs.

Reading the lists of all backups takes minutes when there are many, so the answer is kept beside the pool, as an index:

pools/<stack>/references: a sorted line "<sha1> <size> <count> <xor>" for each blob that is needed: its size in bytes,
    or "-" if it was not in the pool; how many different lists name it; the exclusive or of their numbers (hexadecimal;
    with a count of 1 that is the number of the only one).
pools/<stack>/references.json: {"format": 1, "index": SHA-256 of that file, "blobs": int, "bytes": int,
    "lists": {SHA-256 of a list: {"id": its number, "own": bytes of blobs that no other list names}}}.

A list comes or goes in one pass over both, in constant memory; backups with the same list count once. The index is a
cache and nothing more: it is used only if its checksum is right and its lists are those of the backups, else it is
brought up to date or made anew; where it cannot be written, all works without.
"""
from __future__ import annotations

import bisect
import contextlib
import fcntl
import os
import tempfile

from . import _catalog, _hash_list, _json_file
from ._errors import BackupError, IntegrityError, StorageError
from ._stream import PartialFile, sha256_of
from ._verify import METADATA

_FORMAT = 1
_AT_ONCE = 64  # lists that are open at the same time
_CHARACTERS = 64 * 1024  # of a file that are read at once
_MISSING, _UNNEEDED = "-", "0 0\n"  # a size and a state
_NEW = (None, _MISSING, _UNNEEDED)  # the entry of a blob that is not in the index
_GROUPS = ["%02x" % number for number in range(256)]


def refresh(root, stack, backups, save=True, departed=()):
    """Return how much of the pool the backups of a stack need, and bring the index up to date.

    :param root: _backup_set.Root.
    :param backups: entries of _catalog of this stack, whatever their state; all that have metadata.
    :param save: bool, whether the index may be written; where it cannot be (no room, no permission) it is not.
    :param departed: folders (str) of backups that are just being removed, which makes it faster to leave them out.
    :returns: {"own": {name of a backup: bytes of blobs that no other one needs}, "blobs": how many are needed, "bytes":
        bytes of them, "unreadable": {name of a backup: why its list cannot be read (str)}}. Of the blobs of a list that
        cannot be read nothing is known: then "own" is only an upper bound, and nothing may be called unneeded.
    """
    lists = _Lists(backups)
    index = _Index(root, stack)
    plan = _Plan(index, lists, departed)
    if save and not plan.current:
        plan.close()
        with contextlib.suppress(StorageError), index.locked():
            return lists.describe(index.save(_Plan(index, lists, departed)))  # another one may have saved it meanwhile
        plan = _Plan(index, lists, departed)
    return lists.describe(index.count(plan))


def blobs(root, stack, start="", backups=None):
    """Yield (sha1, bytes) of every blob that a backup needs, sorted, from the first sha1 that is not before start.

    The bytes are 0 for a blob that is missing in the pool. Lists that cannot be read are left out, see refresh().

    :param backups: as for refresh(); None for those that the catalog has now.
    """
    index, lists = _Index(root, stack), _Lists(_backups(root, stack, backups))
    for sha1, size, _state in index.entries(_Plan(index, lists, (), reading=True)):
        if sha1 >= start:
            yield sha1, _bytes(size)


def needed(root, stack, backups=None, departed=()):
    """Return an iterator of the SHA-1 of every blob that a backup needs, sorted.

    :param backups: as for refresh(); None for those that the catalog has now. :param departed: see refresh().
    :raises: IntegrityError, at once, if that cannot be known because a list cannot be read.
    """
    index, lists = _Index(root, stack), _Lists(_backups(root, stack, backups))
    plan = _Plan(index, lists, departed, reading=True)
    if lists.unreadable:
        plan.close()
        raise lists.error(stack)
    return (entry[0] for entry in index.entries(plan))


def _backups(root, stack, backups):
    if backups is None:
        return [entry for entry in _catalog.backups(root) if entry["stack"] == stack]
    return backups


class _Lists:
    """The different lists of backups: paths {sha256: path of one that can be read}.

    A list is known by the SHA-256 that the backup's metadata has of it. It is read again only when it is taken up or
    left out.
    """

    def __init__(self, backups):
        self._of, self._settled, self.paths, self.unreadable = {}, {}, {}, {}
        for entry in backups:
            path = os.path.join(entry["path"], _hash_list.FILENAME)
            try:
                digest = list_of(entry["backup"], path)
            except BackupError as error:
                self.unreadable[entry["name"]] = error.message
                continue
            if digest is not None:
                self._of.setdefault(digest, []).append((entry["name"], path))
        self.paths = {digest: users[0][1] for digest, users in self._of.items()}

    def settle(self, digest):
        """Read a list that was not read before. Return its path (str), or None if no copy of it is right."""
        if digest not in self._settled:
            self._settled[digest] = next((path for _name, path in self._of[digest] if _is_right(path, digest)), None)
            if self._settled[digest] is None:
                for name, path in self._of[digest]:
                    problem = "damaged" if os.path.exists(path) else "missing"
                    self.unreadable[name] = "%s is %s" % (_hash_list.FILENAME, problem)
        return self._settled[digest]

    def error(self, stack):
        """Return the error (IntegrityError) that says what cannot be known because of the lists that cannot be read."""
        return IntegrityError(
            "It cannot be known which stored files of stack '%s' are still needed: %s" % (
                stack, "; ".join("backup %s: %s" % item for item in sorted(self.unreadable.items()))),
            "Fetch a good copy of that file, or remove the backup.", backups=sorted(self.unreadable))

    def describe(self, summary):
        """Return what refresh() does. :param summary: dict, see the top of this file."""
        own = dict.fromkeys(self.unreadable, 0)
        for digest, users in self._of.items():
            alone = len(users) == 1 and digest in summary["lists"]
            own.update((name, summary["lists"][digest]["own"] if alone else 0) for name, _path in users)
        return {"own": own, "blobs": summary["blobs"], "bytes": summary["bytes"], "unreadable": dict(self.unreadable)}


def list_of(backup, path):
    """Return the SHA-256 (hex str) of a backup's list, or None if it has none and needs nothing of the pool.

    :param backup: dict, its metadata. :param path: str, where the list is or would be.
    :raises: IntegrityError if there is a list that cannot be read.
    """
    for artefact in backup.get("artefacts") or []:
        if artefact.get("file") == _hash_list.FILENAME and artefact.get("sha256"):
            return artefact["sha256"]
    try:  # one that the metadata does not know
        for _sha1 in _hash_list.entries(path):
            pass
        return sha256_of(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IntegrityError("%s cannot be read: %s" % (path, error.strerror)) from error


def _is_right(path, digest):
    with contextlib.suppress(OSError):
        return sha256_of(path) == digest
    return False


class _Plan:
    """How the index is made one of the wanted lists.

    current (bool): it is that already; summary (dict): then, its summary. Otherwise base (the open index, or None) with
    the lists add and drop, {sha256: (number, path)}; kept: {sha256: number} of what is in it afterwards.

    :param reading: bool, whether the index itself is going to be read, not only its summary.
    """

    def __init__(self, index, lists, departed, reading=False):
        self.summary = index.summary()
        self.base, self.add, self.drop = None, {}, {}
        known = {digest: entry["id"] for digest, entry in self.summary["lists"].items()}
        wanted = {digest: path if digest in known else lists.settle(digest) for digest, path in lists.paths.items()}
        wanted = {digest: path for digest, path in wanted.items() if path is not None}
        gone = set(known) - set(wanted)
        self.current = set(known) == set(wanted)
        if self.current and not reading:
            return
        self.base = index.open(self.summary)
        paths = _paths_of(gone, departed) if gone else {}
        # Leaving out more lists than stay takes longer than beginning anew.
        if self.base is None or len(paths) < len(gone) or len(gone) > len(wanted):
            known, gone, self.current = {}, set(), False
            settled = {digest: lists.settle(digest) for digest in wanted}
            wanted = {digest: path for digest, path in settled.items() if path is not None}
            self.close()
        start = max(known.values(), default=0) + 1
        self.add = {digest: (start + number, wanted[digest])
                    for number, digest in enumerate(sorted(set(wanted) - set(known)))}
        self.drop = {digest: (known[digest], paths[digest]) for digest in gone}
        self.kept = {digest: number for digest, number in known.items() if digest not in gone}
        self.kept.update((digest, number) for digest, (number, _path) in self.add.items())

    def close(self):
        if self.base is not None:
            self.base.close()
        self.base = None


def _paths_of(digests, folders):
    """Return where lists are in the folders of departed backups (dict of sha256 to path)."""
    found = {}
    for folder in folders:
        path = os.path.join(folder, _hash_list.FILENAME)
        with contextlib.suppress(OSError, BackupError):
            digest = list_of(_json_file.read(os.path.join(folder, METADATA)), path)
            if digest in digests and digest not in found and _is_right(path, digest):
                found[digest] = path
    return found


class _Index:
    """The index of a stack, see the top of this file."""

    def __init__(self, root, stack):
        self._pool = root.pool(stack)
        self._folder = os.path.dirname(self._pool)
        self._path = os.path.join(self._folder, "references")

    @contextlib.contextmanager
    def locked(self):
        """Let nobody else write the index. :raises: StorageError if it cannot be written here."""
        try:
            fd = os.open(self._path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError("%s.lock cannot be written: %s" % (self._path, error.strerror)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def summary(self):
        """Return the summary (dict); that of no list at all if there is none that can be used."""
        found = _json_file.read(self._path + ".json")
        try:
            if found["format"] == _FORMAT and found["index"] and found["blobs"] >= 0 and found["bytes"] >= 0 and all(
                    entry["id"] > 0 and entry["own"] >= 0 for entry in found["lists"].values()):
                return found
        except (KeyError, TypeError, AttributeError):
            pass
        return {"lists": {}, "blobs": 0, "bytes": 0, "index": None}

    def open(self, summary):
        """Return the index, open (text), or None if it is not the one that a summary describes."""
        try:
            handle = _open(self._path)
        except OSError:
            return None
        # What is hashed is what is read, also if somebody replaces it meanwhile.
        if summary["index"] is None or sha256_of("/proc/self/fd/%d" % handle.fileno()) != summary["index"]:
            handle.close()
            return None
        return handle

    def save(self, plan):
        """Do what a plan says and write the index. Return its summary (dict). :raises: StorageError."""
        if plan.current:
            return plan.summary
        try:
            with contextlib.closing(plan), PartialFile(self._path, overwrite=True) as out:
                summary = self._summarised(plan, lambda text: out.write(text.encode("ascii")), self._folder)
                summary["index"] = out.publish()["sha256"]
                _json_file.write(self._path + ".json", summary)
        except OSError as error:  # what is in between found no room, or a list could not be read; count() tells
            raise StorageError("%s cannot be written: %s" % (self._path, error.strerror)) from error
        return summary

    def count(self, plan):
        """Return what the summary (dict) would be if the plan was done."""
        if plan.current:
            return plan.summary
        with contextlib.closing(plan):
            return self._summarised(plan, None, None)

    def entries(self, plan):
        """Yield the entries of all that is needed according to a plan, see _merged()."""
        with contextlib.closing(plan):
            for group in self._groups(plan, None):
                yield from group

    def _summarised(self, plan, write, folder):
        own, blobs_, bytes_ = dict.fromkeys(plan.kept.values(), 0), 0, 0
        owners = {_state(1, number): number for number in own}
        for group in self._groups(plan, folder):
            blobs_ += len(group)
            for _sha1, size, state in group:
                bytes_ += _bytes(size)
                if state in owners:
                    own[owners[state]] += _bytes(size)
            if write is not None:
                write("".join("%s %s %s" % entry for entry in group))
        lists = {digest: {"id": number, "own": own[number]} for digest, number in plan.kept.items()}
        return {"format": _FORMAT, "lists": lists, "blobs": blobs_, "bytes": bytes_, "index": None}

    def _groups(self, plan, folder):
        """Yield the lists of entries that a plan results in. :param folder: for what is in between, or None."""
        changes = [(1, *one) for one in plan.add.values()] + [(-1, *one) for one in plan.drop.values()]
        with contextlib.ExitStack() as cleanup:
            base = plan.base
            while len(changes) > _AT_ONCE:
                larger = cleanup.enter_context(tempfile.TemporaryFile("w+", encoding="ascii", dir=folder))
                for group in _merged(base, changes[:_AT_ONCE]):
                    larger.write("".join("%s %s %s" % entry for entry in group))
                larger.seek(0)
                base, changes = larger, changes[_AT_ONCE:]
            for group in _merged(base, changes):
                yield [entry if entry[1] != _MISSING else (entry[0], self._size(entry[0]), entry[2]) for entry in group]

    def _size(self, sha1):
        try:
            return os.lstat("%s/%s/%s/%s" % (self._pool, sha1[:2], sha1[2:4], sha1)).st_size
        except FileNotFoundError:
            return _MISSING


def _bytes(size):
    return 0 if size == _MISSING else int(size)


def _state(count, owner):
    """Return the end of a line: few different ones stand behind very many SHA-1, so they are not taken apart."""
    return "%d %x\n" % (count, owner)


class _After(dict):
    """What becomes of the state of a blob when a list that names it comes (step 1) or goes (-1)."""

    def __init__(self, step, number):
        super().__init__()
        self._step, self._number = step, number

    def __missing__(self, state):
        count, owner = state.split()
        self[state] = _state(int(count) + self._step, int(owner, 16) ^ self._number)
        return self[state]


def _merged(base, changes):
    """Yield the entries (sha1, size, state; str, as in the index) of an index after changes, sorted, in groups (lists).

    :param base: the open index, or None for an empty one. :param changes: list of (1 or -1, number, path of a list).
    """
    with contextlib.ExitStack() as cleanup:
        lists = [(_After(step, number), _Lines(cleanup.enter_context(_open(path)), path))
                 for step, number, path in changes]
        index = _Lines(base, "the index")
        for prefix in _GROUPS:
            found = {}
            for line in index.take(prefix):
                sha1, size, state = line.split(" ", 2)
                found[sha1] = (sha1, size, state)
            for after, lines in lists:
                for line in lines.take(prefix):
                    sha1 = line[:40]
                    _sha1, size, state = found.get(sha1, _NEW)
                    found[sha1] = (sha1, size, after[state])
            yield [found[sha1] for sha1 in sorted(found) if found[sha1][2] != _UNNEEDED]
        for lines in (index, *(one[1] for one in lists)):
            lines.end()


def _open(path):
    return open(path, encoding="ascii", errors="replace")


class _Lines:
    """Sorted lines of an open file (or of None), taken group by group."""

    def __init__(self, handle, path):
        self._handle, self._path, self._batch = handle, path, []
        self._read()

    def _read(self):
        self._batch = self._handle.readlines(_CHARACTERS) if self._handle is not None else []

    def take(self, prefix):
        """Return the next lines (list of str) that begin with a prefix. :raises: IntegrityError."""
        found = []
        while self._batch:
            end = bisect.bisect(self._batch, prefix + "g")  # a letter after all digits
            found += self._batch[:end]
            self._batch = self._batch[end:]
            if self._batch:
                break
            self._read()
        if found and not (found[0].startswith(prefix) and found[-1].startswith(prefix) and found == sorted(found)):
            raise self._unsorted()
        return found

    def end(self):
        """Raise IntegrityError if a line was not taken."""
        if self._batch:
            raise self._unsorted()

    def _unsorted(self):
        return IntegrityError("%s is not in order" % self._path)
