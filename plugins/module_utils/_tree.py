# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives a tree of files. What is the same for archiving and restoring is here too: which transport is taken."""
from __future__ import annotations

import contextlib
import os

from . import _beneath, _fingerprint, _gnutar, _locate, _locate_api, _sharing
from ._call import COMPRESSION, Call
from ._errors import CommandError, NotFoundError, StorageError, UsageError
from ._paths import Patterns, ancestors, is_within, parent, relative, show
from ._stream import ProcessSource, check_destination, compressor_command, store
from ._switch import PREFIX
from ._tarstream import Counter, renamed

# Options of both modules; see plugins/doc_fragments/docker.py.
TREE_OPTIONS = {
    "volume": {"type": "str"},
    "container": {"type": "str"},
    "path": {"type": "str", "default": "/"},
    "transport": {"type": "str", "choices": ["auto", "direct", "api"], "default": "auto"},
    "image": {"type": "str"},
}
# Folders of an unfinished restore are no part of the tree.
_OWN = PREFIX + b"*"
_ENDPOINT_WARNING = (
    "The archive was made by the engine's archive endpoint, because no GNU tar runs in the container: times are in"
    " whole seconds, and extended attributes, ACLs and holes of sparse files are not in it."
)
_UNKNOWN = _fingerprint.Fingerprint(None, None, None)
_MESSAGES = 20  # how many of tar's lines are passed on as warnings


def has_place(engine, params):
    """Return whether there is the volume, or the container, in which a tree is or will be. A folder needs none."""
    if params["volume"]:
        return engine.volume(params["volume"]) is not None
    return not params["container"] or engine.find_container(params["container"]) is not None


@contextlib.contextmanager
def reached(engine, params, write=False, create=None, single=False):
    """Give the tree, a DirectTree or an ApiTree, by the transport that the option allows.

    :raises: UsageError when the direct way is asked for and not there.
    """
    problem = None
    if params["transport"] != "api":
        problem = _direct_problem(engine)
        if problem is None:
            with contextlib.ExitStack() as stack:
                try:
                    tree = stack.enter_context(_locate.direct_tree(engine, params, write, create, single))
                except StorageError as error:
                    if params["transport"] == "direct":
                        raise
                    problem = error.message
                else:
                    yield tree
                    return
        if params["transport"] == "direct":
            raise UsageError("transport=direct is not possible: %s" % problem, "Use transport=auto.")
    with _locate_api.api_tree(engine, params, write, single) as tree:
        yield tree


def _direct_problem(engine):
    problem = engine.direct_problem()
    if problem is not None:
        return problem
    try:
        probe = ProcessSource(["tar", "--version"])
        gnu = _gnutar.is_gnu(b"".join(probe.chunks()))
        probe.finish()
    except CommandError:
        gnu = False
    return None if gnu else "there is no GNU tar on this host"


def archive(engine, params, check_mode):
    """Write a tree into an archive. Return the module's result (dict).

    :param params: dict with volume, container, path, transport, image, dest, exclude, paths, overwrite, compression,
        compression_level, processes, earlier.
    """
    paths, excludes = _wanted(params)
    compressor_command(params["compression"])
    check_destination(params["dest"], params["overwrite"], check_mode)
    with reached(engine, params) as tree:
        if not tree.exists:
            raise NotFoundError("There is no %s" % _locate.describe(params))
        if tree.name is not None and (paths or params["exclude"]):
            raise UsageError("%s is a single file" % _locate.describe(params), "Leave out paths and exclude.")
        direct = isinstance(tree, _locate.DirectTree)
        if direct and tree.name is None:
            _check_not_inside(tree.root, params["dest"])
        result = {"changed": True, "dest": params["dest"], "other_mounts": _locate.shown(tree.mounts)}
        result["transport"] = "direct" if direct else "exec" if tree.gnu else "archive"
        if check_mode:
            return result
        excludes = _left_out(tree, excludes)
        with contextlib.ExitStack() as cleanup:
            # Before tar reads anything: what changes from here on is another tree to the next run.
            seen = _seen(tree, params, paths, excludes)
            result.update(fingerprint=seen.value, tree_size=seen.size)
            if _shared(params, seen, result):
                return result
            make = _direct_source if direct else _exec_source if tree.gnu else _endpoint_source
            source = _Checked(make(tree, paths, excludes, cleanup), _locate.describe(params))
            result.update(store(source, params["dest"], params["compression"], params["compression_level"],
                                params["processes"], params["overwrite"]))
        result["files"] = source.counter.members
        result["warnings"] = source.warnings()
    return result


