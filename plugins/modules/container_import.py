#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_import
short_description: Create recorded containers again
version_added: 0.1.0
description:
  - Creates containers as M(moodleclaude.backup.container_export) has recorded them, with the networks and volumes that
    they need. Images must be there already, see M(moodleclaude.backup.image_import).
  - A container that is there and has the recorded definition is left alone. A different one is replaced, and kept until
    the transaction is committed.
  - Networks and volumes that exist are used as they are; a warning names what differs from the record.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows what is done and the names of the settings that differ, not their values.
  idempotent:
    support: full
    details: Not with O(recreate) in a new transaction.
options:
  src:
    description: Path of the file that M(moodleclaude.backup.container_export) wrote.
    type: path
  containers:
    description: Names of the containers that are meant. All that are recorded if not given.
    type: list
    elements: str
  recreate:
    description:
      - Names of containers that are replaced even if they have the recorded definition, which gives them a fresh
        writable layer.
    type: list
    elements: str
    default: []
  phase:
    description:
      - V(all) does everything in one call; if it fails the old containers are put back.
      - V(prepare) checks what can be checked, creates missing networks and volumes, and sees to O(ready). Running
        containers notice nothing.
      - V(switch) stops the containers that differ, renames them to C(<name>_mb_<transaction>_old) and creates the new
        ones.
      - V(commit) removes the old containers, and those of their anonymous volumes that nobody else uses.
      - V(rollback) removes the new containers and the networks that were created and are not in use, and puts the old
        ones back as they were. Volumes stay. It is no error if there is nothing to do.
    type: str
    choices: [all, prepare, switch, commit, rollback]
    default: all
  ready:
    description:
      - Names of containers that have to run for what is prepared next, such as the database. O(phase=prepare) creates
        those that are missing, and starts those that are stopped. One that was created and cannot be started is removed
        again.
      - Those that O(containers) leaves out are not meant.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  keep_new:
    description:
      - With O(phase=rollback), containers that were created where none was before stay, and so do networks. Another
        rollback without this removes them.
    type: bool
    default: false
    version_added: 0.2.0
  transaction:
    description:
      - Name of the transaction, 1 to 32 lower-case letters and digits. Phases of the same restore have the same name.
      - Required unless O(phase=all).
    type: str
  check_images:
    description:
      - Whether O(phase=prepare) fails if an image is missing. Say no if the images are loaded before O(phase=switch).
    type: bool
    default: true
  state:
    description:
      - V(started) starts the containers that were running when they were recorded, or those that O(started) names, in
        the recorded order.
      - V(created) creates only. A second O(phase=switch) with V(started) starts them.
    type: str
    choices: [created, started]
    default: started
  started:
    description:
      - Names of the containers that O(state=started) starts, whatever the record says of them. Those that
        O(containers) leaves out are not meant.
      - Only of these are the ports of the host checked before.
    type: list
    elements: str
    version_added: 0.2.0
  stop_timeout:
    description:
      - Seconds that a container has to stop by itself, if its definition does not say.
    type: int
    default: 30
seealso:
  - module: moodleclaude.backup.container_export
  - module: moodleclaude.backup.image_import
"""

EXAMPLES = r"""
- name: Bring the containers back
  moodleclaude.backup.container_import:
    src: /var/backups/moodle/container_info.json

- name: Create networks and volumes first
  moodleclaude.backup.container_import:
    src: /var/backups/moodle/container_info.json
    phase: prepare
    transaction: t20260131

- name: Replace the containers
  moodleclaude.backup.container_import:
    src: /var/backups/moodle/container_info.json
    phase: switch
    transaction: t20260131

- name: Something is wrong, so take the old ones again
  moodleclaude.backup.container_import:
    phase: rollback
    transaction: t20260131
"""

RETURN = r"""
transaction:
  description: Name of the transaction.
  returned: success
  type: str
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [create network school_default, create container school-db-1, start container school-db-1]
absent:
  description: Names of the containers that did not exist before. Only O(phase=prepare) and O(phase=all) tell.
  returned: success
  type: list
  elements: str
differences:
  description: For each container that is replaced, the names of the settings that differ from the record.
  returned: success
  type: dict
  sample: {school-db-1: [config.Env, image]}
moved:
  description:
    - For each container that has something else mounted than the record says, the paths in it. It has other files there
      than the recreated container would have.
  returned: success
  type: dict
  sample: {school-db-1: [/var/lib/postgresql/data]}
  version_added: 0.2.0
missing_binds:
  description:
    - Paths on the Docker host that the containers mount and that do not exist. They have to be restored before the
      start.
    - Empty if the module does not run on that host as root.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._container_import import IMPORT
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(IMPORT)


if __name__ == "__main__":
    main()
