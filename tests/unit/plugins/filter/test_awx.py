# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from lab import fake_awx_rules as rules

from ansible_collections.moodleclaude.backup.plugins.filter.awx import (
    FilterModule,
    awx_children_first,
    awx_credential_type,
    awx_inputs,
    awx_rrule,
    awx_same,
    awx_survey,
)

OPTIONS = {
    "moodle_backup_name": {"type": "str", "description": "Name of the backup, or V(latest).", "default": "latest"},
    "moodle_backup_setup_image": {"type": "str", "required": True, "description": ["See P(a.b.c#role).", "Or C(x)."]},
    "moodle_backup_images": {"type": "bool", "default": True, "description": "Whether."},
    "moodle_backup_mode": {"type": "str", "choices": ["hot", "stopped"], "default": "hot", "description": "How."},
    "moodle_backup_nice": {"type": "int", "default": 0, "description": "O(moodle_backup_mode) does not matter."},
    "moodle_backup_paths": {"type": "list", "elements": "path", "default": [], "description": "Which."},
    "moodle_backup_jobs": {"type": "list", "choices": ["a", "b", "c"], "default": ["a", "b"], "description": "Which."},
    "moodle_backup_settings": {"type": "dict", "default": {}, "description": "Which."},
    "moodle_backup_secret": {"type": "str", "no_log": True, "default": "x", "description": "Which."},
    "moodle_backup_address": {"type": "str", "default": "http://{{ host }}", "description": "Where."},
}


def question(entry):
    spec = awx_survey([entry], OPTIONS, "a survey")
    rules.check_survey(spec)
    return spec["spec"][0]


@pytest.mark.parametrize(("variable", "wanted"), [
    ("moodle_backup_name", {"type": "text", "required": False, "default": "latest", "question_name": "Name", "min": 0,
                            "max": 1024, "question_description": "Name of the backup, or latest."}),
    ("moodle_backup_setup_image", {"type": "text", "required": True, "question_name": "Image", "min": 1, "max": 1024,
                                   "question_description": "See a.b.c. Or x."}),
    ("moodle_backup_images", {"type": "multiplechoice", "choices": ["true", "false"], "default": "true"}),
    ("moodle_backup_mode", {"type": "multiplechoice", "choices": ["hot", "stopped"], "default": "hot"}),
    ("moodle_backup_nice", {"type": "integer", "default": 0, "min": 0,
                            "question_description": "moodle_backup_mode does not matter."}),
    ("moodle_backup_paths", {"type": "textarea", "min": 1, "max": 4096, "required": True, "default": "[]",
                             "question_description": "Which. One a line, or [] for none."}),
    ("moodle_backup_jobs", {"type": "multiselect", "choices": ["a", "b", "c"], "default": "a\nb"}),
    ("moodle_backup_settings", {"type": "textarea", "required": True, "default": "{}",
                                "question_description": 'Which. JSON, such as {"a": "b"}.'}),
    ("moodle_backup_secret", {"type": "password"}),
    ("moodle_backup_address", {"type": "text"}),
])
def test_a_question_is_what_the_option_is(variable, wanted):
    made = question(variable)
    assert {key: made.get(key) for key in wanted} == wanted and made["variable"] == variable
    assert ("default" in made) == ("default" in wanted)


def test_a_question_can_differ_from_the_option():
    made = question(
        {"variable": "moodle_backup_nice", "question": "How far", "max": 19, "default": 10, "required": True})
    assert (made["question_name"], made["max"], made["default"], made["required"]) == ("How far", 19, 10, True)
    made = question({"variable": "own", "question": "Which", "type": "multiplechoice", "choices": [1, 2], "default": 2})
    assert (made["choices"], made["default"], made["question_description"]) == (["1", "2"], "2", "")


@pytest.mark.parametrize(("entry", "problem"), [
    ("moodle_backup_nmae", "moodle_backup_nmae, which the role does not know"),
    ({"variable": "own", "question": "Which"}, "say type and question"),
    ({"variable": "moodle_backup_name", "requird": True}, "requird"),
    ({"question": "Which"}, "a question of a survey is a variable"),
    ({"variable": "moodle_backup_name", "type": "bool"}, "AWX knows text"),
])
def test_a_question_that_cannot_be_is_refused(entry, problem):
    with pytest.raises(AnsibleFilterError, match=problem):
        awx_survey([entry], OPTIONS)


def test_without_questions_there_is_no_survey():
    assert awx_survey([], OPTIONS, "name") == {}


def test_a_credential_type_sets_the_variables_of_its_fields():
    made = awx_credential_type([
        {"variable": "password", "label": "Password", "help": "Long."},
        {"variable": "account", "label": "Account", "secret": False, "required": False, "multiline": True},
    ])
    rules.check_credential_type(made["inputs"], made["injectors"])
    assert made == {
        "inputs": {"required": ["password"], "fields": [
            {"id": "password", "type": "string", "label": "Password", "secret": True, "help_text": "Long."},
            {"id": "account", "type": "string", "label": "Account", "secret": False, "multiline": True}]},
        "injectors": {"extra_vars": {"password": "{{ password }}", "account": "{{ account }}"}},
    }


