"""Runs every kind of test one after another and says what passed. Called by tests/tools/test.

Prints a row for each stage, the end of the log of each failed one, and as the last line `N passed, M failed`, where
each pytest test, linter, sanity test, integration target and Molecule scenario counts as one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tests" / "tools"
RESULTS = ROOT / ".test-results"
TAIL_LINES = 60
# A stage that hangs must not hang everything.
TIMEOUT = 3600  # seconds


@dataclass
class Outcome:
    """What one stage did. The counts are of real tests; a stage that could not count them has at least one failure."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    log: Path

    @property
    def row(self) -> str:
        result = "FAILED" if self.failed else "passed"
        counts = f"{self.passed} passed, {self.failed} failed" if self.passed + self.failed > 1 else ""
        if self.skipped:
            counts += f", {self.skipped} skipped"
        return f"{self.name:<34} {result:<7} {self.seconds:>7.1f} s   {counts}".rstrip()


@dataclass
class Stage:
    """A command, and the function that finds how many of its tests passed, failed and were skipped."""

    name: str
    command: list[str]
    count: Callable[[int, Path], tuple[int, int, int]]


def count_one(status: int, log: Path) -> tuple[int, int, int]:
    """The whole stage is one test."""
    return (1, 0, 0) if status == 0 else (0, 1, 0)


def count_preparation(status: int, log: Path) -> tuple[int, int, int]:
    """No test, unless it fails."""
    return (0, int(status != 0), 0)


def count_sanity(status: int, log: Path) -> tuple[int, int, int]:
    """ansible-test names each test it starts, and at the end those that failed."""
    text = log.read_text(errors="replace")
    started = len(re.findall("^Running sanity test ", text, re.MULTILINE))
    summary = re.search(r"^FATAL: The (\d+) sanity test\(s\) listed below", text, re.MULTILINE)
    failed = int(summary.group(1)) if summary else int(status != 0)
    return max(started - failed, 0), failed, 0


def junit_path(log: Path) -> Path:
    return log.with_suffix(".xml")


def count_pytest(status: int, log: Path) -> tuple[int, int, int]:
    """pytest's own report says it; without one pytest did not even start."""
    passed = failed = skipped = 0
    if junit_path(log).is_file():
        for suite in ElementTree.parse(junit_path(log)).getroot().iter("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            failed += bad
            skipped += int(suite.get("skipped", 0))
            passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return passed, failed, skipped


def listed(tool: str) -> list[str]:
    """Names that a tool of ours says it can run."""
    return subprocess.run([TOOLS / tool, "--list"], check=True, capture_output=True, text=True).stdout.split()


def log_of(name: str) -> Path:
    return RESULTS / (name.replace(" ", "-") + ".log")


def pytest_stage(name: str) -> Stage:
    return Stage(name, [str(TOOLS / name), f"--junitxml={junit_path(log_of(name))}"], count_pytest)


def nothing_to_run(what: str) -> Stage:
    """A kind of test that has disappeared is a failure, not a success."""
    return Stage(what, [sys.executable, "-c", f"raise SystemExit('there is no {what} test to run')"], count_one)


def single_stages(tool: str) -> list[Stage]:
    names = listed(tool)
    if not names:
        return [nothing_to_run(tool)]
    return [Stage(f"{tool} {name}", [str(TOOLS / tool), name], count_one) for name in names]


def all_stages() -> list[Stage]:
    """The quick ones first; what needs no Docker engine before what does."""
    stages = single_stages("lint")
    stages.append(Stage("sanity", [str(TOOLS / "sanity")], count_sanity))
    stages.append(pytest_stage("unit"))
    stages.append(Stage("images", [str(ROOT / "tests" / "images" / "build"), "--all"], count_preparation))
    if (ROOT / "tests" / "engine").is_dir():
        stages.append(pytest_stage("engine"))
    return stages + single_stages("integration") + single_stages("molecule")


def run(stage: Stage) -> Outcome:
    log = log_of(stage.name)
    started = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            end(process)
            status = process.returncode
            stream.write(f"\nstopped: {stage.name} took more than {TIMEOUT} s\n".encode())
        except BaseException:
            end(process)
            raise
    passed, failed, skipped = stage.count(status, log)
    if not failed and (status != 0 or not passed) and stage.count is not count_preparation:
        failed = 1
    return Outcome(stage.name, passed, failed, skipped, time.monotonic() - started, log)


def end(process: subprocess.Popen) -> None:
    """Ends a stage with all that it started; first gently, so that it can clean up."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(30)
            return
        except ProcessLookupError:
            process.wait()
            return
        except subprocess.TimeoutExpired:
            continue


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


def interrupted(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupted)
    os.environ.update(NO_COLOR="1", ANSIBLE_NOCOLOR="1", PY_COLORS="0")
    os.environ.pop("FORCE_COLOR", None)
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir()

    outcomes = []
    for stage in all_stages():
        outcomes.append(run(stage))
        print(outcomes[-1].row, flush=True)

    for outcome in outcomes:
        if outcome.failed:
            print(f"\n--- {outcome.name}: end of {outcome.log.relative_to(ROOT)}\n{tail(outcome.log)}")
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
