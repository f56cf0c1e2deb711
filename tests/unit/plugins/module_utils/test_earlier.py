# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _earlier, _lock, _notes
from ansible_collections.moodleclaude.backup.plugins.module_utils._pool import DamagedRecord


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"))


def make(root, name, stack="school", **more):
    artefact = dict({"role": "data", "file": "data.tar", "sha256": name * 64, "size": 4, "raw_size": 9,
                     "fingerprint": "fp", "files": 1, "tree": {"path": "/x"}, "encoding": "UTF8"}, **more)
    begun = _backup_set.begin(root, stack, name, "me")
    with open(os.path.join(begun["folder"], "data.tar"), "wb") as handle:
        handle.write(b"data")
    _backup_set.publish(root, stack, name, "me", {"artefacts": [artefact]})


def names(found):
    return [os.path.basename(os.path.dirname(entry["path"])) for entry in found]


def test_the_newest_comes_first_and_other_stacks_do_not_count(root):
    for name in "abc":
        make(root, name)
    make(root, "d", stack="college")
    found = _earlier.candidates(root, "school")
    assert names(found) == ["c", "b", "a"]
    assert found[0] == {"path": os.path.join(root.backups, "c", "data.tar"), "role": "data", "sha256": "c" * 64,
                        "size": 4, "raw_size": 9, "fingerprint": "fp", "files": 1, "tree": {"path": "/x"}}
    assert _earlier.candidates(root, "none") == []


def test_only_some_are_looked_at(root):
    for number in range(12):
        make(root, "%x" % number)
    assert names(_earlier.candidates(root, "school")) == ["%x" % number for number in range(11, 1, -1)]


@pytest.mark.parametrize("spoil", [os.unlink, lambda path: os.truncate(path, 3)])
def test_what_is_not_there_any_more_is_none(root, spoil):
    make(root, "a")
    make(root, "b")
    spoil(os.path.join(root.backups, "a", "data.tar"))
    assert names(_earlier.candidates(root, "school")) == ["b"]


def test_what_was_found_damaged_is_none(root):
    make(root, "a")
    make(root, "b")
    record = DamagedRecord(os.path.join(root.path, "pools", "school", "damaged.json"))
    record.update(wrong_files={"b" * 64: "data.tar"})
    assert names(_earlier.candidates(root, "school")) == ["a"]
    record.update(right_files=["b" * 64])
    assert names(_earlier.candidates(root, "school")) == ["b", "a"]


def test_a_backup_without_artefacts_has_none(root):
    make(root, "a")
    path = os.path.join(root.backups, "a", "backup.json")
    with open(path) as handle:
        document = json.load(handle)
    with open(path, "w") as handle:
        json.dump(dict(document, artefacts=None), handle)
    assert _earlier.candidates(root, "school") == []


def test_of_two_files_with_the_same_content_the_bad_one_is_none(root):
    make(root, "a")
    make(root, "b")
    _notes.set_verified(root, "b", 1.0, "in full", [{"path": "data.tar", "problem": "damaged"}])
    assert names(_earlier.candidates(root, "school")) == ["a"]
