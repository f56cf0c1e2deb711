# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ends a module before it begins."""

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _docker_exec, _module
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError


class Ended(Exception):
    pass


class Module:
    def fail_json(self, msg, **_more):
        raise Ended(msg)


@pytest.mark.parametrize("version", [(4, 4, 4), (5, 0, 2), ()])
def test_an_sdk_that_is_too_old(monkeypatch, version):
    monkeypatch.setattr(_docker_exec, "sdk_version", lambda: version)
    with pytest.raises(EngineError, match="must be 5.0.3 or newer"):
        _docker_exec.require_version()


@pytest.mark.parametrize("version", [(5, 0, 3), (5, 1), (7, 1, 0)])
def test_an_sdk_that_will_do(monkeypatch, version):
    monkeypatch.setattr(_docker_exec, "sdk_version", lambda: version)
    _docker_exec.require_version()


def test_no_sdk(monkeypatch):
    monkeypatch.setattr(_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Ended, match="docker.* The playbook moodleclaude.backup.prepare installs it"):
        _module._require_sdk(Module())


def test_the_installed_sdk_has_a_version():
    assert _docker_exec.sdk_version() >= (5, 0, 3)
