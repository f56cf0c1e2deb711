# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _backup_set,
    _catalog,
    _garbage,
    _hash_list,
    _json_file,
    _lock,
    _notes,
    _prune,
    _references,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    LockedError,
    NotFoundError,
    StorageError,
    UsageError,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._pool import DamagedRecord, Pool
from ansible_collections.moodleclaude.backup.plugins.module_utils._retention import Policy

ONE, TWO = Policy(last=1), Policy(last=2)


@pytest.fixture
def root(tmp_path, monkeypatch):
    # pytest is no ansible process, so only the time of the last sign of life tells whether an owner is alive.
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def store(root, contents, stack="school"):
    os.makedirs(root.pool(stack), exist_ok=True)
    for content in contents:
        path = Pool(root.pool(stack)).path_of(sha1(content))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as handle:
            handle.write(content)


def make(root, name, contents=(), stack="school", shared=None, data=None, **metadata):
    """Make a backup that needs blobs of some contents, and whose archive another one may share."""
    begun = _backup_set.begin(root, stack, name, "me")
    store(root, contents, stack)
    prefix = _hash_list.pool_prefix(root.pool(stack), os.path.join(root.folder(name), "x"))
    text = "".join(_hash_list.render(one, prefix) for one in sorted(map(sha1, contents)))
    with open(os.path.join(begun["folder"], "filedir.sha1"), "w", encoding="ascii") as handle:
        handle.write(text)
    archive = os.path.join(begun["folder"], "archive")
    if shared:
        os.link(os.path.join(root.folder(shared), "archive"), archive)
    else:
        with open(archive, "wb") as handle:
            handle.write(data or name.encode() * 10000)
    artefacts = [{"role": "filedir", "file": "filedir.sha1", "sha256": hashlib.sha256(text.encode()).hexdigest()}]
    return _backup_set.publish(root, stack, name, "me", dict(metadata, artefacts=artefacts))["folder"]


def names(root):
    return sorted(os.listdir(root.backups))


def blobs(root, stack="school"):
    return {name for _base, _folders, files in os.walk(root.pool(stack)) for name in files}


def actions(result):
    return {one["name"]: (one["action"], one["reasons"]) for one in result["backups"]}


def everything(root):
    """All that is on disk below the root, to the last byte and attribute."""
    found = {}
    for base, folders, files in os.walk(root.path):
        for entry in [".", *files, *(one for one in folders if os.path.islink(os.path.join(base, one)))]:
            path = os.path.join(base, entry)
            state = os.lstat(path)
            content = open(path, "rb").read() if os.path.isfile(path) else None
            found[path] = (state.st_mode, state.st_ino, state.st_nlink, state.st_size, state.st_mtime_ns,
                           state.st_ctime_ns, content)
    return found


def used(root):
    """Bytes of disk below the root, each file once."""
    seen = {}
    for base, _folders, files in os.walk(root.path):
        for entry in [".", *files]:
            state = os.lstat(os.path.join(base, entry))
            seen[state.st_ino] = state.st_blocks * 512
    return sum(seen.values())


def test_what_the_policy_does_not_keep_goes_with_its_blobs(root):
    make(root, "b1", [b"a", b"b", b"shared"])
    make(root, "b2", [b"b", b"c"])
    make(root, "b3", [b"d", b"shared"], shared="b2")
    make(root, "other", [b"a"], stack="college")
    store(root, [b"of a backup that was given up"])
    _notes.set_verified(root, "b1", 1.0, "in full", [])
    before = used(root) - os.lstat(_notes.path_of(root, "b1")).st_blocks * 512
    result = _prune.prune(root, ONE, "school")
    assert names(root) == ["b3", "other"]
    assert actions(result) == {
        "b1": ("remove", ["no rule keeps it"]), "b2": ("remove", ["no rule keeps it"]),
        "b3": ("keep", ["last 1 of 1"])}
    assert result["changed"] and result["removed"] == ["b1", "b2"] and result["blobs"] == 4
    assert result["leftovers"] == [] and result["skipped"] == {}
    assert blobs(root) == {sha1(b"d"), sha1(b"shared")} and blobs(root, "college") == {sha1(b"a")}
    assert not os.path.exists(_notes.path_of(root, "b1"))
    made = sum(os.lstat(os.path.join(root.path, *path)).st_blocks * 512 for path in (
        ("outcomes",), ("outcomes", "school.json"), ("pools", "school", "references"),
        ("pools", "school", "references.json"), ("pools", "school", "references.lock")))
    assert result["freed"] == before - used(root) + made
    assert _notes.outcomes(root, "school")["cleanup"]["ok"] is True
    assert "2 backups and 4 stored files removed" in _notes.outcomes(root, "school")["cleanup"]["message"]
    assert _backup_set.verify(root.folder("b3")) == []
    assert not os.path.exists(root.lock("school").path)


