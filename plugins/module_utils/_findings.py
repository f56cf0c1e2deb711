# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notes what verifying has found, where that is wanted and can be."""
from __future__ import annotations

import contextlib
import errno
import os
import time

from . import _json_file, _naming, _notes
from ._errors import StorageError
from ._pool import DamagedRecord

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class Findings:
    """Writes down what was found. Where nothing can be written, the verification itself is worth as much.

    warnings: what could not be written though it should (list of str).

    :param root: _backup_set.Root. :param record: bool, whether anything is written at all.
    """

    def __init__(self, root, record=True):
        self.root, self.record, self.warnings = root, record, []

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except (OSError, StorageError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if getattr(cause, "errno", None) not in _READ_ONLY:  # a backup may be verified where all is read-only
                self.warnings.append("What was found could not be noted: %s" % error)

    def verified(self, name, how, problems):
        """Note what reading a backup has found, unless it is gone meanwhile."""
        if self.record and _naming.is_name(name) and os.path.isdir(self.root.folder(name)):
            with self._writing():
                _notes.set_verified(self.root, name, time.time(), how, problems)

    def damaged(self, stack, **changes):
        """Change the stack's damaged record. :param changes: see _pool.DamagedRecord.update()."""
        if self.record and any(changes.values()):
            with self._writing():
                DamagedRecord(os.path.join(os.path.dirname(self.root.pool(stack)), "damaged.json")).update(**changes)

    def document(self, path, change):
        """Change a JSON document, see _json_file.update()."""
        if self.record:
            with self._writing():
                _json_file.update(path, change)

    @contextlib.contextmanager
    def job(self, stack):
        """Note what becomes of the run for a stack. Gives a function that is told the outcome (ok, message)."""
        began, outcome = time.monotonic(), {}

        def ended(ok, message):
            outcome.update(ok=ok, message=message)

        try:
            yield ended
        except Exception as error:
            if not outcome:
                ended(False, getattr(error, "message", str(error)))
            raise
        finally:
            if self.record and outcome:
                with self._writing():
                    _notes.set_outcome(self.root, stack, "verify", time.time(), outcome["ok"], outcome["message"],
                                       round(time.monotonic() - began, 1))
