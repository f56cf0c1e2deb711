# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the modules that Ansible has packed for the next run.

Ansible looks for everything that a module imports and packs it, once in a run of a playbook, and forgets it at the end.
That is a sixth of all processor time of a backup of a small site, and tests run the same modules hundreds of times.
What is packed is the same; it is kept for as long as no file of it has changed.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import ansible
from ansible import constants as C
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__

DOCUMENTATION = """
name: packed_modules
type: aggregate
short_description: Keeps the modules that Ansible has packed for the next run
description:
  - For tests only. Does nothing unless the environment variable E(MCB_PACKED_MODULES) names a folder.
"""


def state_of(folders):
    """Return a name (str) for the state of all Python files below folders (list of Path): where, when, how large."""
    installed = Path(ansible.__file__).parents[1]  # the collections that come with Ansible are there, too
    found = hashlib.sha256(("%s %s %d" % (installed, __version__, installed.stat().st_mtime_ns)).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            entry = path.stat()
            found.update(("%s %d %d\n" % (path, entry.st_mtime_ns, entry.st_size)).encode())
    return found.hexdigest()[:16]


def copy_new(source, target):
    """Copy the modules of a folder that the other does not have; nobody sees one that is not whole."""
    for path in source.glob("ansible*"):
        if path.suffix == ".lock" or path.name.startswith("ansible.legacy.") or (target / path.name).exists():
            continue
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=target)
        os.close(handle)
        shutil.copyfile(path, temporary)
        os.replace(temporary, target / path.name)


class CallbackModule(CallbackBase):
    """Fills Ansible's own cache of a run before it begins, and looks for what is new in it at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "packed_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        kept = os.environ.get("MCB_PACKED_MODULES")
        self.disabled = not kept
        if self.disabled:
            return
        plugins = [path for root in C.COLLECTIONS_PATHS for path in Path(root).glob("ansible_collections/*/*/plugins")]
        self._kept = Path(kept) / state_of(plugins)
        self._packed = Path(C.DEFAULT_LOCAL_TMP) / "ansiballz_cache"

    def v2_playbook_on_start(self, playbook):
        self._packed.mkdir(exist_ok=True)
        if self._kept.exists():
            copy_new(self._kept, self._packed)

    def v2_playbook_on_stats(self, stats):
        self._kept.mkdir(parents=True, exist_ok=True)
        copy_new(self._packed, self._kept)
