# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the results of the benchmark into tables."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path

MB = 1_000_000
STEPS = {
    "backup": "full backup",
    "restore-in-place": "restore in place",
    "restore-empty": "restore onto an emptied engine",
}
FIGURES = {
    "wall": ("wall time, s", 1),
    "machine": ("processor time of the whole machine, s", 1),
    "processes": ("processor time of its own processes, s", 1),
    "disk": ("written to disk, MB", MB),
    "size": ("size of the backup, MB", MB),
}
MEMORY_LIMIT = 150 * MB
SLOW_TASK = 0.8  # seconds; what is shorter is added up


def machine() -> dict[str, object]:
    """The machine, without anything that names it."""
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024
    asked = subprocess.run(["docker", "info", "--format", "{{json .}}"], capture_output=True, check=True)
    engine = json.loads(asked.stdout)
    return {"cores": os.cpu_count(), "memory_bytes": memory, "system": engine["OperatingSystem"],
            "engine": engine["ServerVersion"], "storage_driver": engine["Driver"]}


def typical(runs: Iterable[dict], step: str, way: str, figure: str) -> float | None:
    """The median of a figure over all runs, or None if there was none."""
    found = [run[figure] for run in runs if run["step"] == step and run["way"] == way and run.get(figure) is not None]
    return statistics.median(found) if found else None


def ratio(runs: list[dict], step: str, figure: str = "wall") -> float | None:
    """How many times as much the original way needs."""
    original, ours = (typical(runs, step, way, figure) for way in ("original", "ours"))
    return original / ours if original and ours else None


def table(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table that reads well as text, too; the first row is its head. Numbers are set to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cells(row: tuple[str, ...]) -> list[str]:
        return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells(rows[0])), line(rule), *(line(cells(row)) for row in rows[1:])])


def step_tables(runs: list[dict]) -> str:
    parts = []
    for step, title in STEPS.items():
        rows = [(title, "original", "ours", "original / ours")]
        for figure, (label, unit) in FIGURES.items():
            values = [typical(runs, step, way, figure) for way in ("original", "ours")]
            if any(value is not None for value in values):
                quotient = ratio(runs, step, figure)
                shown = ["" if value is None else f"{value / unit:.1f}" for value in values]
                rows.append((label, *shown, f"{quotient:.2f}" if quotient else ""))
        if len(rows) > 1:
            parts.append(table(rows))
    return "\n\n".join(parts)


def task_table(runs: list[dict], step: str) -> str:
    """Where our time goes in a step: the last run's tasks, and what is left for Ansible itself."""
    run = [run for run in runs if run["step"] == step and run["way"] == "ours"][-1]
    rows, short, total = [], 0.0, 0.0
    for task in run["tasks"]:
        total += task["seconds"]
        if task["seconds"] < SLOW_TASK:
            short += task["seconds"]
            continue
        name = task["task"].split(" : ")[-1] + (f" ({task['item']})" if task["item"] else "")
        rows.append((name, f"{task['seconds']:.1f}"))
    rows.sort(key=lambda row: -float(row[1]))
    rows += [(f"shorter ones, {sum(task['seconds'] < SLOW_TASK for task in run['tasks'])} tasks", f"{short:.1f}"),
             ("Ansible before, between and after", f"{run['wall'] - total:.1f}")]
    return table([(f"{STEPS[step]}: task", "s"), *rows])


def peaks(runs: list[dict]) -> dict[str, dict[str, int]]:
    """Module → highest memory of its process ("own") and together with its children ("all"), in bytes."""
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        for module, peak in (run.get("modules") or {}).items():
            entry = found.setdefault(module, {"own": 0, "all": 0})
            for key in entry:
                entry[key] = max(entry[key], peak[key])
    return found


def memory_table(runs: list[dict]) -> str:
    rows = [("module", "its process, MB", "with its children, MB")]
    for module, peak in sorted(peaks(runs).items(), key=lambda entry: -entry[1]["own"]):
        rows.append((module, f"{peak['own'] / MB:.0f}", f"{peak['all'] / MB:.0f}"))
    return table(rows)


def site_line(site: dict[str, int]) -> str:
    return (
        f"code {site['code_bytes'] / MB:.0f} MB in {site['code_files']} files, data {site['data_bytes'] / MB:.0f} MB in"
        f" {site['data_files']} files, database {site['database_bytes'] / MB:.0f} MB on disk and"
        f" {site['sql_bytes'] / MB:.0f} MB as SQL, images {site['web_image_bytes'] / MB:.0f} MB and"
        f" {site['db_image_bytes'] / MB:.0f} MB"
    )


def machine_line(found: dict[str, object]) -> str:
    return (
        f"{found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB of memory, {found['system']}, Docker Engine"
        f" {found['engine']}, storage driver {found['storage_driver']}"
    )


def text(results: dict) -> str:
    """The whole report as Markdown."""
    runs = results["runs"]
    parts = [f"Site: {site_line(results['site'])}.", f"Machine: {machine_line(results['machine'])}.",
             conditions(results), step_tables(runs)]
    if results["memory"]:
        return "\n\n".join([parts[0], memory_table(runs)])
    ours = [step for step in STEPS if any(run["step"] == step and run["way"] == "ours" for run in runs)]
    parts += [task_table(runs, step) for step in ours]
    if ours:
        parts.append(memory_table(runs))
    return "\n\n".join(part for part in parts if part)


def conditions(results: dict) -> str:
    busiest = max(run["idle_load"] for run in results["runs"])
    cache = "was dropped" if results["caches_dropped"] else "could not be dropped"
    return (
        f"The page cache {cache} before each step. Other work kept at most {busiest:.1f} processors busy just before."
        f" Runs of each step: {results['repeat']}; the median counts."
    )
