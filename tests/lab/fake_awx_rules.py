# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in for AWX accepts: the fields of AWX 24.6's API, and the rules that AWX has for what is in them.

Stricter than AWX in one point: AWX ignores a field that it does not know, here that is an error.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from dataclasses import dataclass
from typing import Any

import yaml

ENCRYPTED = "$encrypted$"


class Refused(Exception):
    """A request that AWX answers with an error. :param body: what it says. :param status: of HTTP."""

    def __init__(self, body: Any, status: int = 400):
        super().__init__("%d: %s" % (status, body))
        self.body, self.status = body, status


@dataclass(frozen=True)
class Field:
    """A field of an object: its type, or the endpoint (ref) whose object's ID it holds."""

    kind: type = str
    required: bool = False
    default: Any = None
    choices: tuple = ()
    ref: str = ""
    ignored: bool = False  # read-only in AWX, which does not mind being sent it

    def check(self, value: Any) -> Any:
        """Return the value as it is stored. Raise ValueError with what AWX says."""
        if value is None or (value == "" and self.ref):
            if self.required:
                raise ValueError("This field may not be null.")
            return None if self.ref else self.default
        kind = int if self.ref else self.kind
        if not is_exactly(value, kind):
            raise ValueError("Incorrect type. Expected %s, received %s." % (kind.__name__, type(value).__name__))
        if self.required and value == "":
            raise ValueError("This field may not be blank.")
        if self.choices and value not in self.choices:
            raise ValueError('"%s" is not a valid choice.' % value)
        return value


def is_exactly(value: object, kind: type) -> bool:
    """Whether a value is of a type and of none that is made of it: True is no number."""
    return value.__class__ is kind


def text(**more: Any) -> Field:
    return Field(**{"default": "", **more})


def number(default: int = 0, **more: Any) -> Field:
    return Field(int, default=default, **more)


def flag(default: bool = False) -> Field:
    return Field(bool, default=default)


def ref(endpoint: str, required: bool = False) -> Field:
    return Field(ref=endpoint, required=required)


IGNORED = Field(ignored=True)
NAMED = {"name": Field(required=True), "description": text()}
_JOB_TYPE = ("run", "check")
_PROMPTS = {  # of a schedule and of a node: what it answers in the place of a person
    "extra_data": Field(dict, default={}), "inventory": ref("inventories"), "scm_branch": Field(), "job_type": Field(choices=_JOB_TYPE),
    "job_tags": Field(), "skip_tags": Field(), "limit": Field(), "diff_mode": Field(bool), "verbosity": Field(int),
    "execution_environment": ref("execution_environments"), "forks": Field(int), "job_slice_count": Field(int), "timeout": Field(int),
}
_ASK = ("scm_branch", "diff_mode", "variables", "limit", "tags", "skip_tags", "job_type", "verbosity", "inventory", "credential",
        "execution_environment", "labels", "forks", "job_slice_count", "timeout", "instance_groups")
