# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""container_export and container_import against the real engine."""

from __future__ import annotations

import json
import os
import random

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _container_import,
    _containers,
    _definition,
    _recreation,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import BackupError, ExistsError, NotFoundError

SECRET = "s3cr3t-$\\%'\""


@pytest.fixture
def create(engine, tiny):
    """A function that creates and starts a container which stops at once when asked to, and returns its name."""

    def function(name, networks=None, start=True, host_config=None, **config):
        body = {"Image": tiny, "Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL", "HostConfig": host_config or {}}
        body.update(config)
        identifier = engine.create_container(name, body)
        for network, endpoint in (networks or {}).items():
            engine.connect(network, identifier, endpoint)
        if start:
            engine.start(identifier)
        return name

    return function


@pytest.fixture
def port_user(create, prefix, taken_port):
    """A container that cannot start, for something else has its port; (name, port)."""
    return create(prefix + "-port", start=False, ExposedPorts={"80/tcp": {}}, host_config={
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": taken_port}]}}), taken_port


@pytest.fixture
def anonymous(engine, prefix):
    """A list for names of anonymous volumes that got bound by name, which keeps them when their container goes."""
    names = []
    yield names
    for container in engine.containers():
        if any(name.lstrip("/").startswith(prefix) for name in container["Names"]):
            engine.remove_container(container["Id"])
    for name in names:
        engine.remove_volume(name)


@pytest.fixture
def export(run_module, tmp_path):
    """A function that records containers in a new file and returns its path."""

    def function(*names):
        dest = str(tmp_path / ("%s.json" % os.urandom(4).hex()))
        result = run_module("container_export", {"containers": list(names), "dest": dest})
        assert result["changed"], result
        return dest

    return function


def free_subnet(engine):
    """Return the first three bytes of a /24 subnet that no network has (str)."""
    while True:
        start = "10.%d.%d" % (random.randrange(100, 250), random.randrange(256))
        wanted = {"IPAM": {"Config": [{"Subnet": start + ".0/24"}]}}
        if not _recreation.overlapping(wanted, engine.networks()):
            return start


def defined(engine, name):
    return _definition.from_inspect(engine.container(name), _containers.container_names(engine))


def full_stack(engine, create, prefix, tmp_path):
    """Create a container with many settings, its networks and volumes. Return its name."""
    subnet = free_subnet(engine)
    engine.create_network({
        "Name": prefix + "-front", "Labels": {"com.docker.compose.network": "front"}, "Attachable": True,
        "IPAM": {"Config": [{"Subnet": subnet + ".0/24", "Gateway": subnet + ".254"}]},
        "Options": {"com.docker.network.bridge.enable_icc": "true"},
    })
    engine.create_network({"Name": prefix + "-back", "Internal": True})
    engine.create_volume(prefix + "-data", labels={"kept": "yes", "empty": ""})
    engine.create_volume(prefix + "-tmpfs", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    (tmp_path / "bind").mkdir()
    return create(
        prefix + "-web",
        Hostname="myhost", Domainname="example.org", User="1000:1000", WorkingDir="/tmp", Tty=True, OpenStdin=True,
        Entrypoint=["/bin/sh", "-c"], Cmd=["sleep 1000"], Env=["PASSWORD=" + SECRET, "EMPTY=", "B=2", "A=1"],
        Labels={"com.docker.compose.project": "p", "com.docker.compose.service": "web", "empty": "",
                "com.docker.compose.config-hash": "f" * 64},
        ExposedPorts={"80/tcp": {}, "5353/udp": {}}, Volumes={"/anonymous": {}},
        Healthcheck={"Test": ["CMD-SHELL", "true"], "Interval": 3_000_000_000, "Retries": 7},
        StopTimeout=0,
        host_config={
            "NetworkMode": prefix + "-front",
            "Binds": [prefix + "-data:/data", "%s:/bind:ro" % (tmp_path / "bind")],
            "Mounts": [{"Type": "volume", "Target": "/unnamed"},
                       {"Type": "volume", "Source": prefix + "-tmpfs", "Target": "/small", "ReadOnly": True},
                       {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 65536}}],
            "Tmpfs": {"/run": "size=1m", "/empty": ""},
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}], "5353/udp": [{}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
            "Memory": 64 * 1024 * 1024, "NanoCpus": 500_000_000, "PidsLimit": 100, "ShmSize": 10 * 1024 * 1024,
            "Ulimits": [{"Name": "nofile", "Soft": 1000, "Hard": 2000}],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}},
            "CapAdd": ["NET_BIND_SERVICE"], "CapDrop": ["NET_RAW"], "SecurityOpt": ["no-new-privileges"],
            "ExtraHosts": ["one:192.0.2.1", "two:192.0.2.2"], "Dns": ["192.0.2.53"], "DnsSearch": ["example.org"],
            "Sysctls": {"net.core.somaxconn": "200"}, "GroupAdd": ["2000"], "ReadonlyRootfs": True,
            "IpcMode": "shareable", "OomScoreAdj": 100, "CpuShares": 512,
        },
        NetworkingConfig={"EndpointsConfig": {prefix + "-front": {
            "Aliases": ["web", "www"], "IPAMConfig": {"IPv4Address": subnet + ".10"}}}},
        networks={prefix + "-back": {"Aliases": ["web-internal"]}},
    )


