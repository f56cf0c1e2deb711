# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container is: from the engine's description to a definition, and back to a request that creates it again.

Pure: dicts in, dicts out. A definition is the same whether it is read from the original or from its re-creation, on any
version of the engine: what the engine makes up itself (generated host names, assigned addresses, default masks) is left
out, and what it keeps by ID is kept by name.
"""
from __future__ import annotations

import json
import re

# Sorted for the comparison: the engine gives no meaning to the order of these.
_UNORDERED = frozenset((
    "Env", "Binds", "CapAdd", "CapDrop", "SecurityOpt", "GroupAdd", "VolumesFrom", "Links", "ExtraHosts", "Mounts",
    "Devices", "Ulimits",
))
# Present in every description, never part of a definition.
_NOT_CONFIG = frozenset(("Image", "OnBuild"))
_NOT_HOST_CONFIG = frozenset(("ContainerIDFile", "ConsoleSize", "Cgroup"))
# Here false, zero or an empty list says something else than nothing at all.
_MEANINGFUL = frozenset(("Init", "StopTimeout", "MemorySwappiness", "MaskedPaths", "ReadonlyPaths"))
# What engines of any version mask by themselves; sending an old engine's list to a new one would unmask the difference.
_ENGINE_PATHS = frozenset((
    "/proc/acpi", "/proc/asound", "/proc/bus", "/proc/fs", "/proc/interrupts", "/proc/irq", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
))
_ID = re.compile(r"[0-9a-f]{64}")
_PREDEFINED = frozenset(("bridge", "host", "none"))


def is_predefined(network):
    """Return True if a network (name) is there on every engine and cannot be created."""
    return network in _PREDEFINED


def from_inspect(inspect, names=None):
    """Return the definition of a container.

    :param inspect: dict as GET /containers/<name>/json gives.
    :param names: dict of container ID to name, to keep references to other containers by name.
    :returns: dict with name, image (as it was asked for), image_id, running (bool), config and host_config (keys as in
        the Engine API, without empty ones), anonymous_volumes (list of "volume:path[:ro]") and networks (dict of name
        to endpoint: aliases, ipv4, ipv6, link_local, links, driver_opts, priority; only what somebody has set).
    """
    names = names or {}
    config = _without_empty(inspect.get("Config") or {}, _NOT_CONFIG)
    host = _without_empty(inspect.get("HostConfig") or {}, _NOT_HOST_CONFIG)
    _clean_host_config(host, inspect, names)
    _clean_config(config, host, inspect)
    mounted = inspect.get("Mounts") or []
    anonymous = _anonymous_volumes(host, mounted)
    if "Mounts" in host:
        host["Mounts"] = [_with_source(mount, mounted) for mount in host["Mounts"]]
    return {
        "name": inspect["Name"].lstrip("/"),
        "image": inspect["Config"].get("Image") or "",
        "image_id": inspect.get("Image") or "",
        "running": bool((inspect.get("State") or {}).get("Running")),
        "config": config,
        "host_config": host,
        "anonymous_volumes": anonymous,
        "networks": _networks(inspect, config, host),
    }


def _without_empty(values, dropped):
    """Return the dict without keys that say nothing."""
    return {
        key: value for key, value in values.items()
        if key not in dropped and value is not None and (value or key in _MEANINGFUL)
    }


def _clean_host_config(host, inspect, names):
    host["NetworkMode"] = _network_mode(host.get("NetworkMode") or "default", inspect, names)
    for key in ("IpcMode", "PidMode"):
        if key in host:
            host[key] = _by_name(host[key], names)
    if "VolumesFrom" in host:
        host["VolumesFrom"] = [":".join([names.get(name, name)] + rest) for name, *rest in
                               (entry.split(":") for entry in host["VolumesFrom"])]
    if "Links" in host:
        host["Links"] = [_link(entry) for entry in host["Links"]]
    policy = host.get("RestartPolicy") or {}
    host["RestartPolicy"] = {
        "Name": policy.get("Name") or "no", "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
    }
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if host.get(key) and _ENGINE_PATHS.issuperset(
                path for path in host[key] if not path.endswith("/thermal_throttle")):
            del host[key]
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]


def _clean_config(config, host, inspect):
    mode = host["NetworkMode"]
    generated = (inspect.get("Id") or "")[:12]
    # Inside the host's or another container's namespaces the name shown is theirs, and sending it is refused.
    borrowed = mode == "host" or mode.startswith("container:") or host.get("UTSMode") == "host"
    if borrowed or config.get("Hostname") == generated:
        config.pop("Hostname", None)
    if mode.startswith("container:"):
        config.pop("ExposedPorts", None)
        config.pop("MacAddress", None)


def _network_mode(mode, inspect, names):
    if mode == "default":
        return "bridge"
    if _ID.fullmatch(mode):
        for name, endpoint in ((inspect.get("NetworkSettings") or {}).get("Networks") or {}).items():
            if endpoint.get("NetworkID") == mode:
                return name
    return _by_name(mode, names)


def _by_name(mode, names):
    """Turn "container:<ID>" into "container:<name>"."""
    kind, _colon, target = mode.partition(":")
    return "container:%s" % names.get(target, target) if kind == "container" else mode


def _link(entry):
    """Turn "/db:/web/alias", as the engine shows a link, into "db:alias", as it wants it."""
    target, _colon, alias = entry.partition(":")
    return "%s:%s" % (target.lstrip("/"), alias.rpartition("/")[2])


def _anonymous_volumes(host, mounted):
    """Return the volumes without a name of their own, and take those that are bound by their ID out of Binds."""
    found = [entry for entry in host.get("Binds", ()) if _ID.fullmatch(entry.split(":")[0])]
    if found:
        host["Binds"] = [entry for entry in host["Binds"] if entry not in found]
        if not host["Binds"]:
            del host["Binds"]
    known = {entry.split(":")[1] for entry in found}
    known.update(mount.get("Target") for mount in host.get("Mounts", ()))
    for mount in mounted:
        if mount.get("Type") == "volume" and _ID.fullmatch(mount["Name"]) and mount["Destination"] not in known:
            found.append("%s:%s%s" % (mount["Name"], mount["Destination"], "" if mount["RW"] else ":ro"))
    return sorted(found)


def _with_source(mount, mounted):
    """Return a mount request with the name of the volume that the engine has made for it."""
    if mount.get("Type") != "volume" or mount.get("Source"):
        return mount
    for existing in mounted:
        if existing["Destination"] == mount["Target"]:
            return dict(mount, Source=existing["Name"])
    return mount


def _networks(inspect, config, host):
    if host["NetworkMode"] in ("host", "none") or host["NetworkMode"].startswith("container:"):
        return {}
    generated = {(inspect.get("Id") or "")[:12], config.get("Hostname")}
    networks = (inspect.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: _endpoint(endpoint or {}, generated) for name, endpoint in sorted(networks.items())}


def _endpoint(raw, generated):
    ipam = raw.get("IPAMConfig") or {}
    endpoint = {
        "aliases": sorted(set(raw.get("Aliases") or ()) - generated),
        "ipv4": ipam.get("IPv4Address"),
        "ipv6": ipam.get("IPv6Address"),
        "link_local": ipam.get("LinkLocalIPs"),
        "links": raw.get("Links"),
        "driver_opts": raw.get("DriverOpts"),
        "priority": raw.get("GwPriority"),
    }
    return {key: value for key, value in endpoint.items() if value}


def to_create(definition, image):
    """Return what creates the container again: (body for POST /containers/create, networks to connect afterwards).

    :param image: str, name or ID of the image to use.
    :returns: (dict, dict of network name to endpoint as POST /networks/<name>/connect wants it).
    """
    body = dict(definition["config"], Image=image)
    # An empty entry point would be filled from the image; one empty word is how the engine is told to leave it empty.
    body["Entrypoint"] = body.get("Entrypoint") or [""]
    host = dict(definition["host_config"])
    binds = list(host.get("Binds", ())) + definition["anonymous_volumes"]
    if binds:
        host["Binds"] = binds
    body["HostConfig"] = host
    endpoints = {name: _to_endpoint(endpoint) for name, endpoint in definition["networks"].items()}
    first = endpoints.pop(host["NetworkMode"], None)
    if first is not None:
        if "MacAddress" in body:
            first["MacAddress"] = body["MacAddress"]
        body["NetworkingConfig"] = {"EndpointsConfig": {host["NetworkMode"]: first}}
    return body, endpoints


def _to_endpoint(endpoint):
    ipam = {
        key: endpoint[name]
        for key, name in (("IPv4Address", "ipv4"), ("IPv6Address", "ipv6"), ("LinkLocalIPs", "link_local"))
        if name in endpoint
    }
    raw = {
        "IPAMConfig": ipam,
        "Aliases": endpoint.get("aliases"),
        "Links": endpoint.get("links"),
        "DriverOpts": endpoint.get("driver_opts"),
        "GwPriority": endpoint.get("priority"),
    }
    return {key: value for key, value in raw.items() if value}


def compare(one, other):
    """Return the names of the fields in which two definitions differ (sorted list of str); running is not compared."""
    different = set()
    if not _same_image(one, other):
        different.add("image")
    if sorted(one["anonymous_volumes"]) != sorted(other["anonymous_volumes"]):
        different.add("anonymous_volumes")
    for part in ("config", "host_config", "networks"):
        for key in set(one[part]) | set(other[part]):
            if _comparable(key, one[part].get(key)) != _comparable(key, other[part].get(key)):
                different.add("%s.%s" % (part, key))
    return sorted(different)


def _same_image(one, other):
    """The name counts too, but a container may have been created by the image's ID because its name was taken."""
    if one["image_id"] != other["image_id"]:
        return False
    return one["image"] == other["image"] or one["image_id"] in (one["image"], other["image"])


