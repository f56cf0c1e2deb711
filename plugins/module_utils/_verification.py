# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it means to verify backups: one in full, or all of them in turns; with a note of what was found."""
from __future__ import annotations

import os
import time

from . import _backup_set, _catalog, _manifest, _verify, _verify_parts
from ._damage import Damage, say
from ._errors import IntegrityError, NotFoundError, UsageError
from ._findings import Findings
from ._room import human

_HINT = "Take another backup, or fetch a good copy of these files."


def verify_one(root, name, stack, record=True):
    """Read a backup in full.

    :param root: _backup_set.Root. :param name, stack: see _backup_set.find().
    :param record: bool, whether what is found is noted.
    :returns: {"backup", "files" (count of files and blobs), "bytes_read", "stacks" (list of one, see verify_parts()),
        "damaged", "warnings"}.
    :raises: IntegrityError with problems, damaged and stacks if it is not whole; NotFoundError, UsageError.
    """
    backup = _backup_set.find(root, name, stack)
    findings = Findings(root, record)
    with findings.job(backup["stack"]) as ended, _backup_set.reading(backup["path"]):
        try:
            found = _verify.check(backup["path"], record)
        except IntegrityError:  # so damaged that the files cannot even be named
            findings.verified(backup["name"], "in full", [{"path": _manifest.FILENAME, "problem": "damaged"}])
            raise
        damage = _damage_of(root, backup, found)
        for other, problems in damage.problems.items():
            if other != backup["name"]:
                findings.verified(other, "partly", problems)
        findings.verified(backup["name"], "in full", found.problems)
        findings.damaged(backup["stack"], right_files=damage.elsewhere)
        summary = _summary(backup, found, damage)
        if found.problems:
            message = "The backup in %s is damaged: %s" % (backup["path"], say(damage.damaged))
            raise IntegrityError(message, _HINT, problems=found.problems, damaged=damage.damaged, stacks=[summary])
        ended(True, summary["message"])
    return {"backup": backup, "files": found.count, "bytes_read": found.bytes, "stacks": [summary], "damaged": [],
            "warnings": findings.warnings}


def _summary(backup, found, damage):
    message = "Backup %s of stack %s %s: %d files in %s, %s read" % (
        backup["name"], backup["stack"], "is DAMAGED" if found.problems else "is whole", found.count, backup["path"],
        human(found.bytes))
    return {"stack": backup["stack"], "backups": 1, "part": 1, "parts": 1, "files": len(found.expected),
            "blobs": found.count - len(found.expected), "bytes_read": found.bytes, "round_ended": True,
            "verified": [] if found.problems else [backup["name"]],
            "bad": sorted(damage.problems), "damaged": damage.damaged, "message": message}


def _damage_of(root, backup, found):
    """Return the Damage of one backup. :param found: _verify.Found."""
    damage = Damage(root, backup["stack"])
    prefix = os.path.join("..", "..", "pools", "")
    for one in found.problems:
        if not one["path"].startswith(prefix) and not one["problem"].endswith("more missing or damaged"):
            damage.add_file(backup["name"], one["path"], one["problem"], found.expected.get(one["path"]))
    damage.add_blobs(found.blobs)
    return damage


def verify_parts(root, stack, parts, record=True):
    """Read the next part of the backups of a stack, or of each stack.

    :param stack: str, or None for all. :param parts: int, in how many turns everything is read.
    :returns: {"stacks" (list, see _verify_parts.take_turn()), "files" (count of files and blobs), "bytes_read",
        "damaged", "warnings"}.
    :raises: IntegrityError with damaged and stacks if anything is not whole; NotFoundError.
    """
    if parts < 1:
        raise UsageError("parts is %d" % parts, "Give in how many turns everything is to be read, 1 or more.")
    entries = [entry for entry in _catalog.survey(root) if entry["backup"] or entry["state"] == _catalog.BROKEN]
    known = sorted({entry["stack"] for entry in entries if entry["stack"]})
    names = [one for one in known if stack in (None, one)]
    if not names:
        raise NotFoundError("There is no backup%s in %s" % (" of stack '%s'" % stack if stack else "", root.backups),
                            "There are some of: %s." % ", ".join(known) if known else None)
    findings = Findings(root, record)
    summaries = [_take_turn(findings, one, [entry for entry in entries if entry["stack"] == one], parts)
                 for one in names]
    nobodys = [] if stack else [_described(entry) for entry in entries if entry["stack"] is None]
    damaged = [one for summary in summaries for one in summary["damaged"]] + nobodys
    result = {"stacks": summaries, "files": sum(one["files"] + one["blobs"] for one in summaries),
              "bytes_read": sum(one["bytes_read"] for one in summaries), "damaged": damaged}
    if damaged:
        lost = ["Broken, and no stack is known of it: %s" % say(nobodys)] if nobodys else []
        said = [one["message"] for one in sorted(summaries, key=lambda one: not one["damaged"])]
        raise IntegrityError(". ".join(said + lost), _HINT, **result)
    return dict(result, warnings=findings.warnings)


def _take_turn(findings, stack, entries, parts):
    with findings.job(stack) as ended:
        summary = _verify_parts.take_turn(findings, stack, entries, parts, time.time())
        ended(not summary["damaged"], summary["message"])
    return summary


def _described(entry):
    return {"path": os.path.join("backups", entry["name"]), "problem": entry["reason"], "needed_by": [entry["name"]],
            "good_copy": "no other copy is known"}
