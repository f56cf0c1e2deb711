# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _copies, _notes, _retention
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    CommandError,
    ExistsError,
    IntegrityError,
)

DAY = 86400
NAMES = ["b%02d" % number for number in range(12)]


def backup(name, manifest="1", site=None):
    return {"name": name, "stack": "school", "created": NAMES.index(name) * DAY + 1e9, "manifest": manifest,
            "site": site}


def backups(names, site=None):
    return [backup(name, site=site) for name in names]


class FakeCopy:
    """A copy that is a dict."""

    name, kind, where, policy = "fake", "fake", "nowhere", None
    lost, at_once = (), True

    def __init__(self, there=(), bad=(), broken=None):
        self.held, self.bad, self.broken = {name: backup(name) for name in there}, bad, broken

    def list(self):
        if self.broken:
            raise self.broken
        return dict(self.held)

    def prepare(self):
        pass

    def finish(self):
        pass

    def taken(self, _stack):
        return _copies.contextlib.nullcontext()

    reading = taken

    def add(self, entry, _earlier, _coming):
        if entry["name"] in self.bad:
            raise IntegrityError("%s is bad" % entry["name"])
        if entry["name"] in self.lost:
            raise CommandError("It is gone")
        self.held[entry["name"]] = entry
        return self.at_once

    def remove(self, _stack, entries):
        for entry in entries:
            del self.held[entry["name"]]
        return 0


def offered(names, pinned=None, site=None):
    return {"backups": backups(names, site), "pinned": pinned or {}, "stacks": ["school"],
            "sites": {"school": site} if site else {}}


def test_what_is_missing_is_copied_the_oldest_first():
    assert _copies.plan(backups(NAMES[:4]), backups(NAMES[1:2]), {}, None, 0) == (["b00", "b02", "b03"], [])
    assert _copies.plan(backups(NAMES[:4]), backups(NAMES[1:2]), {}, None, 2) == (["b02", "b03"], [])


def test_nothing_is_removed_without_a_policy():
    assert _copies.plan([], backups(NAMES), {}, None, 0) == ([], [])


def test_pins_hold_in_copies_too():
    policy = _retention.Policy(last=1)
    assert _copies.plan(backups(NAMES[2:4]), backups(NAMES[:3]), {"b00": "delivered"}, policy, 0) == (
        ["b03"], ["b01", "b02"])
    assert _copies.plan(backups(NAMES[:4]), [], {"b00": ""}, policy, 0) == (["b00", "b03"], [])


def test_one_name_for_two_backups_is_refused():
    with pytest.raises(ExistsError):
        _copies.plan([backup("b01", "2")], backups(NAMES[:3]), {}, None, 0)


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.integers(0, 3), st.integers(0, 3),
       st.integers(0, 4), st.sets(st.sampled_from(NAMES)))
def test_a_second_run_has_nothing_to_do(here, there, last, daily, newest, pins):
    policy = _retention.Policy(last=last, daily=daily) if last or daily else None
    root, copy = backups(sorted(here)), backups(sorted(there))
    pinned = dict.fromkeys(pins, "")
    missing, surplus = _copies.plan(root, copy, pinned, policy, newest)
    assert set(missing) <= here - there and set(surplus) <= there - pins
    after = sorted((there | set(missing)) - set(surplus))
    assert after or not here | there
    assert _copies.plan(root, backups(after), pinned, policy, newest) == ([], [])


def test_one_bad_backup_does_not_keep_the_others_but_nothing_is_removed():
    copy = FakeCopy(NAMES[:1], bad=["b02"])
    copy.policy = _retention.Policy(last=3)
    result = _copies.replicate(copy, offered(NAMES[:5]))
    assert result["copied"] == ["b03", "b04"] and result["removed"] == [] and "b00" in copy.held
    assert result["problems"] == [{"stack": "school", "message": "copy 'fake': b02 is bad."}]
    copy.bad = []
    assert _copies.replicate(copy, offered(NAMES[:5]))["removed"] == ["b00"]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_was_copied_before_the_storage_went_away_is_told(at_once):
    copy = FakeCopy()
    copy.lost, copy.at_once = ["b02"], at_once
    result = _copies.replicate(copy, offered(NAMES[:4]))
    assert result["copied"] == (NAMES[:2] if at_once else []) and result["problems"][0]["stack"] is None
    copy.lost = ()
    assert _copies.replicate(copy, offered(NAMES[:4]))["copied"] == NAMES[2:4]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_copy_with_backups_of_another_site_is_left_alone(check_mode):
    """Its rules for what stays would set the backups of one host against those of the other."""
    copy = FakeCopy(NAMES[:3])
    copy.policy = _retention.Policy(last=1)
    copy.held["b01"]["site"] = "a" * 16
    result = _copies.replicate(copy, offered(NAMES[3:6], site="b" * 16), check_mode=check_mode)
    assert sorted(copy.held) == NAMES[:3] and result["copied"] == result["removed"] == []
    problem = result["problems"][0]
    assert problem["stack"] == "school" and problem["message"].startswith("copy 'fake': It has backups of another site")
    assert "(1, the newest is 'b01')" in problem["message"] and "inventory_hostname" in problem["message"]


