# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that runs the jobs of a schedule, with a fake of ansible-playbook."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[3] / "roles/schedule/files/run"
FAKE = """#!/bin/sh
echo "$@" "in $PWD with $WORD" >>calls
for last; do :; done
[ ! -e "bad $last" ]
"""


class Schedule:
    """A folder as the role makes it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.work = folder / "work place"
        self.work.mkdir()
        shutil.copy2(RUN, folder / "run")
        fake = folder / "fake ansible-playbook"
        fake.write_text(FAKE)
        fake.chmod(0o755)
        self.settings()
        self.stamp(hours=0)

    def settings(self, due="02:00", weekdays="1 2 3 4 5 6 7", delay=0, log=""):
        (self.folder / "settings").write_text(
            "ansible_playbook='%s/fake ansible-playbook'\narguments=('an argument' \"it's\")\nplaybooks=(one two)\n"
            "directory='%s'\ntime=%s\nweekdays='%s'\ndelay=%d\nlog=%s\nexport WORD='$HOME \"x\"'\n"
            % (self.folder, self.work, due, weekdays, delay, log))

    def stamp(self, **ago):
        (self.folder / "stamp").touch()
        then = time.time() - timedelta(**ago).total_seconds()
        os.utime(self.folder / "stamp", (then, then))

    def run(self, *arguments):
        return subprocess.run([self.folder / "run", *arguments], capture_output=True, text=True, check=False, cwd="/")

    def calls(self):
        path = self.work / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def catches_up(self):
        before = len(self.calls())
        assert self.run("--missed").returncode == 0
        return len(self.calls()) > before


@pytest.fixture
def schedule(tmp_path):
    return Schedule(tmp_path)


def test_the_jobs_run_in_their_order(schedule):
    schedule.stamp(hours=5)
    done = schedule.run()
    assert done.returncode == 0 and done.stderr == ""
    assert schedule.calls() == [
        'an argument it\'s %s in %s with $HOME "x"' % (job, schedule.work) for job in ("one", "two")]
    assert time.time() - (schedule.folder / "stamp").stat().st_mtime < 60


@pytest.mark.parametrize("bad", ["one", "two"])
def test_one_that_fails_hinders_no_other_and_makes_the_run_fail(schedule, bad):
    (schedule.work / ("bad " + bad)).touch()
    done = schedule.run()
    assert done.returncode == 1 and "Ended, FAILED with 1." in done.stdout
    assert len(schedule.calls()) == 2


def test_two_runs_do_not_overlap(schedule):
    with (schedule.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = schedule.run()
        assert done.returncode == 1 and "still at work" in done.stderr
        assert schedule.run("--missed").returncode == 0
    assert schedule.calls() == []
    assert schedule.run().returncode == 0


def test_the_log_keeps_its_last_lines_and_a_failure_is_told(schedule):
    log = schedule.folder / "log"
    log.write_text("".join("line %d\n" % number for number in range(6000)))
    schedule.settings(log=log)
    assert schedule.run().stdout == ""
    lines = log.read_text().splitlines()
    assert lines[0] == "line 1000" and lines[4999] == "line 5999" and lines[-1].endswith("Ended.")
    assert log.stat().st_mode & 0o777 == 0o600
    (schedule.work / "bad two").touch()
    assert schedule.run().stdout.endswith("Ended, FAILED with 1.\n")


def test_a_delay_is_waited_for(schedule):
    schedule.settings(delay=1)
    assert schedule.run("--delayed").returncode == 0
    assert len(schedule.calls()) == 2


def test_a_run_is_caught_up_once_if_it_was_missed(schedule):
    schedule.settings(due=(datetime.now() - timedelta(hours=2)).strftime("%H:%M"))
    schedule.stamp(hours=1)
    assert not schedule.catches_up()
    schedule.stamp(hours=3)
    assert schedule.catches_up()
    assert not schedule.catches_up()
    (schedule.folder / "stamp").unlink()
    assert schedule.catches_up()


def test_one_that_may_still_wait_for_its_delay_was_not_missed(schedule):
    schedule.settings(due=(datetime.now() - timedelta(minutes=20)).strftime("%H:%M"), delay=1800)
    schedule.stamp(hours=3)
    assert not schedule.catches_up()
    schedule.stamp(hours=25)
    assert schedule.catches_up()


def test_other_days_do_not_count(schedule):
    then = datetime.now() - timedelta(days=3, hours=1)
    schedule.settings(due=then.strftime("%H:%M"), weekdays=str(then.isoweekday()))
    schedule.stamp(days=2)
    assert not schedule.catches_up()
    schedule.stamp(days=4)
    assert schedule.catches_up()


def test_a_week_is_looked_back(schedule):
    then = datetime.now() - timedelta(days=7, minutes=-20)  # today, but later
    schedule.settings(due=then.strftime("%H:%M"), weekdays=str(then.isoweekday()))
    schedule.stamp(days=6)
    assert not schedule.catches_up()
    schedule.stamp(days=8)
    assert schedule.catches_up()
