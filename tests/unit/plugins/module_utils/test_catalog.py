# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _catalog, _lock, _notes
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import LockedError, NotFoundError
from ansible_collections.moodleclaude.backup.plugins.module_utils._pool import DamagedRecord


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


def make(root, name, stack="school", **metadata):
    begun = _backup_set.begin(root, stack, name, "me")
    with open(os.path.join(begun["folder"], "data"), "wb") as handle:
        handle.write(b"data")
    metadata.setdefault("artefacts", [{"file": "data", "sha256": "ab" * 32, "size": 4}])
    return _backup_set.publish(root, stack, begun["name"], "me", metadata)["folder"]


def states(root):
    return {entry["name"]: entry["state"] for entry in _catalog.survey(root)}


def test_where_nothing_is_there_is_nothing(root):
    assert _catalog.survey(root) == [] and not os.path.exists(root.path)


def test_everything_is_shown_as_what_it_is(root, tmp_path):
    make(root, "good")
    make(root, "lacking", complete=False, incomplete=["2 stored files vanished"])
    os.unlink(os.path.join(make(root, "headless"), "backup_manifest.txt"))
    with open(os.path.join(make(root, "garbled"), "backup.json"), "w", encoding="utf-8") as handle:
        handle.write("{")
    shutil.copytree(make(root, "original"), os.path.join(root.backups, "renamed"))
    make(root, "bad")
    _notes.set_verified(root, "bad", 1.0, "in full", [{"path": "data", "problem": "damaged"}])
    os.mkdir(os.path.join(root.backups, "my holiday"))
    with open(os.path.join(root.backups, "notes.txt"), "w", encoding="utf-8") as handle:
        handle.write("to do")
    os.symlink(os.path.join(root.backups, "good"), os.path.join(root.backups, "link"))
    os.symlink("nowhere", os.path.join(root.backups, "dangling"))
    assert states(root) == {
        "good": "complete", "lacking": "incomplete", "headless": "broken", "garbled": "broken", "original": "complete",
        "renamed": "broken", "bad": "damaged", "my holiday": "foreign", "notes.txt": "foreign", "link": "foreign",
        "dangling": "foreign"}
    reasons = {entry["name"]: entry["reason"] for entry in _catalog.survey(root)}
    assert reasons["good"] is None and reasons["lacking"] == "2 stored files vanished"
    assert "no backup_manifest.txt" in reasons["headless"] and "backup.json" in reasons["garbled"]
    assert reasons["renamed"] == "it was made under the name 'original'"
    assert reasons["bad"] == "1 problems found: data (damaged)"
    assert [entry["name"] for entry in _catalog.backups(root)] == ["good", "lacking", "original", "bad"]


@pytest.mark.parametrize("created", ["-1", "1e300", "NaN", "null", "true and false"])
def test_a_time_that_cannot_be_makes_it_broken(root, created):
    path = os.path.join(make(root, "one"), "backup.json")
    with open(path, "w", encoding="utf-8") as handle:
        handle.write('{"name": "one", "stack": "school", "created": %s}' % created)
    assert states(root) == {"one": "broken"}


def test_an_archive_that_is_known_to_be_damaged_makes_all_that_have_it_bad(root):
    make(root, "one")
    make(root, "two", artefacts=[{"file": "data", "sha256": "cd" * 32, "size": 4}])
    make(root, "other", "college")
    DamagedRecord(os.path.join(root.path, "pools", "school", "damaged.json")).update(wrong_files={"ab" * 32: "data"})
    assert states(root) == {"one": "damaged", "two": "complete", "other": "complete"}


def test_a_folder_in_the_making_tells_whether_somebody_is_at_work(root):
    _backup_set.begin(root, "school", "one", "me")
    (entry,) = _catalog.survey(root)
    assert (entry["name"], entry["state"], entry["stack"], entry["alive"]) == ("one", "partial", "school", True)
    assert entry["reason"] == "it is being made"
    os.utime(root.lock("school").path, (0, 0))
    (entry,) = _catalog.survey(root)
    assert entry["alive"] is False and entry["reason"] == "the run that made it has died"
    os.unlink(root.lock("school").path)
    (entry,) = _catalog.survey(root)
    assert entry["stack"] is None and entry["alive"] is False


def test_a_lock_of_one_process_is_free_when_it_has_ended(root):
    lock = root.lock("school")
    root.prepare()
    pid = os.fork()
    if pid == 0:
        lock.acquire("theirs", "clean-up", "school", single=True)
        os._exit(0)
    os.waitpid(pid, 0)
    assert lock.owner()["purpose"] == "clean-up" and lock.holder() is None
    assert lock.acquire("mine", "clean-up", "school", single=True)["token"] == "theirs"
    assert lock.holder()["token"] == "mine"
    with pytest.raises(LockedError) as caught:
        lock.acquire("another", "backup", "one")
    assert caught.value.details["purpose"] == "clean-up"


def test_a_backup_that_is_read_shows_it(root):
    folder = make(root, "one")
    with _backup_set.reading(folder), _backup_set.reading(folder):
        pass
    with pytest.raises(NotFoundError), _backup_set.reading(os.path.join(root.backups, "two")):
        pass


def test_a_restore_does_not_begin_from_what_was_removed(root):
    shutil.rmtree(make(root, "one"))
    with pytest.raises(NotFoundError, match="'one' was removed just now"):
        _backup_set.begin_restore(root, "school", "one", "me", "r1", {})
    assert root.lock("school").owner() is None and _backup_set.read_records(root) == []
