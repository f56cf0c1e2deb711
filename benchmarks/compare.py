# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the original way of backing up and this collection on the same site, and prints how they compare.

Sets up a stack of its own (names begin with mcb-bench) and removes it in the end, whatever happens.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import meter
import report
import stack
from stack import BenchmarkError, Size

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DOCUMENT = ROOT / "docs" / "benchmark.md"
# Only the tree has to be large.
MEMORY_SIZE = Size(code_mb=100, code_files=7_000, data_mb=2_000, data_files=12_000, log_rows=300_000, web_image_mb=400,
                   db_image_mb=250)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Benchmark:
    """One run: where it works, what it has measured."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self.size = (MEMORY_SIZE if options.memory else Size()).scaled(options.scale)
        self.backups = {"original": work / "original", "ours": work / "ours"}
        self.caches_dropped = True
        self.runs: list[dict] = []

    def run(self) -> dict:
        say(f"setting up the site: {self.size}")
        self.folder = stack.set_up(self.size, self.work, "restore-empty" in self.options.steps)
        site = stack.measured()
        self.before = stack.fingerprint()
        for number in range(self.options.repeat):
            for step, way, transport in self.plan(number):
                self.step(step, way, transport, number)
        site["sql_bytes"] = self.sql_bytes()
        return {"scale": self.options.scale, "repeat": self.options.repeat, "memory": self.options.memory,
                "site": site, "machine": report.machine(), "caches_dropped": self.caches_dropped, "runs": self.runs}

    def plan(self, number: int) -> Iterator[tuple[str, str, str]]:
        """What is measured in a round, as (step, way, transport); the ways take turns at being the first."""
        if self.options.memory:
            for transport in ("direct", "api"):
                yield from ((step, "ours", transport) for step in ("backup", "restore-in-place"))
            return
        ways = ["original", "ours"] if number % 2 == 0 else ["ours", "original"]
        for step in report.STEPS:
            if step in self.options.steps:
                yield from ((step, way, "auto") for way in ways)

    def step(self, step: str, way: str, transport: str, number: int) -> None:
        say(f"{way}: {report.STEPS[step]}" + ("" if transport == "auto" else f", transport {transport}"))
        if step == "backup":
            shutil.rmtree(self.backups[way], ignore_errors=True)
        elif step == "restore-empty":
            stack.empty_engine()
        self.caches_dropped &= meter.drop_caches()
        log = self.work / f"{number}-{step}-{way}-{transport}.log"
        times = log.with_suffix(".tasks")
        words, environment = self.original(step) if way == "original" else self.ours(step, transport, times)
        measurement = meter.measure(words, log, environment)
        entry = {"step": step, "way": way, "transport": transport, **dataclasses.asdict(measurement)}
        if way == "ours":
            entry["tasks"] = [json.loads(line) for line in times.read_text().splitlines()]
        if step == "backup":
            entry["size"] = self.check_backup(way)
        else:
            self.check_site(step, way)
        say(f"  {entry['wall']:.1f} s")
        self.runs.append(entry)

    def original(self, step: str) -> tuple[list[str], dict[str, str]]:
        words = [str(HERE / "original"), step.partition("-")[0], str(self.folder), str(self.backups["original"])]
        return words, dict(os.environ)

    def ours(self, step: str, transport: str, times: Path) -> tuple[list[str], dict[str, str]]:
        playbook = step.partition("-")[0]
        variables = {"ansible_python_interpreter": sys.executable, "moodle_backup_root": str(self.backups["ours"]),
                     "moodle_backup_transport": transport}
        if playbook == "backup":
            variables["moodle_backup_container"] = stack.WEB
        environment = dict(os.environ, ANSIBLE_CALLBACK_PLUGINS=str(HERE / "callback"), TASK_TIMES=str(times),
                           ANSIBLE_CALLBACKS_ENABLED="task_times", ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_NOCOLOR="1")
        return ["ansible-playbook", "--inventory", "localhost,", "--connection", "local", "--extra-vars",
                json.dumps(variables), f"moodleclaude.backup.{playbook}"], environment

    # --- neither way may win by leaving something out --------------------------------------------------------------

    def backup_folder(self, way: str) -> Path:
        if way == "original":
            return self.backups[way]
        (folder,) = (path for path in (self.backups[way] / "backups").iterdir() if not path.name.startswith("."))
        return folder

    def check_backup(self, way: str) -> int:
        """Compare a backup with its own manifest and with what it has to hold; return its size in bytes."""
        folder = self.backup_folder(way)
        checked = subprocess.run(["sha256sum", "--quiet", "--check", "backup_manifest.txt"], cwd=folder,
                                 capture_output=True, text=True, check=False)
        if checked.returncode or checked.stderr:
            raise BenchmarkError(f"the backup made by '{way}' is damaged: {checked.stdout}{checked.stderr}")
        names = " ".join(path.name for path in folder.rglob("*"))
        for part in ("database", "application.tar", "moodledata.tar", "plugins.tar", "image", "container_info.json",
                     "environment_snapshot.txt"):
            if part not in names:
                raise BenchmarkError(f"the backup made by '{way}' has no {part}: {names}")
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def check_site(self, step: str, way: str) -> None:
        after = stack.fingerprint()
        names = sorted(after.keys() | self.before.keys())
        different = [f"{name} ({self.before.get(name)} → {after.get(name)})" for name in names
                     if after.get(name) != self.before.get(name)]
        if different:
            raise BenchmarkError(f"after '{way}: {report.STEPS[step]}' the site differs in: {', '.join(different)}")

    def sql_bytes(self) -> int:
        dump = self.backups["original"] / "database.sql"
        if dump.is_file():
            return dump.stat().st_size
        return sum(map(len, stack.docker("exec", stack.DATABASE, "pg_dump", "-U", "moodle", "moodle").splitlines(True)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the site, 1 is the one in the documents")
    parser.add_argument("--repeat", type=int, default=1, help="how often each step is measured; the median counts")
    parser.add_argument("--steps", default=",".join(report.STEPS), help="what to measure, with commas between")
    parser.add_argument("--memory", action="store_true",
                        help="instead measure the memory of every module with 2 GB of data, by both transports")
    parser.add_argument("--folder", default="/var/tmp", help="where to work; 8 GB are needed at full size")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    parser.add_argument("--write", action="store_true", help=f"write the results into {DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args()
    options.steps = options.steps.split(",")
    if options.memory and options.write:
        parser.error("--write wants the comparison, not --memory")
    if not set(options.steps) <= set(report.STEPS) or "backup" not in options.steps:
        parser.error(f"--steps takes of: {', '.join(report.STEPS)}; and never without 'backup'")
    if options.scale <= 0 or options.repeat < 1:
        parser.error("--scale and --repeat must be positive")
    return options


def check_machine(options: argparse.Namespace) -> None:
    if os.geteuid() != 0:
        raise BenchmarkError("run it as root, as both ways of backing up need it")
    if shutil.which("ansible-playbook") is None:
        raise BenchmarkError("ansible-playbook is not on the PATH; run 'make benchmark'")
    needed = int(8e9 * options.scale) + (1 << 30)
    if shutil.disk_usage(options.folder).free < needed:
        raise BenchmarkError(f"{options.folder} has less than {needed / 1e9:.0f} GB free; give another --folder")


def write_document(results: dict) -> None:
    """Put the report between the marks in the document, and the figures beside it."""
    begin, end = "<!-- results -->\n", "<!-- end of results -->\n"
    head, rest = DOCUMENT.read_text().split(begin)
    tail = rest.split(end)[1]
    DOCUMENT.write_text(f"{head}{begin}\n{report.text(results)}\n\n{end}{tail}")
    DOCUMENT.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")


def too_large(results: dict) -> list[str]:
    return sorted(name for name, peak in report.peaks(results["runs"]).items() if peak["own"] > report.MEMORY_LIMIT)


def execute(options: argparse.Namespace) -> int:
    check_machine(options)
    meter.adopt_orphans()
    with open(f"/run/{stack.PREFIX}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BenchmarkError("another benchmark runs on this machine") from error
        with tempfile.TemporaryDirectory(prefix=f"{stack.PREFIX}-", dir=options.folder) as work:
            try:
                stack.empty_engine()  # what a killed run has left
                results = Benchmark(options, Path(work)).run()
            finally:
                stack.empty_engine()
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.write:
        write_document(results)
    print(report.text(results))
    large = too_large(results)
    if large:
        say(f"more than {report.MEMORY_LIMIT // report.MB} MB of memory: {', '.join(large)}")
    return 1 if large else 0


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
