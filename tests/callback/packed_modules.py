# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the modules that Ansible has packed for the next run.

Ansible looks for everything that a module imports and packs it, once in a run of a playbook, and forgets it at the end.
That is a sixth of all processor time of a backup of a small site, and tests run the same modules hundreds of times.
What is packed is kept for as long as no file of it has changed.

Each process of a module also compiles what it imports from its package, anew. The packages that are kept hold the
compiled form beside the source, for this version of Python; any other one compiles the source as ever.
"""
from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import os
import py_compile
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import ansible
from ansible import constants as C
from ansible.executor.module_common import _CachedModule
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
    known = (sys.version, installed, __version__, installed.stat().st_mtime_ns)
    found = hashlib.sha256(repr(known).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            entry = path.stat()
            found.update(("%s %d %d\n" % (path, entry.st_mtime_ns, entry.st_size)).encode())
    return found.hexdigest()[:16]


def copy_new(source, target, change=None):
    """Copy the modules of a folder that the other does not have; nobody sees one that is not whole.

    :param change: function that changes the copy at a Path before it is seen.
    """
    for path in source.glob("ansible*"):
        if path.suffix == ".lock" or path.name.startswith("ansible.legacy.") or (target / path.name).exists():
            continue
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=target)
        os.close(handle)
        shutil.copyfile(path, temporary)
        if change:
            change(Path(temporary))
        os.replace(temporary, target / path.name)


def compiled(source, name, folder):
    """Return the compiled form (bytes) of a module, to be loaded without a look at its source.

    :param source: bytes. :param name: str, where errors say that it is. :param folder: Path, for files in between.
    """
    path = folder / "source.py"
    path.write_bytes(source)
    made = py_compile.compile(str(path), cfile=str(folder / "made.pyc"), dfile=name, doraise=True,
                              invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return Path(made).read_bytes()


def add_compiled(path):
    """Put the compiled form of each file beside it into a package that Ansible has kept."""
    module = _CachedModule.load(str(path))
    package = io.BytesIO(base64.b64decode(module.zip_data))
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if name.endswith(".py"):
                archive.writestr(name + "c", compiled(archive.read(name), name, Path(folder)))
    dataclasses.replace(module, zip_data=base64.b64encode(package.getvalue())).dump(str(path))


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
        copy_new(self._packed, self._kept, add_compiled)
