# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml

from ansible_collections.moodleclaude.backup.plugins.module_utils import _compose


def definition(name, config=None, host=None, **more):
    return dict({
        "name": name, "image": "site:1", "config": dict({"Env": ["A=b"]}, **config or {}),
        "host_config": dict(
            {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "NetworkMode": "net"}, **host or {}
        ),
        "anonymous_volumes": [], "networks": {"net": {"aliases": ["db"]}},
    }, **more)


def parsed(*definitions):
    record = {
        "containers": {entry["name"]: {"definition": entry} for entry in definitions},
        "networks": {"net": {"Name": "net", "Driver": "bridge", "Labels": {"a": "b"}, "Options": {}}},
        "volumes": {"data": {"Name": "data", "Driver": "local", "Options": None, "Labels": {}}},
    }
    return yaml.safe_load(_compose.render(record))


def test_what_matters_is_in_it():
    text = "p$w \"x\" 'y' \\ : # é\n2"
    host = {
        "Binds": ["data:/data:ro"],
        "PortBindings": {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": [{"HostIp": "", "HostPort": "5353"}],
            "1/tcp": [{"HostIp": "::1", "HostPort": "1"}], "2/tcp": [{"HostIp": "", "HostPort": ""}],
        },
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "Memory": 1024,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Tmpfs": {"/tmp": "size=1m", "/run": ""},
    }
    config = {"Env": ["P=" + text], "Cmd": ["a", "b c"], "Labels": {"odd key:": text},
              "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1500000000, "Retries": 2}}
    found = parsed(definition("web", config, host))
    service = found["services"]["web"]
    escaped = text.replace("$", "$$")
    assert service["environment"] == ["P=" + escaped] and service["labels"] == {"odd key:": escaped}
    assert service["ports"] == ["[::1]:1:1", "2", "5353:53/udp", "127.0.0.1:8080:80"]
    assert service["volumes"] == ["data:/data:ro"] and service["command"] == ["a", "b c"]
    assert service["restart"] == "on-failure:3" and service["mem_limit"] == 1024
    assert service["healthcheck"] == {"test": ["CMD", "true"], "interval": "1.5s", "retries": 2}
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "1m"}}
    assert service["tmpfs"] == ["/tmp:size=1m", "/run"]
    assert service["networks"] == {"net": {"aliases": ["db"]}}
    assert found["networks"] == {"net": {"name": "net", "driver": "bridge", "labels": {"a": "b"}}}
    assert found["volumes"] == {"data": {"name": "data", "driver": "local"}}


def test_borrowed_and_host_networks():
    found = parsed(
        definition("a", host={"NetworkMode": "container:b"}, networks={}), definition("b"),
        definition("c", host={"NetworkMode": "container:other"}, networks={}),
        definition("d", host={"NetworkMode": "host"}, networks={"host": {}}),
    )["services"]
    assert found["a"]["network_mode"] == "service:b"
    assert found["c"]["network_mode"] == "container:other"
    assert found["d"]["network_mode"] == "host" and "networks" not in found["d"]
