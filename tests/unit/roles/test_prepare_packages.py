# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages of the role prepare. Debian's are installed in the scenario 'variants'; no test has a Red Hat host."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).resolve().parents[3] / "roles/prepare"
VARS = yaml.safe_load((ROLE / "vars/main.yml").read_text())
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
FAMILIES = VARS["_moodle_backup_prepare_families"]


def rendered(name, family="Debian", found=(), **given):
    """Return the value of a variable of the role on a host of a family on which these packages are there."""
    variables = {**DEFAULTS, **VARS, "ansible_facts": {"os_family": family}, **given}
    variables["_moodle_backup_prepare_found"] = {"stdout_lines": list(found)}
    try:
        from ansible.template import trust_as_template
    except ImportError:  # before ansible-core 2.19 nothing has to be trusted
        trust_as_template = None
    return Templar(DataLoader(), variables=_trusted(variables, trust_as_template)).template(
        _trusted("{{ %s }}" % name, trust_as_template))


def _trusted(value, trust):
    if isinstance(value, dict):
        return {key: _trusted(entry, trust) for key, entry in value.items()}
    if isinstance(value, list):
        return [_trusted(entry, trust) for entry in value]
    return trust(value) if trust and isinstance(value, str) else value


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_each_family_knows_each_feature(family):
    assert set(FAMILIES[family]) == {"needed", *OPTIONS["moodle_backup_prepare_features"]["choices"]}
    assert all(isinstance(name, str) for names in FAMILIES[family].values() for name in names)
    assert family in VARS["_moodle_backup_prepare_queries"]


@pytest.mark.parametrize(("family", "features", "expected"), [
    ("Debian", [], ["python3-docker", "tar", "zstd"]),
    ("RedHat", [], ["python3-docker", "tar", "zstd"]),
    ("Debian", ["rsync", "git"], ["git", "openssh-client", "python3-docker", "rsync", "tar", "zstd"]),
    ("RedHat", "restic, rsync", ["openssh-clients", "python3-docker", "restic", "rsync", "tar", "zstd"]),
    ("RedHat", "", ["python3-docker", "tar", "zstd"]),
])
def test_what_is_installed(family, features, expected):
    found = rendered("_moodle_backup_prepare_packages", family, moodle_backup_prepare_features=features)
    assert found == expected


@pytest.mark.parametrize(("family", "found", "missing"), [
    ("Debian", ["installed tar", "config-files zstd", "installed python3-docker"], ["zstd"]),
    ("RedHat", ["installed tar", "package zstd is not installed", "installed python3-docker"], ["zstd"]),
    ("RedHat", ["installed tar", "installed zstd", "installed python3-docker"], []),
])
def test_what_is_missing(family, found, missing):
    assert rendered("_moodle_backup_prepare_missing", family, found) == missing