FIELDS: dict[str, dict[str, Field]] = {
    "organizations": dict(NAMED, max_hosts=number(), custom_virtualenv=Field(), default_environment=ref("execution_environments")),
    "execution_environments": dict(
        NAMED, organization=ref("organizations"), image=Field(required=True), credential=ref("credentials"),
        pull=text(choices=("", "always", "missing", "never"))),
    "credential_types": dict(
        NAMED, kind=Field(required=True, choices=("net", "cloud")), inputs=Field(dict, default={}), injectors=Field(dict, default={}),
        managed=IGNORED),
    "credentials": dict(
        NAMED, organization=ref("organizations"), credential_type=ref("credential_types", True), inputs=Field(dict, default={}),
        user=ref("users"), team=ref("teams")),
    "projects": dict(
        NAMED, organization=ref("organizations"), local_path=text(), scm_type=text(choices=("", "git", "svn", "insights", "archive")),
        scm_url=text(), scm_branch=text(), scm_refspec=text(), scm_clean=flag(), scm_track_submodules=flag(),
        scm_delete_on_update=flag(), credential=ref("credentials"), timeout=number(), scm_update_on_launch=flag(),
        scm_update_cache_timeout=number(), allow_override=flag(), default_environment=ref("execution_environments"),
        signature_validation_credential=ref("credentials")),
    "inventories": dict(
        NAMED, organization=ref("organizations", True), kind=text(choices=("", "smart", "constructed")), host_filter=Field(),
        variables=text(), prevent_instance_group_fallback=flag()),
    "inventory_sources": dict(
        NAMED, inventory=ref("inventories", True), source=Field(required=True, choices=("scm", "ec2", "gce", "controller")),
        source_path=text(), source_vars=text(), scm_branch=text(), credential=ref("credentials"), enabled_var=text(),
        enabled_value=text(), host_filter=text(), overwrite=flag(), overwrite_vars=flag(), timeout=number(), verbosity=number(1),
        limit=text(), execution_environment=ref("execution_environments"), update_on_launch=flag(), update_cache_timeout=number(),
        source_project=ref("projects")),
    "notification_templates": dict(
        NAMED, organization=ref("organizations", True), notification_configuration=Field(dict, required=True),
        notification_type=Field(required=True, choices=("email", "slack", "webhook")), messages=Field(dict)),
    "job_templates": dict(
        NAMED, job_type=text(default="run", choices=_JOB_TYPE), inventory=ref("inventories"), project=ref("projects", True),
        playbook=Field(required=True), scm_branch=text(), forks=number(), limit=text(), verbosity=number(choices=(0, 1, 2, 3, 4, 5)),
        extra_vars=text(), job_tags=text(), force_handlers=flag(), skip_tags=text(), start_at_task=text(), timeout=number(),
        use_fact_cache=flag(), organization=IGNORED, execution_environment=ref("execution_environments"), host_config_key=text(),
        survey_enabled=flag(), become_enabled=flag(), diff_mode=flag(), allow_simultaneous=flag(), job_slice_count=number(1),
        webhook_service=text(choices=("", "github", "gitlab")), webhook_credential=ref("credentials"),
        prevent_instance_group_fallback=flag(), **{"ask_%s_on_launch" % word: flag() for word in _ASK}),
    "workflow_job_templates": dict(
        NAMED, organization=ref("organizations"), extra_vars=text(), survey_enabled=flag(), allow_simultaneous=flag(),
        inventory=ref("inventories"), limit=Field(), scm_branch=Field(), webhook_service=text(choices=("", "github", "gitlab")),
        webhook_credential=ref("credentials"), job_tags=Field(), skip_tags=Field(),
        **{"ask_%s_on_launch" % word: flag() for word in ("variables", "inventory", "scm_branch", "limit", "labels", "tags", "skip_tags")}),
    "workflow_job_template_nodes": dict(
        _PROMPTS, workflow_job_template=ref("workflow_job_templates", True), unified_job_template=ref("unified_job_templates"),
        all_parents_must_converge=flag(), identifier=Field(required=True), type=IGNORED),
    "schedules": dict(
        _PROMPTS, name=Field(required=True), description=text(), rrule=Field(required=True), enabled=flag(True),
        unified_job_template=ref("unified_job_templates", True)),
}
# What must not be there twice.
UNIQUE = {
    "organizations": ("name",), "execution_environments": ("name",), "credential_types": ("name", "kind"),
    "credentials": ("name", "organization", "credential_type"), "projects": ("name", "organization"),
    "inventories": ("name", "organization"), "inventory_sources": ("name", "inventory"),
    "notification_templates": ("name", "organization"), "job_templates": ("name", "organization"),
    "workflow_job_templates": ("name", "organization"), "workflow_job_template_nodes": ("identifier", "workflow_job_template"),
    "schedules": ("name", "unified_job_template"),
}
_NOTIFY = {"notification_templates_%s" % when: "notification_templates" for when in ("started", "success", "error")}
# What can be attached to what, and is a list at an address of its own.
LISTS: dict[str, dict[str, str]] = {
    "organizations": dict(_NOTIFY, notification_templates_approvals="notification_templates", galaxy_credentials="credentials",
                          instance_groups="instance_groups"),
    "projects": _NOTIFY, "inventory_sources": _NOTIFY, "inventories": {"instance_groups": "instance_groups"},
    "job_templates": dict(_NOTIFY, credentials="credentials", labels="labels", instance_groups="instance_groups"),
    "workflow_job_templates": dict(_NOTIFY, notification_templates_approvals="notification_templates", labels="labels"),
    "workflow_job_template_nodes": {
        **dict.fromkeys(("success_nodes", "failure_nodes", "always_nodes"), "workflow_job_template_nodes"),
        "credentials": "credentials", "labels": "labels", "instance_groups": "instance_groups"},
    "schedules": {"credentials": "credentials", "labels": "labels", "instance_groups": "instance_groups"},
}


def checked(endpoint: str, data: dict, creating: bool) -> dict:
    """Return the fields of a request as they are stored. Raise Refused."""
    fields, problems, stored = FIELDS[endpoint], {}, {}
    for name, value in data.items():
        if name not in fields:
            problems[name] = ["AWX knows no such field (and would ignore it)."]
        elif not fields[name].ignored:
            try:
                stored[name] = fields[name].check(value)
            except ValueError as error:
                problems[name] = [str(error)]
    if creating:
        for name, field in fields.items():
            if name not in stored and name not in problems and not field.ignored:
                if field.required:
                    problems[name] = ["This field is required."]
                stored[name] = field.default
    if problems:
        raise Refused(problems)
    return stored


