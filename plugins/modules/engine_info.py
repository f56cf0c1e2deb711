#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_info
short_description: Tell what kind of engine a host has, and how it is reached
version_added: 0.2.0
description:
  - Connects to the engine as all modules of this collection do, and tells what it is, whether its files can be read
    directly, and whether the programs are there that a backup needs.
  - Fails with the reason if the engine cannot be reached or is of a kind that is not supported.
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
"""

EXAMPLES = r"""
- name: What is there?
  moodleclaude.backup.engine_info:
  register: found

- name: Ask an engine that is reached with TLS
  moodleclaude.backup.engine_info:
    docker_host: tcp://docker.example.com:2376
    validate_certs: true
    ca_path: /etc/docker-client/ca.pem
    client_cert: /etc/docker-client/cert.pem
    client_key: /etc/docker-client/key.pem
"""

RETURN = r"""
url:
  description: The URL that was connected to.
  type: str
  returned: success
  sample: unix:///var/run/docker.sock
engine:
  description: What the engine is.
  type: dict
  returned: success
  contains:
    kind:
      description: V(docker) or V(podman).
      type: str
    version:
      description: Its version.
      type: str
    api_version:
      description: Version of the API that it speaks.
      type: str
    image_store:
      description: >-
        Who keeps the images: V(docker) itself, V(containerd), or V(podman). Only with V(docker) can images be read
        directly, and with the others the same image has another ID.
      type: str
    storage_driver:
      description: How the files of containers are kept, such as V(overlay2).
      type: str
    root:
      description: The engine's folder.
      type: str
    host:
      description: Name of the engine's host.
      type: str
    system:
      description: Operating system of the engine's host.
      type: str
direct:
  description: Whether files can be read and written directly, which is several times faster than through the API.
  type: bool
  returned: success
direct_problem:
  description: Why not, or null.
  type: str
  returned: success
python:
  description: Version of the Python that runs modules on the managed host.
  type: str
  returned: success
python_executable:
  description: Path of that Python.
  type: str
  returned: success
sdk:
  description: Version of its Docker SDK.
  type: str
  returned: success
programs:
  description: For each program that a backup may need, whether it is there. C(tar) counts only if it is GNU tar.
  type: dict
  returned: success
missing:
  description: Those that a backup with default settings needs and that are not there.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._engine_info import describe
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def main():
    module = build_module({}, supports_check_mode=True)
    run(module, lambda: describe(Engine(module.params)))


if __name__ == "__main__":
    main()
