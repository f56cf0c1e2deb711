# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies in a restic repository: encrypted, deduplicated, wherever restic can write. Only what 0.14 and 0.18 both know.

One snapshot is one backup: backups/<name> and pools/<stack>/filedir, so that it is complete by itself. Its tags say
what it is: moodleclaude, stack=, created=, manifest= (SHA-256), site= (see _copy_sites) if that is known, and
backup=<name> once it was checked; until then, unchecked=<name>. All that is secret, the repository's address too,
reaches restic by its environment.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import time

from . import _copy_sites, _hash_list, _manifest, _metadata, _naming
from ._errors import CommandError, IntegrityError, StorageError, UsageError
from ._stream import ProcessSource, _program, sha256_of

_OURS = "moodleclaude"
_LOCKED = ("unable to create lock", "repository is already locked")
# Restic asks this of any storage that does not give a repository's configuration, whether that is missing or cannot be
# reached; the words tell which.
_QUESTION = "Is there a repository at the following location"
_ABSENT = ("no such file", "does not exist", "not found", "404")
_THERE = ("already exists", "already initialized")
_FEW = 200  # blobs that are named one by one
# What an operator finds in the message, and what helps.
_HINTS = (
    ("wrong password", "Give the password with which the repository was made; without it nobody can read it."),
    (_LOCKED[0], "Another restic is at work on it. Run this again when it has ended."),
    (_LOCKED[1], "Another restic is at work on it. Run this again when it has ended."),
    ("no space left", "Make room where the repository is, then run this again; it goes on with what is missing."),
    ("connection refused", "Check the address, and that the storage can be reached from this host."),
    ("ciphertext verification failed", "The repository is damaged. 'restic check --read-data' tells how much of it."),
    ("does not match", "The repository is damaged. 'restic check --read-data' tells how much of it."),
    ("Access Denied", "Check the credentials in 'environment'."),
)


