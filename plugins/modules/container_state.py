#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_state
short_description: Start or stop containers that exist
version_added: 0.1.0
description:
  - Starts or stops containers and leaves everything else about them alone. A container that does not exist is no error.
  - Unlike M(community.docker.docker_container) it does not return the containers' environment, which usually has
    passwords in it, so its errors can be shown.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  containers:
    description: Names of the containers. They are started in this order, and stopped in the opposite one.
    type: list
    elements: str
    required: true
  state:
    description: Whether they shall run.
    type: str
    choices: [started, stopped]
    required: true
  stop_timeout:
    description: Seconds that a container has to end by itself before the engine kills it.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Stop a site
  moodleclaude.backup.container_state:
    containers: [school-web, school-cron]
    state: stopped
"""

RETURN = r"""
containers:
  description: Names of the containers that were started or stopped.
  type: list
  elements: str
  returned: success
missing:
  description: Names of the containers that do not exist.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._container_state import STATE
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(STATE)


if __name__ == "__main__":
    main()
