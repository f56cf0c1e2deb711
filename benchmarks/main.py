# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares ways of backing up and restoring the same site: the original one, restic, and this collection.

Sets up a stack of its own (names begin with mcb-bench) and removes it in the end, whatever happens.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import comparison
import fleet
import growth
import memory
import meter
import plot
import report
import stack
import ways
from stack import BenchmarkError, Size

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "benchmark.md"
PICTURE = "![Bars of wall and processor time, memory and bytes added by step and way; lines of growth](benchmark.svg)"
PROGRAMS = {"ansible-playbook": "run 'make benchmark'", "restic": "install Debian's restic, or choose other --ways",
            "zstd": "install zstd"}
DISK = {"comparison": 16e9, "growth": 60e9, "memory": 12e9, "fleet": 8e9}  # bytes needed at --scale 1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def words(known: tuple[str, ...], needed: str = ""):
    """The type of an option that takes some of these words with commas between, and never goes without one of them."""

    def parsed(text: str) -> list[str]:
        chosen = text.split(",")
        if not set(chosen) <= set(known) or (needed and needed not in chosen):
            raise argparse.ArgumentTypeError(f"takes of {','.join(known)}" + (f", always {needed}" if needed else ""))
        return [word for word in known if word in chosen]

    return parsed


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1000:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    series = parser.add_mutually_exclusive_group()
    series.add_argument("--growth", dest="series", action="store_const", const="growth", default="comparison",
                        help="instead back up sites that are 1, 2, 4 and 8 times as large (--scale: the smallest)")
    series.add_argument("--memory", dest="series", action="store_const", const="memory",
                        help="instead measure the memory of every module with 2 GB of data, by both transports")
    series.add_argument("--fleet", dest="series", action="store_const", const="fleet",
                        help=f"instead back up {fleet.STACKS} small stacks over SSH in one run (--scale: fewer)")
    parser.add_argument("--scale", type=positive, help="size of the site, 1 is a real Moodle with some use; default 1,"
                        " and 0.1 for --growth")
    parser.add_argument("--ways", type=words(tuple(ways.WAYS)), help="what to compare, with commas between; default"
                        " all, and ours for --growth")
    parser.add_argument("--steps", type=words(comparison.STEPS, "first"), default=list(comparison.STEPS),
                        help=f"of the comparison: {','.join(comparison.STEPS)}")
    parser.add_argument("--repeat", type=int, choices=range(1, 20), metavar="N", default=1,
                        help="rounds of the comparison, each with a fresh site; the median counts")
    parser.add_argument("--warm", action="store_true",
                        help="leave the page cache of the machine as it is, for a quick look beside other work")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where to work; 16 GB at full size")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    parser.add_argument("--write", action="store_true",
                        help=f"write the results into {DOCUMENT.relative_to(ROOT)} and the files beside it")
    options = parser.parse_args(arguments)
    options.scale = options.scale or (0.1 if options.series == "growth" else 1.0)
    options.ways = options.ways or (["ours"] if options.series == "growth" else list(ways.WAYS))
    if options.write and (options.series == "memory" or "ours" not in options.ways):
        parser.error("--write wants the comparison, --growth or --fleet, with ours")
    return options


def check_machine(options: argparse.Namespace) -> None:
    if os.geteuid() != 0:
        raise BenchmarkError("run it as root, as all ways of backing up need it")
    for program, advice in PROGRAMS.items():
        if shutil.which(program) is None and (program != "restic" or "restic" in options.ways):
            raise BenchmarkError(f"{program} is not on the PATH; {advice}")
    needed = int(DISK[options.series] * options.scale) + (1 << 30)
    if shutil.disk_usage(options.folder).free < needed:
        raise BenchmarkError(f"{options.folder} has less than {needed / 1e9:.0f} GB free; give another --folder")


def measure(options: argparse.Namespace, work: Path) -> dict[str, object]:
    if options.series == "growth":
        found = growth.run(Size().scaled(options.scale), work, options.ways, say)
        found["files"] = growth.files_series(work, min(1.0, options.scale * 10), say)
    elif options.series == "fleet":
        found = fleet.run(options.scale, work, say)
    elif options.series == "memory":
        found = {"runs": memory.run(options.scale, work, say)}
    else:
        compared = comparison.Comparison(Size().scaled(options.scale), work, options.steps, options.ways, say)
        compared.run(options.repeat)
        found = compared.facts()
    return {"series": options.series, "scale": options.scale, "repeat": options.repeat, "machine": report.machine(),
            **found}


def remove_everything(folder: Path) -> None:
    """What this run has made, and what runs that were killed have left: the lock says that no other one is alive."""
    stack.empty_engine()
    for left in folder.glob(f"{stack.PREFIX}-*"):
        shutil.rmtree(left)


def execute(options: argparse.Namespace) -> int:
    check_machine(options)
    meter.adopt_orphans()
    if options.warm:
        meter.keep_caches()
    with open(f"/run/{stack.PREFIX}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BenchmarkError("another benchmark runs on this machine") from error
        remove_everything(options.folder)
        try:
            results = measure(options, Path(tempfile.mkdtemp(prefix=f"{stack.PREFIX}-", dir=options.folder)))
        finally:
            remove_everything(options.folder)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.write:
        write_document(results)
    print(report.text(results))
    large = report.too_large(results)
    if large:
        say(f"more than {report.MEMORY_LIMIT // report.MB} MB of memory: {', '.join(large)}")
    return 1 if large else 0


def write_document(results: dict) -> None:
    """Put the report between its marks in the document; the figures and the plot of all series go beside it."""
    series = results["series"]
    begin, end = f"<!-- {series} -->\n", f"<!-- end of {series} -->\n"
    head, rest = DOCUMENT.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    picture = f"{PICTURE}\n\n" if series == "comparison" else ""
    DOCUMENT.write_text(f"{head}{begin}\n{picture}{report.text(results)}\n\n{end}{tail}", encoding="utf-8")
    figures = DOCUMENT.with_suffix(".json")
    everything = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    everything[series] = results
    figures.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    DOCUMENT.with_suffix(".svg").write_text(plot.svg(everything), encoding="utf-8")


def interrupted(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupted)
    try:
        return execute(parse())
    except BenchmarkError as error:
        say(f"benchmark: {error}")
    except KeyboardInterrupt:
        say("benchmark: interrupted")
    return 1


if __name__ == "__main__":
    sys.exit(main())