@pytest.mark.parametrize(("there", "here"), [(None, "b" * 16), ("b" * 16, None), (None, None), ("b" * 16, "b" * 16)])
def test_a_site_of_which_nobody_knows_is_accepted(there, here):
    copy = FakeCopy(NAMES[:1])
    copy.held["b00"]["site"] = there
    assert _copies.replicate(copy, offered(NAMES[:2], site=here))["copied"] == ["b01"]


def test_of_several_sites_only_the_newest_is_copied(tmp_path, monkeypatch):
    """Otherwise a first run would bring into the copy what a second one refuses."""
    class FakeRoot:
        path = str(tmp_path)

    def entry(name, identifier, state="complete"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "backup_manifest.txt").touch()
        return {"name": name, "stack": "school", "created": 1.0, "state": state, "note": {},
                "path": str(tmp_path / name), "backup": {"site": identifier and {"siteidentifier": identifier}}}

    entries = [entry("b00", "old"), entry("b01", None), entry("b02", "new"), entry("b03", "new", "damaged"),
               entry("b04", None)]
    monkeypatch.setattr(_copies._catalog, "backups", lambda root: entries)
    found = _copies.offer(FakeRoot)
    assert [one["name"] for one in found["backups"]] == ["b01", "b02", "b04"]
    assert found["sites"] == {"school": found["backups"][1]["site"]} and found["left_out"] == {"school": ["b00"]}
    entries.append(entry("b05", "old"))
    assert [one["name"] for one in _copies.offer(FakeRoot)["backups"]] == ["b00", "b01", "b04", "b05"]


def test_check_mode_changes_nothing():
    copy = FakeCopy()
    assert _copies.replicate(copy, offered(NAMES[:2]), check_mode=True)["copied"] == NAMES[:2]
    assert copy.held == {}


def test_a_copy_that_cannot_be_asked_is_no_proof_that_it_has_nothing(tmp_path, monkeypatch):
    class FakeRoot:
        path = str(tmp_path)

    entries = [{"name": name, "stack": "school", "note": {}} for name in NAMES[:2]]
    monkeypatch.setattr(_copies._catalog, "backups", lambda root: [
        dict(entry, note=_notes.read(root, entry["name"])) for entry in entries])
    good = _copies.replicate(FakeCopy(NAMES[:1]), offered(NAMES[:1]))
    assert _copies.note(FakeRoot, ["school"], [good], 5.0) is True
    assert _notes.read(FakeRoot, "b00")["copies"] == {"fake": {"kind": "fake", "where": "nowhere", "at": 5.0}}
    assert _copies.note(FakeRoot, ["school"], [good], 6.0) is False
    lost = _copies.replicate(FakeCopy(broken=CommandError("It is down")), offered(NAMES[:1]))
    assert _copies.note(FakeRoot, ["school"], [lost], 7.0) is False and _notes.read(FakeRoot, "b00")
    _copies.set_outcomes(FakeRoot, ["school"], [good, lost], 7.0)
    said = _notes.outcomes(FakeRoot, "school")["replicate"]
    assert not said["ok"] and said["message"] == "copy 'fake': It is down."
    with pytest.raises(CommandError):
        _copies.require_success([good, lost])
    empty = _copies.replicate(FakeCopy(), offered([]))
    assert _copies.note(FakeRoot, ["college"], [empty], 8.0) is False
    assert _copies.note(FakeRoot, ["school"], [empty], 8.0) is True and _notes.read(FakeRoot, "b00") == {}