def test_everything_comes_back(engine, run_module, create, export, anonymous, prefix, tmp_path):
    name = full_stack(engine, create, prefix, tmp_path)
    recorded = _containers.record(engine, [name])
    anonymous.extend(recorded["volumes"])
    before, source = recorded["containers"][name]["definition"], export(name)
    assert run_module("container_import", {"src": source})["changed"] is False

    engine.remove_container(name, volumes=True)
    for network in recorded["networks"]:
        engine.remove_network(network)
    for volume in recorded["volumes"]:
        engine.remove_volume(volume)
    assert run_module("container_import", {"src": source}, check=True)["changed"]
    assert engine.find_container(name) is None

    result = run_module("container_import", {"src": source})
    assert result["changed"], result
    again = _containers.record(engine, [name])
    assert _definition.compare(before, again["containers"][name]["definition"]) == []
    for part in ("networks", "volumes", "images", "start_order"):
        assert again[part] == recorded[part]
    assert engine.container(name)["State"]["Running"]
    for key in ("Config", "HostConfig"):
        one, other = (record["containers"][name]["inspect"][key] for record in (recorded, again))
        different = {field for field in one if (one[field] or None) != (other[field] or None)}
        assert different <= {"Binds", "Mounts"}, "only anonymous volumes are named now"
    assert run_module("container_import", {"src": source})["changed"] is False


def test_passwords_are_in_the_file_only(run_module, create, prefix, tmp_path):
    name = create(prefix + "-a", Env=["PASSWORD=" + SECRET])
    dest = str(tmp_path / "info.json")
    written = run_module("container_export", {"containers": [name], "dest": dest}, diff=True)
    assert written["changed"]
    with open(dest, encoding="utf-8") as handle:
        assert json.dumps(SECRET)[1:-1] in handle.read()
    assert os.stat(dest).st_mode & 0o777 == 0o600
    results = [written, run_module("container_import", {"src": dest, "recreate": [name]}, diff=True)]
    assert results[1]["changed"]
    assert SECRET not in json.dumps(results) and json.dumps(SECRET)[1:-1] not in json.dumps(results)


def test_export_again(run_module, create, engine, prefix, tmp_path):
    name = create(prefix + "-a")
    dest = str(tmp_path / "info.json")
    options = {"containers": [name], "dest": dest}
    assert run_module("container_export", options, check=True)["changed"]
    assert not os.path.exists(dest)
    first = run_module("container_export", options)
    second = run_module("container_export", options)
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["sha256"] == second["sha256"]
    engine.remove_container(name)
    create(name, Env=["NEW=1"])
    refused = run_module("container_export", options)
    assert "describes something else" in refused["msg"]
    replaced = run_module("container_export", dict(options, overwrite=True))
    assert replaced["changed"]
    assert "config.Env" in replaced["diff"]["after"]