@pytest.mark.parametrize("secret", ["", "pass", "0815", "12a", "1.2.3", "two words", "a: b", "- x", "{{ x }}", "$1"])
def test_a_secret_that_stays_text_is_taken(secret):
    assert awx_inputs({"password": secret}) == {"password": secret}


@pytest.mark.parametrize("secret", ["007", "12345", "1.0e+3", "0x1F", "1.5", "yes", "Off", "null", "~", "2024-01-31"])
def test_a_secret_that_jobs_would_get_altered_is_refused(secret):
    with pytest.raises(AnsibleFilterError, match="credential Copies: what is in password looks like") as caught:
        awx_inputs({"account": "x", "password": secret}, "Copies")
    assert secret not in str(caught.value)


@pytest.mark.parametrize(("wanted", "there", "same"), [
    ({"port": 25, "password": "x"}, {"port": 25, "password": "$encrypted$", "timeout": 30}, True),
    ({"port": 26, "password": "x"}, {"port": 25, "password": "$encrypted$"}, False),
    ({"password": "x"}, {"password": ""}, False),
    ({"password": ""}, {"password": "$encrypted$"}, False),
    ({"new": 1}, {}, False),
    ({}, {"port": 25}, True),
    ({"headers": {"a": "b"}}, {"headers": {"a": "c"}}, False),
    ({"recipients": ["a"]}, {"recipients": ["a"]}, True),
])
def test_what_awx_has_is_told_from_what_it_lacks(wanted, there, same):
    assert awx_same(wanted, there) is same


def test_nodes_come_after_those_that_follow_them():
    nodes = [{"name": "a", "success": ["b"], "failure": ["c"]}, {"name": "b", "always": ["c"]}, {"name": "c"}]
    assert [node["name"] for node in awx_children_first(nodes)] == ["c", "b", "a"]


@pytest.mark.parametrize(("nodes", "problem"), [
    ([{"name": "a", "success": ["b"]}], "daily: node a is followed by b, which there is not"),
    ([{"name": "a"}, {"name": "a"}], "two nodes have the same name"),
    ([{"name": "a", "success": ["b"]}, {"name": "b", "failure": ["a"]}], "a > b > a"),
])
def test_nodes_that_cannot_be_are_refused(nodes, problem):
    with pytest.raises(AnsibleFilterError, match=problem):
        awx_children_first(nodes, "daily")


@pytest.mark.parametrize(("schedule", "rule"), [
    ({"at": "02:00"}, "DTSTART;TZID=UTC:20240101T020000 RRULE:FREQ=DAILY;INTERVAL=1"),
    ({"at": "23:59", "timezone": "Europe/Vienna", "interval": 2},
     "DTSTART;TZID=Europe/Vienna:20240101T235900 RRULE:FREQ=DAILY;INTERVAL=2"),
    ({"at": "02:00", "weekdays": ["sun", "mon"]},
     "DTSTART;TZID=UTC:20240101T020000 RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,SU"),
    ({"at": "02:00", "every": "week"}, "DTSTART;TZID=UTC:20240101T020000 RRULE:FREQ=WEEKLY;INTERVAL=1"),
    ({"at": "02:00", "every": "month"}, "DTSTART;TZID=UTC:20240101T020000 RRULE:FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=1"),
    ({"at": "02:00", "every": "month", "month_day": 28},
     "DTSTART;TZID=UTC:20240101T020000 RRULE:FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=28"),
    ({"at": "00:15", "every": "hour", "interval": 6}, "DTSTART;TZID=UTC:20240101T001500 RRULE:FREQ=HOURLY;INTERVAL=6"),
    ({"rrule": "DTSTART:20240101T020000Z RRULE:FREQ=DAILY;INTERVAL=1"},
     "DTSTART:20240101T020000Z RRULE:FREQ=DAILY;INTERVAL=1"),
])
def test_a_schedule_becomes_a_rule_that_awx_takes(schedule, rule):
    assert awx_rrule(schedule) == rule
    rules.check_rrule(rule)


@pytest.mark.parametrize(("schedule", "problem"), [
    ({"name": "nightly"}, "schedule nightly: 'at' is ''"),
    ({"at": 7200}, "'at' is '7200'"),
    ({"at": "24:00"}, "time of day in quotes"),
    ({"at": "02:00", "timezone": "UTC RRULE"}, "'timezone' is"),
    ({"at": "02:00", "every": "year"}, "it may be hour, day, week, month"),
    ({"at": "02:00", "interval": -1}, "at least 1"),
    ({"at": "02:00", "weekdays": ["monday"]}, "they may be mon"),
    ({"at": "02:00", "every": "month", "weekdays": ["mon"]}, "not to every month"),
    ({"at": "02:00", "every": "month", "month_day": 31}, "1 to 28"),
    ({"at": "02:00", "month_day": 2}, "not to every day"),
])
def test_a_schedule_that_cannot_be_is_refused(schedule, problem):
    with pytest.raises(AnsibleFilterError, match=problem):
        awx_rrule(schedule)


def test_they_are_filters():
    assert sorted(FilterModule().filters()) == [
        "awx_children_first", "awx_credential_type", "awx_inputs", "awx_rrule", "awx_same", "awx_survey"]
