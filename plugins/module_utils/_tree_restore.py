# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a tree of files from an archive, in the phases of a transaction."""
from __future__ import annotations

from . import _layer, _locate
from ._call import PHASE, PHASE_RULES, Call
from ._compare import Comparison, Different
from ._errors import BackupError, NotFoundError, UsageError
from ._paths import Patterns, encode, show
from ._phases import finish, is_direct, nothing_to_roll_back, remove_made
from ._place import DirectPlace
from ._shell_place import ShellPlace
from ._switch import Switch, check_transaction, owner_of
from ._tree import TREE_OPTIONS, fingerprint_of, has_place, reached
from ._unpack import Selection, unpack_api, unpack_direct

# The transaction of a restore in one call; always the same, so that the next call finds what a killed one left.
_ALONE = "alone"


def restore(engine, params, check_mode, diff):
    """Run one phase. Return the module's result (dict).

    :param params: dict with volume, container, path, transport, image, src, paths, keep, phase, transaction,
        compare, unless_same, exclude, fingerprint.
    :param diff: bool, whether the result is to tell the names before and after.
    """
    phase, transaction = params["phase"], params["transaction"] or _ALONE
    check_transaction(transaction)
    result = {"phase": phase, "transaction": transaction}
    if params["compare"] or params["unless_same"]:
        result.update(_compare(engine, params, diff))
        if params["compare"] or not result["different"]:
            return result
    if phase in ("all", "prepare"):
        result.update(_Bringing(engine, params, transaction, check_mode, diff).run())
    else:
        result.update(_finish(engine, params, phase, transaction, check_mode))
    return result


def _compare(engine, params, diff):
    """Tell whether a restore would change anything; nothing is written."""
    if params["phase"] not in ("all", "prepare"):
        raise UsageError("compare and unless_same go with phase=all and phase=prepare only")
    selection = Selection(params["src"], params["keep"], params["paths"])
    result = {"changed": False, "different": True, "changed_paths": []}
    if not has_place(engine, params):
        return result
    try:
        with reached(engine, params, single=not selection.folder) as tree:
            _check_kind(selection, params, tree)
            result["transport"] = "direct" if is_direct(tree) else "api"
            if not tree.exists or not is_direct(tree):
                return result
            if params["fingerprint"] and params["fingerprint"] == fingerprint_of(tree, params):
                return dict(result, different=False, changed_count=0)
            found = Comparison(selection, tree.root, tree.name, tree.mounts, times=False, first=not diff).run()
            result.update(different=found.count > 0, changed_paths=found.changed, changed_count=found.count)
    except Different as error:
        result["changed_paths"] = [error.path]
    if diff:
        header = _locate.describe(params)
        lines = _lines(map(encode, result["changed_paths"]))
        result["diff"] = {"before_header": header, "after_header": header, "before": lines, "after": ""}
    return result


def _check_kind(selection, params, tree):
    """Raise UsageError if a single file is in the place of a folder, or the other way round."""
    single = not selection.folder
    if tree.exists and (tree.name is not None) != single:
        raise UsageError(
            "'%s' holds a %s, and %s is a %s" % (
                params["src"], "single file" if single else "folder", _locate.describe(params),
                "folder" if single else "single file"),
            "Name the path that the archive was made of.",
        )


def _place(tree):
    """Return the DirectPlace or ShellPlace of a tree."""
    return DirectPlace(tree.root) if is_direct(tree) else ShellPlace(tree.shell(), tree.at(b""), tree.gnu)


