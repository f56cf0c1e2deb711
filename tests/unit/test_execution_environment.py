# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""The execution environment: what ansible-builder makes of its definition, and of what the collection says it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILDER = Path(sys.executable).with_name("ansible-builder")


def builder(*arguments: object) -> str:
    done = subprocess.run([BUILDER, *map(str, arguments)], capture_output=True, text=True, check=False,
                          env=dict(os.environ, PATH="%s:%s" % (BUILDER.parent, os.environ["PATH"])))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The rendered build context."""
    folder = tmp_path_factory.mktemp("ee")
    builder("create", "--file", ROOT / "execution-environment.yml", "--context", folder / "context",
            "--output-filename", "Dockerfile")
    return folder / "context"


def test_it_can_be_rendered(context):
    lines = (context / "Dockerfile").read_text()
    assert "ansible-core" in lines and "ansible-runner" in lines
    assert "/usr/bin/python3.12" in lines  # ansible-core 2.17 and newer need more than the 3.9 of the image
    assert "ansible-galaxy collection install" in lines


def test_the_collection_and_what_it_needs_are_in_it(context):
    collections = yaml.safe_load((context / "_build/requirements.yml").read_text())["collections"]
    wanted = {entry["name"]: entry.get("version") for entry in collections}
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert wanted.pop("%(namespace)s.%(name)s" % galaxy)
    for name, version in galaxy["dependencies"].items():
        assert wanted[name] == version


def test_what_the_collection_needs_is_found_where_ansible_builder_looks(tmp_path):
    place = tmp_path / "ansible_collections/moodleclaude"
    place.mkdir(parents=True)
    (place / "backup").symlink_to(ROOT)
    found = yaml.safe_load(builder("introspect", "--sanitize", tmp_path))
    assert [line.split()[0] for line in found["python"]] == ["docker>=5.0.3"]
    packages = {line.split()[0] for line in found["system"]}
    assert {"openssh-clients", "openssh-client", "rsync"} <= packages
