# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists, dictionaries and texts as a form passes them: as text. The surveys of AWX know no other way."""
from __future__ import annotations

import datetime
import re
from collections.abc import Mapping

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.moodleclaude.backup.plugins.plugin_utils._yaml_texts import stays_text

_QUOTED = re.compile(r"""(["'])([^"']+)\1""")


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
        # All items are texts, whatever they look like.
        found = yaml.load(text, Loader=yaml.BaseLoader)
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
    except (TypeError, ValueError):
        # Settings may be passwords, so nothing is said that was given, nor why that cannot be read.
        kind = "another text" if isinstance(value, str) else "a %s" % type(value).__name__
        raise AnsibleFilterError("this is no dictionary but %s; write JSON such as {\"a\": 1}" % kind) from None


def as_text(value, variable):
    """Return a text as it was given. Refuse what has become something else on its way.

    YAML takes a text without quotes for what it looks like: 1.10 for the number 1.1, 1_0 for 10. From ansible-core 2.19
    on the same happens to all answers of a survey of AWX. Which text it was cannot be told then.

    :param value: str, also in quotes if it would be taken for something else without; or a date, which only one text
        can have become; or None, which an empty answer is. :param variable: str, its name, for the message.
    :raises AnsibleFilterError: anything else.
    """
    if isinstance(value, str):
        quoted = _QUOTED.fullmatch(value)
        return quoted.group(2) if quoted and not stays_text(quoted.group(2)) else value
    if value is None:
        return value
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    raise AnsibleFilterError(
        "%s is %r, which is no text. Without quotes 1.10 is read as the number 1.1, 1_0 as 10 and on as true, so what "
        "was meant cannot be told. Write it in quotes, \"1.10\", also in a survey of AWX; on the line of a host in an "
        "INI inventory in both kinds, '\"1.10\"'" % (variable, value))


class FilterModule:
    def filters(self):
        return {"as_list": as_list, "as_dict": as_dict, "as_text": as_text}
