# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How to reach an engine, as Docker's own programs understand it too."""
from __future__ import annotations


def docker_environment(host, cert_path="", tls_hostname=""):
    """Return the variables of the environment (dict) for an engine; without any of these, those that are there count.

    :param host: str, URL. :param cert_path: str, folder of the files for TLS. :param tls_hostname: str, the name in the
        engine's certificate.
    """
    found = {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1" if cert_path else "", "DOCKER_CERT_PATH": cert_path,
             "DOCKER_TLS_HOSTNAME": tls_hostname}
    return {name: value for name, value in found.items() if value}


class FilterModule:
    def filters(self):
        return {"docker_environment": docker_environment}