class Killed(BaseException):
    """What a process that is killed leaves behind: no handler of ours runs."""


class Killing:
    """An engine whose user is killed before or after its n-th change."""

    CHANGES = ("create_container", "start", "stop", "rename", "remove_container", "create_network", "connect",
               "disconnect", "remove_network", "create_volume", "remove_volume", "set_restart_policy")

    def __init__(self, engine, at, after):
        self._engine, self._at, self._after = engine, at, after
        self.count = 0

    def __getattr__(self, name):
        function = getattr(self._engine, name)
        if name not in self.CHANGES:
            return function

        def counted(*args, **kwargs):
            self.count += 1
            if self.count == self._at and not self._after:
                raise Killed()
            result = function(*args, **kwargs)
            if self.count == self._at:
                raise Killed()
            return result

        return counted


def options(source, phase, transaction, **changes):
    defaults = {"src": source, "containers": None, "recreate": [], "phase": phase, "transaction": transaction,
                "state": "started", "stop_timeout": 5, "check_images": True, "ready": [], "keep_new": False,
                "started": None}
    return dict(defaults, **changes)


@pytest.fixture
def changed_stack(engine, create, export, prefix):
    """A record of two containers, of which one has changed since and the other is gone with its network."""
    network = prefix + "-net"
    engine.create_network({"Name": network})
    web, gone = prefix + "-web", prefix + "-gone"
    create(web, host_config={"RestartPolicy": {"Name": "always"}, "NetworkMode": "none"}, Env=["STATE=recorded"])
    create(gone, host_config={"NetworkMode": network})
    source = export(web, gone)
    wanted = {name: defined(engine, name) for name in (web, gone)}
    for name in (web, gone):
        engine.remove_container(name)
    engine.remove_network(network)
    create(web, host_config={"RestartPolicy": {"Name": "always"}, "NetworkMode": "none"}, Env=["STATE=present"])
    return {"source": source, "web": web, "gone": gone, "network": network, "wanted": wanted,
            "present": defined(engine, web), "id": engine.container(web)["Id"]}


def leftovers(engine, transaction):
    names = [volume["Name"] for volume in engine.volumes() if transaction in volume["Name"]]
    return names + [name for found in engine.containers() for name in found["Names"] if transaction in name]


def assert_as_before(engine, stack, transaction):
    found = engine.container(stack["web"])
    assert found["Id"] == stack["id"]
    assert found["State"]["Running"]
    assert defined(engine, stack["web"]) == stack["present"]
    assert engine.find_container(stack["gone"]) is None
    assert engine.network(stack["network"]) is None
    assert leftovers(engine, transaction) == []


def run_phases(engine, stack, transaction, phases):
    for phase in phases:
        _container_import.restore(engine, options(stack["source"], phase, transaction), False)


@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_and_rolled_back(engine, changed_stack, after):
    at = 0
    while True:
        at += 1
        transaction = "t" + os.urandom(4).hex()
        killing = Killing(engine, at, after)
        try:
            run_phases(killing, changed_stack, transaction, ("prepare", "switch"))
        except Killed:
            finished = False
        else:
            finished = True
        # The rollback is killed once too, somewhere, and must be done by the next one.
        try:
            run_phases(Killing(engine, 1 + at % 5, after), changed_stack, transaction, ("rollback",))
        except Killed:
            pass
        run_phases(engine, changed_stack, transaction, ("rollback",))
        assert_as_before(engine, changed_stack, transaction)
        if finished:
            break
    assert at > 10, "the phases make more changes than this"


def test_killed_anywhere_and_carried_on(engine, changed_stack):
    at = -1
    while True:
        at += 2
        transaction = "t" + os.urandom(4).hex()
        killing = Killing(engine, at, at % 4 == 1)
        try:
            run_phases(killing, changed_stack, transaction, ("prepare", "switch"))
            finished = True
        except Killed:
            finished = False
        run_phases(engine, changed_stack, transaction, ("prepare", "switch"))
        for name, wanted in changed_stack["wanted"].items():
            assert _definition.compare(wanted, defined(engine, name)) == []
            assert engine.container(name)["State"]["Running"]
        run_phases(engine, changed_stack, transaction, ("rollback",))
        assert_as_before(engine, changed_stack, transaction)
        if finished:
            break


