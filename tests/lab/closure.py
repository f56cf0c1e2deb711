# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a backup holds the stored files that its own dump refers to, found out with standard tools alone."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from pathlib import Path


def needed(dump: Path, container: str, prefix: str = "mdl_") -> set[str]:
    """Return the SHA-1 of the files that a dump in PostgreSQL's custom format says the site itself has stored.

    :param container: a running container with pg_restore.
    """
    with subprocess.Popen(["zstd", "-dc", dump], stdout=subprocess.PIPE) as plain:
        listed = subprocess.run(
            ["docker", "exec", "-i", container, "pg_restore", "--data-only", "--table=%sfiles" % prefix, "-f", "-"],
            stdin=plain.stdout, check=True, capture_output=True, text=True).stdout
    lines = iter(listed.splitlines())
    head = next(line for line in lines if line.startswith("COPY ") and "%sfiles" % prefix in line)
    columns = [name.strip(' "') for name in head[head.index("(") + 1:head.rindex(")")].split(",")]
    found = set()
    for line in lines:
        if line == "\\.":
            return found
        row = dict(zip(columns, line.split("\t")))
        if int(row["filesize"]) > 0 and row["referencefileid"] == "\\N":
            found.add(row["contenthash"])
    raise AssertionError("the table %sfiles in %s has no end" % (prefix, dump))


def held(folder: Path) -> set[str]:
    """Return the SHA-1 of the stored files that a backup holds; fail if the content of one is not what its name says."""
    archives = [*folder.glob("filedir.tar*")]
    if archives:
        return _archived(archives[0])
    text = (folder / "filedir.sha1").read_text()
    if text:
        done = subprocess.run(["sha1sum", "--strict", "--quiet", "-c", "filedir.sha1"], cwd=folder, capture_output=True,
                              text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stdout + done.stderr
    return {line.partition(" ")[0] for line in text.splitlines()}


def _archived(archive: Path) -> set[str]:
    found = set()
    with subprocess.Popen(["zstd", "-dc", archive], stdout=subprocess.PIPE) as plain, \
            tarfile.open(fileobj=plain.stdout, mode="r|") as members:
        for member in members:
            if member.isreg():
                digest = hashlib.sha1(members.extractfile(member).read()).hexdigest()
                assert member.name == "%s/%s/%s" % (digest[:2], digest[2:4], digest), member.name
                found.add(digest)
    return found


def lacking(folder: Path, container: str, prefix: str = "mdl_") -> set[str]:
    """Return the SHA-1 of the files that the dump in a backup refers to and that are not in the backup."""
    wanted = needed(folder / "database.dump.zst", container, prefix)
    assert wanted, "the dump refers to no stored file, so there is nothing to prove"
    return wanted - held(folder)
