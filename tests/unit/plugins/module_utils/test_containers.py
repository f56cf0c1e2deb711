# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _containers
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError


class Engine:
    """Two containers, of which one runs."""

    def containers(self):
        return [{"Id": name, "Names": ["/" + name]} for name in ("web", "cron")]

    def container(self, name):
        return {"Name": "/" + name, "Image": "sha256:1", "Config": {"Image": "moodle:1"},
                "HostConfig": {"NetworkMode": "none"}, "State": {"Running": name == "cron"}, "Mounts": []}

    def image(self, _name):
        return {"Id": "sha256:1", "RepoTags": ["moodle:1"], "RootFS": {"Layers": []}, "Config": {}}

    def version(self):
        return {}

    info = version


def recorded(running):
    found = _containers.record(Engine(), ["web", "cron"], running)
    return {name: entry["definition"]["running"] for name, entry in found["containers"].items()}


def test_containers_that_are_stopped_for_the_moment_count_as_running():
    assert recorded(["web"]) == {"web": True, "cron": False}
    assert recorded([]) == {"web": False, "cron": False}
    assert recorded(None) == {"web": False, "cron": True}


def test_only_what_is_recorded_can_count_as_running():
    with pytest.raises(UsageError, match="nobody cannot count as running") as caught:
        recorded(["web", "nobody"])
    assert "cron, web" in caught.value.hint
