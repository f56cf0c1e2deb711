# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists and dictionaries as a form passes them: as text. The surveys of AWX know no other way."""
from __future__ import annotations

import re
from collections.abc import Mapping

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.validation import check_type_dict


def as_list(value):
    """Return as a list what is one already, or a text that holds one.

    :param value: list; or str, either in JSON or YAML within brackets, or with an item on each line or commas between.
    :returns: list; empty for None and for a text that holds nothing.
    :raises AnsibleFilterError: it is neither.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return _from_brackets(value) if value.lstrip().startswith("[") else [
            item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise AnsibleFilterError("%r is no list; write one item a line, or JSON such as [\"a\", \"b\"]" % (value,))


def _from_brackets(text):
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AnsibleFilterError("%r begins like a list and is none: %s" % (text, error)) from error
    if not isinstance(found, list):
        raise AnsibleFilterError("%r begins like a list and is none" % text)
    return found


def as_dict(value):
    """Return as a dict what is one already, or a text that holds one.

    :param value: dict; or str in JSON or as key=value with commas between, as Ansible takes it for options.
    :returns: dict; empty for None and for a text that holds nothing.
    :raises AnsibleFilterError: it is neither.
    """
    if value is None or isinstance(value, str) and not value.strip():
        return {}
    if isinstance(value, Mapping):
        return value
    try:
        return check_type_dict(value)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError("%r is no dictionary; write JSON such as {\"a\": 1}" % (value,)) from error


class FilterModule:
    def filters(self):
        return {"as_list": as_list, "as_dict": as_dict}
