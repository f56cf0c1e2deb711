# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection promises, and whether a run has reached it."""

from __future__ import annotations

from tables import MB, STEPS, ratio, table, typical

# step, compared with, at least so many times as fast as that
_SPEED = (("first", "original", 3.0), ("unchanged", "original", 20.0), ("unchanged", "restic", 1.0),
          ("restore-in-place", "original", 5.0), ("restore-empty", "original", 2.5))
# Of each step the floors that stand one behind the other; of those in brackets the longest, they can be side by side.
_FLOORS = {"first": [("images", "database", "code"), ("ansible",)], "unchanged": [("database",), ("ansible",)],
           "restore-in-place": [("load",), ("ansible",)], "restore-empty": [("load images", "load"), ("ansible",)]}
_IMAGES_FACTOR = 1.3
_ROOM = MB  # what a repeat may add beyond the dump and what is new, in bytes
Line = tuple[str, str, str, bool, str]  # target, wanted, measured, reached, what it would be at the floor


def lines(results: dict) -> list[Line]:
    """The targets that this run can tell something about."""
    return [*_speed(results), *_near_floor(results), *_bytes(results["runs"])]


def table_of(results: dict) -> str:
    found = lines(results)
    rows = [("target, on 2 cores and at scale 1", "wanted", "measured", "reached", "at the floors")]
    rows += [(*line[:3], "yes" if line[3] else "no", line[4]) for line in found]
    return table(rows) if found else ""


def floor_of(floors: list[dict], step: str) -> float | None:
    """Seconds that a step takes if nothing is done but its unavoidable pipelines, or None if one was not measured."""
    seconds = [[typical(floors, "wall", floor=name) for name in names] for names in _FLOORS[step]]
    return None if any(None in each for each in seconds) else sum(map(max, seconds))


def _speed(results: dict) -> list[Line]:
    found, runs = [], results["runs"]
    for step, other, wanted in _SPEED:
        quotient = ratio(runs, step, other)
        if quotient is not None:
            asked = f"at least {wanted:g}" if wanted > 1 else "more than 1"
            floor = floor_of(results["floors"], step)
            at_floor = f"{typical(runs, 'wall', step=step, way=other) / floor:.2f}" if floor else ""
            found.append((f"{STEPS[step]}: {other} / ours, wall time", asked, f"{quotient:.2f}",
                          quotient >= wanted if wanted > 1 else quotient > 1, at_floor))
    return found


def _near_floor(results: dict) -> list[Line]:
    ours = typical(results["runs"], "wall", step="first", way="ours")
    floor = typical(results["floors"], "wall", floor="images")
    if ours is None or not floor:
        return []
    return [(f"{STEPS['first']}: ours / saving the images alone, wall time", f"at most {_IMAGES_FACTOR}",
             f"{ours / floor:.2f}", ours / floor <= _IMAGES_FACTOR, "1.00")]


def _bytes(runs: list[dict]) -> list[Line]:
    found = []
    for step in ("unchanged", "changed"):
        added, dump, new = (typical(runs, figure, step=step, way="ours") for figure in ("added", "dump", "new_bytes"))
        if added is not None:
            allowed = dump + new + _ROOM
            found.append((f"{STEPS[step]}: MB added, with the dump of {dump / MB:.2f} and {new / MB:.2f} new",
                          f"at most {allowed / MB:.2f}", f"{added / MB:.2f}", added <= allowed,
                          f"{(dump + new) / MB:.2f}"))
    return found
