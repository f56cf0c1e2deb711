# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""What the role awx ships: the example of its variables, and the project that AWX runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from lab import fake_awx_rules as rules
from lab.fake_awx import playbooks

from ansible_collections.moodleclaude.backup.plugins.filter.awx import awx_children_first, awx_rrule, awx_survey

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "roles/awx/files/project"
# What AWX itself is built with is no job in it.
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "awx")


def load(path: str) -> dict:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


EXAMPLE = load("roles/awx/files/awx.example.yml")
ROLES = load("roles/awx/vars/main.yml")["_moodle_backup_awx_roles"]
TEMPLATES = {template["name"]: template for template in EXAMPLE["moodle_backup_awx_job_templates"]}


def options_of(template: dict) -> dict:
    role, _slash, entry = ROLES[Path(template["playbook"]).stem].partition("/")
    return load("roles/%s/meta/argument_specs.yml" % role)["argument_specs"][entry or "main"]["options"]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_is_in_the_project(playbook):
    path = PROJECT / (playbook + ".yml")
    assert load(path)[0]["ansible.builtin.import_playbook"] == "moodleclaude.backup." + playbook


def test_every_playbook_has_a_job_template():
    started = {Path(template["playbook"]).stem for template in TEMPLATES.values()}
    assert started == {*PLAYBOOKS, "report_failure"} == set(ROLES)


def test_whoever_starts_a_playbook_is_asked():
    """All but an undo, about which there is nothing to say."""
    asking = {Path(template["playbook"]).stem for template in TEMPLATES.values() if template.get("survey")}
    assert asking == {*PLAYBOOKS} - {"rollback"}


def test_what_runs_by_itself_goes_by_the_inventory():
    """A default of a survey would win over what the inventory says of a host, such as how long its backups stay."""
    for workflow in EXAMPLE["moodle_backup_awx_workflows"]:
        for node in workflow["nodes"]:
            assert "survey" not in TEMPLATES[node["template"]]
    scheduled = [entry for entry in EXAMPLE["moodle_backup_awx_schedules"] if entry["template"] in TEMPLATES]
    for entry in scheduled:  # all that is asked is answered on purpose
        asked = {question["variable"] for question in TEMPLATES[entry["template"]]["survey"]}
        assert asked == set(entry["extra_vars"])
    assert TEMPLATES["Moodle backup, clean up by other rules"]["job_type"] == "check"


def test_only_playbooks_are_offered_as_such():
    assert playbooks(PROJECT) == sorted(name + ".yml" for name in [*PLAYBOOKS, "report_failure"])


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_survey_is_valid_and_its_defaults_are_answers(template):
    spec = awx_survey(template.get("survey", []), options_of(template), template["name"])
    if spec:
        rules.check_survey(spec)
        defaults = {question["variable"]: question["default"] for question in spec["spec"]
                    if "default" in question and question["type"] != "multiselect"}
        assert rules.answer_problems(spec, defaults, required=False) == []
        assert all(question["question_description"] for question in spec["spec"])


def test_every_secret_of_a_role_is_in_a_credential_and_not_in_a_survey():
    """Answers to a survey are kept with the job; a credential is kept by itself, and can be changed in one place."""
    secrets = {name for path in (ROOT / "roles").glob("*/meta/argument_specs.yml") if path.parts[-3] != "awx"
               for entry in yaml.safe_load(path.read_text())["argument_specs"].values()
               for name, option in entry["options"].items() if option.get("no_log")}
    fields = {field["variable"] for kind in EXAMPLE["moodle_backup_awx_credential_types"] for field in kind["fields"]}
    # What the jobs of a schedule on a host get besides is a dictionary of the inventory's.
    assert secrets - fields == {"moodle_backup_schedule_vars"}
    for template in TEMPLATES.values():
        asked = {entry if isinstance(entry, str) else entry["variable"] for entry in template.get("survey", [])}
        assert not asked & secrets


def test_the_inventory_takes_its_secrets_from_credentials():
    fields = {field["variable"] for kind in EXAMPLE["moodle_backup_awx_credential_types"] for field in kind["fields"]}
    used = set(re.findall(r"{{ (moodle_backup_\w+) }}", (PROJECT / "inventory/group_vars/all.yml").read_text()))
    assert used and used <= fields


def test_all_that_is_named_is_there():
    kinds = {kind["name"] for kind in EXAMPLE["moodle_backup_awx_credential_types"]} | {"Machine"}
    credentials = {one["name"] for one in EXAMPLE["moodle_backup_awx_credentials"]}
    notifications = {one["name"] for one in EXAMPLE["moodle_backup_awx_notifications"]}
    workflows = EXAMPLE["moodle_backup_awx_workflows"]
    assert {one["type"] for one in EXAMPLE["moodle_backup_awx_credentials"]} <= kinds
    for template in TEMPLATES.values():
        assert set(template["credentials"]) <= credentials
    for workflow in workflows:
        assert {node["template"] for node in workflow["nodes"]} <= set(TEMPLATES)
        assert set(workflow["notify"]["error"]) <= notifications
        awx_children_first(workflow["nodes"], workflow["name"])
    for schedule in EXAMPLE["moodle_backup_awx_schedules"]:
        assert schedule["template"] in {*TEMPLATES, *(workflow["name"] for workflow in workflows)}
        rules.check_rrule(awx_rrule(schedule))


def test_a_workflow_in_which_something_failed_fails():
    """AWX counts a failure with a way to go on as dealt with, so every such way has to end with a job that fails."""
    for workflow in EXAMPLE["moodle_backup_awx_workflows"]:
        nodes = {node["name"]: node for node in workflow["nodes"]}

        def ends(name, nodes=nodes):
            following = nodes[name].get("success", []) + nodes[name].get("always", [])
            return {end for child in following for end in ends(child)} or {name}

        for node in nodes.values():
            for child in node.get("failure", []):
                assert {nodes[end]["template"] for end in ends(child)} == {"Moodle backup, report a failure"}


def test_nothing_is_removed_after_a_failure():
    (workflow,) = EXAMPLE["moodle_backup_awx_workflows"]
    nodes = {node["name"]: node for node in workflow["nodes"]}
    pending, seen = [child for node in nodes.values() for child in node.get("failure", [])], set()
    while pending:
        name = pending.pop()
        seen.add(TEMPLATES[nodes[name]["template"]]["playbook"])
        pending += nodes[name].get("success", []) + nodes[name].get("failure", []) + nodes[name].get("always", [])
    assert seen == {"rollback.yml", "replicate.yml", "report_failure.yml"}
