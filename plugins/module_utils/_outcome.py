# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Note what became of a run. A note that cannot be written never changes what became of it, so this warns."""
from __future__ import annotations

import time

from . import _notes
from ._errors import BackupError
from ._room import human


def note(root, stack, job, ok, message, seconds=None):
    """Note what became of a run that ends now.

    :param root: _backup_set.Root. :param job: one of _notes.JOBS. :param ok: bool. :param message: str, for people.
    :param seconds: how long it took, or None.
    :returns: list of str, warnings: why it could not be noted.
    """
    try:
        _notes.set_outcome(root, stack, job, time.time(), ok, message, seconds)
    except BackupError as error:
        return [_warning(job, stack, error.describe())]
    except OSError as error:
        return [_warning(job, stack, "%s: %s" % (error.filename, error.strerror))]
    return []


def note_published(root, stack, began, published, complete=True):
    """Note that a backup was made.

    :param began: seconds since the epoch. :param published: dict, as _backup_set.publish returns it.
    :param complete: bool, whether it lacks nothing. :returns: warnings, as note() does.
    """
    message = "made %s, %s new" % (published["name"], human(published["added"]))
    if not complete:
        message += ", NOT COMPLETE"
    return note(root, stack, "backup", True, message, max(0.0, time.time() - began))


def note_restored(root, stack, record):
    """Note how a restore ended: well if its site was proved to work, else it was undone.

    :param record: dict, as _backup_set.read_record returned it before the end. :returns: warnings, as note() does.
    """
    if record["proved"]:
        message = "restored from %s" % record["backup"]
    else:
        message = "the restore from %s was undone; what was there before has been put back" % record["backup"]
    now = time.time()
    return note(root, stack, "restore", record["proved"], message, max(0.0, now - record.get("began", now)))


def _warning(job, stack, reason):
    return "What became of the %s of stack '%s' could not be noted: %s" % (job, stack, reason)
