# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives a folder whose files are named by the SHA-1 of their content (filedir) into a pool, and lists them.

Group after group of names, so that memory does not grow with the folder: what lives, what is asked for, what the list
says. The folder's owner goes on writing to it; only what was read and has the right SHA-1 counts.
"""
from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import tempfile

from . import _locate, _throttle
from ._call import COMPRESSION, Call
from ._errors import NotFoundError
from ._filedir_api import open_live
from ._filedir_live import Examples
from ._filedir_tar import BlobTar
from ._hash_list import SortedHashes, pool_prefix, render
from ._pool import ABSENT, RIGHT, Pool
from ._stream import PartialFile, check_destination, compressor_command, store
from ._tree import TREE_OPTIONS, reached

KEPT, NEW, REPLACED, REJECTED, GONE = "kept", "new", "replaced", "rejected", "gone"
_EXAMPLES = 20  # names in an answer


def archive(engine, params, check_mode):
    """Bring what is new into the pool, list what a backup needs. Return the module's result (dict).

    :param params: dict with volume, container, path, transport, image, trash, pool, dest, required, known_missing,
        expected, missing_dest, archive, overwrite, compression, compression_level, processes.
    """
    if params["dest"]:
        check_destination(params["dest"], params["overwrite"], check_mode)
        if params["archive"]:
            compressor_command(params["compression"])
    with _found(engine, params) as source, contextlib.ExitStack() as cleanup:
        if check_mode:
            seen = _look(source, Pool(params["pool"]))
            return {"changed": bool(seen["new"] or params["dest"]), "transport": source.transport, **seen}
        trash = _Trash(engine, params, cleanup)
        with _Files(params, cleanup) as files:
            run = _Run(Pool(params["pool"]), source, trash, files)
            run.work(_threads(params["processes"]) if source.parallel else 1)
            result = run.result()
            result.update(files.publish(run.pool, result["attributes"]))
    result["transport"] = source.transport
    result["warnings"] = _warnings(_locate.describe(params), run, source.survey)
    return result


def estimate(engine, params):
    """Return how many bytes the call would add (int): what is new, and all once more for an archive."""
    with _found(engine, params) as source:
        seen = _look(source, Pool(params["pool"]))
    return seen["new_bytes"] + (seen["bytes"] if params["archive"] else 0)


def _threads(processes):
    # More than two do not pay: small files keep the interpreter busy, large ones the disk.
    return min(2, processes or os.cpu_count() or 1)


@contextlib.contextmanager
def _found(engine, params):
    with reached(engine, params) as tree:
        if not tree.exists or tree.name is not None:
            raise NotFoundError("There is no folder %s" % _locate.describe(params))
        yield open_live(tree)


def _look(source, pool):
    """Return what is there and what of it is new (dict), by stats alone."""
    seen = dict.fromkeys(("files", "bytes", "new", "new_bytes"), 0)
    for group in source.groups:
        for sha1, size, _content in source.blobs(group, lambda _sha1, _size: False):
            new = not pool.has(sha1, size)
            for key, count in (("files", 1), ("bytes", size), ("new", new), ("new_bytes", new * size)):
                seen[key] += count
    return seen


class _Trash:
    """The folder to which the owner moves what it deletes; looked at only when something is missing."""

    def __init__(self, engine, params, cleanup):
        self._engine, self._params, self._cleanup = engine, params, cleanup
        self._source = None
        self._opened = not params["trash"]

    def _get(self):
        if not self._opened:
            self._opened = True
            tree = self._cleanup.enter_context(reached(self._engine, dict(self._params, path=self._params["trash"])))
            if tree.exists and tree.name is None:
                self._source = open_live(tree)
        return self._source

    def has(self, sha1):
        source = self._get()
        return source is not None and source.has(sha1)

    def read(self, sha1):
        """Yield a blob's content (bytes). :raises: FileNotFoundError."""
        source = self._get()
        if source is None:
            raise FileNotFoundError(sha1)
        yield from source.read(sha1)


