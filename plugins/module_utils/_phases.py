# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phases after "prepare", as volume_restore and filedir_restore have them in common."""
from __future__ import annotations

import contextlib
import os

from . import _locate
from ._errors import BackupError, NotFoundError


def is_direct(tree):
    return isinstance(tree, _locate.DirectTree)


def remove_made(tree):
    """Remove the tree's root, which a restore had to make, if it is empty."""
    if is_direct(tree):
        folder, name = tree.holder
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=folder)
    else:
        tree.shell().run('rmdir -- "$1" 2>/dev/null || :', [tree.at(b"")])


@contextlib.contextmanager
def nothing_to_roll_back(phase, result):
    """Let result (dict) say that nothing changed if there is nothing at all to roll back."""
    try:
        yield
    except NotFoundError:
        if phase != "rollback":
            raise
        result["changed"] = False


def finish(tree, work, phase, check_mode, what, mounts=()):
    """Run "switch", "commit" or "rollback". Return the module's result (dict).

    :param work: Switch. :param what: str, "tree" or "filedir". :param mounts: see Switch.switch().
    """
    if check_mode:
        return {"changed": work.due(phase)}
    if phase == "commit":
        return {"changed": work.commit()}
    if phase == "rollback":
        outcome = work.rollback()
        if outcome["made"]:
            remove_made(tree)
        late = "The transaction '%s' was committed already; the restored %s stays." % (work.transaction, what)
        return {"changed": outcome["changed"], "warnings": [late] if outcome["committed"] else []}
    try:
        return {"changed": work.switch(mounts)}
    except BackupError as error:
        if work.present() & {"old", "live"} and not error.hint:
            error.hint = "Run phase=rollback with transaction=%s to get the old %s back." % (work.transaction, what)
        raise
