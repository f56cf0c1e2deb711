# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keyword 'throttle' of a task, also where Ansible itself does not keep to it.

With the strategies free and host_pinned, Ansible counts the workers that are at the same task. A task that was included
is another one for each host, so that all of them run at once. The modules that read and write much are actions, too:
each waits for a slot of the run before the module starts. A slot is a lock on a file of the control node, which the
kernel frees when the worker ends, however it ends.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import time

from ansible import constants as C
from ansible.plugins.action.normal import ActionModule as ModuleAction

_LOCK = "MOODLE_BACKUP_LOCK"  # see module_utils/_lock.py
_SIGN_OF_LIFE = 'if [ -n "$%s" ]; then touch -c -- "$%s"; fi' % (_LOCK, _LOCK)
_POLL = 0.2  # seconds
_SECONDS_BETWEEN_SIGNS = 60  # moodle_backup_lock_timeout is 900 if the user says nothing


@contextlib.contextmanager
def slot(folder, number, waiting=lambda: None, between=_SECONDS_BETWEEN_SIGNS):
    """Have one of the slots of a folder inside, and wait for it before.

    :param folder: str, on this machine; all that share it share the slots.
    :param number: int, how many may be inside at once, by what this caller says. A greater number of another one gives
        it no more than that, as the last slots are taken first.
    :param waiting: called about every so many seconds ('between') while there is none.
    """
    with contextlib.ExitStack() as stack:
        files = []
        for index in reversed(range(number)):
            path = os.path.join(folder, "moodle_backup_slot_%d" % index)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, fd)
            files.append(fd)
        said = time.monotonic()
        while not any(_locked(fd) for fd in files):
            if time.monotonic() - said >= between:
                waiting()
                said = time.monotonic()
            time.sleep(_POLL)
        yield


def _locked(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class SlotAction(ModuleAction):
    """Runs a module as Ansible does, in a slot if the task has 'throttle'."""

    def run(self, tmp=None, task_vars=None):
        if not self._task.throttle:
            return super().run(tmp, task_vars)
        # The folder of this run, which Ansible removes in the end.
        with slot(C.DEFAULT_LOCAL_TMP, self._task.throttle, lambda: self._say_alive(task_vars)):
            return super().run(tmp, task_vars)

    def _say_alive(self, task_vars):
        """Touch the lock that the stack is held by, which else would count as left behind after a while."""
        self._execute_module(module_name="ansible.builtin.command", module_args={"argv": ["sh", "-c", _SIGN_OF_LIFE]},
                             task_vars=task_vars)
