# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reports share: names of steps and figures, the median of several runs, Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

MB = 1_000_000
STEPS = {
    "first": "first backup",
    "unchanged": "repeat, nothing changed",
    "changed": "repeat, 1 % new files, 5 % new rows",
    "restore-in-place": "restore in place after that change",
    "restore-empty": "restore onto an empty engine",
}
# figure → what it is called, its unit, digits behind the point
FIGURES = {
    "wall": ("wall time, s", 1, 1),
    "machine": ("processor time of the whole machine, s", 1, 1),
    "processes": ("processor time of its own processes, s", 1, 1),
    "memory": ("peak memory of its own processes, MB", MB, 0),
    "disk": ("written to disk by the whole machine, MB", MB, 1),
    "added": ("added to its storage, MB", MB, 2),
}


def typical(runs: Iterable[dict], figure: str, **which: object) -> float | None:
    """The median of a figure over the runs that have these values, or None if there was none."""
    found = [run[figure] for run in runs
             if all(run.get(key) == value for key, value in which.items()) and run.get(figure) is not None]
    return statistics.median(found) if found else None


def ratio(runs: list[dict], step: str, way: str, figure: str = "wall") -> float | None:
    """How many times as much as ours another way needs."""
    other, ours = (typical(runs, figure, step=step, way=name) for name in (way, "ours"))
    return other / ours if other and ours else None


def table(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table that reads well as text, too; the first row is its head. Numbers are set to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cells(row: tuple[str, ...]) -> list[str]:
        return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells(rows[0])), line(rule), *(line(cells(row)) for row in rows[1:])])


def number(value: float | None, unit: float = 1, digits: int = 1) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"
