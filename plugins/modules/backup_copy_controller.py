#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy_controller
short_description: Copy backups of another host to the control node, and back
version_added: 0.2.0
description:
  - Runs on the control node (C(delegate_to=localhost)) and moves backups between the host that has them and a folder
    here, by rsync over SSH. It does what M(moodleclaude.backup.backup_copy) does for other copies.
  - The user on the host is root, or may call C(sudo) without a password.
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
    details: V(state=fetched) brings the backup each time.
options:
  state:
    description:
      - V(present) brings each copy up to date.
      - V(chosen) tells which backup O(name) means, of all that these copies and the O(asked) ones have.
      - V(fetched) brings a backup to its host, where M(moodleclaude.backup.backup_copy) with V(state=accepted) makes it
        one.
    type: str
    choices: [present, chosen, fetched]
    required: true
  offered:
    description: What M(moodleclaude.backup.backup_copy) with V(state=listed) returned on the host as C(offered).
    type: dict
  name:
    description:
      - Name of the backup for V(state=chosen) and V(state=fetched), or V(latest). If several copies here have it, it
        comes from the first one that can give it. Stored files are read before they are sent.
    type: str
  asked:
    description:
      - What M(moodleclaude.backup.backup_copy) with V(state=fetched) returned on the host as C(asked), about copies
        that the host reaches itself.
    type: dict
    suboptions:
      copies:
        description: Their names.
        type: list
        elements: str
        default: []
      backups:
        description: What they have.
        type: list
        elements: dict
        default: []
      problems:
        description: Why they could not give the backup, for messages.
        type: list
        elements: str
        default: []
  stack:
    description: Name of the stack that V(name=latest) is about. Needed when the copies have backups of several.
    type: str
  last:
    description: How many of the newest backups of each stack are copied. V(0) for all.
    type: int
    default: 0
  ssh:
    description: How the host with the backups is reached. Without it, they are on the control node itself.
    type: dict
    suboptions:
      host:
        description: Its name or address.
        type: str
        required: true
      user:
        description: The user there.
        type: str
      port:
        description: The port of SSH there.
        type: int
      ssh_key:
        description: Path of the private key.
        type: path
      known_hosts:
        description: Path of the file with known host keys.
        type: path
      ssh_arguments:
        description: Further arguments for C(ssh).
        type: str
        default: ""
"""

EXAMPLES = r"""
- name: Ask what there is
  moodleclaude.backup.backup_copy:
    state: listed
    root: /var/backups/moodleclaude
  register: listed

- name: Copy it here
  moodleclaude.backup.backup_copy_controller:
    state: present
    root: /var/backups/moodleclaude
    offered: "{{ listed.offered }}"
    ssh:
      host: "{{ ansible_host }}"
    copies:
      - name: here
        kind: controller
        path: /srv/copies/{{ inventory_hostname }}
        encrypted_storage: true
  delegate_to: localhost
"""

RETURN = r"""
copies:
  description: What became of each copy, see M(moodleclaude.backup.backup_copy). Also returned if the module fails.
  type: list
  elements: dict
  returned: state is present
name:
  description: Name of the backup that was chosen or brought.
  type: str
  returned: state is chosen or fetched
stack:
  description: Its stack.
  type: str
  returned: state is chosen or fetched
elsewhere:
  description: Whether one of the copies has it that the host reaches itself.
  type: bool
  returned: state is chosen
copy:
  description: Name of the copy that it comes from.
  type: str
  returned: state is fetched
where:
  description: Where it comes from.
  type: str
  returned: state is fetched
"""

import os
import shlex

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _backup_set,
    _copies,
    _copy_fetch,
    _copy_kinds,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params, check_mode):
    """Return the result of one call (dict)."""
    root, copies, ssh = _backup_set.Root(params["root"]), params["copies"], params["ssh"]
    _copy_kinds.check(copies)
    if any(options["kind"] != _copy_kinds.CONTROLLER for options in copies):
        raise UsageError("Only a copy on the control node is made here", "Use backup_copy for others.")
    if ssh is not None:
        ssh = dict(ssh, ssh_arguments=shlex.split(ssh["ssh_arguments"]))
    if params["state"] != "present":
        opened = [_copy_kinds.pull(options, root, with_checking(ssh, options), None) for options in copies]
        return (chosen if params["state"] == "chosen" else fetched)(root, opened, params, check_mode)

    def opened(options, fd):
        return _copy_kinds.pull(dict(options), root, with_checking(ssh, options), fd)

    results = _copies.replicate_all(None, copies, opened, params["offered"], params["last"], check_mode)
    _copies.require_success(results)
    return {"changed": _copies.changed(results), "copies": results}


def chosen(_root, opened, params, _check_mode):
    found, problems = _copy_fetch.choose(opened, params["name"], params["stack"], params["asked"])
    return {"changed": False, "name": found[0][1]["name"], "stack": found[0][1]["stack"],
            "elsewhere": found[0][0] is None, "warnings": problems}


def fetched(root, opened, params, check_mode):
    def bring(copy, entry):
        if check_mode:
            return
        partial = root.partial(entry["stack"], entry["name"])
        with copy.holding_source(entry["stack"]):
            copy.fetch_folder(entry, os.path.basename(partial))
            copy.fetch_blobs(entry, os.path.basename(partial), os.path.basename(_copy_fetch.blobs_folder(partial)))

    asked = dict(params["asked"] or {"copies": [], "problems": []}, backups=[])
    found = _copy_fetch.first_good(*_copy_fetch.choose(opened, params["name"], params["stack"], asked), bring)
    # The others have been warned of already.
    return dict(found, changed=True, warnings=found["warnings"][len(asked["problems"]):])


def with_checking(ssh, options):
    """Return how the host is reached (dict or None) with what a copy's options say of that."""
    return ssh and dict(ssh, **{key: options[key] for key in ("host_key_checking", "connect_timeout")})


def main():
    module = build_module(
        {
            "state": {"type": "str", "choices": ["present", "chosen", "fetched"], "required": True},
            "root": {"type": "path", "required": True},
            "copies": dict(_copy_kinds.COPIES, default=[]),
            "offered": {"type": "dict"},
            "name": {"type": "str"},
            "asked": {"type": "dict", "options": {
                "copies": {"type": "list", "elements": "str", "default": []},
                "backups": {"type": "list", "elements": "dict", "default": []},
                "problems": {"type": "list", "elements": "str", "default": []},
            }},
            "stack": {"type": "str"},
            "last": {"type": "int", "default": 0},
            "ssh": {"type": "dict", "options": {
                "host": {"type": "str", "required": True},
                "user": {"type": "str"},
                "port": {"type": "int"},
                "ssh_key": {"type": "path", "no_log": False},
                "known_hosts": {"type": "path"},
                "ssh_arguments": {"type": "str", "default": ""},
            }},
        },
        docker=False,
        required_if=[("state", "present", ["offered"]), ("state", "chosen", ["name"]), ("state", "fetched", ["name"])],
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
