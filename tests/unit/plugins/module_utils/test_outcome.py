# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _notes, _outcome


@pytest.fixture
def root(tmp_path):
    return _backup_set.Root(str(tmp_path / "root"))


def test_a_backup_is_noted_with_what_it_costs(root):
    published = {"name": "one", "added": 12 * 1024 * 1024}
    assert _outcome.note_published(root, "school", time.time() - 30, published) == []
    outcome = _notes.outcomes(root, "school")["backup"]
    assert outcome["ok"] and outcome["message"] == "made one, 12.0 MiB new"
    assert 30 <= outcome["seconds"] < 40 and abs(outcome["at"] - time.time()) < 10


def test_one_that_is_not_complete_says_so(root):
    _outcome.note_published(root, "school", time.time(), {"name": "one", "added": 0}, complete=False)
    assert _notes.outcomes(root, "school")["backup"]["message"] == "made one, 0 bytes new, NOT COMPLETE"


def test_a_clock_that_was_set_back_gives_no_time_below_zero(root):
    _outcome.note_published(root, "school", time.time() + 3600, {"name": "one", "added": 0})
    assert _notes.outcomes(root, "school")["backup"]["seconds"] == 0


@pytest.mark.parametrize("proved", [True, False])
def test_a_restore_went_well_only_if_its_site_was_proved_to_work(root, proved):
    _outcome.note_restored(root, "school", {"backup": "one", "proved": proved, "began": time.time() - 5})
    outcome = _notes.outcomes(root, "school")["restore"]
    assert outcome["ok"] is proved and 5 <= outcome["seconds"] < 15
    assert outcome["message"].startswith("restored from one" if proved else "the restore from one was undone")


def test_the_jobs_of_a_stack_do_not_hide_each_other(root):
    _outcome.note(root, "school", "backup", False, "no room")
    _outcome.note(root, "school", "verify", True, "all whole", 2.5)
    found = _notes.outcomes(root, "school")
    assert {job: (entry["ok"], entry["message"], entry["seconds"]) for job, entry in found.items()} == {
        "backup": (False, "no room", None), "verify": (True, "all whole", 2.5)}


def test_what_cannot_be_noted_is_a_warning(root, tmp_path):
    os.makedirs(root.path)
    (tmp_path / "root" / "outcomes").write_text("a file where the folder should be")
    warnings = _outcome.note(root, "school", "backup", False, "no room")
    assert len(warnings) == 1
    assert warnings[0].startswith("What became of the backup of stack 'school' could not be noted: ")


def test_a_name_that_cannot_be_is_a_warning_too(root):
    assert "../x" in _outcome.note(root, "../x", "backup", False, "no room")[0]
    assert not os.path.exists(root.path)
