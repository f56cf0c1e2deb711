#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_prune
short_description: Remove old backups by a policy, and what no backup needs any more
version_added: 0.2.0
description:
  - Decides for each backup of a stack whether it stays, and says why. A backup stays if at least one rule keeps it.
  - Only backups count that lack nothing and are not known to be damaged. One that does not count stays as long as it is
    newer than the oldest one that the policy keeps; where nothing counts, nothing goes. What cannot be read as a backup
    is never removed.
  - Backups that are pinned (see M(moodleclaude.backup.backup_pin)) stay, and use up no place of the policy.
  - A backup that is being read, or that a restore which did not end needs, stays until the next clean-up.
  - Then removes the stored files that no backup needs, and the leftovers of dead runs. While a backup or a restore is
    at work on a stack, its pool is left alone, and a warning says so; so it is while a folder that may be a backup of
    the stack cannot be read. A backup or a restore that begins during a clean-up waits for it.
  - Needs no free room on the disk.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the names of the backups before and after.
  idempotent:
    support: full
    details: Time spans are counted from the newest backup that counts and not from now, so nothing goes by waiting.
options:
  stack:
    description: Name of the stack. The default is all stacks of the root, each by itself.
    type: str
  keep_last:
    description: How many of the newest backups stay.
    type: int
    default: 0
  keep_daily:
    description: Of so many days that have a backup, the newest backup stays. Days are those of the host's local time.
    type: int
    default: 0
  keep_weekly:
    description: The same for weeks, which begin on Monday.
    type: int
    default: 0
  keep_monthly:
    description: The same for months.
    type: int
    default: 0
  keep_yearly:
    description: The same for years.
    type: int
    default: 0
  keep_within:
    description:
      - Backups stay that are not older than this before the newest backup that counts.
      - V(12h), V(30d), V(2w), V(6m) (months), V(1y), or several of these, such as V(1y6m).
    type: str
    default: ""
  keep_minimum:
    description: So many of the newest backups that count stay whatever the policy says. It is no policy by itself.
    type: int
    default: 1
  lock_timeout:
    description: Seconds without a sign of life after which a run that still holds the stack counts as dead.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Keep the newest five, one a week for two months and one a month for a year
  moodleclaude.backup.backup_prune:
    root: /var/backups/moodleclaude
    keep_last: 5
    keep_weekly: 8
    keep_monthly: 12

- name: What would go, and why does the rest stay?
  moodleclaude.backup.backup_prune:
    root: /var/backups/moodleclaude
    stack: school
    keep_within: 30d
  check_mode: true
"""

RETURN = r"""
backups:
  description:
    - The backups that were there, each with C(name), C(stack), C(action) (V(keep) or V(remove)), C(reasons) (list of
      str) and C(size), the bytes of the files in its folder; those of a stack together, the oldest first.
  type: list
  elements: dict
  returned: success
removed:
  description: Names of the backups that were removed, or would be.
  type: list
  elements: str
  returned: success
freed:
  description:
    - Bytes of disk that were freed. A file that another backup has too frees nothing. In check mode a little less than
      what will be freed, because folders of the pool that become empty are not foreseen.
  type: int
  returned: success
blobs:
  description: How many stored files that no backup needs were removed from the pools.
  type: int
  returned: success
leftovers:
  description: Paths of what dead runs had left, and of notes about backups that are gone, which were removed.
  type: list
  elements: str
  returned: success
skipped:
  description: Why the pools of stacks were left alone, by the stack's name.
  type: dict
  returned: success
  sample: {school: "The backup 'today' that began at 2026-01-31 20:15:30 is at work on this stack right now"}
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _prune
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run
from ansible_collections.moodleclaude.backup.plugins.module_utils._retention import Policy


def work(params, check_mode):
    """Return the result of one call (dict)."""
    policy = Policy(**{name: params["keep_" + name] for name in Policy._fields})
    root = _backup_set.Root(params["root"], params["lock_timeout"])
    result = _prune.prune(root, policy, params["stack"], check_mode)
    staying = [one for one in result["backups"] if one["action"] == _prune.KEEP]
    result["diff"] = {"before": _listed(result["backups"]), "after": _listed(staying),
                      "before_header": root.backups, "after_header": root.backups}
    result["warnings"] = ["The pool of stack '%s' was left alone: %s." % (stack, reason.rstrip("."))
                          for stack, reason in sorted(result["skipped"].items())]
    return result


def _listed(backups):
    return "".join(backup["name"] + "\n" for backup in backups)


def main():
    module = build_module(
        {
            "root": {"type": "path", "required": True},
            "stack": {"type": "str"},
            "keep_last": {"type": "int", "default": 0},
            "keep_daily": {"type": "int", "default": 0},
            "keep_weekly": {"type": "int", "default": 0},
            "keep_monthly": {"type": "int", "default": 0},
            "keep_yearly": {"type": "int", "default": 0},
            "keep_within": {"type": "str", "default": ""},
            "keep_minimum": {"type": "int", "default": 1},
            "lock_timeout": {"type": "int", "default": 900},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
