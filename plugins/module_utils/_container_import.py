# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates recorded containers again in one call, or in one phase of a transaction: what container_import does."""
from __future__ import annotations

import os
import re

from ._call import Call
from ._containers import load
from ._errors import BackupError, UsageError
from ._recreation import Recreation

_TRANSACTION = re.compile(r"[a-z0-9]{1,32}\Z")


def restore(engine, params, check_mode):
    """Do one phase; what container_import does.

    :param params: dict, the options of container_import.
    :returns: dict for exit_json.
    """
    phase, transaction = params["phase"], params["transaction"]
    if phase == "all" and not transaction:
        transaction = os.urandom(4).hex()
    if not _TRANSACTION.match(transaction or ""):
        raise UsageError("'%s' is no name for a transaction" % (transaction or ""),
                         "Use 1 to 32 lower-case letters and digits.")
    work = Recreation(engine, transaction, check_mode)
    if phase == "commit":
        work.commit(params["containers"])
        return work.result()
    if phase == "rollback":
        work.rollback(params["containers"], params["keep_new"])
        return work.result()
    work.read(load(params["src"]), params["containers"], params["recreate"], params["ready"], params["started"])
    work.stop_timeout = params["stop_timeout"]
    work.images_may_come = check_mode or (phase == "prepare" and not params["check_images"])
    if phase == "prepare":
        work.prepare()
        work.make_ready()
    elif phase == "switch":
        work.switch(params["state"])
    else:
        _all_at_once(work, params["state"])
    return work.result()


def _all_at_once(work, state):
    names = sorted(work.definitions)
    try:
        work.prepare()
        work.switch(state)
    except BackupError as error:
        if not work.check_mode:
            try:
                work.rollback(names)
            except BackupError as second:
                raise type(error)(error.message, "Putting the old containers back failed too: %s Run this module with "
                                  "phase=rollback and transaction=%s." % (second.describe(), work.transaction),
                                  **error.details) from error
            error.hint = "%sThe containers are as they were before." % (error.hint + " " if error.hint else "")
        raise
    work.commit(names)


IMPORT = Call(
    options={
        "src": {"type": "path"},
        "containers": {"type": "list", "elements": "str"},
        "recreate": {"type": "list", "elements": "str", "default": []},
        "ready": {"type": "list", "elements": "str", "default": []},
        "keep_new": {"type": "bool", "default": False},
        "started": {"type": "list", "elements": "str"},
        "check_images": {"type": "bool", "default": True},
        "phase": {"type": "str", "choices": ["all", "prepare", "switch", "commit", "rollback"], "default": "all"},
        "transaction": {"type": "str"},
        "state": {"type": "str", "choices": ["created", "started"], "default": "started"},
        "stop_timeout": {"type": "int", "default": 30},
    },
    rules={
        "required_if": [
            ("phase", "all", ["src"]),
            ("phase", "prepare", ["src", "transaction"]),
            ("phase", "switch", ["src", "transaction"]),
            ("phase", "commit", ["transaction"]),
            ("phase", "rollback", ["transaction"]),
        ],
    },
    work=lambda engine, params, check_mode, _diff: restore(engine, params, check_mode),
)
