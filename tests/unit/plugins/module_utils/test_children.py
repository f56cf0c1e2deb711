# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
from at_once import Meeting

from ansible_collections.moodleclaude.backup.plugins.module_utils import _children, _lock, _stream
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    BackupError,
    CommandError,
    NotFoundError,
    StorageError,
)


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def runs(pid):
    """True if a process runs (a zombie does not)."""
    with contextlib.suppress(OSError), open("/proc/%d/stat" % pid, "rb") as handle:
        return handle.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def test_results_come_from_other_processes():
    done = _children.side_by_side([(name, os.getpid) for name in "abc"], 2)
    pids = {value for value, _seconds in done.values()}
    assert sorted(done) == ["a", "b", "c"] and len(pids) == 3 and os.getpid() not in pids
    assert not any(runs(pid) for pid in pids)


def test_large_results_and_odd_names_pass():
    value = {"text": "x" * 3_000_000, "odd": "\udcff\n", "none": None}
    assert _children.side_by_side([("a", lambda: value), ("b", lambda: value)], 2)["b"][0] == value


def test_nothing_to_do():
    assert _children.side_by_side([], 1) == {}


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_limit_is_kept_and_used(tmp_path, limit):
    meeting = Meeting(tmp_path, limit)
    done = _children.side_by_side([(str(number), meeting.attend) for number in range(6)], limit)
    assert max(value for value, _seconds in done.values()) == limit
    assert all(seconds >= 0.15 for _value, seconds in done.values())


def test_they_start_in_the_given_order(tmp_path):
    def task(name):
        with open(tmp_path / "order", "a", encoding="ascii") as handle:
            handle.write(name)

    _children.side_by_side([(name, lambda name=name: task(name)) for name in "cabed"], 1)
    assert (tmp_path / "order").read_text() == "cabed"


def test_a_task_starts_when_those_have_ended_that_it_needs(tmp_path):
    def task(name, seconds=0.0):
        time.sleep(seconds)
        with open(tmp_path / "order", "a", encoding="ascii") as handle:
            handle.write(name)

    tasks = [(name, lambda name=name: task(name, 0.3 if name == "a" else 0)) for name in "abcd"]
    done = _children.side_by_side(tasks, 2, {"b": ["a"], "d": ["b", "c"]})
    assert (tmp_path / "order").read_text() == "cabd"
    assert set(done) == set("abcd")


def test_what_needs_a_failed_task_does_not_start(tmp_path):
    def fail():
        raise StorageError("full")

    with pytest.raises(BackupError, match="job 'a': full"):
        _children.side_by_side([("a", fail), ("b", (tmp_path / "started").touch)], 2, {"b": ["a"]})
    assert not (tmp_path / "started").exists()


def fail(error):
    raise error


@pytest.mark.parametrize(("error", "message", "hint"), [
    (NotFoundError("it is not there", "look elsewhere", where=["x"]), "job 'bad': it is not there", "look elsewhere"),
    (OSError(28, "No space left on device", "/x"), "job 'bad': /x: No space left on device", None),
    (ValueError("oh"), "job 'bad': ValueError: oh", "This is a defect; please report it."),
])
def test_error_is_passed_up(error, message, hint):
    with pytest.raises(BackupError) as caught:
        _children.side_by_side([("good", lambda: 1), ("bad", lambda: fail(error))], 2)
    assert (caught.value.message, caught.value.hint, caught.value.details["job"]) == (message, hint, "bad")
    if isinstance(error, NotFoundError):
        assert caught.value.details["where"] == ["x"]
    else:
        assert "Traceback" in caught.value.details["exception"]


def test_result_that_json_cannot_carry_is_an_error():
    with pytest.raises(BackupError, match="job 'bad': TypeError"):
        _children.side_by_side([("bad", lambda: b"bytes")], 1)


def test_killed_process_is_an_error():
    with pytest.raises(CommandError, match="job 'bad': .*killed by signal 9") as caught:
        _children.side_by_side([("bad", lambda: os.kill(os.getpid(), signal.SIGKILL))], 1)
    assert "memory" in caught.value.hint


