# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator wants to know of the backups of a host: each of them, and each stack, in words and numbers.

Nothing in here is trusted: metadata may be of an older version, or spoilt, and names may be anything.
"""
from __future__ import annotations

import collections
import datetime
import os

from . import _backup_set, _catalog, _disk_usage, _hash_list, _naming, _notes, _references
from ._errors import BackupError
from ._metadata import is_number

_LONGEST = 300  # characters of a text that are shown
_BACKUPS = (_catalog.COMPLETE, _catalog.INCOMPLETE, _catalog.DAMAGED, _catalog.BROKEN)  # those that have a number


def describe(root, now, name=None, stack=None, save=True):
    """Return all that is known of the backups of a host (dict, as backup_info returns it).

    :param root: _backup_set.Root. :param now: seconds since the epoch.
    :param name: str, only this backup, "latest" for the newest good one of each stack, or None for all.
    :param stack: str, only what belongs to it, or None for all.
    :param save: bool, whether the index of the pool may be brought up to date (see _references).
    """
    everything = _catalog.survey(root)
    pools, warnings = _pools(root, everything, save)
    usages = [_disk_usage.usage(entry["path"]) for entry in everything]
    rows = [_row(entry, files, pools.get(entry["stack"]), now) for entry, files in zip(everything, usages)]
    for number, row in enumerate((row for row in rows if row["state"] in _BACKUPS), 1):
        row["number"] = number
    _mark_newest(rows)
    known = set(_backup_set.stacks(root, [entry["backup"] for entry in everything if entry["backup"]]))
    known |= {row["stack"] for row in rows if row["stack"]}
    of_stack = {one: [(row, files) for row, files in zip(rows, usages) if row["stack"] == one]
                for one in known if stack in (None, one)}
    stacks = [_stack(root, one, of_stack[one], pools.get(one), now) for one in sorted(of_stack)]
    inside = [(row, files) for row, files in zip(rows, usages) if stack in (None, row["stack"])]
    return {
        "root": root.path, "exists": os.path.isdir(root.path), "time": iso(now), "stacks": stacks,
        "backups": [row for row, _files in inside if _is_asked_for(row, name)],
        "count": sum(1 for row, _files in inside if row["state"] in _BACKUPS),
        "size": _together(files for _row, files in inside) + sum(one["pool"]["bytes"] for one in stacks),
        "warnings": warnings,
    }


def _pools(root, everything, save):
    """Return ({stack: what _references.refresh() gives}, warnings)."""
    of_stack = collections.defaultdict(list)
    for entry in everything:
        if entry["backup"]:
            of_stack[entry["stack"]].append(entry)
    pools, warnings = {}, []
    for stack, entries in of_stack.items():
        try:
            pools[stack] = _references.refresh(root, stack, entries, save)
        except (BackupError, OSError) as error:
            warnings.append("What the backups of stack '%s' need of the pool cannot be told: %s" % (
                stack, getattr(error, "message", error)))
    return pools, warnings


def _is_asked_for(row, name):
    return name is None or row["name"] == name or (name == _naming.LATEST and row["newest"])


def _mark_newest(rows):
    """Mark the newest good backup of each stack."""
    seen = set()
    for row in reversed(rows):
        row["newest"] = row["state"] == _catalog.COMPLETE and row["stack"] not in seen
        if row["newest"]:
            seen.add(row["stack"])


# --- one backup -----------------------------------------------------------------------------------------------------


def _row(entry, files, pool, now):
    backup, note = entry["backup"], entry["note"]
    listed = _artefact(backup, "filedir")
    pooled = listed.get("file") == _hash_list.FILENAME
    size, frees = _disk_usage.taken(files), _disk_usage.freed(files)
    if pooled and size is not None:
        needed = listed.get("bytes")
        size = size + needed if is_number(needed) else None
        own = pool and entry["name"] not in pool["unreadable"] and pool["own"].get(entry["name"])
        frees = frees + own if is_number(own) else None
    return {
        "number": None, "name": clean(entry["name"], 0), "path": clean(entry["path"], 0), "stack": entry["stack"],
        "state": entry["state"], "reason": clean(entry["reason"]), "alive": entry.get("alive", False), "newest": False,
        "created": iso(entry["created"]), "age": _age(entry["created"], now), "size": size, "frees": frees,
        "setup": _setup(backup, listed, pooled) if backup else None,
        "database": text(backup, "database", "name"),
        "database_version": text(_artefact(backup, "database"), "server_version"),
        "moodle": text(backup, "moodle", "release"), "address": text(backup, "moodle", "wwwroot"),
        "site": text(backup, "site", "fullname") or text(backup, "page", "title"),
        "verified": _verified(note.get("verified"), now), "pinned": _pinned(note.get("pinned")),
        "copies": [{"name": clean(copy), "kind": clean(found["kind"]), "where": clean(found["where"]),
                    "time": iso(found["at"])} for copy, found in sorted((note.get("copies") or {}).items())],
    }


def _artefact(backup, role):
    """Return the first artefact (dict) of a backup with a role, {} if there is none."""
    return next((one for one in backup.get("artefacts") or () if one.get("role") == role), {})


def _setup(backup, listed, pooled):
    containers = backup.get("containers")
    return {
        "kind": "compose" if text(backup, "compose", "project") else "containers",
        "project": text(backup, "compose", "project"),
        "containers": len(containers) if isinstance(containers, list) else None,
        "mode": text(backup, "mode"),
        "files": ("pool" if pooled else "self-contained") if listed else None,
    }


def _verified(found, now):
    if not found:
        return None
    problems = [{"path": clean(one["path"]), "problem": clean(one["problem"])} for one in found["problems"]]
    return {"time": iso(found["at"]), "age": _age(found["at"], now), "how": clean(found["how"]), "ok": found["ok"],
            "problems": problems}


def _pinned(found):
    return {"time": iso(found["at"]), "reason": clean(found["reason"])} if found else None


# --- one stack ------------------------------------------------------------------------------------------------------


def _stack(root, stack, mine, pool, now):
    """:param mine: list of (row, what _disk_usage.usage() gives) of the stack."""
    rows = [row for row, _files in mine]
    newest = next((row for row in rows if row["newest"]), None)
    holder = root.lock(stack).holder()
    unfinished = _backup_set.read_record(root, stack) or {}
    blobs, needed = (pool["blobs"], pool["bytes"]) if pool else (0, 0)
    return {
        "name": stack,
        "count": sum(1 for row in rows if row["state"] in _BACKUPS),
        "states": dict(collections.Counter(row["state"] for row in rows)),
        "size": _together(files for _row, files in mine) + needed,
        "pool": {"blobs": blobs, "bytes": needed},
        "newest": {key: newest[key] for key in ("number", "name", "created", "age")} if newest else None,
        "outcomes": {job: {"time": iso(found["at"]), "age": _age(found["at"], now), "ok": found["ok"],
                           "message": clean(found["message"]), "seconds": found.get("seconds")}
                     for job, found in _notes.outcomes(root, stack).items()},
        "at_work": "%s '%s'" % (text(holder, "purpose"), text(holder, "name")) if holder else None,
        "unfinished_restore": text(unfinished, "backup"),
    }


def _together(usages):
    """Return the bytes (int) of files, each counted once. What could not be looked at counts nothing."""
    found = {}
    for files in usages:
        found.update(files or {})
    return _disk_usage.taken(found)


# --- values ---------------------------------------------------------------------------------------------------------


def clean(value, longest=_LONGEST):
    """Return a text as one that can be printed on any terminal and written as JSON (str), or None for None.

    :param longest: characters; 0 for no limit.
    """
    if value is None:
        return None
    readable = str(value).encode("utf-8", "replace").decode()  # names of files may hold bytes that are no UTF-8
    readable = "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in readable)
    return readable if not longest or len(readable) <= longest else readable[:longest - 3] + "..."


def text(document, *keys):
    """Return what is below keys in nested dicts as a text (str), or None if there is no text and no number."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return clean(document) if isinstance(document, str) or is_number(document) else None


def iso(seconds):
    """Return a time as the host's local time with its offset (str)."""
    try:
        moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
        return moment.astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "?"


def _age(seconds, now):
    """Return how many seconds ago something was (int); what a clock that was set back left in the future is 0."""
    return max(0, int(now - seconds))
