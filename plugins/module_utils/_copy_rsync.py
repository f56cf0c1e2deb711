# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups from one folder to another with the same layout, by rsync; one of the two may be on another host.

A folder is copied under a partial name, with archives that did not change as hard links to those of earlier backups
there; blobs go into a folder of their own first. What has arrived is read and compared at the other end, then it gets
its name. What a killed run leaves is taken up by the next one.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile

from . import _copy_scripts as scripts
from . import _copy_sites, _hash_list, _manifest, _metadata, _naming
from ._errors import BackupError, CommandError, IntegrityError, StorageError

_PREVIOUS = 5  # earlier backups whose archives may be linked to
_SHOWN = 3  # names in a message
# -1 compares nanoseconds: archives of two backups may have the same size and be made in the same second.
_FOLDER = ["--recursive", "--times", "--perms", "--chmod=D700,F600", "--modify-window=-1"]
_BLOBS = ["--times", "--perms", "--chmod=D700,F400"]
_UNTOUCHED = "1000000000"  # the time that every blob has, see _pool


class Store:
    """A folder that holds backups and pools. :param shell: _remote_shell.Shell of its host. :param path: str."""

    def __init__(self, shell, path):
        self.shell, self.path = shell, path.rstrip("/") or "/"
        self.where = "%s:%s" % (shell.where, self.path) if shell.location("") else self.path

    def run(self, what, script, *arguments):
        """Return the lines (list of str) that a script of _copy_scripts prints."""
        return list(self.shell.lines(what, script, self.path, *arguments))

    def location(self, *parts):
        return self.shell.location("/".join((self.path,) + parts))

    def list(self):
        """Return what is there: {name: {"name", "manifest" (SHA-256), "site" (see _copy_sites), and of its metadata
        "stack", "created"}}."""
        found = {}
        ended = False
        for line in self.shell.lines("listing backups", scripts.LIST, self.path):
            ended = line == "end"
            head, slash, rest = line.partition("/")
            name, slash, rest = rest.partition("/")
            if not slash or not _is_name(name):
                continue
            entry = found.setdefault(name, {"name": name, "complete": True})
            if rest == _manifest.FILENAME:
                entry["manifest"] = head.split()[0]
            elif rest.startswith("backup.json: "):
                with contextlib.suppress(ValueError):
                    entry.update(json.loads("{%s}" % rest.partition(":")[2].rstrip(", ")))
        if not ended:
            raise StorageError("%s: the list of backups was cut off" % self.where)
        return {name: dict(entry, site=_copy_sites.digest(entry.get("siteidentifier"))) for name, entry in found.items()
                if entry.get("manifest") and entry["name"] == name and _metadata.problem(entry) is None}

    def blobs(self, stack):
        """Yield (sha1, size in bytes, whether its time is that of an untouched blob), in order."""
        for line in self.shell.lines("listing stored files", scripts.POOL, self.path, stack):
            sha1, _space, rest = line.partition(" ")
            if sha1 == "failed":
                raise StorageError("%s: the stored files of stack '%s' cannot be listed" % (self.where, stack))
            if _hash_list.SHA1.match(sha1):
                size, _space, seconds = rest.partition(" ")
                yield sha1, int(size), seconds.partition(".")[0] == _UNTOUCHED

    def damaged(self, stack):
        """Return the SHA-1 of blobs that are known to be damaged (set of str)."""
        text = "\n".join(self.run("reading what is known to be damaged", scripts.DAMAGED, stack))
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return set(json.loads(text)["blobs"])
        return set()

    @contextlib.contextmanager
    def taken(self, stack, lock="%s.copy", shared=False):
        """Make the folders that are missing, and hold the stack there. Gives a function, see Shell.holding.

        :param lock: str, name of the file in locks/, with %s for the stack.
        """
        self.run("making the folders", scripts.PREPARE, stack, lock % stack)
        with self.shell.holding("%s/locks/%s" % (self.path, lock % stack), shared,
                                "the copies of stack '%s' in %s" % (stack, self.path)) as check:
            yield check

    def reading(self, name):
        """Return a context manager that keeps a backup there from being removed; see _backup_set.reading."""
        return self.shell.holding("%s/backups/%s" % (self.path, name), True, "backup '%s' in %s" % (name, self.path))

    def remove(self, name):
        """Remove a backup, but no stored files."""
        self.run("removing backup '%s'" % name, scripts.REMOVE, name)

    def sweep(self, stack):
        """Remove the stored files that no backup there needs. Return how many (int)."""
        return int(self.run("removing stored files that nothing needs", scripts.SWEEP, stack)[-1])


