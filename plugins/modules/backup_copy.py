#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: Copy backups to other storage, and bring them back
version_added: 0.2.0
description:
  - Copies complete backups that are not known to be bad, the oldest first, with the stored files of the pool that the
    copy lacks. Each is compared with its manifest after the copy, and gets its name there only then.
  - Brings a backup back that the root does not have, or has damaged. Each file is read before it is accepted.
  - A copy on the control node is made by M(moodleclaude.backup.backup_copy_controller).
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
  - moodleclaude.backup.copies
attributes:
  check_mode:
    support: full
    details: Copies are listed, nothing is locked, and nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: V(state=accepted) can be done once.
options:
  state:
    description:
      - V(present) brings each copy up to date, removes from it what its own C(keep_) options do not keep, and notes
        beside the backups where copies of them are. If one copy fails, the others are made all the same.
      - Nothing of a stack is copied to or removed from a copy that holds backups of a stack of this name that are of
        another Moodle site; that is an error. Backups in the root that are of another site than the newest one are not
        copied, with a warning.
      - V(listed) tells which backups copies may hold and what each copy holds.
      - V(fetched) makes sure that the backup O(name) is in the root.
      - V(accepted) checks what M(moodleclaude.backup.backup_copy_controller) has brought, and makes it a backup.
    type: str
    choices: [present, listed, fetched, accepted]
    required: true
  stack:
    description: Only backups of this stack. V(latest) needs it if there are several.
    type: str
  name:
    description:
      - Name of the backup for V(state=fetched) and V(state=accepted). V(latest) for the newest complete one, which is
        looked for in copies only if the root has none of the stack. It is refused if the copies have backups of several
        sites under one name of a stack.
    type: str
  replace:
    description: With V(state=fetched), whether a backup in the root is read as a whole, and replaced if it is not good.
    type: bool
    default: false
  optional:
    description:
      - With V(state=fetched), whether there are further copies, which M(moodleclaude.backup.backup_copy_controller) is
        asked for next. So it is only a warning if no copy here has a good backup, and of V(latest) the module only
        tells what the copies have.
    type: bool
    default: false
  last:
    description: How many of the newest backups of each stack are copied. V(0) for all.
    type: int
    default: 0
  where:
    description: With V(state=accepted), where the backup comes from, for messages.
    type: str
    default: the control node
  others:
    description:
      - With V(state=present), what M(moodleclaude.backup.backup_copy_controller) returned as C(copies), to be noted,
        too.
    type: list
    elements: dict
    default: []
  lock_timeout:
    description: Seconds without a sign of life after which a run that still holds the stack counts as dead.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Copy all backups to an S3 bucket, and keep a year there
  moodleclaude.backup.backup_copy:
    state: present
    root: /var/backups/moodleclaude
    copies:
      - name: bucket
        kind: restic
        repository: "s3:https://s3.example.com/moodle-{{ inventory_hostname }}"
        password: "{{ vault_restic_password }}"
        environment:
          AWS_ACCESS_KEY_ID: "{{ vault_s3_id }}"
          AWS_SECRET_ACCESS_KEY: "{{ vault_s3_secret }}"
        keep_daily: 14
        keep_monthly: 12

- name: Bring a backup back that only the backup server has
  moodleclaude.backup.backup_copy:
    state: fetched
    root: /var/backups/moodleclaude
    name: school_20260131_201530
    copies:
      - name: server
        kind: rsync
        host: backup.example.com
        user: moodle
        path: /srv/moodle-backups/web1
        ssh_key: /root/.ssh/backup
        encrypted_storage: true
"""

RETURN = r"""
copies:
  description: What became of each copy. Also returned if the module fails.
  type: list
  elements: dict
  returned: state is present or listed
  contains:
    name:
      description: Name of the copy.
      type: str
    kind:
      description: Its kind.
      type: str
    where:
      description: Where it is.
      type: str
    copied:
      description: The backups that were copied.
      type: list
      elements: str
    removed:
      description: The backups that were removed from it.
      type: list
      elements: str
    there:
      description: The backups that it has now.
      type: list
      elements: str
    problems:
      description: What went wrong, each with C(message) and C(stack), which is empty if it is about all of them.
      type: list
      elements: dict
offered:
  description:
    - The backups that copies may hold, and what else M(moodleclaude.backup.backup_copy_controller) has to know.
  type: dict
  returned: state is listed
found:
  description: Whether the backup is in the root now.
  type: bool
  returned: state is fetched
name:
  description: Name of the backup that was fetched.
  type: str
  returned: state is fetched or accepted, if it was fetched