def test_a_second_time_nothing_more_goes(root):
    for number in range(4):
        make(root, "b%d" % number, [b"%d" % number])
    assert _prune.prune(root, TWO)["changed"] is True
    again = _prune.prune(root, TWO)
    assert (again["changed"], again["removed"], again["freed"], again["blobs"]) == (False, [], 0, 0)
    assert [one["action"] for one in again["backups"]] == ["keep", "keep"]


def test_check_mode_says_the_same_and_changes_nothing_at_all(root):
    make(root, "b1", [b"a" * 9000, b"b"], shared=None)
    make(root, "b2", [b"b", b"c"], shared="b1")
    make(root, "b3", [b"c"])
    make(root, "college1", [b"x"], stack="college")
    _references.refresh(root, "school", _catalog.backups(root)[:2])
    store(root, [b"nobody's"])
    os.makedirs(os.path.join(root.pool("school"), ".new_0123"))
    os.mkdir(os.path.join(root.backups, ".removed_b0"))
    os.mkdir(root.partial("school", "dead"))
    _notes.set_pinned(root, "gone", 1.0)
    before = everything(root)
    predicted = _prune.prune(root, ONE, check_mode=True)
    assert everything(root) == before
    done = _prune.prune(root, ONE)
    assert len(done["leftovers"]) == 4 and done["removed"] == ["b1", "b2"] and done["blobs"] == 3
    # An emptied folder of the pool is not foreseen.
    assert 0 <= done.pop("freed") - predicted.pop("freed") <= 6 * 4096
    assert predicted == done


def test_an_empty_policy_is_refused_before_anything_is_touched(root):
    make(root, "b1")
    before = everything(root)
    with pytest.raises(UsageError, match="The policy is empty"):
        _prune.prune(root, Policy())
    assert everything(root) == before


def test_where_nothing_is_nothing_is_done(root):
    assert _prune.prune(root, ONE)["changed"] is False
    assert not os.path.exists(root.path)
    make(root, "b1")
    with pytest.raises(NotFoundError, match="nothing of a stack 'collage'.*") as caught:
        _prune.prune(root, ONE, "collage")
    assert "There are: school." in caught.value.hint


def test_only_good_ones_count_and_pins_and_broken_ones_stay(root):
    make(root, "pinned")
    make(root, "old")
    make(root, "lacking", complete=False, incomplete=["1 file"])
    make(root, "good")
    make(root, "bad")
    make(root, "late", complete=False)
    os.unlink(os.path.join(make(root, "broken"), "backup.json"))
    _notes.set_pinned(root, "pinned", 1.0, "baseline")
    _notes.set_verified(root, "bad", 1.0, "in full", [{"path": "archive", "problem": "damaged"}])
    result = _prune.prune(root, ONE)
    assert actions(result) == {
        "pinned": ("keep", ["pinned: baseline"]), "old": ("remove", ["no rule keeps it"]),
        "lacking": ("remove", ["incomplete, older than good"]), "good": ("keep", ["last 1 of 1"]),
        "bad": ("keep", ["damaged, newer than good"]), "late": ("keep", ["incomplete, newer than good"]),
        "broken": ("keep", ["broken, so it is never removed: backup.json of %s is damaged or missing" %
                            root.folder("broken")])}
    assert names(root) == ["bad", "broken", "good", "late", "pinned"]