def _wanted(params):
    excludes = [relative(pattern, "exclude") for pattern in params["exclude"]]
    paths = [relative(path, "paths") for path in params["paths"]] if params["paths"] is not None else None
    if paths == []:
        raise UsageError("paths is an empty list", "Leave it out to archive the whole tree.")
    return paths, excludes


def _left_out(tree, excludes):
    """Return all patterns of what is not archived. What is mounted below is taken by its literal name."""
    if tree.name is not None:
        return []
    return [*excludes, *(_gnutar.literal(path) for path in tree.mounts), _OWN]


def _candidates(params, seen):
    """Yield the earlier archives (dict) that hold the same tree."""
    for earlier in params["earlier"]:
        if seen.value is not None and earlier["fingerprint"] == seen.value:
            yield earlier


def _shared(params, seen, result):
    """Make dest another name of an earlier archive of the same tree. Return whether it could be done."""
    for earlier in _candidates(params, seen):
        if _sharing.link(earlier, params["dest"], params["compression"]):
            result.update({key: earlier[key] for key in ("size", "raw_size", "sha256", "files")}, shared=True)
            return True
    result["shared"] = False
    return False


def look(engine, params):
    """Walk a tree that is reached directly. Return its Fingerprint as a list, or None."""
    paths, excludes = _wanted(params)
    with reached(engine, params) as tree:
        if not (tree.exists and isinstance(tree, _locate.DirectTree)):
            return None
        return list(_seen(tree, params, paths, _left_out(tree, excludes)))


def fingerprint_of(tree, params):
    """Return the fingerprint (hex str, or None) of a tree that is reached directly, as an archive of it would have it.

    :param params: dict with paths and exclude of the archive.
    """
    paths, excludes = _wanted(params)
    return _fingerprint.take(tree.root, tree.name, paths, _left_out(tree, excludes)).value


def _seen(tree, params, paths, excludes):
    """Return the Fingerprint of a tree; that of the look before, if there was one, for a walk has its price."""
    if params.get("seen"):
        return _fingerprint.Fingerprint(*params["seen"])
    if not isinstance(tree, _locate.DirectTree):
        return _UNKNOWN
    return _fingerprint.take(tree.root, tree.name, paths, excludes)


def estimate(engine, params):
    """Return how many bytes an archive may take (int): nothing if an earlier one can be shared."""
    paths, excludes = _wanted(params)
    with reached(engine, params) as tree:
        if not tree.exists:
            return 0  # the work itself says what is wrong
        if not isinstance(tree, _locate.DirectTree):
            return params["earlier"][0]["size"] if params["earlier"] else _size_there(tree)
        seen = _seen(tree, params, paths, _left_out(tree, excludes))
    if any(_sharing.usable(earlier, params["compression"]) for earlier in _candidates(params, seen)):
        return 0
    for earlier in params["earlier"]:
        if earlier["raw_size"]:
            return seen.size * earlier["size"] // earlier["raw_size"]
    return seen.size


def _size_there(tree):
    if not tree.running:
        return 0  # no program runs there that could count
    output = tree.shell().run('du -sk -- "$1" 2>/dev/null || :', [tree.at(tree.name or b"")])
    return int(output.split()[0]) * 1024 if output.split() else 0


def _check_not_inside(root, dest):
    wanted = os.stat(_beneath.through(root))
    folder = os.path.realpath(os.path.dirname(os.path.abspath(dest)))
    while True:
        if os.path.isdir(folder) and os.path.samestat(os.stat(folder), wanted):
            raise UsageError("'%s' lies in the tree that is to be archived" % dest, "Write the archive elsewhere.")
        if folder == "/":
            return
        folder = os.path.dirname(folder)


# --- sources ----------------------------------------------------------------------------------------------------


class _Checked:
    """A source of a tar stream whose end must be seen, and whose members are counted."""

    def __init__(self, source, what):
        self._source, self._what = source, what
        self.counter = Counter()
        self.abort = source.abort

    def chunks(self):
        for chunk in self._source.chunks():
            self.counter.feed(chunk)
            yield chunk

    def finish(self):
        self._source.finish()
        self.counter.require_complete(self._what)

    def warnings(self):
        """Return what happened that is no failure: files that changed, vanished or cannot be archived."""
        lines = [line for line in self._source.messages.splitlines() if line.strip()]
        more = ["tar says more than this."] if len(lines) > _MESSAGES else []
        return lines[:_MESSAGES] + more


