# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _stream, _throttle


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def unlimited_afterwards():
    yield
    _throttle.configure(None)


def test_nothing_is_limited_unless_configured():
    began = time.monotonic()
    _throttle.wait(1 << 60)
    _throttle.cancel()
    assert time.monotonic() - began < 0.5


def test_rate_is_kept(clock):
    throttle = _throttle.Throttle(100, clock, clock.sleep)
    for _chunk in range(50):
        throttle.wait(20)
    assert clock.now == pytest.approx(1010)


def test_large_chunk_waits_for_all_of_it(clock):
    _throttle.Throttle(10, clock, clock.sleep).wait(1000)
    assert clock.now == pytest.approx(1100)


def test_idle_time_is_no_credit_beyond_the_burst(clock):
    throttle = _throttle.Throttle(100, clock, clock.sleep)
    clock.now += 3600
    began = clock.now
    for _chunk in range(20):
        throttle.wait(10)
    assert clock.now - began == pytest.approx(2 - _throttle.BURST)
    assert _throttle.BURST <= 1


def test_cancelled_sleeper_goes_on(clock):
    throttle = _throttle.Throttle(1, clock, clock.sleep)

    def sleep(seconds):
        clock.sleep(seconds)
        throttle.cancelled = True

    throttle._sleep = sleep
    throttle.wait(1000000)
    assert clock.now < 1001


def test_forked_processes_share_one_limit():
    throttle = _throttle.Throttle(1000)
    began = time.monotonic()
    children = [_forked(lambda: [throttle.wait(100) for _chunk in range(4)]) for _child in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert time.monotonic() - began >= 1.2 - 0.01


def test_limit_survives_a_process_that_is_killed_while_it_holds_the_lock(clock):
    throttle = _throttle.Throttle(1000, clock, clock.sleep)
    ready, told = os.pipe()

    def hold():
        throttle._clock = lambda: (os.write(told, b"x"), time.sleep(60))
        throttle.wait(1)

    child = _forked(hold)
    os.read(ready, 1)
    waiter = _forked(lambda: throttle.wait(100))
    time.sleep(0.2)
    assert os.waitpid(waiter, os.WNOHANG) == (0, 0)  # so it is the lock that is held
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.waitpid(waiter, 0)[1] == 0


def _forked(function):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return child


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_streams_obey(tmp_path, compression, unlimited_afterwards):
    """Both ways: the rate is of the raw bytes, not of those on the disk."""
    source = tmp_path / "source"
    source.write_bytes(bytes(3 << 20))
    dest = str(tmp_path / "dest")
    _throttle.configure(10 << 20)
    began = time.monotonic()
    stored = _stream.store(_stream.ProcessSource(["cat", str(source)]), dest, compression)
    written = time.monotonic()
    with _stream.plain_content(dest) as chunks:
        count = sum(len(chunk) for chunk in chunks)
    assert stored["raw_size"] == count == 3 << 20
    assert written - began >= 0.3 - 0.01
    assert time.monotonic() - written >= 0.3 - _throttle.BURST - 0.01
