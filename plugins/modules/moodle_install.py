#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_install
short_description: Install Moodle in a container
version_added: 0.1.0
description:
  - Writes config.php if there is none, and installs Moodle through its own command line if the database is empty.
  - A config.php that exists is never changed, and a database that holds any table is never touched. What an existing
    config.php says counts; the options of this module then do not.
  - The passwords reach PHP through its standard input; they are in no argument of any process.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
    details: A container that does not run counts as one that a task before this one would have started.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  container:
    description: Name of the running web container. It needs C(sh) and PHP with the pgsql extension.
    type: str
    required: true
  install:
    description:
      - Whether this module installs the site. If V(false), the image does that by itself at its first start; the
        module then changes nothing and waits until it has.
    type: bool
    default: true
  code_path:
    description: Folder of Moodle's code in the container. With Moodle 5.1 and later this is the folder above C(public).
    type: str
    default: /var/www/html
  data_path:
    description: Moodle's data directory in the container. If it is empty it is given to O(data_owner).
    type: str
    default: /var/www/moodledata
  data_owner:
    description: Numeric user and group that the web server's PHP runs as, V(uid:gid). The installer runs as this user.
    type: str
    default: '33:33'
  wwwroot:
    description: The site's address, as users type it. Required if O(install) is true.
    type: str
  ssl_proxy:
    description: Whether a proxy in front of the container does TLS, so that the container itself sees plain HTTP.
    type: bool
    default: false
  database_host:
    description: Name of the database server, as the web container sees it. Required if O(install) is true.
    type: str
  database_port:
    description: Port of the database server, if it is not the usual one.
    type: int
  database:
    description: Name of the database. It has to exist.
    type: str
    default: moodle
  database_user:
    description: User of the database.
    type: str
    default: moodle
  database_password:
    description: Password of O(database_user). Required if O(install) is true.
    type: str
  prefix:
    description: Prefix of the tables' names.
    type: str
    default: mdl_
  full_name:
    description: Full name of the site.
    type: str
    default: Moodle
  short_name:
    description: Short name of the site.
    type: str
    default: moodle
  language:
    description: Language of the site. Another one than V(en) is downloaded by Moodle.
    type: str
    default: en
  admin_user:
    description: Name of the administrator's account.
    type: str
    default: admin
  admin_email:
    description: Mail address of the administrator.
    type: str
    default: admin@example.org
  admin_password:
    description: Password of the administrator's account. Required if O(install) is true.
    type: str
  wait_seconds:
    description: Seconds to wait for the database server, or for the image if O(install) is false.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Install Moodle
  moodleclaude.backup.moodle_install:
    container: school-web
    wwwroot: https://school.example.org
    ssl_proxy: true
    database_host: school-db
    database_password: "{{ school_database_password }}"
    admin_password: "{{ school_admin_password }}"
"""

RETURN = r"""
config_written:
  description: Whether config.php was written, or in check mode would be.
  type: bool
  returned: success
installed:
  description: Whether Moodle was installed into the database, or in check mode would be.
  type: bool
  returned: success
version:
  description: Moodle's version as the database has it, such as V(2024100706.00); null if it is not installed yet.
  type: str
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils import _install
from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


def main():
    module = build_module(
        {
            "container": {"type": "str", "required": True},
            "install": {"type": "bool", "default": True},
            "code_path": {"type": "str", "default": "/var/www/html"},
            "data_path": {"type": "str", "default": "/var/www/moodledata"},
            "data_owner": {"type": "str", "default": "33:33"},
            "wwwroot": {"type": "str"},
            "ssl_proxy": {"type": "bool", "default": False},
            "database_host": {"type": "str"},
            "database_port": {"type": "int"},
            "database": {"type": "str", "default": "moodle"},
            "database_user": {"type": "str", "default": "moodle"},
            "database_password": {"type": "str", "no_log": True},
            "prefix": {"type": "str", "default": "mdl_"},
            "full_name": {"type": "str", "default": "Moodle"},
            "short_name": {"type": "str", "default": "moodle"},
            "language": {"type": "str", "default": "en"},
            "admin_user": {"type": "str", "default": "admin"},
            "admin_email": {"type": "str", "default": "admin@example.org"},
            "admin_password": {"type": "str", "no_log": True},
            "wait_seconds": {"type": "int", "default": 120},
        },
        required_if=[("install", True, ["wwwroot", "database_host", "database_password", "admin_password"])],
        supports_check_mode=True,
    )
    run(module, lambda: _install.ensure(Engine(module.params), module.params, module.check_mode))


if __name__ == "__main__":
    main()
