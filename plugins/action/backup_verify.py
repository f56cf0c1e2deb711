# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.moodleclaude.backup.plugins.plugin_utils._slots import SlotAction


class ActionModule(SlotAction):
    """The module, for which 'throttle' holds in any strategy."""
