# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be a job of side_by_side, each kind imported when it is used.

On the managed host Python compiles what a module imports anew each time, and a backup needs half of all this.
"""
from __future__ import annotations

import importlib

# Work that is long enough to be worth a process, and what has to come before or after such work: for the name of the
# module that would do it alone, where its Call is.
KINDS = {
    "container_export": ("_containers", "EXPORT"),
    "container_import": ("_container_import", "IMPORT"),
    "container_state": ("_container_state", "STATE"),
    "database_dump": ("_engines.postgresql", "DUMP"),
    "database_restore": ("_engines.postgresql", "RESTORE"),
    "filedir_archive": ("_filedir", "FILEDIR_ARCHIVE"),
    "filedir_restore": ("_filedir_restore", "FILEDIR_RESTORE"),
    "image_export": ("_images", "EXPORT"),
    "image_import": ("_images", "RESTORE"),
    "moodle_config": ("_config_php", "CONFIG"),
    "moodle_content_backup": ("_content", "CONTENT_BACKUP"),
    "moodle_site_check": ("_site_check", "SITE_CHECK"),
    "moodle_site_finish": ("_site_finish", "SITE_FINISH"),
    "restore_session": ("_restore_session", "SESSION"),
    "volume_archive": ("_tree", "ARCHIVE"),
    "volume_restore": ("_tree_restore", "RESTORE"),
}
# The options of all of them that are secret, and one that holds settings of which some may be (_secret_settings). They
# are hidden in any job, also where they are given by mistake.
SECRETS = frozenset(["password"])
SETTINGS = "settings"


def call_of(module):
    """Return the Call (_call.Call) of a module, named by a key of KINDS."""
    place, name = KINDS[module]
    return getattr(importlib.import_module("." + place, __package__), name)


def _packed():
    """Is never called: Ansible packs with a module whatever it sees imported, wherever that stands."""
    from . import (  # noqa: F401  pylint: disable=unused-import
        _config_php,
        _container_import,
        _container_state,
        _containers,
        _content,
        _filedir,
        _filedir_restore,
        _images,
        _restore_session,
        _site_check,
        _site_finish,
        _tree,
        _tree_restore,
    )
    from ._engines import postgresql  # noqa: F401  pylint: disable=unused-import