# --- surveys --------------------------------------------------------------------------------------------------------

_QUESTIONS = {"text": str, "textarea": str, "password": str, "multiplechoice": str, "multiselect": str, "integer": int, "float": float}
_QUESTION_KEYS = {"type", "question_name", "question_description", "variable", "required", "min", "max", "default", "choices", "new_question"}


def check_survey(spec: Any) -> None:
    """Raise Refused unless it is what AWX takes as survey_spec."""
    for name, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec, dict) or not isinstance(spec.get(name), kind):
            raise Refused({"error": "Field '%s' is missing from survey spec, or of the wrong type." % name})
    if not spec["spec"]:
        raise Refused({"error": "'spec' doesn't contain any items."})
    if set(spec) - {"name", "description", "spec"}:
        raise Refused({"error": "A survey has no %s." % ", ".join(set(spec) - {"name", "description", "spec"})})
    seen: set[str] = set()
    for number_, question in enumerate(spec["spec"]):
        problem = _question_problem(question, seen)
        if problem:
            raise Refused({"error": "Survey question %d: %s" % (number_, problem)})


def _question_problem(question: Any, seen: set[str]) -> str | None:
    if not isinstance(question, dict):
        return "is not a json object."
    for name, kind in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
        if not isinstance(question.get(name), kind):
            return "'%s' is missing or of the wrong type." % name
    if set(question) - _QUESTION_KEYS:
        return "has no %s." % ", ".join(sorted(set(question) - _QUESTION_KEYS))
    if not question["question_name"]:
        return "has no text."
    if question["variable"] in seen or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", question["variable"]):
        return "'variable' '%s' duplicated, or no name of a variable." % question["variable"]
    seen.add(question["variable"])
    kind, default, choices = question["type"], question.get("default", ""), question.get("choices")
    if kind not in _QUESTIONS:
        return "'%s' is not one of the allowed question types." % kind
    if default != "" and not is_exactly(default, _QUESTIONS[kind]):
        return "Default value %r expected to be %s." % (default, _QUESTIONS[kind].__name__)
    if any(question.get(limit) is not None and not is_exactly(question[limit], int) for limit in ("min", "max")):
        return "The min or max limit expected to be integer."
    if kind in ("multiplechoice", "multiselect"):
        if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
            return "of type %s must specify choices." % kind
        if kind == "multiplechoice" and len(default.splitlines()) > 1:
            return "Multiple Choice (Single Select) can only have one default value."
        if any(item not in choices for item in default.splitlines()):
            return "Default choice must be answered from the choices listed."
    return None


def answer_problems(spec: dict, answers: dict, required: bool = True) -> list[str]:
    """Return what AWX says against answers to a survey (list of str)."""
    return [problem for question in spec.get("spec", []) for problem in _answer_problems(question, answers, required)]


def _answer_problems(question: dict, answers: dict, required: bool):
    name, kind = question["variable"], question["type"]
    if name not in answers:
        if question["required"] and required:
            yield "'%s' value missing" % name
        return
    value = answers[name]
    wanted = {"integer": int, "float": float, "multiselect": list}.get(kind, str)
    if not is_exactly(value, wanted):
        yield "Value %r for '%s' expected to be %s." % (value, name, wanted.__name__)
        return
    size = value if kind in ("integer", "float") else len(value)
    if question.get("min") not in ("", None) and size < question["min"]:
        yield "'%s' value %s is too small (must be at least %s)." % (name, value, question["min"])
    if question.get("max") not in ("", None) and size > question["max"]:
        yield "'%s' value %s is too large (must be no more than %s)." % (name, value, question["max"])
    for item in value if kind == "multiselect" else [value] if kind == "multiplechoice" else []:
        if item not in question["choices"]:
            yield "Value %s for '%s' expected to be one of %s." % (item, name, question["choices"])


# --- credentials, notifications, schedules --------------------------------------------------------------------------


def check_credential_type(inputs: dict, injectors: dict) -> None:
    """Raise Refused unless these are inputs and injectors of a credential type."""
    ids = []
    if set(inputs) - {"fields", "required"} or set(injectors) - {"file", "env", "extra_vars"}:
        raise Refused({"inputs": ["Schema validation error."]})
    for field in inputs.get("fields", []):
        unknown = set(field) - {"id", "type", "label", "secret", "multiline", "help_text", "choices", "format", "default", "ask_at_runtime"}
        if unknown or not isinstance(field.get("label"), str) or not re.fullmatch(r"[a-zA-Z_]+[a-zA-Z0-9_]*", field.get("id", "")):
            raise Refused({"inputs": ["Schema validation error: %r" % field]})
        if field.get("type", "string") not in ("string", "boolean") or field["id"] == "tower":
            raise Refused({"inputs": ["Schema validation error: %r" % field]})
        ids.append(field["id"])
    if len(set(ids)) != len(ids):
        raise Refused({"inputs": ["field IDs must be unique"]})
    if set(inputs.get("required", [])) - set(ids):
        raise Refused({"inputs": ["a field is required that there is not"]})
    for name, template in injectors.get("extra_vars", {}).items():
        used = re.findall(r"{{ *([a-zA-Z0-9_.]+) *}}", template)
        if not re.fullmatch(r"[a-zA-Z_]+[a-zA-Z0-9_]*", name) or not used:
            raise Refused({"injectors": ["Schema validation error: %s" % name]})
        if set(used) - set(ids):
            raise Refused({"injectors": ["%s uses an undefined field (%s)" % (name, ", ".join(used))]})


