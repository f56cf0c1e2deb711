#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_config
short_description: Override settings in a site's config.php
version_added: 0.1.0
description:
  - Puts settings into a block of config.php that wins over all that stands above it. Owner, group and mode stay.
  - It works in a container that runs and in one that was never started, so a copy of a site can be kept from
    sending mail before its first cron runs.
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
  settings:
    description:
      - The settings, texts, numbers or truth values, such as C(wwwroot) or C(noemailever).
      - All that an earlier call has set and this one does not name is removed again.
      - The values of C(wwwroot), C(noemailever), C(dbhost) and others that hold no secret are shown with C(-vvv). Of
        all others, such as C(dbpass), only the names are, and where a value of them would stand in a message, it is
        replaced if it is a text of four or more characters. None of the settings is in the system's log.
    type: dict
    required: true
notes:
  - A config.php that is a bind mount of a single file cannot be replaced through the Docker API; that is an error.
"""

EXAMPLES = r"""
- name: A copy of a site must not write to anybody
  moodleclaude.backup.moodle_config:
    container: school-web
    config: /var/www/html/config.php
    settings:
      wwwroot: https://copy.school.example
      noemailever: true
"""

RETURN = r"""
settings:
  description: Names of the settings that hold now.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.moodleclaude.backup.plugins.module_utils import _secret_settings
from ansible_collections.moodleclaude.backup.plugins.module_utils._config_php import CONFIG
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


class Module(AnsibleModule):
    """AnsibleModule that shows the settings without those that may be secret.

    While the constructor works, all settings are secret: it is what writes to the system's log.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.no_log_values = _secret_settings.secret_texts(self.params["settings"])

    def exit_json(self, **kwargs):
        self._hide_settings()
        super().exit_json(**kwargs)

    def fail_json(self, msg, **kwargs):
        """End the module. The constructor itself calls this when the options are wrong."""
        self._hide_settings()
        super().fail_json(msg, **kwargs)

    def _hide_settings(self):
        self.params["settings"] = _secret_settings.shown(self.params.get("settings"))


def main():
    run_call(CONFIG, kind=Module)


if __name__ == "__main__":
    main()
