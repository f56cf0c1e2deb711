# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a backup back from a copy into the root. It gets its name when every file of it was read and is right.

While it comes it is in two partial folders that any later run of the stack removes: backups/.partial_<mark>@<name> and
the same with .blobs behind, for stored files that are not checked yet.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time

from . import _backup_set, _catalog, _copy_sites, _hash_list, _manifest, _naming, _notes, _verify
from ._errors import BackupError, ExistsError, IntegrityError, LockedError, NotFoundError, StorageError, UsageError
from ._lock import after_clean_up
from ._pool import DOUBTFUL, RIGHT, DamagedRecord, Pool
from ._stream import fsync_directory

_SHOWN = 3
_TOLD = ("name", "stack", "created", "complete", "site")


def needed(root, name, stack, replace=False, record=True):
    """True if a backup has to come from a copy: it is not in the root, or, with replace, it is not whole there.

    :param name: str, or "latest". :param stack: str, needed for "latest" if the root has backups of several; or None.
    """
    if name == _naming.LATEST:
        return not any(entry["state"] == _catalog.COMPLETE and stack in (None, entry["stack"])
                       for entry in _catalog.backups(root))
    folder = root.folder(name)
    if not os.path.isdir(folder):
        return True
    if replace:
        try:
            _backup_set.load(folder)
            with _backup_set.reading(folder):
                return bool(_verify.check(folder, record).problems)
        except IntegrityError:
            return True
    return False


def ask(copies, stack):
    """Ask copies (_copy_kinds) in their order what they have of a stack, or of all (None).

    :returns: (list of (copy, entry), an entry being as list() gives it, with "copy", its name; list of str why copies
        could not be asked).
    """
    found, problems = [], []
    for copy in copies:
        try:
            found += [(copy, dict(entry, copy=copy.name)) for entry in copy.list().values()
                      if stack in (None, entry["stack"])]
        except BackupError as error:
            problems.append("copy '%s': %s" % (copy.name, error.describe()))
    return found, problems


def answer(copies, stack):
    """Return what ask() finds (dict), for a module that runs elsewhere; see choose()."""
    found, problems = ask(copies, stack)
    return {"copies": [copy.name for copy in copies], "problems": problems,
            "backups": [{key: entry[key] for key in _TOLD + ("copy",) if key in entry} for _copy, entry in found]}


def choose(copies, name, stack, asked=None):
    """Find a backup in copies.

    :param copies: list of copies (_copy_kinds), asked in this order.
    :param name: str, or "latest" for the newest of a stack.
    :param asked: dict, what answer() has said of other copies, which come first; None if there are none.
    :returns: (list of (copy, entry) that have it, the first copy first, None for one of the others; list of str why
        copies could not be asked).
    :raises: NotFoundError, UsageError, AmbiguousError if the newest may be another site's.
    """
    asked = asked or {"copies": [], "backups": [], "problems": []}
    found, problems = ask(copies, stack)
    found, problems = [(None, entry) for entry in asked["backups"]] + found, asked["problems"] + problems
    names = {entry["name"] for _copy, entry in found}
    found = [one for one in found if one[1].get("complete", True) or one[1]["name"] == name]
    if name == _naming.LATEST:
        stacks = sorted({entry["stack"] for _copy, entry in found})
        if len(stacks) > 1:
            raise UsageError("The copies have backups of several stacks: %s" % ", ".join(stacks), "Name the stack.",
                             candidates=stacks)
        _copy_sites.require_one("".join(stacks), [entry for _copy, entry in found])
        newest = max((entry["created"] for _copy, entry in found), default=None)
        chosen = [(copy, entry) for copy, entry in found if entry["created"] == newest]
    else:
        chosen = [(copy, entry) for copy, entry in found if entry["name"] == name]
    if chosen:
        return chosen, problems
    what = "backup '%s'" % name
    if name == _naming.LATEST:
        what = "complete backup of stack '%s'" % stack if stack else "complete backup"
    raise NotFoundError(
        "There is no %s here, and no good one in the copies %s%s" % (
            what, ", ".join("'%s'" % copy for copy in asked["copies"] + [copy.name for copy in copies]),
            "".join("; " + text for text in problems)),
        "The copies have: %s." % ", ".join(sorted(names)[-10:]) if names else None, problems=problems)


def fetch(root, copies, name, stack, replace=False):
    """Bring a backup back from the first copy that has a good one.

    :param replace: bool, whether a backup of this name that is in the root is replaced; it is removed last.
    :returns: see first_good(). :raises: what the last copy that was tried has raised.
    """
    return first_good(*choose(copies, name, stack), lambda copy, entry: _fetch_from(root, copy, entry, replace))


def first_good(chosen, problems, bring):
    """Bring a backup from the first copy with which that succeeds.

    :param chosen: see choose(). :param problems: see choose(). :param bring: function that is given copy and entry.
    :returns: {"name", "stack", "copy", "where", "warnings" (list of str: why it is not an earlier copy)}.
    :raises: what the last copy that was tried has raised.
    """
    problems = list(problems)
    for number, (copy, entry) in enumerate(chosen, 1):
        try:
            bring(copy, entry)
            return {"name": entry["name"], "stack": entry["stack"], "copy": copy.name, "where": copy.where,
                    "warnings": problems}
        except (ExistsError, LockedError):
            raise
        except BackupError as error:
            problems.append("copy '%s': %s" % (copy.name, error.message))
            if number == len(chosen):
                raise type(error)("Backup '%s' could not be fetched: %s" % (entry["name"], "; ".join(problems)),
                                  error.hint, **dict(error.details, problems=problems)) from error
    return None


