# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker hosts that are containers, each with an SSH server and a Docker daemon of its own."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from . import cgroups

IMAGE = "moodleclaude-test/host"
USER = "deploy"
# What a Docker daemon needs. Where one of all the capabilities is missing, --privileged does not work.
_CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "SYS_CHROOT", "MKNOD", "DAC_READ_SEARCH", "IPC_LOCK",
                 "SYS_NICE", "SYSLOG", "AUDIT_WRITE", "SETFCAP", "SETPCAP")
_UNCONFINED = ("seccomp", "apparmor", "systempaths")


class Hosts:
    """Hosts whose names all begin alike; their key and what SSH knows of them are in a folder.

    :param folder: Path, with key, key.pub, known_hosts and addresses.json in it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.key = folder / "key"

    def start(self, *names: str, mounts: tuple[str, ...] = ()) -> dict[str, str]:
        """Start hosts with empty engines and wait until they answer.

        :param mounts: volumes as `docker run` takes them. :returns: the addresses of all hosts by name.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.key.exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(self.key))
        for name in names:
            self._start(name, mounts)
        for name in names:
            wait(name)
        return self._write(names)

    def _start(self, name: str, mounts: tuple[str, ...]) -> None:
        options = ["--cap-add=%s" % capability for capability in _CAPABILITIES]
        options += ["--security-opt=%s=unconfined" % what for what in _UNCONFINED]
        options += ["--volume=%s" % mount for mount in ("/sys/fs/cgroup:/sys/fs/cgroup:rw", "%s:/var/lib/docker" % name, *mounts)]
        _run("docker", "run", "--detach", "--name", name, "--hostname", name, "--pull", "never", "--cgroupns", "host", *options,
             "--env", "AUTHORIZED_KEY=%s" % self.key.with_suffix(".pub").read_text().strip(), IMAGE, "docker-host")

    def _write(self, names: tuple[str, ...]) -> dict[str, str]:
        """Write down how the hosts are reached, so that nobody has to take a host key on trust."""
        path = self.folder / "addresses.json"
        addresses = json.loads(path.read_text()) if path.exists() else {}
        for name in names:
            addresses[name] = _run("docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).strip()
            key = _run("docker", "exec", name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
            with (self.folder / "known_hosts").open("a") as known:
                known.write("%s %s" % (addresses[name], key))
        path.write_text(json.dumps(addresses))
        return addresses


def wait(name: str, seconds: float = 60) -> None:
    """Wait until a host's engine answers. Its SSH server is up by then."""
    deadline = time.monotonic() + seconds
    while subprocess.run(["docker", "exec", name, "docker", "version"], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            log = subprocess.run(["docker", "exec", name, "tail", "/var/log/dockerd.log"], capture_output=True, text=True,
                                 check=False)
            raise RuntimeError("the engine of %s does not start: %s%s" % (name, log.stdout, log.stderr))
        time.sleep(0.3)


def load(name: str, *images: str) -> None:
    """Give a host's engine images of the machine's own engine."""
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as source:
        _run("docker", "exec", "--interactive", name, "docker", "load", "--quiet", stdin=source.stdout)
    if source.returncode:
        raise subprocess.CalledProcessError(source.returncode, source.args)


def break_engine(name: str) -> None:
    """End a host's Docker daemon, for good."""
    _run("docker", "exec", name, "sh", "-c", 'kill "$(cat /var/run/docker.pid)"')
    while not subprocess.run(["docker", "exec", name, "docker", "version"], capture_output=True, check=False).returncode:
        time.sleep(0.3)


def remove(*names: str) -> None:
    """Remove hosts with all that they have; those that are not there are none."""
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], capture_output=True, check=False)
    left = _run("docker", "ps", "--all", "--format", "{{.Names}}").split()
    still = sorted(set(names) & set(left))
    if still:
        raise RuntimeError("%s could not be removed" % ", ".join(still))
    _run("docker", "volume", "rm", "--force", *names)
    for name in names:
        cgroups.remove(name)


def _run(*command: str, stdin=None) -> str:
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("%s failed: %s" % (" ".join(command[:4]), done.stderr.strip()[-2000:]))
    return done.stdout
