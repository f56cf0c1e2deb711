# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which trees of files make up a stack, and which of them are where. Pure.

A storage is where bytes live: ("volume", name, path inside), ("bind", host path, "") or ("layer", container, path).
Two paths of containers that end in the same storage are one tree, archived once.
"""
from __future__ import annotations

import posixpath

from ._moodle import escape_pattern
from ._naming import slug, unique

# Bind mounts that are windows into the host, not parts of a stack.
_SYSTEM_SOURCES = (
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/run",
    "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib/containers", "/var/lib/docker", "/var/log", "/var/run",
)
_SYSTEM_PREFIXES = (
    "/dev/", "/proc/", "/run/", "/sys/", "/var/run/", "/var/lib/containers/", "/var/lib/docker/", "/etc/localtime",
    "/etc/timezone",
)


def inside(path, folder):
    """True if path (str) is the folder or below it."""
    return path == folder or folder == "/" or path.startswith(folder.rstrip("/") + "/")


def relative(path, folder):
    """Return path relative to a folder that it is inside of; "" for the folder itself."""
    return posixpath.relpath(path, folder) if path != folder else ""


def resolve(container, path):
    """Return the storage of a path of a container: (kind, where, path inside).

    :param container: dict with "name" and "mounts", a list of {"type", "name", "source", "destination"}.
    """
    around = [mount for mount in container["mounts"] if inside(path, mount["destination"])]
    if not around:
        return ("layer", container["name"], path)
    best = max(around, key=lambda mount: len(mount["destination"]))
    below = relative(path, best["destination"])
    if best["type"] == "volume":
        return ("volume", best["name"], below)
    if best["type"] == "bind":
        return ("bind", posixpath.join(best["source"], below) if below else best["source"], "")
    return ("tmpfs", container["name"], path)


def is_system(source):
    """True if a bind mount's source (str) belongs to the host and not to a stack."""
    return source in _SYSTEM_SOURCES or source.startswith(_SYSTEM_PREFIXES) or source.endswith(".sock")


def _covers(outer, inner):
    """Return inner's path relative to outer if the storage inner lies inside outer ("" if equal), else None."""
    if outer[0] != inner[0]:
        return None
    if outer[0] == "bind":
        return relative(inner[1], outer[1]) if inside(inner[1], outer[1]) else None
    if outer[1] != inner[1]:
        return None
    first, second = "/" + outer[2].strip("/"), "/" + inner[2].strip("/")
    return relative(second, first) if inside(second, first) else None


def plan(wanted):
    """Turn wanted trees into what is archived, each byte once.

    :param wanted: list of {"role", "storage", "label", "exclude", perhaps "keep"}, the most specific role first; of two
        that are the same storage the first one stays.
    :returns: list of {"role", "file" (name without ending), "volume" | "path" | "container" and "path", "exclude",
        "keep"};
        keep are the patterns of what has a place of its own in the backup, trees inside this one above all, and so is
        not to be touched when this one is restored.
    """
    kept = []
    for tree in wanted:
        if not any(_covers(other["storage"], tree["storage"]) == "" for other in kept):
            kept.append(dict(tree, keep=list(tree.get("keep", ()))))
    for outer in kept:
        for inner in kept:
            below = _covers(outer["storage"], inner["storage"])
            if below:
                outer["keep"].append(escape_pattern(below))
    files = unique([slug(tree["label"]) for tree in kept])
    return [
        dict(source(tree["storage"]), role=tree["role"], file=name, exclude=tree["exclude"] + tree["keep"],
             keep=tree["keep"])
        for tree, name in zip(kept, files)
    ]


def source(storage):
    """Return where a storage is, as the options of volume_archive name it (dict), and "storage" (its kind)."""
    kind, where, below = storage
    if kind == "volume":
        return {"volume": where, "path": below or "/", "storage": kind}
    if kind == "bind":
        return {"path": where, "storage": kind}
    return {"container": where, "path": below, "storage": kind}
