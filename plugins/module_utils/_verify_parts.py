# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads all backups of a stack in turns: each archive once, however many backups share it, and each blob of the pool.

pools/<stack>/verify.json is the round that is under way, see _turns.
"""
from __future__ import annotations

import concurrent.futures
import contextlib
import heapq
import itertools
import os

from . import _backup_set, _hash_list, _json_file, _notes, _references, _throttle, _turns
from ._damage import Damage, few, say
from ._errors import NotFoundError
from ._inventory import Inventory
from ._pool import Pool
from ._room import human
from ._stream import sha256_of

_WORKERS = 2
_BATCH = 2000  # items


def take_turn(findings, stack, entries, parts, now):
    """Read the next part of a stack's backups, and note what is found.

    :param findings: _findings.Findings; if it notes nothing, the next turn is this one once more. :param stack: str.
    :param entries: list of dict, those of _catalog that belong to the stack.
    :param parts: int, in how many turns everything is read. :param now: seconds since the epoch.
    :returns: {"stack", "part", "parts", "backups" (how many there are), "files", "blobs" (how many were read),
        "bytes_read", "round_ended" (bool), "verified" (names of the backups that the round has found whole), "bad"
        (names of those in which it has found damage so far), "damaged" (see _damage), "message" (all this in a line)}.
    """
    turn = _Turn(findings, stack, entries, parts, now)
    turn.read()
    return turn.finish()


class _Turn:
    def __init__(self, findings, stack, entries, parts, now):
        self._findings, self._root, self._stack, self._parts = findings, findings.root, stack, parts
        self._backups = [entry for entry in entries if entry["backup"]]
        self._pool = Pool(self._root.pool(stack))
        self._path = os.path.join(os.path.dirname(self._pool.path), "verify.json")
        self._before = _json_file.read(self._path)
        self._members = {entry["name"]: _mark(entry) for entry in self._backups}
        self._round = _turns.begin(self._before, parts, now, self._members)
        self._inventory = Inventory(entries)
        self._damage = Damage(self._root, stack)
        self._cursor, self._read = self._round["cursor"], {"files": 0, "blobs": 0, "bytes_read": 0}
        self._right, self._wrong = set(), {}  # archives: SHA-256, {SHA-256: path}
        self._right_blobs, self._bad_blobs = set(), {}  # SHA-1, {SHA-1: problem}

    # --- reading ---

    def read(self):
        """Read this turn's share. What a look without reading shows is looked at in every turn."""
        for one in self._inventory.problems:
            self._damage.add_file(one["backup"], one["path"], one["problem"], one["digest"])
        unreadable = _references.refresh(self._root, self._stack, self._backups, self._findings.record)["unreadable"]
        for name in filter(lambda one: os.path.isdir(self._root.folder(one)), sorted(unreadable)):
            self._damage.add_file(name, _hash_list.FILENAME, "damaged")
        items = _turns.portion(self._items, self._round["left"])
        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as workers:
            for batch in iter(lambda: list(itertools.islice(items, _BATCH)), []):
                for item, bad in zip(batch, workers.map(self._check, batch)):
                    self._take_up(item, bad)
        self._damage.add_blobs(self._bad_blobs)

    def _items(self):
        """Return what is left of the round, sorted: (SHA-256, bytes, inodes) of archives, (SHA-1, bytes) of blobs."""
        cursor = self._round["cursor"]
        archives = sorted((digest, sum(size for size, _users in inodes.values()), inodes)
                          for digest, inodes in self._inventory.files.items() if digest > cursor)
        blobs = _references.blobs(self._root, self._stack, cursor[:40], self._backups)
        return heapq.merge(archives, (blob for blob in blobs if blob[0] > cursor), key=lambda item: item[0])

    def _check(self, item):
        """Read an item. Return what is wrong: of an archive [(name, path) ...], of a blob a text; or None."""
        if len(item) == 2:
            if self._pool.is_right(item[0], _throttle.wait):
                return None
            return "damaged" if os.path.lexists(self._pool.path_of(item[0])) else "missing"
        return [users[0] for _size, users in item[2].values() if not self._is_right(item[0], users)] or None

    def _is_right(self, digest, users):
        """Read a file that backups share. One that was removed meanwhile is no damage."""
        for name, path in users:
            folder = self._root.folder(name)
            with contextlib.suppress(NotFoundError), _backup_set.reading(folder):
                try:
                    return sha256_of(os.path.join(folder, path)) == digest
                except OSError:
                    return False
        return True

    def _take_up(self, item, bad):
        self._cursor = item[0]
        self._read["bytes_read"] += item[1]
        if len(item) == 2:
            self._read["blobs"] += 1
            if bad:
                self._bad_blobs[item[0]] = bad
            else:
                self._right_blobs.add(item[0])
            return
        self._read["files"] += len(item[2])
        if not bad:
            self._right.add(item[0])
        for name, path in bad or ():
            self._damage.add_file(name, path, "damaged", item[0])
            self._wrong[item[0]] = path

    # --- noting ---

    def finish(self):
        """Note what was found and return what take_turn() does."""
        found, left = self._damage, self._round["left"] - 1
        bad = sorted({*self._round["bad"], *found.problems})
        verified = self._whole(bad) if left == 0 else []
        how = "in full" if self._parts == 1 else "in %d parts" % self._parts
        for name, problems in found.problems.items():
            self._findings.verified(name, how, problems)
        for name in verified:
            self._findings.verified(name, how, [])
        self._change_record()
        after = dict(self._round, cursor=self._cursor, left=left, bad=bad) if left else {}
        # Another run that was faster has noted what it read; then this turn was one too many, and no harm is done.
        self._findings.document(self._path, lambda state: after if state == self._before else state)
        summary = dict(
            self._read, stack=self._stack, parts=self._parts, part=self._parts - left, backups=len(self._backups),
            round_ended=left == 0, verified=verified, bad=bad, damaged=found.damaged)
        return dict(summary, message=_message(summary))

    def _whole(self, bad):
        """Return the backups that were there when the round began, and in which nobody has found anything bad since."""
        whole = []
        for name, mark in sorted(self._round["members"].items()):
            if name in bad or mark is None or self._members.get(name) != mark:
                continue
            known = _notes.read(self._root, name).get("verified") or {"ok": True}
            if known["ok"] or known["at"] < self._round["began"]:
                whole.append(name)
        return whole

    def _change_record(self):
        known = set(self._pool.record.read()["blobs"])
        wrong = {sha1 for sha1, problem in self._bad_blobs.items() if problem == "damaged"}
        files = {digest: path for digest, path in self._wrong.items() if digest not in self._damage.elsewhere}
        self._findings.damaged(self._stack, wrong=wrong, right=self._right_blobs & known, wrong_files=files,
                               right_files=self._right | self._damage.elsewhere)


def _mark(entry):
    """Return what tells a backup from another one that has its name later (str), or None if it is gone."""
    try:
        return "%r %d" % (entry["created"], os.lstat(entry["path"]).st_ino)
    except FileNotFoundError:
        return None


def _message(summary):
    """Return what a turn has read and found as a line (str), what matters most in front."""
    part = "part %(part)d of %(parts)d" % summary if summary["parts"] > 1 else "everything"
    read = "%s was read, %s and %s, %s" % (
        part, _count(summary["files"], "file"), _count(summary["blobs"], "stored file"), human(summary["bytes_read"]))
    if summary["damaged"]:
        return "Stack %s is DAMAGED: %s (%s)" % (summary["stack"], say(summary["damaged"]), read)
    text = "Stack %s: %s; nothing in it is damaged" % (summary["stack"], read)
    if summary["bad"]:
        text += ", but an earlier part of %s was" % few(summary["bad"])
    if summary["round_ended"]:
        text += "; with that all is read, and whole is: %s" % (few(summary["verified"]) or "no backup")
    return text


def _count(number, word):
    return "%d %s%s" % (number, word, "" if number == 1 else "s")