def ready(engine, stack, transaction, *names, **changes):
    return _container_import.restore(engine, options(stack["source"], "prepare", transaction, ready=names, **changes),
                                     False)


def test_what_is_needed_early_is_made_ready(engine, changed_stack):
    web, gone = changed_stack["web"], changed_stack["gone"]
    transaction = "t" + os.urandom(4).hex()
    engine.stop(web, 1)
    result = ready(engine, changed_stack, transaction, gone, web)
    assert set(result["actions"][-3:]) == {
        "start container %s" % web, "create container %s" % gone, "start container %s" % gone}
    assert result["absent"] == [gone]
    made = engine.container(gone)["Id"]
    assert engine.container(web)["Id"] == changed_stack["id"], "it differs, and is replaced later"
    assert ready(engine, changed_stack, transaction, gone, web)["actions"] == []
    run_phases(engine, changed_stack, transaction, ("switch",))
    assert engine.container(gone)["Id"] == made
    run_phases(engine, changed_stack, transaction, ("rollback",))
    assert_as_before(engine, changed_stack, transaction)


def test_killed_while_it_is_made_ready(engine, changed_stack):
    at, finished = 0, False
    while not finished:
        at += 1
        transaction = "t" + os.urandom(4).hex()
        try:
            ready(Killing(engine, at, at % 2 == 0), changed_stack, transaction, changed_stack["gone"])
            finished = True
        except Killed:
            pass
        ready(engine, changed_stack, transaction, changed_stack["gone"])
        assert _definition.compare(changed_stack["wanted"][changed_stack["gone"]], defined(
            engine, changed_stack["gone"])) == []
        assert engine.container(changed_stack["gone"])["State"]["Running"]
        run_phases(engine, changed_stack, transaction, ("rollback",))
        assert_as_before(engine, changed_stack, transaction)
    assert at > 4


def test_what_cannot_be_started_early_is_not_left_behind(engine, port_user, export):
    name, port = port_user
    source = export(name)
    engine.remove_container(name)
    transaction = "t" + os.urandom(4).hex()
    with pytest.raises(BackupError, match=port):
        ready(engine, {"source": source}, transaction, name)
    assert engine.find_container(name) is None
    _container_import.restore(engine, options(None, "rollback", transaction), False)
    assert leftovers(engine, transaction) == []


def test_only_what_is_recorded_can_be_made_ready(engine, changed_stack):
    with pytest.raises(NotFoundError, match="The record does not describe nobody"):
        ready(engine, changed_stack, "t1", "nobody")
    assert leftovers(engine, "t1") == []


def test_what_is_new_can_stay_for_a_later_rollback(engine, changed_stack):
    web, gone, transaction = changed_stack["web"], changed_stack["gone"], "t" + os.urandom(4).hex()
    run_phases(engine, changed_stack, transaction, ("prepare", "switch"))
    for _time in range(2):
        _container_import.restore(engine, options(None, "rollback", transaction, containers=[web, gone], keep_new=True), False)
        assert engine.container(web)["Id"] == changed_stack["id"] and engine.container(web)["State"]["Running"]
        assert engine.container(gone)["State"]["Running"] and engine.network(changed_stack["network"])
    run_phases(engine, changed_stack, transaction, ("rollback",))
    assert_as_before(engine, changed_stack, transaction)


