#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_site_check
short_description: Prove that a Moodle site works
version_added: 0.1.0
description:
  - Fetches the login page through the site's own web server, and compares the stored files with the database.
  - With O(expected), also checks that the site is the one it was when that was recorded, its encryption keys included.
  - PHP in the web container does the work, so no port has to be reachable and no password leaves the container.
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
    description: Name of the web container.
    type: str
    required: true
  config:
    description: Path of config.php in the container.
    type: str
    required: true
  wwwroot:
    description: The site's address.
    type: str
    required: true
  companions:
    description: Names of containers that may be the web server, if it is not in the web container itself.
    type: list
    elements: str
    default: []
  content:
    description: Read every stored file that the database needs and check its SHA-1. If V(false), only look for it.
    type: bool
    default: true
  web:
    description: Whether the login page has to answer. If V(false), a failure is a warning.
    type: bool
    default: true
  expected:
    description: RV(site) of an earlier call, or nothing.
    type: dict
  clone:
    description: Whether the site is a copy of what is O(expected), and so must not have the same identifier.
    type: bool
    default: false
  wait_seconds:
    description: Seconds to wait for the login page and the database after a start.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Check the site
  moodleclaude.backup.moodle_site_check:
    container: "{{ found.stack.web.name }}"
    config: "{{ found.stack.moodle.config }}"
    wwwroot: "{{ found.stack.moodle.wwwroot }}"
"""

RETURN = r"""
site:
  description:
    - C(siteidentifier), C(version), C(fullname), C(shortname), C(users), C(courses), C(external_files).
    - C(files) counts the stored files that the database needs (C(needed)) and of them the C(missing) and C(damaged).
    - C(keys) has the SHA-256 of each encryption key.
  type: dict
  returned: success
page:
  description: The login page with its C(url), C(place) (host and port that answered), C(status) and C(title), or null.
  type: dict
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call
from ansible_collections.moodleclaude.backup.plugins.module_utils._site_check import SITE_CHECK


def main():
    run_call(SITE_CHECK)


if __name__ == "__main__":
    main()
