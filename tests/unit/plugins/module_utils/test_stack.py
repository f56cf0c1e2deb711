# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused because it could not come back as it is; finding stacks is tried in tests/engine."""

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _engine_info, _stack
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError, UsageError


def container(name, image="moodle", **host):
    return {"Id": name, "Name": "/" + name, "Config": {"Image": image, "Labels": {}}, "HostConfig": host, "Mounts": []}


class Containers:
    """An engine that knows these containers and nothing else."""

    def __init__(self, *containers):
        self._containers = {one["Id"]: one for one in containers}

    def find_container(self, name):
        return self._containers.get(name)

    @staticmethod
    def direct_possible():
        return False

    @staticmethod
    def changes(_name):
        raise EngineError("Listing the changes of container 'web': not implemented")


@pytest.mark.parametrize("mode", ["private", "auto", "keep-id"])
def test_users_with_other_numbers_are_refused(mode):
    with pytest.raises(UsageError, match="'web' has numbers of users of its own .*'%s'" % mode) as caught:
        _stack._refuse(Containers(), [container("web", UsernsMode=mode)])
    assert "--userns" in caught.value.hint


def test_a_pod_is_refused_by_its_members_and_by_what_holds_it():
    holder = container("abc-infra", "localhost/podman-pause:4.3.1-0")
    for members in ([container("web", NetworkMode="container:abc-infra")], [container("web"), holder]):
        with pytest.raises(UsageError, match="belongs to a pod of Podman"):
            _stack._refuse(Containers(holder), members)


def test_a_namespace_that_is_shared_without_a_pod_is_no_reason():
    web = container("web", UsernsMode="", NetworkMode="bridge")
    others = [container("cron", NetworkMode="container:web"), container("old", NetworkMode="container:gone")]
    _stack._refuse(Containers(web), [web, *others, container("db", UsernsMode="host")])


def test_an_engine_that_cannot_tell_changes_is_a_warning():
    said = _stack.layer_warnings(Containers(), [container("web")], [])
    assert len(said) == 1
    assert "is not known. Listing the changes of container 'web': not implemented." in said[0]


@pytest.mark.parametrize(("podman", "info", "expected"), [
    (False, {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "docker"),
    (False, {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, "containerd"),
    (False, {"Driver": "vfs", "DriverStatus": None}, "docker"),
    (True, {"Driver": "overlay"}, "podman"),
])
def test_who_keeps_the_images(podman, info, expected):
    assert _engine_info.image_store(podman, info) == expected


@pytest.mark.parametrize(("labels", "expected"), [
    ({}, {"project": None, "working_dir": None, "config_files": []}),
    ({"project": "x", "project.working_dir": "/srv/x", "project.config_files": "/srv/x/compose.yml,more.yml"},
     {"project": "x", "working_dir": "/srv/x", "config_files": ["/srv/x/compose.yml", "/srv/x/more.yml"]}),
])
def test_compose_files_are_found_by_whichever_compose(labels, expected):
    web = container("web")
    web["Config"]["Labels"] = {"com.docker.compose." + key: value for key, value in labels.items()}
    assert _stack.compose_files(web) == expected
