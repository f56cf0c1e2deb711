# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS connections to an engine: whose certificate it has to be, and one that is read and written at the same time."""
from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import threading

try:
    from requests.adapters import HTTPAdapter
except ImportError:  # the modules say so before they come here
    HTTPAdapter = object

_PART = 64 * 1024  # bytes that are encrypted at once
_LOOK = 1000  # milliseconds after which a waiting thread looks whether the connection was closed meanwhile


class NamedHost(HTTPAdapter):
    """Lets requests expect a certificate for this name (str), whatever name or address it connects to."""

    def __init__(self, hostname):
        self._hostname = hostname
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, assert_hostname=self._hostname, **kwargs)


class Channel:
    """A TLS connection that one thread may write to while another one reads.

    OpenSSL's connections are not made for two threads at a time. So both take turns at a lock, which nobody holds while
    he waits for the network.

    :param connection: ssl.SSLSocket. :param reader: io.BufferedReader above it, from which the head of the engine's
        answer was read, and which may have read more than that.
    """

    def __init__(self, connection, reader):
        self._connection, self._number = connection, connection.fileno()
        self._lock = threading.Lock()
        self._closed = False
        connection.setblocking(False)
        self._rest = _read_ahead(reader)

    def read(self, count):
        """Return count bytes, or fewer at the end. :raises: OSError."""
        parts, self._rest = [self._rest[:count]], self._rest[count:]
        missing = count - len(parts[0])
        while missing:
            data = self._turns(self._connection.recv, min(missing, _PART))
            if not data:
                break
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def sendall(self, data):
        """Write all of data (bytes). :raises: OSError."""
        view = memoryview(data)
        while view:
            sent = self._turns(self._connection.send, view[:_PART])
            view = view[sent:]

    def shutdown(self, how):
        """End one direction, as socket.shutdown() does.

        SSLSocket's own would make plain text of the other direction. The end of the TCP stream between two records
        is an end of input to the engine, and its answers still come encrypted.
        """
        with self._lock:
            socket.socket.shutdown(self._connection, how)

    def close(self):
        with self._lock:
            self._closed = True
            self._connection.close()

    def _turns(self, operation, argument):
        """Return what operation(argument) returns once the network lets it."""
        while True:
            with self._lock:
                if self._closed:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                try:
                    return operation(argument)
                except ssl.SSLWantReadError:
                    wanted = select.POLLIN
                except ssl.SSLWantWriteError:
                    wanted = select.POLLOUT
            waiting = select.poll()
            waiting.register(self._number, wanted)
            waiting.poll(_LOOK)


def _read_ahead(reader):
    try:
        return reader.read(len(reader.peek()))
    except ssl.SSLWantReadError:
        return b""


def keep_alive(connection):
    """Let the kernel notice within three minutes that the other end of a TCP connection (socket) is gone for good."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 8)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
