# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how long each task took, and each item of a loop, as lines of JSON to the file named by TASK_TIMES."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_times
type: notification
short_description: Writes how long tasks take
description: For the benchmark. One line of JSON for each task and each item of a loop.
requirements: [the environment variable TASK_TIMES]
"""


# What is done on the control node alone, also for a host that is elsewhere.
_LOCAL = {"assert", "debug", "fail", "include_role", "include_tasks", "meta", "run_verdict", "set_fact", "set_stats",
          "validate_argument_spec"}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._last = time.monotonic()

    def _write(self, task, item, result):
        now = time.monotonic()
        remote = task.action.rpartition(".")[2] not in _LOCAL and task.delegate_to is None
        line = {"task": task.get_name().strip(), "item": item, "seconds": round(now - self._last, 3), "remote": remote}
        self._last = now
        with open(os.environ["TASK_TIMES"], "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._last = time.monotonic()

    def v2_runner_item_on_ok(self, result):
        self._write(result._task, str(result._result.get("_ansible_item_label", "")), result)

    def v2_runner_on_ok(self, result):
        if "results" not in result._result:  # else its items are written already
            self._write(result._task, "", result)
