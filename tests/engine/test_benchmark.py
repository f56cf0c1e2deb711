# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark runs, on a small site. How fast anything is depends on the machine and is no test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("original", "restic", "ours")


@pytest.fixture
def benchmark(require_image, tmp_path):
    """Returns a function that runs the benchmark on a tiny site."""
    require_image("moodleclaude-test/moodle:latest")
    require_image("moodleclaude-test/postgresql:15")

    def run(*options, environment=None):
        words = [ROOT / "benchmarks" / "run", "--scale", "0.01", "--folder", tmp_path, *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    return run


@pytest.fixture
def left(engine, tmp_path):
    """Returns a function that lists what of the benchmark is still there."""

    def listed():
        names = [name.lstrip("/") for container in engine.containers() for name in container["Names"]]
        names += [volume["Name"] for volume in engine.volumes()] + [network["Name"] for network in engine.networks()]
        images = subprocess.run(["docker", "image", "ls", "--format", "{{.Repository}}"], capture_output=True, text=True,
                                check=True).stdout.split()
        found = [name for name in names + images if name.startswith("mcb-bench")]
        return found + [path.name for path in tmp_path.iterdir() if path.is_dir()]

    return listed


@pytest.mark.slow
def test_all_ways_take_all_steps_on_one_site_and_nothing_is_left(benchmark, left, tmp_path):
    results = tmp_path / "results.json"
    steps = ("first", "changed", "restore-in-place", "restore-empty")  # "unchanged" is one more of the same
    # All other tests share the page cache.
    done = benchmark("--json", results, "--steps", ",".join(steps), "--warm")
    assert done.returncode == 0, done.stderr
    found = json.loads(results.read_text())
    runs = {(run["step"], run["way"]): run for run in found["runs"]}  # the benchmark itself has proved their results
    assert set(runs) == {(step, way) for step in steps for way in WAYS}
    for run in runs.values():
        assert run["wall"] > 0
        assert run["machine"] > 0
        assert run["memory"] > 1_000_000
        assert run["cold"] is None
    for way in WAYS:
        assert runs["first", way]["added"] > 50_000_000  # the images alone
        assert abs(runs["restore-in-place", way]["added"]) < 20_000_000  # a restore is no backup
    assert runs["changed", "original"]["added"] > 0.9 * runs["first", "original"]["added"]
    assert runs["changed", "restic"]["added"] < 0.2 * runs["first", "restic"]["added"]
    assert runs["changed", "ours"]["new_files"] > 0
    assert runs["changed", "ours"]["new_bytes"] > 0
    assert {floor["floor"] for floor in found["floors"]} == {
        "images", "database", "code", "ansible", "load", "load images"}
    for part in ("The page cache was left as it was", "| wall time, s ", "| target, on 2 cores", "repeat, 1 % new files",
                 "ours     █", "| restic: part, s "):
        assert part in done.stdout
    assert left() == []


@pytest.mark.slow
def test_a_step_that_fails_is_told_and_nothing_is_left(benchmark, left, tmp_path, monkeypatch):
    broken = tmp_path / "restic"
    broken.write_text("#!/bin/sh\necho the repository is on fire >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = benchmark("--ways", "restic,ours", "--steps", "first")
    assert done.returncode == 1
    assert "the repository is on fire" in done.stderr
    assert done.stdout == ""
    assert left() == []
