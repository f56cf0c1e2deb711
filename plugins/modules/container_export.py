#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_export
short_description: Record containers so that they can be created again
version_added: 0.1.0
description:
  - Writes a JSON file that describes containers completely, with their networks and volumes and the IDs of their
    images. M(moodleclaude.backup.container_import) creates them again from it.
  - The description holds the containers' environment, which usually has passwords in it. The file gets mode C(0600),
    and the module returns names only.
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
    details: Shows the names of what is described and of the settings that differ, not their values.
  idempotent:
    support: full
    details: A file that describes the same containers is left as it is.
options:
  containers:
    description: Names or IDs of the containers. Every setting that the Docker Engine knows of them is recorded.
    type: list
    elements: str
    required: true
  running:
    description:
      - Names of those of O(containers) that count as running, which M(moodleclaude.backup.container_import) starts. Say
        it if they are stopped only for the moment.
      - Those that run now if not given.
    type: list
    elements: str
    version_added: 0.2.0
  dest:
    description: Path of the file. Its folder must exist.
    type: path
    required: true
  compose_dest:
    description:
      - Path of a compose file that is written too, which makes the same containers. It is for people who want to start
        a stack that was not made by Compose without this collection; what Compose cannot say is not in it.
    type: path
  compose_files:
    description: Compose files on the managed host that are copied to the folder of O(dest), each under its own name.
    type: list
    elements: path
    default: []
  overwrite:
    description: Whether a file that is there and describes something else may be replaced.
    type: bool
    default: false
seealso:
  - module: moodleclaude.backup.container_import
  - module: moodleclaude.backup.image_export
"""

EXAMPLES = r"""
- name: Record a site and its database
  moodleclaude.backup.container_export:
    containers: [moodle, moodle-db]
    dest: /var/backups/moodle/container_info.json
"""

RETURN = r"""
dest:
  description: Path of the file.
  returned: success
  type: str
size:
  description: Size of the file in bytes.
  returned: when the file exists
  type: int
sha256:
  description: SHA-256 of the file, in hexadecimal.
  returned: when the file exists
  type: str
containers:
  description: Names of the containers that are described.
  returned: success
  type: list
  elements: str
networks:
  description: Names of their networks, without those that every engine has.
  returned: success
  type: list
  elements: str
volumes:
  description: Names of the volumes that they mount, anonymous ones too.
  returned: success
  type: list
  elements: str
images:
  description:
    - Their images, as M(moodleclaude.backup.image_export) takes them. That is the name that a container was created
      with, or the ID of the image if that name means another one meanwhile.
  returned: success
  type: list
  elements: str
compose:
  description: The compose file with its C(dest), C(size) (bytes) and C(sha256).
  returned: when O(compose_dest) is set
  type: dict
compose_files:
  description: The copies of O(compose_files), each with its C(dest), C(size) (bytes) and C(sha256).
  returned: success
  type: list
  elements: dict
start_order:
  description:
    - Names of the containers in the order in which to start them, so that a container comes after those that it refers
      to or that Compose's labels say it depends on.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._containers import EXPORT
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(EXPORT)


if __name__ == "__main__":
    main()