def slowly(tmp_path, name):
    """Compress for half a minute, and tell the numbers of the processes that do it."""
    source = _stream.ProcessSource(["head", "-c", "1G", "/dev/urandom"])
    (tmp_path / ("%s.pids" % name)).write_text(json.dumps([os.getpid(), source._process.popen.pid]))
    _stream.store(source, str(tmp_path / name), "gzip", 1)


def started(tmp_path, name):
    with contextlib.suppress(OSError, ValueError):
        if (tmp_path / (".%s.partial" % name)).stat().st_size:
            return json.loads((tmp_path / ("%s.pids" % name)).read_text())
    return None


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".pids")


def test_failure_ends_the_others_and_they_clean_up(tmp_path):
    def bad():
        wait_for(lambda: started(tmp_path, "one") and started(tmp_path, "two"))
        raise StorageError("enough")

    began = time.monotonic()
    with pytest.raises(BackupError, match="job 'bad': enough"):
        _children.side_by_side([
            ("one", lambda: slowly(tmp_path, "one")), ("two", lambda: slowly(tmp_path, "two")), ("bad", bad),
            ("late", (tmp_path / "late").touch),
        ], 3)
    assert time.monotonic() - began < 15
    assert left(tmp_path) == []
    assert not any(runs(pid) for name in ("one", "two") for pid in started_pids(tmp_path, name))


def started_pids(tmp_path, name):
    return json.loads((tmp_path / ("%s.pids" % name)).read_text())


def test_who_does_not_clean_up_in_time_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr(_children, "PATIENCE", 1)

    def stubborn():
        sleeper = subprocess.Popen(["sleep", "600"])
        (tmp_path / "pids").write_text("%d %d" % (os.getpid(), sleeper.pid))
        while True:
            with contextlib.suppress(_children.Ended):
                time.sleep(600)

    def bad():
        wait_for(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text())
        raise StorageError("enough")

    began = time.monotonic()
    with pytest.raises(BackupError, match="enough"):
        _children.side_by_side([("stubborn", stubborn), ("bad", bad)], 2)
    assert time.monotonic() - began < 10
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    wait_for(lambda: not any(runs(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_jobs_end_with_their_parent(tmp_path, number):
    """SIGKILL: nothing of the parent runs any more, and yet the jobs end and clean up."""
    lock = tmp_path / "lock.pids"
    lock.write_text("{}")

    def parent():
        os.environ[_lock.ENVIRONMENT] = str(lock)
        _lock.hold_from_environment()
        try:
            _children.side_by_side([("one", lambda: slowly(tmp_path, "one"))], 1)
        except CommandError as error:
            (tmp_path / "said.pids").write_text(error.describe())

    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        parent()
        os._exit(0)
    wait_for(lambda: started(tmp_path, "one"))
    os.kill(pid, number)
    os.waitpid(pid, 0)
    pids = started_pids(tmp_path, "one")
    wait_for(lambda: not any(runs(one) for one in pids))
    wait_for(lambda: left(tmp_path) == [], 2)
    if number != signal.SIGKILL:
        assert (tmp_path / "said.pids").read_text() == (
            "This was ended by %s, and so were its jobs. Run it again." % signal.Signals(number).name
        )


def test_lock_is_held_until_the_last_job_has_cleaned_up(tmp_path):
    path = str(tmp_path / "lock")
    _lock.StackLock(path, 3600).acquire("token", "backup", "x")

    def slow():
        (tmp_path / "begun").touch()
        try:
            time.sleep(600)
        finally:
            time.sleep(1)

    pid = os.fork()
    if pid == 0:
        os.environ[_lock.ENVIRONMENT] = path
        _lock.hold_from_environment()
        _children.side_by_side([("slow", slow)], 1)
        os._exit(0)
    wait_for((tmp_path / "begun").exists)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert held(path)
    wait_for(lambda: not held(path))


def held(path):
    done = subprocess.run(["flock", "--exclusive", "--nonblock", path, "true"], check=False)
    return done.returncode == 1


def test_signals_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    _children.side_by_side([("one", lambda: 1)], 1)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_programs_of_a_job_get_signals_as_always():
    """Blocked signals would be inherited, and a program that is told to end would not."""
    def task():
        with subprocess.Popen(["sleep", "600"]) as sleeper:
            sleeper.terminate()
            return sleeper.wait(10)

    assert _children.side_by_side([("one", task)], 1)["one"][0] == -signal.SIGTERM
