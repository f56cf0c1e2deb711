# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for AWX refuses what AWX would refuse: else the tests that use it would prove nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from lab.fake_awx import FakeAwx


@pytest.fixture
def ask(tmp_path):
    """A function that sends a request and returns (status, what was answered)."""
    (tmp_path / "list.yml").write_text("- hosts: all\n")
    (tmp_path / "vars.yml").write_text("a: b\n")
    with FakeAwx(tmp_path, "token", "password") as fake:

        def send(method, path, data=None, token="token"):
            request = urllib.request.Request(
                "%s/api/v2/%s" % (fake.url, path), method=method,
                data=None if data is None else json.dumps(data).encode(),
                headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                return error.code, json.loads(error.read())

        send.awx = fake
        yield send


@pytest.fixture
def ids(ask):
    """IDs of what most things need."""
    organization = ask("POST", "organizations/", {"name": "o"})[1]["id"]
    project = {"name": "p", "organization": organization, "scm_type": "git", "scm_url": "x"}
    return {
        "organization": organization,
        "inventory": ask("POST", "inventories/", {"name": "i", "organization": organization})[1]["id"],
        "project": ask("POST", "projects/", project)[1]["id"],
    }


def template(ids, **more):
    return dict({"name": "t", "inventory": ids["inventory"], "project": ids["project"], "playbook": "list.yml"}, **more)


def test_only_who_has_the_token_gets_an_answer(ask):
    assert ask("GET", "organizations/", token="another")[0] == 401


@pytest.mark.parametrize(("path", "data", "field"), [
    ("organizations/", {"name": "x", "colour": "red"}, "colour"),
    ("organizations/", {"description": "x"}, "name"),
    ("organizations/", {"name": 7}, "name"),
    ("organizations/", {"name": ""}, "name"),
    ("organizations/", {"name": "x", "max_hosts": "3"}, "max_hosts"),
    ("organizations/", {"name": "x", "max_hosts": True}, "max_hosts"),
    ("organizations/", {"name": "x", "default_environment": 999}, "default_environment"),
    ("organizations/", {"name": "Default"}, "__all__"),
    ("credential_types/", {"name": "x", "kind": "mine"}, "kind"),
    ("credential_types/", {"name": "x", "kind": "cloud", "inputs": {"fields": [{"id": "a b", "label": ""}]}}, "inputs"),
    ("credential_types/", {"name": "x", "kind": "cloud", "injectors": {"extra_vars": {"a": "{{ b }}"}}}, "injectors"),
])
def test_what_is_not_right_is_refused(ask, path, data, field):
    status, answer = ask("POST", path, data)
    assert status == 400 and field in answer


@pytest.mark.parametrize(("more", "field"), [
    ({"playbook": "vars.yml"}, "playbook"),
    ({"playbook": "none.yml"}, "playbook"),
    ({"inventory": None}, "inventory"),
    ({"extra_vars": "[1]"}, "extra_vars"),
    ({"verbosity": 9}, "verbosity"),
    ({"ask_limit_on_launch": "true"}, "ask_limit_on_launch"),
])
def test_a_job_template_has_to_fit(ask, ids, more, field):
    status, answer = ask("POST", "job_templates/", template(ids, **more))
    assert status == 400 and field in answer
    assert ask("POST", "job_templates/", template(ids))[0] == 201


@pytest.mark.parametrize("question", [
    {"type": "bool"}, {"required": "true"}, {"type": "integer", "default": "3"}, {"min": "1"},
    {"type": "multiplechoice"}, {"type": "multiplechoice", "choices": ["a"], "default": "b"}, {"variable": "a-b"},
    {"question_name": ""}, {"help": "x"},
])
def test_a_survey_has_to_fit(ask, ids, question):
    made = ask("POST", "job_templates/", template(ids))[1]["related"]["survey_spec"].removeprefix("/api/v2/")
    right = {"question_name": "Which", "variable": "v", "type": "text", "required": False}
    spec = {"name": "", "description": "", "spec": [dict(right, **question)]}
    assert ask("POST", made, spec)[0] == 400
    assert ask("POST", made, {"name": "", "description": "", "spec": []})[0] == 400
    assert ask("POST", made, {"name": "", "description": "", "spec": [right, right]})[0] == 400
    assert ask("POST", made, dict(spec, spec=[right]))[0] == 200
    assert ask("GET", made)[1]["spec"] == [right]


@pytest.mark.parametrize("rule", [
    "", "RRULE:FREQ=DAILY;INTERVAL=1", "DTSTART:20240101T020000 RRULE:FREQ=DAILY;INTERVAL=1",
    "DTSTART:20240101T020000Z RRULE:FREQ=DAILY", "DTSTART;TZID=Mars/Base:20240101T020000 RRULE:FREQ=DAILY;INTERVAL=1",
    "DTSTART:20240101T020000Z RRULE:FREQ=SECONDLY;INTERVAL=1",
])
def test_a_schedule_has_to_fit(ask, ids, rule):
    number = ask("POST", "job_templates/", template(ids))[1]["id"]
    right = {"name": "s", "unified_job_template": number,
             "rrule": "DTSTART:20240101T020000Z RRULE:FREQ=DAILY;INTERVAL=1"}
    assert ask("POST", "schedules/", dict(right, rrule=rule))[0] == 400
    assert ask("POST", "schedules/", dict(right, extra_data={"a": 1}))[0] == 400  # nothing asks for it
    assert ask("POST", "schedules/", dict(right, limit="x"))[0] == 400
    assert ask("POST", "schedules/", right)[0] == 201


def test_secrets_are_not_shown_and_a_type_in_use_is_kept(ask, ids):
    inputs = {"fields": [{"id": "a", "label": "A", "secret": True}, {"id": "b", "label": "B"}], "required": ["a"]}
    kind = ask("POST", "credential_types/", {"name": "k", "kind": "cloud", "inputs": inputs})[1]["id"]
    right = {"name": "c", "organization": ids["organization"], "credential_type": kind, "inputs": {"a": "x", "b": "y"}}
    assert ask("POST", "credentials/", dict(right, inputs={"b": "y"}))[0] == 400
    assert ask("POST", "credentials/", dict(right, inputs={"a": "x", "c": "y"}))[0] == 400
    status, made = ask("POST", "credentials/", right)
    assert status == 201 and made["inputs"] == {"a": "$encrypted$", "b": "y"}
    address = "credentials/%d/" % made["id"]
    assert ask("PATCH", address, {"inputs": {"a": "$encrypted$", "b": "z"}})[0] == 200
    assert ask.awx.store["credentials"][made["id"]]["inputs"] == {"a": "x", "b": "z"}
    assert ask("DELETE", "credential_types/%d/" % kind)[0] == 403
    assert ask("PATCH", "credential_types/%d/" % kind, {"inputs": {}})[0] == 403
    assert ask("DELETE", address)[0] == 204 and ask("DELETE", "credential_types/%d/" % kind)[0] == 204


def test_nodes_cannot_go_in_a_circle(ask, ids):
    number = ask("POST", "job_templates/", template(ids))[1]["id"]
    workflow = ask("POST", "workflow_job_templates/", {"name": "w", "organization": ids["organization"]})[1]["id"]
    node = {"workflow_job_template": workflow, "unified_job_template": number}
    first, second = (ask("POST", "workflow_job_template_nodes/", dict(node, identifier=name))[1]["id"] for name in "ab")
    assert ask("POST", "workflow_job_template_nodes/%d/success_nodes/" % first, {"id": second})[0] == 204
    assert ask("POST", "workflow_job_template_nodes/%d/failure_nodes/" % first, {"id": second})[0] == 400
    assert ask("POST", "workflow_job_template_nodes/%d/always_nodes/" % second, {"id": first})[0] == 400
    assert ask("DELETE", "workflow_job_templates/%d/" % workflow)[0] == 204
    assert ask("GET", "workflow_job_template_nodes/")[1]["count"] == 0
