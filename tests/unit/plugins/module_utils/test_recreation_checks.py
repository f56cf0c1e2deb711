# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _recreation_checks as checks
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import ExistsError, IntegrityError


def network(name, *subnets):
    return {"Name": name, "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]}}


@pytest.mark.parametrize(("subnets", "others", "expected"), [
    (["10.1.0.0/24"], [network("a", "10.2.0.0/16")], None),
    (["10.1.0.0/24"], [network("a"), network("b", "10.0.0.0/8")], "b"),
    (["10.1.0.0/24", "fd00::/64"], [network("a", "fd00::/48")], "a"),
    ([], [network("a", "10.0.0.0/8")], None),
    (["10.1.0.0/24"], [{"Name": "host", "IPAM": {"Config": None}}], None),
])
def test_overlapping(subnets, others, expected):
    assert checks.overlapping(network("n", *subnets), others) == expected


def test_an_address_must_be_in_the_network():
    definition = {"name": "web", "networks": {"n": {"ipv4": "10.1.0.5"}}}
    checks.check_address(definition, network("n", "fd00::/64", "10.1.0.0/24"))
    checks.check_address({"name": "web", "networks": {}}, network("n"))
    with pytest.raises(IntegrityError, match="fixed address 10.1.0.5, but network 'n' on this engine has 10.2.0.0/24"):
        checks.check_address(definition, network("n", "10.2.0.0/24"))


class OtherContainer:
    """An engine on which one container runs, with one published port."""

    def __init__(self, address, number, protocol="tcp"):
        self._port = {"IP": address, "PublicPort": number, "Type": protocol}

    def containers(self, all):
        assert all is False
        return [{"Names": ["/other"], "Ports": [{"PrivatePort": 1, "Type": "tcp"}, self._port]}]


def publishing(*bindings):
    ports = {}
    for port, address, number in bindings:
        ports.setdefault(port, []).append({"HostIp": address, "HostPort": number})
    return {"name": "web", "running": True, "host_config": {"PortBindings": ports}}


@pytest.mark.parametrize(("binding", "engine", "clash"), [
    (("80/tcp", "", "8080"), OtherContainer("0.0.0.0", 8080), True),
    (("80/tcp", "127.0.0.1", "8080"), OtherContainer("0.0.0.0", 8080), True),
    (("80/tcp", "127.0.0.1", "8080"), OtherContainer("127.0.0.2", 8080), False),
    (("80/tcp", "127.0.0.1", "8080"), OtherContainer("::", 8080), False),
    (("80/tcp", "", "8080"), OtherContainer("::1", 8080), True),
    (("80/udp", "", "8080"), OtherContainer("0.0.0.0", 8080), False),
    (("80/tcp", "", "8081"), OtherContainer("0.0.0.0", 8080), False),
    (("80/tcp", "", ""), OtherContainer("0.0.0.0", 8080), False),
    (("80/tcp", "", "0"), OtherContainer("0.0.0.0", 8080), False),
])
def test_ports(binding, engine, clash):
    definition = publishing(binding)
    if clash:
        with pytest.raises(ExistsError, match="port 8080/tcp of the host, but container 'other' has it"):
            checks.check_ports(engine, definition, {"web"})
    else:
        checks.check_ports(engine, definition, {"web"})
    checks.check_ports(engine, definition, {"web", "other"})
    checks.check_ports(engine, dict(definition, running=False), {"web"})
