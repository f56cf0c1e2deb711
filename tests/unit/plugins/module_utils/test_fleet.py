# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _fleet
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError

SETTINGS = {"stack": "", "container": "", "project": "", "database_container": "", "plugin_paths": ["local/own"],
            "exclude_data": [], "config_paths": [], "mode": "hot"}
STACKS = [{"project": "school"}, {"container": "college-web", "stack": "college", "mode": "stopped"}]


# --- the stacks of a host -------------------------------------------------------------------------------------------


def test_without_a_list_there_is_what_the_settings_describe():
    assert _fleet.stacks_of_host([], SETTINGS) == [dict(SETTINGS, label="")]
    (one,) = _fleet.stacks_of_host([], dict(SETTINGS, project="p", container="c"), "of_today")
    assert (one["label"], one["stack"]) == ("p", "")  # the name is found on the host


def test_an_entry_is_completed_and_named():
    school, college = _fleet.stacks_of_host(STACKS, dict(SETTINGS, database_container="not theirs"))
    assert school == dict(SETTINGS, label="school", stack="school", project="school")
    assert college == dict(SETTINGS, label="college", stack="college", container="college-web", mode="stopped")


@pytest.mark.parametrize(("chosen", "labels"), [
    ({"stack": "college"}, ["college"]), ({"stack": "school"}, ["school"]), ({"project": "school"}, ["school"]),
    ({"container": "college-web"}, ["college"]), ({}, ["school", "college"]),
])
def test_one_of_them_can_be_chosen(chosen, labels):
    found = _fleet.stacks_of_host(STACKS, dict(SETTINGS, **chosen))
    assert [entry["label"] for entry in found] == labels


def test_a_name_of_one_backup_needs_one_stack():
    with pytest.raises(UsageError, match="'pre_update' is the name of one backup.*school, college"):
        _fleet.stacks_of_host(STACKS, SETTINGS, "pre_update")
    assert len(_fleet.stacks_of_host(STACKS, dict(SETTINGS, stack="college"), "pre_update")) == 1
    assert len(_fleet.stacks_of_host(STACKS, SETTINGS, "")) == 2


@pytest.mark.parametrize(("stacks", "chosen", "message"), [
    ("school", {}, "is no list"),
    ({"project": "school"}, {}, "is no list"),
    (["school"], {}, "'school' in moodle_backup_stacks is no dictionary"),
    ([{"project": "a", "keep_last": 3}], {}, "has keep_last"),
    ([{"mode": "hot"}], {}, "has no name"),
    ([{"project": 10}], {}, "project of an entry of moodle_backup_stacks is 10, which is no text"),
    ([{"project": "a", "stack": False}], {}, "stack of an entry of moodle_backup_stacks is False, which is no text"),
    ([{"project": "a"}, {"container": "b", "stack": "a"}], {}, "names a more than once"),
    (STACKS, {"stack": "church"}, "None of moodle_backup_stacks has stack 'church'"),
])
def test_a_list_that_makes_no_sense_is_refused(stacks, chosen, message):
    with pytest.raises(UsageError, match=message):
        _fleet.stacks_of_host(stacks, dict(SETTINGS, **chosen))


# --- what became of a stack -----------------------------------------------------------------------------------------


def rows(job, results, label=""):
    return [(row["stack"], row["size"], row["message"], row["warnings"])
            for row in _fleet.rows_of_success(job, results, label)]


def test_a_backup_tells_its_name_its_size_and_all_warnings_once():
    results = {
        "found": {"stack": {"name": "school", "warnings": ["in the layer", "twice"]}},
        "written": {"warnings": ["twice"], "jobs": {"content": {"complete": False, "reasons": ["a", "b"]}}},
        "published": {"name": "school_1", "size": 5000, "added": 2048, "warnings": ["not\n noted {{ here }}"]},
    }
    warnings = ["in the layer", "twice", "not noted { { here }}", "THE BACKUP IS NOT COMPLETE: a; b"]
    assert rows("backup", results) == [("school", 5000, "school_1, 2.0 KiB new", warnings)]
    in_check_mode = {"found": {"stack": {"name": "school"}}, "written": {"jobs": {}}, "published": {"name": "school_1"}}
    assert rows("backup", in_check_mode) == [("school", None, "school_1", [])]


def test_other_jobs_tell_what_they_did():
    found = {"stacks": [{"stack": "a", "bytes_read": 7, "message": "whole"}, {"stack": "b", "bytes_read": 0}]}
    assert rows("verify", {"found": found}) == [("a", 7, "whole", []), ("b", 0, "", [])]

    backups = [{"stack": "a", "action": "keep"}, {"stack": "a", "action": "remove"}, {"stack": None, "action": "keep"}]
    pruned = {"backups": backups, "freed": 9, "skipped": {"a": "it is at work"}}
    assert rows("cleanup", {"pruned": pruned}) == [
        ("a", 9, "1 of 2 backups go", ["the pool was left alone: it is at work"])]
    assert rows("cleanup", {"pruned": {"backups": [], "freed": 0}}, "a") == [("a", 0, "0 of 0 backups go", [])]
    pruned["backups"] = [*backups, {"stack": "b", "action": "keep"}]
    assert [row[:2] for row in rows("cleanup", {"pruned": pruned})] == [("a", None), ("b", None)]

    copies = [{"name": "here", "where": "x", "copied": []}, {"name": "gone", "where": "", "copied": []}]
    results = {"pulled": {"copies": copies}, "copied": {"copies": [{"name": "s3", "where": "y", "copied": ["m", "n"]}]}}
    assert rows("replicate", results, "a") == [("a", None, "here: nothing to copy; s3: m, n", [])]

    backup = {"name": "a_1", "stack": "a", "artefacts": [{"size": 3}, {"size": None}, {"size": 4}]}
    assert rows("restore", {"found": {"backup": backup}}) == [("a", 7, "from a_1", [])]
    assert rows("restore", {"found": {}, "fetched": {"name": "a_1"}}, "a") == [("a", None, "from a_1", [])]


