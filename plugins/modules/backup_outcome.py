#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_outcome
short_description: Note what became of the last run of a job
version_added: 0.2.0
description:
  - Keeps, for each stack and each job, what became of the last run, in C(outcomes/<stack>.json) below the backup root.
    The playbook C(moodleclaude.backup.list) shows it.
  - The roles call it where something has failed. What went well is noted by the module that ends the job.
  - So it never fails because it cannot write. It warns, and what has failed before stays the error of the run.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each call notes the time at which it was made.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  job:
    description: What was run.
    type: str
    choices: [backup, verify, cleanup, replicate, restore]
    required: true
  ok:
    description: Whether it went well.
    type: bool
    required: true
  text:
    description: What to tell people about it, without secrets. Of a long text the first 2000 characters are kept.
    type: str
    required: true
  seconds:
    description: How many seconds it took.
    type: float
"""

EXAMPLES = r"""
- name: Note that the backup of a stack that is not made by this collection has failed
  moodleclaude.backup.backup_outcome:
    root: /var/backups/moodleclaude
    stack: school
    job: backup
    ok: false
    text: The storage did not answer.
"""

RETURN = r"""
noted:
  description: Whether it was noted, or would be. If not, a warning tells why.
  type: bool
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _notes, _outcome
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    try:
        root = _backup_set.Root(params["root"])
    except UsageError as error:
        return {"changed": False, "noted": False, "warnings": [error.describe()]}
    warnings = []
    if not check_mode:
        warnings = _outcome.note(
            root, params["stack"], params["job"], params["ok"], params["text"], params["seconds"])
    return {"changed": not warnings, "noted": not warnings, "warnings": warnings}


def main():
    module = build_module(
        {
            "root": {"type": "path", "required": True},
            "stack": {"type": "str", "required": True},
            "job": {"type": "str", "choices": list(_notes.JOBS), "required": True},
            "ok": {"type": "bool", "required": True},
            "text": {"type": "str", "required": True},
            "seconds": {"type": "float"},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
