# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which site the backups in a copy are, so that hosts do not take each other's for their own. Pure.

Two hosts may have stacks of the same name. What tells their sites apart is the identifier that Moodle makes at random
for each; a site keeps it when it is moved or restored. With a copy goes a digest of it, "site". None means that nobody
knows: an older version has made the copy, or the site was not asked when the backup was made.
"""
from __future__ import annotations

import hashlib
import re
import time

from ._errors import AmbiguousError, ExistsError

_DIGEST = re.compile(r"[0-9a-f]{16}\Z")


def digest(identifier):
    """Return the digest (str) of a site's identifier, or None if this value of any type is none."""
    if not isinstance(identifier, str) or not identifier:
        return None
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def of(backup):
    """Return the site of a backup (str or None). :param backup: dict, its metadata."""
    site = backup.get("site")
    return digest(site.get("siteidentifier")) if isinstance(site, dict) else None


def checked(text):
    """Return what somebody says to be a digest (of any type) if it can be one, or None."""
    return text if isinstance(text, str) and _DIGEST.match(text) else None


def differ(one, other):
    """True if two sites (str or None) are known to be different ones."""
    return one is not None and other is not None and one != other


def require_own(site, stack, there, kind):
    """Raise ExistsError if a copy has backups of another site, which this host must neither remove nor add to.

    :param site: str or None, of this host's stack. :param stack: str.
    :param there: list of dict of what the copy has of the stack, with name, created, site. :param kind: str, of copy.
    """
    others = [one for one in there if differ(site, one.get("site"))]
    if not others:
        return
    one = max(others, key=lambda other: other["created"])
    gone = "remove them from backups/ there"
    if kind == "restic":
        gone = "find them with 'restic snapshots --tag stack=%s,site=%s' and give their IDs to 'restic forget --prune'"
        gone %= (stack, one["site"])
    raise ExistsError(
        "It has backups of another site whose stack is named '%s', too (%d, the newest is '%s'). That is site %s, and"
        " here is site %s, so nothing of this stack was copied or removed" % (
            stack, len(others), one["name"], one["site"], site),
        "Give each host a repository or a path of its own, with the name of the host in it ('{{ inventory_hostname"
        " }}'), or its stack another name (moodle_backup_stack). If the other site was given up and nobody wants its"
        " copies, %s." % gone)


def require_one(stack, found):
    """Raise AmbiguousError if backups of one stack are of several sites, so that nobody knows which the newest is.

    :param found: list of dict with name, created, site, copy (its name).
    """
    last = {}
    for one in sorted(found, key=lambda one: one["created"]):
        if one.get("site"):
            last[one["site"]] = one
    if len(last) > 1:
        listed = ["'%s' of %s in copy '%s'" % (one["name"], _time(one["created"]), one["copy"])
                  for one in last.values()]
        raise AmbiguousError(
            "The copies have backups of %d sites whose stack is named '%s'. The newest of each: %s" % (
                len(last), stack, ", ".join(listed)),
            "Name the one that is to come back (moodle_backup_name).",
            candidates=[one["name"] for one in last.values()])


def left_out_warnings(left_out):
    """Return warnings (list of str) about backups that are not copied. :param left_out: {stack: names}."""
    return ["Backups of stack '%s' that are not copied, for they are of another site than the newest one: %s" % (
        stack, ", ".join(names)) for stack, names in sorted(left_out.items())]


def _time(seconds):
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