class Repository:
    """A restic repository.

    :param options: dict of a copy, see _copies. :param root: str, the folder of all backups on this host.
    :param sftp_command: str, the command that gives an SFTP session, or None.
    :param cache: bool, whether restic may keep what it knows of the repository below the root.
    """

    def __init__(self, options, root, sftp_command=None, pass_fds=(), cache=True):
        self._root, self._fds, self._create = root, tuple(pass_fds), options["create"]
        self._options = ["--quiet"] + ([] if cache else ["--no-cache"])
        if sftp_command:
            self._options += ["-o", "sftp.command=%s" % sftp_command]
        self._limit = options["limit"]
        self._secrets = [value for value in secrets(options) if value]
        self._environment = dict(os.environ, RESTIC_REPOSITORY=options["repository"],
                                 RESTIC_CACHE_DIR=os.path.join(root, "cache", "restic"))
        self._environment.update({key: str(value) for key, value in (options["environment"] or {}).items()})
        for name in ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE"):
            self._environment.pop(name, None)
        if options["password"]:
            self._environment["RESTIC_PASSWORD"] = options["password"]
        elif options["password_file"]:
            self._environment["RESTIC_PASSWORD_FILE"] = options["password_file"]
        self.where = hidden(options["repository"], self._secrets)
        self._exists, self._known = False, None
        self._new = []  # (snapshot, its tags once it is checked)

    # --- running it --------------------------------------------------------------------------------------------------

    def _lines(self, what, *arguments, accepted=(0,), cwd=None):
        """Yield the lines (bytes) that restic prints. :raises: CommandError, StorageError."""
        command = [_program("restic")] + self._options + list(arguments)
        source = ProcessSource(command, what="restic", env=self._environment, accepted=accepted, cwd=cwd,
                               pass_fds=self._fds)
        try:
            rest = b""
            for chunk in source.chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
            if rest:
                yield rest
            source.finish()
        except CommandError as error:
            raise self._failure(what, error) from error
        finally:
            source.abort()

    def _run(self, what, *arguments, **options):
        """Run restic and return what it prints (bytes). A lock that restic itself calls stale is removed, once."""
        try:
            return b"\n".join(self._lines(what, *arguments, **options))
        except CommandError as error:
            if not any(words in error.message for words in _LOCKED):
                raise
        with contextlib.suppress(CommandError):
            b"".join(self._lines("removing stale locks", "unlock"))
        return b"\n".join(self._lines(what, *arguments, **options))

    def _failure(self, what, error):
        text = hidden(error.details.get("stderr") or error.message, self._secrets)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        cause = "; ".join(line for line in lines[-4:] if line != self.where)
        hint = next((hint for words, hint in _HINTS if words.lower() in text.lower()), None)
        kind = StorageError if "no space left" in text.lower() else CommandError
        return kind("restic repository %s: %s failed: %s" % (self.where, what, cause), hint, rc=error.details.get("rc"))

    def prepare(self):
        """Make the repository if it is not there and may be made."""
        if self._create and self.where.startswith("s3:"):
            # Before anything else: of a bucket that does not exist, restic 0.17 and newer ask for a quarter of an hour.
            self._init()
        try:
            self._snapshots()
        except CommandError as error:
            if not self._create or _QUESTION not in error.message:
                raise
            # Making one tells: it works, or says what is wrong.
        if not self._exists:
            if not self._create:
                raise UsageError("There is no restic repository at %s" % self.where,
                                 "Check the address, or set 'create: true' to make one.")
            self._init()

    def _init(self):
        try:
            self._change("making it", "init")
            self._exists = True
        except CommandError as error:
            if not any(words in error.message for words in _THERE):
                raise

    # --- what is there -----------------------------------------------------------------------------------------------

    def list(self):
        """Return the checked backups: {name: {"name", "stack", "created", "manifest", "complete", "site" (see
        _copy_sites), "snapshot"}}."""
        return {one["backup"]: dict(one, name=one["backup"]) for one in self._snapshots() if one.get("backup")}

    def _snapshots(self):
        """Return our snapshots (list of dict of their tags, with "snapshot", the ID), the oldest first.

        Each command of restic takes a second to open the repository, so they are asked for only after a change.
        """
        if self._known is None:
            try:
                answer = self._run("listing snapshots", "snapshots", "--json", "--no-lock", "--tag", _OURS)
                self._exists = True
            except CommandError as error:
                asked = _QUESTION in error.message and any(words in error.message for words in _ABSENT)
                if error.details.get("rc") != 10 and not asked:
                    raise
                answer = b"null"
            self._known = sorted(filter(None, map(_described, json.loads(answer or b"null") or [])),
                                 key=lambda one: one["created"])
        return self._known

    # --- copying -----------------------------------------------------------------------------------------------------

    def _own(self, stack, site):
        """Return the snapshots of a stack that are not another site's, for its host may be at work on them."""
        return [one for one in self._snapshots() if one["stack"] == stack and one["site"] in (None, site)]

    def clean(self, stack, wanted, site=None):
        """Forget the snapshots of dead runs, but for those of backups (set of names) that are to be copied now."""
        left = [one["snapshot"] for one in self._own(stack, site)
                if "unchecked" in one and one["unchecked"] not in wanted]
        if left:
            self._change("forgetting what a dead run has left", "forget", *left)

    def copy(self, name, stack, created, site=None):
        """Copy a backup, which the caller keeps from being removed; finish() makes it count.

        :param created: seconds since the epoch. :param site: str or None, see _copy_sites.
        :raises: IntegrityError, CommandError, StorageError.
        """
        folder = os.path.join(self._root, "backups", name)
        tags = [_OURS, "stack=%s" % stack, "created=%r" % float(created),
                "manifest=%s" % sha256_of(os.path.join(folder, _manifest.FILENAME))]
        tags += ["site=%s" % site] if site else []
        snapshot = self._unchecked(name, stack, site, tags) or self._back_up(name, stack, created, site, tags)
        self._new.append((snapshot, tags + ["backup=%s" % name]))

    def finish(self):
        """Check the repository, and name what was copied. :raises: CommandError if it is damaged."""
        if self._new:
            self._change("checking it", "check")
        for snapshot, tags in self._new:
            self._change("naming a checked snapshot", "tag", "--set", ",".join(tags), snapshot)
        self._new = []

    def _change(self, what, *arguments, **options):
        self._known = None
        return self._run(what, *arguments, **options)

    def _unchecked(self, name, stack, site, tags):
        """Return the snapshot (str) that a dead run has made of a backup, if it is good; forget it otherwise."""
        for one in self._own(stack, site):
            if one.get("unchecked") == name:
                if "manifest=%s" % one["manifest"] in tags and not self._differences(one["snapshot"], name, stack):
                    return one["snapshot"]
                self._change("forgetting what a dead run has left", "forget", one["snapshot"])
        return None

    def _back_up(self, name, stack, created, site, tags):
        earlier = [one["snapshot"] for one in self._own(stack, site)]
        paths = ["backups/%s" % name]
        if os.path.exists(os.path.join(self._root, "backups", name, _hash_list.FILENAME)):
            paths.append("pools/%s/filedir" % stack)
        arguments = ["--host", stack, "--exclude", "filedir/.new_*", "--json",
                     "--time", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created))]
        if earlier:
            arguments += ["--parent", earlier[-1]]  # blobs that it knows are not read again
        if self._limit:
            arguments += ["--limit-upload", str(max(1, self._limit // 1024))]
        for tag in tags + ["unchecked=%s" % name]:
            arguments += ["--tag", tag]
        # 3: something could not be read, perhaps a blob that was just removed. Whether it matters is seen below.
        answer = self._change("copying backup '%s'" % name, "backup", *arguments, *paths, accepted=(0, 3),
                              cwd=self._root)
        snapshot = _summary(answer).get("snapshot_id")
        if not snapshot:
            raise CommandError("restic repository %s: no snapshot of backup '%s' was made" % (self.where, name))
        problems = self._differences(snapshot, name, stack)
        if problems:
            self._change("forgetting a bad snapshot", "forget", snapshot)
            raise IntegrityError(
                "The snapshot of backup '%s' in %s lacks: %s" % (name, self.where, ", ".join(problems[:3])),
                "Verify the backup, then run this again.")
        return snapshot

    def _differences(self, snapshot, name, stack):
        """Return what a snapshot lacks of a backup (list of str), by names and sizes."""
        folder = os.path.join(self._root, "backups", name)
        with open(os.path.join(folder, _manifest.FILENAME), encoding="utf-8") as handle:
            wanted = {path: _size(folder, path) for path in _manifest.parse(handle.read())}
        wanted[_manifest.FILENAME] = _size(folder, _manifest.FILENAME)
        blobs = iter(())
        if _hash_list.FILENAME in wanted:
            blobs = _hash_list.entries(os.path.join(folder, _hash_list.FILENAME))
        problems, expected = [], next(blobs, None)
        pool = os.path.join(self._root, "pools", stack, "filedir")
        # The blobs come in order, as in the list, so neither has to be in memory.
        for node in self._nodes(snapshot):
            path = node["path"].lstrip("/")
            if path.startswith("backups/%s/" % name):
                relative = path.split("/", 2)[2]
                if wanted.get(relative) != node["size"]:
                    problems.append(relative)
                wanted.pop(relative, None)
                continue
            sha1 = path.rpartition("/")[2]
            while expected is not None and expected < sha1:
                problems.append("stored file %s" % expected)
                expected = next(blobs, None)
            if sha1 == expected:
                if node["size"] != _size(pool, sha1[:2], sha1[2:4], sha1):
                    problems.append("stored file %s" % sha1)
                expected = next(blobs, None)
        if expected is not None:
            problems.append("stored file %s" % expected)
        return sorted(wanted) + problems

    def _nodes(self, snapshot):
        """Yield the files of a snapshot (dict with path and size in bytes), in restic's order."""
        for line in self._lines("listing a snapshot", "ls", "--json", "--no-lock", snapshot):
            node = json.loads(line)
            if node.get("type") == "file":
                yield dict(node, size=node.get("size", 0))

    def forget(self, snapshots):
        """Remove snapshots (list of IDs), and the data that nothing else needs."""
        self._change("removing snapshots", "forget", "--prune", *snapshots)

    # --- back again --------------------------------------------------------------------------------------------------

    def fetch_folder(self, entry, dest):
        """Write a backup's own files into an empty folder (str). :param entry: dict, as list() gives it."""
        inside = "backups/%s" % entry["name"]
        self._restore(entry, dest, ["--include", "/" + inside], "fetching backup '%s'" % entry["name"])
        if not os.path.isdir(os.path.join(dest, inside)):
            raise IntegrityError("Snapshot %s in %s holds no backup" % (entry["snapshot"][:8], self.where))
        for name in os.listdir(os.path.join(dest, inside)):
            os.rename(os.path.join(dest, inside, name), os.path.join(dest, name))
        while inside:
            os.rmdir(os.path.join(dest, inside))
            inside = os.path.dirname(inside)

    def fetch_blobs(self, entry, missing, count, dest):
        """Write blobs into an empty folder (str), as xx/yy/sha1; perhaps others besides.

        :param missing: path of a file with a SHA-1 in each line. :param count: how many these are.
        """
        inside = "/pools/%s/filedir" % entry["stack"]
        chosen = ["--include", inside]
        if count <= _FEW:
            with open(missing, encoding="ascii") as handle:
                chosen = [word for sha1 in handle.read().split()
                          for word in ("--include", "%s/%s/%s/%s" % (inside, sha1[:2], sha1[2:4], sha1))]
        self._restore(entry, dest, chosen, "fetching stored files")
        found = dest + inside
        for name in os.listdir(found) if os.path.isdir(found) else ():
            os.rename(os.path.join(found, name), os.path.join(dest, name))

    def _restore(self, entry, dest, chosen, what):
        limit = ["--limit-download", str(max(1, self._limit // 1024))] if self._limit else []
        self._run(what, "restore", entry["snapshot"], "--target", dest, *limit, *chosen)


def _size(*parts):
    """Return the size of a file in bytes (int), None if it is not there."""
    try:
        return os.path.getsize(os.path.join(*parts))
    except FileNotFoundError:
        return None


def _described(snapshot):
    """Return a snapshot as _snapshots() does, or None if it is somebody else's. :param snapshot: dict, restic's."""
    tags = dict(tag.partition("=")[::2] for tag in snapshot.get("tags") or [])
    names = [tags.get("stack"), tags.get("backup", tags.get("unchecked"))]
    try:
        found = dict(tags, created=float(tags["created"]), manifest=tags["manifest"], snapshot=snapshot["id"])
    except (KeyError, ValueError):
        return None
    good = all(map(_naming.is_name, names)) and _metadata.is_time(found["created"])
    return dict(found, complete=True, site=_copy_sites.checked(tags.get("site"))) if good else None


def secrets(options):
    """Return all that nobody may see of a copy's options (list of str)."""
    found = [options["password"]] + [str(value) for value in (options["environment"] or {}).values()]
    return [value for value in found if value] + address_secrets(options["repository"])


def address_secrets(repository):
    """Return the passwords that stand in a repository's address (list of str)."""
    return [match for match in re.findall(r"//[^/@:]*:([^/@]+)@", repository or "") if match]


def hidden(text, secret_values):
    """Return a text without secrets (str)."""
    for value in sorted(secret_values, key=len, reverse=True):
        text = text.replace(value, "********")
    return text


def _summary(answer):
    for line in reversed(answer.split(b"\n")):
        with contextlib.suppress(ValueError):
            document = json.loads(line)
            if isinstance(document, dict) and document.get("message_type") == "summary":
                return document
    return {}
