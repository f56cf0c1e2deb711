# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Source → compressor → checksum → partial file → published; and back.

Constant memory at any size. Whatever fails, every process is ended, the partial file is removed and the error carries
the last lines of standard error.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading

from . import _throttle
from ._errors import CommandError, ExistsError, NotFoundError, StorageError, UsageError

CHUNK = 1024 * 1024  # bytes
EXTENSIONS = {"zstd": ".zst", "gzip": ".gz", "none": ""}


def compressor_command(compression, level=None, processes=0):
    """Return the command (list of str) that compresses standard input to standard output, or None for "none"."""
    if compression == "none":
        return None
    if compression == "gzip":
        return [_program("gzip"), "-n", "-c", "-%d" % min(level or 6, 9)]
    if compression == "zstd":
        return [_program("zstd"), "-q", "-c", "-T%d" % processes, "-%d" % min(level or 3, 19)]
    raise UsageError("'%s' is not a compression" % compression, "Use zstd, gzip or none.")


def decompressor_command(path):
    """Return the command (list of str) that writes the plain content of a file to standard output, or None.

    The first bytes of the file decide, not its name. None means that the file is not compressed.
    """
    with open(path, "rb") as handle:
        magic = handle.read(4)
    if magic == b"\x28\xb5\x2f\xfd":
        return [_program("zstd"), "-q", "-d", "-c"]
    if magic[:2] == b"\x1f\x8b":
        return [_program("gzip"), "-d", "-c"]
    return None


def _program(name):
    found = shutil.which(name)
    if found is None:
        raise NotFoundError("The program '%s' is not installed on this host" % name, "Install the package '%s'." % name)
    return found


class Process:
    """A child process whose standard error is kept (its last 4 KiB) for the error message."""

    def __init__(self, argv, stdin=None, stdout=None, env=None, what=None, accepted=(0,), pass_fds=(), cwd=None):
        self.what = what or os.path.basename(argv[0])
        self.accepted = accepted
        self._stderr = tempfile.TemporaryFile()
        try:
            self.popen = subprocess.Popen(
                argv, stdin=stdin if stdin is not None else subprocess.DEVNULL, stdout=stdout, stderr=self._stderr,
                env=env, pass_fds=pass_fds, cwd=cwd,
            )
        except OSError as error:
            self._stderr.close()
            raise CommandError("%s could not be started: %s" % (self.what, error.strerror)) from error

    @property
    def stdout(self):
        return self.popen.stdout

    @property
    def stdin(self):
        return self.popen.stdin

    def stderr_tail(self):
        """Return the last 4 KiB of standard error as text (str)."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 4096))
        return self._stderr.read().decode("utf-8", "replace").strip()

    def finish(self):
        """Wait for the end. Return (rc, last standard error); raise CommandError if rc is not accepted."""
        rc = self.popen.wait()
        tail = self.stderr_tail()
        self._stderr.close()
        if rc not in self.accepted:
            cause = tail or ("killed by signal %d" % -rc if rc < 0 else "no message")
            raise CommandError("%s failed (exit code %d): %s" % (self.what, rc, cause), rc=rc, stderr=tail)
        return rc, tail

    def abort(self):
        """End the process if it runs, and reap it."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        for handle in (self.popen.stdin, self.popen.stdout, self._stderr):
            if handle is not None:
                with contextlib.suppress(OSError):
                    handle.close()


class _Feeder(threading.Thread):
    """Writes chunks into a process's standard input; keeps the first error for the main thread."""

    def __init__(self, chunks, handle):
        super().__init__(daemon=True)
        self._source, self._pipe = chunks, handle  # Thread itself has a _handle
        self.error = None
        self.written = 0

    def run(self):
        try:
            for chunk in self._source:
                self._pipe.write(chunk)
                self.written += len(chunk)
        except BrokenPipeError:
            pass  # the reader's own exit code tells why
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.error = error
        finally:
            with contextlib.suppress(OSError):
                self._pipe.close()


def read_chunks(handle):
    """Yield bytes of at most CHUNK from a binary file object until its end."""
    while True:
        chunk = handle.read(CHUNK)
        if not chunk:
            return
        yield chunk