def test_other_mounts_are_told(engine, create, export, prefix, volume):
    name, (data, _folder), (other, _folder) = prefix + "-a", volume("data"), volume("other")
    create(name, host_config={"Binds": ["%s:/data" % data]})
    source = export(name)
    engine.remove_container(name)
    create(name, host_config={"Binds": ["%s:/data" % other]})
    result = ready(engine, {"source": source}, "t" + os.urandom(4).hex(), name)
    assert result["moved"] == {name: ["/data"]}
    assert "Container '%s' has something else mounted than recorded at /data" % name in result["warnings"][0]
    engine.remove_container(name)
    create(name, Env=["STATE=present"], host_config={"Binds": ["%s:/data" % data]})
    assert ready(engine, {"source": source}, "t" + os.urandom(4).hex(), name)["moved"] == {}


def test_commit_ends_it(engine, changed_stack):
    transaction = "t" + os.urandom(4).hex()
    run_phases(engine, changed_stack, transaction, ("prepare", "switch"))
    old = engine.container("%s_mb_%s_old" % (changed_stack["web"], transaction))
    assert old["Id"] == changed_stack["id"]
    assert old["HostConfig"]["RestartPolicy"]["Name"] == "no", "the engine must not start it beside the new one"
    with pytest.raises(Killed):
        run_phases(Killing(engine, 2, False), changed_stack, transaction, ("commit",))
    run_phases(engine, changed_stack, transaction, ("commit",))
    assert leftovers(engine, transaction) == []
    result = _container_import.restore(engine, options(None, "commit", transaction), False)
    assert result["changed"] is False
    result = _container_import.restore(engine, options(None, "rollback", transaction), False)
    assert result["changed"] is False
    assert _definition.compare(changed_stack["wanted"][changed_stack["web"]], defined(
        engine, changed_stack["web"])) == []


@pytest.mark.parametrize("phase", ["rollback", "commit"])
def test_markers_that_were_pruned(engine, changed_stack, phase):
    transaction = "t" + os.urandom(4).hex()
    run_phases(engine, changed_stack, transaction, ("prepare", "switch"))
    for volume in engine.volumes():
        if transaction in volume["Name"]:
            engine.remove_volume(volume["Name"])
    result = _container_import.restore(engine, options(None, phase, transaction), False)
    assert "whether container '%s' ran" % changed_stack["web"] in result["warnings"][0]
    assert leftovers(engine, transaction) == []
    assert (engine.container(changed_stack["web"])["Id"] == changed_stack["id"]) is (phase == "rollback")
    assert engine.container(changed_stack["web"])["State"]["Running"]


def test_check_mode_changes_nothing(engine, changed_stack, run_module):
    transaction = "t" + os.urandom(4).hex()
    for phase in ("all", "prepare", "switch", "commit", "rollback"):
        result = run_module("container_import", {
            "src": changed_stack["source"], "phase": phase, "transaction": transaction}, check=True)
        assert result["changed"] is (phase in ("all", "prepare", "switch")), result
        assert_as_before(engine, changed_stack, transaction)
    predicted = run_module("container_import", {"src": changed_stack["source"]}, check=True)
    made = run_module("container_import", {"src": changed_stack["source"]})
    assert len(predicted["actions"]) == len(made["actions"]) - 1, "only the removal of the old one cannot be foreseen"


def test_a_failed_start_puts_the_old_ones_back(engine, port_user, create, export, run_module):
    name, port = port_user
    source = export(name)
    with open(source, encoding="utf-8") as handle:
        content = json.load(handle)
    content["containers"][name]["definition"]["running"] = True
    with open(source, "w", encoding="utf-8") as handle:
        json.dump(content, handle)
    engine.remove_container(name)
    create(name, Env=["STATE=present"])
    identifier = engine.container(name)["Id"]
    result = run_module("container_import", {"src": source, "transaction": "tfail"})
    assert result["failed"]
    assert port in result["msg"]
    assert "The containers are as they were before." in result["msg"]
    assert engine.container(name)["Id"] == identifier
    assert engine.container(name)["State"]["Running"]
    assert leftovers(engine, "tfail") == []


