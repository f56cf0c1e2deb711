# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies: other storage that holds backups of a root. What a copy is to hold, in which order, and what became of it.

_copy_kinds makes a copy of each kind from its options; what is here is the same for all.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import time

from . import _catalog, _copy_sites, _manifest, _naming, _notes, _outcome, _retention
from ._errors import BackupError, CommandError, ExistsError, IntegrityError, LockedError, NotFoundError
from ._stream import sha256_of


def offer(root, stack=None):
    """Return what copies may hold.

    :param root: _backup_set.Root. :param stack: str, only this one; None for all.
    :returns: {"backups": [{"name", "stack", "created" (seconds), "manifest" (SHA-256), "site"} ...], the oldest first,
        complete and not known to be bad; "pinned": {name: reason}; "stacks": names of all stacks with a backup;
        "sites": {stack: the site of its newest backup of which that is known}, see _copy_sites; "left_out": {stack:
        names of backups of another site, which are not in "backups"}}.
    """
    entries = [entry for entry in _catalog.backups(root) if stack in (None, entry["stack"])]
    known = [(entry["stack"], _copy_sites.of(entry["backup"])) for entry in entries]
    sites = {of: site for of, site in known if site}
    backups, left_out = [], {}
    for entry, (of, site) in zip(entries, known):
        if entry["state"] != _catalog.COMPLETE:
            continue
        if _copy_sites.differ(site, sites.get(of)):
            # Mixed in a copy, the rules for what stays there would set the one site's against the other's.
            left_out.setdefault(of, []).append(entry["name"])
            continue
        with contextlib.suppress(FileNotFoundError):  # removed just now
            backups.append({"name": entry["name"], "stack": of, "created": entry["created"], "site": site,
                            "manifest": sha256_of(os.path.join(entry["path"], _manifest.FILENAME))})
    pinned = {entry["name"]: entry["note"]["pinned"].get("reason") or "" for entry in entries
              if entry["note"].get("pinned")}
    return {"backups": backups, "pinned": pinned, "stacks": sorted({entry["stack"] for entry in entries}),
            "sites": sites, "left_out": left_out}


def plan(backups, there, pinned, policy, last):
    """Say what is to be done for one stack. Pure.

    What the policy would remove at once is not copied, so that a second run has nothing to do.

    :param backups: list of dict as offer() gives them, of one stack.
    :param there: list of dict of what the copy has of the stack, with name, created, manifest.
    :param pinned: dict of name to reason. :param policy: _retention.Policy, None if nothing is ever removed.
    :param last: how many of the newest backups are copied, 0 for all.
    :returns: (names to copy, the oldest first; names to remove).
    :raises: ExistsError if a name means another backup there.
    """
    held = {one["name"]: one for one in there}
    for one in backups:
        other = held.get(one["name"])
        if other is not None and other["manifest"] != one["manifest"]:
            raise ExistsError(
                "The copy has another backup that is named '%s', too" % one["name"],
                "Give each host a path or a repository of its own.")
    chosen = backups[-last:] if last else backups
    missing = [one for one in chosen if one["name"] not in held]
    if policy is None:
        return [one["name"] for one in missing], []
    candidates = [
        _retention.Candidate(one["name"], one["created"], one.get("complete", True), "incomplete",
                             pinned.get(one["name"])) for one in there + missing
    ]
    kept = {decision.name for decision in _retention.decide(candidates, policy) if decision.keep}
    return [one["name"] for one in missing if one["name"] in kept], sorted(set(held) - kept)


def replicate(copy, offered, last=0, check_mode=False):
    """Bring a copy up to date.

    :param copy: a copy, see _copy_kinds. :param offered: dict as offer() gives it. :param last: see plan().
    :returns: {"name", "kind", "where", "copied", "removed" (lists of names), "blobs_removed" (int), "there" (names of
        the offered stacks' backups that are in it now), "problems" (list of {"stack" (None: all), "message"})}.
    """
    result = _nothing_done(copy.name, copy.kind, copy.where)
    try:
        if not check_mode:
            copy.prepare()
        there = copy.list()
        for stack in offered["stacks"]:
            _replicate_stack(copy, stack, offered, there, last, check_mode, result)
        if result["copied"] or result["removed"]:
            there = there if check_mode else copy.list()
        result["there"] = sorted(name for name, entry in there.items() if entry["stack"] in offered["stacks"])
    except (BackupError, OSError) as error:
        result["problems"].append({"stack": None, "message": _said(copy.name, error)})
    return result


def _replicate_stack(copy, stack, offered, there, last, check_mode, result):
    def todo(entries):
        held = [one for one in entries.values() if one["stack"] == stack]
        _copy_sites.require_own(offered["sites"].get(stack), stack, held, copy.kind)
        return plan([one for one in offered["backups"] if one["stack"] == stack], held, offered["pinned"], copy.policy,
                    last)

    try:
        missing, surplus = todo(there)
        if check_mode:
            result["copied"] += missing
            result["removed"] += surplus
        if check_mode or not (missing or surplus):
            return
        with copy.taken(stack):
            there = copy.list()
            missing, surplus = todo(there)
            complete = _add(copy, stack, missing, offered, there, result)
            if surplus and complete:
                result["blobs_removed"] += copy.remove(stack, [there[name] for name in surplus])
                result["removed"] += surplus
    except (ExistsError, LockedError) as error:
        result["problems"].append({"stack": stack, "message": _said(copy.name, error)})