def _comparable(key, value):
    if key in _UNORDERED and isinstance(value, list):
        return sorted(value, key=lambda item: json.dumps(item, sort_keys=True))
    return value


def moved(one, other):
    """Return the paths (sorted list of str) at which two definitions have something else mounted, or only one has."""
    mounts, others = _sources(one), _sources(other)
    return sorted(path for path in set(mounts) | set(others) if mounts.get(path) != others.get(path))


def _sources(definition):
    """Return what is mounted where (dict of path in the container to a volume's name, a path on the host or a kind)."""
    host = definition["host_config"]
    found = dict.fromkeys(host.get("Tmpfs", ()), "tmpfs")
    for entry in list(host.get("Binds", ())) + definition["anonymous_volumes"]:
        source, path = entry.split(":")[:2]
        found[path] = source
    for mount in host.get("Mounts", ()):
        found[mount["Target"]] = mount.get("Source") or mount.get("Type")
    return {path.rstrip("/"): source.rstrip("/") or "/" for path, source in found.items()}


def referenced(definition):
    """Return the names of the containers whose namespaces, links or volumes this one uses (set of str)."""
    host = definition["host_config"]
    found = {
        host[key].partition(":")[2] for key in ("NetworkMode", "IpcMode", "PidMode")
        if host.get(key, "").startswith("container:")
    }
    found.update(entry.split(":")[0] for entry in host.get("Links", ()))
    found.update(entry.split(":")[0] for entry in host.get("VolumesFrom", ()))
    for endpoint in definition["networks"].values():
        found.update(link.split(":")[0] for link in endpoint.get("links", ()))
    return found


