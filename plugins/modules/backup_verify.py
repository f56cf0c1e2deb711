#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Find a backup and check every file of it, or check all backups in turns
version_added: 0.1.0
description:
  - Finds a backup by its name, or the newest one of a stack, and compares every file with the manifest.
  - With O(parts), reads the next part of all backups instead, so that so many runs read everything once. An archive
    that backups share, and each stored file of the pool, is read once for all of them.
  - If the backup has a list of stored files (RV(ignore:filedir.sha1)), each of them is read in the pool of the stack.
  - One flipped bit anywhere makes it fail.
  - What is found damaged in the pool, and damaged archives, which other backups may share, are named in
    C(pools/<stack>/damaged.json) below the root. No later backup relies on what is named there. The next backup
    replaces stored files that the site still has. What is read again and found right is taken out.
  - What is found is noted with each backup that it concerns, and the outcome with the stack, for
    M(moodleclaude.backup.backup_info). A backup that needs something damaged counts as damaged from then on.
  - A backup cannot be removed by a clean-up while it is read.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
attributes:
  check_mode:
    support: full
    details: In check mode everything is read all the same, and nothing is noted.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Notes beside the backups do not count as a change. With O(parts), each run reads another part.
options:
  name:
    description: Name of the backup, or V(latest) for the newest complete one.
    type: str
    default: latest
  stack:
    description:
      - Name of the stack that V(name=latest) is about. Needed when the backups are of several stacks.
      - With O(parts), only the backups of this stack are read; the default is all.
    type: str
  content:
    description: Whether to read and check every file. If V(false), the backup is only found and described.
    type: bool
    default: true
  parts:
    description:
      - In how many runs all backups are read, V(1) for all of them now. V(0) reads only the one that O(name) means.
      - Each run goes on where the last one has ended, and reads its share of the bytes. When all parts are read, the
        backups that were there when the first one began are noted as verified, unless something bad was found in them.
      - In each run it is checked that all files of all backups are there and have the right size.
    type: int
    default: 0
    version_added: 0.2.0
  rate_limit:
    description: How many bytes are read in a second at the most, such as V(20M). V(0) for no limit.
    type: str
    default: "0"
    version_added: 0.2.0
seealso:
  - module: moodleclaude.backup.backup_info
"""

EXAMPLES = r"""
- name: Is the newest backup whole?
  moodleclaude.backup.backup_verify:
    root: /var/backups/moodleclaude
    stack: school

- name: Read a seventh of everything, each night
  moodleclaude.backup.backup_verify:
    root: /var/backups/moodleclaude
    parts: 7
    rate_limit: 50M
"""

RETURN = r"""
backup:
  description: The backup's metadata, as in its RV(ignore:backup.json), with its C(path).
  type: dict
  returned: success and O(parts=0)
files:
  description: How many files were checked, those in the pool among them.
  type: int
  returned: O(content=true)
bytes_read:
  description: How many bytes were read.
  type: int
  returned: O(content=true)
stacks:
  description:
    - What was read of each stack, with C(stack), C(part) of C(parts), how many C(backups) it has, how many C(files) and
      C(blobs) were read, C(bytes_read), whether with this part the C(round_ended), which backups are C(verified)
      thereby, which are C(bad) by what any of the parts has found, what is C(damaged), and all this in a C(message).
  type: list
  elements: dict
  returned: O(content=true)
damaged:
  description:
    - What is damaged or missing, with its C(path) relative to the root, C(problem), the names of the backups that it is
      C(needed_by), and C(good_copy), where a good copy is.
  type: list
  elements: dict
  returned: O(content=true)
problems:
  description:
    - The files that are C(missing), C(damaged) or C(unknown), each as C(path), relative to the backup's folder, and
      C(problem).
    - Of more than 1000 files in the pool the last entry tells how many more there are.
  type: list
  elements: dict
  returned: failure and O(parts=0)
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _room, _throttle, _verification
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run
from ansible_collections.moodleclaude.backup.plugins.module_utils._naming import LATEST


def work(params, check_mode):
    """Return the result of one call (dict)."""
    root = _backup_set.Root(params["root"])
    _throttle.configure(_room.bytes_of(params["rate_limit"], "rate_limit"))
    if params["parts"]:
        if params["name"] != LATEST or not params["content"]:
            raise UsageError("parts is about the content of all backups, and name or content say something else",
                             "Name a backup, or give parts, not both.")
        result = _verification.verify_parts(root, params["stack"], params["parts"], record=not check_mode)
    elif params["content"]:
        result = _verification.verify_one(root, params["name"], params["stack"], record=not check_mode)
    else:
        result = {"backup": _backup_set.find(root, params["name"], params["stack"])}
    return dict(result, changed=False)


def main():
    module = build_module(
        {
            "root": {"type": "path", "required": True},
            "name": {"type": "str", "default": "latest"},
            "stack": {"type": "str"},
            "content": {"type": "bool", "default": True},
            "parts": {"type": "int", "default": 0},
            "rate_limit": {"type": "str", "default": "0"},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
