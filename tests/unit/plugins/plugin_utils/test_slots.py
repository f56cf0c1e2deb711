# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from at_once import Meeting

from ansible_collections.moodleclaude.backup.plugins.plugin_utils import _slots

_fork = multiprocessing.get_context("fork")


def _attend(folder, number, meeting, counts):
    with _slots.slot(folder, number):
        counts.put(meeting.attend())


@pytest.mark.parametrize(("numbers", "expected"), [((2, 2, 2, 2), 2), ((1, 1, 1), 1)])
def test_no_more_are_inside_than_there_are_slots(tmp_path, numbers, expected):
    counts, meeting = _fork.SimpleQueue(), Meeting(tmp_path, expected)
    (tmp_path / "slots").mkdir()
    processes = [_fork.Process(target=_attend, args=(str(tmp_path / "slots"), number, meeting, counts))
                 for number in numbers]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [counts.get() for _process in processes]
    assert max(found) == expected  # the first ones have met, so it was not just one at a time


def _hold(folder, number, ready):
    with _slots.slot(folder, number):
        ready.set()
        signal.pause()


def _holder(folder, number):
    ready = _fork.Event()
    process = _fork.Process(target=_hold, args=(str(folder), number, ready))
    process.start()
    assert ready.wait(10)
    return process


def test_a_slot_is_free_when_its_process_was_killed_and_whoever_waits_says_so(tmp_path):
    process = _holder(tmp_path, 1)
    called = []

    def waiting():
        called.append(len(called))
        if len(called) == 2:
            os.kill(process.pid, signal.SIGKILL)

    with _slots.slot(str(tmp_path), 1, waiting, between=0.01):
        assert called == [0, 1]
    process.join()


def test_who_may_be_one_of_many_leaves_the_slot_of_who_must_be_alone(tmp_path):
    process = _holder(tmp_path, 3)
    with _slots.slot(str(tmp_path), 1, lambda: pytest.fail("it waited"), between=0):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_a_free_slot_costs_no_wait(tmp_path):
    for _time in range(2):
        with _slots.slot(str(tmp_path), 1, lambda: pytest.fail("it waited"), between=0):
            pass
