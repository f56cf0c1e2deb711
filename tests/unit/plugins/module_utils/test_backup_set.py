# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _lock, _verify
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    ExistsError,
    IntegrityError,
    LockedError,
    NotFoundError,
    UsageError,
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    # pytest is no ansible process, so only the time of the last sign of life tells whether an owner is alive.
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


def make(root, name, stack="school", content=b"data"):
    begun = _backup_set.begin(root, stack, name, "me")
    with open(os.path.join(begun["folder"], "a file"), "wb") as handle:
        handle.write(content)
    return _backup_set.publish(root, stack, begun["name"], "me", {"moodle": {}})


def age(root, stack="school", seconds=1000):
    past = time.time() - seconds
    os.utime(root.lock(stack).path, (past, past))


def test_a_published_backup_is_whole_safe_and_free(root):
    made = make(root, "one")
    assert _backup_set.verify(made["folder"]) == []
    assert os.stat(made["folder"]).st_mode & 0o777 == 0o700
    modes = {os.stat(entry.path).st_mode & 0o777 for entry in os.scandir(made["folder"])}
    assert modes == {0o600}
    assert sorted(os.listdir(root.backups)) == ["one"]
    assert not os.path.exists(root.lock("school").path)
    done = subprocess.run(["sha256sum", "--strict", "-c", "backup_manifest.txt"], cwd=made["folder"],
                          capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b""


def test_an_abandoned_backup_leaves_nothing(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    assert _backup_set.abandon(root, "school", begun["name"], "me") is True
    assert os.listdir(root.backups) == [] and os.listdir(os.path.join(root.path, "locks")) == []
    assert _backup_set.abandon(root, "school", begun["name"], "me") is False


@pytest.mark.parametrize("name", ["..", "a/b", "", ".x", "latest"])
def test_bad_names_are_refused_before_anything_is_made(root, name):
    with pytest.raises(UsageError):
        _backup_set.begin(root, "school", name, "me")
    with pytest.raises(UsageError):
        _backup_set.foresee(root, "school", name)
    assert not os.path.exists(root.path)


def test_without_a_name_the_stack_and_the_time_make_one(root):
    assert _backup_set.foresee(root, "school", None)["name"].startswith("school_")
    names = [_backup_set.begin(root, stack, None, "me")["name"] for stack in ("school", "college")]
    assert names[0].startswith("school_") and names[1].startswith("college_")


def test_a_taken_name_is_refused_and_the_stack_is_free_again(root):
    make(root, "one")
    with pytest.raises(ExistsError):
        _backup_set.begin(root, "school", "one", "me")
    with pytest.raises(ExistsError):
        _backup_set.foresee(root, "school", "one")
    make(root, "two")


def test_two_stacks_cannot_make_the_same_name_at_once(root):
    _backup_set.begin(root, "school", "one", "me")
    with pytest.raises(ExistsError):
        _backup_set.begin(root, "college", "one", "you")
    _backup_set.begin(root, "college", "two", "you")


def test_a_live_run_is_not_disturbed(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    with pytest.raises(LockedError) as caught:
        _backup_set.begin(root, "school", "two", "you")
    assert "'one'" in caught.value.message
    assert os.path.isdir(begun["folder"])


def test_leftovers_of_a_dead_run_are_removed(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    other = _backup_set.begin(root, "college", "three", "you")
    age(root)
    again = _backup_set.begin(root, "school", "two", "me too")
    assert again["removed"] == [begun["folder"]]
    assert not os.path.exists(begun["folder"]) and os.path.isdir(other["folder"])


def test_a_run_that_lost_its_lock_cannot_publish(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    age(root)
    _backup_set.begin(root, "school", "two", "you")
    with pytest.raises(LockedError):
        _backup_set.publish(root, "school", begun["name"], "me", {})
    assert _backup_set.abandon(root, "school", begun["name"], "me") is False


def test_a_clock_that_was_set_back_does_not_keep_a_dead_run_alive(root):
    _backup_set.begin(root, "school", "one", "me")
    age(root, seconds=-100000)
    _backup_set.begin(root, "school", "two", "you")


def test_a_working_module_keeps_its_run_alive(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    code = ("import sys, time; sys.path[:0] = %r;"
            "from ansible_collections.moodleclaude.backup.plugins.module_utils import _lock;"
            "_lock.hold_from_environment(); print('ready', flush=True); time.sleep(60)" % sys.path)
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                              env=dict(os.environ, MOODLE_BACKUP_LOCK=begun["lock"]))
    try:
        assert worker.stdout.readline() == b"ready\n"
        age(root)
        with pytest.raises(LockedError):
            _backup_set.begin(root, "school", "two", "you")
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
    _backup_set.begin(root, "school", "two", "you")


def test_a_dead_controller_on_this_host_frees_the_stack_at_once(root, monkeypatch):
    process = subprocess.Popen(["sleep", "60"])
    controller = {"pid": process.pid, "started": _lock._process_start(process.pid)}
    monkeypatch.setattr(_lock, "find_controller", lambda: controller)
    _backup_set.begin(root, "school", "one", "me")
    age(root)
    with pytest.raises(LockedError):
        _backup_set.begin(root, "school", "two", "you")
    process.kill()
    process.wait()
    _backup_set.begin(root, "school", "two", "you")


def test_latest_is_the_newest_complete_one_even_if_the_clock_was_set_back(root, monkeypatch):
    make(root, "first")
    make(root, "second")
    monkeypatch.setattr(_backup_set.time, "time", lambda: 1000.0)
    make(root, "third")
    _backup_set.begin(root, "school", "fourth", "me")
    assert _backup_set.find(root, "latest", "school")["name"] == "third"


def test_latest_is_never_one_that_is_not_complete(root):
    for name, whole in (("one", True), ("two", False)):
        _backup_set.begin(root, "school", name, "me")
        _backup_set.publish(root, "school", name, "me", {"complete": whole})
    assert _backup_set.find(root, "latest", "school")["name"] == "one"
    assert _backup_set.find(root, "two")["complete"] is False
    shutil.rmtree(root.folder("one"))
    with pytest.raises(NotFoundError) as caught:
        _backup_set.find(root, "latest")
    assert "no complete backup" in caught.value.message and "by name only: two" in caught.value.hint


def test_what_another_backup_has_too_is_neither_read_nor_counted(root, monkeypatch):
    first = make(root, "one", content=b"x" * 1000)
    assert first["added"] == first["size"] > 1000
    known = hashlib.sha256(b"x" * 1000).hexdigest()
    begun = _backup_set.begin(root, "school", "two", "me")
    os.link(os.path.join(first["folder"], "a file"), os.path.join(begun["folder"], "a file"))
    with open(os.path.join(begun["folder"], "alone"), "wb") as handle:
        handle.write(b"y" * 10)
    read, sha256_of = [], _verify.sha256_of
    monkeypatch.setattr(_verify, "sha256_of", lambda path: read.append(os.path.basename(path)) or sha256_of(path))
    shared = {"a file": known, "alone": "0" * 64}  # a word that is not true of the second
    second = _backup_set.publish(root, "school", "two", "me", {}, shared=shared)
    assert sorted(read) == ["alone", "backup.json"]
    assert second["size"] - second["added"] == 1000
    monkeypatch.undo()
    assert _backup_set.verify(second["folder"]) == []
    shutil.rmtree(first["folder"])
    assert _backup_set.verify(second["folder"]) == []


def test_each_stack_has_a_pool_of_its_own(root):
    assert root.pool("school") == os.path.join(root.path, "pools", "school", "filedir")
    with pytest.raises(UsageError):
        root.pool("../school")


def test_latest_of_several_stacks_needs_the_stack(root):
    make(root, "one")
    make(root, "two", stack="college")
    with pytest.raises(UsageError) as caught:
        _backup_set.find(root, "latest")
    assert caught.value.details["candidates"] == ["college", "school"]
    assert _backup_set.find(root, "latest", "school")["name"] == "one"


def test_missing_backups_are_named_with_those_there_are(root):
    with pytest.raises(NotFoundError):
        _backup_set.find(root, "latest")
    make(root, "one")
    with pytest.raises(NotFoundError) as caught:
        _backup_set.find(root, "two")
    assert "one" in caught.value.hint


def is_found_bad(folder):
    try:
        return _backup_set.verify(folder) != []
    except IntegrityError:
        return True


def test_every_flipped_bit_is_found(root):
    folder = make(root, "one", content=b"0123456789")["folder"]
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as handle:
            original = handle.read()
        for position in range(0, len(original), 7):
            flipped = bytearray(original)
            flipped[position] ^= 1
            with open(path, "wb") as handle:
                handle.write(flipped)
            assert is_found_bad(folder)
        with open(path, "wb") as handle:
            handle.write(original)
    assert _verify.check(folder).count == len(os.listdir(folder)) - 1


def test_missing_unknown_and_odd_files_are_found(root):
    folder = make(root, "one")["folder"]
    os.rename(os.path.join(folder, "a file"), os.path.join(folder, "another"))
    assert _backup_set.verify(folder) == [
        {"path": "a file", "problem": "missing"}, {"path": "another", "problem": "unknown"},
    ]
    os.symlink("another", os.path.join(folder, "a file"))
    with pytest.raises(IntegrityError):
        _backup_set.verify(folder)


def test_foreign_and_broken_folders_are_passed_over(root):
    make(root, "one")
    for name in ("empty", "broken", ".hidden"):
        os.mkdir(os.path.join(root.backups, name))
    for name, content in (("backup_manifest.txt", "x"), ("backup.json", "[1]")):
        with open(os.path.join(root.backups, "broken", name), "w") as handle:
            handle.write(content)
    assert [backup["name"] for backup in _backup_set.complete(root)] == ["one"]
    with pytest.raises(IntegrityError):
        _backup_set.find(root, "empty")


def test_a_file_that_changed_since_it_was_written_is_not_published(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    with open(os.path.join(begun["folder"], "a"), "w") as handle:
        handle.write("x")
    with pytest.raises(IntegrityError):
        _backup_set.publish(root, "school", "one", "me", {}, {"a": "0" * 64})
    assert not os.path.exists(root.folder("one"))


def test_metadata_of_a_newer_version_is_refused(root):
    folder = make(root, "one")["folder"]
    path = os.path.join(folder, "backup.json")
    with open(path) as handle:
        document = json.load(handle)
    with open(path, "w") as handle:
        json.dump(dict(document, format=99), handle)
    with pytest.raises(IntegrityError) as caught:
        _backup_set.load(folder)
    assert "newer" in caught.value.message


def test_a_restore_that_was_cut_off_is_remembered_and_stops_backups(root):
    make(root, "one")
    first = _backup_set.begin_restore(root, "school", "one", "me", "t1", {"x": 1})
    assert first["unfinished"] is None
    assert _backup_set.end_restore(root, "school", "me", finished=False) is True
    assert _backup_set.read_records(root)[0]["plan"] == {"x": 1}
    with pytest.raises(ExistsError) as caught:
        _backup_set.begin(root, "school", "two", "you")
    assert "rollback" in caught.value.hint
    second = _backup_set.begin_restore(root, "school", "one", "you", "t2", {"x": 2})
    assert second["unfinished"]["transaction"] == "t1" and second["unfinished"]["proved"] is False
    assert _backup_set.prove_restore(root, "school", "you") is True
    assert _backup_set.prove_restore(root, "school", "you") is False
    assert _backup_set.end_restore(root, "school", "you") is True
    assert _backup_set.read_records(root) == []
    make(root, "two")