def start_order(definitions):
    """Return the names of the containers in the order in which to start them (list of str).

    A container comes after those that it refers to and those that Compose's labels say it depends on; otherwise names
    are in alphabetical order, which also breaks a circle.

    :param definitions: dict of name to definition.
    """
    needs = {name: _needed(definitions[name], definitions) - {name} for name in definitions}
    order = []
    while len(order) < len(needs):
        waiting = sorted(set(needs) - set(order))
        ready = [name for name in waiting if needs[name].issubset(order)]
        order.append((ready or waiting)[0])
    return order


def _needed(definition, definitions):
    needed = referenced(definition)
    labels = definition["config"].get("Labels", {})
    project = labels.get("com.docker.compose.project")
    services = {entry.split(":")[0] for entry in labels.get("com.docker.compose.depends_on", "").split(",") if entry}
    for name, other in definitions.items():
        others = other["config"].get("Labels", {})
        if others.get("com.docker.compose.project") == project and others.get("com.docker.compose.service") in services:
            needed.add(name)
    return needed.intersection(definitions)


def network_from_inspect(inspect):
    """Return what is needed to create a network again: the body of POST /networks/create (dict)."""
    ipam = inspect.get("IPAM") or {}
    body = {
        "Name": inspect["Name"],
        "Driver": inspect["Driver"],
        "Options": inspect.get("Options") or {},
        "Labels": inspect.get("Labels") or {},
        "Internal": bool(inspect.get("Internal")),
        "Attachable": bool(inspect.get("Attachable")),
        "EnableIPv6": bool(inspect.get("EnableIPv6")),
        "IPAM": {
            "Driver": ipam.get("Driver") or "default",
            "Options": ipam.get("Options") or {},
            "Config": [
                {key: value for key, value in entry.items() if value} for entry in ipam.get("Config") or ()
            ],
        },
    }
    if inspect.get("EnableIPv4") is False:
        body["EnableIPv4"] = False
    return body


def volume_from_inspect(inspect):
    """Return what is needed to create a volume again (dict with Name, Driver, Options, Labels)."""
    return {
        "Name": inspect["Name"],
        "Driver": inspect["Driver"],
        "Options": inspect.get("Options") or {},
        "Labels": inspect.get("Labels") or {},
    }
