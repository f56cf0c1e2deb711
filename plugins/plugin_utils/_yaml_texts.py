# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What YAML makes of a text that has no quotes."""
from __future__ import annotations

import yaml


def stays_text(value):
    """Tell whether YAML takes a text without quotes for the text that it is (bool), and for no number or the like."""
    loader = yaml.SafeLoader("")
    try:
        return loader.resolve(yaml.ScalarNode, str(value), (True, False)) == "tag:yaml.org,2002:str"
    finally:
        loader.dispose()
