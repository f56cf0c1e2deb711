# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a compose file that makes the recorded containers, for stacks that were not made by Compose. Pure.

It is for people who want to start a stack without this collection. What Compose cannot say is left out; the complete
record is the one that container_import reads.
"""
from __future__ import annotations

import json
import re

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_SECOND = 1000000000  # nanoseconds


def render(record):
    """Return a compose file (str, YAML) for a record as container_export writes it (dict)."""
    definitions = {name: entry["definition"] for name, entry in record["containers"].items()}
    networks = {name for definition in definitions.values() for name in definition["networks"]}
    networks -= {"bridge", "host", "none"}
    document = {"services": {name: _service(definitions[name], definitions) for name in sorted(definitions)}}
    document["networks"] = {name: _network(name, record["networks"].get(name) or {}) for name in sorted(networks)}
    document["volumes"] = {
        name: _kept({"name": name, "driver": volume.get("Driver"), "driver_opts": volume.get("Options"),
                     "labels": volume.get("Labels")})
        for name, volume in sorted(record["volumes"].items())
    }
    return "\n".join(_yaml({key: value for key, value in document.items() if value})) + "\n"


def _network(name, network):
    return _kept({"name": name, "driver": network.get("Driver"), "driver_opts": network.get("Options"),
                  "internal": network.get("Internal"), "labels": network.get("Labels")})


def _kept(values):
    return {key: value for key, value in values.items() if value not in (None, "", [], {}, False)}


def _service(definition, definitions):
    config, host = definition["config"], definition["host_config"]
    mode = host.get("NetworkMode", "")
    restart = host["RestartPolicy"]["Name"]
    if restart == "on-failure" and host["RestartPolicy"]["MaximumRetryCount"]:
        restart = "on-failure:%d" % host["RestartPolicy"]["MaximumRetryCount"]
    service = {
        "image": definition["image"],
        "container_name": definition["name"],
        "hostname": config.get("Hostname"),
        "entrypoint": config.get("Entrypoint"),
        "command": config.get("Cmd"),
        "user": config.get("User"),
        "working_dir": config.get("WorkingDir"),
        "environment": config.get("Env"),
        "labels": config.get("Labels"),
        "ports": _ports(host.get("PortBindings") or {}),
        "volumes": _volumes(definition),
        "networks": {name: _kept({"aliases": endpoint.get("aliases"), "ipv4_address": endpoint.get("ipv4"),
                                  "ipv6_address": endpoint.get("ipv6")})
                     for name, endpoint in definition["networks"].items() if name not in ("bridge", "host", "none")},
        "healthcheck": _healthcheck(config.get("Healthcheck") or {}),
        "restart": restart if restart != "no" else None,
        "extra_hosts": host.get("ExtraHosts"),
        "tmpfs": [":".join(filter(None, entry)) for entry in (host.get("Tmpfs") or {}).items()],
        "cap_add": host.get("CapAdd"),
        "cap_drop": host.get("CapDrop"),
        "security_opt": host.get("SecurityOpt"),
        "privileged": host.get("Privileged"),
        "read_only": host.get("ReadonlyRootfs"),
        "init": host.get("Init"),
        "mem_limit": host.get("Memory"),
        "shm_size": host.get("ShmSize"),
        "logging": _kept({"driver": (host.get("LogConfig") or {}).get("Type"),
                          "options": (host.get("LogConfig") or {}).get("Config")}),
        "stop_signal": config.get("StopSignal"),
        "tty": config.get("Tty"),
    }
    if mode.startswith("container:"):
        target = mode.split(":", 1)[1]
        service["network_mode"] = "service:%s" % target if target in definitions else mode
    elif mode in ("host", "none", "bridge"):
        service["network_mode"] = mode
    return _escaped(_kept(service))


def _ports(bindings):
    found = []
    for port, entries in sorted(bindings.items()):
        number, _slash, protocol = port.partition("/")
        for entry in entries or []:
            address = entry.get("HostIp") or ""
            address = "[%s]" % address if ":" in address else address
            target = number + ("/%s" % protocol if protocol and protocol != "tcp" else "")
            parts = [address] if address else []
            found.append(":".join(parts + [entry.get("HostPort") or "", target]).lstrip(":"))
    return found


def _volumes(definition):
    host = definition["host_config"]
    found = list(host.get("Binds") or []) + list(definition["anonymous_volumes"])
    for mount in host.get("Mounts") or []:
        if mount.get("Type") in ("volume", "bind") and mount.get("Source"):
            found.append("%s:%s%s" % (mount["Source"], mount["Target"], ":ro" if mount.get("ReadOnly") else ""))
    return found


def _healthcheck(check):
    times = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    described = {key: "%gs" % (check[name] / _SECOND) for key, name in times.items() if check.get(name)}
    return _kept(dict(described, test=check.get("Test"), retries=check.get("Retries")))


def _escaped(value):
    """Double every "$", which Compose would take for the begin of a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [_escaped(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _escaped(entry) for key, entry in value.items()}
    return value


def _yaml(value, indent=0):
    """Yield the lines of a value. Text is written as JSON strings, which YAML reads the same way."""
    space = "  " * indent
    for key, entry in value.items():
        name = key if _PLAIN_KEY.match(key) else json.dumps(key)
        if isinstance(entry, dict) and entry:
            yield "%s%s:" % (space, name)
            yield from _yaml(entry, indent + 1)
        elif isinstance(entry, list) and entry:
            yield "%s%s:" % (space, name)
            for item in entry:
                yield "%s  - %s" % (space, json.dumps(item, ensure_ascii=False))
        else:
            yield "%s%s: %s" % (space, name, json.dumps(entry, ensure_ascii=False))
