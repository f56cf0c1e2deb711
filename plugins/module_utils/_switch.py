# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts a prepared tree in the place of the one that is there, in renames that can be undone from any point.

What exists says where a transaction stands; nobody keeps a journal. Folders in the tree's root:

    .moodle_backup_<transaction>_part   unfinished, of no use to anybody, removed by whoever comes next
                              ..._new   the prepared tree; with _old: entries are moving to _old
                              ..._live  the same folder in the second half: entries are moving up from it
                              ..._old   what was there before

    nothing | new | new and old | live and old | live alone: committed, but not tidied up

(the transaction's name is followed by "-" and a mark of the file when the tree is a single file).

Each is a folder that only root can enter, with "tree" (the entries), "attributes" (empty folders that carry the owner,
mode and times of those folders that stay where they are) and "plan" (what the transaction is about; never changed).

What must stay where it is (patterns to keep, mount points) splits the folders above it: their entries move one by one.
"""
from __future__ import annotations

import hashlib
import json
import re

from ._errors import ExistsError, NotFoundError, UsageError
from ._paths import Patterns, ancestors, is_within, join, parent, show

PREFIX = b".moodle_backup_"
PARTS = (b"part", b"new", b"live", b"old")


def owner_of(name):
    """Return the transaction (str) whose folder this name (bytes) is, or None."""
    if not name.startswith(PREFIX):
        return None
    transaction, _underscore, part = name[len(PREFIX):].rpartition(b"_")
    if not transaction or part not in PARTS:
        return None
    return transaction.partition(b"-")[0].decode("ascii", "replace")


def check_transaction(name):
    """Raise UsageError unless a transaction's name (str) is one."""
    if not re.fullmatch("[a-z0-9]{1,32}", name):
        raise UsageError("'%s' is no name of a transaction" % name, "Use 1 to 32 lower-case letters and digits.")


class Switch:
    """One transaction in one tree.

    :param place: DirectPlace or ShellPlace of the tree's root. :param transaction: str.
    :param single: name (bytes) of the file when the tree is a single file, place being the folder that holds it. Two
        files of one folder can be in the same transaction, so their folders' names have a mark of the file.
    :param mark: str, tells another kind of switch in the same folder and transaction apart.
    """

    def __init__(self, place, transaction, single=None, mark=None):
        check_transaction(transaction)
        self.place, self.transaction = place, transaction
        mark = hashlib.sha256(single).hexdigest()[:12] if single else mark
        mark = "-" + mark if mark else ""
        self._folders = {part: PREFIX + (transaction + mark).encode("ascii") + b"_" + part for part in PARTS}
        self.part, self.new, self.live, self.old = (self._folders[part] for part in PARTS)

    # --- the phases ---------------------------------------------------------------------------------------------

    def present(self):
        """Return which folders of the transaction exist (set of "part", "new", "live", "old")."""
        names = set(self.place.names(b""))
        return {part.decode() for part in PARTS if self._folders[part] in names}

    def due(self, phase):
        """Return whether a phase ("switch", "commit", "rollback") would change anything (bool)."""
        present = self.present()
        if phase == "switch":
            if not present & {"new", "live"}:
                raise self._unprepared()
            return "new" in present or ("old" in present and bool(self._units(join(self.live, b"tree"))))
        return bool(present)

    def _unprepared(self):
        return NotFoundError("Nothing is prepared for the transaction '%s'" % self.transaction, "Run phase=prepare.")

    def begin(self, plan):
        """Start anew. Return the folder (relative path) into which the tree is to be unpacked.

        :param plan: dict of "paths" (list of bytes, the only ones that are replaced, or None for the whole tree),
            "keep" (patterns, bytes) and "made" (bool: the tree's root did not exist before).
        """
        for name in self.place.names(b""):
            other = owner_of(name)
            if other not in (None, self.transaction):
                raise ExistsError(
                    "The restore '%s' of this tree is not finished ('%s' is there)" % (other, show(name)),
                    "Finish it with phase=commit or phase=rollback and transaction=%s." % other,
                )
        present = self.present()
        if present & {"old", "live"}:
            raise ExistsError("The transaction '%s' has been switched already" % self.transaction,
                              "Finish it with phase=commit, or undo it with phase=rollback.")
        with self.place.times_kept():
            self._discard(self.part)
            self._discard(self.new)
            self._bundle(plan)
        return join(self.part, b"tree")

    def prepared(self):
        """Say that the tree is unpacked completely."""
        self.place.sync()
        with self.place.times_kept():
            self.place.move([(self.part, self.new)])

    def switch(self, mounts=()):
        """Put the prepared tree in place. Return whether anything was left to do (bool).

        :param mounts: relative paths of mount points in the tree (bytes); they stay.
        """
        present = self.present()
        if "live" in present and "old" not in present:
            raise UsageError("The transaction '%s' has been committed already" % self.transaction)
        if "new" not in present and "live" not in present:
            raise self._unprepared()
        if "new" in present:
            if "old" not in present:
                self._open_old(mounts)
            self._set_aside()
            self.place.move([(self.new, self.live)])
        return self._move_up()

    def commit(self):
        """Remove what was there before. Return whether there was anything to do (bool)."""
        present = self.present()
        if "new" in present or ("live" in present and "old" in present and self._units(join(self.live, b"tree"))):
            raise UsageError("The transaction '%s' has not been switched" % self.transaction,
                             "Run phase=switch first, or give it up with phase=rollback.")
        if not present:
            return False
        with self.place.times_kept():
            if "old" in present:
                self._discard(self.part)
                self.place.move([(self.old, self.part)])  # from here on it cannot be undone
            self.place.remove(self.live)
            self.place.remove(self.part)
        return True

    def rollback(self):
        """Put back what was there before, from whatever point.

        :returns: dict of "changed" (bool), "committed" (bool: too late, the restored tree stays) and "made" (bool: the
            tree's root did not exist before the transaction).
        """
        present = self.present()
        if "live" in present and "old" not in present:
            return {"changed": self.commit(), "committed": True, "made": False}
        made = False
        if "old" in present:
            if "live" in present:
                self._take_down()
                self.place.move([(self.live, self.new)])
            self._put_back()
            made = self._plan(self.old)["made"]
        elif "new" in present:
            made = self._plan(self.new)["made"]
        with self.place.times_kept():
            self._discard(self.old)
            self._discard(self.new)
            self._discard(self.part)
        return {"changed": bool(present), "committed": False, "made": made}

    # --- the moves ----------------------------------------------------------------------------------------------

    def _set_aside(self):
        plan = self._plan(self.old)
        units = self._units(b"", plan)
        tree = join(self.old, b"tree")
        self._make_folders(tree, units, None)
        self.place.move([(path, join(tree, path)) for path in units])

    def _move_up(self):
        plan, tree = self._plan(self.old), join(self.live, b"tree")
        units = self._units(tree, plan)
        self._make_folders(b"", units, tree)
        self.place.move([(join(tree, path), path) for path in units])
        self._set_attributes(self.live, plan)
        return bool(units)

    def _take_down(self):
        plan, tree = self._plan(self.old), join(self.live, b"tree")
        self._move_or_discard(self._units(b"", plan), b"", tree, self.live)
        for path in reversed(plan["missing"]):
            self.place.remove_if_empty(path)

    def _put_back(self):
        plan, tree = self._plan(self.old), join(self.old, b"tree")
        units = self._units(tree, plan)
        clashes = sorted(self._existing(units))
        self._move_or_discard(clashes, b"", None, self.new)
        self.place.move([(join(tree, path), path) for path in units])
        self._set_attributes(self.old, plan)

    def _move_or_discard(self, units, source, target, bundle):
        """Move entries; those that have no place in the target go to the bundle's waste, and with it in the end."""
        waste = join(bundle, b"waste")
        if units and not self.place.is_folder(waste):
            self.place.make(waste)
        if target:
            self._make_folders(target, units, None)
        count = len(self.place.names(waste)) if units else 0
        taken = self._existing([join(target, path) for path in units]) if target else ()
        pairs = []
        for path in units:
            if target and join(target, path) not in taken:
                pairs.append((join(source, path), join(target, path)))
            else:
                count += 1
                pairs.append((join(source, path), join(waste, b"%d" % count)))
        self.place.move(pairs)

    def _existing(self, paths):
        """Return those of the relative paths that exist (set)."""
        there = {join(above, name) for above in {parent(path) for path in paths} for name in self.place.names(above)}
        return there.intersection(paths)

    # --- what is moved ------------------------------------------------------------------------------------------

    def _units(self, tree, plan=None):
        """Return the entries (relative paths) of a tree that move as they are."""
        plan = plan or self._plan(self.old)
        split = {above for path in plan["stay"] for above in ancestors(path)}

        def within(path):
            if path in plan["stay"]:
                return
            if path in split and self.place.is_folder(join(tree, path)):
                for name in self.place.names(join(tree, path)):
                    yield from within(join(path, name))
            else:
                yield path

        if plan["paths"] is None:
            tops = [name for name in self.place.names(tree) if tree or owner_of(name) is None]
        else:
            tops = [path for path in plan["paths"] if self.place.exists(join(tree, path))]
        return [path for top in tops for path in within(top)]

    def _staying(self, plan):
        """Return the folders that stay where they are but get the archive's attributes, innermost first."""
        split = {above for path in plan["stay"] for above in ancestors(path)}
        if plan["paths"] is None:
            return sorted(split | {b""}, reverse=True)
        return sorted((above for above in split if any(is_within(above, path) for path in plan["paths"])), reverse=True)

    def _make_folders(self, tree, units, form):
        """Make the folders above entries that are going to move to a tree, like those of another tree (form)."""
        for path in sorted({above for unit in units for above in ancestors(unit)}):
            if not self.place.exists(join(tree, path)):
                self.place.make(join(tree, path))
                if form is not None:
                    self.place.copy_attributes(join(form, path), join(tree, path))

    # --- the folders of the transaction -------------------------------------------------------------------------

    def _open_old(self, mounts):
        plan = self._plan(self.new)
        kept = Patterns(plan["keep"]).expand(self.place.names, self.place.is_folder)
        plan["stay"] = sorted({path for path in [*kept, *mounts] if owner_of(path) is None})
        self._check_fit(plan)
        plan["missing"] = []
        for path in plan["paths"] or []:
            plan["missing"] += [above for above in ancestors(path) if not self.place.exists(above)]
            for above in ancestors(path):
                if self.place.exists(above) and not self.place.is_folder(above):
                    raise UsageError("'%s' is no folder, so '%s' cannot be put there" % (show(above), show(path)))
        with self.place.times_kept():
            self._discard(self.part)
            self._bundle(plan)
        self._keep_attributes(b"", self.part, self._staying(plan))
        self._keep_attributes(join(self.new, b"tree"), self.new, self._staying(plan))
        self.place.move([(self.part, self.old)])

    def _check_fit(self, plan):
        """Refuse a tree that has a file where something below must stay."""
        for path in plan["stay"]:
            for above in ancestors(path):
                prepared = join(join(self.new, b"tree"), above)
                if self.place.is_folder(above) and self.place.exists(prepared) and not self.place.is_folder(prepared):
                    raise UsageError("'%s' stays, but '%s' is no folder in the archive" % (show(path), show(above)))

    def _bundle(self, plan):
        self.place.make(self.part)
        self.place.make(join(self.part, b"tree"))
        self.place.make(join(self.part, b"attributes"))
        self.place.write(join(self.part, b"plan"), _to_json(plan))

    def _keep_attributes(self, tree, bundle, folders):
        """Copy the attributes of folders of a tree into the bundle's forms. :param folders: innermost first."""
        forms = join(bundle, b"attributes")
        present = [path for path in folders if self.place.is_folder(join(tree, path))]
        for path in reversed(present):
            if not self.place.exists(join(forms, path)):
                self.place.make(join(forms, path))
        for path in present:
            self.place.copy_attributes(join(tree, path), join(forms, path))

    def _set_attributes(self, bundle, plan):
        for path in self._staying(plan):
            form = join(join(bundle, b"attributes"), path)
            if self.place.is_folder(form):
                self.place.copy_attributes(form, path)

    def _plan(self, bundle):
        return _from_json(self.place.read(join(bundle, b"plan")))

    def _discard(self, name):
        """Remove a folder of the transaction; a half-removed one is never taken for a whole one."""
        if name != self.part and self.place.exists(name):
            self.place.remove(self.part)
            self.place.move([(name, self.part)])
        self.place.remove(self.part)


def _to_json(plan):
    def plain(value):
        if isinstance(value, bytes):
            return value.decode("latin-1")
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    return json.dumps({key: plain(value) for key, value in plan.items()}).encode("ascii")


def _from_json(data):
    def raw(value):
        if isinstance(value, str):
            return value.encode("latin-1")
        return [raw(item) for item in value] if isinstance(value, list) else value

    return {key: raw(value) for key, value in json.loads(data.decode("ascii")).items()}
