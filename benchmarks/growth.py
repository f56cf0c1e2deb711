# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How cost grows with the site: the same two backups of sites that are 1, 2, 4 and 8 times as large."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import stack
import ways
from stack import BenchmarkError, Size

FACTORS = (1, 2, 4, 8)
STEPS = ("first", "unchanged")
FILES = (62_500, 125_000, 250_000, 500_000)
FILES_SERIES = Path(__file__).resolve().parent / "filedir_growth.py"


def run(size: Size, work: Path, names: list[str], say: Callable[[str], None]) -> dict[str, object]:
    """Measure every step at every size.

    :param size: of the smallest site.
    :returns: {"runs": [...], "sites": {factor: figures}}.
    """
    runs, sites = [], {}
    for factor in FACTORS:
        now = size.scaled(factor)
        say(f"setting up the site {factor} times: {now}")
        stack.empty_engine()
        folder = work / f"times{factor}"
        folder.mkdir()
        site = stack.set_up(now, folder, removable=False)
        sites[factor] = stack.measured() | {"sql_bytes": stack.sql_bytes()}
        found = [ways.WAYS[name](folder, site) for name in names]
        for step in STEPS:
            for way in found:
                entry = ways.run(way, way.backup(step), folder / f"{step}-{way.name}.log")
                runs.append({"factor": factor, "step": step, **entry, **way.made(step)})
                say(f"  {step}, {way.name}: {entry['wall']:.1f} s")
        shutil.rmtree(folder)
    return {"runs": runs, "sites": sites}


def files_series(work: Path, share: float, say: Callable[[str], None]) -> list[dict]:
    """The stored files alone, without a site: storing those that are new, and a repeat with nothing new.

    :param share: of the 500,000 files that it goes up to.
    :returns: for each number of files and each of STEPS {"files", "new", "step", "way", "wall": seconds, "processes":
        processor seconds, "memory": bytes}.
    """
    say("growing the number of stored files")
    numbers = [str(max(1, round(number * share))) for number in FILES]
    done = subprocess.run([sys.executable, "-B", str(FILES_SERIES), "--folder", str(work), *numbers],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{FILES_SERIES.name} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return [run for line in done.stdout.splitlines() for run in _files_runs(json.loads(line))]


def _files_runs(line: dict) -> list[dict]:
    costs = [("first", line["store"]), *(("unchanged", again) for again in line["again"])]
    return [{"files": line["number"], "new": cost["new"], "step": step, "way": "ours", "wall": cost["seconds"],
             "processes": cost["cpu_seconds"], "memory": round(cost["peak_mib"] * 1048576)} for step, cost in costs]


def exponent(points: list[tuple[float, float]]) -> float:
    """The slope of the straight line through the logarithms: 0 is constant, 1 grows in proportion."""
    logs = [(math.log(x), math.log(y)) for x, y in points if y > 0]
    return line(logs)[1] if len(logs) > 1 else math.nan


def line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope of the least squares line: what is fixed, and what each unit of size adds."""
    count = len(points)
    mean_x, mean_y = (sum(values) / count for values in zip(*points))
    spread = sum((x - mean_x) ** 2 for x, _y in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return mean_y - slope * mean_x, slope
