# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the cost of knowing what backups need, and of cleaning up, grows: one JSON line for each number of files.

    python benchmarks/catalog_growth.py [--folder /var/tmp] [--backups 1000] [--lists 20] [NUMBER ...]

Seconds (wall and CPU) and the peak memory of these steps, each in a process of its own, with so many backups that need
the same NUMBER of stored files but for a few, in so many different lists:

    first    what the backups need, nothing being known
    again    the same with nothing new
    one_more the same after one more backup with a list of its own
    survey   looking at all backups, as every listing does
    list     what the module backup_info does
    check    a clean-up in check mode that would remove half of the backups
    prune    that clean-up
    idle     a clean-up with nothing to do

The blobs are tiny, so what is measured is the cost of their number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = [62_500, 125_000, 250_000, 500_000]
STACK = "school"
_ROOT = Path(__file__).resolve().parents[1]
_PREFIX = f"../../pools/{STACK}/filedir/"
_FILES = 15  # archives of a backup, which it shares with all others
_NEW = 100  # blobs of a list that the list before has not, and the other way round


class Tree:
    """A root with backups in it. :param number: how many blobs each of them needs."""

    def __init__(self, folder: Path, number: int):
        self.root, self.number = folder / f"root{number}", number
        self.made = self.stored = 0
        self.blobs: list[str] = []

    def grow(self, backups: int, lists: int) -> None:
        """Make more backups, with so many new lists; those after the first of a list have the same one."""
        source = None
        for number in range(backups):
            if source is None or number * lists // backups != (number - 1) * lists // backups:
                source = self._new_list()
            self._backup(*source)

    def _new_list(self) -> tuple[Path, str]:
        self._store(_NEW if self.blobs else self.number)
        needed = sorted(self.blobs[-self.number:])
        text = "".join(f"{sha1}  {_PREFIX}{sha1[:2]}/{sha1[2:4]}/{sha1}\n" for sha1 in needed).encode()
        path = self.root / "lists" / str(self.made)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        return path, hashlib.sha256(text).hexdigest()

    def _store(self, count: int) -> None:
        for number in range(self.stored, self.stored + count):
            content = b"%d" % number
            sha1 = hashlib.sha1(content).hexdigest()
            place = self.root / "pools" / STACK / "filedir" / sha1[:2] / sha1[2:4]
            place.mkdir(parents=True, exist_ok=True)
            (place / sha1).write_bytes(content)
            self.blobs.append(sha1)
        self.stored += count

    def _backup(self, source: Path, digest: str) -> None:
        self.made += 1
        name = f"{STACK}_{self.made:06d}"
        folder = self.root / "backups" / name
        folder.mkdir(parents=True)
        os.link(source, folder / "filedir.sha1")
        (folder / "backup_manifest.txt").write_text("")
        for number in range(_FILES):
            archive = self.root / "lists" / f"archive{number}"
            archive.touch()
            os.link(archive, folder / archive.name)
        artefacts = [{"role": "filedir", "file": "filedir.sha1", "sha256": digest, "bytes": self.number}]
        # About as long as what a site of a few containers has.
        document = {"name": name, "stack": STACK, "created": 1.0e9 + 86400 * self.made, "format": 2,
                    "artefacts": artefacts, "containers": ["x" * 100] * 100}
        (folder / "backup.json").write_text(json.dumps(document))


def _step(connection, step: str, path: str, backups: int) -> None:
    """Do one step in this process and send what it cost."""
    from ansible_collections.moodleclaude.backup.plugins.module_utils import (
        _backup_set,
        _catalog,
        _listing,
        _prune,
        _references,
        _retention,
    )

    root = _backup_set.Root(path)
    entries = [] if step in ("survey", "list", "check", "prune", "idle") else _catalog.backups(root)
    begun, spent = time.monotonic(), time.process_time()
    if step == "survey":
        result = {"backups": len(_catalog.survey(root))}
    elif step == "list":
        result = {"backups": _listing.describe(root, time.time())["count"]}
    elif entries:
        found = _references.refresh(root, STACK, entries)
        result = {"blobs": found["blobs"]}
    else:
        found = _prune.prune(root, _retention.Policy(last=backups // 2), check_mode=step == "check")
        result = {"removed": len(found["removed"]), "blobs": found["blobs"]}
    connection.send({
        **result,
        "seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "peak_mib": _peak(),
    })


def _peak() -> float:
    """The most memory that this program had (MiB); what the kernel tells of a process counts its parent's too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(status["VmHWM"].split()[0]) / 1024, 1)


def measure(step: str, root: Path, backups: int) -> dict:
    """Return what a step cost, in a process of its own, so that its peak of memory is its own too."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_step, args=(theirs, step, str(root), backups))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit(f"the step '{step}' failed, see above") from None
    finally:
        process.join()


def run(folder: Path, number: int, backups: int, lists: int) -> None:
    """Print the line of one number of files."""
    tree = Tree(folder, number)
    tree.grow(backups, lists)
    os.sync()
    line = {"number": number, "backups": backups, "lists": lists}
    for step in ("first", "again", "one_more", "survey", "list", "check", "prune", "idle"):
        if step == "one_more":
            tree.grow(1, 1)
        line[step] = measure(step, tree.root, backups)
    print(json.dumps({**line, "load": round(os.getloadavg()[0], 1)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, default=NUMBERS, metavar="NUMBER")
    parser.add_argument("--folder", default="/var/tmp", help="where to work; on the disk that is meant")
    parser.add_argument("--backups", type=int, default=1000)
    parser.add_argument("--lists", type=int, default=20, help="how many of the backups' lists are different")
    options = parser.parse_args()
    for number in sorted(options.numbers):
        with tempfile.TemporaryDirectory(prefix="catalog_growth_", dir=options.folder) as work:
            collections = Path(work) / "ansible_collections" / "moodleclaude"
            collections.mkdir(parents=True)
            (collections / "backup").symlink_to(_ROOT)
            sys.path.insert(0, work)
            run(Path(work), number, options.backups, options.lists)
            sys.path.remove(work)


if __name__ == "__main__":
    main()
