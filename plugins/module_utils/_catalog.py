# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: everything that lies where backups are, each as what it is. Nothing in there makes it fail."""
from __future__ import annotations

import os

from . import _backup_set, _manifest, _notes
from ._errors import BackupError
from ._pool import DamagedRecord
from ._verify import METADATA

# complete: a backup that lacks nothing and is not known to be bad. incomplete: made although files were missing.
# damaged: known to be bad. broken: its manifest or its metadata cannot be read. partial: still being made, or left by a
# run that died, or what is left of one that was being removed. foreign: anything else that somebody has put there.
COMPLETE, INCOMPLETE, DAMAGED, BROKEN, PARTIAL, FOREIGN = STATES = (
    "complete", "incomplete", "damaged", "broken", "partial", "foreign")


def survey(root):
    """Return what lies in the folder of backups (list of dict), oldest first.

    :param root: _backup_set.Root.
    :returns: dicts with name (str), path (str), state (of STATES), reason (str: why it is not complete, or None), stack
        (str or None), created (seconds since the epoch; for what does not tell, when its folder was last changed),
        backup (its metadata, dict, {} for broken, partial and foreign), note (see _notes, dict) and, if it is partial,
        alive (bool: is somebody at work on it).
    """
    try:
        names = os.listdir(root.backups)
    except FileNotFoundError:
        return []
    damaged, found = _Damaged(root), []
    for name in names:
        path = os.path.join(root.backups, name)
        try:
            changed = os.lstat(path).st_mtime
        except FileNotFoundError:
            continue  # gone since
        entry = {"name": name, "path": path, "reason": None, "stack": None, "created": changed}
        entry.update(backup={}, note={})
        found.append(dict(entry, **_described(root, name, path, damaged)))
    return sorted(found, key=lambda one: (one["created"], one["name"]))


def backups(root):
    """Return those entries of survey() that are backups whose metadata can be read: complete, incomplete, damaged."""
    return [entry for entry in survey(root) if entry["backup"]]


def _described(root, name, path, damaged):
    partial = _backup_set.partial_of(name)
    if partial is not None:
        return _partial(root, *partial)
    removed = _backup_set.removed_of(name)
    if removed is not None:
        return {"name": removed, "state": PARTIAL, "alive": False,
                "reason": "it is what is left of a backup that a clean-up was removing"}
    files = (os.path.join(path, file) for file in (_manifest.FILENAME, METADATA))
    if name.startswith(".") or os.path.islink(path) or not any(map(os.path.isfile, files)):
        return {"state": FOREIGN, "reason": "it is no backup"}
    try:
        backup = _backup_set.load(path)
        note = _notes.read(root, name)
        if backup.get("name") != name:
            return {"state": BROKEN, "reason": "it was made under the name '%s'" % backup.get("name")}
        return {"stack": str(backup["stack"]), "created": backup["created"], "backup": backup, "note": note,
                **_state(backup, note, damaged)}
    except BackupError as error:
        return {"state": BROKEN, "reason": error.message}


def _partial(root, mark, name):
    stack = _backup_set.stack_of(root, mark)
    holder = root.lock(stack).holder() if stack else None
    alive = holder is not None and holder.get("purpose") == "backup" and holder.get("name") == name
    return {"name": name, "state": PARTIAL, "stack": stack, "alive": alive,
            "reason": "it is being made" if alive else "the run that made it has died"}


def _state(backup, note, damaged):
    verified = note.get("verified") or {}
    if verified.get("ok") is False:
        return {"state": DAMAGED, "reason": "%d problems found: %s" % (
            len(verified["problems"]), ", ".join("%(path)s (%(problem)s)" % one for one in verified["problems"][:3]))}
    bad = damaged.of(backup)
    files = [artefact["file"] for artefact in backup.get("artefacts") or [] if artefact.get("sha256") in bad]
    if files:
        return {"state": DAMAGED, "reason": "known to be damaged: %s" % ", ".join(files[:3])}
    if not backup.get("complete", True):
        return {"state": INCOMPLETE, "reason": "; ".join(map(str, backup.get("incomplete") or ())) or "not complete"}
    return {"state": COMPLETE}


class _Damaged:
    """The SHA-256 of archives that are known to be damaged, stack by stack."""

    def __init__(self, root):
        self._root, self._known = root, {}

    def of(self, backup):
        stack = backup["stack"]
        if stack not in self._known:
            record = DamagedRecord(os.path.join(os.path.dirname(self._root.pool(stack)), "damaged.json"))
            self._known[stack] = set(record.read()["files"])
        return self._known[stack]
