# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison: several ways of backing up take the same steps on the same site, one after another.

A round begins with a site that is generated anew. Every way makes its first backup, then every way its second, then the
site is changed once, and so on: at each step all of them see the same site.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import floors
import stack
import ways
from stack import BenchmarkError, Size
from ways import Way

BACKUPS = ("first", "unchanged", "changed")
RESTORES = ("restore-in-place", "restore-empty")
STEPS = BACKUPS + RESTORES


class Comparison:
    """All rounds of one call.

    :param steps: of STEPS, with "first" among them.
    :param names: of ways.WAYS.
    :param say: is told what happens.
    """

    def __init__(self, size: Size, work: Path, steps: list[str], names: list[str], say: Callable[[str], None]) -> None:
        self.size, self.work, self.steps, self.names, self.say = size, work, steps, names, say
        self.runs: list[dict] = []
        self.floors: list[dict] = []
        self.site: dict[str, int] = {}

    def run(self, rounds: int) -> None:
        for number in range(rounds):
            Round(self, number).run()

    def facts(self) -> dict[str, object]:
        return {"site": self.site, "runs": self.runs, "floors": self.floors}


class Round:
    """One site, from its making to the last restore."""

    def __init__(self, comparison: Comparison, number: int) -> None:
        self.all, self.number, self.size, self.say = comparison, number, comparison.size, comparison.say
        self.work = comparison.work / f"round{number}"
        self.proofs: dict[bool, dict[str, str]] = {}  # is the site changed? → what it then has to hold
        self.changed = False
        self.news: dict[str, int] = {}
        self.count = 0

    def run(self) -> None:
        self.say(f"setting up the site: {self.size}")
        stack.empty_engine()
        self.work.mkdir()
        folder = stack.set_up(self.size, self.work, "restore-empty" in self.all.steps)
        self.ways = {name: ways.WAYS[name](self.work, folder) for name in self.all.names}
        self.proofs[False] = stack.fingerprint()
        if not self.all.site:
            self.all.site = stack.measured() | {"sql_bytes": stack.sql_bytes()}
        self.measure_floors(floors.BACKUP)
        for step in STEPS:
            if step in self.all.steps:
                self.say(f"{step}:")
                {"restore-in-place": self.in_place, "restore-empty": self.empty}.get(step, self.backups)(step)
        shutil.rmtree(self.work)

    def measure_floors(self, which: dict[str, floors.Floor]) -> None:
        if self.number == 0:
            for name, floor in which.items():
                self.all.floors.append({"floor": name, **floors.measured(floor, self.work)})
                self.say(f"  floor, {floor.title}: {self.all.floors[-1]['wall']:.1f} s")

    # --- backups ----------------------------------------------------------------------------------------------------

    def names(self, step: str) -> list[str]:
        """The ways in the order of this step: they take turns at being the first."""
        turn = (self.number + STEPS.index(step)) % len(self.all.names)
        return self.all.names[turn:] + self.all.names[:turn]

    def backups(self, step: str) -> None:
        if step == "changed":
            self.change()
        for name in self.names(step):
            way = self.ways[name]
            entry = self.take(step, way, way.backup(step))
            entry |= way.made(step) | (self.news if step == "changed" else {"new_files": 0, "new_bytes": 0})
            self.all.runs.append(entry)

    def change(self) -> None:
        """Bring the site to its changed state, the same as the times before."""
        if self.changed:
            return
        before = stack.stored()
        stack.change(self.size)
        self.changed = True
        after, proof = stack.stored(), stack.fingerprint()
        self.news = {"new_files": after[0] - before[0], "new_bytes": after[1] - before[1]}
        if proof == self.proofs[False] or not self.news["new_files"]:
            raise BenchmarkError("the site was changed and is the same as before")
        stack.compare(self.proofs.setdefault(True, proof), proof, "changed once more")

    # --- restores ---------------------------------------------------------------------------------------------------

    def base(self) -> str:
        """The last backup before the change."""
        return "unchanged" if "unchanged" in self.all.steps else "first"

    def in_place(self, step: str) -> None:
        """Each way takes the changed site back to the backup from before the change.

        Ours goes first, as it reuses what is there. The other ways remove it, so that to them it does not matter who
        put it there.
        """
        self.measure_floors(floors.IN_PLACE)
        for name in sorted(self.names(step), key=lambda name: name != "ours"):
            self.change()
            self.all.runs.append(self.take(step, self.ways[name], self.ways[name].restore(self.base())))
            self.changed = False
            stack.compare(self.proofs[False], stack.fingerprint(), f"restored in place by '{name}'")

    def empty(self, step: str) -> None:
        """Each way restores its latest backup onto an engine with nothing of the stack, not even its images."""
        latest = "changed" if "changed" in self.all.steps else self.base()
        stack.empty_engine()
        self.measure_floors(floors.EMPTY)
        for name in self.names(step):
            stack.empty_engine()
            self.all.runs.append(self.take(step, self.ways[name], self.ways[name].restore(latest)))
            self.changed = latest == "changed"
            stack.compare(self.proofs[self.changed], stack.fingerprint(), f"restored onto an empty engine by '{name}'")

    def take(self, step: str, way: Way, words: list[str]) -> dict:
        self.count += 1
        entry = ways.run(way, words, self.work / f"{self.count}-{step}-{way.name}.log")
        self.say(f"  {way.name}: {entry['wall']:.1f} s")
        return {"step": step, "round": self.number, **entry}
