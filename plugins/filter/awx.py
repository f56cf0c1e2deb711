# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role awx writes short, as AWX wants it: surveys, credential types, schedules, the order of a workflow."""
from __future__ import annotations

import re
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.moodleclaude.backup.plugins.plugin_utils._yaml_texts import stays_text

_ENCRYPTED = "$encrypted$"  # what AWX shows in the place of a secret
_PREFIX = re.compile(r"^moodle_backup_(setup_|schedule_|restore_|repository_)?")
_MARKUP = re.compile(r"\b[BCEILOPUV]\(([^()]*)\)")
_LONGEST = 1024  # characters of an answer, as AWX's own form has it
_ENTRY = {"variable", "question", "description", "type", "required", "default", "choices", "min", "max"}
_TYPES = ("text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect")
_FREQUENCIES = {"hour": "HOURLY", "day": "DAILY", "week": "WEEKLY", "month": "MONTHLY"}
_WEEKDAYS = {"mon": "MO", "tue": "TU", "wed": "WE", "thu": "TH", "fri": "FR", "sat": "SA", "sun": "SU"}
# A schedule has to begin on some day. One that is always the same makes the second run change nothing; it is a Monday.
_FIRST_DAY = "20240101"


# --- surveys --------------------------------------------------------------------------------------------------------


def awx_survey(entries, options, name="", description=""):
    """Return the survey_spec (dict) of a job template; empty without questions.

    :param entries: list of str, the variables that are asked for, or dict with variable and what is to differ from
        what the options say: question, description, type, required, default, choices, min, max.
    :param options: dict, the options of a role as meta/argument_specs.yml has them.
    :param name: str. :param description: str, both of the survey.
    :raises AnsibleFilterError: a variable that no option documents and that says no type and question itself.
    """
    if not entries:
        return {}
    return {"name": name, "description": description, "spec": [_question(entry, options) for entry in entries]}


def _question(entry, options):
    entry = {"variable": entry} if isinstance(entry, str) else dict(entry)
    unknown = sorted(set(entry) - _ENTRY)
    if unknown or not entry.get("variable"):
        raise AnsibleFilterError("a question of a survey is a variable with %s, but there is %r" % (
            ", ".join(sorted(_ENTRY - {"variable"})), entry))
    option = options.get(entry["variable"])
    if option is None and not {"type", "question"} <= set(entry):
        raise AnsibleFilterError("the survey asks for %s, which the role does not know; correct the name, or say type "
                                 "and question" % entry["variable"])
    option = option or {}
    kind = entry.get("type") or _kind(option)
    if kind not in _TYPES:
        raise AnsibleFilterError("%s has the type %r; AWX knows %s" % (entry["variable"], kind, ", ".join(_TYPES)))
    question = {
        "variable": entry["variable"], "type": kind,
        "question_name": entry.get("question") or _title(entry["variable"]),
        "question_description": entry.get("description", _help(option, kind)),
        "required": bool(entry.get("required", option.get("required", _needs_text(option, kind)))),
    }
    question.update(_limits(kind, entry, question["required"]))
    if kind in ("multiplechoice", "multiselect"):
        question["choices"] = [str(choice) for choice in entry.get("choices") or option.get("choices") or _BOOL]
    default = _default(kind, entry["default"] if "default" in entry else option.get("default"))
    if default is None and _needs_text(option, kind):
        default = "{}" if option["type"] == "dict" else "[]"
    if default is not None:
        question["default"] = default
    return question


_BOOL = ["true", "false"]


def _needs_text(option, kind):
    """An answer that is left empty is null in a job, which is neither a list nor a dictionary."""
    return kind == "textarea" and option.get("type") in ("list", "dict")


def _kind(option):
    """Return the type of question (str) for an option of a role."""
    kind, choices = option.get("type", "str"), option.get("choices")
    if option.get("no_log"):
        return "password"
    if kind == "list":
        return "multiselect" if choices else "textarea"
    if kind == "bool" or choices:
        return "multiplechoice"
    return {"int": "integer", "float": "float", "dict": "textarea"}.get(kind, "text")


def _title(variable):
    """Return a variable's name as a person would write it (str)."""
    return _PREFIX.sub("", variable).replace("_", " ").capitalize()


def _help(option, kind):
    description = option.get("description") or []
    text = _MARKUP.sub(_unmarked, " ".join([description] if isinstance(description, str) else description))
    if kind == "textarea":
        text += ' JSON, such as {"a": "b"}.' if option.get("type") == "dict" else " One a line, or [] for none."
    return text.strip()


def _unmarked(match):
    """O(name=value), P(namespace.collection.role#role): what a person needs of it."""
    return match.group(1).partition("#")[0]


def _limits(kind, entry, required):
    if kind in ("text", "textarea", "password"):
        longest = _LONGEST * (4 if kind == "textarea" else 1)
        return {"min": entry.get("min", 1 if required else 0), "max": entry.get("max", longest)}
    if kind in ("integer", "float"):
        return {"min": entry.get("min", 0), "max": entry.get("max", 2147483647)}
    return {}


def _default(kind, value):
    """Return the default of a question as AWX takes it, or None for none."""
    # AWX passes answers as they are, so what is still a template here would stay one for ever.
    if value is None or value == "" or value == [] or value == {} or "{{" in str(value) or kind == "password":
        return None
    if kind in ("integer", "float"):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "\n".join(str(item) for item in value)
    return str(value)


# --- credentials and notifications ----------------------------------------------------------------------------------


