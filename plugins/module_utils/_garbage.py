# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes what no backup of a stack needs: blobs of its pool, what dead runs have left, what is known of what is gone.

A blob goes only while this process holds the stack, so that no backup relies on it meanwhile, and only if it is known
of every folder that may be a backup of the stack what it needs.
"""
from __future__ import annotations

import contextlib
import errno
import os
import re

from . import _catalog, _hash_list, _json_file, _manifest, _pool, _references
from ._errors import BackupError, LockedError
from ._lock import CLEAN_UP

_LISTED = re.compile(r"[0-9a-f]{40}  \.\./\.\./pools/([^/\n]+)/filedir/[0-9a-f]{2}/")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Found:
    """What was removed of a stack, or would be.

    blobs (int), leftovers (paths, list of str); skipped: why its pool was left alone (str), or None.
    """

    def __init__(self):
        self.blobs, self.leftovers, self.skipped = 0, [], None


def collect(root, stack, freed, going=()):
    """Remove the garbage of a stack.

    :param root: _backup_set.Root. :param stack: str. :param freed: _freed.Freed; if it is dry, nothing is changed.
    :param going: when dry, names of backups that would be gone by now.
    :returns: Found. :raises: OSError.
    """
    found = Found()
    try:
        with _alone(root, stack, freed.dry):
            survey = _catalog.survey(root)
            _partial_folders(stack, survey, freed, found)
            if os.path.isdir(root.pool(stack)):
                backups = [entry for entry in survey if entry["stack"] == stack and entry["backup"]]
                staying = [entry for entry in backups if entry["name"] not in going]
                departed = [entry["path"] for entry in backups if entry["name"] in going]
                found.skipped = _unknown(stack, survey, staying)
                if found.skipped is None:
                    _blobs(root, stack, freed, found, _references.needed(root, stack, staying, departed))
                    if not freed.dry:
                        _forget_damage(root, stack, staying)
    except BackupError as error:
        found.skipped = error.message
    return found


@contextlib.contextmanager
def _alone(root, stack, dry):
    """Hold a stack. :raises: LockedError if somebody is at work on it."""
    lock = root.lock(stack)
    if dry:
        holder = lock.holder()
        if holder is not None:
            raise LockedError("The %s '%s' is at work on this stack" % (
                holder.get("purpose", "run"), holder.get("name", "?")))
        yield
        return
    token = os.urandom(16).hex()
    lock.acquire(token, CLEAN_UP, stack, single=True)
    try:
        yield
    finally:
        lock.release(token)


def _partial_folders(stack, survey, freed, found):
    for entry in survey:
        if entry["state"] == _catalog.PARTIAL and entry["stack"] == stack:
            freed.tree(entry["path"])
            found.leftovers.append(entry["path"])


def _unknown(stack, survey, backups):
    """Return why it is not known what a stack's backups need (str), or None."""
    for entry in survey:
        if entry["state"] in (_catalog.BROKEN, _catalog.FOREIGN) and _may_be_of(stack, entry, survey):
            return ("%s may be a backup of this stack that needs stored files, but %s: repair it, or move it away"
                    % (entry["path"], entry["reason"]))
        # Its metadata is not checked here; one flipped bit in the stack's name must not cost the blobs.
        if entry["backup"] and entry["stack"] != stack and _listed_stack(entry["path"]) == stack:
            return ("the list in %s leads into its pool, although the backup is said to be of stack '%s': verify it"
                    % (entry["path"], entry["stack"]))
    if not backups:
        return "no backup of this stack is there: if none is wanted any more, remove its pool by hand"
    return None


def _may_be_of(stack, entry, survey):
    """True if a folder that is no readable backup may hold a stack's list."""
    path = entry["path"]
    if os.path.islink(path) and os.path.realpath(path) in {os.path.realpath(one["path"]) for one in survey
                                                           if one["backup"]}:
        return False  # another name of what is known
    if entry["state"] == _catalog.FOREIGN and not os.path.lexists(os.path.join(path, _hash_list.FILENAME)):
        return False
    told = {entry["stack"], _listed_stack(path)} - {None}
    return not told or stack in told


def _listed_stack(folder):
    """Return the stack (str) into whose pool the first line of a folder's list leads, or None if that says nothing."""
    with contextlib.suppress(OSError), open(os.path.join(folder, _hash_list.FILENAME), encoding="utf-8",
                                            errors="replace") as handle:
        match = _LISTED.match(handle.readline(4096))
        return match.group(1) if match else None
    return None


def _blobs(root, stack, freed, found, needed):
    pool = root.pool(stack)
    with contextlib.nullcontext() if freed.dry else _json_file.locked(pool):  # no writer begins meanwhile
        for path in _pool.dead_writers(pool):
            freed.tree(path)
            found.leftovers.append(path)
        if set(_pool.incoming(pool)) - set(found.leftovers):
            raise LockedError("Somebody is writing to the pool %s" % pool)
        for path in _unneeded(pool, needed):
            freed.file(path)
            found.blobs += 1
            freed.empty_folder(os.path.dirname(path))
            freed.empty_folder(os.path.dirname(os.path.dirname(path)))


def _unneeded(pool, needed):
    """Yield the path (str) of every blob of a pool that is not needed. :param needed: sorted iterator of SHA-1."""
    current = next(needed, None)
    for path, name in _stored(pool):
        while current is not None and current < name:
            current = next(needed, None)
        if name != current:
            yield path


def _stored(pool):
    """Yield (path, SHA-1) of every blob of a pool, sorted; anything else that is there is not looked at."""
    for first in sorted(os.listdir(pool)):
        for second in _entries(os.path.join(pool, first)):
            folder = os.path.join(pool, first, second)
            for name in _entries(folder):
                if _hash_list.SHA1.match(name) and name.startswith(first + second) and len(first + second) == 4:
                    yield os.path.join(folder, name), name


def _entries(folder):
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _forget_damage(root, stack, backups):
    """Take out of the damaged record what is gone: blobs, and archives that no backup has."""
    pool = _pool.Pool(root.pool(stack))
    known = pool.record.read()
    gone = {sha1 for sha1 in known["blobs"] if not os.path.lexists(pool.path_of(sha1))}
    files = _without_archives(set(known["files"]), backups)
    try:
        pool.record.update(right=gone, right_files=files)
    except OSError as error:
        if error.errno not in _FULL:  # it does no harm; the next clean-up will do it
            raise


def _without_archives(digests, backups):
    """Return which SHA-256 (set of str) no backup has; none if that cannot be known."""
    for entry in backups if digests else ():
        try:
            with open(os.path.join(entry["path"], _manifest.FILENAME), encoding="utf-8") as handle:
                digests = digests - set(_manifest.parse(handle.read()).values())
        except (OSError, UnicodeDecodeError, BackupError):
            return set()
    return digests


def forget_the_gone(root, dry):
    """Remove the notes of backups that are gone. Return their paths (list of str).

    Where no backup is at all, they are kept: the folder of backups may just not be mounted.
    """
    folder = os.path.join(root.path, "notes")
    names = [name[:-5] for name in _entries(folder) if name.endswith(".json") and not name.startswith(".")]
    gone = [os.path.join(folder, name + ".json") for name in names
            if not os.path.lexists(os.path.join(root.backups, name))]
    if not gone or not _catalog.backups(root):
        return []
    for path in gone if not dry else ():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return gone
