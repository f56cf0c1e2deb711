# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.moodleclaude.backup.plugins.filter.fleet import FilterModule, run_stacks

FILTERS = FilterModule().filters()


def test_stacks_come_as_a_list_or_as_json():
    wanted = run_stacks([{"project": "school"}], {"mode": "hot"})
    assert [entry["label"] for entry in wanted["stacks"]] == ["school"]
    assert wanted["problem"] is None
    assert run_stacks('[{"project": "school"}]', {"mode": "hot"}) == wanted
    assert run_stacks(" ", {"mode": "hot"}) == run_stacks([], {"mode": "hot"})


def test_what_cannot_be_chosen_from_is_a_problem_and_no_crash():
    wrong = (("school", "a text that is no JSON"), ('{"project": "a"}', "is no list"), ([7], "no dictionary"))
    for stacks, problem in wrong:
        found = run_stacks(stacks, {})
        assert found["stacks"] == []
        assert problem in found["problem"]
        assert "\n" not in found["problem"]


def test_the_filters_work_together():
    row = FILTERS["run_rows"]({"copied": {}}, "replicate", "school", 2.0)
    bad = FILTERS["run_failure"]("it broke", "college", {}, 1.0)
    kept = {"job": "replicate", "rows": row + bad, "at": None, "unreachable": ""}
    document = FILTERS["run_summary"]({"web1": kept}, "replicate", True)
    assert (document["check"], document["result"]) == (True, "some failed")
    assert [entry["seconds"] for entry in document["stacks"]] == [2.0, 1.0]
    assert len(FILTERS["run_table"](document)) == 5
