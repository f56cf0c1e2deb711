# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of many backups, by SHA-256 and inode, without reading them; and what a mere look shows is wrong."""
from __future__ import annotations

import contextlib
import os
import stat

from . import _backup_set, _manifest, _verify
from ._errors import IntegrityError, NotFoundError


class Inventory:
    """The files of backups.

    files: {SHA-256 of the manifest: {inode: (bytes, [(name of the backup, path in it) ...])}}.
    problems: [{"backup", "path", "problem", "digest"} ...], what is missing, unknown, or damaged because it has another
        size; digest is the SHA-256 that it should have, or None.

    :param entries: list of dict, as _catalog gives them. A backup that is gone meanwhile is none.
    """

    def __init__(self, entries):
        self.files, self.problems = {}, []
        for entry in entries:
            if not entry["backup"]:
                self._note(entry["name"], "", entry["reason"])
                continue
            with contextlib.suppress(NotFoundError), _backup_set.reading(entry["path"]):
                try:
                    self._add(entry)
                except IntegrityError:
                    self._note(entry["name"], _manifest.FILENAME, "damaged")

    def _note(self, name, path, problem, digest=None):
        self.problems.append({"backup": name, "path": path, "problem": problem, "digest": digest})

    def _add(self, entry):
        name, folder = entry["name"], entry["path"]
        expected = _verify.expected_of(folder)
        sizes = {one["file"]: one.get("size") for one in entry["backup"].get("artefacts") or ()}
        found = _regular_files(folder)
        for path in sorted(found.keys() - expected.keys() - {_manifest.FILENAME}):
            self._note(name, path, "unknown")
        for path, digest in sorted(expected.items()):
            state = found.get(path)
            if state is None:
                self._note(name, path, "missing", digest)
            elif not stat.S_ISREG(state.st_mode) or state.st_size != (sizes.get(path) or state.st_size):
                self._note(name, path, "damaged", digest)
            if state is not None and stat.S_ISREG(state.st_mode):
                inodes = self.files.setdefault(digest, {})
                inodes.setdefault(state.st_ino, (state.st_size, []))[1].append((name, path))

    def sharing(self, inode):
        """Return the backups (list of (name, path)) that a file is part of."""
        return [user for inodes in self.files.values() for user in inodes.get(inode, (0, ()))[1]]


def _regular_files(folder):
    """Return the state of everything below a folder that is no folder (dict of relative path to os.stat_result)."""
    found = {}
    for base, folders, files in os.walk(folder):
        for entry in files + [one for one in folders if os.path.islink(os.path.join(base, one))]:
            path = os.path.join(base, entry)
            found[os.path.relpath(path, folder)] = os.lstat(path)
    return found
