# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _definition

ID = "a" * 12 + "0" * 52
OTHER_ID = "b" * 64
ANONYMOUS = "c" * 64
NETWORK_ID = "d" * 64


def inspected(**changes):
    """Return a description as the engine gives it; changes go into Config or HostConfig, whichever has the key."""
    inspect = {
        "Id": ID,
        "Name": "/web",
        "Image": "sha256:" + "e" * 64,
        "State": {"Running": True},
        "Config": {
            "Hostname": ID[:12], "Domainname": "", "User": "", "Env": ["B=2", "A=1"], "Cmd": ["sleep", "1"],
            "Entrypoint": None, "Image": "site:1", "Labels": {"empty": ""}, "OnBuild": None, "Tty": False,
            "Volumes": None, "ExposedPorts": {"80/tcp": {}},
        },
        "HostConfig": {
            "Binds": ["data:/data", "/srv:/srv:ro"], "NetworkMode": "default", "RestartPolicy": {"Name": ""},
            "MaskedPaths": ["/proc/acpi", "/proc/kcore"], "ReadonlyPaths": ["/proc/bus"], "Mounts": None,
            "MemorySwappiness": None, "IpcMode": "private", "ConsoleSize": [0, 0], "ContainerIDFile": "/tmp/cid",
            "Links": None, "VolumesFrom": None, "PidMode": "", "UTSMode": "", "Init": False, "Tmpfs": {"/run": ""},
        },
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {"Aliases": None, "IPAMConfig": None, "NetworkID": NETWORK_ID}}},
    }
    for key, value in changes.items():
        part = inspect["Config"] if key in inspect["Config"] else inspect["HostConfig"]
        part[key] = value
    return inspect


def test_leaves_out_what_says_nothing():
    definition = _definition.from_inspect(inspected())
    assert definition == {
        "name": "web",
        "image": "site:1",
        "image_id": "sha256:" + "e" * 64,
        "running": True,
        "config": {"Env": ["B=2", "A=1"], "Cmd": ["sleep", "1"], "Labels": {"empty": ""},
                   "ExposedPorts": {"80/tcp": {}}},
        "host_config": {"Binds": ["data:/data", "/srv:/srv:ro"], "NetworkMode": "bridge", "IpcMode": "private",
                        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "Init": False, "Tmpfs": {"/run": ""}},
        "anonymous_volumes": [],
        "networks": {"bridge": {}},
    }


@pytest.mark.parametrize(("changes", "part", "key", "expected"), [
    ({"Hostname": "mine"}, "config", "Hostname", "mine"),
    ({"Hostname": "mine", "NetworkMode": "host"}, "config", "Hostname", None),
    ({"Hostname": "mine", "UTSMode": "host"}, "config", "Hostname", None),
    ({"NetworkMode": "container:" + OTHER_ID}, "host_config", "NetworkMode", "container:db"),
    ({"NetworkMode": "container:" + OTHER_ID}, "config", "ExposedPorts", None),
    ({"NetworkMode": NETWORK_ID}, "host_config", "NetworkMode", "bridge"),
    ({"PidMode": "container:" + OTHER_ID}, "host_config", "PidMode", "container:db"),
    ({"VolumesFrom": [OTHER_ID + ":ro", "x"]}, "host_config", "VolumesFrom", ["db:ro", "x"]),
    ({"Links": ["/db:/web/alias"]}, "host_config", "Links", ["db:alias"]),
    ({"MaskedPaths": []}, "host_config", "MaskedPaths", []),
    ({"MaskedPaths": ["/proc/own"]}, "host_config", "MaskedPaths", ["/proc/own"]),
    ({"MaskedPaths": ["/sys/devices/system/cpu/cpu0/thermal_throttle"]}, "host_config", "MaskedPaths", None),
    ({"MemorySwappiness": 0}, "host_config", "MemorySwappiness", 0),
    ({"MemorySwappiness": -1}, "host_config", "MemorySwappiness", None),
    ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}, "host_config", "RestartPolicy",
     {"Name": "on-failure", "MaximumRetryCount": 3}),
])
def test_one_setting(changes, part, key, expected):
    definition = _definition.from_inspect(inspected(**changes), {OTHER_ID: "db"})
    assert definition[part].get(key) == expected


def volume(name, destination, writable=True):
    return {"Type": "volume", "Name": name, "Destination": destination, "RW": writable}


