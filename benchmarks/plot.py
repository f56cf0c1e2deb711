# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws results: bars for a terminal, and an SVG picture for the documents. Needs no library."""

from __future__ import annotations

import math
from html import escape

from tables import FIGURES, STEPS, number, typical

WIDTH = 50  # characters of the longest bar
_EIGHTHS = " ▏▎▍▌▋▊▉"
COLOURS = {"original": "#9a6a5b", "restic": "#6c8ebf", "ours": "#2e8b57"}
_SHAPES = {"first": "", "unchanged": "6 4"}  # dashes of the lines of growth
_LEFT, _BAR, _ROW, _PANEL, _MARGIN = 240, 500, 17, 34, 130  # pixels


def bars(runs: list[dict], ways: list[str]) -> str:
    """Wall times as bars of text, in a block of code."""
    lines = []
    longest = max(run["wall"] for run in runs)
    for step, title in STEPS.items():
        if not any(run["step"] == step for run in runs):
            continue
        lines += ["", title]
        for way in ways:
            value = typical(runs, "wall", step=step, way=way)
            if value is not None:
                lines.append(f"  {way:<8} {_bar(value / longest)} {value:.1f} s")
    return "\n".join(["```text", *lines[1:], "```"])


def _bar(share: float) -> str:
    eighths = max(1, round(share * WIDTH * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


# --- SVG ------------------------------------------------------------------------------------------------------------


def svg(series: dict[str, dict]) -> str:
    """All series that there are as one picture: bars for the comparison, lines for growth."""
    drawing = _Drawing()
    if "comparison" in series:
        runs = series["comparison"]["runs"]
        for figure in ("wall", "machine", "memory", "added"):
            drawing.panel(runs, figure)
    if "growth" in series:
        for figure in ("wall", "memory"):
            drawing.curves(series["growth"]["runs"], figure, "factor", "the size of the site")
            repeats = [run for run in series["growth"]["files"] if run["step"] == "unchanged"]
            drawing.curves(repeats, figure, "files", "the number of stored files alone")
    return drawing.text()


class _Drawing:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 10

    def text(self) -> str:
        width = _LEFT + _BAR + _MARGIN
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {self.y + 10}" width="{width}"'
            f' height="{self.y + 10}" font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="#ffffff"/>', *self.parts, "</svg>", ""])

    def word(self, x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
                          f"{escape(text)}</text>")

    def panel(self, runs: list[dict], figure: str) -> None:
        """Bars of one figure, grouped by step."""
        label, unit, digits = FIGURES[figure]
        values = {(step, way): typical(runs, figure, step=step, way=way) for step in STEPS for way in COLOURS
                  if figure != "added" or not step.startswith("restore")}
        values = {key: value for key, value in values.items() if value is not None}
        longest = max(values.values(), default=0) or 1
        self.word(10, self.y + 14, label, weight="bold")
        self.y += _PANEL
        for step, title in STEPS.items():
            shown = [way for way in COLOURS if (step, way) in values]
            if shown:
                self.word(_LEFT - 10, self.y + _ROW * len(shown) / 2 + 3, title, "end")
            for way in shown:
                value = values[step, way]
                length = max(1.0, max(0.0, value) / longest * _BAR)
                self.parts.append(f'<rect x="{_LEFT}" y="{self.y}" width="{length:.1f}" height="{_ROW - 3}"'
                                  f' fill="{COLOURS[way]}"/>')
                self.word(_LEFT + length + 5, self.y + 11, f"{way} {number(value, unit, digits)}")
                self.y += _ROW
            self.y += 9 if shown else 0
        self.y += 6

    def curves(self, runs: list[dict], figure: str, key: str, what: str) -> None:
        """A figure over a key of the runs, both axes logarithmic."""
        label, unit, digits = FIGURES[figure]
        height, top = 200, self.y + _PANEL
        self.word(10, self.y + 14, f"{label}, over {what} (both axes logarithmic)", weight="bold")
        factors = sorted({run[key] for run in runs})
        values = [run[figure] / unit for run in runs if run[figure] > 0]
        high = 2.0 ** math.ceil(math.log2(max(values)))
        low = min(2.0 ** math.floor(math.log2(min(values))), high / 8)  # what is flat has to look flat

        def place(factor: float, value: float) -> tuple[float, float]:
            across = math.log(factor / factors[0]) / (math.log(factors[-1] / factors[0]) or 1)
            up = math.log(value / low) / math.log(high / low)
            return _LEFT + across * (_BAR - 60), top + height * (1 - up)

        self.parts.append(f'<path d="M{_LEFT} {top}V{top + height}H{_LEFT + _BAR}" fill="none" stroke="#888"/>')
        self.word(_LEFT - 8, top + 4, f"{high:g}", "end")
        self.word(_LEFT - 8, top + height + 4, f"{low:g}", "end")
        for factor in factors:
            text = f"{factor:,}" + (" times" if key == "factor" else "")
            self.word(place(factor, low)[0], top + height + 16, text, "middle")
        taken: list[float] = []
        for step, dashes in _SHAPES.items():
            for way, colour in COLOURS.items():
                found = [(factor, typical(runs, figure, step=step, way=way, **{key: factor})) for factor in factors]
                dots = [place(factor, value / unit) for factor, value in found if value]
                if dots:
                    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in dots)
                    self.parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"'
                                      f' stroke-dasharray="{dashes}"/>')
                    label_y = dots[-1][1] + 4
                    while any(abs(label_y - other) < 13 for other in taken):
                        label_y += 1
                    taken.append(label_y)
                    self.word(dots[-1][0] + 6, label_y, f"{way}, {step}: {number(found[-1][1], unit, digits)}")
        self.y = top + height + 34
