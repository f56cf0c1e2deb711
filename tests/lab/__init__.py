# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proofs of whole backups and restores share: sites to try them on, and means to compare them.

Nothing here uses the collection's own code, so that a mistake there cannot hide itself.
"""
