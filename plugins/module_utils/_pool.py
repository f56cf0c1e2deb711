# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool: files that are named by the SHA-1 of their content (blobs), each kept once for all backups of a stack. Pure.

<pool>/xx/yy/<sha1>, mode 0400 and with one fixed time, so that a stat tells a blob that nobody wrote to since it was
stored. What a stat cannot see (a bit that flipped on the disk) is found by reading and kept in the damaged record,
damaged.json in the folder that holds the pool: {"blobs": [sha1 ...], "files": {sha256 of an archive: its name}}.
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import threading

from ._errors import IntegrityError, StorageError, UsageError

ABSENT, DOUBTFUL, RIGHT = "absent", "doubtful", "right"
CHUNK = 1024 * 1024  # bytes
_MODE = 0o400
_TIME = 10 ** 18  # nanoseconds: 2001-09-09
_INCOMING = ".new_"
# So much is brought to disk at once: a sync for each of 100,000 small files would take minutes.
_BATCH_BLOBS, _BATCH_BYTES = 5000, 512 * 1024 * 1024


class Pool:
    """A pool in a folder, which need not exist yet.

    :param path: str, absolute. :raises: IntegrityError when the damaged record cannot be read, UsageError.
    """

    def __init__(self, path):
        if not path:  # it would mean the current folder
            raise UsageError("The pool has no path", "Name its folder in 'pool'.")
        self.path = os.path.abspath(path)
        self.record = DamagedRecord(os.path.join(os.path.dirname(self.path), "damaged.json"))
        self._damaged = set(self.record.read()["blobs"])
        self._wrong, self._right = set(), set()  # what the record is going to be told

    def path_of(self, sha1):
        """Return where a blob is or would be (str)."""
        return "%s/%s/%s/%s" % (self.path, sha1[:2], sha1[2:4], sha1)

    def state(self, sha1, size=None):
        """Return RIGHT, ABSENT or DOUBTFUL, which only reading can settle; costs one stat.

        :param size: bytes that the blob must have, or None.
        """
        try:
            found = os.lstat(self.path_of(sha1))
        except FileNotFoundError:
            return ABSENT
        untouched = found.st_mode == stat.S_IFREG | _MODE and found.st_mtime_ns == _TIME
        same = size is None or size == found.st_size
        return RIGHT if untouched and same and sha1 not in self._damaged else DOUBTFUL

    def has(self, sha1, size=None):
        """True if a blob is there and a stat says that it is right."""
        return self.state(sha1, size) == RIGHT

    def size(self, sha1):
        """Return a blob's size in bytes (int)."""
        return os.lstat(self.path_of(sha1)).st_size

    def chunks(self, sha1, wait=None):
        """Yield a blob's content (bytes). :param wait: function that is given the size of each chunk, or None."""
        fd = os.open(self.path_of(sha1), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            yield from read_chunks(fd, wait)
        finally:
            os.close(fd)

    def is_right(self, sha1, wait=None):
        """Read a blob; True if its content is that of its name."""
        digest = new_sha1()
        try:
            for chunk in self.chunks(sha1, wait):
                digest.update(chunk)
        except OSError:
            return False
        return digest.hexdigest() == sha1

    def settle(self, sha1, wait=None):
        """Read a doubtful blob. If it is right, a stat will say so from now on. Return whether it is right (bool)."""
        if not self.is_right(sha1, wait):
            self._wrong.add(sha1)
            return False
        fd = os.open(self.path_of(sha1), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _stamp(fd)
        finally:
            os.close(fd)
        self.note_right(sha1)
        return True

    def note_right(self, sha1):
        """Take note that a blob is right now, whatever was known of it before."""
        if sha1 in self._damaged or sha1 in self._wrong:
            self._damaged.discard(sha1)
            self._wrong.discard(sha1)
            self._right.add(sha1)

    def save_record(self):
        """Bring what was found out since the pool was opened into the damaged record."""
        self.record.update(self._wrong, self._right)

    def writer(self):
        """Return a PoolWriter, a context manager."""
        return PoolWriter(self)

    def remove(self):
        """Remove the whole pool."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)


class PoolWriter:
    """Adds blobs to a pool; threads may share one. As a context manager, all are on disk once it is left.

    A blob is written under a name of this writer's own, brought to disk with others, and then renamed: whatever happens
    meanwhile, what has a blob's name is whole. What a killed writer left behind is removed by the next one.
    """

    def __init__(self, pool):
        self._pool = pool
        self._lock = threading.Lock()
        self._pending, self._bytes, self._published = [], 0, False

    def __enter__(self):
        with self._failing():
            make_folder(self._pool.path)
            self._root = os.open(self._pool.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._root, fcntl.LOCK_EX)
            for path in dead_writers(self._pool.path):
                shutil.rmtree(path)
            self._folder = os.path.join(self._pool.path, _INCOMING + os.urandom(6).hex())
            os.mkdir(self._folder, 0o700)
            self._mine = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._mine, fcntl.LOCK_EX)  # says that its owner is alive
            fcntl.flock(self._root, fcntl.LOCK_UN)
        return self

    def __exit__(self, kind, *unused):
        try:
            if kind is None:
                self._publish()
                if self._published:
                    with self._failing():
                        sync_file_system(self._root)  # the new names too
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._mine)
            os.close(self._root)

    def add(self, sha1, chunks):
        """Store a blob. Return its size (bytes), or None, and nothing is stored, if the content is not the name's.

        :param chunks: iterator of bytes. :raises: StorageError when the pool cannot be written, and what chunks raises.
        """
        path = os.path.join(self._folder, sha1)
        digest, size = new_sha1(), 0
        with self._failing():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                with self._failing():
                    _write(fd, chunk)
            right = digest.hexdigest() == sha1
            if right:
                with self._failing():
                    _stamp(fd)
                    # Here, so that threads share it: with few blobs in a folder this takes longer than writing them.
                    make_folder(os.path.dirname(self._pool.path_of(sha1)))
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        if not right:
            os.unlink(path)
            return None
        self._added(sha1, size)
        return size

    def adopt(self, sha1, path):
        """Take a file into the pool, which has no other user. Return its size (bytes), or None, and it stays where it
        is, if the content is not the name's.

        :param path: str, where it is now. :raises: StorageError when the pool cannot be written, OSError if it cannot
            be read.
        """
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            digest = new_sha1()
            for chunk in read_chunks(fd):
                digest.update(chunk)
            if digest.hexdigest() != sha1:
                return None
            size = os.fstat(fd).st_size
            with self._failing():
                os.fchown(fd, os.geteuid(), os.getegid())
                _stamp(fd)
                make_folder(os.path.dirname(self._pool.path_of(sha1)))
        finally:
            os.close(fd)
        try:
            os.rename(path, os.path.join(self._folder, sha1))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with open(path, "rb") as handle:  # the pool is a file system of its own
                return self.add(sha1, iter(lambda: handle.read(CHUNK), b""))
        self._added(sha1, size)
        return size

    def _added(self, sha1, size):
        with self._lock:
            self._pool.note_right(sha1)
            self._pending.append(sha1)
            self._bytes += size
            if len(self._pending) >= _BATCH_BLOBS or self._bytes >= _BATCH_BYTES:
                self._publish()

    def _publish(self):
        """Bring what was added to disk, then give it its names."""
        if not self._pending:
            return
        with self._failing():
            sync_file_system(self._root)
            for sha1 in self._pending:
                source, target = os.path.join(self._folder, sha1), self._pool.path_of(sha1)
                try:
                    os.rename(source, target)
                except FileNotFoundError:
                    make_folder(os.path.dirname(target))
                    os.rename(source, target)
        self._pending, self._bytes, self._published = [], 0, True

    @contextlib.contextmanager
    def _failing(self):
        try:
            yield
        except OSError as error:
            raise StorageError("The pool %s cannot be written: %s" % (self._pool.path, error.strerror or error),
                               "Check its free space and its disk, then run the backup again.") from error


class DamagedRecord:
    """What was found damaged by reading, kept until it is found right or replaced. :param path: str of its file."""

    def __init__(self, path):
        self.path = path

    def read(self):
        """Return {"blobs": list of sha1, "files": dict of sha256 to name}."""
        try:
            with open(self.path, encoding="utf-8") as handle:
                document = json.load(handle)
            return {"blobs": list(document["blobs"]), "files": dict(document["files"])}
        except (FileNotFoundError, NotADirectoryError):
            return {"blobs": [], "files": {}}
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError("The record %s cannot be read: %s" % (self.path, error),
                                 "Remove it and verify the backups that share its folder.") from error

    def update(self, wrong=(), right=(), wrong_files=None, right_files=()):
        """Add what is wrong, take out what is right. Nothing to change costs nothing and writes nothing.

        :param wrong, right: SHA-1 of blobs. :param wrong_files: dict of sha256 to name. :param right_files: sha256.
        """
        if not (wrong or wrong_files or (os.path.exists(self.path) and (right or right_files))):
            return
        folder = os.path.dirname(self.path)
        make_folder(folder)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            before = self.read()
            blobs = (set(before["blobs"]) - set(right)) | set(wrong)
            files = {digest: name for digest, name in before["files"].items() if digest not in right_files}
            files.update(wrong_files or {})
            after = {"blobs": sorted(blobs), "files": files}
            if after != before:
                self._write(after)
                os.fsync(fd)
        finally:
            os.close(fd)

    def _write(self, document):
        if not document["blobs"] and not document["files"]:
            os.unlink(self.path)
            return
        partial = os.path.join(os.path.dirname(self.path), ".%s.partial" % os.path.basename(self.path))
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as handle:
            json.dump(document, handle, indent=1, sort_keys=True)
            handle.flush()
            os.fsync(fd)
        os.rename(partial, self.path)


# --- shared with those who read and write blobs -----------------------------------------------------------------


def dead_writers(pool):
    """Yield the folders (str) that writers have left in a pool (path) which were killed.

    The caller holds the flock of the pool's folder, or only looks.
    """
    for path in incoming(pool):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its owner has just ended
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path
        except BlockingIOError:
            pass  # its owner lives
        finally:
            os.close(fd)


def incoming(pool):
    """Return the folders (list of str) of all writers of a pool (path), alive or dead."""
    return [os.path.join(pool, entry) for entry in os.listdir(pool) if entry.startswith(_INCOMING)]


def new_sha1():
    """Return a hash object. SHA-1 names contents here and protects nothing, so a host in FIPS mode allows it."""
    return hashlib.sha1(usedforsecurity=False)


def read_chunks(fd, wait=None):
    """Yield the content of an open file in bytes of at most CHUNK; wait (function or None) is given their sizes."""
    size = min(os.fstat(fd).st_size + 1, CHUNK)  # a whole buffer for each small file costs more than the reading
    while True:
        chunk = os.read(fd, size)
        if not chunk:
            return
        if wait is not None:
            wait(len(chunk))
        yield chunk
        size = CHUNK


def make_folder(path):
    """Make a folder and those above it that are missing, for nobody but the owner."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def sync_file_system(fd):
    """Bring everything to disk that was written to the file system of an open folder. :raises: OSError."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def _stamp(fd):
    os.fchmod(fd, _MODE)
    os.utime(fd, ns=(_TIME, _TIME))
