# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts prepared blobs into a filedir, in renames that can be undone from any point.

The folders and states are those of _switch; what is in them differs, for most blobs stay where they are:

    _new (then _live)  "tree": the blobs that come; "list": the names that the filedir is to have
    _old               "tree": the blobs that went; "aside" and "moves": what goes and what comes, written before the
                       first rename and never changed

"list", "aside" and "moves" hold a file for each of the 256 first two digits, so that memory does not grow with the
number of blobs. Whoever finds a path of "moves" in "tree" knows that it did not come yet, and whoever finds a path of
"aside" in "tree" knows that it went. A rollback first makes "list" "undone", so that nobody goes forward from there.
"""
from __future__ import annotations

import contextlib
import itertools
import os
import tempfile

from ._errors import IntegrityError, UsageError
from ._filedir_source import PREFIXES, location, open_source
from ._paths import join
from ._switch import Switch


class FiledirSwitch(Switch):
    """One transaction in one filedir. :param files: DirectFiledir or ShellFiledir. :param transaction: str."""

    def __init__(self, files, transaction):
        super().__init__(files.place, transaction, mark="blobs")
        self.files = files

    # --- the phases; what is not here is inherited --------------------------------------------------------------

    def keep_wanted(self, names):
        """Keep what the filedir is to have, after begin(). :param names: file, a name a line, sorted."""
        self.files.save(join(self.part, b"list"), by_prefix(names))

    def due(self, phase):
        if phase == "switch" and "new" in self.present():
            self._require_going_forward()
        return super().due(phase)

    def switch(self, mounts=()):
        """Put the prepared blobs in place. Return whether anything was left to do (bool)."""
        if not self.due("switch"):
            if "old" not in self.present():
                raise UsageError("The transaction '%s' has been committed already" % self.transaction)
            return False
        with self.place.times_kept():
            if "old" not in self.present():
                self._open_old()
            attributes = self._plan(self.old)["attributes"]
            for prefix in PREFIXES:
                self.files.shift(self._old(b"aside", prefix), b"", join(self.old, b"tree"), attributes)
                self.files.shift(self._old(b"moves", prefix), join(self.new, b"tree"), b"", attributes)
            self.place.sync()
            self.place.move([(self.new, self.live)])
        return True

    def _require_going_forward(self):
        if not self.place.is_folder(join(self.new, b"list")):
            raise UsageError("The transaction '%s' is being rolled back" % self.transaction,
                             "Finish that with phase=rollback.")

    def _old(self, what, prefix):
        return join(join(self.old, what), prefix)

    # --- what the inherited phases call -------------------------------------------------------------------------

    def _units(self, tree, plan=None):
        """Return an empty list: with _live everything is in place."""
        return []

    def _take_down(self):
        """Nothing: the transaction is called prepared again first, so that nobody commits it half undone."""

    def _put_back(self):
        attributes = self._plan(self.old)["attributes"]
        if self.place.is_folder(join(self.new, b"list")):
            self.place.move([(join(self.new, b"list"), join(self.new, b"undone"))])
        with self.place.times_kept():
            for prefix in PREFIXES:
                # What the site removed since is marked: a path that is in neither place would be taken away when this
                # is repeated after a kill, although it is the old one that was put back by then.
                self.files.shift(self._old(b"moves", prefix), b"", join(self.new, b"tree"), attributes, back=True)
                self.files.shift(self._old(b"aside", prefix), join(self.old, b"tree"), b"", attributes)
        # The times of before the switch, which may have been killed before it could give them back.
        self.place.copy_attributes(join(self.old, b"attributes"), b"")

    def _bundle(self, plan):
        super()._bundle(plan)
        for name in (b"list", b"aside", b"moves"):
            self.place.make(join(self.part, name))

    # --- what goes and what comes -------------------------------------------------------------------------------

    def _open_old(self):
        plan = self._plan(self.new)
        if not self._sort_out(plan, True):
            self._sort_out(plan, False)
        self.place.sync()
        self.place.move([(self.part, self.old)])

    def _sort_out(self, plan, fetch):
        """Write down what goes and what comes. Return whether nothing was missing.

        The site was up since everything was prepared, and may have removed a blob that was right then.
        """
        with self.place.times_kept():
            self._discard(self.part)
            self._bundle(plan)
        self._keep_attributes(b"", self.part, [b""])
        with contextlib.ExitStack() as stack:
            asides, all_moves, missing = (stack.enter_context(tempfile.TemporaryFile()) for _each in range(3))
            for prefix in PREFIXES:
                wanted = set(self.place.read(join(self.new, b"list/" + prefix)).split())
                live = self.files.listing(b"", prefix)
                aside, moves, gone = arrange(prefix, wanted, live, self.files.listing(join(self.new, b"tree"), prefix))
                asides.write(_lines(aside))
                all_moves.write(_lines(moves))
                missing.write(_lines(gone))
            if missing.tell() and not fetch:
                raise IntegrityError("Blobs vanish from the filedir while it is put in place",
                                     "Stop the site, then run phase=switch again.")
            if missing.tell():
                self._fetch(plan, missing)
                return False
            self.files.save(join(self.part, b"aside"), by_prefix(asides))
            self.files.save(join(self.part, b"moves"), by_prefix(all_moves))
        return True

    def _fetch(self, plan, missing):
        """Write missing blobs beside, then add them to the prepared ones. :param missing: file, a name a line."""
        source = open_source(os.fsdecode(plan["src"]), os.fsdecode(plan["pool"]) or None)
        more = join(self.part, b"more")
        self.place.make(more)
        missing.seek(0)
        self.files.write(more, source.contents(line.strip() for line in missing), plan["attributes"])
        self.place.sync()
        missing.seek(0)
        for _prefix, lines in itertools.groupby(missing, lambda line: line[:2]):
            self.files.save(self.part, [(b"fetched", _lines(location(line.strip()) for line in lines))])
            self.files.shift(join(self.part, b"fetched"), more, join(self.new, b"tree"), plan["attributes"])


def _lines(items):
    return b"".join(item + b"\n" for item in items)


def by_prefix(lines):
    """Yield (prefix, its lines as bytes) for every prefix. :param lines: file, sorted by prefix."""
    lines.seek(0)
    groups = itertools.groupby(lines, lambda line: line[:2])
    group = next(groups, None)
    for prefix in PREFIXES:
        if group is not None and group[0] == prefix:
            yield prefix, b"".join(group[1])
            group = next(groups, None)
        else:
            yield prefix, b""


def arrange(prefix, wanted, live, new):
    """Return (relative paths that go, relative paths that come, names that are nowhere), sorted lists. Pure.

    What comes may be a whole folder, where the filedir has none of that name.

    :param prefix: bytes, two digits. :param wanted: set of names. :param live, new: as DirectFiledir.listing gives.
    """
    there, ours = live or {}, new or {}
    aside, moves, known = [], [], set()
    for second in sorted(set(there) | set(ours)):
        old_names, new_names = there.get(second), ours.get(second, {})
        aside += [location(name) for name in sorted(old_names or ()) if name not in wanted or name in new_names]
        if new_names:
            moves += [prefix + b"/" + second] if old_names is None else map(location, sorted(new_names))
        known.update(old_names or (), new_names)
    if live is None and moves:
        moves = [prefix]
    return aside, moves, sorted(wanted - known)
