# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgAdmin's settings in the container: paths under the volume, and PGADMIN_CONFIG_<SETTING> from the environment."""

import ast
import os

SERVER_MODE = True
DATA_DIR = "/var/lib/pgadmin"
LOG_FILE = "/dev/null"
SQLITE_PATH = "/var/lib/pgadmin/pgadmin4.db"
SESSION_DB_PATH = "/var/lib/pgadmin/sessions"
STORAGE_DIR = "/var/lib/pgadmin/storage"
AZURE_CREDENTIAL_CACHE_DIR = "/var/lib/pgadmin/azurecredentialcache"
UPGRADE_CHECK_ENABLED = False

for _name, _value in os.environ.items():
    if _name.startswith("PGADMIN_CONFIG_"):
        globals()[_name.removeprefix("PGADMIN_CONFIG_")] = ast.literal_eval(_value)
