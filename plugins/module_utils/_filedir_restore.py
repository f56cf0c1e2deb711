# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a filedir from a pool or an archive, in the phases of a transaction. Only what differs is written."""
from __future__ import annotations

import contextlib
import os
import re
import tempfile

from . import _locate
from ._call import PHASE, PHASE_RULES, Call
from ._errors import BackupError, NotFoundError, UsageError
from ._filedir_place import IRREGULAR, DirectFiledir
from ._filedir_shell import EndpointFiledir, ShellFiledir
from ._filedir_source import PREFIXES, location, open_source
from ._filedir_switch import FiledirSwitch
from ._paths import show
from ._phases import finish, is_direct, nothing_to_roll_back, remove_made
from ._switch import check_transaction
from ._tree import TREE_OPTIONS, has_place, reached

# The transaction of a restore in one call; always the same, so that the next call finds what a killed one left.
_ALONE = "alone"
_EXTRA = 1000  # how many paths are returned at the most


def restore(engine, params, check_mode, diff):
    """Run one phase. Return the module's result (dict).

    :param params: dict with the tree's options, src, pool, owner, file_mode, folder_mode, check, phase, transaction.
    :param diff: bool, whether the result is to tell the counts before and after.
    """
    phase, transaction = params["phase"], params["transaction"] or _ALONE
    check_transaction(transaction)
    result = {"phase": phase, "transaction": transaction}
    if phase in ("all", "prepare"):
        result.update(_Bringing(engine, params, transaction).run(check_mode, diff))
    else:
        result.update(_finish(engine, params, phase, transaction, check_mode))
    return result


def estimate(engine, params):
    """Return how many bytes are to be written below the tree (int), told by sizes alone."""
    if params["phase"] not in ("all", "prepare"):
        return 0
    bringing = _Bringing(engine, dict(params, check=False), params["transaction"] or _ALONE)
    if not has_place(engine, params):  # a job before this one makes it
        return sum(bringing.source.size(name) for _prefix, names in bringing.source.groups() for name in names)
    return bringing.run(True, False)["written_bytes"]


# --- what differs -----------------------------------------------------------------------------------------------


class Difference:
    """What there is to do: counts of blobs written (bytes: written_bytes), right, surplus and wrong.

    :param todo, wanted: files that get the name of each blob that is to be written, and of all of the source, one a
        line.
    """

    def __init__(self, todo, wanted):
        self.todo, self.wanted = todo, wanted
        self.extra = []  # the first of the surplus paths (str)
        self.counts = dict.fromkeys(("written", "written_bytes", "right", "surplus", "wrong"), 0)

    def changed(self):
        return self.counts["written"] + self.counts["surplus"] > 0

    def find(self, files, source, check):
        """Compare a filedir (None for one that does not exist) with a source.

        :param check: bool, whether contents are compared, or just sizes.
        """
        groups = source.groups()
        group = next(groups, None)
        for prefix in PREFIXES:
            mine = group is not None and group[0] == prefix
            self._find_in(files, source, check, prefix, group[1] if mine else [])
            if mine:
                group = next(groups, None)

    def _find_in(self, files, source, check, prefix, names):
        folders = (files.listing(b"", prefix) if files else None) or {}
        live = {name: size for blobs in folders.values() for name, size in blobs.items()}
        there = {name for name in names if name in live}
        wrong = {name for name in there if live[name] == IRREGULAR}
        if check:
            wrong |= files.mismatched(prefix, there - wrong) if there - wrong else set()
        else:
            wrong |= {name for name in there - wrong if live[name] != source.size(name)}
        todo = [name for name in names if name not in there or name in wrong]
        self.todo.write(_lines(todo))
        self.wanted.write(_lines(names))
        counts = self.counts
        counts["written"] += len(todo)
        counts["written_bytes"] += sum(map(source.size, todo))
        counts["wrong"] += len(wrong)
        counts["right"] += len(there) - len(wrong)
        counts["surplus"] += len(live) - len(there)
        room = _EXTRA - len(self.extra)
        self.extra += [show(location(name)) for name in sorted(live.keys() - there)[:room]]

    def to_write(self):
        """Yield the names of what is to be written."""
        self.todo.seek(0)
        for line in self.todo:
            yield line.strip()

    def diff(self, header):
        """Return the value of "diff" in the module's result."""
        counts = self.counts
        missing = counts["written"] - counts["wrong"]

        def text(right, absent, wrong, surplus):
            return "right: %d\nmissing: %d\nwrong: %d\nsurplus: %d\n" % (right, absent, wrong, surplus)

        return {
            "before_header": header, "after_header": header,
            "before": text(counts["right"], missing, counts["wrong"], counts["surplus"]),
            "after": text(counts["right"] + counts["written"], 0, 0, 0),
        }


