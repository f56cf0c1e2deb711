# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that can be destroyed."""

from __future__ import annotations

import json
import os
import subprocess


def flat_copy(image: str, name: str) -> None:
    """Make an image that behaves like another one and has no layer in common with anything.

    Removing it removes all of it, as on a machine that never had it, and the other image stays.
    :raises: subprocess.CalledProcessError, with what Docker said in stderr.
    """
    config = json.loads(_docker("image", "inspect", image))[0]["Config"]
    container = _docker("create", image, *([] if config.get("Entrypoint") or config.get("Cmd") else ["none"])).strip()
    files = "%s-files" % name
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as source:
            _docker("import", "-", files, stdin=source.stdout)
        if source.returncode:
            raise subprocess.CalledProcessError(source.returncode, source.args)
        _docker("build", "--force-rm", "--tag", name, "-", input="\n".join(["FROM %s" % files, *instructions(config)]))
        _docker("rmi", "--no-prune", files)
    finally:
        _docker("rm", "--volumes", container)


def instructions(config: dict) -> list[str]:
    """Return the Dockerfile instructions that give an image this configuration (dict as the engine describes it)."""
    lines = []
    for entry in config.get("Env") or ():
        key, _equals, value = entry.partition("=")
        lines.append("ENV %s=%s" % (key, _quoted(value)))
    lines += ["LABEL %s=%s" % (_quoted(key), _quoted(value)) for key, value in (config.get("Labels") or {}).items()]
    lines += ["EXPOSE %s" % port for port in config.get("ExposedPorts") or ()]
    if config.get("Volumes"):
        lines.append("VOLUME %s" % json.dumps(sorted(config["Volumes"])))
    for instruction, key in (("WORKDIR", "WorkingDir"), ("USER", "User"), ("STOPSIGNAL", "StopSignal")):
        if config.get(key):
            lines.append("%s %s" % (instruction, config[key]))
    for instruction, key in (("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")):
        if config.get(key):
            lines.append("%s %s" % (instruction, json.dumps(config[key])))
    return lines


def _quoted(value: str) -> str:
    return '"%s"' % "".join("\\" + char if char in '"\\$' else char for char in value)


def _docker(*arguments: str, **options) -> str:
    environment = dict(os.environ, DOCKER_BUILDKIT="0")
    return subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, text=True, env=environment, **options).stdout
