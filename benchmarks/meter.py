# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a command: wall time, processor time, memory of Ansible modules, what is written to disk."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from stack import BenchmarkError

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MODULE = re.compile(rb"AnsiballZ_(\w+)\.py")
_INTERVAL = 0.04  # seconds between two looks at the processes


@dataclass
class Measurement:
    """What a command has cost. Seconds and bytes."""

    wall: float = 0.0
    processes: float = 0.0  # processor seconds of the command and all that it started outside of dockerd
    machine: float = 0.0  # processor seconds of the whole machine, which dockerd and the containers are part of
    disk: int = 0  # bytes that the machine wrote to disk
    idle_load: float = 0.0  # processors that others kept busy just before
    modules: dict[str, dict[str, int]] = field(default_factory=dict)  # module → {"own", "all"}: peak memory in bytes


def adopt_orphans() -> None:
    """Make this process the parent of whatever its descendants leave behind, so that it is measured, too."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def machine_seconds(stat: str) -> float:
    """Busy processor seconds since the start of the machine, from the text of /proc/stat."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.splitlines()[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def disk_bytes(vmstat: str) -> int:
    """Bytes written to disks since the start of the machine, from the text of /proc/vmstat."""
    return 1024 * int(re.search(r"^pgpgout (\d+)$", vmstat, re.MULTILINE).group(1))


def _proc(name: str) -> str:
    return Path("/proc", name).read_text()


def drop_caches() -> bool:
    """Make every step start from the disk. False if this is not permitted."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def idle_load(seconds: float = 2.0) -> float:
    """How many processors are busy while this process waits."""
    before = machine_seconds(_proc("stat"))
    time.sleep(seconds)
    return (machine_seconds(_proc("stat")) - before) / seconds


def measure(words: list[str], log: Path, environment: dict[str, str]) -> Measurement:
    """Run a command with its output in a log file and measure it.

    :raises: BenchmarkError with the end of the log if it fails.
    """
    result = Measurement(idle_load=round(idle_load(), 2))
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(result.modules, stop))
    used, busy, written, started = _children_seconds(), *_counters(), time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment,
                                   start_new_session=True)
        watcher.start()
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, 15)
            process.wait(30)
            raise
        finally:
            stop.set()
            watcher.join()
    result.wall = time.monotonic() - started
    _reap()
    result.processes = _children_seconds() - used
    os.sync()  # what the command left in memory is part of what it wrote
    result.machine, result.disk = (now - before for now, before in zip(_counters(), (busy, written)))
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise BenchmarkError(f"{' '.join(words[:3])} … failed with exit code {status}:\n{tail}")
    return result


def _counters() -> tuple[float, int]:
    return machine_seconds(_proc("stat")), disk_bytes(_proc("vmstat"))


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _reap() -> None:
    """Take in the adopted processes that have ended."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


# --- memory of modules ----------------------------------------------------------------------------------------------


def _watch(modules: dict[str, dict[str, int]], stop: threading.Event) -> None:
    while not stop.wait(_INTERVAL):
        _look(os.getpid(), None, modules, {})


def _look(pid: int, module: str | None, modules: dict[str, dict[str, int]], sums: dict[str, int]) -> None:
    """Add the memory of a process and its descendants to the sums of the modules that they belong to."""
    pending = [(pid, module)]
    while pending:
        current, owner = pending.pop()
        try:
            words = Path(f"/proc/{current}/cmdline").read_bytes().split(b"\0")
            named = _MODULE.search(words[1]) if len(words) > 1 else None
            if named and owner is None:
                owner = named.group(1).decode()
                peak = re.search(r"VmHWM:\s+(\d+)", _proc(f"{current}/status"))
                entry = modules.setdefault(owner, {"own": 0, "all": 0})
                entry["own"] = max(entry["own"], int(peak.group(1)) * 1024 if peak else 0)
            if owner:
                sums[owner] = sums.get(owner, 0) + int(_proc(f"{current}/statm").split()[1]) * _PAGE
            for task in Path(f"/proc/{current}/task").iterdir():
                pending += [(int(child), owner) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it has ended meanwhile
    for name, total in sums.items():
        modules[name]["all"] = max(modules[name]["all"], total)