def awx_credential_type(fields):
    """Return the inputs and injectors of a credential type that sets variables: {"inputs": dict, "injectors": dict}.

    :param fields: list of dict with variable, label, and if they matter help (str), secret (bool, true if it is not
        said), multiline, required (bool, true if it is not said).
    """
    inputs, required, variables = [], [], {}
    for field in fields:
        entry = {"id": field["variable"], "type": "string", "label": field["label"],
                 "secret": bool(field.get("secret", True))}
        if field.get("multiline"):
            entry["multiline"] = True
        if field.get("help"):
            entry["help_text"] = field["help"]
        inputs.append(entry)
        if field.get("required", True):
            required.append(field["variable"])
        variables[field["variable"]] = "{{ %s }}" % field["variable"]
    return {"inputs": {"fields": inputs, "required": required}, "injectors": {"extra_vars": variables}}


def awx_inputs(inputs, name=""):
    """Return the inputs of a credential (dict) whose fields become variables of jobs, as they are.

    AWX hands variables to Ansible as YAML, each text marked as unsafe; from 2.19 on, ansible-core takes such a text for
    what it would be without quotes. A password 007 would become the number 7.

    :param inputs: dict. :param name: str, of the credential, for the message.
    :raises AnsibleFilterError: an input that would not arrive as the text that it is.
    """
    altered = sorted(key for key, value in inputs.items() if value != "" and not stays_text(value))
    if altered:
        raise AnsibleFilterError(
            "credential %s: what is in %s looks like a number, a date, a truth value or nothing, so jobs would get it "
            "altered; choose another one" % (name, ", ".join(altered)))
    return inputs


def awx_same(wanted, there):
    """Tell whether AWX has already what is wanted (bool), as far as it shows it: any secret may be the right one.

    :param wanted: dict. :param there: dict, as AWX shows it; what it has filled in besides does not count.
    """
    if there == _ENCRYPTED and wanted not in (None, ""):
        return True
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return all(key in there and awx_same(value, there[key]) for key, value in wanted.items())
    return wanted == there


# --- workflows and schedules ----------------------------------------------------------------------------------------


def awx_children_first(nodes, workflow=""):
    """Return the nodes of a workflow, each after all that follow it (list of dict): they can be made in that order.

    :param nodes: list of dict with name, and success, failure, always (lists of names).
    :param workflow: str, its name, for the message.
    :raises AnsibleFilterError: a name that no node has or that two have, or nodes that follow each other in a circle.
    """
    by_name = {node["name"]: node for node in nodes}
    if len(by_name) != len(nodes):
        raise AnsibleFilterError("workflow %s: two nodes have the same name" % workflow)
    ordered = []
    for node in nodes:
        _visit(node["name"], by_name, ordered, (), workflow)
    return [by_name[name] for name in ordered]


def _visit(name, by_name, ordered, path, workflow):
    if name not in by_name:
        raise AnsibleFilterError("workflow %s: node %s is followed by %s, which there is not" % (
            workflow, path[-1], name))
    if name in path:
        raise AnsibleFilterError("workflow %s: nodes follow each other in a circle: %s" % (
            workflow, " > ".join([*path, name])))
    if name not in ordered:
        for kind in ("success", "failure", "always"):
            for child in by_name[name].get(kind) or ():
                _visit(child, by_name, ordered, (*path, name), workflow)
        ordered.append(name)


def awx_rrule(schedule):
    """Return when a schedule is due as AWX takes it (str).

    :param schedule: dict with rrule (str), which is taken as it is; or at (HH:MM), timezone ("UTC" if it is not said),
        every (hour, day, week, month; day if it is not said), interval (int), weekdays (list of mon to sun), month_day
        (1 to 28).
    :raises AnsibleFilterError: what cannot be.
    """
    if schedule.get("rrule"):
        return schedule["rrule"]
    at, timezone, every = str(schedule.get("at", "")), schedule.get("timezone") or "UTC", schedule.get("every") or "day"
    interval, weekdays = int(schedule.get("interval") or 1), schedule.get("weekdays") or []
    month_day = int(schedule.get("month_day") or 1)
    for valid, problem in (
        (re.match(r"([01][0-9]|2[0-3]):[0-5][0-9]$", at),
         "'at' is %r; it has to be a time of day in quotes, such as \"02:00\"" % at),
        (re.match(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$", timezone),
         "'timezone' is %r; write it as Europe/Vienna" % timezone),
        (every in _FREQUENCIES, "'every' is %r; it may be %s" % (every, ", ".join(_FREQUENCIES))),
        (interval >= 1, "'interval' is %d; it has to be at least 1" % interval),
        (set(weekdays) <= set(_WEEKDAYS), "'weekdays' is %s; they may be %s" % (weekdays, ", ".join(_WEEKDAYS))),
        (not weekdays or every in ("day", "week"), "'weekdays' belongs to every day or week, not to every %s" % every),
        (month_day in range(1, 29), "'month_day' is %d; it may be 1 to 28" % month_day),
        (every == "month" or not schedule.get("month_day"),
         "'month_day' belongs to every month, not to every %s" % every),
    ):
        if not valid:
            raise AnsibleFilterError("schedule %s: %s" % (schedule.get("name", ""), problem))
    rule = ["FREQ=" + ("WEEKLY" if weekdays else _FREQUENCIES[every]), "INTERVAL=%d" % interval]
    if weekdays:
        rule.append("BYDAY=" + ",".join(code for day, code in _WEEKDAYS.items() if day in weekdays))
    if every == "month":
        rule.append("BYMONTHDAY=%d" % month_day)
    return "DTSTART;TZID=%s:%sT%s00 RRULE:%s" % (timezone, _FIRST_DAY, at.replace(":", ""), ";".join(rule))


class FilterModule:
    def filters(self):
        return {
            "awx_survey": awx_survey, "awx_credential_type": awx_credential_type, "awx_inputs": awx_inputs,
            "awx_same": awx_same, "awx_children_first": awx_children_first, "awx_rrule": awx_rrule,
        }
