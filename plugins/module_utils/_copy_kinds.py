# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of copies, each with the same face, made from the options of one entry of moodle_backup_copies.

Face: name, kind, where (str), policy (_retention.Policy or None); taken(stack) and reading(name), context managers;
prepare(), list(), add(backup, earlier, coming), which returns whether it counts now or only after finish(), finish(),
remove(stack, entries) and, to bring a backup back into a root, fetch_folder(entry, partial) and
fetch_blobs(entry, partial, folder), which see.
"""
from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile

from ansible.module_utils.common.text.formatters import human_to_bytes

from . import _backup_set, _hash_list, _naming, _retention
from ._copy_restic import Repository
from ._copy_rsync import Store, Transfer
from ._errors import UsageError
from ._pool import Pool
from ._remote_shell import Shell

RSYNC, RESTIC, CONTROLLER = KINDS = ("rsync", "restic", "controller")
_SFTP = re.compile(r"sftp:(?://)?(?:(?P<user>[^@/:]+)@)?(?P<host>[^:/]+)(?::(?P<port>[0-9]+)(?=/))?[:/]")
_KEEP = ("last", "daily", "weekly", "monthly", "yearly")

# Kept in step with plugins/doc_fragments/copies.py.
OPTIONS = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "required": True},
    "path": {"type": "str"},
    "host": {"type": "str"},
    "user": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "ssh_key": {"type": "path", "no_log": False},
    "known_hosts": {"type": "path"},
    "host_key_checking": {"type": "bool", "default": True},
    "connect_timeout": {"type": "int", "default": 20},
    "rate_limit": {"type": "str", "default": "0"},
    "encrypted_storage": {"type": "bool", "default": False},
    "repository": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "password_file": {"type": "path"},
    "environment": {"type": "dict", "no_log": True},
    "create": {"type": "bool", "default": True},
    "keep_last": {"type": "int", "default": 0},
    "keep_daily": {"type": "int", "default": 0},
    "keep_weekly": {"type": "int", "default": 0},
    "keep_monthly": {"type": "int", "default": 0},
    "keep_yearly": {"type": "int", "default": 0},
    "keep_within": {"type": "str", "default": ""},
    "keep_minimum": {"type": "int", "default": 1},
}
COPIES = {
    "type": "list", "elements": "dict", "options": OPTIONS,
    "required_if": [("kind", RSYNC, ["path"]), ("kind", CONTROLLER, ["path"]), ("kind", RESTIC, ["repository"]),
                    ("kind", RESTIC, ["password", "password_file"], True)],
    "mutually_exclusive": [("password", "password_file")],
}


def check(copies):
    """Raise UsageError if the options (list of dict) make no sense, before anything is done."""
    names = [_naming.check_name(options["name"], "copy") for options in copies]
    for options in copies:
        name = options["name"]
        if names.count(name) > 1:
            raise UsageError("Two copies are named '%s'" % name, "Give each a name of its own.")
        _bytes(options)
        policy(options)
        if options["kind"] == RESTIC:
            if not options["password"] and not options["password_file"]:
                raise UsageError("copy '%s': restic needs a password" % name, "Give 'password' or 'password_file'.")
            continue
        if not os.path.isabs(options["path"]):
            raise UsageError("copy '%s': the path '%s' is not absolute" % (name, options["path"]))
        if not options["encrypted_storage"]:
            raise UsageError(
                "copy '%s': backups hold passwords, and a copy by %s is not encrypted where it lies" % (
                    name, "rsync" if options["kind"] == RSYNC else "rsync on the control node"),
                "If the storage there is encrypted, or trusted as this host is, say so with 'encrypted_storage: true'."
                " Otherwise use 'kind: restic', over SFTP for example.")


def policy(options):
    """Return the _retention.Policy of a copy, or None if nothing is ever removed from it. :raises: UsageError."""
    numbers = {name: options["keep_%s" % name] for name in _KEEP}
    if not any(numbers.values()) and not options["keep_within"]:
        return None
    found = _retention.Policy(within=options["keep_within"], minimum=options["keep_minimum"], **numbers)
    try:
        _retention.check(found)
    except UsageError as error:
        raise UsageError("copy '%s': %s" % (options["name"], error.message), error.hint) from error
    return found


def _bytes(options):
    """Return the rate limit in bytes per second (int), 0 for none."""
    try:
        size = human_to_bytes(options["rate_limit"])
    except ValueError:
        size = -1
    if size < 0:
        raise UsageError("copy '%s': rate_limit '%s' is not a size" % (options["name"], options["rate_limit"]),
                         "Write a number of bytes, or 20M or 1G.")
    return size


def push(options, root, fd, check_mode=False):
    """Return the copy that options (dict) describe, for a module on the host of the backups.

    :param root: _backup_set.Root. :param fd: descriptor that its processes inherit, see _copies.running, or None.
    :param check_mode: bool, whether nothing at all may be written.
    """
    fds = () if fd is None else (fd,)
    if options["kind"] == RESTIC:
        return ResticCopy(options, root, fds, check_mode)
    ssh = dict(options) if options["host"] else None
    if ssh is None:
        _require_apart(options, root)
    return RsyncCopy(options, root, Store(Shell(None, fds), root.path), Store(Shell(ssh, fds), options["path"]))


def pull(options, root, ssh, fd):
    """Return the copy that options describe, for a module on the control node.

    :param root: _backup_set.Root with the path that the backups have on their host.
    :param ssh: dict as Shell takes it, to reach that host; None if it is this one.
    """
    fds = () if fd is None else (fd,)
    source = Shell(ssh, fds)
    if ssh is None:
        _require_apart(options, root)
    else:
        source.become_root()
    return RsyncCopy(options, root, Store(source, root.path), Store(Shell(None, fds), options["path"]))


def _require_apart(options, root):
    """Raise UsageError if a copy on this host is not apart from what it is a copy of."""
    own, other = os.path.realpath(root.path), os.path.realpath(options["path"])
    if os.path.commonpath([own, other]) in (own, other):
        raise UsageError("The path %s of the copy and the root %s are not apart" % (options["path"], root.path),
                         "Choose another folder, best on another disk.")


class RsyncCopy:
    """A folder with the same layout, here, over SSH, or on the control node."""

    def __init__(self, options, root, source, dest):
        self.name, self.kind, self.policy = options["name"], options["kind"], policy(options)
        self.where = "control node:%s" % dest.path if self.kind == CONTROLLER else dest.where
        self._source, self._dest, self._limit = source, dest, _bytes(options)
        self._transfer = Transfer(source, dest, self._limit)
        self._root = root
        self._check_lock = None

    def prepare(self):
        """Nothing to do: the folders are made together with the lock."""

    def list(self):
        return self._dest.list()

    @contextlib.contextmanager
    def taken(self, stack):
        with self._dest.taken(stack) as self._check_lock:
            yield

    def reading(self, name):
        if self._source.shell.remote:
            return self._source.reading(name)
        return _backup_set.reading(self._root.folder(name))

    def add(self, backup, earlier, _coming):
        self._transfer.clean(backup["stack"], backup["name"])
        self._transfer.copy(backup["name"], backup["stack"], earlier, self._check_lock)
        return True

    def finish(self):
        """Nothing to do: each backup has its name already."""

    def remove(self, stack, entries):
        """Remove backups (list of dict) and the blobs that nothing needs any more. Return how many these were (int)."""
        for entry in entries:
            self._dest.remove(entry["name"])
        return self._dest.sweep(stack)

    def fetch_folder(self, entry, partial):
        """Bring a backup's own files into a partial folder (str, its name) of the root, using what is there already."""
        earlier = []
        if not self._source.shell.remote:
            earlier = [backup["name"] for backup in _backup_set.complete(self._root)
                       if backup["stack"] == entry["stack"] and backup["name"] != entry["name"]]
        Transfer(self._dest, self._source, self._limit).folder(entry["name"], partial, earlier)

    def fetch_blobs(self, entry, partial, folder):
        """Bring the blobs of the fetched list that the pool lacks into a folder of the root (str, its name in
        backups/), as xx/yy/sha1. Nothing has checked their content then."""
        path, is_right = os.path.join(self._root.backups, partial, _hash_list.FILENAME), None
        if self._source.shell.remote:
            path = os.path.join(self._dest.path, "backups", entry["name"], _hash_list.FILENAME)
        if self.kind == CONTROLLER:
            # The backups' host reads them too, but only when it is too late to ask another copy.
            is_right = Pool(os.path.join(self._dest.path, "pools", entry["stack"], "filedir")).is_right
        if os.path.exists(path):
            Transfer(self._dest, self._source, self._limit).blobs(path, entry["stack"], "backups/%s" % folder, is_right)

    def holding_source(self, stack):
        """Keep what is brought back to the backups' host from being removed there, as a module does that owns the lock
        of the stack; a context manager."""
        return self._source.taken(stack, "%s.lock", shared=True)


