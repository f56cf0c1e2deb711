# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Podman's Docker-compatible API says otherwise than Docker does, put right. Pure: dicts in, dicts out.

Everything else in this collection sees descriptions as Docker gives them.
"""
from __future__ import annotations

import re
import signal

_HEX = re.compile(r"[0-9a-f]{64}")
_HUB = ("docker.io/library/", "docker.io/")
_DEFAULT_NETWORK = "podman"  # the API takes "bridge" for it, and shows its own name
# What Podman adds to the options of each mount by itself.
_MOUNT_DEFAULTS = frozenset(("rw", "rprivate", "nosuid", "nodev", "rbind"))
# What Podman puts into the environment of each container by itself.
_ENVIRONMENT = frozenset(("container=podman", "container=oci", "TERM=xterm", "HOME=/root"))
# Keys of HostConfig that say how Podman does things, and are not to be asked for when a container is made again.
_OWN_WAYS = frozenset(("Runtime", "CgroupParent", "CgroupnsMode", "MaskedPaths", "ReadonlyPaths", "Annotations"))
_SIGNALS = {str(one.value): one.name for one in signal.Signals}


def is_podman(server):
    """True if an engine is Podman. :param server: dict as GET /version gives."""
    return any("podman" in (component.get("Name") or "").lower() for component in server.get("Components") or ())


def identifier(text):
    """Return an image's ID (str) with the name of its digest, as Docker writes it."""
    return "sha256:" + text if _HEX.fullmatch(text or "") else text


def name(text):
    """Return an image's name (str) as Docker shows it: without the registry where that is Docker's own."""
    for prefix in _HUB:
        if text.startswith(prefix):
            return text[len(prefix):]
    return text


def image(inspect):
    """Return the description of an image (dict)."""
    return dict(inspect, Id=identifier(inspect["Id"]), **{
        key: [name(entry) for entry in inspect.get(key) or ()] for key in ("RepoTags", "RepoDigests")})


def network(inspect):
    """Return the description of a network (dict)."""
    ipam = inspect.get("IPAM") or {}
    driver = ipam.get("Driver") or "default"
    return dict(inspect, Name="bridge" if inspect["Name"] == _DEFAULT_NETWORK else inspect["Name"],
                # What Podman's own driver notes about itself are no options that anybody has set.
                IPAM=dict(ipam, Driver="default" if driver == "host-local" else driver, Options={}))


def listed(entry, inspect):
    """Return an entry of the list of containers (dict) with what Podman leaves out of it.

    :param inspect: description of the same container, as container() returns it.
    """
    return dict(
        entry, ImageID=inspect["Image"], Mounts=inspect["Mounts"], Labels=inspect["Config"].get("Labels") or {},
        Ports=entry.get("Ports") or [], NetworkSettings={"Networks": inspect["NetworkSettings"]["Networks"]},
    )


def container(inspect):
    """Return the description of a container (dict)."""
    networks = _networks((inspect.get("NetworkSettings") or {}).get("Networks") or {})
    host = _host_config(inspect.get("HostConfig") or {}, networks)
    config = _config(inspect, host)
    return dict(
        inspect, Image=identifier(inspect.get("Image")), Config=config, HostConfig=host,
        Mounts=[dict(mount) for mount in inspect.get("Mounts") or ()],
        NetworkSettings=dict(inspect.get("NetworkSettings") or {}, Networks=networks),
    )


def _networks(networks):
    return {"bridge" if key == _DEFAULT_NETWORK else key: dict(endpoint or {}) for key, endpoint in networks.items()}


def _host_config(raw, networks):
    host = {key: value for key, value in raw.items() if key not in _OWN_WAYS}
    host["Binds"] = [_bind(entry) for entry in host.get("Binds") or ()]
    host["Ulimits"] = [dict(limit, Name=limit["Name"].replace("RLIMIT_", "").lower())
                       for limit in host.get("Ulimits") or ()]
    if host.get("MemorySwappiness") == 0:  # where nobody has set it; asking for 0 fails with version 2 of cgroups
        del host["MemorySwappiness"]
    # Any network of its own is "bridge" here, and would be joined beside the default one.
    if host.get("NetworkMode") in ("bridge", "default") and networks and "bridge" not in networks:
        host["NetworkMode"] = sorted(networks)[0]
    return host


def _bind(entry):
    """Return "source:destination[:options]" with those options only that somebody has chosen."""
    source, destination, options = (entry.split(":", 2) + ["", ""])[:3]
    chosen = [option for option in options.split(",") if option and option not in _MOUNT_DEFAULTS]
    return ":".join([source, destination] + ([",".join(chosen)] if chosen else []))


def _config(inspect, host):
    config = dict(inspect.get("Config") or {})
    config["Image"] = name(config.get("Image") or "")
    hostname = "HOSTNAME=%s" % (config.get("Hostname") or "")
    config["Env"] = [entry for entry in config.get("Env") or () if entry not in _ENVIRONMENT and entry != hostname]
    config["Entrypoint"] = _entry_point(inspect, config.get("Entrypoint") or [], config.get("Cmd") or [],
                                        host.get("Init"))
    if not config.get("StopTimeout"):  # nobody asks for a stop without any time; 0 is what the API fills in
        config.pop("StopTimeout", None)
    if config.get("StopSignal"):
        config["StopSignal"] = _SIGNALS.get(str(config["StopSignal"]), config["StopSignal"])
    return config


def _entry_point(inspect, words, command, init):
    """Return the entry point (list of str, or None).

    Podman shows it as words, with no way to tell spaces between them from those inside. What is run in the end is shown
    exactly, and that is entry point and command; a single word is shown twice, though.
    """
    program = [inspect.get("Path") or ""] + list(inspect.get("Args") or ())
    if len(words) + len(command) == 1:
        program = program[:1]
    if init and program[1:2] == ["--"]:  # the engine's own init comes first
        program = program[2:]
    if command and program[-len(command):] == list(command):
        program = program[:-len(command)]
    return [word for word in program if word] or None


def to_create(body, image):
    """Return what creates a container (dict for POST /containers/create).

    One empty word tells Docker to leave the entry point empty whatever the image says. Podman keeps that word, so it is
    only given where the image has an entry point.

    :param body: dict, as Docker takes it. :param image: description of the image (dict), or None.
    """
    if body.get("Entrypoint") != [""] or ((image or {}).get("Config") or {}).get("Entrypoint"):
        return body
    return {key: value for key, value in body.items() if key != "Entrypoint"}


def to_exec(argv, environment):
    """Return (argv, environment) for a program that is to run in a container.

    A variable without a value takes one away that the container has; Podman refuses that, so that a program does it.
    """
    gone = sorted(key for key, value in (environment or {}).items() if value is None)
    if not gone:
        return list(argv), environment
    kept = {key: value for key, value in environment.items() if value is not None}
    return ["env"] + [word for key in gone for word in ("-u", key)] + list(argv), kept


def holds_pod(inspect):
    """True if a container holds a pod together. :param inspect: its description, as container() returns it."""
    return "podman-pause" in inspect["Config"]["Image"]
