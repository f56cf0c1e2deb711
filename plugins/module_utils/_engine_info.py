# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind of engine a host has, how this process can reach it, and which programs are there that a backup needs."""
from __future__ import annotations

import platform
import shutil
import sys

from . import _gnutar
from ._docker_exec import sdk_version
from ._errors import CommandError
from ._stream import ProcessSource

# What a backup with default settings needs on the managed host; the others are for copies and for the repository.
_NEEDED = ("tar", "zstd")
_OPTIONAL = ("gzip", "ionice", "rsync", "restic", "git")


def describe(engine):
    """Return the result of engine_info (dict). Changes nothing."""
    server, info = engine.version(), engine.info()
    problem = engine.direct_problem()
    programs = {name: shutil.which(name) is not None for name in _NEEDED + _OPTIONAL}
    programs["tar"] = programs["tar"] and _is_gnu_tar()
    return {
        "changed": False,
        "url": engine.url,
        "engine": {
            "kind": "podman" if engine.podman else "docker",
            "version": server.get("Version"),
            "api_version": server.get("ApiVersion"),
            "image_store": image_store(engine.podman, info),
            "storage_driver": info.get("Driver"),
            "root": info.get("DockerRootDir"),
            "host": info.get("Name"),
            "system": info.get("OperatingSystem"),
        },
        "direct": problem is None,
        "direct_problem": problem,
        "python": platform.python_version(),
        "python_executable": sys.executable,
        "sdk": ".".join(map(str, sdk_version())),
        "programs": programs,
        "missing": sorted(name for name in _NEEDED if not programs[name]),
    }


def image_store(podman, info):
    """Return who keeps the engine's images (str): "podman", "containerd" or "docker".

    :param podman: bool. :param info: dict as GET /info gives.
    """
    if podman:
        return "podman"
    status = dict(entry[:2] for entry in info.get("DriverStatus") or () if len(entry) > 1)
    return "containerd" if status.get("driver-type", "").startswith("io.containerd.snapshotter") else "docker"


def _is_gnu_tar():
    try:
        probe = ProcessSource(["tar", "--version"])
        gnu = _gnutar.is_gnu(b"".join(probe.chunks()))
        probe.finish()
    except CommandError:
        return False
    return gnu
