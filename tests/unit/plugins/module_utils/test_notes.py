# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import threading

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _json_file, _notes
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import StorageError, UsageError


@pytest.fixture
def root(tmp_path):
    return _backup_set.Root(str(tmp_path / "root"))


def test_nothing_is_known_of_a_backup_at_first(root):
    assert _notes.read(root, "one") == {}
    assert not os.path.exists(root.path)


def test_a_pin_comes_and_goes(root):
    assert _notes.set_pinned(root, "one", 10.0, "the baseline")
    assert not _notes.set_pinned(root, "one", 11.0, "the baseline")
    assert _notes.read(root, "one") == {"pinned": {"at": 10.0, "reason": "the baseline"}}
    assert os.stat(_notes.path_of(root, "one")).st_mode & 0o777 == 0o600
    assert _notes.set_pinned(root, "one", 12.0, "for the exam")
    assert _notes.set_unpinned(root, "one")
    assert not _notes.set_unpinned(root, "one")
    assert not os.path.exists(_notes.path_of(root, "one"))


def test_what_reading_has_found_is_kept_beside_the_pin(root):
    _notes.set_pinned(root, "one", 1.0)
    problems = [{"path": "file %d" % number, "problem": "damaged"} for number in range(1000)]
    _notes.set_verified(root, "one", 2.0, "in full", problems)
    note = _notes.read(root, "one")
    assert note["pinned"] and note["verified"]["ok"] is False and note["verified"]["problems"] == problems[:20]
    _notes.set_verified(root, "one", 3.0, "in full", [])
    assert _notes.read(root, "one")["verified"] == {"at": 3.0, "how": "in full", "ok": True, "problems": []}


def test_copies_come_and_go(root):
    _notes.set_copy(root, "one", "offsite", "rsync", "backup@host.example:/srv", 5.0)
    _notes.set_copy(root, "one", "cloud", "restic", "s3:https://s3.example/b", 6.0)
    assert _notes.forget_copy(root, "one", "cloud") and not _notes.forget_copy(root, "one", "cloud")
    assert _notes.read(root, "one") == {"copies": {
        "offsite": {"kind": "rsync", "where": "backup@host.example:/srv", "at": 5.0}}}
    assert _notes.forget_copy(root, "one", "offsite")
    assert _notes.read(root, "one") == {}


def test_a_note_is_forgotten_with_its_backup(root):
    _notes.set_pinned(root, "one", 1.0)
    _notes.forget(root, "one")
    _notes.forget(root, "one")
    assert _notes.read(root, "one") == {}


def test_names_that_lead_elsewhere_are_refused(root):
    with pytest.raises(UsageError):
        _notes.set_pinned(root, "../one", 1.0)
    with pytest.raises(UsageError):
        _notes.set_outcome(root, "a/b", "backup", 1.0, True, "")


def test_a_damaged_note_is_none(root):
    _notes.set_pinned(root, "one", 1.0)
    with open(_notes.path_of(root, "one"), "w", encoding="utf-8") as handle:
        handle.write("[")
    assert _notes.read(root, "one") == {}
    assert _notes.set_pinned(root, "one", 2.0)


def test_the_outcome_of_each_job_is_kept(root):
    assert _notes.outcomes(root, "school") == {}
    _notes.set_outcome(root, "school", "backup", 1.0, False, "x" * 5000)
    _notes.set_outcome(root, "school", "cleanup", 2.0, True, "removed one", 1.5)
    _notes.set_outcome(root, "school", "backup", 3.0, True, "made two", 2.5)
    assert _notes.outcomes(root, "school") == {
        "backup": {"at": 3.0, "ok": True, "message": "made two", "seconds": 2.5},
        "cleanup": {"at": 2.0, "ok": True, "message": "removed one", "seconds": 1.5},
    }


def test_changes_at_once_lose_nothing(tmp_path):
    path = str(tmp_path / "folder/document.json")

    def add(number):
        _json_file.update(path, lambda document: dict(document, **{str(number): number}))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _json_file.read(path) == {str(number): number for number in range(20)}


def test_the_same_document_is_not_written_again(tmp_path):
    path = str(tmp_path / "document.json")
    _json_file.update(path, lambda document: {"a": 1})
    before = os.stat(path).st_ino
    assert _json_file.update(path, dict) == {"a": 1}
    assert os.stat(path).st_ino == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file.* cannot be made"):
        _json_file.update(str(tmp_path / "file/notes/a.json"), lambda document: {"a": 1})


@pytest.mark.parametrize(("note", "sound"), [
    ({"pinned": True}, {"pinned": {"at": 0.0, "reason": ""}}),
    ({"pinned": {"at": "now", "reason": 7}}, {"pinned": {"at": 0.0, "reason": ""}}),
    ({"pinned": None, "verified": [], "copies": 3, "more": 1}, {}),
    ({"verified": {"at": "x", "ok": True}}, {}),
    ({"verified": {"at": 1, "ok": "no"}}, {}),
    ({"verified": {"at": 1, "ok": False, "problems": 7}},
     {"verified": {"at": 1, "ok": False, "how": "", "problems": []}}),
    ({"verified": {"at": 1, "ok": False, "how": [1], "problems": [1, {"path": 1}, {"path": "a", "problem": "b"}]}},
     {"verified": {"at": 1, "ok": False, "how": "[1]", "problems": [{"path": "a", "problem": "b"}]}}),
    ({"copies": {"a": 1, "b": {"at": 1, "kind": "rsync"}, "c": {"at": 1, "kind": "rsync", "where": "/c"}}},
     {"copies": {"c": {"at": 1, "kind": "rsync", "where": "/c"}}}),
])
def test_spoilt_parts_of_a_note_are_left_out_but_a_pin_stays(root, note, sound):
    os.makedirs(os.path.dirname(_notes.path_of(root, "one")))
    _json_file.write(_notes.path_of(root, "one"), note)
    assert _notes.read(root, "one") == sound


def test_spoilt_outcomes_are_left_out(root):
    _notes.set_outcome(root, "school", "backup", 1.0, True, "made")
    _json_file.update(os.path.join(root.path, "outcomes", "school.json"), lambda document: dict(
        document, verify=7, cleanup={"at": "x", "ok": True, "message": ""}, restore={"at": 1, "ok": 1, "message": ""},
        replicate={"at": 1, "ok": True, "message": "", "seconds": "x"}, coffee={"at": 1, "ok": True, "message": ""}))
    assert list(_notes.outcomes(root, "school")) == ["backup"]


def test_a_document_that_is_no_file_is_none(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "deep").write_text("[" * 200000)
    for name in ("fifo", "deep", "", "missing"):
        assert _json_file.read(str(tmp_path / name)) == {}