def check_inputs(credential_type: dict, inputs: dict) -> None:
    """Raise Refused unless these are inputs of a credential of that type."""
    fields = {field["id"]: field for field in credential_type["inputs"].get("fields", [])}
    for name, value in inputs.items():
        if name not in fields:
            raise Refused({"inputs": {name: ["is no field of the type %s" % credential_type["name"]]}})
        if not is_exactly(value, {"string": str, "boolean": bool}[fields[name].get("type", "string")]):
            raise Refused({"inputs": {name: ["%r is not of the right type" % type(value).__name__]}})
    for name in credential_type["inputs"].get("required", []):
        if not inputs.get(name):
            raise Refused({"inputs": {name: ["required for %s" % credential_type["name"]]}})


def secret_inputs(credential_type: dict) -> set[str]:
    return {field["id"] for field in credential_type["inputs"].get("fields", []) if field.get("secret")}


# What each kind of notification needs: (type, default; without one it has to be given).
_EMAIL = {"host": (str,), "port": (int,), "username": (str,), "password": (str,), "use_tls": (bool,), "use_ssl": (bool,),
          "sender": (str,), "recipients": (list,), "timeout": (int, 30)}
_CONFIGURATIONS = {
    "email": _EMAIL,
    "slack": {"token": (str,), "channels": (list,), "hex_color": (str, "")},
    "webhook": {"url": (str,), "http_method": (str, "POST"), "disable_ssl_verification": (bool, False), "username": (str, ""),
                "password": (str, ""), "headers": (dict,)},
}
SECRET_CONFIGURATION = {"password", "token"}


def check_notification(kind: str, configuration: dict) -> dict:
    """Return a notification's configuration with AWX's defaults. Raise Refused."""
    wanted = _CONFIGURATIONS[kind]
    missing = [name for name, entry in wanted.items() if name not in configuration and len(entry) == 1]
    if missing:
        raise Refused({"notification_configuration": ["Missing required fields for Notification Configuration: %s." % missing]})
    for name, value in configuration.items():
        if name not in wanted or not is_exactly(value, wanted[name][0]):
            raise Refused({"notification_configuration": ["Configuration field '%s' incorrect type or unknown." % name]})
    return dict({name: entry[1] for name, entry in wanted.items() if len(entry) == 2}, **configuration)


def check_rrule(rule: str) -> None:
    """Raise Refused unless AWX takes the rule of recurrence."""
    starts = re.findall(r"(DTSTART(;[^:]+)?:[0-9]+T[0-9]+Z?)", rule)
    rules = re.findall(r"RULE:[^\s]*", rule)
    problems = []
    if len(starts) != 1:
        problems.append("Valid DTSTART required in rrule, once.")
    if re.search(r"DTSTART:[0-9]+T[0-9]+ ", rule):
        problems.append("DTSTART cannot be a naive datetime.")
    if not rules or "exdate:" in rule.lower() or "rdate:" in rule.lower():
        problems.append("One or more rule required in rrule.")
    for one in rules:
        parts = dict(part.split("=", 1) for part in one.partition(":")[2].split(";"))
        if "INTERVAL" not in parts or parts.get("FREQ") not in ("MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
            problems.append("INTERVAL required in rrule, SECONDLY is not supported: %s" % one)
        if re.search(r"BYDAY[:=][0-9]+[a-zA-Z]{2}", one) or ("COUNT" in parts and "UNTIL" in parts) or int(parts.get("COUNT", 0)) > 999:
            problems.append("not supported: %s" % one)
    zone = re.search(r"TZID=([^:]+):", rule)
    if zone and zone.group(1) not in zoneinfo.available_timezones():
        problems.append("%s is no time zone" % zone.group(1))
    if problems:
        raise Refused({"rrule": problems})


def check_variables(value: str) -> None:
    """Raise Refused unless a text is a dictionary in JSON or YAML, or nothing."""
    if value and not isinstance(yaml.safe_load(value), dict):
        raise Refused({"extra_vars": ["Cannot parse as JSON or YAML."]})


def variables(value: str) -> dict:
    return json.loads(value) if value else {}
