# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connects the Docker SDK to an engine."""
from __future__ import annotations

from . import _endpoint
from ._docker_exec import library


def connect(params):
    """Return the SDK's client (docker.APIClient), which keeps as "server" what the engine says of its version (dict).

    :param params: dict with the keys of _module.DOCKER_OPTIONS. :raises: what the SDK raises.
    """

    class Client(library().APIClient):
        def version(self, api_version=True):
            self.server = super().version(api_version)
            return self.server

        def merge_environment_settings(self, url, proxies, stream, verify, cert):
            # Else requests prefers the authorities of REQUESTS_CA_BUNDLE, which are those of the world's servers.
            verify = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, verify, cert)

    # That is how the client finds out which version of the API it is to speak, so "server" is there afterwards.
    return Client(base_url=params["docker_host"], tls=_tls(params), timeout=params["timeout"], version="auto")


def _tls(params):
    """Return what the SDK has to know of TLS (docker.tls.TLSConfig), or None for a connection without it."""
    if _endpoint.is_local(params["docker_host"]) or not (params["tls"] or params["validate_certs"]):
        return None

    from ._docker_tls import NamedHost

    class Config(library("docker.tls").TLSConfig):
        def configure_client(self, client):
            super().configure_client(client)
            if params["tls_hostname"]:
                client.mount("https://", NamedHost(params["tls_hostname"]))

    pair = (params["client_cert"], params["client_key"]) if params["client_cert"] else None
    return Config(client_cert=pair, ca_cert=params["ca_path"], verify=params["validate_certs"])
