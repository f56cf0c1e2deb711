# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of everything that a Moodle stack is, complete enough to prove that two stacks are equal."""

from __future__ import annotations

import hashlib
import os

import docker
import docker.errors

from . import ignored
from .postgres import Postgres
from .tree import open_beneath, tree_state

_PREDEFINED = ("bridge", "host", "none")


def capture(web: str, code: str, data: str, database: str | None = None) -> dict:
    """Describe the stack of a running web container.

    :param code: path of the code in the web container. :param data: path of the data directory there.
    :param database: name of the database container; found by its PGDATA otherwise.
    """
    engine = docker.from_env(timeout=120)
    containers = members(engine, engine.containers.get(web))
    database = database or next(item.name for item in containers if _environment(item).get("PGDATA"))
    networks = {name for item in containers for name in item.attrs["NetworkSettings"]["Networks"]} - set(_PREDEFINED)
    volumes = {mount["Name"] for item in containers for mount in item.attrs["Mounts"] if mount["Type"] == "volume"}
    trees = {"code": container_tree(engine, web, code),
             "data": ignored.stored_files_as_backed_up(container_tree(engine, web, data, tuple(ignored.FOLDERS)))}
    return {
        "containers": {item.name: container_state(item.attrs) for item in containers},
        "networks": {name: _network(engine.networks.get(name).attrs) for name in sorted(networks)},
        "volumes": {name: _volume(engine.volumes.get(name).attrs) for name in sorted(volumes)},
        "images": {item.attrs["Config"]["Image"]: _image(engine, item.attrs["Config"]["Image"]) for item in containers},
        "database": Postgres(engine, database).state(),
        "trees": trees,
        "encryption_key": trees["data"].get("secret/key/sodium.key", {}).get("sha256"),
    }


def members(engine, web) -> list:
    """Return the containers, running or not, that share a network of their own or a Compose project with one."""
    project = web.labels.get("com.docker.compose.project")
    networks = set(web.attrs["NetworkSettings"]["Networks"]) - set(_PREDEFINED)
    found = []
    for item in engine.containers.list(all=True, ignore_removed=True):
        shared = networks & set(item.attrs["NetworkSettings"]["Networks"])
        if item.id == web.id or shared or (project and item.labels.get("com.docker.compose.project") == project):
            found.append(item)
    return sorted(found, key=lambda item: item.name)


def container_tree(engine, container: str, path: str, ignore: tuple[str, ...] = ()) -> dict:
    """Describe a tree as a container sees it, links on the way to it followed inside the container."""
    item = engine.containers.get(container)
    code, output = item.exec_run(["readlink", "-f", path], user="0")
    if code != 0:
        raise RuntimeError("container %s has no path %s" % (container, path))
    root = os.open("/proc/%d/root" % item.attrs["State"]["Pid"], os.O_PATH | os.O_CLOEXEC)
    try:
        folder = open_beneath(root, output.decode().rstrip("\n"))
    finally:
        os.close(root)
    try:
        return tree_state(folder, ignore)
    finally:
        os.close(folder)


def _environment(item) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in item.attrs["Config"]["Env"] or ())


def container_state(inspect: dict) -> dict:
    """Return what the engine says of a container, without what it makes up anew for each one."""
    short = inspect["Id"][:12]
    config = {key: value for key, value in inspect["Config"].items() if value}
    if config.get("Hostname") == short:  # made up
        del config["Hostname"]
    # Values may be passwords.
    config["Env"] = sorted("%s=%s" % (entry.split("=")[0], hashlib.sha256(entry.encode()).hexdigest()[:16])
                           for entry in config.get("Env", ()) if entry != "HOSTNAME=%s" % short)  # Podman's, made up too
    networks = {}
    for name, endpoint in inspect["NetworkSettings"]["Networks"].items():
        networks[name] = {
            "aliases": sorted(set(endpoint.get("Aliases") or ()) - {short, config.get("Hostname")}), "links": endpoint.get("Links"),
            "address": endpoint.get("IPAMConfig") or None, "driver_options": endpoint.get("DriverOpts") or None,
        }
    mounts = {mount["Destination"]: {key: mount.get(key) for key in ("Type", "Name", "Source", "Driver", "Mode", "RW", "Propagation")}
              for mount in inspect["Mounts"]}
    return {
        "image": inspect["Image"], "running": inspect["State"]["Running"], "path": inspect["Path"], "args": inspect["Args"],
        "config": config, "networks": networks, "mounts": mounts,
        "host_config": dict({key: value for key, value in inspect["HostConfig"].items() if value},
                            RestartPolicy=_restart_policy(inspect["HostConfig"].get("RestartPolicy") or {})),
    }


def _restart_policy(policy: dict) -> list:
    """An empty name and "no" are the same."""
    return [policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0]


def _network(attrs: dict) -> dict:
    return {key: attrs.get(key) or None for key in ("Driver", "Options", "Labels", "Internal", "Attachable", "EnableIPv6")} | {
        "addresses": attrs["IPAM"].get("Config"), "addresses_by": [attrs["IPAM"]["Driver"], attrs["IPAM"].get("Options") or {}]}


def _volume(attrs: dict) -> dict:
    return {key: attrs.get(key) or None for key in ("Driver", "Options", "Labels")}


def _image(engine, name: str) -> str | None:
    try:
        return engine.images.get(name).id
    except docker.errors.ImageNotFound:
        return None


def differences(one, other, path: str = "") -> list[str]:
    """Return every difference of two states, as "where: this, that"."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted(set(one) | set(other)):
            where = "%s > %s" % (path, key) if path else key
            if key not in other:
                found.append("%s: is missing in the second (%s)" % (where, _short(one[key])))
            elif key not in one:
                found.append("%s: is only in the second (%s)" % (where, _short(other[key])))
            else:
                found += differences(one[key], other[key], where)
        return found
    return [] if one == other else ["%s: %s, %s" % (path, _short(one), _short(other))]


def _short(value) -> str:
    text = ascii(value)
    return text if len(text) < 300 else text[:300] + "…"
