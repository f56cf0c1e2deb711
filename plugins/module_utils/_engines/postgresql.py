# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PostgreSQL engine. Every engine offers these two functions; the modules know no more of a database system."""
from __future__ import annotations

from ._connection import OPTIONS, RULES, log_in
from ._dump import DUMP, dump
from ._restore import RESTORE, restore

__all__ = ["DUMP", "OPTIONS", "RESTORE", "RULES", "dump", "log_in", "restore"]