def _lines(names):
    return b"".join(name + b"\n" for name in names)


# --- prepare and all --------------------------------------------------------------------------------------------


class _Bringing:
    """The phases "prepare" and "all"."""

    def __init__(self, engine, params, transaction):
        self.engine, self.params, self.transaction = engine, params, transaction
        self.source = open_source(params["src"], params["pool"])
        self.wishes = {
            "owner": parse_owner(params["owner"]),
            "file_mode": parse_mode(params["file_mode"], "file_mode"),
            "folder_mode": parse_mode(params["folder_mode"], "folder_mode"),
        }

    def run(self, check_mode, diff):
        with contextlib.ExitStack() as stack:
            difference = Difference(*(stack.enter_context(tempfile.TemporaryFile()) for _each in range(2)))
            tree = stack.enter_context(reached(self.engine, self.params, True, None if check_mode else "all"))
            if tree.name is not None:
                raise UsageError("%s is a single file" % _locate.describe(self.params), "Name the folder filedir.")
            if tree.layer and self.params["phase"] != "all":
                raise UsageError(
                    "%s lies in the container's writable layer, where nothing can be kept beside"
                    % _locate.describe(self.params), "Use phase=all on a container that was just created.",
                )
            if tree.mounts:
                where = _locate.describe(self.params)
                raise UsageError("Something is mounted in %s, at '%s'" % (where, show(tree.mounts[0])),
                                 "A filedir is one folder of one file system; unmount it.")
            result = {"transport": "direct" if is_direct(tree) else "api"}
            if check_mode:
                with _files(tree) as files:
                    difference.find(files if tree.exists else None, self.source, self.params["check"])
                result["changed"] = difference.changed() or self.params["phase"] == "prepare"
            elif not is_direct(tree) and not tree.running:
                result.update(self._into_stopped(tree, difference))
            else:
                made = tree.made if is_direct(tree) else _make_there(tree)
                with _files(tree) as files:
                    result["changed"] = self._into_place(tree, files, difference, made)
            result.update(difference.counts)
            if diff:
                result["diff"] = difference.diff(_locate.describe(self.params))
        return result

    def _into_place(self, tree, files, difference, made):
        work = FiledirSwitch(files, self.transaction)
        alone, tidied = self.params["phase"] == "all", False
        if alone:
            found = work.rollback()
            made, tidied = found["made"] or made, found["changed"]
        attributes = self._attributes(files, made)
        try:
            if made:
                files.set_owner(attributes)
            difference.find(files, self.source, self.params["check"])
            if alone and not difference.changed():
                return made or tidied
            folder = work.begin({
                "paths": None, "keep": [], "made": made, "attributes": attributes,
                "src": os.fsencode(os.path.abspath(self.source.src)),
                "pool": os.fsencode(os.path.abspath(self.source.pool)) if self.source.pool else b"",
            })
            work.keep_wanted(difference.wanted)
            files.write(folder, self.source.contents(difference.to_write()), attributes)
            work.prepared()
            if not alone:
                return True
            work.switch()
            work.commit()
        except BaseException as error:
            self._undo(tree, work, error, made)
            raise
        return True

    def _undo(self, tree, work, error, made):
        """Leave what was there. If that fails too, the error says what is to be done."""
        if work.present() & {"old", "live"} and self.params["phase"] == "prepare":
            return  # refused: it belongs to a switch that was made before
        try:
            if work.rollback()["made"] or made:
                remove_made(tree)
        except (BackupError, OSError) as second:
            if isinstance(error, BackupError):
                error.hint = "Undoing it failed too (%s). Run phase=rollback with transaction=%s." % (
                    second, self.transaction)

    def _into_stopped(self, tree, difference):
        """Write into a container that does not run; what is too much there cannot be removed."""
        files = EndpointFiledir(tree)
        difference.find(files if tree.exists else None, self.source, self.params["check"])
        if difference.counts["written"]:
            files.write(b"", self.source.contents(difference.to_write()), self._attributes(files, not tree.exists))
        return {"changed": difference.counts["written"] > 0, "extra": difference.extra}

    def _attributes(self, files, made):
        """Return the attributes of what is written; what is not wished for is as at the filedir, or above a new one."""
        wishes = self.wishes
        uid, gid, mode = files.owner(above=made) if None in wishes.values() else (*wishes["owner"], None)
        uid, gid = wishes["owner"] or (uid, gid)
        folder_mode = mode if wishes["folder_mode"] is None else wishes["folder_mode"]
        file_mode = folder_mode & 0o666 if wishes["file_mode"] is None else wishes["file_mode"]
        return {"uid": uid, "gid": gid, "file_mode": file_mode, "folder_mode": folder_mode}


