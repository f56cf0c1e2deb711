#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_pin
short_description: Keep a backup whatever a policy says
version_added: 0.2.0
description:
  - Notes beside a backup, which never changes itself, that no clean-up removes it, or that one may again.
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
  idempotent:
    support: full
options:
  name:
    description: Name of the backup, or V(latest) for the newest complete one.
    type: str
    required: true
  stack:
    description: Name of the stack that V(name=latest) is about. Needed when the backups are of several stacks.
    type: str
  state:
    description: Whether the backup is to stay.
    type: str
    choices: [pinned, unpinned]
    default: pinned
  reason:
    description: Why it is to stay, for people.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Keep what the tests begin from
  moodleclaude.backup.backup_pin:
    root: /var/backups/moodleclaude
    name: test_baseline_backup
    reason: baseline of the tests
"""

RETURN = r"""
name:
  description: Name of the backup.
  type: str
  returned: success
stack:
  description: Name of its stack.
  type: str
  returned: success
"""

import time

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _notes
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    root = _backup_set.Root(params["root"])
    backup = _backup_set.find(root, params["name"], params["stack"])
    name, reason = backup["name"], params["reason"]
    before = _notes.read(root, name).get("pinned")
    pinned = params["state"] == "pinned"
    changed = before is None or before.get("reason") != reason if pinned else before is not None
    if changed and not check_mode and pinned:
        with _backup_set.reading(backup["path"]):  # so that no clean-up removes it just now
            _notes.set_pinned(root, name, time.time(), reason)
    elif changed and not check_mode:
        _notes.set_unpinned(root, name)
    diff = {"before": _described(before), "after": _described({"reason": reason} if pinned else None)}
    return {"changed": changed, "name": name, "stack": backup["stack"], "diff": diff}


def _described(pinned):
    if pinned is None:
        return "not pinned\n"
    return "pinned: %s\n" % pinned["reason"] if pinned.get("reason") else "pinned\n"


def main():
    module = build_module(
        {
            "root": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "stack": {"type": "str"},
            "state": {"type": "str", "choices": ["pinned", "unpinned"], "default": "pinned"},
            "reason": {"type": "str", "default": ""},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
