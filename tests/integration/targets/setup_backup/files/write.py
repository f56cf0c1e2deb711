# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the files of a small backup, and prints its artefacts as JSON.

Argument: JSON with name, folder (the partial one), pool, stack, blobs (texts), link (a backup whose image is shared).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

options = json.loads(sys.argv[1])
folder, pool = Path(options["folder"]), Path(options["pool"])
os.umask(0o077)
(folder / "database.dump").write_text(f"the database of {options['name']}")
if options["link"]:
    os.link(folder.parent / options["link"] / "image.tar", folder / "image.tar")
else:
    (folder / "image.tar").write_text("an image that backups share")
roles = {"database.dump": "database", "image.tar": "images"}
lines = []
for text in options["blobs"]:
    sha1 = hashlib.sha1(text.encode()).hexdigest()
    path = pool / sha1[:2] / sha1[2:4] / sha1
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o400)
    lines.append(f"{sha1}  ../../pools/{options['stack']}/filedir/{sha1[:2]}/{sha1[2:4]}/{sha1}\n")
if lines:
    (folder / "filedir.sha1").write_text("".join(sorted(lines)))
    roles["filedir.sha1"] = "filedir"
size = sum(map(len, options["blobs"]))
print(json.dumps([
    {"role": role, "file": name, "size": (folder / name).stat().st_size, "bytes": size, "server_version": "15.4",
     "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
    for name, role in roles.items()
]))