def test_a_clock_that_was_set_back_or_ahead_removes_nothing_more(root, monkeypatch):
    for number in range(3):
        make(root, "b%d" % number, [b"%d" % number])
    for now in (0.0, time.time() - 10 ** 8, time.time() + 10 ** 9):
        monkeypatch.setattr(_prune.time, "time", lambda now=now: now)
        assert _prune.prune(root, Policy(within="1d"))["removed"] == []
    assert names(root) == ["b0", "b1", "b2"]


# --- what is in use ---------------------------------------------------------------------------------------------------


def test_a_backup_that_is_read_or_that_a_restore_needs_stays(root):
    for number in range(4):
        make(root, "b%d" % number, [b"%d" % number])
    _backup_set.begin_restore(root, "school", "b1", "you", "t1", {"x": 1})
    _backup_set.end_restore(root, "school", "you", finished=False)
    with _backup_set.reading(root.folder("b0")):
        for check_mode in (True, False):
            result = _prune.prune(root, ONE, check_mode=check_mode)
            assert actions(result) == {
                "b0": ("keep", ["in use, stays until the next clean-up"]),
                "b1": ("keep", ["a restore of stack 'school' that did not end needs it"]),
                "b2": ("remove", ["no rule keeps it"]), "b3": ("keep", ["last 1 of 1"])}
    assert names(root) == ["b0", "b1", "b3"] and blobs(root) == {sha1(one) for one in (b"0", b"1", b"3")}
    assert _prune.prune(root, ONE)["removed"] == ["b0"]


def test_beside_a_backup_old_ones_go_and_the_pool_is_left_alone(root):
    make(root, "b1", [b"a"])
    make(root, "b2", [b"b"])
    make(root, "college1", [b"a"], stack="college")
    store(root, [b"nobody's"], "college")
    begun = _backup_set.begin(root, "school", "b3", "me")
    store(root, [b"new"])
    for check_mode in (True, False):
        result = _prune.prune(root, ONE, check_mode=check_mode)
        assert result["removed"] == ["b1"] and result["blobs"] == 1 and result["leftovers"] == []
        assert list(result["skipped"]) == ["school"] and "The backup 'b3'" in result["skipped"]["school"]
    assert blobs(root) == {sha1(b"a"), sha1(b"b"), sha1(b"new")} and os.path.isdir(begun["folder"])
    assert "left alone: The backup 'b3'" in _notes.outcomes(root, "school")["cleanup"]["message"]
    _backup_set.abandon(root, "school", "b3", "me")
    assert _prune.prune(root, ONE)["blobs"] == 2


def test_a_writer_of_the_pool_that_holds_no_stack_is_not_disturbed(root):
    make(root, "b1", [b"a"])
    with Pool(root.pool("school")).writer() as writer:
        writer.add(sha1(b"new"), [b"new"])
        assert "Somebody is writing" in _prune.prune(root, ONE)["skipped"]["school"]
    assert blobs(root) == {sha1(b"a"), sha1(b"new")}


CODE = """
import sys, time
sys.path[:0] = %r
from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _prune
from ansible_collections.moodleclaude.backup.plugins.module_utils._retention import Policy
root = _backup_set.Root(sys.argv[1], 60)
"""


