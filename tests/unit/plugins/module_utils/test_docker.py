# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done for the sake of Podman, with fakes in the SDK's place; real engines are in the scenario 'variants'."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils._docker import Engine
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import NotFoundError


class FakeSdk:
    """The SDK of an engine on which the container "web" runs, and "gone" goes while the list is made."""

    @staticmethod
    def containers(**_options):
        return [{"Id": "web", "Names": ["/web"]}, {"Id": "gone", "Names": ["/gone"]}]

    @staticmethod
    def networks():
        return [{"Name": "podman", "IPAM": {}}, {"Name": "site", "IPAM": {"Driver": "host-local"}}]

    @staticmethod
    def update_container(*_arguments, **_options):
        raise AssertionError("Podman 4 cannot do that")


@pytest.fixture
def engine(monkeypatch):
    """An Engine that takes the fake for Podman."""
    made = Engine.__new__(Engine)
    made.api, made.podman, made.url = FakeSdk(), True, "unix:///x"

    def container(name):
        if name == "gone":
            raise NotFoundError("Container 'gone'")
        return {"Id": name, "Image": "sha256:1", "Mounts": [], "Config": {"Labels": None},
                "NetworkSettings": {"Networks": {"site": {}}}}

    monkeypatch.setattr(made, "container", container)
    return made


def test_the_list_is_complete_and_lacks_what_went_meanwhile(engine):
    assert engine.containers() == [{
        "Id": "web", "Names": ["/web"], "ImageID": "sha256:1", "Mounts": [], "Labels": {}, "Ports": [],
        "NetworkSettings": {"Networks": {"site": {}}}}]


def test_networks_have_dockers_names(engine):
    assert [(one["Name"], one["IPAM"]["Driver"]) for one in engine.networks()] == [
        ("bridge", "default"), ("site", "default")]


def test_a_restart_policy_is_left_alone(engine):
    engine.set_restart_policy("web", {"Name": "no"})


@pytest.mark.parametrize(("podman", "volumes", "images", "expected"), [
    (True, ["a", "b"], ["absent", "there"], ("there", ["a", "b"])),
    (True, ["a"], ["absent"], None),
    (True, [], ["there"], None),
    (False, ["a"], ["there"], None),
])
def test_new_volumes_are_mounted_before_anything_is_in_them(engine, monkeypatch, podman, volumes, images, expected):
    done = []

    @contextlib.contextmanager
    def helper(image, mounts):
        done.append((image, [mount["Source"] for mount in mounts]))
        yield "helper"

    monkeypatch.setattr(engine, "podman", podman)
    monkeypatch.setattr(engine, "image", lambda name: {"Id": name} if name == "there" else None)
    monkeypatch.setattr(engine, "helper", helper)
    engine.settle_volumes(volumes, images)
    assert done == ([expected] if expected else [])
