# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


def failure(result):
    """Return why a task failed (str): its message, or those of the failed items of its loop.

    :param result: dict, ansible_failed_result.
    """
    failed = [entry for entry in result.get("results", []) if entry.get("failed")]
    messages = [str(entry.get("msg", "")) for entry in failed] or [str(result.get("msg", "no message"))]
    return " ".join(message for message in messages if message)


class FilterModule:
    def filters(self):
        return {"failure": failure}