def test_anonymous_volumes_are_the_same_before_and_after():
    original = inspected()
    original["Mounts"] = [volume("data", "/data"), volume(ANONYMOUS, "/a", False)]
    again = inspected(Binds=["data:/data", "/srv:/srv:ro", ANONYMOUS + ":/a:ro"])
    again["Mounts"] = original["Mounts"]
    one, other = _definition.from_inspect(original), _definition.from_inspect(again)
    assert one["anonymous_volumes"] == [ANONYMOUS + ":/a:ro"]
    assert one == other
    body, _networks = _definition.to_create(one, "site:1")
    assert body["HostConfig"]["Binds"] == ["data:/data", "/srv:/srv:ro", ANONYMOUS + ":/a:ro"]


def test_a_mount_without_a_source_gets_its_volume():
    original = inspected(Mounts=[{"Type": "volume", "Target": "/m"}, {"Type": "tmpfs", "Target": "/t"}])
    original["Mounts"] = [volume(ANONYMOUS, "/m")]
    definition = _definition.from_inspect(original)
    assert definition["host_config"]["Mounts"][0] == {"Type": "volume", "Target": "/m", "Source": ANONYMOUS}
    assert definition["host_config"]["Mounts"][1] == {"Type": "tmpfs", "Target": "/t"}
    assert definition["anonymous_volumes"] == []


def test_endpoints_keep_what_somebody_has_set():
    original = inspected(NetworkMode="front", Hostname="mine")
    original["NetworkSettings"]["Networks"] = {
        "front": {"Aliases": ["web", ID[:12], "mine"], "IPAMConfig": {"IPv4Address": "10.1.2.3"},
                  "IPAddress": "10.1.2.3", "DriverOpts": None, "Links": None, "MacAddress": "02:42:0a:01:02:03"},
        "back": {"Aliases": None, "IPAMConfig": {}, "IPAddress": "10.9.9.9", "DriverOpts": {"k": "v"},
                 "Links": ["db:d"]},
    }
    definition = _definition.from_inspect(original)
    assert definition["networks"] == {
        "front": {"aliases": ["web"], "ipv4": "10.1.2.3"},
        "back": {"driver_opts": {"k": "v"}, "links": ["db:d"]},
    }
    body, others = _definition.to_create(definition, "site:1")
    assert body["NetworkingConfig"] == {
        "EndpointsConfig": {"front": {"IPAMConfig": {"IPv4Address": "10.1.2.3"}, "Aliases": ["web"]}}}
    assert others == {"back": {"DriverOpts": {"k": "v"}, "Links": ["db:d"]}}


def test_a_mac_address_goes_to_the_first_network():
    original = inspected()
    original["Config"]["MacAddress"] = "02:00:00:00:00:01"
    body, _others = _definition.to_create(_definition.from_inspect(original), "site:1")
    assert body["MacAddress"] == "02:00:00:00:00:01"
    assert body["NetworkingConfig"]["EndpointsConfig"]["bridge"]["MacAddress"] == "02:00:00:00:00:01"


@pytest.mark.parametrize("mode", ["host", "none", "container:db"])
def test_borrowed_networks_are_not_connected(mode):
    definition = _definition.from_inspect(inspected(NetworkMode=mode))
    body, others = _definition.to_create(definition, "site:1")
    assert (definition["networks"], others, "NetworkingConfig" in body) == ({}, {}, False)


@pytest.mark.parametrize("entrypoint", [None, [], ["/run"]])
def test_an_empty_entrypoint_stays_empty(entrypoint):
    body, _others = _definition.to_create(_definition.from_inspect(inspected(Entrypoint=entrypoint)), "site:1")
    assert body["Entrypoint"] == (entrypoint or [""])


def test_to_create_leaves_the_definition_alone():
    definition = _definition.from_inspect(inspected())
    before = copy.deepcopy(definition)
    _definition.to_create(definition, "site:1")
    assert definition == before


@pytest.mark.parametrize(("changes", "fields"), [
    ({}, []),
    ({"Env": ["A=1", "B=2"]}, []),
    ({"Env": ["A=1"]}, ["config.Env"]),
    ({"Cmd": ["1", "sleep"]}, ["config.Cmd"]),
    ({"Image": "site:2"}, ["image"]),
    ({"Image": "sha256:" + "e" * 64}, []),
    ({"Init": None, "Tmpfs": {"/run": "size=1m"}}, ["host_config.Init", "host_config.Tmpfs"]),
])
def test_compare(changes, fields):
    plain, changed = _definition.from_inspect(inspected()), _definition.from_inspect(inspected(**changes))
    assert _definition.compare(plain, changed) == fields
    assert _definition.compare(changed, plain) == fields


