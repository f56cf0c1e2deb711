# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Where the backups are.
    DOCUMENTATION = r"""
options:
  root:
    description:
      - Folder on the Docker host that holds all backups, in C(backups/<name>/) below it.
    type: path
    required: true
"""
