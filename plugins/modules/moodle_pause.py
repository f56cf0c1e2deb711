#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_pause
short_description: Hold a Moodle still while it is backed up, and let it go on
version_added: 0.1.0
description:
  - A backup needs no pause. This is for who wants one all the same, with a maintenance page or with stopped containers.
  - What is done is written down before, below O(root), so that a later run lets the site go on if this one is killed.
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
    support: full
options:
  state:
    description:
      - V(paused) holds the site still.
      - V(resumed) lets it go on, if this collection has held it still. Without O(stack), all sites of this host go on
        that a run has held still which is dead by now; what cannot be undone is a warning, and a later run tries it
        again. With O(stack) it is an error, unless a container is gone that was stopped.
    type: str
    choices: [paused, resumed]
    required: true
  stack:
    description: Name of the stack. Required if O(state=paused).
    type: str
  run:
    description:
      - The text with which the backup was begun, see M(moodleclaude.backup.backup_set). Required with O(stack).
    type: str
  mode:
    description:
      - V(maintenance) shows Moodle's maintenance page, with status 503, to everybody. Cron does not begin anything new.
        A page that is there already is left alone, also at the end.
      - V(stopped) stops O(containers).
    type: str
    choices: [maintenance, stopped]
  container:
    description: The web container. Required if O(state=paused).
    type: str
  containers:
    description: What to stop, if it runs, the last one first. It is started again in this order.
    type: list
    elements: str
    default: []
  dataroot:
    description: Moodle's data directory in O(container). Required if O(state=paused).
    type: str
  owner:
    description: Numeric user and group that own the data directory. Required if O(state=paused).
    type: list
    elements: int
  lock_timeout:
    description: Seconds without a sign of life after which a run that still holds the stack counts as dead.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Show the maintenance page
  moodleclaude.backup.moodle_pause:
    state: paused
    mode: maintenance
    root: /var/backups/moodleclaude
    stack: school
    run: "{{ begun.run }}"
    container: school-web
    dataroot: /var/www/moodledata
    owner: [33, 33]

- name: Let all sites go on that a dead run has held still
  moodleclaude.backup.moodle_pause:
    state: resumed
    root: /var/backups/moodleclaude
"""

RETURN = r"""
stacks:
  description: The stacks that were held still or go on now.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _pause
from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(engine, params, check_mode):
    """Return the result of one call (dict)."""
    root = _backup_set.Root(params["root"], params["lock_timeout"])
    stack, warnings = params["stack"], []
    if params["state"] == "resumed" and stack is None:
        stacks, warnings = ([], []) if check_mode else _pause.resume_dead(engine, root)
        return {"changed": bool(stacks), "stacks": stacks, "warnings": warnings}
    if check_mode:
        changed = params["state"] == "paused" or _pause.held(root, stack)
    else:
        root.lock(stack).check(params["run"])
        if params["state"] == "resumed":
            changed, warnings = _pause.resume(engine, root, stack)
            if _pause.held(root, stack):
                raise EngineError("Stack '%s' is still held still. %s" % (stack, " ".join(warnings)))
        elif _pause.held(root, stack, params["run"]):
            changed = False
        else:
            changed = True
            _pause.pause(engine, root, stack, params["mode"], params["container"], params["containers"],
                         params["dataroot"], params["owner"], params["run"])
    return {"changed": changed, "stacks": [stack] if changed else [], "warnings": warnings}


def main():
    module = build_module(
        {
            "state": {"type": "str", "choices": ["paused", "resumed"], "required": True},
            "root": {"type": "path", "required": True},
            "stack": {"type": "str"},
            "run": {"type": "str"},
            "mode": {"type": "str", "choices": ["maintenance", "stopped"]},
            "container": {"type": "str"},
            "containers": {"type": "list", "elements": "str", "default": []},
            "dataroot": {"type": "str"},
            "owner": {"type": "list", "elements": "int"},
            "lock_timeout": {"type": "int", "default": 900},
        },
        required_if=[("state", "paused", ["stack", "mode", "container", "dataroot", "owner"])],
        required_by={"stack": ["run"]},
        supports_check_mode=True,
    )
    run(module, lambda: work(Engine(module.params), module.params, module.check_mode))


if __name__ == "__main__":
    main()
