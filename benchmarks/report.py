# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns results into Markdown that reads well in a terminal, too."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import floors
import plot
import report_fleet
import report_growth
import targets
from tables import FIGURES, MB, STEPS, number, ratio, table, typical

MEMORY_LIMIT = 150 * MB  # of one process of ours
SLOW_TASK = 0.8  # seconds; what is shorter is added up


def text(results: dict) -> str:
    """The whole report of one series."""
    parts = {"comparison": comparison, "growth": report_growth.parts, "memory": memory,
             "fleet": report_fleet.parts}[results["series"]](results)
    head = [f"Machine: {machine_line(results['machine'])}.", conditions(results)]
    return "\n\n".join(part for part in head + parts if part)


def comparison(results: dict) -> list[str]:
    runs = results["runs"]
    ways = list(dict.fromkeys(run["way"] for run in runs))
    ways.sort(key=("original", "restic", "ours").index)
    parts = [f"Site: {site_line(results['site'])}.", plot.bars(runs, ways)]
    parts += [figure_table(runs, ways, figure) for figure in FIGURES]
    parts += [floor_table(results["floors"]), targets.table_of(results)]
    parts += [parts_table(runs, way) for way in ways if way != "ours"]
    if "ours" in ways:
        parts += [task_table(runs, step) for step in steps_of(runs)]
        parts.append(memory_table(runs))
    return parts


def memory(results: dict) -> list[str]:
    return [memory_table(results["runs"])]


# --- the machine and the site ---------------------------------------------------------------------------------------


def machine() -> dict[str, object]:
    """The machine, without anything that names it."""
    total = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024
    asked = subprocess.run(["docker", "info", "--format", "{{json .}}"], capture_output=True, check=True)
    engine = json.loads(asked.stdout)
    found = {"cores": os.cpu_count(), "memory_bytes": total, "system": engine["OperatingSystem"],
             "engine": engine["ServerVersion"], "storage_driver": engine["Driver"]}
    try:
        asked = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True)
        found["restic"] = asked.stdout.split()[1]
    except FileNotFoundError:
        pass
    return found


def machine_line(found: dict[str, object]) -> str:
    return (
        f"{found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB of memory, {found['system']}, Docker Engine"
        f" {found['engine']}, storage driver {found['storage_driver']}"
        + (f", restic {found['restic']}" if "restic" in found else "")
    )


def site_line(site: dict[str, int]) -> str:
    return (
        f"code {site['code_bytes'] / MB:.0f} MB in {site['code_files']} files, data {site['data_bytes'] / MB:.0f} MB in"
        f" {site['data_files']} files, database {site['database_bytes'] / MB:.0f} MB on disk and"
        f" {site['sql_bytes'] / MB:.0f} MB as SQL, images {site['web_image_bytes'] / MB:.0f} MB and"
        f" {site['db_image_bytes'] / MB:.0f} MB"
    )


def conditions(results: dict) -> str:
    busiest = max(run["idle_load"] for run in results["runs"])
    cold = {run["cold"] for run in results["runs"]}  # None if nobody wanted it to be
    cache = "was dropped" if cold == {True} else "was left as it was" if cold == {None} else "could not be dropped"
    return (
        f"Scale {results['scale']:g}. The page cache {cache} before each step. Other work kept at most {busiest:.1f}"
        f" processors busy just before a step. Rounds: {results['repeat']}"
        + ("; the median counts." if results["repeat"] > 1 else ".")
    )


# --- figures --------------------------------------------------------------------------------------------------------


def steps_of(runs: list[dict]) -> list[str]:
    return [step for step in STEPS if any(run["step"] == step for run in runs)]


def figure_table(runs: list[dict], ways: list[str], figure: str) -> str:
    """One figure, a step each line."""
    label, unit, digits = FIGURES[figure]
    others = [way for way in ways if way != "ours"] if "ours" in ways else []
    rows = [(label, *ways, *(f"{way} / ours" for way in others))]
    for step in steps_of(runs):
        if figure == "added" and step.startswith("restore"):
            continue
        quotients = [ratio(runs, step, way, figure) for way in others]
        rows.append((STEPS[step], *(number(typical(runs, figure, step=step, way=way), unit, digits) for way in ways),
                     *(number(quotient, 1, 2 if quotient and quotient < 10 else 0) for quotient in quotients)))
    return table(rows)


def floor_table(found: list[dict]) -> str:
    rows = [("floor: each alone, with nothing beside it", "wall time, s", "processor time of the machine, s")]
    rows += [(floors.ALL[entry["floor"]].title, number(entry["wall"]), number(entry["machine"])) for entry in found]
    return table(rows) if found else ""


def parts_table(runs: list[dict], way: str) -> str:
    """Seconds that each part of a script took, in the last round."""
    steps = steps_of(runs)
    seconds: dict[str, dict[str, float]] = {}
    for run in runs:
        if run["way"] == way:
            for task in run["tasks"]:
                seconds.setdefault(task["task"], {})[run["step"]] = task["seconds"]
    rows = [(f"{way}: part, s", *steps)]
    return table(rows + [(part, *(number(found.get(step)) for step in steps)) for part, found in seconds.items()])


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
    return table([(f"ours, {STEPS[step]}: task", "s"), *rows])


# --- memory of modules ----------------------------------------------------------------------------------------------


def peaks(runs: list[dict]) -> dict[str, dict[str, int]]:
    """Module → highest memory of one process ("own") and of all its processes ("all"), in bytes."""
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        for module, peak in (run.get("modules") or {}).items():
            entry = found.setdefault(module, {"own": 0, "all": 0})
            for key in entry:
                entry[key] = max(entry[key], peak[key])
    return found


def too_large(results: dict) -> list[str]:
    """The modules of which a process took more memory than it may."""
    return sorted(name for name, peak in peaks(results["runs"]).items() if peak["own"] > MEMORY_LIMIT)


def memory_table(runs: list[dict]) -> str:
    rows = [("ours: module", "its largest process, MB", "all its processes, MB")]
    for module, peak in sorted(peaks(runs).items(), key=lambda entry: -entry[1]["all"]):
        rows.append((module, f"{peak['own'] / MB:.0f}", f"{peak['all'] / MB:.0f}"))
    return table(rows)
