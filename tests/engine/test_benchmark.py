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


@pytest.mark.slow
def test_both_ways_make_a_whole_backup_and_nothing_is_left(engine, require_image, tmp_path):
    require_image("moodleclaude-test/moodle:latest")
    require_image("moodleclaude-test/postgresql:15")
    results = tmp_path / "results.json"
    done = subprocess.run(
        [ROOT / "benchmarks" / "run", "--scale", "0.01", "--steps", "backup", "--folder", tmp_path, "--json", results],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    runs = {run["way"]: run for run in json.loads(results.read_text())["runs"]}
    assert set(runs) == {"original", "ours"}
    for run in runs.values():  # compare.py itself has checked the manifests
        assert run["step"] == "backup"
        assert run["wall"] > 0
        assert run["size"] > 100_000_000  # the images alone
    assert "volume_archive" in runs["ours"]["modules"]
    assert "| wall time, s " in done.stdout

    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    names = [name for container in engine.containers() for name in container["Names"]]
    names += [volume["Name"] for volume in engine.volumes()] + [network["Name"] for network in engine.networks()]
    assert not [name for name in names if name.lstrip("/").startswith("mcb-bench")]
