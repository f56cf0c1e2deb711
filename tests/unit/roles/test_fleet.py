# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs over several hosts as ansible-playbook ends them. The job is a clean-up, which needs no Docker engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Ansible calls it in place of ssh. It answers once, and then the host is away.
FAKE_SSH = """#!/bin/sh
if mkdir "$0.was_called"; then
    for last; do :; done
    exec sh -c "$last"
fi 2>/dev/null
echo "fake_ssh: connection reset by peer" >&2
exit 255
"""


@pytest.fixture
def fleet(tmp_path):
    """Returns a function that runs the playbook cleanup over good, bad and absent hosts; it gives status and report."""
    for stack in ("school", "college"):
        (tmp_path / "root" / "pools" / stack / "filedir").mkdir(parents=True, mode=0o700)
    (tmp_path / "file").write_text("no folder\n")
    common = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    good = dict(common, moodle_backup_root=str(tmp_path / "root"), moodle_backup_stack="school")
    bad = dict(common, moodle_backup_root=str(tmp_path / "file"), moodle_backup_stack="school")
    # Nobody listens there.
    absent = {"ansible_host": "127.0.0.1", "ansible_port": 1, "moodle_backup_stack": "school"}
    listed = dict(good, moodle_backup_stacks=[{"project": "school"}, {"container": "c", "stack": "college"}])
    del listed["moodle_backup_stack"]
    wrong = dict(listed, moodle_backup_stacks="x")
    fake = tmp_path / "fake_ssh"
    fake.write_text(FAKE_SSH)
    fake.chmod(0o755)
    cut_off = dict(good, ansible_connection="ssh", ansible_ssh_executable=str(fake))
    hosts = {"absent": absent, "bad": bad, "good": good, "listed": listed, "wrong": wrong, "cut_off": cut_off}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"moodle_backup_serial": 2}}}))

    def run(limit, *options):
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        words = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, "moodleclaude.backup.cleanup",
                 "--limit", limit, "-e", "moodle_backup_report_file=%s" % report, *options]
        environment = dict(os.environ, ANSIBLE_NOCOLOR="1", ANSIBLE_SHOW_CUSTOM_STATS="1",
                           ANSIBLE_LOCAL_TEMP=str(tmp_path / "tmp"), ANSIBLE_REMOTE_TEMP=str(tmp_path / "tmp"))
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert report.exists(), done.stdout + done.stderr
        return done, json.loads(report.read_text())

    return run


def states(report):
    return {(row["host"], row["stack"]): row["state"] for row in report["stacks"]}


def test_whatever_fails_all_others_are_worked_on_and_the_status_tells_that_some_failed(fleet):
    done, report = fleet("all")
    assert done.returncode == 2, done.stdout  # though Ansible itself has given a host up
    assert states(report) == {
        ("absent", ""): "unreachable", ("bad", "school"): "failed", ("good", "school"): "done",
        ("listed", "school"): "done", ("listed", "college"): "done", ("wrong", ""): "failed",
        ("cut_off", "school"): "unreachable"}
    assert done.stdout.count("PLAY [Remove old backups]") == 3  # moodle_backup_serial, from the inventory
    assert report["result"] == "some failed"
    said = " ".join(done.stdout.split()).replace('\\"', '"')
    assert said.count("cleanup on 6 hosts: 4 OF 7 STACKS FAILED") == 1
    assert '"moodle_backup_summary": { "cleanup": {' in said  # what AWX gets
    errors = {row["host"]: row["error"] for row in report["stacks"] if row["error"]}
    assert "refused" in errors["absent"]
    assert "moodle_backup_stacks is a text that is no JSON" in errors["wrong"]
    assert errors["cut_off"].startswith("The connection was lost while it was at work")
    for error in errors.values():
        assert said.count(error) >= 2  # in the table, and where the host fails


def test_all_good_ends_with_0_and_one_of_several_stacks_can_be_chosen(fleet):
    done, report = fleet("good,listed", "-e", "moodle_backup_serial=7", "-e", "moodle_backup_stack=school")
    assert done.returncode == 0, done.stdout
    assert report["result"] == "good"
    assert states(report) == {("good", "school"): "done", ("listed", "school"): "done"}
    assert done.stdout.count("PLAY [Remove old backups]") == 1


@pytest.mark.parametrize("value", ["", None])  # null is what a survey of AWX makes of an answer that is left empty
def test_an_empty_extra_variable_must_not_stand_for_the_stacks_own_setting(fleet, value):
    done, report = fleet("listed", "-e", json.dumps({"moodle_backup_stack": value}))
    assert done.returncode == 2, done.stdout
    (row,) = report["stacks"]
    assert row["error"].startswith("moodle_backup_stack is empty among the extra variables")


@pytest.mark.parametrize(("written", "problem"), [
    ("1_0", "moodle_backup_stack is 10, which is no text."),
    ("'1_0'", "There is nothing of a stack '1_0'"),
    ("!unsafe '\"1_0\"'", "There is nothing of a stack '1_0'"),  # an answer with quotes, as AWX writes it
])
def test_a_name_that_has_become_a_number_is_no_name(fleet, tmp_path, written, problem):
    (tmp_path / "answers.yml").write_text("moodle_backup_stack: %s\n" % written)
    _done, report = fleet("good", "-e", "@%s" % (tmp_path / "answers.yml"))
    (row,) = report["stacks"]
    assert problem in row["error"]


def test_all_of_several_failed_ends_with_4(fleet):
    done, report = fleet("absent,bad")
    assert done.returncode == 4, done.stdout
    assert report["result"] == "all failed"
    assert "NOTHING WAS DONE: all 2 failed" in done.stdout


# Ansible calls it in place of Python: it notes when each module runs, and makes it last.
SLOW_PYTHON = """#!/bin/sh
began=$(date +%%s.%%N)
sleep 0.7
%s "$@"
status=$?
echo "$began $(date +%%s.%%N)" >>"$0.times"
exit $status
"""


def test_a_throttle_holds_although_every_host_goes_its_own_way(tmp_path):
    slow = tmp_path / "slow_python"
    slow.write_text(SLOW_PYTHON % sys.executable)
    slow.chmod(0o755)
    host = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": str(slow),
            "moodle_backup_root": str(tmp_path / "root"), "moodle_backup_throttle": 1}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"a": host, "b": host, "c": host}}}))
    words = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, "moodleclaude.backup.verify"]
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          env=dict(os.environ, ANSIBLE_LOCAL_TEMP=str(tmp_path / "tmp")))
    times = sorted(tuple(map(float, line.split())) for line in Path("%s.times" % slow).read_text().splitlines())
    assert len(times) == 3, done.stdout + done.stderr
    assert times[0][1] <= times[1][0] and times[1][1] <= times[2][0], times
    assert not list((tmp_path / "tmp").iterdir())  # the slots are gone with the run