def test_compare_sees_images_networks_and_volumes_but_not_the_state():
    one, other = _definition.from_inspect(inspected()), _definition.from_inspect(inspected())
    other.update(image_id="sha256:" + "f" * 64, running=False, anonymous_volumes=["x:/x"], networks={"n": {}})
    assert _definition.compare(one, other) == ["anonymous_volumes", "image", "networks.bridge", "networks.n"]


def test_compare_ignores_the_order_of_keys_in_mounts():
    one = _definition.from_inspect(inspected(Mounts=[{"Type": "bind", "Target": "/m", "Source": "/s"}]))
    other = _definition.from_inspect(inspected(Mounts=[{"Source": "/s", "Target": "/m", "Type": "bind"}]))
    assert _definition.compare(one, other) == []


def defined(name, service=None, depends_on="", **host_config):
    labels = {"com.docker.compose.project": "p", "com.docker.compose.service": service or name}
    if depends_on:
        labels["com.docker.compose.depends_on"] = depends_on
    return {"name": name, "config": {"Labels": labels}, "host_config": host_config, "networks": {}}


@pytest.mark.parametrize(("definitions", "order"), [
    ([defined("b"), defined("a")], ["a", "b"]),
    ([defined("a", depends_on="db:service_healthy:true"), defined("x-db-1", service="db")], ["x-db-1", "a"]),
    ([defined("a", NetworkMode="container:b"), defined("b", Links=["c:d"]), defined("c")], ["c", "b", "a"]),
    ([defined("a", VolumesFrom=["b:ro"]), defined("b")], ["b", "a"]),
    ([defined("a", NetworkMode="container:gone")], ["a"]),
    ([defined("a", depends_on="b:x:y"), defined("b", depends_on="a:x:y"), defined("c", depends_on="b:x:y")],
     ["a", "b", "c"]),
])
def test_start_order(definitions, order):
    assert _definition.start_order({each["name"]: each for each in definitions}) == order


def test_a_service_of_another_project_is_not_waited_for():
    db = defined("z-db", service="db")
    db["config"]["Labels"]["com.docker.compose.project"] = "other"
    definitions = {"a": defined("a", depends_on="db:service_started:false"), "z-db": db}
    assert _definition.start_order(definitions) == ["a", "z-db"]


def test_network_from_inspect():
    inspect = {
        "Name": "n", "Id": NETWORK_ID, "Driver": "bridge", "Scope": "local", "EnableIPv6": False, "Internal": True,
        "Attachable": False, "Options": None, "Labels": {"a": "b"}, "Containers": {"x": {}},
        "IPAM": {"Driver": "default", "Options": None,
                 "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1", "IPRange": ""}]},
    }
    assert _definition.network_from_inspect(inspect) == {
        "Name": "n", "Driver": "bridge", "Options": {}, "Labels": {"a": "b"}, "Internal": True, "Attachable": False,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]},
    }


def test_volume_from_inspect():
    inspect = {"Name": "v", "Driver": "local", "Options": None, "Labels": None, "Mountpoint": "/x", "Scope": "local"}
    assert _definition.volume_from_inspect(inspect) == {"Name": "v", "Driver": "local", "Options": {}, "Labels": {}}


def test_other_mounts_are_found():
    def mounts(mounted=(), **changes):
        inspect = inspected(**changes)
        inspect["Mounts"] = list(mounted)
        return _definition.from_inspect(inspect)

    def anonymous(name):
        return {"Type": "volume", "Name": name, "Destination": "/var", "RW": True}

    one = mounts([anonymous(ANONYMOUS)], Mounts=[{"Type": "volume", "Source": "code", "Target": "/code"}])
    assert _definition.moved(one, one) == []
    # How it is mounted is not where from.
    otherwise = mounts([anonymous(ANONYMOUS)], Binds=["data:/data:ro", "/srv:/srv", "code:/code/"])
    assert _definition.moved(one, otherwise) == []
    assert _definition.moved(one, mounts([anonymous("f" * 64)], Binds=["new:/data", "/srv/:/srv"], Tmpfs=None)) == [
        "/code", "/data", "/run", "/var"]
