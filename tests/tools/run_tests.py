"""Runs every kind of test and says what passed. Called by tests/tools/test.

Stages run in two lanes, since one alone keeps little more than one processor busy. Prints a row for each stage that has
ended, the end of the log of each failed one, and as the last line `N passed, M failed`, where each pytest test, linter,
sanity test, integration target and Molecule scenario counts as one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
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
LANES = 2


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
    needs_images: bool = False


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


def pytest_stage(tool: str, *names: str) -> Stage:
    name = " ".join([tool, *names])
    return Stage(name, [str(TOOLS / tool), *names, f"--junitxml={junit_path(log_of(name))}"], count_pytest, bool(names))


def nothing_to_run(what: str) -> Stage:
    """A kind of test that has disappeared is a failure, not a success."""
    return Stage(what, [sys.executable, "-c", f"raise SystemExit('there is no {what} test to run')"], count_one)


def single_stages(tool: str, needs_images: bool = False) -> list[Stage]:
    return [Stage(f"{tool} {name}", [str(TOOLS / tool), name], count_one, needs_images) for name in listed(tool)] or [
        nothing_to_run(tool)]


def all_stages() -> list[Stage]:
    """The images first, which others wait for; of those others the long ones first, so that the lanes end together."""
    stages = [Stage("images", [str(ROOT / "tests" / "images" / "build"), "--all"], count_preparation)]
    stages += [pytest_stage("unit"), Stage("sanity", [str(TOOLS / "sanity")], count_sanity)]
    stages += single_stages("lint")
    stages += [pytest_stage("engine", name) for name in listed("engine")] or [nothing_to_run("engine")]
    return stages + single_stages("molecule", True) + single_stages("integration", True)


class Lanes:
    """Takes stages from a list, several at once, until none is left."""

    def __init__(self, stages: list[Stage]) -> None:
        self.outcomes: list[Outcome] = []
        self._waiting = deque(stages)
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._images_built = threading.Event()
        self._failure: BaseException | None = None

    def go(self) -> list[Outcome]:
        lanes = [threading.Thread(target=self._lane, daemon=True) for _number in range(LANES)]
        for lane in lanes:
            lane.start()
        try:
            for lane in lanes:
                while lane.is_alive():  # a signal is only noticed between two waits
                    lane.join(1)
        except BaseException:
            self._stop()
            raise
        if self._failure:
            raise self._failure
        return self.outcomes

    def _lane(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._waiting:
                        return
                    stage = self._waiting.popleft()
                if stage.needs_images:
                    self._images_built.wait()
                outcome = run(stage, self._running)
                if stage.count is count_preparation:
                    self._images_built.set()
                with self._lock:
                    self.outcomes.append(outcome)
                    print(outcome.row, flush=True)
        except BaseException as error:
            self._failure = error
            self._waiting.clear()
            self._images_built.set()

    def _stop(self) -> None:
        self._waiting.clear()
        for process in list(self._running):
            end(process)


def run(stage: Stage, running: set[subprocess.Popen]) -> Outcome:
    """Run a stage to its end; meanwhile its process is in `running`."""
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
        running.add(process)
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            end(process)
            status = process.returncode
            stream.write(f"\nstopped: {stage.name} took more than {TIMEOUT} s\n".encode())
        finally:
            running.discard(process)
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

    outcomes = Lanes(all_stages()).go()
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