stack:
  description: Its stack.
  type: str
  returned: state is fetched or accepted, if it was fetched
asked:
  description:
    - What the copies said, and why they could not give the backup, for
      M(moodleclaude.backup.backup_copy_controller).
  type: dict
  returned: state is fetched, if it was not found
copy:
  description: Name of the copy that it comes from.
  type: str
  returned: state is fetched, if it was fetched
where:
  description: Where that is.
  type: str
  returned: state is fetched or accepted, if it was fetched
"""

import time

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _backup_set,
    _copies,
    _copy_fetch,
    _copy_kinds,
    _copy_restic,
    _copy_sites,
    _naming,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    BackupError,
    ExistsError,
    LockedError,
    UsageError,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    root = _backup_set.Root(params["root"], params["lock_timeout"])
    copies, state = params["copies"], params["state"]
    _copy_kinds.check(copies)
    if any(options["kind"] == _copy_kinds.CONTROLLER for options in copies):
        raise UsageError("A copy on the control node cannot be reached from here", "Use backup_copy_controller.")
    if state == "accepted":
        if not check_mode:
            _copy_fetch.accept(root, params["name"], params["stack"], params["where"], params["replace"])
        return {"changed": True, "name": params["name"], "stack": params["stack"], "where": params["where"]}
    if state == "fetched":
        return fetched(root, copies, params, check_mode)
    offered = _copies.offer(root, params["stack"])
    if state == "listed":
        return {"changed": False, "offered": offered, "copies": [
            {"name": copy.name, "kind": copy.kind, "where": copy.where, "there": sorted(copy.list())}
            for copy in (_copy_kinds.push(options, root, None, True) for options in copies)]}
    return present(root, copies, offered, params, check_mode)


def present(root, copies, offered, params, check_mode):
    began = time.time()

    def opened(options, fd):
        return _copy_kinds.push(options, root, fd, check_mode)

    results = _copies.replicate_all(root.path, copies, opened, offered, params["last"], check_mode)
    everything = params["others"] + results
    changed, warnings = _copies.changed(results), _copy_sites.left_out_warnings(offered["left_out"])
    if not check_mode:
        changed |= _copies.note(root, offered["stacks"], everything, began)
        warnings += _copies.set_outcomes(root, offered["stacks"], everything, began)
    _copies.require_success(results)
    return {"changed": changed, "copies": results, "warnings": warnings}


def fetched(root, copies, params, check_mode):
    name, stack, optional = params["name"], params["stack"], params["optional"]
    if not _copy_fetch.needed(root, name, stack, params["replace"], record=not check_mode):
        return {"changed": False, "found": True}
    opened = [_copy_kinds.push(options, root, None, check_mode) for options in copies]
    if optional and name == _naming.LATEST:  # which that is, the other copies have a say in
        return {"changed": False, "found": False, "asked": _copy_fetch.answer(opened, stack)}
    try:
        if check_mode:
            found = _copy_fetch.first_good(*_copy_fetch.choose(opened, name, stack), lambda _copy, _entry: None)
        else:
            found = _copy_fetch.fetch(root, opened, name, stack, params["replace"])
    except (ExistsError, LockedError):  # which no other copy changes
        raise
    except BackupError as error:
        if not optional:
            raise
        asked = {"copies": [copy.name for copy in opened], "backups": [],
                 "problems": error.details.get("problems", [error.message])}
        return {"changed": False, "found": False, "asked": asked, "warnings": [error.describe()] if copies else []}
    return dict(found, changed=True, found=True)


def main():
    module = build_module(
        {
            "state": {"type": "str", "choices": ["present", "listed", "fetched", "accepted"], "required": True},
            "root": {"type": "path", "required": True},
            "copies": dict(_copy_kinds.COPIES, default=[]),
            "stack": {"type": "str"},
            "name": {"type": "str"},
            "replace": {"type": "bool", "default": False},
            "optional": {"type": "bool", "default": False},
            "last": {"type": "int", "default": 0},
            "where": {"type": "str", "default": "the control node"},
            "others": {"type": "list", "elements": "dict", "default": []},
            "lock_timeout": {"type": "int", "default": 900},
        },
        docker=False,
        required_if=[("state", "fetched", ["name"]), ("state", "accepted", ["name", "stack"])],
        supports_check_mode=True,
        no_log=True,  # an address may hold a password, so the options are not written to the system's log
    )
    for options in module.params["copies"]:
        module.no_log_values.update(_copy_restic.address_secrets(options["repository"]))
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
