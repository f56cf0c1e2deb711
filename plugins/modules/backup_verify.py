#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Find a backup and check every file of it
version_added: 0.1.0
description:
  - Finds a backup by its name, or the newest one of a stack, and compares every file with the manifest.
  - If the backup has a list of stored files (RV(ignore:filedir.sha1)), each of them is read in the pool of the stack.
  - One flipped bit anywhere makes it fail.
  - What is found damaged in the pool, and damaged archives, which other backups may share, are named in
    C(pools/<stack>/damaged.json) below the root. No later backup relies on what is named there. The next backup
    replaces stored files that the site still has. What is read again and found right is taken out.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
attributes:
  check_mode:
    support: full
    details: In check mode everything is read all the same, and C(damaged.json) is left as it is.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: Name of the backup, or V(latest) for the newest complete one.
    type: str
    default: latest
  stack:
    description: Name of the stack that V(name=latest) is about. Needed when the backups are of several stacks.
    type: str
  content:
    description: Whether to read and check every file. If V(false), the backup is only found and described.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Is the newest backup whole?
  moodleclaude.backup.backup_verify:
    root: /var/backups/moodleclaude
    stack: school
"""

RETURN = r"""
backup:
  description: The backup's metadata, as in its RV(ignore:backup.json), with its C(path).
  type: dict
  returned: success
files:
  description: How many files were checked, those in the pool among them.
  type: int
  returned: O(content=true)
problems:
  description:
    - The files that are C(missing), C(damaged) or C(unknown), each as C(path), relative to the backup's folder, and
      C(problem).
    - Of more than 1000 files in the pool the last entry tells how many more there are.
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    backup = _backup_set.find(_backup_set.Root(params["root"]), params["name"], params["stack"])
    result = {"changed": False, "backup": backup}
    if params["content"]:
        result["files"] = _backup_set.require_whole(backup["path"], record=not check_mode)
    return result


def main():
    module = build_module(
        {
            "root": {"type": "path", "required": True},
            "name": {"type": "str", "default": "latest"},
            "stack": {"type": "str"},
            "content": {"type": "bool", "default": True},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
