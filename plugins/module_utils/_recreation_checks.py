# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be known before a container is created: is its image there, are its ports free, do its mounts exist."""
from __future__ import annotations

import ipaddress
import os

from ._errors import ExistsError, IntegrityError, NotFoundError
from ._image_archive import fingerprint_of_inspect
from ._images import find

_EVERY_ADDRESS = frozenset(("", "0.0.0.0", "::"))


def check_image(engine, definition, images):
    """Return (reference to create the container from, image ID on this engine).

    The reference is the recorded name if that is the recorded image here, else the ID.

    :param images: dict, "images" of the record.
    :raises: NotFoundError if the engine has neither.
    """
    recorded = images.get(definition["image_id"], {}).get("fingerprint")
    named = engine.image(definition["image"])
    if named is not None and (named["Id"] == definition["image_id"] or fingerprint_of_inspect(named) == recorded):
        return definition["image"], named["Id"]
    exact = find(engine, definition["image_id"], recorded)
    if exact is not None:
        return exact["Id"], exact["Id"]
    raise NotFoundError(
        "Image '%s' (%s) of container '%s' is not on this engine%s" % (
            definition["image"], definition["image_id"], definition["name"],
            "" if named is None else ", only another one of that name"),
        "Load it first, for example with image_import.",
    )


def check_ports(engine, definition, own):
    """Raise ExistsError if another running container holds a port of the host that this one publishes.

    :param own: set of names of containers that are being restored, and so do not count.
    """
    wanted = _wanted_ports(definition)
    if not wanted or not definition["running"]:
        return
    for other in engine.containers(all=False):
        name = other["Names"][0].lstrip("/")
        if name in own:
            continue
        for port in other.get("Ports") or ():
            for address, number, protocol in wanted:
                if port.get("PublicPort") == number and port.get("Type") == protocol and _clash(
                        address, port.get("IP") or ""):
                    raise ExistsError(
                        "Container '%s' publishes port %d/%s of the host, but container '%s' has it" % (
                            definition["name"], number, protocol, name),
                        "Stop that container first.",
                    )


def _wanted_ports(definition):
    """Return the fixed ports of the host (list of (address, number, protocol))."""
    wanted = []
    for port, bindings in definition["host_config"].get("PortBindings", {}).items():
        for binding in bindings or ():
            if (binding.get("HostPort") or "").isdigit() and int(binding["HostPort"]):
                wanted.append((binding.get("HostIp") or "", int(binding["HostPort"]), port.partition("/")[2] or "tcp"))
    return wanted


def _clash(one, other):
    if one and other and (":" in one) != (":" in other):
        return False
    return one == other or one in _EVERY_ADDRESS or other in _EVERY_ADDRESS


def missing_binds(engine, definition):
    """Return the paths on the Docker host that the container mounts and that do not exist (list of str).

    Nothing can be said, and the list is empty, if this process is not on that host.
    """
    if not engine.direct_possible():
        return []
    sources = [entry.split(":")[0] for entry in definition["host_config"].get("Binds", ())]
    sources.extend(mount.get("Source") or "" for mount in definition["host_config"].get("Mounts", ())
                   if mount.get("Type") == "bind")
    return sorted({source for source in sources if source.startswith("/") and not os.path.lexists(source)})


def check_address(definition, network):
    """Raise IntegrityError if a container's fixed address is not in an existing network (body dict)."""
    endpoint = definition["networks"].get(network["Name"], {})
    subnets = _subnets(network)
    for key in ("ipv4", "ipv6"):
        if key in endpoint and not any(ipaddress.ip_address(endpoint[key]) in subnet for subnet in subnets):
            raise IntegrityError(
                "Container '%s' has the fixed address %s, but network '%s' on this engine has %s" % (
                    definition["name"], endpoint[key], network["Name"],
                    ", ".join(str(subnet) for subnet in subnets) or "no subnet"),
                "Remove that network if nothing uses it; it will be created as recorded.",
            )


def overlapping(wanted, networks):
    """Return the name of a network (of a list as GET /networks gives) that shares addresses with a body, or None."""
    for network in networks:
        for one in _subnets(wanted):
            for other in _subnets(network):
                if one.version == other.version and one.overlaps(other):
                    return network["Name"]
    return None


def _subnets(network):
    config = (network.get("IPAM") or {}).get("Config") or ()
    return [ipaddress.ip_network(entry["Subnet"], strict=False) for entry in config if entry.get("Subnet")]
