# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on what a stack costs over SSH."""

from __future__ import annotations

from fleet import STACKS, STEPS
from tables import number, table

_SECONDS, _TASKS = 10, 20  # of one empty stack


def parts(results: dict) -> list[str]:
    return [step_table(results["runs"]), task_table(results["runs"]), verdict(results)]


def remote(run: dict) -> int:
    """How many tasks of a run went over SSH."""
    return sum(1 for task in run["tasks"] if task["remote"])


def step_table(runs: list[dict]) -> str:
    rows = [("over SSH", "stacks", "wall time, s", "a stack, s", "tasks over SSH", "a stack", "other tasks",
             "processor time of the machine, s")]
    for run in runs:
        each = run["stacks"] or 1
        rows.append((STEPS[run["step"]][0], str(run["stacks"] or ""), number(run["wall"]), number(run["wall"] / each),
                     str(remote(run)), number(remote(run) / each), str(len(run["tasks"]) - remote(run)),
                     number(run["machine"])))
    return table(rows)


def task_table(runs: list[dict]) -> str:
    """Where the time of the first backup of one stack goes."""
    (run,) = (run for run in runs if run["step"] == "one-first")
    others = sum(task["seconds"] for task in run["tasks"] if not task["remote"])
    rows = [("first backup of an empty stack: task over SSH", "s")]
    rows += [(task["task"].split(" : ")[-1], number(task["seconds"], 1, 2)) for task in run["tasks"] if task["remote"]]
    rows += [(f"{len(run['tasks']) - remote(run)} tasks on the control node", number(others, 1, 2)),
             ("Ansible before, between and after",
              number(run["wall"] - sum(task["seconds"] for task in run["tasks"]), 1, 2))]
    return table(rows)


def verdict(results: dict) -> str:
    by_step = {run["step"]: run for run in results["runs"]}
    first, others, every, tuned = (by_step[step] for step in ("one-first", "all-first", "all-repeat", "one-tuned"))
    each = others["wall"] / others["stacks"]
    most = f"at most {_SECONDS}"
    found = [(f"an empty stack, one of {others['stacks']} in a run: wall time, s", most, number(each),
              each <= _SECONDS),
             ("an empty stack, alone in a run: wall time, s", most, number(first["wall"]), first["wall"] <= _SECONDS),
             ("the same with other settings of Ansible", most, number(tuned["wall"]), tuned["wall"] <= _SECONDS),
             ("an empty stack: tasks over SSH", f"at most {_TASKS}", str(remote(first)), remote(first) <= _TASKS),
             ("stacks in one run", str(STACKS), str(every["stacks"]), every["stacks"] >= STACKS)]
    return table([("target", "wanted", "measured", "reached")]
                 + [(*row[:3], "yes" if row[3] else "no") for row in found])
