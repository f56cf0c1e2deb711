# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections with TLS, to a server of the test that answers as an engine does when it is asked for its version."""

from __future__ import annotations

import http.server
import json
import ssl
import threading

import pytest
from lab import certificates

from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError

VERSION = {"ApiVersion": "1.45", "Version": "26.1.5", "Os": "linux"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = json.dumps(VERSION).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_words):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_what):
        """A connection that its client has refused is what the tests are about."""


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    certificates.write(folder, ["engine.example"])
    return folder


@pytest.fixture(scope="module")
def port(pems):
    """Port of a server that lets in whoever has a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems / "server/cert.pem", pems / "server/key.pem")
    context.load_verify_locations(pems / "server/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def ask(pems, port):
    """A function that asks the server with other options than the right ones (dict)."""

    def ask(**others):
        params = {"docker_host": "tcp://127.0.0.1:%d" % port, "tls": False, "validate_certs": True, "timeout": 10,
                  "tls_hostname": "engine.example", "ca_path": str(pems / "client/ca.pem"),
                  "client_cert": str(pems / "client/cert.pem"), "client_key": str(pems / "client/key.pem")}
        return Engine({**params, **others}).version()

    return ask


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_authorities_of_the_environment_are_not_those_of_the_engine(ask, pems, monkeypatch, variable):
    monkeypatch.setenv(variable, str(pems / "stranger/ca.pem"))
    assert ask() == VERSION


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_tls_without_a_look_at_the_certificate(ask, pems, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pems / "stranger/ca.pem"))
    assert ask(tls=True, validate_certs=False, tls_hostname=None, ca_path=None) == VERSION


def test_what_is_wrong_is_told(ask, pems):
    stranger = {"client_cert": str(pems / "stranger/cert.pem"), "client_key": str(pems / "stranger/key.pem")}
    for others, words in [
        ({"tls_hostname": "other.example"}, "set 'tls_hostname'"),
        ({"ca_path": str(pems / "stranger/ca.pem")}, "set 'ca_path'"),
        (stranger, "set 'client_cert'"),
    ]:
        with pytest.raises(EngineError) as caught:
            ask(**others)
        assert words in caught.value.describe()
