# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _definition, _podman

IDENTIFIER = "1" * 64
CONTAINER = {
    "Id": "a" * 64, "Name": "/web", "Image": IDENTIFIER, "Path": "docker-entrypoint.sh",
    "Args": ["apache2", "-D", "a b"],
    "State": {"Running": True, "Pid": 7},
    "Config": {
        "Hostname": "aaaaaaaaaaaa", "Image": "docker.io/school/moodle:1", "Cmd": ["apache2", "-D", "a b"],
        "Entrypoint": ["docker-entrypoint.sh"], "Labels": {"a": "b"}, "StopSignal": "2", "StopTimeout": 0,
        "Env": ["TERM=xterm", "container=podman", "HOSTNAME=aaaaaaaaaaaa", "HOME=/root", "MOODLE_URL=http://x"]},
    "HostConfig": {
        "NetworkMode": "bridge", "Runtime": "oci", "MemorySwappiness": 0, "MaskedPaths": [], "CgroupParent": "",
        "PidMode": "private",
        "Binds": ["data:/var/www/moodledata:rw,rprivate,nosuid,nodev,rbind", "/srv/x:/x:ro,rprivate,rbind"],
        "Ulimits": [{"Name": "RLIMIT_NOFILE", "Soft": 1, "Hard": 2}]},
    "Mounts": [
        {"Type": "volume", "Name": "data", "Source": "/v/data", "Destination": "/var/www/moodledata", "RW": True}],
    "NetworkSettings": {"Networks": {"school": {"NetworkID": "school", "Aliases": ["moodle", "aaaaaaaaaaaa"]}}},
}


def test_who_is_podman():
    assert _podman.is_podman({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}]})
    assert not _podman.is_podman({"Components": [{"Name": "Engine"}, {"Name": "containerd"}]})
    assert not _podman.is_podman({"Components": None})


@pytest.mark.parametrize(("given", "expected"), [
    (IDENTIFIER, "sha256:" + IDENTIFIER), ("sha256:" + IDENTIFIER, "sha256:" + IDENTIFIER),
    ("name", "name"), (None, None)])
def test_identifiers_of_images(given, expected):
    assert _podman.identifier(given) == expected


@pytest.mark.parametrize(("given", "expected"), [
    ("docker.io/library/postgres:16", "postgres:16"), ("docker.io/school/moodle:1", "school/moodle:1"),
    ("localhost/moodle:1", "localhost/moodle:1"), ("quay.io/docker.io/x", "quay.io/docker.io/x")])
def test_names_of_images(given, expected):
    assert _podman.name(given) == expected


def test_an_image():
    found = _podman.image({"Id": IDENTIFIER, "RepoTags": ["docker.io/library/a:1"], "RepoDigests": None, "Size": 3})
    assert found == {"Id": "sha256:" + IDENTIFIER, "RepoTags": ["a:1"], "RepoDigests": [], "Size": 3}


