# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.moodleclaude.backup.plugins.module_utils import _fleet


class ActionModule(ActionBase):
    """Everything happens on the control node, also for a host that cannot be reached."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec({
            "summary": {"type": "dict", "required": True},
            "host": {"type": "str", "required": True},
        })
        return dict(result, changed=False, **_fleet.verdict(options["summary"], options["host"]))