def test_recreate_gives_a_fresh_writable_layer_once(engine, create, export, prefix):
    name = create(prefix + "-a")
    source = export(name)
    engine.run(name, ["touch", "/new-file"])
    transaction = "t" + os.urandom(4).hex()
    first = _container_import.restore(engine, options(source, "switch", transaction, recreate=[name]), False)
    identifier = engine.container(name)["Id"]
    again = _container_import.restore(engine, options(source, "switch", transaction, recreate=[name]), False)
    assert (first["differences"], again["changed"]) == ({name: ["asked for"]}, False)
    assert engine.container(name)["Id"] == identifier
    assert engine.run(name, ["ls", "/new-file"], check=False)[0] != 0


def test_created_first_and_started_later(engine, create, export, prefix):
    name, stopped = create(prefix + "-a"), create(prefix + "-b", start=False)
    source = export(name, stopped)
    for each in (name, stopped):
        engine.remove_container(each)
    _container_import.restore(engine, options(source, "switch", "tlater", state="created"), False)
    assert not engine.container(name)["State"]["Running"]
    result = _container_import.restore(engine, options(source, "switch", "tlater"), False)
    assert result["actions"] == ["start container " + name]
    assert not engine.container(stopped)["State"]["Running"], "it was not running when it was recorded"
    _container_import.restore(engine, options(source, "commit", "tlater"), False)


def test_anonymous_volumes_at_commit(engine, create, export, prefix):
    name = create(prefix + "-a", Volumes={"/v": {}})
    source = export(name)
    kept = engine.container(name)["Mounts"][0]["Name"]
    engine.run(name, ["sh", "-c", "echo kept > /v/file"])
    _container_import.restore(engine, options(source, "all", None, recreate=[name]), False)
    assert engine.run(name, ["cat", "/v/file"])[1] == b"kept\n"
    assert engine.container(name)["Mounts"][0]["Name"] == kept
    engine.remove_container(name)
    create(name, Volumes={"/v": {}})
    orphan = engine.container(name)["Mounts"][0]["Name"]
    assert orphan != kept
    _container_import.restore(engine, options(source, "all", None), False)
    assert engine.volume(orphan) is None
    assert engine.run(name, ["cat", "/v/file"])[1] == b"kept\n"
    engine.remove_container(name)
    engine.remove_volume(kept)


def test_who_uses_a_replaced_container_follows(engine, create, export, prefix):
    db = create(prefix + "-db", Labels={"v": "1"})
    side = create(prefix + "-side", host_config={"NetworkMode": "container:" + db})
    source = export(db, side)
    engine.remove_container(db)
    create(db, Labels={"v": "2"})
    engine.remove_container(side)
    create(side, host_config={"NetworkMode": "container:" + db})
    result = _container_import.restore(engine, options(source, "all", None), False)
    assert result["differences"] == {db: ["config.Labels"], side: ["uses " + db]}
    assert engine.container(side)["HostConfig"]["NetworkMode"] == "container:" + engine.container(db)["Id"]


def test_a_subnet_that_is_taken(engine, create, export, prefix):
    start = free_subnet(engine)
    body = {"Name": prefix + "-net", "IPAM": {"Config": [{"Subnet": start + ".0/24"}]}}
    engine.create_network(body)
    free = create(prefix + "-free", host_config={"NetworkMode": prefix + "-net"})
    fixed = create(prefix + "-fixed", host_config={"NetworkMode": prefix + "-net"}, NetworkingConfig={
        "EndpointsConfig": {prefix + "-net": {"IPAMConfig": {"IPv4Address": start + ".9"}}}})
    source = export(free, fixed)
    for name in (free, fixed):
        engine.remove_container(name)
    engine.remove_network(prefix + "-net")
    engine.create_network(dict(body, Name=prefix + "-other"))
    with pytest.raises(ExistsError, match="'%s' has a fixed address in it; but network '%s-other' has it" % (
            fixed, prefix)):
        _container_import.restore(engine, options(source, "all", None), False)
    assert engine.network(prefix + "-net") is None
    result = _container_import.restore(engine, options(source, "all", None, containers=[free]), False)
    assert "gets another subnet than the recorded %s.0/24" % start in result["warnings"][0]
    assert engine.container(free)["State"]["Running"]
    with pytest.raises(BackupError, match="fixed address %s.9, but network" % start):
        _container_import.restore(engine, options(source, "all", None), False)


