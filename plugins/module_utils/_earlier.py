# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What earlier backups of a stack hold that a new one may share instead of writing it again."""
from __future__ import annotations

import os

from . import _notes
from ._backup_set import complete
from ._pool import DamagedRecord

_BACKUPS = 10  # how many of the newest are looked at: a tree or image that changed back is worth a little search
_KEPT = ("role", "sha256", "size", "raw_size", "fingerprint", "files", "images", "tree")


def candidates(root, stack):
    """Return the archives of the newest backups of a stack, the newest first.

    One that is known to be damaged, or is not there with its size any more, is none. The damaged record knows archives
    by their SHA-256; if one of two files with the same content is bad, only the note of its backup says which.

    :param root: _backup_set.Root.
    :returns: list of dict with "path" (of the archive) and of the artefact role, sha256, size, raw_size and, where it
        has them, fingerprint, files, images, tree.
    """
    damaged = DamagedRecord(os.path.join(os.path.dirname(root.pool(stack)), "damaged.json")).read()["files"]
    found = []
    for backup in reversed([backup for backup in complete(root) if backup["stack"] == stack][-_BACKUPS:]):
        problems = (_notes.read(root, backup["name"]).get("verified") or {}).get("problems") or ()
        bad = {one["path"] for one in problems}
        for artefact in backup.get("artefacts") or []:
            path = os.path.join(backup["path"], artefact["file"])
            known = artefact["file"] in bad or artefact.get("sha256") in damaged
            if not known and _is_there(path, artefact.get("size")):
                found.append(dict({key: artefact[key] for key in _KEPT if key in artefact}, path=path))
    return found


def _is_there(path, size):
    try:
        return os.lstat(path).st_size == size
    except OSError:
        return False
