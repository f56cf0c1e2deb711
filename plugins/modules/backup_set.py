#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set
short_description: Begin, publish or abandon a backup
version_added: 0.1.0
description:
  - A backup is made in a hidden partial folder and gets its name only when everything is on disk and checked, so it is
    complete or it does not exist.
  - One run at a time works on a stack. The lock names its owner and cannot go stale for ever. Only while a clean-up
    holds it, which is over soon, a run waits instead of failing.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: partial
    details: V(state=begun) checks the name, the folder and the lock; the other states have nothing to say.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: Only V(state=abandoned) can be repeated.
options:
  state:
    description:
      - V(begun) takes the lock, removes what dead runs of this stack left behind and makes the partial folder. If such
        a run has left the site held still, it goes on; what cannot be undone is a warning.
      - V(published) writes RV(ignore:backup.json) and the manifest, brings everything to disk and renames the folder.
        It also notes with the stack that its last backup went well, see M(moodleclaude.backup.backup_outcome).
      - V(abandoned) removes the partial folder. Both give the lock back.
    type: str
    choices: [begun, published, abandoned]
    required: true
  stack:
    description: Name of the stack.
    type: str
    required: true
  name:
    description:
      - Name of the backup. Letters, digits, dots, underscores and hyphens.
      - The default is C(<stack>_<YYYYMMDD>_<HHMMSS>) in the host's local time.
      - Required unless O(state=begun).
    type: str
  run:
    description: Any text that tells this run from every other one.
    type: str
    required: true
  lock_timeout:
    description:
      - Seconds without a sign of life after which a run that still holds the stack counts as dead.
      - A run that was started on this host itself counts as dead as soon as its process has ended.
    type: int
    default: 900
  metadata:
    description: What RV(ignore:backup.json) says about the backup, besides its name, stack and time.
    type: dict
    default: {}
  texts:
    description: Small text files that are written into the backup, by name.
    type: dict
    default: {}
  checksums:
    description: SHA-256 (hex) of files of the backup as they were written, by relative path; checked against the disk.
    type: dict
    default: {}
  shared:
    description:
      - SHA-256 (hex) of files that are hard links to files of an earlier backup, by relative path. They were read when
        that backup was made and are not read again; the manifest gets these values.
      - A file that turns out to have no other name is read all the same.
    type: dict
    default: {}
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Begin
  moodleclaude.backup.backup_set:
    state: begun
    root: /var/backups/moodleclaude
    stack: school
    run: "{{ 999999999999 | random | to_uuid }}"
  register: begun

- name: Publish
  moodleclaude.backup.backup_set:
    state: published
    root: /var/backups/moodleclaude
    stack: school
    name: "{{ begun.name }}"
    run: "{{ begun.run }}"
"""

RETURN = r"""
name:
  description: Name of the backup.
  type: str
  returned: always
run:
  description: The text as given.
  type: str
  returned: always
folder:
  description: The partial folder, or the backup's folder once it is published.
  type: str
  returned: state is begun or published
lock:
  description: Path of the stack's lock. Modules that find it in the environment variable MOODLE_BACKUP_LOCK hold it.
  type: str
  returned: state is begun
pool:
  description: The folder of the stored files that all backups of the stack share.
  type: str
  returned: state is begun
earlier:
  description:
    - Archives of earlier backups that this one may share, the newest first, with C(path) and what is known of each.
  type: list
  elements: dict
  returned: state is begun
removed:
  description: What dead runs had left behind.
  type: list
  elements: str
  returned: state is begun
resumed:
  description: Whether a dead run had held the site still, which goes on now.
  type: bool
  returned: state is begun
size:
  description: Bytes of all files of the backup.
  type: int
  returned: state is published
added:
  description: Bytes of those files that it does not share with an earlier backup.
  type: int
  returned: state is published
files:
  description: How many files the backup has.
  type: int
  returned: state is published
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _outcome
from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._earlier import candidates
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    root = _backup_set.Root(params["root"], params["lock_timeout"])
    stack, name, token = params["stack"], params["name"], params["run"]
    result = {"changed": True, "name": name, "run": token}
    if params["state"] == "begun":
        result.update(pool=root.pool(stack), earlier=candidates(root, stack))
    if check_mode:
        if params["state"] == "begun":
            result.update(_backup_set.foresee(root, stack, name))
        result["changed"] = params["state"] != "abandoned"
    elif params["state"] == "begun":
        engine = Engine(params)
        engine.ensure_reachable()  # nothing is held if it cannot be reached
        result.update(_backup_set.begin(root, stack, name, token, engine))
    elif params["state"] == "published":
        owner = root.lock(stack).owner()
        result.update(_backup_set.publish(root, stack, name, token, params["metadata"], params["checksums"],
                                          params["texts"], params["shared"]))
        complete = params["metadata"].get("complete", True)
        result["warnings"] = _outcome.note_published(root, stack, owner["taken"], result, complete)
    else:
        result["changed"] = _backup_set.abandon(root, stack, name, token)
    return result


def main():
    module = build_module(
        {
            "state": {"type": "str", "choices": ["begun", "published", "abandoned"], "required": True},
            "root": {"type": "path", "required": True},
            "stack": {"type": "str", "required": True},
            "name": {"type": "str"},
            "run": {"type": "str", "required": True},
            "lock_timeout": {"type": "int", "default": 900},
            "metadata": {"type": "dict", "default": {}},
            "texts": {"type": "dict", "default": {}},
            "checksums": {"type": "dict", "default": {}},
            "shared": {"type": "dict", "default": {}},
        },
        required_if=[("state", "published", ["name"]), ("state", "abandoned", ["name"])],
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
