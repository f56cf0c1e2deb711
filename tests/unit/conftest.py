# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of all unit tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is slow, not wrong; and two runs of the same tree must give the same result.
settings.register_profile("repository", deadline=None, derandomize=True, database=None)
settings.load_profile("repository")