@contextlib.contextmanager
def process(root, code):
    """A second process that runs code and says 'ready' where it waits for a line."""
    code = CODE % sys.path + code
    child = subprocess.Popen([sys.executable, "-c", code, root.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


HELD = """
lock = root.lock("school")
lock.acquire("theirs", "clean-up", "school", single=True)
print("ready", flush=True)
sys.stdin.readline()
lock.release("theirs")
"""


@pytest.mark.parametrize("what", ["backup", "restore"])
@pytest.mark.parametrize("end", ["released", "killed"])
def test_a_backup_and_a_restore_wait_for_a_clean_up(root, what, end):
    make(root, "b1", [b"a"])
    with process(root, HELD) as child:
        def finish():
            time.sleep(0.7)
            if end == "killed":
                child.kill()
            else:
                child.stdin.write("\n")
                child.stdin.flush()

        waiter, begun = threading.Thread(target=finish), time.monotonic()
        waiter.start()
        if what == "backup":
            assert _backup_set.begin(root, "school", "b2", "me")["name"] == "b2"
        else:
            assert _backup_set.begin_restore(root, "school", "b1", "me", "t1", {})["unfinished"] is None
        waiter.join()
        assert 0.6 < time.monotonic() - begun < 5
    assert root.lock("school").owner()["token"] == "me"


def test_nobody_waits_for_ever_and_not_for_others(root, monkeypatch):
    make(root, "b1")
    with process(root, HELD):
        monkeypatch.setattr(_lock, "_PATIENCE", 0.6)
        begun = time.monotonic()
        with pytest.raises(LockedError, match="The clean-up 'school'"):
            _backup_set.begin(root, "school", "b2", "me")
        assert time.monotonic() - begun > 0.6
    monkeypatch.undo()
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    _backup_set.begin(root, "school", "b2", "me")
    begun = time.monotonic()
    with pytest.raises(LockedError):
        _backup_set.begin(root, "school", "b3", "you")
    assert time.monotonic() - begun < 0.5


CLEANING = """
with _prune._alone(root, "school"):
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_of_two_clean_ups_the_second_one_names_the_first(root):
    make(root, "b1")
    make(root, "b2")
    with process(root, CLEANING) as child:
        before = everything(root)
        with pytest.raises(LockedError) as caught:
            _prune.prune(root, ONE)
        assert "The clean-up of stack 'school' that began at 2" in caught.value.message
        assert "(process %d) is at work in %s" % (child.pid, root.path) in caught.value.message
        assert everything(root) == before
        assert _prune.prune(root, ONE, check_mode=True)["removed"] == ["b1"]
    assert _prune.prune(root, ONE)["removed"] == ["b1"]


def test_a_root_that_cannot_be_written_is_named(root, monkeypatch):
    make(root, "b1")
    make(root, "b2")
    before = everything(root)
    real = os.access  # root may write anything; a real read-only file system is in the integration target
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    with pytest.raises(StorageError, match="The backup root %s cannot be changed" % root.path):
        _prune.prune(root, ONE)
    assert _prune.prune(root, ONE, check_mode=True)["removed"] == ["b1"] and everything(root) == before


# --- what dead runs have left -----------------------------------------------------------------------------------------


def test_leftovers_of_dead_runs_go(root):
    make(root, "b1", [b"a"])
    begun = _backup_set.begin(root, "school", "dead", "me")
    os.utime(root.lock("school").path, (0, 0))
    orphan = os.path.join(root.backups, ".partial_0123456789ab@lost")
    young = os.path.join(root.backups, ".partial_0123456789ab@young")
    other = os.path.join(root.backups, ".partial_somebody's@else")
    removed = root.removed("b0")
    for path in (orphan, young, other, removed):
        os.mkdir(path)
        if path != young:
            os.utime(path, (0, 0))
    incoming = os.path.join(root.pool("school"), ".new_dead")
    os.mkdir(incoming)
    for path in (begun["folder"], removed, incoming):
        with open(os.path.join(path, "x"), "wb") as handle:
            handle.write(b"x" * 10000)
    _notes.set_pinned(root, "gone", 1.0)
    _notes.set_pinned(root, "b1", 1.0)
    result = _prune.prune(root, ONE)
    assert set(result["leftovers"]) == {begun["folder"], orphan, removed, incoming, _notes.path_of(root, "gone")}
    assert names(root) == [os.path.basename(young), os.path.basename(other), "b1"]
    assert os.listdir(os.path.join(root.path, "notes")) == ["b1.json"] and blobs(root) == {sha1(b"a")}
    assert result["freed"] >= 30000 and result["changed"] and not os.path.exists(root.lock("school").path)


def test_what_is_being_removed_is_not_shown_as_a_backup(root):
    make(root, "b1")
    os.rename(root.folder("b1"), root.removed("b1"))
    (entry,) = _catalog.survey(root)
    assert (entry["name"], entry["state"], entry["alive"]) == ("b1", "partial", False)
    assert "what is left of a backup that a clean-up was removing" in entry["reason"]
    assert _catalog.backups(root) == [] and _backup_set.complete(root) == []


def kill_after(name, nth):
    """Let this process be killed by the nth call of a function of os that changes the disk."""
    real, left = getattr(os, name), [nth]

    def stop(*args, **options):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    setattr(os, name, stop)


def test_killed_at_any_moment_nothing_that_stays_is_hurt_and_the_next_one_ends_it(root, tmp_path):
    for number in range(4):
        make(root, "b%d" % number, [b"all", b"%d" % number, b"%d" % (number + 1)], shared="b0" if number else None)
    _notes.set_pinned(root, "b1", 1.0)
    os.rename(root.path, tmp_path / "original")
    killed = 0
    for name, nth in itertools.product(("rename", "unlink", "rmdir"), (1, 2, 5, 12)):
        shutil.copytree(tmp_path / "original", root.path, symlinks=True)
        pid = os.fork()
        if pid == 0:
            kill_after(name, nth)
            try:
                _prune.prune(root, ONE)
            finally:
                os._exit(0)
        killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
        states = {entry["name"]: entry["state"] for entry in _catalog.survey(root)}
        assert states.pop("b1") == states.pop("b3") == "complete" and set(states.values()) <= {"complete", "partial"}
        assert all(_backup_set.verify(entry["path"]) == [] for entry in _catalog.backups(root)), (name, nth)
        _prune.prune(root, ONE)
        assert names(root) == ["b1", "b3"], (name, nth)
        assert blobs(root) == {sha1(one) for one in (b"all", b"1", b"2", b"3", b"4")}, (name, nth)
        assert os.listdir(os.path.join(root.path, "notes")) == ["b1.json"]
        assert all(_backup_set.verify(root.folder(one)) == [] for one in ("b1", "b3"))
        shutil.rmtree(root.path)
    assert killed > 8


# --- what is not known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["broken", "renamed", "foreign", "link", "hidden", "damaged list", "flipped bit"])
def test_no_blob_goes_while_it_is_not_known_who_needs_it(root, tmp_path, what):
    make(root, "b1", [b"a"])
    make(root, "b2", [b"b"])
    make(root, "college1", [b"a"], stack="college")
    for stack in ("school", "college"):
        store(root, [b"nobody's"], stack)
    folder = root.folder("b1")
    if what == "broken":
        os.unlink(os.path.join(folder, "backup_manifest.txt"))
    elif what == "renamed":
        os.rename(folder, root.folder("b0"))
    elif what in ("foreign", "link", "hidden"):
        for file in ("backup.json", "backup_manifest.txt"):
            os.unlink(os.path.join(folder, file))
        if what == "link":
            shutil.move(folder, tmp_path / "elsewhere")
            os.symlink(tmp_path / "elsewhere", folder)
        elif what == "hidden":
            os.rename(folder, os.path.join(root.backups, ".b1"))
    elif what == "flipped bit":
        path = os.path.join(folder, "backup.json")
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text.replace('"stack": "school"', '"stack": "schoom"'))
    else:
        with open(os.path.join(folder, "filedir.sha1"), "a", encoding="ascii") as handle:
            handle.write("x\n")
    for check_mode in (True, False):
        result = _prune.prune(root, TWO, check_mode=check_mode)
        assert list(result["skipped"]) == ["school"] and result["blobs"] == 1
        assert ("b1" if what != "renamed" else "b0") in result["skipped"]["school"]
    assert blobs(root) == {sha1(one) for one in (b"a", b"b", b"nobody's")} and blobs(root, "college") == {sha1(b"a")}


def test_what_cannot_be_a_list_of_this_stack_does_not_matter(root):
    make(root, "b1", [b"a"])
    store(root, [b"nobody's"])
    os.symlink("b1", os.path.join(root.backups, "newest"))
    os.mkdir(os.path.join(root.backups, "my holiday"))
    with open(os.path.join(root.backups, "notes.txt"), "w", encoding="utf-8") as handle:
        handle.write("to do")
    os.symlink("nowhere", os.path.join(root.backups, "dangling"))
    result = _prune.prune(root, ONE)
    assert result["skipped"] == {} and result["blobs"] == 1 and len(names(root)) == 5


def test_a_folder_whose_stack_nothing_tells_stops_all_of_them(root):
    make(root, "b1", [b"a"])
    make(root, "college1", [b"a"], stack="college")
    with open(os.path.join(root.folder("b1"), "filedir.sha1"), "w", encoding="ascii") as handle:
        handle.write("?")
    os.unlink(os.path.join(root.folder("b1"), "backup.json"))
    assert set(_prune.prune(root, ONE)["skipped"]) == {"school", "college"}


def test_without_any_backup_pool_and_notes_stay(root):
    make(root, "b1", [b"a"])
    _notes.set_pinned(root, "b1", 1.0)
    shutil.move(root.folder("b1"), root.path + ".unmounted")
    result = _prune.prune(root, ONE)
    assert result["changed"] is False and "no backup of this stack is there" in result["skipped"]["school"]
    assert blobs(root) == {sha1(b"a")} and os.listdir(os.path.join(root.path, "notes")) == ["b1.json"]


def test_the_damaged_record_forgets_what_is_gone(root):
    make(root, "b1", [b"a"])
    make(root, "b2", [b"b"], data=b"x")
    record = DamagedRecord(os.path.join(root.path, "pools", "school", "damaged.json"))
    record.update(wrong=[sha1(b"a"), sha1(b"b"), sha1(b"long gone")],
                  wrong_files={hashlib.sha256(b"b1" * 10000).hexdigest(): "archive",
                               hashlib.sha256(b"x").hexdigest(): "archive"})
    _prune.prune(root, ONE)
    assert record.read() == {"blobs": [sha1(b"b")], "files": {hashlib.sha256(b"x").hexdigest(): "archive"}}


def test_other_files_in_the_pool_stay(root):
    make(root, "b1", [b"a"])
    folder = os.path.dirname(Pool(root.pool("school")).path_of(sha1(b"a")))
    for path in (folder + "/README", folder + "/" + "f" * 40, root.pool("school") + "/x"):
        with open(path, "w", encoding="ascii") as handle:
            handle.write("x")
    assert _prune.prune(root, ONE)["blobs"] == 0 and len(blobs(root)) == 4


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_does_not_stop_it(root, monkeypatch):
    make(root, "b1", [b"a"])
    make(root, "b2", [b"b"])
    begun = _backup_set.begin(root, "school", "dead", "me")
    os.utime(root.lock("school").path, (0, 0))

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def no_room(dest, overwrite=False):
        raise StorageError("%s cannot be written: No space left on device" % dest)

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(_references, "PartialFile", no_room)
    monkeypatch.setattr(_json_file, "PartialFile", no_room)
    result = _prune.prune(root, ONE)
    assert result["removed"] == ["b1"] and result["blobs"] == 1 and result["leftovers"] == [begun["folder"]]
    assert names(root) == ["b2"] and blobs(root) == {sha1(b"b")}
    assert not os.path.exists(root.lock("school").path)


# --- one backup -------------------------------------------------------------------------------------------------------


def test_one_backup_can_be_removed_unless_it_is_pinned_or_in_use(root):
    make(root, "b1")
    make(root, "b2", shared="b1")
    size = os.lstat(os.path.join(root.folder("b1"), "archive")).st_blocks * 512
    _notes.set_pinned(root, "b1", 1.0)
    with pytest.raises(LockedError, match="'b1' cannot be removed: pinned just now"):
        _prune.remove_backup(root, "b1")
    _notes.set_unpinned(root, "b1")
    fd = os.open(root.folder("b1"), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    with pytest.raises(LockedError, match="in use"):
        _prune.remove_backup(root, "b1")
    os.close(fd)
    assert 0 < _prune.remove_backup(root, "b1") < size <= _prune.remove_backup(root, "b2")
    assert names(root) == []
    with pytest.raises(NotFoundError):
        _prune.remove_backup(root, "b2")


def test_an_older_backup_of_the_same_name_that_is_still_being_removed_is_no_hindrance(root):
    make(root, "b1")
    os.rename(root.folder("b1"), root.removed("b1"))
    make(root, "b1")
    _prune.remove_backup(root, "b1")
    assert names(root) == []


def test_the_walk_of_a_pool_is_sorted(root):
    contents = [b"%d" % number for number in range(300)]
    store(root, contents)
    assert [name for _path, name in _garbage._stored(root.pool("school"))] == sorted(map(sha1, contents))
    assert json.dumps(_prune._stacks(root, None)) == '["school"]'
