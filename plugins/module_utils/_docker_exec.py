# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that run in containers, with their streams; and what _docker shares with it. Knows the Docker SDK."""
from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import socket
import struct
import time

from ._endpoint import advice
from ._errors import BackupError, CommandError, EngineError, NotFoundError

_STDOUT, _STDERR = 1, 2
OLDEST_SDK = (5, 0, 3)  # Debian 12 has it


@functools.cache
def library(name="docker"):
    """Return the Docker SDK, or a module of it or of what it is built on.

    Only when something is asked of the engine: to load it takes longer than all that many a module does.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError("The Docker SDK for Python cannot be loaded (%s)" % error,
                          "Install the Python package 'docker' on this host.") from error


def sdk_version():
    """Return the version of the Docker SDK (tuple of int)."""
    return tuple(int(part) for part in re.findall(r"\d+", library().__version__)[:3])


def require_version():
    """Raise EngineError if the Docker SDK is too old."""
    if sdk_version() < OLDEST_SDK:
        raise EngineError("The Docker SDK for Python on this host has version %s and must be %s or newer" % tuple(
            ".".join(map(str, version)) for version in (sdk_version(), OLDEST_SDK)),
            "Update the package python3-docker, or 'docker' from PyPI.")


@contextlib.contextmanager
def translated(what):
    """Turn every error of the SDK into one of ours; what (str) says what was being done."""
    try:
        yield
    except BackupError:
        raise
    except Exception as error:
        described = _described(what, error)
        if described is None:
            raise
        raise described from error


def _described(what, error):
    """Return the error (BackupError) that one of the SDK means, or None if it is not one of these."""
    errors, transport = library("docker.errors"), library("requests.exceptions")
    if isinstance(error, errors.APIError):
        kind = NotFoundError if isinstance(error, errors.NotFound) else EngineError
        return kind("%s: %s" % (what, error.explanation or error))
    if isinstance(error, transport.ReadTimeout):
        return EngineError("%s: the Docker Engine did not answer in time" % what, "Raise 'timeout'.")
    if isinstance(error, (errors.DockerException, transport.RequestException, OSError)):
        return EngineError("%s: the Docker Engine cannot be reached (%s)" % (what, error),
                           advice("", str(error)))
    return None


class ExecStream:
    """A program that runs in a container, with its streams.

    A stream that is cut ends silently, so success needs the engine's word: not running any more and exit code 0.

    :param program: str, what messages call it; the first of argv (list of str) if not given.
    """

    def __init__(self, api, container, argv, environment, user, stdin, workdir, program=None):
        self._api = api
        self._container = container
        self.what = "%s in container '%s'" % (os.path.basename(program or argv[0]), container)
        self._stderr = b""
        with translated("Running %s" % self.what):
            self._id = api.exec_create(
                container, list(argv), stdin=stdin, environment=environment, user=user, workdir=workdir,
            )["Id"]
            self._socket = api.exec_start(self._id, socket=True)
            # Kept here: when the SDK's object is closed it forgets the socket, while a thread may still be writing.
            self._plain = getattr(self._socket, "_sock", self._socket)
            # The timeout of requests is not one for programs: loading a database is silent for as long as it takes.
            self._plain.settimeout(None)
        # The SDK hands out the raw socket; bytes that came together with the response's header wait in the buffered
        # reader above it, so read there.
        self._reader = self._socket._response.raw._fp.fp
        base = getattr(api, "base_url", "")
        if base.startswith(("http://", "https://")):  # over the network, not the SDK's "http+docker://"
            from ._docker_tls import Channel, keep_alive

            keep_alive(self._plain)
            if base.startswith("https://"):
                self._plain = self._reader = Channel(self._plain, self._reader)
        self._stdin_open = stdin
        self._aborted = False

    def chunks(self):
        """Yield standard output (bytes); standard error is kept aside."""
        while True:
            header = self._read(8)
            if header is None:
                return
            kind, size = struct.unpack(">BxxxL", header)
            while size:
                payload = self._read(min(size, 1024 * 1024))
                if payload is None:
                    raise EngineError("%s: the connection to the engine was cut" % self.what)
                size -= len(payload)
                if kind == _STDOUT:
                    yield payload
                elif kind == _STDERR:
                    self._stderr = (self._stderr + payload)[-4096:]

    def _read(self, count):
        with translated("Reading from %s" % self.what):
            data = self._reader.read(count)
        if not data:
            return None
        if len(data) < count:
            raise EngineError("%s: the connection to the engine was cut" % self.what)
        return data

    def send(self, data):
        """Write bytes to standard input and leave it open."""
        with translated("Writing to %s" % self.what):
            self._plain.sendall(data)

    def feed(self, chunks):
        """Write all chunks to standard input and close it. A program that stops reading is no error here."""
        try:
            for chunk in chunks:
                self._plain.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # its exit code tells why
        except OSError:
            if not self._aborted:
                raise
        finally:
            self.close_stdin()

    def close_stdin(self):
        if self._stdin_open:
            self._stdin_open = False
            with contextlib.suppress(OSError):
                self._plain.shutdown(socket.SHUT_WR)

    def stderr_tail(self):
        """Return the last 4 KiB of standard error (str)."""
        return self._stderr.decode("utf-8", "replace").strip()

    def wait(self):
        """Return the exit code (int), once the engine says that the program has ended."""
        deadline = time.monotonic() + 30
        while True:
            with translated("Asking how %s ended" % self.what):
                state = self._api.exec_inspect(self._id)
            if not state["Running"] and state["ExitCode"] is not None:
                return state["ExitCode"]
            if time.monotonic() > deadline:
                raise EngineError("%s: the stream ended but the program did not" % self.what)
            time.sleep(0.02)

    def failure(self, rc, output=b""):
        """Return the CommandError for an exit code; output: bytes, the beginning of standard output if it is known."""
        tail = self.stderr_tail()
        if not tail and output.startswith(b"OCI runtime"):  # the engine could not even start it, and says why here
            tail = output.decode("utf-8", "replace").strip()
        return CommandError("%s failed (exit code %d): %s" % (self.what, rc, tail or "no message"), rc=rc, stderr=tail)

    def finish(self):
        """Wait for the end; raise CommandError unless the exit code is 0."""
        rc = self.wait()
        if rc != 0:
            raise self.failure(rc)

    def abort(self):
        """Close the connection. The program goes on without its output, unless it notices the end of its stdin."""
        self._aborted = True
        with contextlib.suppress(Exception):
            self._socket._response.close()
        with contextlib.suppress(Exception):
            self._plain.close()
