# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes variables to a file in which Ansible finds no templates, whatever is in them."""
from __future__ import annotations

import json
import re

import yaml

_TEMPLATE = re.compile(r"[{][{%#]")  # how templates begin, whatever follows


class _Dumper(yaml.SafeDumper):
    """Writes texts that look like templates as Ansible has to read them."""

    def ignore_aliases(self, data):
        """Write everything in full: those who look into the file need not know what an alias is."""
        return True


def _text(dumper, value):
    return dumper.represent_scalar("!unsafe" if _TEMPLATE.search(value) else "tag:yaml.org,2002:str", value, style='"')


_Dumper.add_representer(str, _text)


def literal_yaml(document):
    """Return YAML (str) in which each text that looks like a template has the tag !unsafe.

    :param document: str, JSON, for in that no type of Ansible's own is left.
    """
    return yaml.dump(json.loads(document), Dumper=_Dumper, allow_unicode=True, default_flow_style=False, width=120)


class FilterModule:
    def filters(self):
        return {"literal_yaml": literal_yaml}