def test_things_that_exist_and_differ_are_told(engine, create, export, prefix):
    engine.create_volume(prefix + "-v", labels={"a": "1"})
    engine.create_network({"Name": prefix + "-n"})
    name = create(prefix + "-a", host_config={"Binds": [prefix + "-v:/v"], "NetworkMode": prefix + "-n"})
    source = export(name)
    engine.remove_container(name)
    engine.remove_network(prefix + "-n")
    engine.remove_volume(prefix + "-v")
    engine.create_volume(prefix + "-v", labels={"a": "2"})
    engine.create_network({"Name": prefix + "-n", "Internal": True})
    result = _container_import.restore(engine, options(source, "all", None), False)
    told = "\n".join(result["warnings"])
    assert "Volume '%s-v' exists and is left as it is, though it differs from the record in: Labels" % prefix in told
    assert "Network '%s-n' exists and is left as it is, though it differs from the record in: Internal" % prefix in told


@pytest.fixture
def commit_image(engine, tiny, prefix):
    """A function that makes an image of its own under the name <prefix>/image:1, and returns its ID."""

    def function(label):
        container = engine.create_container(prefix + "-build", {
            "Image": tiny, "Cmd": ["true"], "Labels": {"made": label, "org.moodleclaude.backup.test": prefix}})
        identifier = engine.api.commit(container, repository=prefix + "/image", tag="1")["Id"]
        engine.remove_container(container)
        return identifier

    return function


def test_a_name_that_means_another_image(engine, create, export, commit_image, prefix):
    recorded = commit_image("one")
    name = create(prefix + "-a", Image=prefix + "/image:1")
    source = export(name)
    engine.tag(recorded, prefix + "/kept:1")
    commit_image("two")
    engine.remove_container(name)
    create(name, Image=prefix + "/image:1")
    result = _container_import.restore(engine, options(source, "all", None), False)
    assert "created from %s, because '%s/image:1' is another image" % (recorded, prefix) in result["warnings"][0]
    assert engine.container(name)["Image"] == recorded
    assert _container_import.restore(engine, options(source, "all", None), False)["changed"] is False


def test_an_image_that_is_not_there(engine, create, export, commit_image, run_module, prefix):
    recorded = commit_image("one")
    name = create(prefix + "-a", Image=prefix + "/image:1")
    source = export(name)
    engine.remove_container(name)
    engine.remove_image(recorded, force=True)
    commit_image("two")
    missing = "%s) of container '%s' is not on this engine, only another one of that name" % (recorded, name)
    refused = run_module("container_import", {"src": source})
    assert missing in refused["msg"]
    assert "image_import" in refused["msg"]
    # In check mode the task before may have said that it would load it.
    predicted = run_module("container_import", {"src": source}, check=True)
    assert predicted["changed"]
    assert missing in str(predicted["warnings"])


def test_mounts_that_are_not_there(engine, create, export, run_module, prefix, tmp_path):
    needed, made = tmp_path / "needed", tmp_path / "made"
    needed.mkdir()
    made.mkdir()
    name = create(prefix + "-a", host_config={
        "Binds": ["%s:/made" % made], "Mounts": [{"Type": "bind", "Source": str(needed), "Target": "/needed"}]})
    source = export(name)
    engine.remove_container(name)
    needed.rmdir()
    made.rmdir()
    create(name)
    prepared = run_module("container_import", {"src": source, "phase": "prepare", "transaction": "tmount"})
    assert prepared["missing_binds"] == sorted([str(needed), str(made)])
    refused = run_module("container_import", {"src": source, "phase": "switch", "transaction": "tmount"})
    assert str(needed) in refused["msg"] and str(made) not in refused["msg"]
    assert engine.container(name)["State"]["Running"]
    needed.mkdir()
    assert run_module("container_import", {"src": source})["changed"]


