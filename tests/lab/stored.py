# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's stored files and their rows, changed by hand as Moodle does it: the file comes before its row, and goes after."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from .site import Site

_TIME = 1700000001  # of the rows that are made here
_INSERT = """INSERT INTO %sfiles (contenthash, pathnamehash, contextid, component, filearea, itemid, filepath, filename,
    filesize, timecreated, timemodified, referencefileid)
VALUES ('%s', '%s', 1, 'local_moodleclaude', 'files', 0, '/', '%s', %d, %d, %d, %s)"""


class StoredFiles:
    """Those of a site whose data is on a volume."""

    def __init__(self, site: Site):
        self._site = site
        self._data = Path(site.engine.volumes.get("%s-data" % site.name).attrs["Mountpoint"])

    def path(self, name: str, folder: str = "filedir") -> Path:
        """Return where the content of a SHA-1 is."""
        return self._data / folder / name[:2] / name[2:4] / name

    def row(self, name: str, size: int = 10, reference: str = "NULL", prefix: str = "mdl_") -> None:
        """Make a row that refers to a content."""
        where = hashlib.sha1(os.urandom(8)).hexdigest()
        self._site.sql(_INSERT % (prefix, name, where, where, size, _TIME, _TIME, reference))

    def put(self, content: bytes) -> str:
        """Store a content. Return its SHA-1."""
        name = hashlib.sha1(content).hexdigest()
        path, partial = self.path(name), self.path(name).with_suffix(".tmp")
        for folder in (path.parent.parent, path.parent):
            if not folder.exists():
                folder.mkdir()
                os.chown(folder, 33, 33)
                folder.chmod(0o2777)
        partial.write_bytes(content)
        os.chown(partial, 33, 33)
        partial.chmod(0o666)
        partial.rename(path)
        return name

    def upload(self, content: bytes = b"", prefix: str = "mdl_") -> str:
        """Store a content and its row, by default one that never was before. Return its SHA-1."""
        content = content or os.urandom(100)
        name = self.put(content)
        self.row(name, len(content), prefix=prefix)
        return name

    def delete(self, name: str) -> None:
        """Remove a file; its content goes to the trash."""
        self._site.sql("DELETE FROM mdl_files WHERE contenthash = '%s'" % name)
        self.path(name, "trashdir").parent.mkdir(parents=True, exist_ok=True)
        self.path(name).rename(self.path(name, "trashdir"))

    def purge(self) -> None:
        """Empty the trash."""
        for path in (self._data / "trashdir").iterdir():
            shutil.rmtree(path)

    def forget(self) -> None:
        """Remove the rows of all that was stored here."""
        self._site.sql("DELETE FROM mdl_files WHERE timecreated = %d" % _TIME)
