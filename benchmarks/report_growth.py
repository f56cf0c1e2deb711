# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on how cost grows with the site."""

from __future__ import annotations

from growth import FACTORS, STEPS, exponent, line
from tables import FIGURES, MB, number, table, typical
from tables import STEPS as TITLES

_STEADY = 0.1  # an exponent up to this is called constant: the memory then grows by a quarter in 8 times the site
_IN_PROPORTION = 1.1


def parts(results: dict) -> list[str]:
    runs = results["runs"]
    ways = list(dict.fromkeys(run["way"] for run in runs))
    found = [sizes(results["sites"])]
    found += [growth_table(runs, way, step) for way in ways for step in STEPS]
    if "ours" in ways:
        found += [files_table(results["files"]), verdict(runs, results["files"])]
    return found


def sizes(sites: dict) -> str:
    rows = [("site", *(f"{factor} times" for factor in sites))]
    for label, key, unit, digits in (("code, MB", "code_bytes", MB, 0), ("data, MB", "data_bytes", MB, 0),
                                     ("stored files and others", "data_files", 1, 0), ("SQL, MB", "sql_bytes", MB, 1),
                                     ("web image, MB", "web_image_bytes", MB, 0),
                                     ("database image, MB", "db_image_bytes", MB, 0)):
        rows.append((label, *(number(site[key], unit, digits) for site in sites.values())))
    return table(rows)


def points(runs: list[dict], way: str, step: str, figure: str) -> list[tuple[float, float]]:
    """(factor, figure) for every size that was measured."""
    found = [(factor, typical(runs, figure, factor=factor, step=step, way=way)) for factor in FACTORS]
    return [(factor, value) for factor, value in found if value is not None]


def growth_table(runs: list[dict], way: str, step: str) -> str:
    """A step at all sizes: the exponent, and a straight line as "fixed + so much for each time"."""
    rows = [(f"{way}, {TITLES[step]}", *map(str, FACTORS), "exponent", "fixed", "each time")]
    for figure, (label, unit, digits) in FIGURES.items():
        found = points(runs, way, step, figure)
        fixed, each = line(found)
        rows.append((label, *(number(value, unit, digits) for _factor, value in found), f"{exponent(found):.2f}",
                     number(fixed, unit, digits), number(each, unit, digits)))
    return table(rows)


def verdict(runs: list[dict], files: list[dict]) -> str:
    found = [(f"{TITLES[step]}: peak memory is constant, exponent", _STEADY,
              exponent(points(runs, "ours", step, "memory"))) for step in STEPS]
    found += [("stored files alone, repeat: a stat each, exponent of the wall time", _IN_PROPORTION,
               exponent(file_points(files, "wall"))),
              ("stored files alone, repeat: peak memory is constant, exponent", _STEADY,
               exponent(file_points(files, "memory")))]
    rows = [("target", "wanted", "measured", "reached")]
    return table(rows + [(what, f"at most {wanted}", f"{measured:.2f}", "yes" if measured <= wanted else "no")
                         for what, wanted, measured in found])


def file_points(files: list[dict], figure: str, step: str = "unchanged") -> list[tuple[float, float]]:
    """(number of stored files, figure) for every number that was measured."""
    counts = sorted({run["files"] for run in files})
    return [(count, typical(files, figure, files=count, step=step)) for count in counts]


def files_table(files: list[dict]) -> str:
    """What storing and repeating cost, a number of stored files each line."""
    rows = [("stored files alone", "new", "store them, s", "new per second", "repeat, s", "repeat, processor s",
             "repeat, peak MB")]
    columns = [file_points(files, "new", "first"), file_points(files, "wall", "first"),
               *(file_points(files, figure) for figure in ("wall", "processes", "memory"))]
    for points_of_count in zip(*columns):
        new, wall, *repeat = (value for _count, value in points_of_count)
        rows.append((f"{points_of_count[0][0]:,}", f"{new:,.0f}", number(wall), f"{new / wall:,.0f}" if wall else "",
                     number(repeat[0], 1, 2), number(repeat[1], 1, 2), number(repeat[2], MB)))
    return table(rows + [("exponent", "", "", "", *(f"{exponent(column):.2f}" for column in columns[2:]))])
