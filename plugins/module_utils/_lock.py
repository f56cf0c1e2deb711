# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lock for each stack, which cannot go stale for ever.

A backup or a restore is many module calls, and no process on the managed host lives from its first to its last. So the
lock is a small file that names its owner, and three things tell whether the owner is alive:

* a module that works for the owner holds a shared flock on the file (the kernel drops it when the process ends),
* the ansible process that the owner was started from still runs, if that is on this host,
* otherwise, the file was touched less than a timeout ago; every module call touches it at its begin and at its end.

The modules learn the file's path from the environment variable MOODLE_BACKUP_LOCK, which the roles set.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time

from ._errors import LockedError, StorageError

ENVIRONMENT = "MOODLE_BACKUP_LOCK"
CLEAN_UP = "clean-up"  # the purpose for which others wait: it is over soon
_PATIENCE = 600  # seconds: how long others wait for a clean-up
_held = []  # descriptors of shared locks; open until the process ends


def hold_from_environment():
    """Hold the lock named in the environment, shared, for as long as this process lives. Called once by _module."""
    path = os.environ.get(ENVIRONMENT)
    if not path:
        return
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.utime(fd)
        _held.append(fd)


def touch_from_environment():
    """Say once more that the owner is alive; called by _module at the end."""
    for fd in _held:
        with contextlib.suppress(OSError):
            os.utime(fd)


def _process_start(pid):
    """Return the start time of a process in clock ticks since boot (str), or None if it does not run."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as handle:
            fields = handle.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def find_controller():
    """Return {"pid", "started"} of the ansible process above this one on the same host, or None.

    Over SSH there is none. The outermost is taken: the inner ones are workers that end with their task.
    """
    found, pid = None, os.getppid()
    while pid > 1:
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as handle:
                words = handle.read().split(b"\0")[:3]
            with open("/proc/%d/stat" % pid, "rb") as handle:
                parent = int(handle.read().rpartition(b")")[2].split()[1])
        except OSError:
            break
        if any(os.path.basename(word).startswith((b"ansible-playbook", b"ansible-runner")) for word in words):
            found = {"pid": pid, "started": _process_start(pid)}
        pid = parent
    return found


def itself():
    """Return {"pid", "started"} of this process."""
    return {"pid": os.getpid(), "started": _process_start(os.getpid())}


def after_clean_up(take):
    """Return what take() does; while a clean-up holds the stack, which is over soon, wait and do it again.

    :raises: LockedError if somebody else holds the stack, or a clean-up for too long.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return take()
        except LockedError as error:
            if error.details.get("purpose") != CLEAN_UP or time.monotonic() > end:
                raise
        time.sleep(0.5)


def _taken(fd):
    """Take a flock for this process alone, if nobody has it but for a moment (see holder)."""
    for _attempt in range(10):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.02)
    return False


class StackLock:
    """The lock of one stack.

    :param path: str, the lock file. :param timeout: seconds without a sign of life after which an owner whose process
        cannot be seen counts as dead.
    """

    def __init__(self, path, timeout):
        self.path = path
        self.timeout = timeout
        self._held = None  # descriptor of a lock without a record

    def acquire(self, token, purpose, name, single=False):
        """Take the lock for an owner.

        :param token: str, secret enough to tell owners apart.
        :param purpose: "backup", "restore", "clean-up" or "copy".
        :param name: str, what the owner works on, for messages.
        :param single: bool, whether the owner is this process alone, so that the lock is free as soon as it has ended.
            That needs no room on the disk: if the record cannot be written, a flock says that it is held.
        :returns: the dead owner's record (dict) that was replaced, or None. :raises: LockedError.
        """
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not _taken(fd):
                    owner = self._read(fd)
                    raise LockedError(
                        "%s is at work on this stack right now" % _owner(owner),
                        "Run this again when it has ended.", lock=self.path, purpose=(owner or {}).get("purpose"),
                    )
                if not self._is_current(fd):
                    continue  # released (unlinked) between open and flock
                previous = self._read(fd)
                if previous is not None:
                    self._refuse_if_alive(previous, fd)
                record = {
                    "token": token, "purpose": purpose, "name": name, "taken": int(time.time()),
                    "controller": itself() if single else find_controller(),
                }
                try:
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, json.dumps(record).encode() + b"\n", 0)
                    os.fsync(fd)
                except OSError as error:
                    if not single or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    self._held = os.dup(fd)  # keeps the flock
                return previous
            finally:
                os.close(fd)

    def _is_current(self, fd):
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path))
        except FileNotFoundError:
            return False

    @staticmethod
    def _read(fd):
        """Return the owner's record, or None if there is none or it was cut off by a crash."""
        try:
            record = json.loads(os.pread(fd, 65536, 0).decode())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(record, dict):
            return None
        controller = record.get("controller")
        whole = isinstance(controller, dict) and isinstance(controller.get("pid"), int) and "started" in controller
        return dict(record, controller=controller if whole else None)

    def _refuse_if_alive(self, previous, fd):
        controller = previous.get("controller")
        if controller:
            if _process_start(controller["pid"]) != controller["started"]:
                return
            raise LockedError(
                "%s holds this stack (process %d)" % (_owner(previous), controller["pid"]),
                "Run this again when it has ended.", lock=self.path, purpose=previous.get("purpose"),
            )
        # A clock that was set back must not keep a dead owner alive, so the future counts as long ago.
        idle = time.time() - os.fstat(fd).st_mtime
        if 0 <= idle < self.timeout:
            raise LockedError(
                "%s holds this stack; its last sign of life was %d seconds ago" % (_owner(previous), idle),
                "If you know that it is dead, wait %d seconds, or remove %s." % (self.timeout - idle + 1, self.path),
                lock=self.path, purpose=previous.get("purpose"),
            )

    def holder(self):
        """Return the record of the owner (dict) if it is alive, else None; the lock stays as it is."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            record = self._read(fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return record or {}
            if record is not None:
                try:
                    self._refuse_if_alive(record, fd)
                except LockedError:
                    return record
            return None
        finally:
            os.close(fd)

    def owner(self):
        """Return the record of the owner (dict), or None."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return self._read(fd)
        finally:
            os.close(fd)

    def is_of(self, token):
        """True if token (str) owns the lock."""
        return (self.owner() or {}).get("token") == token

    def check(self, token):
        """Raise LockedError unless token owns the lock."""
        owner = self.owner()
        if owner is None or owner.get("token") != token:
            raise LockedError(
                "This run does not own the stack any more: %s does" % (_owner(owner) if owner else "nobody"),
                "It was idle for too long, or somebody removed the lock. Run it again.", lock=self.path,
            )

    def release(self, token):
        """Give the lock back. Return False if token did not own it."""
        owner = self.owner()
        if self._held is None and (owner is None or owner.get("token") != token):
            return False
        try:
            os.unlink(self.path)
        except OSError as error:
            raise StorageError("%s cannot be removed: %s" % (self.path, error.strerror)) from error
        finally:
            if self._held is not None:
                os.close(self._held)
                self._held = None
        return True


def _owner(record):
    if not record:
        return "Another run"
    taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.get("taken", 0)))
    return "The %s '%s' that began at %s" % (record.get("purpose"), record.get("name"), taken)
