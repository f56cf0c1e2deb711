# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control node that has nothing but Debian's Python, one release of ansible-core, and what is handed to it.

It is a container, so there is no checkout, no virtual environment and no home folder of anybody. It reaches the engine
of this machine by its socket and manages itself, as the README tells for one machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_ANSIBLE = "/opt/ansible"
_COLLECTIONS = "/root/.ansible/collections"  # where ansible-galaxy puts them if nobody says otherwise
_MORE = "/opt/collections"
_ROOT = "/var/backups/moodleclaude"  # the default of the roles
_SOCKET = "/var/run/docker.sock"
_LINUX = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


def install_core(requirement: str, python: str, folder: Path) -> str:
    """Install a release of ansible-core from PyPI for another Python than the one that runs here.

    :param requirement: as pip takes it. :param python: such as "3.13". :param folder: where it goes.
    :returns: its version. The newest one that fits is taken.
    """
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    options += ["--implementation", "cp", "--python-version", python]
    for abi in ("cp%s" % python.replace(".", ""), "abi3", "none"):
        options += ["--abi", abi]
    for tag in _LINUX:
        options += ["--platform", "%s_%s" % (tag, platform.machine())]
    wheels = folder.with_name(folder.name + "-wheels")
    _pip("download", *options, "--dest", str(wheels), requirement)
    # Only a download goes by the other Python's version alone; what was chosen for it is installed as it is.
    options += ["--target", str(folder), "--no-deps", "--no-index", "--no-compile", "--ignore-requires-python"]
    _pip("install", *options, "--root-user-action=ignore", *map(str, wheels.iterdir()))
    for script in (folder / "bin").iterdir():
        lines = script.read_text(encoding="utf-8").splitlines(keepends=True)
        script.write_text("#!/usr/bin/python3\n" + "".join(lines[1:]), encoding="utf-8")
    (found,) = folder.glob("ansible_core-*.dist-info")
    return found.name.removeprefix("ansible_core-").removesuffix(".dist-info")


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("pip %s %s failed:\n%s" % (arguments[0], arguments[-1], done.stderr[-3000:]))


class Control:
    """The running container.

    :param core: folder that install_core() has filled; what Python compiles is written there.
    :param root: folder of this machine that serves as the backup root.
    :param needed: {name such as "community.docker": folder}, collections that are installed already.
    :param more: likewise, those that only a run that asks for them finds.
    """

    def __init__(self, name: str, image: str, core: Path, root: Path, needed: dict[str, Path], more: dict[str, Path]):
        self.name = name
        self._image = image
        places = {_SOCKET: _SOCKET, _ANSIBLE: core, _ROOT: root}
        self._volumes = ["%s:%s" % (source, target) for target, source in places.items()]
        for place, collections in ((_COLLECTIONS, needed), (_MORE, more)):
            self._volumes += ["%s:%s/ansible_collections/%s:ro" % (folder, place, collection.replace(".", "/"))
                              for collection, folder in collections.items()]

    def __enter__(self) -> Control:
        self.remove()
        # The network of the host: the site listens on its loopback.
        command = ["docker", "run", "--detach", "--network", "host", "--name", self.name]
        for name, value in (("PATH", "%s/bin:/usr/sbin:/usr/bin:/sbin:/bin" % _ANSIBLE), ("PYTHONPATH", _ANSIBLE)):
            command += ["--env", "%s=%s" % (name, value)]
        for volume in self._volumes:
            command += ["--volume", volume]
        subprocess.run([*command, self._image], check=True, capture_output=True)
        return self

    def __exit__(self, *_exception) -> None:
        self.remove()

    def remove(self) -> None:
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name], check=False, capture_output=True)

    def copy(self, path: Path, target: str) -> None:
        subprocess.run(["docker", "cp", path, "%s:%s" % (self.name, target)], check=True, capture_output=True)

    def write(self, target: str, text: str) -> None:
        command = ["docker", "exec", "--interactive", self.name, "sh", "-c", 'cat > "$1"', "sh", target]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)

    def run(self, *command: str, more: bool = False, refused: str = "WARNING]") -> str:
        """Run a command in the home folder; return what it printed.

        :param more: whether it finds the other collections, too.
        :raises: AssertionError if it fails, or if a line has what is refused.
        """
        paths = ["--env", "ANSIBLE_COLLECTIONS_PATH=%s:%s" % (_COLLECTIONS, _MORE)] if more else []
        call = ["docker", "exec", "--workdir", "/root", *paths, self.name, *command]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, "%s ended with %d:\n%s" % (" ".join(command), done.returncode, said[-6000:])
        # Some releases of ansible-doc warn of a part of Ansible itself.
        warnings = [line for line in said.splitlines() if refused in line and "_protomatter" not in line]
        assert warnings == [], "%s warns:\n%s" % (" ".join(command), said[-6000:])
        return done.stdout


def dependencies(wanted: Iterable[str], site: Path) -> dict[str, Path]:
    """Return collections, and those that they need, as {name: folder}.

    :param site: folder with an ansible_collections that has them.
    """
    found: dict[str, Path] = {}
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name not in found:
            folder = site / "ansible_collections" / name.replace(".", os.sep)
            found[name] = folder
            manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
            pending += manifest["collection_info"]["dependencies"]
    return found
