#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_session
short_description: Begin and end a restore of a stack
version_added: 0.1.0
description:
  - Takes the stack's lock for a restore and writes down what is being done, so that a restore that was cut off can be
    undone by a later run. While a clean-up is at work on the stack, it waits.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: V(state=begun) is refused while another run holds the stack.
options:
  state:
    description:
      - V(begun) takes the lock and writes O(plan) down. If an earlier restore did not end, nothing is written and
        RV(unfinished) describes it. Otherwise, a site goes on that a dead backup has held still; what cannot be undone
        of that is a warning. If anything fails, nothing is begun.
      - V(proved) writes down that the restored site works, so that a later run removes what was replaced instead of
        putting it back.
      - V(finished) forgets the description and gives the lock back. After a restore that was undone, it once more lets
        the site go on if a dead backup has held it still. It notes with the stack that its last restore went well if it
        was V(proved), else that it was undone, see M(moodleclaude.backup.backup_outcome).
      - V(interrupted) gives the lock back and keeps the description for a later rollback.
      - V(listed) only lists the restores that did not end, of all stacks or of O(stack).
    type: str
    choices: [begun, proved, finished, interrupted, listed]
    required: true
  stack:
    description: Name of the stack. Required unless O(state=listed).
    type: str
  backup:
    description: Name of the backup that is restored. Required if O(state=begun).
    type: str
  run:
    description: Any text that tells this run from every other one. Required unless O(state=listed).
    type: str
  transaction:
    description:
      - Short name of this restore, lower-case letters and digits; part of the name of all that is set aside.
      - Required if O(state=begun).
    type: str
  plan:
    description:
      - What is being restored to where; returned to a later run in RV(unfinished).
      - If it has a list C(containers), those of them that run are added as C(running).
    type: dict
    default: {}
  lock_timeout:
    description: Seconds without a sign of life after which a run that still holds the stack counts as dead.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Begin
  moodleclaude.backup.restore_session:
    state: begun
    root: /var/backups/moodleclaude
    stack: school
    backup: school_20260131_201530
    run: "{{ 999999999999 | random | to_uuid }}"
    transaction: t1
  register: session
"""

RETURN = r"""
lock:
  description: Path of the stack's lock.
  type: str
  returned: O(state=begun)
run:
  description: The text as given.
  type: str
  returned: O(state=begun)
running:
  description:
    - Those of the containers that O(plan) names that ran. What a backup that died had stopped was started before.
  type: list
  elements: str
  returned: O(state=begun), if no earlier restore is unfinished
  version_added: 0.2.0
unfinished:
  description: C(backup), C(transaction), C(plan) and C(proved) of an earlier restore that did not end, or null.
  type: dict
  returned: O(state=begun)
records:
  description: The restores that did not end, each with C(stack), C(backup), C(transaction), C(plan) and C(proved).
  type: list
  elements: dict
  returned: O(state=listed)
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call
from ansible_collections.moodleclaude.backup.plugins.module_utils._restore_session import SESSION


def main():
    run_call(SESSION)


if __name__ == "__main__":
    main()
