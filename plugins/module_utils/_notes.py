# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a backup beside itself, which never changes, and what became of the last run of each job.

notes/<backup>.json below the root, all keys optional:
    "pinned":   {"at": seconds, "reason": str}
    "verified": {"at": seconds, "how": str, "ok": bool, "problems": [{"path", "problem"} ...] (the first ones)}
    "copies":   {name of the copy: {"kind": str, "where": str, "at": seconds}}
outcomes/<stack>.json: {job: {"at": seconds, "ok": bool, "message": str, "seconds": float}}, a job is one of JOBS.
Seconds are those since the epoch (float).
"""
from __future__ import annotations

import contextlib
import os

from . import _json_file, _naming
from ._metadata import is_number, is_time

JOBS = ("backup", "verify", "cleanup", "replicate", "restore")
_EXAMPLES = 20  # problems that are kept
_LONGEST = 2000  # characters of a message that are kept


def path_of(root, name):
    """Return where the note of a backup is or would be (str). :param root: _backup_set.Root."""
    return os.path.join(root.path, "notes", "%s.json" % _naming.check_name(name))


def read(root, name):
    """Return what is noted of a backup (dict, perhaps empty). What somebody has spoilt is left out, but for a pin."""
    return _sound(_json_file.read(path_of(root, name)))


def _sound(note):
    """Return those parts of a note of which the values have the types that they should have."""
    found = {}
    if note.get("pinned"):
        pin = note["pinned"] if isinstance(note["pinned"], dict) else {}
        reason = pin.get("reason")
        found["pinned"] = {"at": pin["at"] if is_time(pin.get("at")) else 0.0,
                           "reason": reason if isinstance(reason, str) else ""}
    verified = note.get("verified")
    if isinstance(verified, dict) and is_time(verified.get("at")) and isinstance(verified.get("ok"), bool):
        problems = verified.get("problems")
        found["verified"] = dict(verified, how=str(verified.get("how", "")), problems=[
            one for one in (problems if isinstance(problems, list) else []) if isinstance(one, dict)
            and isinstance(one.get("path"), str) and isinstance(one.get("problem"), str)])
    copies = note.get("copies")
    if isinstance(copies, dict):
        sound = {name: copy for name, copy in copies.items() if isinstance(copy, dict) and is_time(copy.get("at"))
                 and isinstance(copy.get("kind"), str) and isinstance(copy.get("where"), str)}
        found.update({"copies": sound} if sound else {})
    return found


def set_pinned(root, name, seconds, reason=""):
    """Note that a backup is to stay. Return True if it was not pinned, or for another reason."""
    before = read(root, name).get("pinned")
    if before and before.get("reason") == reason:
        return False
    _change(root, name, lambda note: dict(note, pinned={"at": seconds, "reason": reason}))
    return True


def set_unpinned(root, name):
    """Forget that a backup is to stay. Return True if it was pinned."""
    if "pinned" not in read(root, name):
        return False
    _change(root, name, lambda note: {key: value for key, value in note.items() if key != "pinned"})
    return True


def set_verified(root, name, seconds, how, problems):
    """Note what reading a backup has found. :param how: str, such as "in full". :param problems: list, as _verify's."""
    found = {"at": seconds, "how": how, "ok": not problems, "problems": problems[:_EXAMPLES]}
    _change(root, name, lambda note: dict(note, verified=found))


def set_copy(root, name, copy, kind, where, seconds):
    """Note that a checked copy of a backup exists elsewhere."""
    entry = {"kind": kind, "where": where, "at": seconds}
    _change(root, name, lambda note: dict(note, copies=dict(note.get("copies") or {}, **{copy: entry})))


def forget_copy(root, name, copy):
    """Note that a copy is not there any more. Return True if it was noted."""
    if copy not in (read(root, name).get("copies") or {}):
        return False

    def without(note):
        left = {key: value for key, value in note["copies"].items() if key != copy}
        rest = {key: value for key, value in note.items() if key != "copies"}
        return dict(rest, copies=left) if left else rest

    _change(root, name, without)
    return True


def forget(root, name):
    """Forget all that is noted of a backup that is gone."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(root, name))


def _change(root, name, change):
    _json_file.update(path_of(root, name), change)


def outcomes(root, stack):
    """Return what became of the last run of each job of a stack (dict). What somebody has spoilt is left out."""
    found = _json_file.read(_outcomes_path(root, stack))
    return {job: found[job] for job in JOBS if _is_outcome(found.get(job))}


def _is_outcome(value):
    return (isinstance(value, dict) and is_time(value.get("at")) and isinstance(value.get("ok"), bool)
            and isinstance(value.get("message"), str)
            and (value.get("seconds") is None or is_number(value["seconds"])))


def set_outcome(root, stack, job, seconds, ok, message, duration=None):
    """Note what became of a run.

    :param job: one of JOBS. :param seconds: float, when it ended. :param ok: bool. :param message: str, for people.
    :param duration: seconds that it took, or None.
    """
    entry = {"at": seconds, "ok": ok, "message": message[:_LONGEST], "seconds": duration}
    _json_file.update(_outcomes_path(root, stack), lambda document: dict(document, **{job: entry}))


def _outcomes_path(root, stack):
    return os.path.join(root.path, "outcomes", "%s.json" % _naming.check_name(stack, "stack"))
