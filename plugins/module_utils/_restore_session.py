# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Begins and ends the restore of a stack: what restore_session does."""
from __future__ import annotations

from . import _backup_set, _outcome, _pause
from ._call import Call


def work(engine, params, check_mode):
    """Return the result of restore_session (dict).

    :param params: dict, the options of restore_session.
    """
    root = _backup_set.Root(params["root"], params["lock_timeout"])
    stack, token, state = params["stack"], params["run"], params["state"]
    if state == "listed":
        return {"changed": False, "records": _backup_set.read_records(root, stack)}
    if check_mode:
        unfinished = _backup_set.read_record(root, stack) if state == "begun" else None
        return {"changed": True, "unfinished": unfinished, "lock": root.lock(stack).path, "run": token}
    if state == "begun":
        engine.ensure_reachable()  # nothing is held if it cannot be reached
        return dict(_begin(engine, root, params), changed=True, run=token)
    if state == "proved":
        proved = _backup_set.prove_restore(root, stack, token)
        _pause.forget(root, stack)  # nothing holds a site still that works
        return {"changed": proved}
    record, warnings = _backup_set.read_record(root, stack), []
    if state == "finished" and root.lock(stack).is_of(token):
        # What was held still before this restore is back if the restore was undone, and is wanted to go on.
        _resumed, warnings = _pause.resume(engine, root, stack)
    ended = _backup_set.end_restore(root, stack, token, finished=state == "finished")
    note = ended and record and state == "finished"
    return {"changed": ended, "warnings": warnings + (_outcome.note_restored(root, stack, record) if note else [])}


def _begin(engine, root, params):
    """Return what _backup_set.begin_restore() does, with warnings (list of str) and what ran (list of names).

    After an error nothing is begun. An earlier restore that is not finished is left alone; it knows what ran before it.
    """
    stack, token, plan = params["stack"], params["run"], params["plan"]
    begun = _backup_set.begin_restore(root, stack, params["backup"], token, params["transaction"], plan)
    try:
        engine.remove_helpers(begun["lock"])
        if begun["unfinished"]:
            return dict(begun, warnings=[])
        # A backup that was cut off may have left the site held still.
        _resumed, warnings = _pause.resume(engine, root, stack)
        running = _running(engine, plan.get("containers", ()))
        _backup_set.remember_running(root, stack, token, running)
    except BaseException:
        _backup_set.end_restore(root, stack, token, finished=begun["unfinished"] is None)
        raise
    return dict(begun, warnings=warnings, running=running)


def _running(engine, names):
    """Return those of the containers (list of names) that run."""
    found = {name: engine.find_container(name) for name in names}
    return [name for name in names if found[name] and found[name]["State"]["Running"]]


SESSION = Call(
    options={
        "state": {
            "type": "str",
            "choices": ["begun", "proved", "finished", "interrupted", "listed"],
            "required": True,
        },
        "root": {"type": "path", "required": True},
        "stack": {"type": "str"},
        "backup": {"type": "str"},
        "run": {"type": "str"},
        "transaction": {"type": "str"},
        "plan": {"type": "dict", "default": {}},
        "lock_timeout": {"type": "int", "default": 900},
    },
    rules={
        "required_if": [
            ("state", "begun", ["stack", "backup", "run", "transaction"]),
            ("state", "proved", ["stack", "run"]),
            ("state", "finished", ["stack", "run"]),
            ("state", "interrupted", ["stack", "run"]),
        ],
    },
    work=lambda engine, params, check_mode, _diff: work(engine, params, check_mode),
)
