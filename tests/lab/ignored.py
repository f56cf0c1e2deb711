# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore may legitimately change, each with its reason. Everything else has to come back as it was."""

from __future__ import annotations

# Tables (without prefix): neither their rows nor their sequence count.
TABLES = {
    "sessions": "a restore ends all sessions, and fetching the login page begins one",
}

# Rows of the table config.
SETTINGS = {
    "jsrev": "purge_caches.php counts it up",
    "langrev": "purge_caches.php counts it up",
    "templaterev": "purge_caches.php counts it up",
    "themerev": "purge_caches.php counts it up",
    "localcachedirpurged": "purge_caches.php writes the time",
    "scheduledtaskreset": "purge_caches.php writes the time",
}

# Columns: (table, column).
COLUMNS = {
    ("course", "cacherev"): "purge_caches.php counts it up",
}

# Folders of the data directory: what is in them, and their own time.
FOLDERS = {
    "cache": "purge_caches.php empties it and Moodle fills it again",
    "localcache": "not in a backup, Moodle makes it anew",
    "temp": "not in a backup, Moodle makes it anew",
    "sessions": "not in a backup, a restore ends all sessions",
    "lock": "not in a backup, Moodle makes it anew",
}