def test_a_network():
    found = _podman.network({"Name": "podman", "Driver": "bridge", "IPAM": {
        "Driver": "host-local", "Options": {"driver": "host-local"}, "Config": [{"Subnet": "10.88.0.0/16"}]}})
    assert found["Name"] == "bridge"
    assert found["IPAM"] == {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.88.0.0/16"}]}


def test_a_container_is_as_docker_would_show_it():
    before = repr(CONTAINER)
    found = _podman.container(CONTAINER)
    assert repr(CONTAINER) == before
    assert found["Image"] == "sha256:" + IDENTIFIER
    assert found["Config"]["Image"] == "school/moodle:1"
    assert found["Config"]["Env"] == ["MOODLE_URL=http://x"]
    assert found["Config"]["Entrypoint"] == ["docker-entrypoint.sh"]
    assert found["Config"]["StopSignal"] == "SIGINT"
    assert "StopTimeout" not in found["Config"]
    host = found["HostConfig"]
    assert host["Binds"] == ["data:/var/www/moodledata", "/srv/x:/x:ro"]
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert host["NetworkMode"] == "school"
    assert not {"Runtime", "MemorySwappiness", "MaskedPaths", "CgroupParent"} & set(host)


def test_what_is_asked_for_joins_no_other_network():
    body, others = _definition.to_create(_definition.from_inspect(_podman.container(CONTAINER)), "image")
    assert body["NetworkingConfig"] == {"EndpointsConfig": {"school": {"Aliases": ["moodle"]}}}
    assert others == {}


def test_the_default_network_has_dockers_name():
    found = _podman.container(dict(CONTAINER, NetworkSettings={"Networks": {"podman": None, "school": {}}}))
    assert sorted(found["NetworkSettings"]["Networks"]) == ["bridge", "school"]
    assert found["HostConfig"]["NetworkMode"] == "bridge"


@pytest.mark.parametrize(("path", "args", "words", "command", "init", "expected"), [
    ("sh", ["-c", "a b"], ["sh"], ["-c", "a b"], False, ["sh"]),
    ("sh", ["-c", "a b"], ["sh", "-c", "a", "b"], [], False, ["sh", "-c", "a b"]),
    ("sleep", ["9"], [], ["sleep", "9"], False, None),
    ("apache2", ["apache2"], [], ["apache2"], False, None),
    ("apache2", ["apache2"], ["apache2"], [], False, ["apache2"]),
    ("yes", ["yes"], ["yes"], ["yes"], False, ["yes"]),
    ("/dev/init", ["--", "run", "x"], ["run"], ["x"], True, ["run"]),
    ("run", ["--", "x"], ["run", "--"], ["x"], False, ["run", "--"]),
    ("", [], [], [], False, None),
])
def test_entry_points_keep_their_words(path, args, words, command, init, expected):
    config = dict(CONTAINER["Config"], Cmd=command, Entrypoint=words)
    found = _podman.container(dict(CONTAINER, Path=path, Args=args, Config=config, HostConfig={"Init": init}))
    assert found["Config"]["Entrypoint"] == expected


@pytest.mark.parametrize(("entrypoint", "of_image", "expected"), [
    ([""], {}, {"Image": "a"}),
    ([""], {"Config": {"Entrypoint": []}}, {"Image": "a"}),
    ([""], {"Config": {"Entrypoint": ["run"]}}, {"Image": "a", "Entrypoint": [""]}),
    ([""], None, {"Image": "a"}),
    (["sh"], {}, {"Image": "a", "Entrypoint": ["sh"]}),
])
def test_an_entry_point_that_nobody_has_stays_away(entrypoint, of_image, expected):
    assert _podman.to_create({"Image": "a", "Entrypoint": entrypoint}, of_image) == expected


def test_the_list_has_what_podman_leaves_out_of_it():
    found = _podman.listed({"Id": "a" * 64, "Names": ["/web"], "Ports": None}, _podman.container(CONTAINER))
    assert found["ImageID"] == "sha256:" + IDENTIFIER
    assert (found["Ports"], found["Labels"]) == ([], {"a": "b"})
    assert found["Mounts"][0]["Source"] == "/v/data"
    assert list(found["NetworkSettings"]["Networks"]) == ["school"]


def test_variables_are_taken_away_by_a_program():
    argv, environment = _podman.to_exec(["psql", "-l"], {"PGHOST": None, "PGUSER": "a", "PGDATABASE": None})
    assert argv == ["env", "-u", "PGDATABASE", "-u", "PGHOST", "psql", "-l"]
    assert environment == {"PGUSER": "a"}
    assert _podman.to_exec(["ls"], None) == (["ls"], None)


def test_what_holds_a_pod_together():
    assert _podman.holds_pod({"Config": {"Image": "localhost/podman-pause:4.3.1-0"}})
    assert not _podman.holds_pod(CONTAINER)
