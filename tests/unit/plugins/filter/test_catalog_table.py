# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex

import pytest

from ansible_collections.moodleclaude.backup.plugins.filter.catalog_table import (
    FilterModule,
    catalog_document,
    catalog_table,
    human_age,
    human_size,
    restore_command,
)

BACKUP = {
    "number": 1, "name": "school_20250131_201530", "path": "/b/backups/school_20250131_201530", "stack": "school",
    "state": "complete", "reason": None, "alive": False, "newest": True, "created": "2025-01-31T20:15:30+01:00",
    "age": 7200, "size": 1536, "frees": None, "database": "moodle", "database_version": "15.4", "moodle": "4.5.6",
    "site": "My School", "address": "https://school.example", "copies": [], "pinned": None, "verified": None,
    "setup": {"kind": "compose", "project": "school", "containers": 3, "mode": "hot", "files": "pool"},
}
STACK = {"name": "school", "count": 1, "states": {"complete": 1}, "size": 1536, "pool": {"blobs": 1, "bytes": 2},
         "newest": {"number": 1, "name": BACKUP["name"], "created": BACKUP["created"], "age": 7200}, "outcomes": {},
         "at_work": None, "unfinished_restore": None}
LISTED = {"changed": False, "failed": False, "root": "/b", "exists": True, "time": "2025-01-31T22:15:30+01:00",
          "backups": [BACKUP], "stacks": [STACK], "count": 1, "size": 1536}


def table(backup=None, stack=None, width=100, **listed):
    result = dict(LISTED, backups=[dict(BACKUP, **(backup or {}))], stacks=[dict(STACK, **(stack or {}))], **listed)
    return catalog_table(catalog_document({"web1": result}, ["/hosts.ini"]), width)


def test_the_document_has_all_hosts_whatever_became_of_them():
    document = catalog_document({
        "web1": LISTED, "web2": {"unreachable": True, "msg": "no route"}, "web3": {"failed": True, "msg": "no disk"},
        "web4": {}, "web5": None, "web6": dict(LISTED, count=2, size=10)}, ["a.ini"])
    assert [(host["host"], host["state"], host["message"]) for host in document["hosts"]] == [
        ("web1", "listed", None), ("web2", "unreachable", "no route"), ("web3", "failed", "no disk"),
        ("web4", "not asked", "this run did not come to it"), ("web5", "not asked", "this run did not come to it"),
        ("web6", "listed", None)]
    assert (document["count"], document["size"]) == (3, 1546)
    assert document["hosts"][0]["backups"][0]["restore"].endswith("moodle_backup_root=/b")
    assert "changed" not in document["hosts"][0]


@pytest.mark.parametrize(("state", "restorable"), [
    ("complete", True), ("incomplete", True), ("damaged", False), ("broken", False), ("partial", False),
    ("foreign", False)])
def test_only_what_can_be_restored_has_a_command(state, restorable):
    result = dict(LISTED, backups=[dict(BACKUP, state=state)])
    (backup,) = catalog_document({"web1": result})["hosts"][0]["backups"]
    assert (backup["restore"] is not None) is restorable


def test_the_command_is_what_a_shell_takes():
    assert restore_command("web1", "one", "/var/backups/moodleclaude", ["/etc/hosts.ini", "web1,web2,"]) == (
        "ansible-playbook -i /etc/hosts.ini -i web1,web2, moodleclaude.backup.restore --limit web1"
        " -e moodle_backup_name=one")
    words = shlex.split(restore_command("web 1", "one", "/my 'own' place", ["my hosts.ini"]))
    assert words == ["ansible-playbook", "-i", "my hosts.ini", "moodleclaude.backup.restore", "--limit", "web 1", "-e",
                     "moodle_backup_name=one", "-e", '{"moodle_backup_root": "/my \'own\' place"}']