def parse_owner(value):
    """Return (uid, gid) of "uid:gid" or a list of both; None for None. :raises: UsageError."""
    if value is None:
        return None
    parts = value if isinstance(value, (list, tuple)) else str(value).split(":")
    if len(parts) != 2 or not all(re.fullmatch("[0-9]+", str(part)) for part in parts):
        raise UsageError("owner: '%s' is not a user's and a group's number" % (value,), "Write it as 33:33.")
    return int(parts[0]), int(parts[1])


def parse_mode(value, option):
    """Return the mode (int) that an operator wrote in octal digits, or as a number; None for None."""
    if value is None:
        return None
    if isinstance(value, int) and 0 <= value <= 0o7777:
        return value
    if not re.fullmatch("[0-7]{3,5}", str(value)) or int(str(value), 8) > 0o7777:
        raise UsageError("%s: '%s' is not a mode" % (option, value), "Write it in quoted octal digits, such as '0660'.")
    return int(str(value), 8)


@contextlib.contextmanager
def _files(tree):
    if not is_direct(tree):
        yield ShellFiledir(tree) if tree.running else EndpointFiledir(tree)
    elif tree.root is None:
        yield None
    else:
        with DirectFiledir(tree.root) as files:
            yield files


def _make_there(tree):
    if not tree.exists:
        tree.shell().run('mkdir -p -- "$1"', [tree.at(b"")])
    return not tree.exists


def _finish(engine, params, phase, transaction, check_mode):
    """The phases "switch", "commit" and "rollback"."""
    result = {}
    with nothing_to_roll_back(phase, result), reached(engine, params, True) as tree:
        if not tree.exists or tree.name is not None:
            raise NotFoundError("There is no filedir in %s" % _locate.describe(params))
        if tree.layer:
            return {"changed": False}
        with _files(tree) as files:
            result.update(finish(tree, FiledirSwitch(files, transaction), phase, check_mode, "filedir"))
        result["transport"] = "direct" if is_direct(tree) else "api"
    return result


FILEDIR_RESTORE = Call(
    options={
        **TREE_OPTIONS,
        **PHASE,
        "src": {"type": "path"},
        "pool": {"type": "path"},
        "owner": {"type": "raw"},
        "file_mode": {"type": "raw"},
        "folder_mode": {"type": "raw"},
        "check": {"type": "bool", "default": True},
    },
    rules={**PHASE_RULES, "mutually_exclusive": [("volume", "container")]},
    work=restore,
    estimate=estimate,
)
