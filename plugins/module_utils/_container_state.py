# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts or stops containers that exist: what container_state does."""
from __future__ import annotations

from ._call import Call


def work(engine, params, check_mode):
    """Return the result of container_state (dict).

    :param params: dict with containers (list of names), state ("started" or "stopped"), stop_timeout (seconds).
    """
    start = params["state"] == "started"
    changed, missing = [], []
    for name in params["containers"] if start else reversed(params["containers"]):
        found = engine.find_container(name)
        if found is None:
            missing.append(name)
        elif found["State"]["Running"] != start:
            changed.append(name)
            if not check_mode and start:
                engine.start(name)
            elif not check_mode:
                engine.stop(name, params["stop_timeout"])
    return {"changed": bool(changed), "containers": changed, "missing": missing}


STATE = Call(
    options={
        "containers": {"type": "list", "elements": "str", "required": True},
        "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
        "stop_timeout": {"type": "int", "default": 30},
    },
    rules={},
    work=lambda engine, params, check_mode, _diff: work(engine, params, check_mode),
)
