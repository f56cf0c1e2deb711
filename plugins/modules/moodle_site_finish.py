#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_site_finish
short_description: Do what a Moodle site needs after a restore
version_added: 0.1.0
description:
  - Forgets tasks that were running when the backup was made, purges the caches, rebuilds the component cache if the
    site has one, ends all sessions, and asks Moodle whether its database fits its code.
  - The programs of Moodle run as the owner of the data directory.
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
    support: none
options:
  container:
    description: Name of the web container.
    type: str
    required: true
  moodle:
    description: RV(moodleclaude.backup.moodle_stack_info#module:stack) of the site, its C(moodle) part.
    type: dict
    required: true
  old_wwwroot:
    description: The address that the site had, if it has another one now; it is replaced in the site's texts.
    type: str
  wwwroot:
    description: The address that the site has now. Required with O(old_wwwroot).
    type: str
  clone:
    description: Whether the site is a copy beside the original. Then it gets an identifier of its own.
    type: bool
    default: false
  wait_seconds:
    description: Seconds to wait for the database after a start.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Finish a restored site
  moodleclaude.backup.moodle_site_finish:
    container: school-web
    moodle: "{{ found.stack.moodle }}"
"""

RETURN = r"""
steps:
  description: What was done.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call
from ansible_collections.moodleclaude.backup.plugins.module_utils._site_finish import SITE_FINISH


def main():
    run_call(SITE_FINISH)


if __name__ == "__main__":
    main()
