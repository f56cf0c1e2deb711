# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests that need the Docker Engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = "moodleclaude-test/tiny:latest"
DEBIAN = "moodleclaude-test/php-apache:latest"
TEST_LABEL = "org.moodleclaude.backup.test"  # on images that lose their names during a test; its value is the prefix
_MARKER = "org.moodleclaude.backup.name"


@pytest.fixture(scope="session")
def engine():
    """A connection to the engine of this machine."""
    # pytest-ansible makes the collection importable after this file has been read.
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _docker, _module

    params = {name: option.get("default") for name, option in _module.DOCKER_OPTIONS.items()}
    params["docker_host"] = os.environ.get("DOCKER_HOST") or params["docker_host"]
    return _docker.Engine(params)


@pytest.fixture(scope="session")
def require_image(engine):
    """A function that takes an image's name and returns it; a test that needs an image must not pass without it."""

    def require(name):
        if engine.image(name) is None:
            pytest.fail("image %s is missing: run 'make images'" % name)
        return name

    return require


@pytest.fixture
def stored(site):
    """The stored files of the test file's own site; rows and blobs that a test has made are gone afterwards."""
    from lab.stored import StoredFiles

    files = StoredFiles(site)
    yield files
    files.forget()


@pytest.fixture(scope="session")
def tiny(require_image):
    """The smallest image: a static busybox."""
    return require_image(TINY)


@pytest.fixture
def prefix(engine):
    """A word that begins the name of everything that a test creates in the engine; all of it is removed afterwards."""
    word = "mcb-test-%s" % os.urandom(4).hex()
    yield word
    _clean(engine, word)


def _clean(engine, word):
    for container in engine.containers():
        if any(name.lstrip("/").startswith(word) for name in container["Names"]):
            engine.remove_container(container["Id"], volumes=True)
    for network in engine.networks():
        if network["Name"].startswith(word):
            engine.remove_network(network["Id"])
    for volume in engine.volumes():
        if volume["Name"].startswith(word) or ((volume["Labels"] or {}).get(_MARKER) or "").startswith(word):
            engine.remove_volume(volume["Name"])
    for image in engine.api.images():
        for tag in image["RepoTags"] or ():
            if tag.startswith(word):
                engine.remove_image(tag, force=True)
    for image in engine.api.images(filters={"label": "%s=%s" % (TEST_LABEL, word)}):
        engine.remove_image(image["Id"], force=True)


@pytest.fixture(scope="session")
def module_environment(tmp_path_factory):
    """The environment in which a module runs as a program of its own."""
    folder = tmp_path_factory.mktemp("collections")
    namespace = folder / "ansible_collections" / "moodleclaude"
    namespace.mkdir(parents=True)
    (namespace / "backup").symlink_to(ROOT)
    return dict(os.environ, PYTHONPATH=str(folder), PYTHONPYCACHEPREFIX=str(folder / "bytecode"))


@pytest.fixture
def module_command():
    """A function that returns the command (list of str) which runs a module; its arguments are read from stdin."""

    def command(name):
        return [sys.executable, "-m", "ansible_collections.moodleclaude.backup.plugins.modules.%s" % name]

    return command


@pytest.fixture
def run_module(module_environment, module_command):
    """A function that runs a module with arguments (dict) and returns its result (dict), whether it failed or not."""

    def run(name, args, check=False, diff=False):
        arguments = dict(args, _ansible_check_mode=check, _ansible_diff=diff)
        done = subprocess.run(
            module_command(name), input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True,
            env=module_environment, check=False,
        )
        try:
            return json.loads(done.stdout)
        except ValueError:
            return pytest.fail("module %s ended with %d and no result: %s" % (name, done.returncode, done.stderr))

    return run


@pytest.fixture
def debian(require_image):
    """An image with GNU tar and a web server."""
    return require_image(DEBIAN)


@pytest.fixture
def volume(engine, prefix):
    """A function that creates a volume and returns (name, its folder on this host)."""

    def create(word):
        name = "%s-%s" % (prefix, word)
        return name, engine.create_volume(name)["Mountpoint"]

    return create


@pytest.fixture
def container(engine, prefix):
    """A function that creates a container and returns its name."""

    def create(word, image, binds=(), start=True, **extra):
        name = "%s-%s" % (prefix, word)
        engine.create_container(name, dict({
            "Image": image, "Entrypoint": ["sleep", "600"], "Cmd": [], "StopSignal": "SIGKILL",
            "HostConfig": {"Binds": list(binds), "NetworkMode": "none"},
        }, **extra))
        if start:
            engine.start(name)
        return name

    return create


@pytest.fixture
def ok(run_module):
    """A function that runs a module which must not fail."""

    def run(name, check=False, diff=False, **args):
        result = run_module(name, args, check, diff)
        assert not result.get("failed"), result["msg"]
        return result

    return run


@pytest.fixture
def fails(run_module):
    """A function that runs a module which must fail and returns its message."""

    def run(name, **args):
        result = run_module(name, args)
        assert result.get("failed"), result
        return result["msg"]

    return run


@pytest.fixture
def taken_port():
    """A port of 127.0.0.1 (str) that a process of the host listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


@pytest.fixture
def small_disk(tmp_path):
    """A folder of its own file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def measure_module(module_environment, module_command):
    """A function that runs a module and returns (result as dict, peak memory in bytes).

    The peak is that of the module's process and all its children together, had they all peaked at the same time.
    """

    def measure(name, args):
        with subprocess.Popen(module_command(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=module_environment) as process:
            peaks, ended = {}, threading.Event()
            watcher = threading.Thread(target=_watch_memory, args=(process.pid, peaks, ended))
            watcher.start()
            output, _none = process.communicate(json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
            ended.set()
            watcher.join()
        return json.loads(output), sum(peaks.values())

    return measure


def _watch_memory(pid, peaks, ended):
    """Keep the high-water marks (bytes) of a process and its descendants in peaks until the event is set."""
    while not ended.wait(0.02):
        pending = [pid]
        while pending:
            current = pending.pop()
            try:
                for task in Path("/proc/%d/task" % current).iterdir():
                    pending.extend(int(child) for child in (task / "children").read_text().split())
                status = Path("/proc/%d/status" % current).read_text()
            except OSError:
                continue  # it has ended
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    peaks[current] = int(line.split()[1]) * 1024
