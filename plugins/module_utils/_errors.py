# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of this collection: one tree, raised by everything below the modules.

A message says what failed and on which thing; the hint says what to do next. Only _module turns them into fail_json.
"""
from __future__ import annotations


class BackupError(Exception):
    """Base of all errors an operator may see.

    :param message: what failed, on which thing, and why (one sentence, no trailing full stop needed).
    :param hint: what the operator can do next, or None.
    :param details: JSON-serialisable values that a program may want, returned beside the message.
    """

    def __init__(self, message, hint=None, **details):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def describe(self):
        """Return message and hint as one text (str)."""
        text = self.message.rstrip()
        if text and text[-1] not in ".!?":
            text += "."
        return "%s %s" % (text, self.hint) if self.hint else text


class UsageError(BackupError):
    """The caller asked for something that makes no sense: a bad name, options that exclude each other."""


class NotFoundError(BackupError):
    """A container, volume, image, file, database or backup that was named does not exist."""


class AmbiguousError(BackupError):
    """Several things fit; details carry the candidates."""


class ExistsError(BackupError):
    """Something would be overwritten and nobody asked for that."""


class LockedError(BackupError):
    """Another run is at work on the same stack."""


class EngineError(BackupError):
    """The Docker Engine refused a request or cannot be reached."""


class CommandError(BackupError):
    """A program failed, here or in a container; details carry rc and the last lines of its standard error."""


class IntegrityError(BackupError):
    """Something is not what its checksum, its count or its format says."""


class StorageError(BackupError):
    """A file could not be written or read: disk full, no permission, input/output error."""