def _fetch_from(root, copy, entry, replace):
    with _holding(root, entry["stack"], entry["name"]) as partial:
        try:
            os.makedirs(partial, mode=0o700, exist_ok=True)
            copy.fetch_folder(entry, os.path.basename(partial))
            for _attempt in range(2):  # the second one for blobs that the root has, but damaged, as only reading tells
                copy.fetch_blobs(entry, os.path.basename(partial), os.path.basename(blobs_folder(partial)))
                missing = _take_blobs(root, entry["stack"], partial)
                if not missing:
                    break
            _finish(root, entry["name"], entry["stack"], partial, copy.where, missing, replace)
        except (IntegrityError, StorageError):
            _remove(partial)
            raise


def accept(root, name, stack, where, replace=False):
    """Make what a module on the control node has brought into the partial folders a backup, or remove it.

    :param where: str, where it comes from, for messages. :raises: IntegrityError, LockedError, NotFoundError.
    """
    with _holding(root, stack, name) as partial:
        if not os.path.isdir(partial):
            raise NotFoundError("Nothing of backup '%s' has arrived in %s" % (name, root.backups))
        try:
            _finish(root, name, stack, partial, where, _take_blobs(root, stack, partial), replace)
        except IntegrityError:
            _remove(partial)
            raise


def blobs_folder(partial):
    """Return where blobs wait that belong to a partial folder (str)."""
    return partial + ".blobs"


@contextlib.contextmanager
def _holding(root, stack, name):
    """Hold the stack's lock as one process. Gives the partial folder (str), which need not exist."""
    root.prepare()
    lock, token = root.lock(stack), os.urandom(8).hex()
    after_clean_up(lambda: lock.acquire(token, "copy", name, single=True))
    try:
        partial = root.partial(stack, name)
        if not os.path.isdir(partial):
            _backup_set.remove_leftovers(root, stack)
        yield partial
    finally:
        lock.release(token)


def _take_blobs(root, stack, partial):
    """Bring the blobs of a fetched backup into the pool; all others of its list are read there.

    :returns: SHA-1 (list of str) of those that are missing or wrong, also in the damaged record.
    """
    names, folder = os.path.join(partial, _hash_list.FILENAME), blobs_folder(partial)
    if not os.path.exists(names):
        return []
    pool, missing, wrong = Pool(root.pool(stack)), [], []
    with pool.writer() as writer:
        for sha1 in _hash_list.entries(names, _hash_list.pool_prefix(pool.path, names)):
            try:
                if writer.adopt(sha1, os.path.join(folder, sha1[:2], sha1[2:4], sha1)) is not None:
                    continue
            except FileNotFoundError:
                state = pool.state(sha1)
                if state == RIGHT and pool.is_right(sha1) or state == DOUBTFUL and pool.settle(sha1):
                    continue
                if state == RIGHT:
                    wrong.append(sha1)
            missing.append(sha1)
    pool.save_record()
    pool.record.update(wrong)
    shutil.rmtree(folder, ignore_errors=True)
    return missing


def _finish(root, name, stack, partial, where, missing, replace):
    """Check all files of a partial folder, and publish it."""
    with open(os.path.join(partial, _manifest.FILENAME), encoding="utf-8") as handle:
        expected = _manifest.parse(handle.read())
    found = _verify.checksum_tree(partial)
    problems = ["%(path)s (%(problem)s)" % one for one in _manifest.differences(expected, found)]
    problems += ["stored file %s (missing or damaged)" % sha1 for sha1 in missing]
    if problems:
        more = " and %d more" % (len(problems) - _SHOWN) if len(problems) > _SHOWN else ""
        raise IntegrityError("The copy of backup '%s' in %s is damaged: %s%s" % (
            name, where, ", ".join(problems[:_SHOWN]), more), "It was not accepted. Is there another copy?")
    backup = _backup_set.load(partial)
    if (backup.get("name"), backup["stack"]) != (name, stack):
        raise IntegrityError("What %s has as backup '%s' of stack '%s' is backup '%s' of stack '%s'" % (
            where, name, stack, backup.get("name"), backup["stack"]), "Somebody has renamed it there.")
    _backup_set.seal(partial)
    _publish(root, name, partial, replace)
    record = DamagedRecord(os.path.join(os.path.dirname(root.pool(stack)), "damaged.json"))
    record.update(right_files=set(found.values()))
    _notes.set_verified(root, name, time.time(), "in full, when it was fetched", [])


def _publish(root, name, partial, replace):
    folder, removed = root.folder(name), root.removed(name)
    if os.path.isdir(removed):
        shutil.rmtree(removed)
    with root.settled(), contextlib.ExitStack() as cleanup:
        if os.path.lexists(folder):
            _refuse(root, name, folder, replace, cleanup)
            os.rename(folder, removed)
        os.rename(partial, folder)
        fsync_directory(root.backups)
    if os.path.isdir(removed):
        shutil.rmtree(removed)


def _refuse(root, name, folder, replace, cleanup):
    """Raise unless a backup may be taken away now."""
    if not replace:
        raise ExistsError("A backup '%s' exists already in %s" % (name, root.backups))
    if any(record.get("backup") == name for record in _backup_set.read_records(root)):
        raise ExistsError("A restore from backup '%s' did not end" % name,
                          "Undo it first with the playbook moodleclaude.backup.rollback.")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    cleanup.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError("Backup '%s' is being read right now" % name, "Run this again when that has ended.") from None


def _remove(partial):
    for path in (partial, blobs_folder(partial)):
        shutil.rmtree(path, ignore_errors=True)
