#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_stack_info
short_description: Find a Moodle site that runs in Docker, and all that belongs to it
version_added: 0.1.0
description:
  - Finds the web container, asks PHP in it for the site's settings, resolves the database host on the container's
    networks, and takes the companions from the Compose project or the network.
  - Everything that was found can be overridden by an option.
  - No password is in the result.
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
  container:
    description:
      - Name of the web container. Not needed when just one Moodle runs on the host.
    type: str
  project:
    description: Name of the Compose project of the stack, another way to tell several stacks apart.
    type: str
  name:
    description: Name of the stack. The default is the Compose project's name, or the web container's.
    type: str
  database_container:
    description: Name of the database container, if it cannot be found by the site's database host.
    type: str
  companions:
    description:
      - Names of the other containers of the stack.
      - The default is all others of the Compose project, or those that share a network with the web container and
        belong to nobody else.
    type: list
    elements: str
  plugin_paths:
    description: Folders of further plugins, relative to the code's root, for the archive of plugins.
    type: list
    elements: str
    default: []
  exclude_data:
    description:
      - Patterns of what is left out of the data directory, relative to it, besides what Moodle makes anew by itself.
    type: list
    elements: str
    default: []
  config_paths:
    description: Further files or folders on the Docker host that configure the stack.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Find the only Moodle on this host
  moodleclaude.backup.moodle_stack_info:
  register: found

- name: Find one of several
  moodleclaude.backup.moodle_stack_info:
    container: school-web
"""

RETURN = r"""
stack:
  description: The stack.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the stack.
      type: str
    web:
      description: The web container with its C(name), C(image), C(image_id), C(running), C(service).
      type: dict
    database:
      description:
        - The database with its C(container), C(type), C(name), C(user), C(prefix), C(host) and C(port).
        - C(password_command) prints the password when it is run in the web container.
        - C(server_mounts) are the mounts that hold the server's own files, which are never copied.
      type: dict
    containers:
      description: All containers, the web container first.
      type: list
      elements: dict
    images:
      description: Images of all containers, as O(moodleclaude.backup.image_export#module:images) takes them.
      type: list
      elements: str
    moodle:
      description:
        - C(wwwroot), C(release), C(version), C(branch), C(config) (path of config.php), C(config_place) (where the file
          itself is, also if that path is a link, with C(storage), C(volume), C(container) and C(path) as in C(trees)),
          C(root) (all of the code), C(code) (where version.php is), C(dataroot), C(owner) (numeric owner and group of
          the data directory), C(php) (version), C(external_files) (whether files are kept in an external store),
          C(plugins) (additional ones with component, path, version and release).
      type: dict
    trees:
      description:
        - The trees of files to archive, each byte once, with C(role) (application, data or mount), C(file) (name for
          the archive), C(storage) (volume, bind or layer), the options C(volume), C(container) and C(path) as
          M(moodleclaude.backup.volume_archive) takes them, C(exclude), and C(keep) for
          M(moodleclaude.backup.volume_restore).
      type: list
      elements: dict
    filedir:
      description:
        - Where the stored files are, in the same form as an entry of C(trees), for
          M(moodleclaude.backup.filedir_archive). C(trash) tells where those are that the site has deleted.
      type: dict
    plugin_paths:
      description: Folders of additional plugins, relative to the code's root.
      type: list
      elements: str
    engine:
      description: The Docker Engine and its host, C(version), C(storage_driver), C(system), C(kernel) and C(host).
      type: dict
    compose:
      description: C(project), C(working_dir), C(config_files) and C(files) (settings beside the compose file).
      type: dict
    configuration:
      description: Trees of configuration on the Docker host, as in C(trees), with C(paths) where only some count.
      type: list
      elements: dict
    warnings:
      description: What was found but will not survive, or cannot be backed up.
      type: list
      elements: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _stack
from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def work(params):
    """Return the result of one call (dict)."""
    stack = _stack.describe(Engine(params), params)
    return {"changed": False, "stack": stack, "warnings": list(stack["warnings"])}


def main():
    module = build_module(
        {
            "container": {"type": "str"},
            "project": {"type": "str"},
            "name": {"type": "str"},
            "database_container": {"type": "str"},
            "companions": {"type": "list", "elements": "str"},
            "plugin_paths": {"type": "list", "elements": "str", "default": []},
            "exclude_data": {"type": "list", "elements": "str", "default": []},
            "config_paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params))


if __name__ == "__main__":
    main()