class _Bringing:
    """The phases "prepare" and "all": what is in the archive comes to the tree."""

    def __init__(self, engine, params, transaction, check_mode, diff):
        self.engine, self.params, self.transaction = engine, params, transaction
        self.check_mode, self.diff = check_mode, diff
        self.selection = Selection(params["src"], params["keep"], params["paths"])

    def run(self):
        single = not self.selection.folder
        create = None if self.check_mode else "parents" if single else "all"
        with reached(self.engine, self.params, True, create, single) as tree:
            _check_kind(self.selection, self.params, tree)
            result = {"changed": True, "transport": "direct" if is_direct(tree) else "api"}
            if tree.layer and self.params["phase"] != "all":
                raise UsageError(
                    "%s lies in the container's writable layer, where nothing can be kept beside"
                    % _locate.describe(self.params), "Use phase=all on a container that was just created.",
                )
            if self.check_mode:
                result.update(self._diff(tree, None))
            elif tree.layer:
                result.update(self._into_layer(tree))
            else:
                result.update(self._into_place(tree))
        return result

    def _into_layer(self, tree):
        result = self._diff(tree, None)
        if is_direct(tree):
            found = _layer.restore_direct(self.selection, tree)
            result.update(changed=found.count > 0, changed_paths=found.changed, changed_count=found.count,
                          files=found.entries, extra=[])
        else:
            result["extra"] = _layer.restore_api(self.selection, tree)
        return result

    def _into_place(self, tree):
        place = _place(tree)
        work = Switch(place, self.transaction, tree.name)
        alone = self.params["phase"] == "all"
        made = tree.made if is_direct(tree) else self._make_there(tree)
        if alone:
            made = work.rollback()["made"] or made
        paths = [tree.name] if tree.name is not None else self.selection.paths
        try:
            folder = work.begin({"paths": paths, "keep": self.selection.keep, "made": made})
            unpack = unpack_direct if is_direct(tree) else unpack_api
            entries = unpack(self.selection, tree.root if is_direct(tree) else tree, folder, tree.name)
            result = dict(self._diff(tree, place.names(folder)), files=entries)
            work.prepared()
            if alone:
                work.switch(tree.mounts)
                work.commit()
        except BaseException as error:
            self._undo(tree, work, error, made)
            raise
        return result

    def _make_there(self, tree):
        if tree.exists and tree.name is None:
            return False
        tree.shell().run('mkdir -p -- "$1"', [tree.at(b"")])
        return not tree.exists and tree.name is None

    def _undo(self, tree, work, error, made):
        """Leave what was there. If that fails too, the error says what is to be done."""
        if work.present() & {"old", "live"} and self.params["phase"] == "prepare":
            return  # refused: it belongs to a switch that was made before
        try:
            outcome = work.rollback()
            if outcome["made"] or made:
                remove_made(tree)
        except (BackupError, OSError) as second:
            if isinstance(error, BackupError):
                error.hint = "Undoing it failed too (%s). Run phase=rollback with transaction=%s." % (
                    second, self.transaction)

    def _diff(self, tree, names):
        """Return {"diff": ...} with the names at the top of the tree, or of the paths, before and after."""
        if not self.diff:
            return {}
        if tree.name is not None or self.selection.paths is not None:
            after = [tree.name] if tree.name is not None else self.selection.paths
            before = [path for path in after if tree.exists and self._has(tree, path)]
        else:
            before = self._names(tree)
            kept = [name for name in before if Patterns(self.selection.keep).match(name) or name in tree.mounts]
            names = {name.split(b"/")[0] for name in self.selection.names() if name} if names is None else set(names)
            after = sorted(names.union(kept))
        header = _locate.describe(self.params)
        return {"diff": {"before_header": header, "after_header": header,
                         "before": _lines(before), "after": _lines(after)}}

    def _names(self, tree):
        if not tree.exists:
            return []
        names = _place(tree).names(b"") if is_direct(tree) or tree.running else _layer.names(tree)
        return [name for name in names if owner_of(name) is None]

    @staticmethod
    def _has(tree, path):
        return _place(tree).exists(path) if is_direct(tree) else tree.has(path)


def _lines(names):
    return "".join(show(name).replace("\n", "\\n") + "\n" for name in names)


def _finish(engine, params, phase, transaction, check_mode):
    """The phases "switch", "commit" and "rollback"."""
    result = {}
    # A single file may be moved away at the moment; then only the folder above it is there.
    with nothing_to_roll_back(phase, result), reached(engine, params, True, None, True) as tree:
        if is_direct(tree) and tree.root is None:
            raise NotFoundError("There is no %s" % _locate.describe(params))
        if tree.layer:
            return {"changed": False}
        work = Switch(_place(tree), transaction, tree.name)
        result.update(finish(tree, work, phase, check_mode, "tree", tree.mounts))
        result["transport"] = "direct" if is_direct(tree) else "api"
    return result


RESTORE = Call(
    options={
        **TREE_OPTIONS,
        **PHASE,
        "src": {"type": "path"},
        "paths": {"type": "list", "elements": "str"},
        "keep": {"type": "list", "elements": "str", "default": []},
        "compare": {"type": "bool", "default": False},
        "unless_same": {"type": "bool", "default": False},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "fingerprint": {"type": "str"},
    },
    rules={**PHASE_RULES, "mutually_exclusive": [("volume", "container")]},
    work=restore,
)
