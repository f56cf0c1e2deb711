# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A clean-up: removes the backups that a policy does not keep, and then what nothing needs any more.

A backup that goes is renamed first, so that whatever ends the clean-up, half a backup never looks like one; the next
clean-up removes the rest. One that is being read, or that a restore needs, stays until then.
"""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time

from . import _backup_set, _catalog, _freed, _garbage, _json_file, _notes, _references, _retention
from ._errors import BackupError, LockedError, NotFoundError, StorageError
from ._room import human
from ._stream import fsync_directory

KEEP, REMOVE = "keep", "remove"


def prune(root, policy, stack=None, check_mode=False):
    """Clean up one stack, or all of a root.

    :param root: _backup_set.Root. :param policy: _retention.Policy. :param stack: str, or None for all.
    :returns: dict with changed (bool), backups (list of {"name", "stack", "action", "reasons", "size" in bytes}, the
        oldest of each stack first), removed (names), freed (bytes of disk), blobs (how many were removed), leftovers
        (paths), skipped ({stack: why its pool was left alone}).
    :raises: UsageError, NotFoundError, LockedError if another clean-up is at work, StorageError.
    """
    _retention.check(policy)
    names = _stacks(root, stack)
    run = _Run(root, policy, check_mode)
    if not os.path.isdir(root.backups):
        return run.result()
    with contextlib.nullcontext() if check_mode else _alone(root, stack):
        for name in names:
            run.stack(name)
        run.others(stack)
    return run.result()


def _stacks(root, stack):
    found = _backup_set.stacks(root)
    if stack is None:
        return found
    root.lock(stack)  # refuses what cannot be a stack's name
    if stack not in found:
        raise NotFoundError("There is nothing of a stack '%s' in %s" % (stack, root.path),
                            "There are: %s." % ", ".join(found) if found else "There is no stack at all.")
    return [stack]


@contextlib.contextmanager
def _alone(root, stack):
    """Let no other clean-up of the root begin. :raises: LockedError, StorageError.

    The lock is a flock on the folder itself, so that a full disk is no hindrance; a file beside tells whose it is.
    """
    if not os.access(root.backups, os.W_OK):
        raise StorageError("The backup root %s cannot be changed" % root.path,
                           "Is its file system mounted read-only, or does it belong to another user?")
    path = os.path.join(root.path, "locks", ".clean-up")
    fd = os.open(root.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(root, _json_file.read(path)) from None
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as handle:
            json.dump({"pid": os.getpid(), "began": time.time(), "stack": stack}, handle)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
    finally:
        os.close(fd)


def _refusal(root, record):
    who = "Another clean-up"
    if record:
        which = "of stack '%s'" % record["stack"] if record["stack"] else "of all stacks"
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["began"]))
        who = "The clean-up %s that began at %s (process %d)" % (which, began, record["pid"])
    return LockedError("%s is at work in %s" % (who, root.path), "Run this again when it has ended.")


class _Run:
    """One clean-up."""

    def __init__(self, root, policy, check_mode):
        self._root, self._policy, self._check = root, policy, check_mode
        self._freed = _freed.Freed(dry=check_mode)
        self._backups, self._removed, self._leftovers, self._skipped = [], [], [], {}
        self._blobs = 0

    def stack(self, stack):
        """Clean up a stack, and note what became of it."""
        begun, before = time.time(), self._freed.bytes
        try:
            removed, found = self._clean(stack)
        except (BackupError, OSError) as error:
            self._note(stack, begun, False, error.message if isinstance(error, BackupError) else str(error))
            raise
        said = "%d backups and %d stored files removed, %s freed" % (
            removed, found.blobs, human(self._freed.bytes - before))
        self._note(stack, begun, True, "%s; the pool was left alone: %s" % (said, found.skipped) if found.skipped
                   else said)

    def _clean(self, stack):
        survey = [entry for entry in _catalog.survey(self._root) if entry["stack"] == stack]
        entries = [entry for entry in survey if entry["backup"]]
        decisions = _retention.decide([_candidate(entry) for entry in entries], self._policy)
        going = [self._settle(entry, decision) for entry, decision in zip(entries, decisions)]
        names = [entry["name"] for entry, goes in zip(entries, going) if goes]
        self._remove(stack, names, [entry for entry in entries if entry["name"] not in names])
        found = _garbage.collect(self._root, stack, self._freed, names)
        if found.skipped:
            self._skipped[stack] = found.skipped
        self._blobs += found.blobs
        self._leftovers += found.leftovers
        return len(names), found

    def _settle(self, entry, decision):
        """Write down what becomes of a backup; if it goes, set it aside. Return whether it goes (bool)."""
        keep, reasons, size = decision.keep, decision.reasons, _freed.size_of(entry["path"])
        if not keep:
            try:
                set_aside(self._root, entry["name"], self._check)
            except LockedError as error:
                keep, reasons = True, [error.message]
        self._backups.append({"name": entry["name"], "stack": entry["stack"], "action": KEEP if keep else REMOVE,
                              "reasons": reasons, "size": size})
        return not keep

    def _remove(self, stack, names, staying):
        """Remove what was set aside."""
        self._removed += names
        if self._check:
            for name in names:
                self._freed.tree(self._root.folder(name))
            return
        fsync_directory(self._root.backups)  # the new names, before anything goes
        departed = [entry.path for entry in os.scandir(self._root.backups) if _backup_set.removed_of(entry.name)]
        # Before their lists are gone, so that leaving them out costs one pass. If it fails, so will what relies on it.
        with contextlib.suppress(BackupError, OSError):
            _references.refresh(self._root, stack, staying, departed=departed)
        for name in names:
            self._freed.tree(self._root.removed(name))
            _notes.forget(self._root, name)

    def _note(self, stack, begun, ok, message):
        if not self._check:
            now = time.time()
            with contextlib.suppress(StorageError):  # a full disk must not stop a clean-up
                _notes.set_outcome(self._root, stack, "cleanup", now, ok, message, now - begun)

    def others(self, stack):
        """What belongs to no stack: leftovers of which nothing tells whose they are, folders that cannot be read."""
        for entry in _catalog.survey(self._root):
            if entry["state"] == _catalog.BROKEN and (stack is None or entry["stack"] == stack):
                reasons = ["broken, so it is never removed: %s" % entry["reason"]]
                self._backups.append({"name": entry["name"], "stack": entry["stack"], "action": KEEP,
                                      "reasons": reasons, "size": _freed.size_of(entry["path"])})
            elif entry["state"] == _catalog.PARTIAL and self._is_dead(entry):
                self._freed.tree(entry["path"])
                self._leftovers.append(entry["path"])
        self._leftovers += _garbage.forget_the_gone(self._root, self._check)

    def _is_dead(self, entry):
        """True for a leftover of no stack that is known: a live run has a lock, which would tell its stack."""
        folder = os.path.basename(entry["path"])
        if _backup_set.removed_of(folder) is not None:
            return True  # we are the only clean-up
        if not re.match("[0-9a-f]{12}\\Z", _backup_set.partial_of(folder)[0]):
            return False  # not made by a backup
        return entry["stack"] is None and not 0 <= time.time() - entry["created"] < self._root.lock_timeout

    def result(self):
        changed = bool(self._removed or self._blobs or self._leftovers)
        return {"changed": changed, "backups": self._backups, "removed": self._removed, "freed": self._freed.bytes,
                "blobs": self._blobs, "leftovers": self._leftovers, "skipped": self._skipped}


def _candidate(entry):
    pinned = entry["note"].get("pinned")
    return _retention.Candidate(entry["name"], entry["created"], entry["state"] == _catalog.COMPLETE, entry["state"],
                                None if pinned is None else pinned.get("reason") or "")


def set_aside(root, name, check_mode=False):
    """Give a backup that goes the name of one that is being removed; in check mode only tell whether it could go.

    The caller brings the new name to disk before anything is removed, or after a crash half a backup has its old one.

    :raises: LockedError whose message says why it stays for now.
    """
    folder = root.folder(name)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.nullcontext() if check_mode else root.settled():
            for record in _backup_set.read_records(root):
                if record.get("backup") == name:
                    raise LockedError("a restore of stack '%s' that did not end needs it" % record["stack"])
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError("in use, stays until the next clean-up") from None
            if "pinned" in _notes.read(root, name):  # after the flock, which whoever pins it has to wait for
                raise LockedError("pinned just now")
            if not check_mode:
                _rename(root, name)
    finally:
        os.close(fd)


def _rename(root, name):
    target = root.removed(name)
    if os.path.lexists(target):  # of an older backup of that name, by a clean-up that was killed
        _freed.Freed().tree(target)
    os.rename(root.folder(name), target)


def remove_backup(root, name):
    """Remove one backup. Return the bytes (int) of disk that this freed; its blobs stay until the next clean-up.

    :raises: LockedError if it is in use or pinned, NotFoundError.
    """
    if not os.path.isdir(root.folder(name)):
        raise NotFoundError("There is no backup '%s' in %s" % (name, root.backups))
    try:
        set_aside(root, name)
    except LockedError as error:
        raise LockedError("The backup '%s' cannot be removed: %s" % (name, error.message)) from error
    fsync_directory(root.backups)
    freed = _freed.Freed()
    freed.tree(root.removed(name))
    _notes.forget(root, name)
    return freed.bytes
