# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many processes run at once, told without a race: they wait for each other."""
from __future__ import annotations

import os
import time


class Meeting:
    """Where processes meet. Each calls attend().

    :param folder: empty folder (Path). :param expected: how many are to come together (int).
    """

    def __init__(self, folder, expected):
        self._running, self._complete, self._expected = folder / "running", folder / "complete", expected
        self._running.mkdir()
        self._deadline = time.monotonic() + 30

    def attend(self):
        """Wait until as many as expected have once been here together; return how many are here a moment later."""
        mark = self._running / str(os.getpid())
        mark.touch()
        while not self._complete.exists() and time.monotonic() < self._deadline:
            if self._count() >= self._expected:
                self._complete.touch()
            time.sleep(0.01)
        time.sleep(0.15)  # in which one too many would come
        count = self._count()
        mark.unlink()
        return count

    def _count(self):
        return len(list(self._running.iterdir()))
