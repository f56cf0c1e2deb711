# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's playbooks as a user does, and kills them as no user should."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Play:
    """A run of one of the collection's playbooks on this machine.

    :param settings: dict, variables. :param options: further arguments of ansible-playbook.
    """

    def __init__(self, playbook: str, settings: dict, *options: str):
        self.playbook = playbook
        self._log = tempfile.TemporaryFile()
        program = Path(sys.executable).with_name("ansible-playbook")
        variables = dict(settings, ansible_python_interpreter=sys.executable, ansible_connection="local")
        environment = dict(os.environ, ANSIBLE_NOCOLOR="1", ANSIBLE_LOCALHOST_WARNING="0", PYTHONDONTWRITEBYTECODE="1")
        self._process = subprocess.Popen(
            [program, "-i", "localhost,", "moodleclaude.backup.%s" % playbook, "-e", json.dumps(variables), *options],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    @property
    def output(self) -> str:
        """Everything printed so far, with the line breaks of Ansible's JSON and YAML taken out of the way."""
        self._log.seek(0)
        return " ".join(self._log.read().decode(errors="replace").replace("\\n", "\n").split())

    def wait(self, timeout: float = 300) -> int:
        """Return the exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("the playbook %s hangs:\n%s" % (self.playbook, self.output[-3000:])) from None

    def running(self) -> bool:
        return self._process.poll() is None

    def descendants(self) -> dict[int, str]:
        """Return the processes that the run has started and that still live: PID -> command line."""
        found: dict[int, str] = {}
        pending = [self._process.pid]
        while pending:
            pid = pending.pop()
            with contextlib.suppress(OSError):
                children = [int(child) for task in Path("/proc/%d/task" % pid).iterdir()
                            for child in (task / "children").read_text().split()]
                for child in children:
                    found[child] = Path("/proc/%d/cmdline" % child).read_bytes().replace(b"\0", b" ").decode(errors="replace")
                pending += children
        return found

    def module(self, name: str) -> int | None:
        """Return the PID of a module of the collection that works for this run, if it does."""
        return next((pid for pid, command in sorted(self.descendants().items())
                     if "AnsiballZ_%s.py" % name in command and " -c " not in command), None)

    def wait_for(self, condition, what: str, timeout: float = 120):
        """Wait until condition() is true and return what it gives; the run must not end before."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            if not self.running():
                raise RuntimeError("the playbook %s ended before %s:\n%s" % (self.playbook, what, self.output[-3000:]))
            time.sleep(0.01)
        self.kill()
        raise RuntimeError("the playbook %s did not come to %s:\n%s" % (self.playbook, what, self.output[-3000:]))

    def wait_for_module(self, name: str, count: int = 1) -> int:
        """Wait until a module runs, for the count-th time, and return its PID."""
        seen: list[int] = []

        def started():
            pid = self.module(name)
            if pid and pid not in seen:
                seen.append(pid)
            return len(seen) >= count

        self.wait_for(started, "module %s" % name)
        return seen[-1]

    @contextlib.contextmanager
    def halted(self):
        """Let the run begin nothing new for as long as this is entered."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the run with all its processes at once, as a power cut would, and wait until they are gone."""
        victims = [self._process.pid, *self.descendants()]
        for pid in victims:
            # First stopped, so that none can start another or clean up when it sees the others die.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        victims = [*dict.fromkeys([*victims, *self.descendants()])]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + 20
        while any(os.path.exists("/proc/%d" % pid) for pid in victims) and time.monotonic() < deadline:
            time.sleep(0.01)


def run(playbook: str, settings: dict, *options: str) -> tuple[int, str]:
    """Run a playbook to its end. Return its exit code and what it printed."""
    play = Play(playbook, settings, *options)
    code = play.wait()
    return code, play.output