def test_the_table_says_all_that_an_operator_asks():
    lines = table({
        "frees": 512, "pinned": {"time": "x", "reason": "the baseline"},
        "verified": {"time": "2025-01-31T21:15:30+01:00", "age": 3600, "how": "in full", "ok": True, "problems": []},
        "copies": [{"name": "offsite", "kind": "rsync", "where": "backup@host:/srv", "time": "x"}],
    }, {"outcomes": {"backup": {"ok": True, "age": 90, "message": "made it", "time": "x", "seconds": 1}}})
    assert lines == [
        "web1: 1 backup, 1.5 KiB, in /b, at 2025-01-31T22:15:30+01:00",
        "",
        "  Stack school: 1 backup, 1.5 KiB on disk; the newest good one is school_20250131_201530, 2 h old",
        "    last backup     ok      90 s ago: made it",
        "",
        "    #  NAME                    CREATED                    AGE           SIZE       FREES  STATE",
        "    1  school_20250131_201530  2025-01-31T20:15:30+01:00  2 h        1.5 KiB   512 bytes  complete",
        "       Moodle 4.5.6, My School, https://school.example; database moodle (PostgreSQL 15.4); Compose",
        "       project school; made in use; files in the pool",
        "       verified in full, 60 min ago (2025-01-31T21:15:30+01:00): whole; pinned (the baseline); copy",
        "       offsite (rsync, backup@host:/srv)",
        "       ansible-playbook -i /hosts.ini moodleclaude.backup.restore --limit web1"
        " -e moodle_backup_name=school_20250131_201530 -e moodle_backup_root=/b",
        "",
        "1 backup on 1 host, 1.5 KiB on disk",
    ]


def test_what_is_bad_catches_the_eye():
    text = "\n".join(table(
        {"state": "damaged", "reason": "a.tar (damaged)", "verified": {
            "time": "x", "age": 60, "how": "in full", "ok": False, "problems": []}},
        {"newest": None, "states": {"damaged": 1}, "unfinished_restore": "one", "at_work": "backup 'two'", "outcomes": {
            "verify": {"ok": False, "age": 90, "message": "it is damaged", "time": "x", "seconds": 1}}}))
    for part in ("THERE IS NO GOOD ONE; 1 damaged", "A RESTORE FROM one DID NOT END", "at work right now: backup 'two'",
                 "last verify     FAILED  90 s ago: it is damaged", "a.tar (damaged)", "): DAMAGED"):
        assert part in text
    assert "ansible-playbook" not in text


def test_a_host_without_a_list_is_named():
    empty = dict(LISTED, exists=False, backups=[], stacks=[], count=0)
    lines = catalog_table(catalog_document({"web1": {"unreachable": True, "msg": "no route"}, "web2": empty}))
    assert lines == ["web1: UNREACHABLE: no route", "", "web2: no backups, there is no /b", "",
                     "0 backups on 1 host, 1.5 KiB on disk; NO LIST OF 1 HOST, see above"]


def test_what_belongs_to_no_stack_is_shown_below():
    foreign = dict(BACKUP, number=None, name="holiday", stack=None, state="foreign", reason="it is a file", setup=None)
    lines = catalog_table(catalog_document({"web1": dict(LISTED, backups=[BACKUP, foreign])}))
    below = lines[lines.index("  No stack is known of:"):]
    assert below[3].split()[:2] == ["-", "holiday"] and below[4].strip() == "it is a file"


@pytest.mark.parametrize("width", [10, 60, 80, 100, 200])
def test_only_commands_and_names_are_wider_than_the_terminal(width):
    name = "x" * 128
    lines = table({"name": name, "site": "A very long title of a site " * 10, "state": "incomplete",
                   "reason": "files are missing " * 20}, {"name": "short"}, width=width)
    lines += table({"copies": [{"name": "c", "kind": "k", "where": "w" * 30, "time": "x"}] * 9}, width=width)
    wide = [line for line in lines if len(line) > max(width, 105)]
    assert all("ansible-playbook" in line or name in line for line in wide)


def test_metadata_of_which_little_is_known_can_be_shown():
    text = "\n".join(table({
        "moodle": None, "site": None, "address": None, "database": None, "database_version": None, "size": None,
        "setup": {"kind": "containers", "project": None, "containers": None, "mode": None, "files": None}}))
    assert "       single containers\n       never verified\n" in text and " ? " in text
    assert "made while stopped" in "\n".join(table({"setup": dict(BACKUP["setup"], mode="stopped")}))


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (86400 * 2, "2 d"),
    (86400 * 59, "59 d"), (86400 * 60, "2 mo"), (86400 * 365 * 3, "3 y")])
def test_ages_are_short(seconds, text):
    assert human_age(seconds) == text


@pytest.mark.parametrize(("size", "text"), [
    (None, "?"), (0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 * 2 ** 40, "5.0 TiB"),
    (2 ** 60, "1048576.0 TiB")])
def test_sizes_are_short(size, text):
    assert human_size(size) == text


def test_the_filters_have_these_names():
    assert FilterModule().filters() == {"catalog_document": catalog_document, "catalog_table": catalog_table}
