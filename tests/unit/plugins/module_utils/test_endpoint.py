# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.moodleclaude.backup.plugins.module_utils import _endpoint, _module
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError, UsageError

VARIABLES = ("DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_TLS_HOSTNAME", "DOCKER_CERT_PATH",
             "DOCKER_TIMEOUT")


@pytest.fixture
def options(monkeypatch):
    """A function that returns the connection's options (dict) for given ones and an environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def make(given=None, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        checked = ArgumentSpecValidator(_module.DOCKER_OPTIONS).validate(given or {})
        assert not checked.error_messages
        return checked.validated_parameters

    return make


def test_without_anything_it_is_the_socket(options):
    found = options()
    _endpoint.check(found)
    assert (found["docker_host"], found["tls"], found["validate_certs"], found["ca_path"]) == (
        "unix:///var/run/docker.sock", False, False, None)


def test_the_environment_of_dockers_own_programs(options, tmp_path):
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("x")
    found = options(DOCKER_HOST="tcp://engine:2376", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path),
                    DOCKER_TLS_HOSTNAME="other", DOCKER_TIMEOUT="7")
    _endpoint.check(found)
    assert found == {
        "docker_host": "tcp://engine:2376", "tls": False, "validate_certs": True, "tls_hostname": "other", "timeout": 7,
        "ca_path": str(tmp_path / "ca.pem"), "client_cert": str(tmp_path / "cert.pem"),
        "client_key": str(tmp_path / "key.pem")}
    assert options({"docker_host": "tcp://b:1", "ca_path": "/x"})["ca_path"] == "/x"


def test_variables_that_are_empty_are_not_set(options):
    assert options(**dict.fromkeys(VARIABLES, ""))["docker_host"] == "unix:///var/run/docker.sock"


def test_a_folder_may_hold_the_authority_alone(options, tmp_path):
    (tmp_path / "ca.pem").write_text("x")
    found = options(DOCKER_HOST="tcp://engine:2376", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path))
    _endpoint.check(found)
    assert (found["ca_path"], found["client_cert"], found["client_key"]) == (str(tmp_path / "ca.pem"), None, None)


def test_a_folder_that_does_not_exist_is_named(options):
    found = options(DOCKER_HOST="tcp://engine:2376", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH="/nowhere")
    with pytest.raises(UsageError, match="there is no file /nowhere/ca.pem on this host"):
        _endpoint.check(found)


def test_what_is_set_for_tls_is_not_for_a_socket(options):
    _endpoint.check(options(DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH="/nowhere"))


@pytest.mark.parametrize(("given", "message", "hint"), [
    ({"docker_host": "ssh://host"}, "docker_host 'ssh://host' is no way", "Let Ansible connect to that host instead"),
    ({"docker_host": "/run/docker.sock"}, "docker_host '/run/docker.sock' is no way", "unix:///path"),
    ({"docker_host": "npipe:////./pipe/docker_engine"}, "is no way", "Windows"),
    ({"docker_host": "fd://"}, "is no way", "unix:///var/run/docker.sock"),
    ({"docker_host": "https://h:1"}, "needs TLS", "Set validate_certs"),
    ({"docker_host": "http://h:1", "tls": True}, "has no TLS, but tls is set", "tcp://"),
    ({"docker_host": "tcp://h:1", "tls": True, "tls_hostname": "x"}, "is not checked", "Set validate_certs too"),
    ({"docker_host": "tcp://h:1", "tls": True, "client_key": "/k"}, "client_cert is missing", "both or none"),
    ({"docker_host": "tcp://h:1", "tls": True, "client_cert": "/k"}, "client_key is missing", "both or none"),
])
def test_what_cannot_work_is_said_before_anything_is_tried(options, given, message, hint):
    with pytest.raises(UsageError) as caught:
        _endpoint.check(options(given))
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(("words", "hint"), [
    ("Not supported URL scheme http+docker", "update the SDK"),
    ("400 Client Error: Bad Request (\"Client sent an HTTP request to an HTTPS server.\")", "The engine wants TLS"),
    ("SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)')", "does not speak TLS"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for 'a'",
     "set 'tls_hostname'"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch", "set 'tls_hostname'"),
    ("SSLError(CertificateError(\"hostname 'a' doesn't match 'b'\"))", "set 'tls_hostname'"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", "expired"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer", "set 'ca_path'"),
    ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "set 'client_cert'"),
    ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate", "set 'client_cert'"),
    ("('Connection aborted.', PermissionError(13, 'Permission denied'))", "run as root (become)"),
    ("[Errno 111] Connection refused", "Check that it runs"),
])
def test_what_to_do_when_it_does_not_answer(words, hint):
    assert hint in _endpoint.advice("tcp://engine:2376", words)


def test_another_engines_socket_is_named(tmp_path):
    (tmp_path / "own").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "podman").write_text("")
    words = "FileNotFoundError(2, 'No such file or directory')"
    sockets = [str(tmp_path / "link"), str(tmp_path / "podman")]
    assert "unix://%s/podman" % tmp_path in _endpoint.advice("unix://%s/own" % tmp_path, words, sockets)
    assert "Check that it runs" in _endpoint.advice("unix://%s/own" % tmp_path, words, sockets[:1])


@pytest.mark.parametrize("server", [{"ApiVersion": "1.40", "Version": "19.03.15"}, {"ApiVersion": ""}, {}])
def test_an_engine_that_is_too_old_is_refused(server):
    with pytest.raises(EngineError, match="is too old"):
        _endpoint.check_server("unix:///x", server)


def test_which_engines_are_new_enough():
    for version in ("1.41", "1.52", "2.0"):
        _endpoint.check_server("unix:///x", {"ApiVersion": version, "Os": "linux"})


def test_windows_containers_are_refused():
    with pytest.raises(EngineError, match="Windows containers"):
        _endpoint.check_server("tcp://x:1", {"ApiVersion": "1.43", "Os": "windows"})


def test_an_engine_of_this_host_is_not_contained(tmp_path):
    """The scenario 'variants' has one that is."""
    path = str(tmp_path / "s")
    assert not _endpoint.is_contained("unix://" + path)  # nobody is there; the connection tells why
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert not _endpoint.is_contained("unix://" + path)
        assert not _endpoint.is_contained("http+unix://" + path)
