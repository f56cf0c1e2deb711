# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run over many hosts and stacks, for the role fleet; see module_utils/_fleet.py."""
from __future__ import annotations

import json

from ansible_collections.moodleclaude.backup.plugins.module_utils import _fleet
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError


def run_stacks(stacks, settings, name=_fleet.LATEST):
    """Return the stacks of a host that a run works on.

    :param stacks: list of dict, or a string that holds one as JSON, which is how AWX passes it.
    :returns: {"stacks": list of dict, "problem": why there are none, or None}.
    """
    try:
        if isinstance(stacks, str):
            stacks = _parsed(stacks)
        return {"stacks": _fleet.stacks_of_host(stacks, settings, name), "problem": None}
    except UsageError as error:
        return {"stacks": [], "problem": error.describe()}


def _parsed(text):
    try:
        return json.loads(text) if text.strip() else []
    except ValueError as error:
        raise UsageError("moodle_backup_stacks is a text that is no JSON: %s" % error,
                         'Write it as a list, or as JSON: [{"project": "school"}].') from error


def run_rows(results, job, label, host_seconds=None):
    """Return what became of the stacks on which a job has done its work (list of dict).

    :param host_seconds: float, how long it took, or None.
    """
    return [dict(row, seconds=host_seconds) for row in _fleet.rows_of_success(job, results, label)]


def run_failure(error, label, results=None, host_seconds=None):
    """Return what became of a stack on which a job has failed (list of one dict)."""
    return [dict(_fleet.row_of_failure(error, label, results), seconds=host_seconds)]


class FilterModule:
    def filters(self):
        return {"run_stacks": run_stacks, "run_rows": run_rows, "run_failure": run_failure,
                "run_summary": lambda hosts, job, check=False: _fleet.summary(job, hosts, check),
                "run_table": _fleet.table}
