# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an engine is reached: what can be asked for, who is there, and what to do when it does not answer."""
from __future__ import annotations

import contextlib
import os
import re
import socket
import struct

from ._errors import EngineError, UsageError

MINIMUM_API = (1, 41)
_LOCAL = ("unix://", "http+unix://")
_REMOTE = ("tcp://", "http://", "https://")
_ELSEWHERE = {
    "ssh://": "Let Ansible connect to that host instead, and leave docker_host at the host's own socket.",
    "fd://": "That is how the engine gets its socket from systemd. Give the socket's path: unix:///var/run/docker.sock.",
    "npipe://": "Engines on Windows are not supported.",
}
# Sockets that engines have besides Docker's own. What is below /run/user belongs to an engine without root.
_SOCKETS = ("/run/docker.sock", "/run/podman/podman.sock")
_USER_SOCKETS = ("docker.sock", "podman/podman.sock")

# A server that refuses a client's certificate may be gone before its reason is read.
_CUT = r"EOF occurred in violation of protocol|Connection reset by peer|Broken pipe"
# What a failed connection says (regular expression) and what to do about it; the first one that fits counts.
_ADVICE = (
    (r"http\+docker", "The Docker SDK for Python on this host is too old for its 'requests' library: update the SDK to"
                      " 7.1, or install the one of the distribution (Debian: python3-docker)."),
    (r"HTTP request to an HTTPS server", "The engine wants TLS there: set 'validate_certs' and 'ca_path', and"
                                         " 'client_cert' and 'client_key' if it wants to know who connects."),
    (r"WRONG_VERSION_NUMBER|wrong version number|UNKNOWN_PROTOCOL|record layer failure",
     "What listens there does not speak TLS: leave 'tls' and 'validate_certs' out, or use the port for TLS"
     " (mostly 2376)."),
    (r"[Hh]ostname mismatch|IP address mismatch|doesn't match|hostname '[^']*' does",
     "The engine's certificate is for another name: connect by a name that it has, or set 'tls_hostname' to one."),
    (r"has expired", "The engine's certificate has expired, or the clock of this host is wrong."),
    (r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
     "The engine's certificate is not signed by an authority that is known here: set 'ca_path' to the certificate of"
     " the one that signed it."),
    (r"[Cc]ertificate[_ ][Rr]equired|CERTIFICATE_REQUIRED|bad certificate|BAD_CERTIFICATE|unknown ca|UNKNOWN_CA"
     r"|handshake failure|HANDSHAKE_FAILURE",
     "The engine does not accept the client: set 'client_cert' and 'client_key' to a certificate that the engine's"
     " authority has signed."),
    (_CUT, "The engine has broken the connection off, as it does where it does not accept the client: set 'client_cert'"
           " and 'client_key' to a certificate that the engine's authority has signed; the engine's log tells."),
    (r"Permission denied", "This user may not use the socket: run as root (become), or as a member of its group."),
)


def is_local(url):
    """True if a URL (str) means a socket of this host."""
    return url.startswith(_LOCAL)


def is_contained(url):
    """True if the engine at a local URL (str) is known to see other files than this process, such as in a container.

    Its socket may be shared with this host, and the paths that it tells of may even exist here, with others' files.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(_path(url))
        process = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        # 0 is a process that cannot be seen from here.
        return process > 0 and os.readlink("/proc/%d/ns/mnt" % process) != os.readlink("/proc/self/ns/mnt")
    return False


def _path(url):
    return re.sub(r"^(http\+)?unix://", "", url)


def check(params):
    """Raise UsageError if the connection options (dict with the keys of _module.DOCKER_OPTIONS) cannot work.

    Paths are only looked at, never read: what is in them is a matter of TLS.
    """
    url = params["docker_host"]
    if not url.startswith(_LOCAL + _REMOTE):
        advice = next((advice for scheme, advice in _ELSEWHERE.items() if url.startswith(scheme)),
                      "Write unix:///path of a socket, or tcp://host:port.")
        raise UsageError("docker_host '%s' is no way to reach an engine from here" % url, advice)
    if is_local(url):  # what is set for TLS, in the environment for example, is for connections of another kind
        return
    wanted = [name for name in ("tls", "validate_certs") if params[name]]
    if url.startswith("https://") and not wanted:
        raise UsageError("docker_host '%s' needs TLS" % url, "Set validate_certs, best together with ca_path.")
    if url.startswith("http://") and wanted:
        raise UsageError("docker_host '%s' has no TLS, but %s is set" % (url, wanted[0]), "Write tcp:// instead.")
    if params["tls_hostname"] and not params["validate_certs"]:
        raise UsageError("tls_hostname is set, but the engine's certificate is not checked", "Set validate_certs too.")
    if wanted:
        _check_files(params)


def _check_files(params):
    if bool(params["client_cert"]) != bool(params["client_key"]):
        missing = "client_key" if params["client_cert"] else "client_cert"
        raise UsageError("%s is missing: a certificate and its key belong together" % missing, "Set both or none.")
    for name in ("ca_path", "client_cert", "client_key"):
        if params[name] and not os.path.isfile(params[name]):
            raise UsageError("%s: there is no file %s on this host" % (name, params[name]),
                             "The files of a connection lie on the managed host, where the modules run.")


def advice(url, words, sockets=None):
    """Return what to do (str) when an engine at a URL does not answer, by the words (str) of the failure.

    :param sockets: list of str, sockets of other engines on this host; they are looked for if not given.
    """
    for pattern, said in _ADVICE:
        if re.search(pattern, words) and (pattern != _CUT or url.startswith(_REMOTE)):
            return said
    if is_local(url):
        here = os.path.realpath(_path(url))
        others = [path for path in (_found_sockets() if sockets is None else sockets)
                  if os.path.realpath(path) != here]
        if others:
            return "There is another socket on this host: if that engine is meant, set docker_host to unix://%s." % (
                others[0])
    return "Check that it runs on this host, and 'docker_host'."


def _found_sockets():
    users = []
    if os.path.isdir("/run/user"):
        users = ["/run/user/%s/%s" % (user, name) for user in sorted(os.listdir("/run/user")) for name in _USER_SOCKETS]
    return [path for path in (*_SOCKETS, *users) if os.path.exists(path)]


def check_server(url, server):
    """Raise EngineError if an engine cannot be worked with. :param server: dict as GET /version gives."""
    spoken = server.get("ApiVersion") or "0"
    if tuple(int(part) for part in re.findall(r"\d+", spoken)[:2]) < MINIMUM_API:
        raise EngineError(
            "The engine at %s is too old: its version is %s and its API %s" % (url, server.get("Version"), spoken),
            "API %d.%d or newer is needed: Docker Engine 20.10, or Podman 4." % MINIMUM_API,
        )
    if server.get("Os") == "windows":
        raise EngineError("The engine at %s runs Windows containers" % url,
                          "Only Linux containers are supported; switch the engine to those.")
