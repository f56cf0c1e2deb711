# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the cost of storing and listing blobs grows with their number: one JSON line for each number of files.

    python benchmarks/filedir_growth.py [--folder /var/tmp] [--repeats 2] [NUMBER ...]

Seconds (wall and CPU) and the peak memory of filedir_archive: storing what is new since the number before, and repeats
with nothing new. The blobs are tiny, so what is measured is the cost of their number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = [62_500, 125_000, 250_000, 500_000]
_ROOT = Path(__file__).resolve().parents[1]


def make_blobs(folder: Path, start: int, end: int) -> None:
    """Write blobs number start to end (without it) as Moodle lays them out."""
    for number in range(start, end):
        content = b"%d" % number
        name = hashlib.sha1(content).hexdigest()
        place = folder / name[:2] / name[2:4]
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


def _archive(connection, path: str, pool: str, dest: str) -> None:
    """Run filedir_archive in this process and send what it cost."""
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _docker, _filedir, _module

    options = {**_module.DOCKER_OPTIONS, **_filedir.FILEDIR_ARCHIVE.options}
    params = {name: option.get("default") for name, option in options.items()}
    params.update(path=path, pool=pool, dest=dest, overwrite=True, transport="direct")
    params["docker_host"] = os.environ.get("DOCKER_HOST") or params["docker_host"]
    begun, spent = time.monotonic(), time.process_time()
    result = _filedir.archive(_docker.Engine(params), params, False)
    connection.send({
        "files": result["files"],
        "new": result["new"],
        "seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    })


def measure(path: Path, pool: Path, dest: Path) -> dict:
    """Return what one run cost, in a process of its own, so that its peak of memory is its own too."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_archive, args=(theirs, str(path), str(pool), str(dest)))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit("filedir_archive failed, see above") from None
    finally:
        process.join()


def grow(folder: Path, numbers: list[int], repeats: int) -> None:
    """Print one line for each number of blobs, smallest first."""
    made = 0
    for number in sorted(numbers):
        make_blobs(folder / "filedir", made, number)
        made = number
        os.sync()
        pool, dest = folder / "pool" / "filedir", folder / "filedir.sha1"
        store = measure(folder / "filedir", pool, dest)
        again = [measure(folder / "filedir", pool, dest) for unused in range(repeats)]
        line = {"number": number, "store": store, "again": again, "load": round(os.getloadavg()[0], 1)}
        print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, default=NUMBERS, metavar="NUMBER")
    parser.add_argument("--folder", default="/var/tmp", help="where to work; on the disk that is meant")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="filedir_growth_", dir=options.folder) as work:
        collections = Path(work) / "ansible_collections" / "moodleclaude"
        collections.mkdir(parents=True)
        (collections / "backup").symlink_to(_ROOT)
        sys.path.insert(0, work)
        grow(Path(work), options.numbers, options.repeats)


if __name__ == "__main__":
    main()
