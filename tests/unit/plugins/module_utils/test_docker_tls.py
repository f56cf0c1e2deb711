# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TLS connection that is read and written at once, with a pair of sockets in the engine's place."""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading

import pytest
from lab import certificates

from ansible_collections.moodleclaude.backup.plugins.module_utils._docker_tls import Channel, keep_alive

HEAD = b"HTTP/1.1 101 UPGRADED\r\n\r\n"


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    certificates.write(folder, ["engine.example"])
    return folder


@pytest.fixture
def connection(pems):
    """(Channel, the engine's end as ssl.SSLSocket); the engine has sent a head and more, and the head was read."""
    ours, theirs = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pems / "server/cert.pem", pems / "server/key.pem")
    client = ssl.create_default_context(cafile=str(pems / "client/ca.pem"))
    accepted = []
    thread = threading.Thread(target=lambda: accepted.append(server.wrap_socket(theirs, server_side=True)))
    thread.start()
    wrapped = client.wrap_socket(ours, server_hostname="engine.example")
    thread.join()
    engine = accepted[0]
    engine.sendall(HEAD + b"early")
    reader = wrapped.makefile("rb")
    assert reader.readline() + reader.readline() == HEAD
    yield Channel(wrapped, reader), engine
    engine.close()
    wrapped.close()


def test_what_came_with_the_head_is_not_lost(connection):
    channel, engine = connection
    engine.sendall(b" and late")
    engine.close()
    assert channel.read(5) == b"early"
    assert channel.read(100) == b" and late"
    assert channel.read(1) == b""


def test_the_end_of_what_is_written_is_not_the_end_of_what_is_read(connection):
    channel, engine = connection
    channel.sendall(b"question")
    channel.shutdown(socket.SHUT_WR)
    assert engine.recv(100) == b"question"
    engine.sendall(b" answer")
    assert channel.read(12) == b"early answer"
    assert engine.recv(1) == b""


def test_a_program_that_answers_while_it_is_fed(connection):
    """Both directions are full at the same time, as when a dump is loaded by a program that talks."""
    channel, engine = connection
    data = os.urandom(1 << 20) * 8
    received = io.BytesIO()

    # The engine's end takes turns too, or the test itself would do what must not be done.
    echo = Channel(engine, io.BufferedReader(io.BytesIO()))

    def be_the_engine():
        writer = threading.Thread(target=echo.sendall, args=(data,))
        writer.start()
        while received.tell() < len(data):
            received.write(echo.read(min(1000, len(data) - received.tell())))
        writer.join()

    other = threading.Thread(target=be_the_engine)
    other.start()
    feeder = threading.Thread(target=channel.sendall, args=(data,))
    feeder.start()
    assert channel.read(5) == b"early"
    assert channel.read(len(data)) == data
    feeder.join(30)
    other.join(30)
    assert not feeder.is_alive() and not other.is_alive()
    assert received.getvalue() == data


def test_a_reader_ends_when_the_connection_is_closed(connection):
    channel, _engine = connection
    channel.read(5)
    failed = []

    def read():
        try:
            channel.read(1)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    channel.close()
    thread.join(10)
    assert len(failed) == 1


def test_only_connections_over_the_network_are_kept_alive():
    one, other = socket.socketpair()
    with one, other:
        keep_alive(one)
        assert not one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    with socket.socket() as over_the_network:
        keep_alive(over_the_network)
        assert over_the_network.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