def test_a_port_that_another_container_has(engine, create, export, run_module, prefix):
    exposed = {"80/tcp": {}}
    bindings = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    name = create(prefix + "-a", ExposedPorts=exposed, host_config=bindings)
    port = engine.container(name)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    engine.remove_container(name)
    bindings = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}}
    create(name, ExposedPorts=exposed, host_config=bindings)
    source = export(name)
    engine.remove_container(name)
    create(prefix + "-other", ExposedPorts=exposed, host_config=bindings)
    result = run_module("container_import", {"src": source})
    assert "publishes port %s/tcp of the host, but container '%s-other' has it" % (port, prefix) in result["msg"]


def test_what_counts_as_running(engine, create, export, run_module, prefix, tmp_path):
    """A container that is stopped only for the moment, recorded as what it is or as what it was before."""
    web, cron = create(prefix + "-web", start=False), create(prefix + "-cron", start=False)
    as_they_are, as_they_were = export(web, cron), str(tmp_path / "were.json")
    written = {"containers": [web, cron], "dest": as_they_were, "running": [web]}
    assert run_module("container_export", written)["changed"] and not run_module("container_export", written)["changed"]
    assert "nobody" in run_module("container_export", dict(written, running=["nobody"]))["msg"]
    for given in ({"src": as_they_were}, {"src": as_they_are, "started": [web]}):
        assert run_module("container_import", given)["actions"] == ["start container %s" % web]
        assert not run_module("container_import", given)["changed"]
        assert not engine.container(cron)["State"]["Running"]
        engine.stop(web, 1)
    assert not run_module("container_import", {"src": as_they_are})["changed"]


def test_a_port_is_checked_for_what_is_going_to_be_started(engine, create, export, run_module, prefix):
    exposed, bindings = {"80/tcp": {}}, {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    other = create(prefix + "-other", ExposedPorts=exposed, host_config=bindings)
    port = engine.container(other)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    bindings["PortBindings"]["80/tcp"][0]["HostPort"] = port
    name = create(prefix + "-a", start=False, ExposedPorts=exposed, host_config=bindings)
    source = export(name)
    engine.remove_container(name)
    prepare = {"src": source, "phase": "prepare", "transaction": "tport"}
    assert run_module("container_import", dict(prepare, started=[]))["absent"] == [name]
    assert "publishes port %s/tcp" % port in run_module("container_import", dict(prepare, started=[name]))["msg"]


def test_a_container_that_removes_itself(engine, create, export, run_module, prefix):
    name = create(prefix + "-a")
    source = export(name)
    engine.remove_container(name)
    create(name, host_config={"AutoRemove": True})
    result = run_module("container_import", {"src": source})
    assert "removes itself when it stops" in result["msg"]
    assert engine.container(name)["State"]["Running"]


@pytest.mark.parametrize(("args", "message"), [
    ({"phase": "switch", "src": "/x"}, "phase is switch but all of the following are missing: transaction"),
    ({}, "phase is all but all of the following are missing: src"),
    ({"src": "/nowhere.json"}, "/nowhere.json does not exist"),
    ({"src": "/etc/hostname"}, "/etc/hostname is damaged"),
    ({"phase": "commit", "transaction": "A-B"}, "'A-B' is no name for a transaction"),
])
def test_bad_input(run_module, args, message):
    assert message in run_module("container_import", args)["msg"]


def test_bad_content(run_module, create, export, prefix, tmp_path):
    source = export(create(prefix + "-a"))
    unknown = run_module("container_import", {"src": source, "containers": ["nobody"]})
    assert "does not describe nobody" in unknown["msg"] and prefix + "-a" in unknown["msg"]
    for content, message in (({}, "does not describe containers"), ({"containers": {}, "format": 9}, "has format 9")):
        (tmp_path / "bad.json").write_text(json.dumps(content))
        assert message in run_module("container_import", {"src": str(tmp_path / "bad.json")})["msg"]


def test_a_part_of_an_id_is_no_name(engine, create, export, prefix):
    identifier = engine.container(create(prefix + "-a"))["Id"]
    assert _containers.find_exact(engine, identifier[:12]) is None
    assert _containers.find_exact(engine, prefix + "-a")["Id"] == identifier