def test_a_failure_is_one_line_and_has_the_name_that_is_known():
    row = _fleet.row_of_failure("first\n  second", "label")
    assert (row["stack"], row["state"], row["error"]) == ("label", "failed", "first second")
    assert _fleet.row_of_failure("e", "", {"found": {"stack": {"name": "n"}}})["stack"] == "n"
    assert _fleet.row_of_failure("e", "", {"found": {"backup": {"stack": "m"}}})["stack"] == "m"
    assert _fleet.row_of_failure("e", "", {"found": {}})["stack"] == ""


# --- what became of all ---------------------------------------------------------------------------------------------


def kept(*stacks, at=None, unreachable="", job="backup"):
    return {"job": job, "at": at, "unreachable": unreachable, "rows": list(stacks)}


def done(stack, **more):
    return dict(_fleet.rows_of_success("replicate", {}, stack)[0], seconds=1.5, **more)


def failed(stack, error="it broke"):
    return dict(_fleet.row_of_failure(error, stack), seconds=0.5)


def states(document):
    return [(row["host"], row["stack"], row["state"]) for row in document["stacks"]]


def test_every_host_and_stack_is_in_the_summary():
    document = _fleet.summary("backup", {
        "web1": kept(done("a"), failed("b")),
        "web2": kept(unreachable="no route"),
        "web3": kept(done("c"), at="d"),  # lost in the middle
        "web4": kept(done("old"), job="verify"),  # it failed in another job of the same run
        "web5": {},
        "web6": kept(),
    })
    assert states(document) == [
        ("web1", "a", "done"), ("web1", "b", "failed"), ("web2", "", "unreachable"), ("web3", "c", "done"),
        ("web3", "d", "unreachable"), ("web4", "", "left out"), ("web5", "", "left out"), ("web6", "", "left out")]
    assert (document["result"], document["done"], document["failed"], document["hosts"]) == ("some failed", 2, 6, 6)
    assert all(row["error"] and "\n" not in row["error"] for row in document["stacks"] if row["state"] != "done")


@pytest.mark.parametrize(("hosts", "result", "verdicts"), [
    ({"a": kept(done("x")), "b": kept(done("y"))}, "good", {"a": None, "b": None}),
    ({"a": kept(done("x")), "b": kept(failed("y"))}, "some failed", {"a": None, "b": "failed"}),
    ({"a": kept(done("x")), "b": kept(unreachable="r")}, "some failed", {"a": None, "b": "failed"}),
    ({"a": kept(done("x"), failed("y"))}, "some failed", {"a": "failed"}),
    ({"a": kept(failed("x")), "b": kept(unreachable="r")}, "all failed", {"a": "unreachable", "b": "unreachable"}),
    ({"a": kept(failed("x"), failed("y"))}, "all failed", {"a": "unreachable"}),
    ({"a": kept(failed("x"))}, "all failed", {"a": "failed"}),
    ({"a": kept(unreachable="r")}, "all failed", {"a": "unreachable"}),
])
def test_the_verdict_tells_all_good_some_failed_and_all_failed(hosts, result, verdicts):
    document = _fleet.summary("backup", hosts)
    assert document["result"] == result
    for host, wanted in verdicts.items():
        found = _fleet.verdict(document, host)
        assert [key for key in ("failed", "unreachable") if found.get(key)] == ([wanted] if wanted else [])


def test_the_verdict_names_the_reasons_of_its_own_host():
    document = _fleet.summary("backup", {"a": kept(failed("x", "no room")), "b": kept(done("y"))})
    assert _fleet.verdict(document, "a")["msg"] == "x: no room"
    assert _fleet.verdict(document, "b") == {"msg": "done"}
    document = _fleet.summary("backup", {"a": kept(failed("x", "no room")), "b": kept(unreachable="no route")})
    assert _fleet.verdict(document, "b")["msg"] == (
        "NOTHING WAS DONE: all 2 failed, so the status is that of unreachable hosts. b: no route")


def test_the_table_has_a_line_for_everything():
    document = _fleet.summary("backup", {
        "web1": kept(done("school", size=3 << 20, message="school_1, 1.0 KiB new", warnings=["careful"])),
        "web2": kept(unreachable="no\nroute"),
    })
    assert _fleet.table(document) == [
        "backup on 2 hosts: 1 OF 2 STACKS FAILED",
        "HOST  STACK   STATE           SIZE   TIME",
        "web1  school  done         3.0 MiB  1.5 s  school_1, 1.0 KiB new",
        "    warning: careful",
        "web2  -       UNREACHABLE",
        "    error: no route",
    ]
    assert _fleet.table(_fleet.summary("verify", {"a": kept(done("x"), job="verify")}, True))[0] == (
        "verify in check mode, nothing was changed, on 1 host: ALL GOOD, 1 stack")
    assert _fleet.table(_fleet.summary("backup", {"a": {}}))[0] == "backup on 1 host: ALL FAILED, 1 stack"


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1:00"), (187, "3:07"),
                                               (3723.4, "1:02:03")])
def test_times_are_short(seconds, text):
    assert _fleet.human_seconds(seconds) == text
