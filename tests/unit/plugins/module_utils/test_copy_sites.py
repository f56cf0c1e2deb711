# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _copy_sites
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import AmbiguousError, ExistsError

A, B = (_copy_sites.digest(identifier) for identifier in ("site a", "site b"))


def held(name, site, order):
    return {"name": name, "site": site, "created": 1e9 + order, "copy": "bucket"}


def test_a_site_is_known_by_its_identifier():
    assert A != B and _copy_sites.of({"site": {"siteidentifier": "site a", "version": "1"}}) == A
    assert _copy_sites.checked(A) == A and len(A) == 16


@pytest.mark.parametrize("backup", [{}, {"site": None}, {"site": []}, {"site": {}}, {"site": {"siteidentifier": None}},
                                    {"site": {"siteidentifier": ""}}, {"site": {"siteidentifier": ["x"]}}])
def test_a_backup_may_not_say_whose_it_is(backup):
    assert _copy_sites.of(backup) is None


@pytest.mark.parametrize("text", [None, "", "x" * 16, "a" * 15, "a" * 17, "a" * 16 + "\n", 7, ["a" * 16]])
def test_a_tag_may_say_anything(text):
    assert _copy_sites.checked(text) is None


def test_only_sites_that_are_known_differ():
    assert _copy_sites.differ(A, B)
    assert not any(_copy_sites.differ(*pair) for pair in ((A, A), (A, None), (None, A), (None, None)))


@pytest.mark.parametrize(("kind", "how"), [
    ("restic", "restic snapshots --tag stack=school,site=%s'" % B), ("rsync", "remove them from backups/ there")])
def test_the_refusal_names_the_other_site_and_what_to_do(kind, how):
    there = [held("mine", A, 9.0), held("old", B, 1.0), held("new", B, 2.0), held("unknown", None, 3.0)]
    with pytest.raises(ExistsError) as caught:
        _copy_sites.require_own(A, "school", there, kind)
    said = caught.value.describe()
    for words in ("of another site", "'school', too (2, the newest is 'new')", "site %s, and here is site %s" % (B, A),
                  "nothing of this stack was copied or removed", "moodle_backup_stack", "inventory_hostname", how):
        assert words in said
    _copy_sites.require_own(A, "school", there[:1] + there[3:], kind)


def test_the_newest_of_each_site_is_listed():
    found = [held("new", B, 3.0), held("old", B, 1.0), held("mine", A, 2.0), held("unknown", None, 9.0)]
    with pytest.raises(AmbiguousError) as caught:
        _copy_sites.require_one("school", found)
    assert sorted(caught.value.details["candidates"]) == ["mine", "new"]
    assert "'new' of 2001-09-0" in caught.value.message and "in copy 'bucket'" in caught.value.message
    assert "'old'" not in caught.value.message
    _copy_sites.require_one("school", found[:2] + found[3:])
    _copy_sites.require_one("school", [])


def test_what_is_not_copied_is_told():
    assert _copy_sites.left_out_warnings({}) == []
    assert "stack 'school'" in _copy_sites.left_out_warnings({"school": ["one", "two"]})[0]
