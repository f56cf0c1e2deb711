# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore may legitimately change, each with its reason. Everything else has to come back as it was."""

from __future__ import annotations

import re

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
    "trashdir": "not in a backup, but for what its database refers to",
}


def stored_files_as_backed_up(tree: dict[str, dict]) -> dict[str, dict]:
    """Return the state of a data directory without what a pool does not keep: the times of stored files and of their
    folders, which Moodle does not look at, and folders that have become empty."""
    kept = {}
    holding = {path[:end] for path, state in tree.items() if state["type"] != "folder"
               for end in range(len(path)) if path[end] == "/"}
    for path, state in tree.items():
        if _STORED.match(path):
            if state["type"] == "folder" and path not in holding:
                continue
            state = {key: value for key, value in state.items() if key != "mtime"}
        kept[path] = state
    return kept


_STORED = re.compile("filedir/[0-9a-f]{2}(/|$)")