def check_destination(path, overwrite=False, check_mode=False):
    """Raise NotFoundError, UsageError or ExistsError if a file could not be written to a path (str).

    :param check_mode: bool, then a missing folder is no error, for a task before may be what makes it.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) and not check_mode:
        raise NotFoundError("The folder '%s' does not exist" % folder, "Create it first.")
    if os.path.isdir(path):
        raise UsageError("'%s' is a folder" % path, "Name the file that is to be written.")
    if os.path.lexists(path) and not overwrite:
        raise ExistsError("'%s' exists already" % path, "Choose another name, or allow it to be overwritten.")


class PartialFile:
    """A file that is written beside its final name and gets that name only when it is whole and on disk.

    Use as a context manager; without a call of publish() nothing is left behind.
    """

    def __init__(self, dest, overwrite=False):
        self.dest = dest
        if not overwrite and os.path.lexists(dest):
            raise ExistsError("%s exists already" % dest, "Choose another name, or allow it to be overwritten.")
        self.partial = os.path.join(os.path.dirname(dest), ".%s.partial" % os.path.basename(dest))
        self.sha256 = hashlib.sha256()
        self.size = 0
        try:
            fd = os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StorageError("%s cannot be written: %s" % (dest, error.strerror)) from error
        self._handle = os.fdopen(fd, "wb", buffering=0)

    def write(self, data):
        """Append bytes and take them into the checksum."""
        view = memoryview(data)
        try:
            while view:
                count = self._handle.write(view)
                self.sha256.update(view[:count])
                self.size += count
                view = view[count:]
        except OSError as error:
            raise StorageError("%s cannot be written: %s" % (self.dest, error.strerror)) from error

    def publish(self):
        """Bring the file to disk and give it its name. Return {"dest", "size" (bytes), "sha256" (hex)}."""
        try:
            os.fsync(self._handle.fileno())
            self._handle.close()
            os.rename(self.partial, self.dest)
            fsync_directory(os.path.dirname(self.dest))
        except OSError as error:
            raise StorageError("%s cannot be written: %s" % (self.dest, error.strerror)) from error
        return {"dest": self.dest, "size": self.size, "sha256": self.sha256.hexdigest()}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self._handle.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.partial)


def fsync_directory(path):
    """Bring a folder's entries to disk."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def store(source, dest, compression="zstd", level=None, processes=0, overwrite=False, observe=None):
    """Write everything that a source yields into a file, compressed.

    :param source: object with chunks() (yields bytes), finish() (raises if the source failed, called after the last
        chunk and before the file is published) and abort(). Process sources are made by ProcessSource.
    :param dest: str, absolute path of the file.
    :param observe: function that is given each chunk before compression (bytes), or None.
    :returns: {"dest", "size" (bytes on disk), "sha256" (hex, of the file as it is on disk), "raw_size" (bytes before
        compression)}.
    :raises: CommandError, StorageError, ExistsError and what the source raises.
    """
    command = compressor_command(compression, level, processes)
    with PartialFile(dest, overwrite) as out, contextlib.ExitStack() as cleanup:
        cleanup.callback(source.abort)
        if command is None:
            raw = 0
            for chunk in _watched(source, observe):
                raw += len(chunk)
                out.write(chunk)
        else:
            raw = _compress(source, command, out, observe, cleanup)
        source.finish()
        result = out.publish()
    result["raw_size"] = raw
    return result


def _limited(chunks):
    """Yield chunks of bytes as fast as the rate limit allows."""
    for chunk in chunks:
        _throttle.wait(len(chunk))
        yield chunk


def _watched(source, observe):
    for chunk in _limited(source.chunks()):
        if observe is not None:
            observe(chunk)
        yield chunk


def _compress(source, command, out, observe, cleanup):
    packer = Process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, what=os.path.basename(command[0]))
    cleanup.callback(packer.abort)
    feeder = _Feeder(_watched(source, observe), packer.stdin)
    feeder.start()
    try:
        for chunk in read_chunks(packer.stdout):
            out.write(chunk)
    except BaseException:
        source.abort()
        packer.abort()
        feeder.join()
        raise
    feeder.join()
    if feeder.error is not None:
        raise feeder.error
    packer.finish()
    return feeder.written


class ProcessSource:
    """A child process as a source for store().

    :param argv: list of str. :param accepted: exit codes that are no failure (tuple of int).
    After finish(), rc (int) and messages (str, last lines of standard error) tell how it went.
    """

    def __init__(self, argv, what=None, accepted=(0,), env=None, pass_fds=(), cwd=None):
        self._process = Process(argv, stdout=subprocess.PIPE, what=what, accepted=accepted, env=env,
                                pass_fds=pass_fds, cwd=cwd)
        self.rc = None
        self.messages = ""

    def chunks(self):
        return read_chunks(self._process.stdout)

    def finish(self):
        if self.rc is None:
            self.rc, self.messages = self._process.finish()

    def abort(self):
        if self.rc is None:
            self._process.abort()


@contextlib.contextmanager
def plain_content(path):
    """Give a function that yields the plain (decompressed) content of a file in chunks of bytes.

    A context manager: the decompressor is ended on the way out, and its failure (a truncated or damaged file) is raised
    when the last chunk has been taken.
    """
    command = decompressor_command(path)
    with open(path, "rb") as handle, contextlib.ExitStack() as cleanup:
        if command is None:
            yield _limited(read_chunks(handle))
            return
        process = Process(command, stdin=handle, stdout=subprocess.PIPE, what="reading %s" % path)
        cleanup.callback(process.abort)

        def chunks():
            yield from _limited(read_chunks(process.stdout))
            process.finish()

        yield chunks()


def sha256_of(path):
    """Return the SHA-256 (hex str) of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for chunk in _limited(read_chunks(handle)):
            digest.update(chunk)
    return digest.hexdigest()
