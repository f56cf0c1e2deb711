# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A limit on how fast data flows, shared by a process and everything it forks.

Nothing is limited until configure() was called. Whoever passes data on calls wait() for each chunk.
"""
from __future__ import annotations

import fcntl
import os
import struct
import threading
import time

BURST = 0.25  # seconds; what was not used in this time may be caught up with
_SLICE = 0.1  # seconds; how soon a sleeper notices that it is cancelled
_TIME = struct.Struct("d")


class Throttle:
    """One limit. Make it before forking; parent and children then share it.

    All of them keep one number: the time at which everything passed on so far is paid for. It is in a file in memory,
    guarded by a record lock, which the kernel takes from a process that is killed.

    :param rate: bytes per second, more than 0. :param clock, sleep: for tests; the clock must be the same for all
        processes.
    """

    def __init__(self, rate, clock=time.monotonic, sleep=time.sleep):
        self._rate, self._clock, self._sleep = float(rate), clock, sleep
        self._threads = threading.Lock()  # record locks do not tell the threads of one process apart
        self._file = os.fdopen(os.memfd_create("rate_limit"), "r+b", buffering=0)
        os.pwrite(self._file.fileno(), _TIME.pack(clock()), 0)
        self.cancelled = False

    def wait(self, count):
        """Sleep until count more bytes are within the limit, or until cancelled is set."""
        until = self._book(count)
        while not self.cancelled:
            left = until - self._clock()
            if left <= 0:
                return
            self._sleep(min(left, _SLICE))

    def _book(self, count):
        """Return the time at which count more bytes are paid for."""
        fd = self._file.fileno()
        with self._threads:
            fcntl.lockf(fd, fcntl.LOCK_EX)
            try:
                (paid,) = _TIME.unpack(os.pread(fd, _TIME.size, 0))
                paid = max(paid, self._clock() - BURST) + count / self._rate
                os.pwrite(fd, _TIME.pack(paid), 0)
            finally:
                fcntl.lockf(fd, fcntl.LOCK_UN)
        return paid


_limit = [None]  # the Throttle of this process, if there is one


def configure(bytes_per_second):
    """Limit this process and all that it forks from now on to bytes per second together; None or 0 ends the limit."""
    _limit[0] = Throttle(bytes_per_second) if bytes_per_second else None


def wait(count):
    """Sleep as long as count bytes (int) need under the limit; return at once if there is none."""
    if _limit[0] is not None:
        _limit[0].wait(count)


def cancel():
    """Let every thread of this process pass from now on, for it is being ended. Safe in a signal handler."""
    if _limit[0] is not None:
        _limit[0].cancelled = True