class _Files:
    """The files of hashes that a run reads, and those that it writes. A context manager."""

    def __init__(self, params, cleanup):
        self._params = params
        self._prefix = pool_prefix(params["pool"], params["dest"]) if params["dest"] else None
        self.wanted = cleanup.enter_context(SortedHashes(params["required"] or params["expected"]))
        self.known = cleanup.enter_context(SortedHashes(params["known_missing"]))
        self.first_pass = bool(params["expected"])
        self._missing = self._list = None

    def __enter__(self):
        self._cleanup = contextlib.ExitStack()
        params = self._params
        with self._cleanup:
            if params["missing_dest"]:
                self._missing = self._cleanup.enter_context(PartialFile(params["missing_dest"], overwrite=True))
            if params["dest"]:
                # An archive is written from the list, which then is only a step on the way.
                path = params["dest"] + (".list" if params["archive"] else "")
                overwrite = params["archive"] or params["overwrite"]
                self._list = self._cleanup.enter_context(PartialFile(path, overwrite))
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(self, *problem):
        return self._cleanup.__exit__(*problem)

    def keep(self, names):
        """Write names (sorted list of str) to the list."""
        if self._list is not None:
            self._list.write("".join(render(name, self._prefix) for name in names).encode("ascii"))

    def miss(self, names):
        if self._missing is not None:
            self._missing.write("".join(name + "\n" for name in names).encode("ascii"))

    def any_dest(self):
        return self._list is not None

    def publish(self, pool, attributes):
        """Give everything its name. Return the parts of the result (dict) that describe dest."""
        params, result = self._params, {}
        if self._missing is not None:
            self._missing.publish()
        if self._list is not None:
            result = self._list.publish()
        if params["archive"]:
            path = result["dest"]
            try:
                result = store(BlobTar(pool, path, attributes), params["dest"], params["compression"],
                               params["compression_level"], params["processes"], params["overwrite"])
            finally:
                os.unlink(path)
            pool.remove()
        return result


