# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a whole backup again: every file against the manifest, every blob of its list in the stack's pool.

What is found damaged is named in the stack's damaged record (_pool), so that no later backup relies on it.
"""
from __future__ import annotations

import collections
import concurrent.futures
import errno
import itertools
import json
import os
import stat
import threading

from . import _hash_list, _manifest, _naming, _throttle
from ._errors import BackupError, IntegrityError
from ._pool import Pool
from ._stream import sha256_of

METADATA = "backup.json"
_WORKERS = 2
_BATCH = 2000  # blobs
_REPORTED = 1000  # damaged or missing blobs that are named one by one

# problems: list of {"path", "problem"}; problem is missing, damaged or unknown, and of very many blobs the last entry
# tells how many more there are. expected: {path: SHA-256} of the manifest. blobs: {SHA-1: problem} of all bad ones.
# count: how many files and blobs there are. bytes: how many were read.
Found = collections.namedtuple("Found", "problems expected blobs count bytes")


def checksum_tree(folder, known=None):
    """Return a dict of relative path to hex SHA-256 of every file below a folder, but the manifest.

    :param known: dict of relative path to the SHA-256 of a file that an earlier backup has too, as another name of the
        same file: it is not read again.
    :raises: IntegrityError if there is anything but folders and regular files.
    """
    paths, digests = [], {}
    for base, folders, files in os.walk(folder):
        for entry in folders + files:
            path = os.path.join(base, entry)
            state = os.lstat(path)
            name = os.path.relpath(path, folder)
            if stat.S_ISREG(state.st_mode):
                if known and name in known and state.st_nlink > 1:
                    digests[name] = known[name]
                elif name != _manifest.FILENAME:
                    paths.append(name)
            elif not stat.S_ISDIR(state.st_mode):
                raise IntegrityError("%s is neither a file nor a folder" % path)
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as workers:
        digests.update(zip(paths, workers.map(lambda path: sha256_of(os.path.join(folder, path)), paths)))
    return digests


def check(folder, record=True):
    """Read every file and every blob of a backup.

    :param record: bool, whether to bring what is found into the damaged record.
    :returns: Found.
    :raises: IntegrityError if the manifest itself is missing or damaged.
    """
    expected = expected_of(folder)
    found = checksum_tree(folder)
    problems = _manifest.differences(expected, found)
    pool = _pool(folder) if found.get(METADATA) == expected[METADATA] else None
    blobs = _Blobs(folder, pool)
    if _hash_list.FILENAME in found and pool is not None:
        blobs.check()
    if record and pool is not None:
        damaged = {expected[one["path"]]: one["path"] for one in problems if one["problem"] == "damaged"}
        _record(folder, pool, blobs, damaged, set(found.values()) - set(damaged))
    problems += [problem for problem in blobs.problems() if problem not in problems]
    size = sum(os.path.getsize(os.path.join(folder, path)) for path in found)
    return Found(problems, expected, blobs.bad, len(expected) + blobs.count, size + blobs.bytes)


def expected_of(folder):
    """Return what the manifest of a backup says (dict of path to SHA-256). :raises: IntegrityError."""
    try:
        with open(os.path.join(folder, _manifest.FILENAME), encoding="utf-8") as handle:
            expected = _manifest.parse(handle.read())
    except FileNotFoundError as error:
        raise IntegrityError("%s has no %s" % (folder, _manifest.FILENAME), "It is not a complete backup.") from error
    except UnicodeDecodeError as error:
        raise IntegrityError("%s of %s is damaged" % (_manifest.FILENAME, folder)) from error
    if METADATA not in expected:
        raise IntegrityError("%s of %s does not name %s" % (_manifest.FILENAME, folder, METADATA))
    return expected


def _pool(folder):
    """Return the Pool of a backup's stack, or None if the backup does not tell."""
    backups = os.path.dirname(os.path.realpath(folder))
    try:
        with open(os.path.join(folder, METADATA), encoding="utf-8") as handle:
            stack = _naming.check_name(json.load(handle)["stack"], "stack")
    except (ValueError, KeyError, TypeError, BackupError):
        return None
    return Pool(os.path.join(os.path.dirname(backups), "pools", stack, "filedir"))


def _record(folder, pool, blobs, damaged, right):
    stack = os.path.dirname(pool.path)
    # A backup that was taken elsewhere, alone, has no stack's folder beside it, and none is made there.
    if not os.path.isdir(stack) and os.path.basename(os.path.dirname(os.path.realpath(folder))) != "backups":
        return
    try:
        pool.record.update(blobs.wrong, blobs.right, damaged, right)
    except OSError as error:
        # A backup may be verified where nothing can be written.
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise


class _Blobs:
    """The blobs of a backup's list.

    count: how many there are; bytes: how many were read; bad: {SHA-1: problem}; wrong: those with wrong content; right:
    those that the record names without reason (sets of str).
    """

    def __init__(self, folder, pool):
        self._list = os.path.join(os.path.realpath(folder), _hash_list.FILENAME)
        self._pool = pool
        self.count, self.bytes, self.wrong, self.right, self.bad = 0, 0, set(), set(), {}
        self._problems, self._more, self._lock = [], 0, threading.Lock()

    def check(self):
        """Read all of them."""
        prefix = _hash_list.pool_prefix(self._pool.path, self._list)
        suspects = set(self._pool.record.read()["blobs"])
        names = _hash_list.entries(self._list, prefix)
        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as workers:
            try:
                while True:
                    batch = list(itertools.islice(names, _BATCH))
                    if not batch:
                        return
                    self.count += len(batch)
                    for name, problem in zip(batch, workers.map(self._problem, batch)):
                        if problem is None:
                            self.right.update({name} & suspects)
                        else:
                            self._note(name, prefix, problem)
            except IntegrityError:
                self._problems.append({"path": _hash_list.FILENAME, "problem": "damaged"})

    def _problem(self, name):
        if self._pool.is_right(name, self._passed):
            return None
        return "damaged" if os.path.lexists(self._pool.path_of(name)) else "missing"

    def _passed(self, size):
        _throttle.wait(size)
        with self._lock:
            self.bytes += size

    def _note(self, name, prefix, problem):
        self.bad[name] = problem
        if problem == "damaged":
            self.wrong.add(name)
        if len(self._problems) < _REPORTED:
            path = _hash_list.render(name, prefix).rstrip("\n").partition("  ")[2]
            self._problems.append({"path": path, "problem": problem})
        else:
            self._more += 1

    def problems(self):
        """Return what is wrong (list of {"path", "problem"})."""
        more = [{"path": _hash_list.FILENAME, "problem": "%d more missing or damaged" % self._more}]
        return self._problems + (more if self._more else [])
