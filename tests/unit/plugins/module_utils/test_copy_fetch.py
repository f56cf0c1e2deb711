# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _copy_fetch
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    AmbiguousError,
    CommandError,
    IntegrityError,
    LockedError,
    NotFoundError,
    UsageError,
)


class FakeCopy:
    """A copy that has backups (name to created), all of one site."""

    def __init__(self, name, backups, stack="school", site=None, broken=None):
        self.name, self.where, self.broken = name, "where %s is" % name, broken
        self.held = {key: {"name": key, "stack": stack, "created": created, "complete": True, "site": site, "secret": 1}
                     for key, created in backups.items()}

    def list(self):
        if self.broken:
            raise self.broken
        return self.held


def told(*copies, stack=None):
    """What answer() says, as it comes through Ansible."""
    return json.loads(json.dumps(_copy_fetch.answer(copies, stack)))


def names(chosen):
    return [(copy and copy.name, entry["name"]) for copy, entry in chosen]


def test_the_newest_of_all_copies_whoever_reaches_them():
    bucket, office = FakeCopy("bucket", {"b1": 1.5, "b2": 2.25}), FakeCopy("office", {"b2": 2.25, "b3": 3.0})
    asked = told(bucket)
    assert "secret" not in asked["backups"][0] and asked["backups"][0]["copy"] == "bucket"
    assert names(_copy_fetch.choose([office], "latest", None, asked)[0]) == [("office", "b3")]
    del office.held["b3"]
    assert names(_copy_fetch.choose([office], "latest", None, asked)[0]) == [(None, "b2"), ("office", "b2")]
    assert names(_copy_fetch.choose([office], "b1", None, asked)[0]) == [(None, "b1")]
    bucket.held["b2"]["complete"] = office.held["b2"]["complete"] = False
    assert names(_copy_fetch.choose([office], "latest", None, told(bucket))[0]) == [(None, "b1")]
    assert names(_copy_fetch.choose([office], "b2", None, told(bucket))[0]) == [(None, "b2"), ("office", "b2")]


def test_what_is_meant_has_to_be_clear_over_all_copies():
    asked = told(FakeCopy("bucket", {"b1": 1.0}, site="a" * 16))
    with pytest.raises(AmbiguousError) as caught:
        _copy_fetch.choose([FakeCopy("office", {"b2": 2.0}, site="b" * 16)], "latest", "school", asked)
    assert "in copy 'bucket'" in caught.value.message and "in copy 'office'" in caught.value.message
    other = FakeCopy("office", {"b2": 2.0}, stack="college")
    with pytest.raises(UsageError):
        _copy_fetch.choose([other], "latest", None, asked)
    assert names(_copy_fetch.choose([other], "latest", "school", asked)[0]) == [(None, "b1")]


def test_what_nobody_has_is_told_with_all_reasons():
    asked = told(FakeCopy("bucket", {"b1": 1.0}), FakeCopy("lost", {}, broken=CommandError("It is down")))
    with pytest.raises(NotFoundError) as caught:
        _copy_fetch.choose([FakeCopy("office", {"b2": 2.0})], "b3", None, asked)
    assert caught.value.describe() == (
        "There is no backup 'b3' here, and no good one in the copies 'bucket', 'lost', 'office'; copy 'lost': It is"
        " down. The copies have: b1, b2.")
    assert caught.value.details == {"problems": ["copy 'lost': It is down."]}


def test_the_next_copy_helps_and_the_first_one_is_told():
    copies = [FakeCopy("bad", {"b1": 1.0}), FakeCopy("good", {"b1": 1.0})]
    tried = []

    def bring(copy, entry):
        tried.append((copy.name, entry["name"]))
        if copy.name == "bad":
            raise IntegrityError("It is damaged", "Look for another one.", rc=1)

    found = _copy_fetch.first_good(*_copy_fetch.choose(copies, "b1", None), bring)
    assert tried == [("bad", "b1"), ("good", "b1")] and found["copy"] == "good" and found["where"] == "where good is"
    assert found["warnings"] == ["copy 'bad': It is damaged"]
    with pytest.raises(IntegrityError) as caught:
        _copy_fetch.first_good(*_copy_fetch.choose(copies[:1], "b1", None), bring)
    assert caught.value.describe() == (
        "Backup 'b1' could not be fetched: copy 'bad': It is damaged. Look for another one.")
    assert caught.value.details == {"rc": 1, "problems": ["copy 'bad': It is damaged"]}


def test_a_lock_is_no_reason_to_ask_the_next_copy():
    def bring(_copy, _entry):
        raise LockedError("It is taken")

    copies = [FakeCopy("one", {"b1": 1.0}), FakeCopy("two", {"b1": 1.0})]
    with pytest.raises(LockedError, match="^It is taken$"):
        _copy_fetch.first_good(*_copy_fetch.choose(copies, "b1", None), bring)