class _Run:
    """One pass over a folder of blobs."""

    def __init__(self, pool, source, trash, files):
        self.pool, self._source, self._trash, self._files = pool, source, trash, files
        self._count = dict.fromkeys(("files", "bytes", "new", "new_bytes", "promoted"), 0)
        self.replaced, self.rejected = Examples(), Examples()
        self._missing, self._site_damage = Examples(_EXAMPLES), Examples(_EXAMPLES)
        self._writer = None

    def work(self, threads):
        """Do it. :param threads: int, how many copy at the same time."""
        with contextlib.ExitStack() as cleanup:
            self._writer = cleanup.enter_context(self.pool.writer())
            workers = None
            if threads > 1:
                workers = concurrent.futures.ThreadPoolExecutor(threads)
                cleanup.callback(workers.shutdown, cancel_futures=True)
            for group, kept, damaged in self._groups(workers):
                self._close(group, kept, damaged)
        self.pool.save_record()

    def result(self):
        """Return the parts of the module's result (dict) that say what was found."""
        result = {"changed": bool(self._count["new"] or self._files.any_dest()), **self._count}
        named = {"replaced": self.replaced, "rejected": self.rejected}
        if not self._files.first_pass:
            named.update(missing=self._missing, site_damage=self._site_damage)
        result.update({name: examples.result() for name, examples in named.items()})
        return dict(result, attributes=self._source.survey.attributes())

    # --- what lives ---------------------------------------------------------------------------------------------

    def _groups(self, workers):
        """Yield each group with what _live() returns for it."""
        if not self._source.one_stream:
            for group in self._source.groups:
                yield (group, *self._live(group, workers))
            return
        with tempfile.TemporaryFile("w+") as spool:
            for group in self._source.groups:
                kept, damaged = self._live(group, workers)
                spool.write(json.dumps([kept, sorted(damaged)]) + "\n")
            spool.seek(0)
            for group, line in zip(self._source.groups, spool):
                kept, damaged = json.loads(line)
                yield group, kept, set(damaged)

    def _live(self, group, workers):
        """Return what the pool has of what lives (dict of sha1 to bytes), and what is damaged there (set)."""
        kept, damaged, pending = {}, set(), []
        for name, size, content in self._source.blobs(group, lambda *blob: self.pool.state(*blob) != RIGHT):
            if content is None:
                kept[name] = size
            elif workers is None:
                self._note(name, self._take(name, size, content), kept, damaged)
            else:
                pending.append((name, workers.submit(self._take, name, size, content)))
        for name, future in pending:
            self._note(name, future.result(), kept, damaged)
        return kept, damaged

    def _take(self, name, size, content):
        """Settle one blob; threads do this. Return (what was done, its size in the pool or None)."""
        doubtful = self.pool.state(name) != ABSENT
        if doubtful and self.pool.settle(name, _throttle.wait):
            stored = self.pool.size(name)
            return (KEPT if stored == size else REJECTED), stored
        try:
            stored = self._writer.add(name, content())
        except FileNotFoundError:
            return GONE, None
        except OSError:
            stored = None  # it cannot be read, which is as good as damaged
        if stored is None:
            return REJECTED, None
        return (REPLACED if doubtful else NEW), stored

    def _note(self, name, outcome, kept, damaged):
        what, size = outcome
        if what == REJECTED:
            self.rejected.add(name)
            damaged.add(name)
        if size is not None:
            kept[name] = size
        if what in (NEW, REPLACED):
            self._count_new(name, size, what == REPLACED)

    def _count_new(self, name, size, replaced):
        self._count["new"] += 1
        self._count["new_bytes"] += size
        if replaced:
            self.replaced.add(name)

    # --- what is asked for --------------------------------------------------------------------------------------

    def _close(self, group, kept, damaged):
        """Look for what is asked for and not there, and write down the group."""
        wanted = self._files.wanted.take(group)
        if self._files.first_pass:
            self._files.miss([name for name in wanted if (name not in kept or name in damaged)
                              and not self._elsewhere(name, kept)])
        else:
            known = set(self._files.known.take(group))
            for name in wanted:
                if not (name in kept or self._had(name, kept) or self._fetch(name, kept)):
                    (self._site_damage if name in known else self._missing).add(name)
        self._files.keep(sorted(kept))
        self._count["files"] += len(kept)
        self._count["bytes"] += sum(kept.values())

    def _had(self, name, kept):
        """Use what the pool has from before. Return whether it has it (bool)."""
        state = self.pool.state(name)
        if state == ABSENT or state != RIGHT and not self.pool.settle(name, _throttle.wait):
            return False
        kept[name] = self.pool.size(name)
        return True

    def _elsewhere(self, name, kept):
        """True if the site still has a blob that was not among those that live."""
        if name in kept or self.pool.has(name):
            return self._trash.has(name)
        return self._fetch(name, kept)

    def _fetch(self, name, kept):
        """Store a blob from the trash, or from where it lives after all: an owner may have taken it out again."""
        for place in (self._trash, self._source):
            doubtful = self.pool.state(name) != ABSENT
            try:
                size = self._writer.add(name, place.read(name))
            except OSError:
                continue
            if size is not None:
                self._count_new(name, size, doubtful)
                self._count["promoted"] += place is self._trash
                kept[name] = size
                return True
        return False


def _warnings(what, run, survey):
    """Return what an operator has to know (list of str)."""
    lines = []
    if run.rejected.count:
        lines.append("%d files of %s are damaged on the site: they cannot be read or their content is not what their"
                     " name says (%s)." % (run.rejected.count, what, ", ".join(run.rejected.names[:5])))
    if run.replaced.count:
        lines.append("%d files in the pool %s were damaged and have been replaced (%s). Check the disk's health."
                     % (run.replaced.count, run.pool.path, ", ".join(run.replaced.names[:5])))
    if survey.unknown.count:
        lines.append("%d files of %s are not named by their content and are left out (%s)."
                     % (survey.unknown.count, what, ", ".join(survey.unknown.names[:5])))
    return lines


FILEDIR_ARCHIVE = Call(
    options={
        **TREE_OPTIONS,
        **COMPRESSION,
        "trash": {"type": "str"},
        "pool": {"type": "path", "required": True},
        "dest": {"type": "path"},
        "archive": {"type": "bool", "default": False},
        "overwrite": {"type": "bool", "default": False},
        "expected": {"type": "path"},
        "missing_dest": {"type": "path"},
        "required": {"type": "path"},
        "known_missing": {"type": "path"},
    },
    rules={
        "mutually_exclusive": [("volume", "container"), ("expected", "required")],
        "required_together": [("expected", "missing_dest")],
        "required_by": {"known_missing": ["required"]},
        "required_if": [("archive", True, ["dest"])],
    },
    work=lambda engine, params, check_mode, _diff: archive(engine, params, check_mode),
    estimate=estimate,
)
