# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The streams of a program, with a pair of sockets in the engine's place; real programs are in tests/engine."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils._docker_exec import ExecStream


@pytest.fixture
def stream():
    """(ExecStream, the engine's end of the connection)"""
    ours, engine = socket.socketpair()
    handle = socket.SocketIO(ours, "rwb")
    handle._response = SimpleNamespace(
        raw=SimpleNamespace(_fp=SimpleNamespace(fp=ours.makefile("rb"))), close=handle.close)
    api = SimpleNamespace(exec_create=lambda *args, **more: {"Id": "x"}, exec_start=lambda *args, **more: handle)
    yield ExecStream(api, "box", ["cat"], None, "", True, None), engine
    engine.close()
    ours.close()


def test_what_is_fed_arrives_with_its_end(stream):
    program, engine = stream
    program.feed([b"a", b"b"])
    assert engine.recv(10) + engine.recv(10) + engine.recv(10) == b"ab"


@pytest.mark.parametrize("chunks", [[], [b"late"]])
def test_feeding_goes_on_for_a_moment_after_the_end_of_a_program_and_that_is_no_error(stream, chunks):
    program, _engine = stream
    program.abort()
    program.feed(chunks)


def test_a_file_that_cannot_be_read_while_it_is_fed_is_an_error(stream):
    program, engine = stream

    def chunks():
        yield b"a"
        raise OSError("bad disk")

    with pytest.raises(OSError, match="bad disk"):
        program.feed(chunks())
    assert engine.recv(10) + engine.recv(10) == b"a"
