# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import tempfile

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
    assert reasons["bad"] == "data (damaged)"
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


GARBAGE = [
    b"", b"\0\xff\xfe" * 100, b"[" * 200000, b"null", b"[]", b'"x"', b"{}", b'{"created": 1}',
    b'{"created": "yesterday", "stack": "school", "name": "bad"}',
    b'{"created": NaN, "stack": "school", "name": "bad"}',
    b'{"created": 1e999, "stack": "school", "name": "bad"}', b'{"created": true, "stack": "school", "name": "bad"}',
    b'{"created": 1, "stack": ["school"], "name": "bad"}', b'{"created": 1, "stack": "../x", "name": "bad"}',
    b'{"created": 1, "stack": "school"}', b'{"created": 1, "stack": "school", "name": "bad", "format": "new"}',
    b'{"created": 1, "stack": "school", "name": "bad", "format": 99}',
    b'{"created": 1, "stack": "school", "name": "bad", "artefacts": {"file": "x"}}',
    b'{"created": 1, "stack": "school", "name": "bad", "artefacts": [1, null, "x"]}',
    b'{"created": 1, "stack": "school", "name": "bad", "artefacts": [{"file": 7}]}',
]


@pytest.mark.parametrize("content", GARBAGE)
def test_any_metadata_makes_a_backup_broken_and_nothing_else(root, content):
    make(root, "good")
    with open(os.path.join(make(root, "bad"), "backup.json"), "wb") as handle:
        handle.write(content)
    assert states(root) == {"good": "complete", "bad": "broken"}
    assert [backup["name"] for backup in _backup_set.complete(root)] == ["good"]


def test_what_is_left_of_a_broken_backup_tells_its_stack(root):
    os.unlink(os.path.join(make(root, "one"), "backup_manifest.txt"))
    (entry,) = _catalog.survey(root)
    assert (entry["state"], entry["stack"], entry["backup"]) == ("broken", "school", {})


def spoil_with_fifo(path):
    os.unlink(path)
    os.mkfifo(path)


def spoil_with_link(path):
    os.rename(path, path + ".elsewhere")
    os.symlink(path + ".elsewhere", path)


def spoil_with_folder(path):
    os.unlink(path)
    os.mkdir(path)


@pytest.mark.parametrize("spoil", [spoil_with_fifo, spoil_with_link, spoil_with_folder])
@pytest.mark.parametrize("file", ["backup.json", "backup_manifest.txt"])
def test_odd_files_are_not_waited_for(root, spoil, file):
    spoil(os.path.join(make(root, "one"), file))
    assert states(root) == {"one": "broken"}


def test_odd_things_of_all_kinds_are_foreign(root):
    root.prepare()
    os.mkfifo(os.path.join(root.backups, "fifo"))
    os.mkdir(os.path.join(root.backups, ".hidden"))
    os.mkdir(os.path.join(root.backups, "x" * 255))
    os.mkdir(os.path.join(root.backups.encode(), b"\xff\xfe"))
    os.mkdir(os.path.join(root.backups, "two\nlines"))
    os.symlink(root.backups, os.path.join(root.backups, "loop"))
    os.mkdir(os.path.join(root.backups, ".partial_nobody"))
    assert set(states(root).values()) == {"foreign"} and len(states(root)) == 7
    os.mkdir(os.path.join(root.backups, ".partial_0123@" + "x" * 200))
    assert sorted(states(root).values()) == ["foreign"] * 7 + ["partial"]


def test_a_folder_with_a_name_that_no_backup_has_is_broken(root):
    os.rename(make(root, "one"), os.path.join(root.backups, "my holiday"))
    assert states(root) == {"my holiday": "broken"}


def survey_as_nobody(root):
    """Return the states and reasons (str) that somebody finds who is not root."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.geteuid() == 0:
            os.seteuid(65534)
        found = {entry["name"]: "%s: %s" % (entry["state"], entry["reason"]) for entry in _catalog.survey(root)}
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as handle:
        return json.loads(handle.read())


def test_what_cannot_be_read_is_broken_and_says_why(monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    with tempfile.TemporaryDirectory() as folder:  # one that others may enter, which tmp_path is not
        root = _backup_set.Root(os.path.join(folder, "root"))
        closed, opened = make(root, "closed"), make(root, "open")
        for base, _folders, files in os.walk(folder):
            os.chmod(base, 0o755)
            for file in files:
                os.chmod(os.path.join(base, file), 0o644)
        os.chmod(closed, 0)
        assert survey_as_nobody(root) == {
            "closed": "broken: it cannot be read: Permission denied", "open": "complete: None"}
        os.chmod(os.path.join(opened, "backup.json"), 0)
        assert survey_as_nobody(root)["open"].startswith("broken: ")


@pytest.mark.parametrize("lock", [b"[1]", b"\xff", b'{"controller": 7}', b'{"controller": {"pid": "x"}}'])
def test_a_garbled_lock_is_nobodys(root, lock):
    _backup_set.begin(root, "school", "one", "me")
    with open(root.lock("school").path, "wb") as handle:
        handle.write(lock)
    os.utime(root.lock("school").path, (0, 0))
    (entry,) = _catalog.survey(root)
    assert entry["state"] == "partial" and entry["alive"] is False


def test_odd_names_beside_the_backups_are_no_stacks(root):
    _backup_set.begin(root, "school", "one", "me")
    for folder in ("locks/my lock.lock", "pools/..x", "restores/a b.json"):
        os.makedirs(os.path.join(root.path, folder))
    assert [entry["stack"] for entry in _catalog.survey(root)] == ["school"]


@pytest.mark.parametrize("damaged", [b"x", b'{"blobs": 1, "files": 2}', b"[]"])
def test_a_garbled_damaged_record_lets_no_backup_count_as_good(root, damaged):
    make(root, "one")
    os.makedirs(os.path.dirname(root.pool("school")))
    with open(os.path.join(os.path.dirname(root.pool("school")), "damaged.json"), "wb") as handle:
        handle.write(damaged)
    (entry,) = _catalog.survey(root)
    assert entry["state"] == "broken" and "damaged.json cannot be read" in entry["reason"]


def test_a_backup_that_is_being_fetched_is_alive(root):
    make(root, "one")
    partial = root.partial("school", "two")
    lock = root.lock("school")
    lock.acquire("me", "copy", "two", single=True)
    for folder in (partial, partial + ".blobs"):
        os.mkdir(folder)
    assert [entry["alive"] for entry in _catalog.survey(root) if entry["state"] == _catalog.PARTIAL] == [True, True]
    lock.release("me")
    assert [entry["alive"] for entry in _catalog.survey(root) if entry["state"] == _catalog.PARTIAL] == [False, False]