class Transfer:
    """Brings backups from one Store to another. At most one of the two is on another host.

    :param limit: bytes per second, 0 for none.
    """

    def __init__(self, source, dest, limit=0):
        self._source, self._dest, self._limit = source, dest, limit
        self._shell = dest.shell if dest.shell.remote else source.shell

    def clean(self, stack, wanted):
        """Remove what dead runs left of a stack in a copy, but for the partial folder of a backup that comes now."""
        self._dest.run("removing what a dead run has left", scripts.CLEAN, stack, _partial(stack, wanted))

    def copy(self, name, stack, earlier, check_lock):
        """Make a copy of a backup, which the caller keeps from being removed; the caller holds the stack there.

        :param earlier: names (list of str) of backups of the stack there, the oldest first.
        :param check_lock: function that raises if the lock was lost.
        :raises: IntegrityError if what arrived is not what was sent, CommandError, StorageError.
        """
        partial = _partial(stack, name)
        try:
            names = self.folder(name, partial, earlier)
            if names:
                self.blobs(names, stack, "pools/%s/.incoming" % stack)
                self._check_blobs(stack)
                self._dest.run("publishing stored files", scripts.TAKE_BLOBS, stack)
            check_lock()
            self._dest.run("publishing backup '%s'" % name, scripts.PUBLISH, partial, name)
        except StorageError:
            # A full disk is not to stay full with what nobody can use.
            with contextlib.suppress(BackupError):
                self._dest.run("cleaning up", scripts.DROP, partial)
                self._dest.run("cleaning up", scripts.DROP_INCOMING, stack)
            raise

    def folder(self, name, partial, earlier):
        """Bring the folder of a backup into a partial folder and compare it with the manifest of the source.

        :param partial: str, name of the folder. :param earlier: see copy().
        :returns: path (str) of its list of blobs on this host, or None if it has none.
        """
        what = "copying backup '%s'" % name
        source = self._source.location("backups", name) + "/"
        dest = self._dest.location("backups", partial) + "/"
        links = ["--link-dest=../%s" % other for other in earlier[::-1][:_PREVIOUS]]
        keep = ["--delete", "--partial-dir=.rsync-partial"]
        self._shell.rsync(what, _FOLDER + keep + links + [source, dest], self._limit)
        if self._problems(name, partial):
            # Something damaged there was linked, or is left from a run that died: compare contents, not times.
            self._shell.rsync(what, _FOLDER + keep + ["--checksum", source, dest], self._limit)
            problems = self._problems(name, partial)
            if problems:
                self._dest.run("removing what is damaged", scripts.DROP, partial)
                raise IntegrityError(
                    "Backup '%s' of %s arrived damaged in %s: %s" % (
                        name, self._source.where, self._dest.where, _shorten(problems)),
                    "Verify it where it comes from.")
        path = os.path.join(self._dest.path, "backups", partial, _hash_list.FILENAME)
        if self._dest.shell.remote:
            path = os.path.join(self._source.path, "backups", name, _hash_list.FILENAME)
        return path if os.path.exists(path) else None

    def _problems(self, name, partial):
        """Return what differs from the manifest of the source (list of str)."""
        lines = self._dest.run("checking backup '%s'" % name, scripts.CHECK, partial)
        if lines[0] != self._source.run("reading a manifest", scripts.MANIFEST_SUM, name)[0]:
            return ["%s (another one)" % _manifest.FILENAME]
        start, end = lines.index("--"), lines.index("--", lines.index("--") + 1)
        wanted = set(_manifest.parse("\n".join(lines[start + 1:end]) + "\n")) | {_manifest.FILENAME}
        there = set(lines[end + 1:])
        return lines[1:start] + ["%s (missing)" % path for path in sorted(wanted - there)] + [
            "%s (unknown)" % path for path in sorted(there - wanted)]

    def blobs(self, names, stack, folder, is_right=None):
        """Bring the blobs of a list that the other end lacks into a folder there, unchecked.

        :param names: str, path of the list. :param folder: str, relative to the Store.
        :param is_right: function that tells of a SHA-1 whether the blob is right where it comes from; None to trust it.
        :returns: how many (int).
        """
        with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="moodle_backup_") as missing:
            count = 0
            for sha1 in self._missing(names, stack):
                if is_right is not None and not is_right(sha1):
                    raise IntegrityError("The stored file %s of stack '%s' in %s is damaged" % (
                        sha1, stack, self._source.where))
                missing.write("%s/%s/%s\n" % (sha1[:2], sha1[2:4], sha1))
                count += 1
            missing.flush()
            if count:
                self._shell.rsync(
                    "copying stored files", _BLOBS + ["--files-from=%s" % missing.name,
                                                      self._source.location("pools", stack, "filedir") + "/",
                                                      self._dest.location(folder) + "/"], self._limit)
        return count

    def _check_blobs(self, stack):
        bad = self._dest.run("checking stored files", scripts.CHECK_BLOBS, stack)
        if bad[-1:] != ["checked"]:
            raise CommandError("%s: checking stored files was cut off" % self._dest.where, "Run this again.")
        if bad[:-1]:
            raise IntegrityError(
                "%d stored files of stack '%s' are not what their names say: %s" % (
                    len(bad) - 1, stack, _shorten(bad[:-1])),
                "Verify the backups in %s, where they come from." % self._source.where)

    def _missing(self, names, stack):
        """Yield the SHA-1 of each blob of a list that the other end does not have as it should be, in order."""
        damaged = self._dest.damaged(stack)
        here, there = _Ahead(self._source.blobs(stack)), _Ahead(self._dest.blobs(stack))
        try:
            for sha1 in _hash_list.entries(names):
                own, other = here.at(sha1), there.at(sha1)
                if own is None:
                    raise IntegrityError("The stored file %s is missing in the pool of stack '%s' in %s" % (
                        sha1, stack, self._source.where), "Verify the backups there.")
                if other is None or other[1] != own[1] or not other[2] or sha1 in damaged:
                    yield sha1
        finally:
            here.close()
            there.close()


class _Ahead:
    """Looks up entries of an ordered stream; what is asked for must be in order, too."""

    def __init__(self, stream):
        self._stream = stream
        self._next = next(stream, None)

    def at(self, sha1):
        while self._next is not None and self._next[0] < sha1:
            self._next = next(self._stream, None)
        return self._next if self._next is not None and self._next[0] == sha1 else None

    def close(self):
        self._stream.close()


def _partial(stack, name):
    return ".partial_copy_%s@%s" % (stack, name)


def _is_name(name):
    try:
        return _naming.check_name(name) == name
    except BackupError:
        return False


def _shorten(names):
    names = [re.sub(r": FAILED.*", " (damaged)", name) for name in names]
    more = " and %d more" % (len(names) - _SHOWN) if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