class ResticCopy:
    """A restic repository."""

    kind = RESTIC

    def __init__(self, options, root, fds, check_mode):
        self.name, self.policy = options["name"], policy(options)
        self._ssh = _sftp(options)
        self._repository = Repository(dict(options, limit=_bytes(options)), root.path,
                                      self._ssh and self._ssh.sftp_command(), fds, cache=not check_mode)
        self._root = root
        self.where = self._repository.where
        self.finish = self._repository.finish

    def _connect(self):
        if self._ssh is not None:
            self._ssh.check_sftp()  # restic would not say why there is none
            self._ssh = None

    def prepare(self):
        self._connect()
        self._repository.prepare()

    def list(self):
        self._connect()
        return self._repository.list()

    @contextlib.contextmanager
    def taken(self, _stack):
        yield  # restic has locks of its own, and snapshots are whole or not there

    def reading(self, name):
        return _backup_set.reading(self._root.folder(name))

    def add(self, backup, _earlier, coming):
        self._repository.clean(backup["stack"], coming, backup["site"])
        self._repository.copy(backup["name"], backup["stack"], backup["created"], backup["site"])
        return False

    def remove(self, _stack, entries):
        self._repository.forget([entry["snapshot"] for entry in entries])
        return 0

    def fetch_folder(self, entry, partial):
        folder = os.path.join(self._root.backups, partial)
        for name in os.listdir(folder):  # what another run has left
            path = os.path.join(folder, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        self._repository.fetch_folder(entry, folder)

    def fetch_blobs(self, entry, partial, folder):
        names = os.path.join(self._root.backups, partial, _hash_list.FILENAME)
        if not os.path.exists(names):
            return
        pool = Pool(self._root.pool(entry["stack"]))
        target = os.path.join(self._root.backups, folder)
        with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="moodle_backup_") as missing:
            count = sum(1 for sha1 in _hash_list.entries(names) if not pool.has(sha1) and missing.write(sha1 + "\n"))
            missing.flush()
            if count:
                os.makedirs(target, mode=0o700, exist_ok=True)
                self._repository.fetch_blobs(entry, missing.name, count, target)


def _sftp(options):
    """Return the Shell of a repository's SFTP server, or None if it is elsewhere."""
    match = _SFTP.match(options["repository"])
    if not match:
        return None
    user, host, port = match.group("user"), match.group("host"), match.group("port")
    ssh = dict(options, host=host, user=user or options["user"], port=int(port) if port else options["port"])
    return Shell(ssh)