def _direct_source(tree, paths, excludes, cleanup):
    if tree.name is not None:
        argv, fds = _gnutar.create_file(_beneath.through(tree.root), tree.name), [tree.root]
    elif paths is None:
        argv, fds = _gnutar.create_tree(_beneath.through(tree.root), excludes), [tree.root]
    else:
        folders = {}
        for path in sorted({b"", *(above for one in paths for above in ancestors(one))}):
            folders[path] = _open_folder(tree.root, path)
            cleanup.callback(os.close, folders[path])
        for path in paths:
            _require(path, folders[parent(path)], excludes)
        places = {path: _beneath.through(fd) for path, fd in folders.items()}
        argv, fds = _gnutar.create_parts(places, paths, excludes), list(folders.values())
    return ProcessSource([b"tar", *argv], what="tar", accepted=(0, 1), env=dict(os.environ, **_gnutar.ENVIRONMENT),
                         pass_fds=fds)


def _open_folder(root, path):
    try:
        return _beneath.open_folder(root, path)
    except NotADirectoryError:
        raise _no_folder(path) from None
    except FileNotFoundError:
        raise NotFoundError("paths: there is no '%s' in the tree" % show(path)) from None


def _no_folder(path):
    return UsageError("paths: '%s' is a link or no folder" % show(path), "Name the folder that it leads to.")


def _require(path, folder, excludes):
    if _gnutar.left_out(path, excludes):
        raise UsageError("'%s' is in paths and excluded" % show(path))
    try:
        os.stat(path.rpartition(b"/")[2], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        raise NotFoundError("paths: there is no '%s' in the tree" % show(path)) from None


def _exec_source(tree, paths, excludes, _cleanup):
    place = tree.at(b"")
    if tree.name is not None:
        argv = _gnutar.create_file(place, tree.name)
    elif paths is None:
        argv = _gnutar.create_tree(place, excludes)
    else:
        for path in paths:
            _require_there(tree, path, excludes)
        argv = _gnutar.create_named_parts(place, paths, excludes)
    return _ExecSource(tree, argv)


def _require_there(tree, path, excludes):
    if _gnutar.left_out(path, excludes):
        raise UsageError("'%s' is in paths and excluded" % show(path))
    for above in ancestors(path):
        if tree.is_link(above):
            raise _no_folder(above)
    if not tree.has(path):
        raise NotFoundError("paths: there is no '%s' in the tree" % show(path))


class _ExecSource:
    """GNU tar in a container as a source for store()."""

    def __init__(self, tree, argv):
        self._stream = tree.engine.exec_stream(
            tree.container, _locate_api.command(argv), environment=_gnutar.ENVIRONMENT, user="0",
        )
        self.messages = ""

    def chunks(self):
        return self._stream.chunks()

    def finish(self):
        rc = self._stream.wait()
        if rc not in (0, 1):
            raise self._stream.failure(rc)
        self.messages = self._stream.stderr_tail()

    def abort(self):
        self._stream.abort()


def _endpoint_source(tree, paths, excludes, _cleanup):
    for path in paths or []:
        _require_there(tree, path, excludes)
    return _EndpointSource(tree, paths, excludes)


class _EndpointSource:
    """The engine's archive of a path, with members named as GNU tar names them."""

    def __init__(self, tree, paths, excludes):
        patterns = Patterns(excludes)
        above = {folder for path in paths or [] for folder in ancestors(path)}

        def rename(name):
            if tree.name is not None:
                return tree.name
            if not name:
                return name
            if patterns.match(name):
                return None
            wanted = paths is None or name in above or any(is_within(name, path) for path in paths)
            return name if wanted else None

        path = show(tree.at(tree.name)) if tree.name is not None else tree.path.rstrip("/") + "/."
        self._chunks = tree.engine.get_archive(tree.container, path)
        self._renamed = renamed(self._chunks, rename, tree.name is None)
        self.messages = _ENDPOINT_WARNING

    def chunks(self):
        return self._renamed

    def finish(self):
        """Nothing: an engine that fails in mid-stream cuts the archive, and its end is checked."""

    def abort(self):
        self._renamed.close()
        self._chunks.close()


_EARLIER = {
    "path": {"type": "path", "required": True},
    "sha256": {"type": "str", "required": True},
    "size": {"type": "int", "required": True},
    "raw_size": {"type": "int"},
    "files": {"type": "int"},
    "fingerprint": {"type": "str"},
}
ARCHIVE = Call(
    options={
        **TREE_OPTIONS,
        **COMPRESSION,
        "dest": {"type": "path", "required": True},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "paths": {"type": "list", "elements": "str"},
        "overwrite": {"type": "bool", "default": False},
        "earlier": {"type": "list", "elements": "dict", "default": [], "options": _EARLIER},
    },
    rules={"mutually_exclusive": [("volume", "container")]},
    work=lambda engine, params, check_mode, _diff: archive(engine, params, check_mode),
    estimate=estimate,
    look=look,
)
