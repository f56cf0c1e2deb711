#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Tell which backups there are, and in what state
version_added: 0.2.0
description:
  - Describes everything that lies where the backups of a host are, each thing as what it is, and sums up each stack.
  - Nothing in there makes it fail, not even folders that somebody has put there or spoilt.
  - Nothing is read but metadata, so that it is fast. Use M(moodleclaude.backup.backup_verify) to find damage.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
attributes:
  check_mode:
    support: full
    details:
      - What the backups of a stack need of its pool is kept in an index beside the pool, which is brought up to date.
        In check mode it is left as it is, so the answer may take longer.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description:
      - Only the backup of this name, or with V(latest) the newest good one of each stack. If there is none, the list is
        empty.
    type: str
  stack:
    description: Only what belongs to this stack.
    type: str
seealso:
  - module: moodleclaude.backup.backup_verify
"""

EXAMPLES = r"""
- name: Which backups are there?
  moodleclaude.backup.backup_info:
    root: /var/backups/moodleclaude
  register: listed

- name: Is there a good one of the last day?
  ansible.builtin.assert:
    that: listed.stacks | selectattr('name', 'eq', 'school') | map(attribute='newest.age') | first < 86400
"""

RETURN = r"""
root:
  description: The folder as given.
  type: str
  returned: success
exists:
  description: Whether it is there.
  type: bool
  returned: success
time:
  description: When the list was made, in the host's local time with its offset (ISO 8601), as are all times in it.
  type: str
  returned: success
backups:
  description: Everything that lies there, the oldest first.
  type: list
  elements: dict
  returned: success
  contains:
    number:
      description: Running number, 1 for the oldest of the host; null for what is no backup.
      type: int
    name:
      description: Name of the backup.
      type: str
    path:
      description: Its folder.
      type: str
    stack:
      description: Name of its stack, null if nothing tells.
      type: str
    state:
      description:
        - V(complete), and not known to be bad; V(incomplete), made although files were missing; V(damaged), known to be
          bad; V(broken), its metadata or its manifest cannot be read; V(partial), being made or left by a run that
          died; V(foreign), anything else.
      type: str
    reason:
      description: Why it is not complete, null if it is.
      type: str
    alive:
      description: Whether a run is making it at this moment.
      type: bool
    newest:
      description: Whether it is the newest good one of its stack.
      type: bool
    created:
      description: When it was made.
      type: str
    age:
      description: How long that is ago, in seconds.
      type: int
    size:
      description: Bytes that it takes alone, all its files and all blobs of its list. null if that cannot be told.
      type: int
    frees:
      description: Bytes that come free if it is removed. null if that cannot be told.
      type: int
    setup:
      description:
        - C(kind), V(compose) or V(containers); C(project); how many C(containers); C(mode) of the backup; C(files),
          V(pool) or V(self-contained).
      type: dict
    database:
      description: Name of the database.
      type: str
    database_version:
      description: Version of its server.
      type: str
    moodle:
      description: Release of Moodle.
      type: str
    site:
      description: Title of the site.
      type: str
    address:
      description: The site's address.
      type: str
    verified:
      description:
        - C(time), C(age) in seconds, C(how), C(ok) and the first C(problems) of the last time that it was read. null if
          it never was.
      type: dict
    pinned:
      description: C(time) and C(reason), null if it is not pinned.
      type: dict
    copies:
      description: Where else it is, each with C(name), C(kind), C(where) and C(time).
      type: list
      elements: dict
stacks:
  description: The stacks that have left something here.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the stack.
      type: str
    count:
      description: How many backups it has.
      type: int
    states:
      description: How many of each state.
      type: dict
    size:
      description: Bytes that all of them take together.
      type: int
    pool:
      description: How many C(blobs) its backups need, and their C(bytes).
      type: dict
    newest:
      description: C(number), C(name), C(created) and C(age) of the newest good one, null if there is none.
      type: dict
    outcomes:
      description: What became of the last run of each job, each with C(time), C(age), C(ok), C(message) and C(seconds).
      type: dict
    at_work:
      description: What is at work on the stack at this moment, or null.
      type: str
    unfinished_restore:
      description: Name of the backup of which a restore did not end, or null.
      type: str
count:
  description: How many backups there are.
  type: int
  returned: success
size:
  description: Bytes that all of it takes on the disk.
  type: int
  returned: success
"""

import time

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _listing
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    root = _backup_set.Root(params["root"])
    return dict(_listing.describe(root, time.time(), params["name"], params["stack"], not check_mode), changed=False)


def main():
    module = build_module(
        {
            "root": {"type": "path", "required": True},
            "name": {"type": "str"},
            "stack": {"type": "str"},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
