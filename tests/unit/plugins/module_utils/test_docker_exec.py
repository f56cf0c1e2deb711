# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The streams of a program, with a pair of sockets in the engine's place; real programs are in tests/engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._docker_exec import ExecStream, library, translated
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError, UsageError


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


@pytest.fixture
def sent():
    """(Engine, the bodies that the SDK in its place was given to send)"""
    bodies = []
    engine = Engine({"docker_host": "unix:///nowhere"})
    engine.__dict__["api"] = SimpleNamespace(
        put_archive=lambda container, path, body: bodies.append(body),
        load_image=lambda body, quiet: bodies.append(body) or [])
    return engine, bodies


@pytest.mark.parametrize("send", [lambda engine, body: engine.put_archive("box", "/", body), Engine.load_images])
def test_nothing_in_a_body_is_taken_for_its_end(send, sent):
    """The SDK of Debian 12 comes with a release of requests that ends a body at an empty chunk."""
    engine, bodies = sent
    send(engine, iter([b"", b"a", b"", b"b"]))
    send(engine, b"whole")
    assert [list(bodies[0]), bodies[1]] == [[b"a", b"b"], b"whole"]


def test_a_module_that_asks_the_engine_nothing_does_not_load_the_sdk():
    # Loading it takes longer than all that such a module does.
    script = (
        "import sys; from ansible_collections.moodleclaude.backup.plugins.modules import backup_set as module;"
        "module.Engine({'docker_host': 'unix:///nowhere'});"
        "sys.exit(str(sorted({'docker', 'requests'} & set(sys.modules))))"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "[]\n")


def test_an_sdk_that_cannot_be_loaded_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    library.cache_clear()
    try:
        with pytest.raises(EngineError, match="The Docker SDK for Python cannot be loaded"):
            Engine({"docker_host": "unix:///nowhere", "tls": False, "validate_certs": False, "timeout": 1}).info()
    finally:
        library.cache_clear()


def test_an_engine_that_is_not_there_is_an_error_when_it_is_asked():
    engine = Engine({"docker_host": "unix:///nowhere", "tls": False, "validate_certs": False, "timeout": 1})
    with pytest.raises(EngineError, match="Connecting to unix:///nowhere: the Docker Engine cannot be reached"):
        engine.containers()


def test_errors_of_others_pass():
    with pytest.raises(KeyError), translated("Asking"):
        raise KeyError("x")
    with pytest.raises(UsageError, match="^mine"), translated("Asking"):
        raise UsageError("mine")
