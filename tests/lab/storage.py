# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other storage on this machine: an SSH server, an S3 endpoint, restic's REST server. Each is a context manager."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A program that listens on a port of this machine. :param folder: Path, for what it needs and what it says."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("%s does not start: %s" % (self.command()[0], (self.folder / "log").read_text()[-2000:]))
            time.sleep(0.05)

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exception) -> None:
        self.stop()


class SshServer(Server):
    """Debian's sshd with a configuration, a host key and a user key of its own. Root may log in with the key."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.key, self.known_hosts = folder / "user_key", folder / "known_hosts"
        for name in ("host_key", "user_key", "other_key"):
            if not (folder / name).exists():
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        public = (folder / "host_key.pub").read_text()
        self.known_hosts.write_text("[127.0.0.1]:%d %s" % (self.port, public))
        (folder / "wrong_hosts").write_text("[127.0.0.1]:%d %s" % (self.port, (folder / "other_key.pub").read_text()))
        (folder / "authorized").write_text((folder / "user_key.pub").read_text())
        (folder / "sshd_config").write_text(
            "Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
            "SetEnv SHLVL=2\n"  # so that bash does not read what the user of this machine has in .bashrc
            % (self.port, folder / "host_key", folder / "authorized"))

    def command(self) -> list[str]:
        os.makedirs("/run/sshd", exist_ok=True)
        return [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def options(self) -> dict:
        """Return how a copy reaches it."""
        return {"host": "127.0.0.1", "user": "root", "port": self.port, "ssh_key": str(self.key),
                "known_hosts": str(self.known_hosts)}

    def sessions(self, word: str) -> list[int]:
        """Return the processes below it whose command line has a word in it (list of PIDs)."""
        found, pending = [], [self.process.pid]
        while pending:
            pid = pending.pop()
            with contextlib.suppress(OSError):
                for task in Path("/proc/%d/task" % pid).iterdir():
                    pending += [int(child) for child in (task / "children").read_text().split()]
                if word in Path("/proc/%d/cmdline" % pid).read_text().replace("\0", " "):
                    found.append(pid)
        return found

    def stop(self) -> None:
        for pid in self.sessions(""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().stop()


class S3Server(Server):
    """moto's S3 endpoint; it forgets everything when it ends."""

    def command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.port)]

    def repository(self, bucket: str) -> str:
        return "s3:http://127.0.0.1:%d/%s" % (self.port, bucket)


class RestServer(Server):
    """rclone as a REST server for restic, with a user and a password."""

    user, password = "moodle", "rest-secret-of-the-server"

    def command(self) -> list[str]:
        (self.folder / "data").mkdir(exist_ok=True)
        return ["rclone", "serve", "restic", "--addr", "127.0.0.1:%d" % self.port, "--user", self.user, "--pass", self.password,
                str(self.folder / "data")]

    def repository(self) -> str:
        return "rest:http://%s:%s@127.0.0.1:%d/" % (self.user, self.password, self.port)
