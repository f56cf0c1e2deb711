# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: everything that lies where backups are, each as what it is. Nothing in there makes it fail."""
from __future__ import annotations

import os
import stat

from . import _backup_set, _json_file, _manifest, _metadata, _naming, _notes
from ._errors import BackupError, IntegrityError
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
    damaged, found, partial = _Damaged(root), [], []
    for name in names:
        path = os.path.join(root.backups, name)
        try:
            changed = os.lstat(path).st_mtime
        except FileNotFoundError:
            continue  # gone since
        entry = {"name": name, "path": path, "reason": None, "stack": None, "created": changed}
        entry.update(backup={}, note={})
        of = _backup_set.partial_of(name)
        if of is None:
            found.append(dict(entry, **_described(root, name, path, damaged)))
        else:
            partial.append((entry, of))
    known = [entry["backup"] for entry in found if entry["backup"]]
    found += [dict(entry, **_partial(root, known, *of)) for entry, of in partial]
    return sorted(found, key=lambda one: (one["created"], one["name"]))


def backups(root):
    """Return those entries of survey() that are backups whose metadata can be read: complete, incomplete, damaged."""
    return [entry for entry in survey(root) if entry["backup"]]


def _described(root, name, path, damaged):
    removed = _backup_set.removed_of(name)
    if removed is not None:
        return {"name": removed, "state": PARTIAL, "alive": False,
                "reason": "it is what is left of a backup that a clean-up was removing"}
    try:
        foreign = _foreign(name, path)
        if foreign:
            return {"state": FOREIGN, "reason": foreign}
        backup = _backup_set.load(path)
        note = _notes.read(root, name)
        if backup.get("name") != name:
            return {"state": BROKEN, "reason": "it was made under the name '%s'" % backup.get("name")}
        return {"stack": backup["stack"], "created": backup["created"], "backup": backup, "note": note,
                **_state(backup, note, damaged)}
    except BackupError as error:
        return dict({"state": BROKEN, "reason": error.message}, **_left(path))
    except OSError as error:
        return {"state": BROKEN, "reason": "it cannot be read: %s" % (error.strerror or error)}


def _foreign(name, path):
    """Return why something is no backup at all (str), or None. :raises: OSError, BackupError."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISDIR(mode):
        return "it is a symbolic link" if stat.S_ISLNK(mode) else "it is a file"
    if name.startswith("."):
        return "it is hidden"
    modes = list(filter(None, (_mode(os.path.join(path, file)) for file in (_manifest.FILENAME, METADATA))))
    if not any(map(stat.S_ISREG, modes)):
        return "it has neither %s nor %s" % (METADATA, _manifest.FILENAME)
    if not all(map(stat.S_ISREG, modes)):
        raise IntegrityError("%s or %s in it is no file" % (METADATA, _manifest.FILENAME))
    return None


def _mode(path):
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None


def _left(path):
    """Return what of stack and time can still be read of a broken backup (dict)."""
    document = _json_file.read(os.path.join(path, METADATA))
    kept = {"stack": _naming.is_name, "created": _metadata.is_time}
    return {key: document[key] for key, right in kept.items() if right(document.get(key))}


def _partial(root, known, mark, name):
    stack = _backup_set.stack_of(root, mark, known)
    holder = root.lock(stack).holder() if stack else None
    alive = holder is not None and holder.get("purpose") in ("backup", "copy") and (
        holder.get("name") == name.removesuffix(".blobs"))  # see _copy_fetch
    return {"name": name, "state": PARTIAL, "stack": stack, "alive": alive,
            "reason": "it is being made" if alive else "the run that made it has died"}


def _state(backup, note, damaged):
    verified = note.get("verified") or {}
    if verified.get("ok") is False:
        problems = ["%(path)s (%(problem)s)" % one for one in verified["problems"]]
        return {"state": DAMAGED, "reason": _few(problems) or "something in it is damaged"}
    bad = damaged.of(backup)
    files = [artefact["file"] for artefact in backup.get("artefacts") or () if artefact.get("sha256") in bad]
    if files:
        return {"state": DAMAGED, "reason": "known to be damaged: %s" % _few(files)}
    if not backup.get("complete", True):
        return {"state": INCOMPLETE, "reason": "; ".join(_reasons(backup)) or "not complete"}
    return {"state": COMPLETE}


def _few(texts, most=3):
    more = " and %d more" % (len(texts) - most) if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _reasons(backup):
    reasons = backup.get("incomplete")
    return map(str, reasons) if isinstance(reasons, list) else ()


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