def _add(copy, stack, missing, offered, there, result):
    """Copy backups, the oldest first; one that is bad or gone does not keep the others. Return True if none was."""
    known = {one["name"]: one for one in offered["backups"]}
    earlier = [one for one in there.values() if one["stack"] == stack]
    complete, added = True, []
    for name in missing:
        try:
            with copy.reading(name):
                names = [one["name"] for one in sorted(earlier, key=lambda one: one["created"])]
                named = copy.add(known[name], names, missing)
            earlier.append(known[name])
            (result["copied"] if named else added).append(name)
        except (IntegrityError, NotFoundError) as error:
            complete = False
            result["problems"].append({"stack": stack, "message": _said(copy.name, error)})
    copy.finish()
    result["copied"] += added
    return complete


def _said(name, error):
    described = error if isinstance(error, BackupError) else CommandError("%s: %s" % (error.filename, error.strerror))
    return "copy '%s': %s" % (name, described.describe())


def replicate_all(folder, copies, opened, offered, last, check_mode):
    """Bring copies up to date, one after the other; one that fails does not keep the others.

    :param folder: str, below which it is noted that a run works on a copy; None for the folder of the copy itself.
    :param copies: list of dict, the options. :param opened: function that is given the options of one and a descriptor,
        see running(), and returns the copy. :returns: list of dict as replicate() returns them.
    """
    results = []
    if not offered["stacks"]:  # nothing to copy, and nothing is made for it
        return [_nothing_done(options["name"], options["kind"], "") for options in copies]
    for options in copies:
        with contextlib.ExitStack() as cleanup:
            try:
                fd = None if check_mode else cleanup.enter_context(running(folder or options["path"], options["name"]))
                results.append(replicate(opened(options, fd), offered, last, check_mode))
            except (BackupError, OSError) as error:
                failed = _nothing_done(options["name"], options["kind"], "")
                results.append(dict(failed, problems=[{"stack": None, "message": _said(options["name"], error)}]))
    return results


def _nothing_done(name, kind, where):
    return {"name": name, "kind": kind, "where": where, "copied": [], "removed": [], "blobs_removed": 0, "there": [],
            "problems": []}


def changed(results):
    """True if anything was done, by the results (list of dict) of replicate_all()."""
    return any(result["copied"] or result["removed"] for result in results)


def require_success(results):
    """Raise CommandError that carries the results as "copies" if there is any problem in them."""
    problems = [problem["message"] for result in results for problem in result["problems"]]
    if problems:
        raise CommandError(" ".join(problems), copies=results, changed=changed(results))


def note(root, stacks, results, checked):
    """Keep in the notes of each backup where copies of it are. Return True if that changed anything.

    :param stacks: names of the stacks that the results are about.
    :param results: list of dict as replicate() returns them. :param checked: seconds since the epoch.
    """
    changed = False
    for entry in _catalog.backups(root):
        for result in results if entry["stack"] in stacks else ():
            if any(problem["stack"] is None for problem in result["problems"]):
                continue  # nobody knows what is there
            if entry["name"] not in result["there"]:
                changed |= _notes.forget_copy(root, entry["name"], result["name"])
            elif result["name"] not in (entry["note"].get("copies") or {}) or entry["name"] in result["copied"]:
                _notes.set_copy(root, entry["name"], result["name"], result["kind"], result["where"], checked)
                changed = True
    return changed


def set_outcomes(root, stacks, results, began):
    """Note for each stack what became of this run. Return warnings (list of str) if that cannot be done.

    :param began: seconds since the epoch.
    """
    warnings = []
    backups = {entry["name"]: entry["stack"] for entry in _catalog.backups(root)}
    for stack in stacks:
        problems = [problem["message"] for result in results for problem in result["problems"]
                    if problem["stack"] in (None, stack)]
        done = "; ".join("%s: %s" % (result["name"], summary(result, [
            name for name in result["copied"] if backups.get(name) == stack])) for result in results)
        warnings += _outcome.note(root, stack, "replicate", not problems, " ".join(problems) or done,
                                  round(max(0.0, time.time() - began), 3))
    return warnings


def summary(result, copied=None):
    """Return what was done with a copy as text (str)."""
    copied = result["copied"] if copied is None else copied
    parts = ["%d copied" % len(copied)] if copied else []
    if result["removed"]:
        parts.append("%d removed" % len(result["removed"]))
    return ", ".join(parts) or "up to date"


@contextlib.contextmanager
def running(root, name):
    """Let one run at a time on this host work on a copy. Gives the descriptor that its processes have to inherit:
    should this process be killed, the copy stays taken until they have ended, too.

    :param root: str, the folder in whose locks/ it is noted. :param name: str, of the copy. :raises: LockedError.
    """
    folder = os.path.join(root, "locks")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    fd = os.open(os.path.join(folder, "copy_%s.running" % _naming.check_name(name, "copy")),
                 os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError("Another run works on the copy '%s' right now" % name,
                              "Run this again when it has ended.") from None
        yield fd
    finally:
        os.close(fd)
