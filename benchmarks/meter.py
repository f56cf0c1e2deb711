# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a command: wall time, processor time, memory of its processes, what is written to disk."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from stack import BenchmarkError

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
_MODULE = re.compile(rb"AnsiballZ_(\w+)\.py")
_PSS = re.compile(rb"^Pss:\s+(\d+)", re.MULTILINE)
_PEAK = re.compile(r"VmHWM:\s+(\d+)")
_INTERVAL = 0.1  # seconds between two looks at the processes

_keep = False  # the page cache, see keep_caches()


@dataclass
class Measurement:
    """What a command has cost. Seconds and bytes."""

    wall: float = 0.0
    processes: float = 0.0  # processor seconds of the command and all that it started outside of dockerd
    machine: float = 0.0  # processor seconds of the whole machine, which dockerd and the containers are part of
    disk: int = 0  # bytes that the machine wrote to disk
    idle_load: float = 0.0  # processors that others kept busy just before
    memory: int = 0  # peak of all processes outside of dockerd together, in bytes
    module_memory: int = 0  # the same for those that belong to Ansible modules alone
    # module → {"own": peak of its largest process, "all": peak of all its processes together}, in bytes
    modules: dict[str, dict[str, int]] = field(default_factory=dict)


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


def keep_caches() -> None:
    """From now on, let every step find in memory what others have read. The page cache belongs to the whole machine."""
    global _keep
    _keep = True


def drop_caches() -> bool | None:
    """Make every step start from the disk. False if this is not permitted, None if nobody wants it."""
    if _keep:
        return None
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
    watcher = threading.Thread(target=_watch, args=(result, stop))
    used, busy, written, started = _children_seconds(), *_counters(), time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment,
                                   start_new_session=True)
        watcher.start()
        try:
            status = process.wait()
        except BaseException:
            _end(process)
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


def _end(process: subprocess.Popen) -> None:
    """End a command and what it started: they may clean up, but not for ever."""
    for number, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass  # its first process has ended; others may have left the group
        deadline = time.monotonic() + patience
        while process.poll() is None or _children(os.getpid()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
            if process.poll() is not None:
                _reap()
        for child in _children(os.getpid()):
            if child != process.pid:
                os.kill(child, number)


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


# --- memory ---------------------------------------------------------------------------------------------------------


def storage_bytes(folder: Path) -> tuple[int, int]:
    """Bytes that a folder takes on its disk, and the sizes of its files together; each inode counts once.

    A folder that is not there takes nothing.
    """
    allocated = apparent = 0
    seen = set()
    pending = [folder] if folder.is_dir() else []
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif found.st_nlink > 1:
                    if (found.st_dev, found.st_ino) in seen:
                        continue
                    seen.add((found.st_dev, found.st_ino))
                allocated += found.st_blocks * 512
                apparent += 0 if entry.is_dir(follow_symlinks=False) else found.st_size
    return allocated, apparent


def _watch(result: Measurement, stop: threading.Event) -> None:
    while not stop.wait(_INTERVAL):
        sums = _look(os.getpid(), result.modules)
        result.memory = max(result.memory, sum(sums.values()))
        result.module_memory = max(result.module_memory, sum(sums.values()) - sums.get("", 0))


def _look(root: int, modules: dict[str, dict[str, int]]) -> dict[str, int]:
    """Look once at the descendants of a process. Return module → memory in bytes; "" is what belongs to none.

    A page that several processes share counts once (PSS), so that forked children are not counted twice.
    """
    sums: dict[str, int] = {}
    pending = [(child, "") for child in _children(root)]
    while pending:
        pid, owner = pending.pop()
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            named = _MODULE.search(words[1]) if len(words) > 1 else None
            if named:
                owner = owner or named.group(1).decode()
                peak = _PEAK.search(_proc(f"{pid}/status"))
                entry = modules.setdefault(owner, {"own": 0, "all": 0})
                entry["own"] = max(entry["own"], int(peak.group(1)) * 1024 if peak else 0)
            shared = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
            sums[owner] = sums.get(owner, 0) + (int(shared.group(1)) * 1024 if shared else 0)
            pending += [(child, owner) for child in _children(pid)]
        except OSError:
            continue  # it has ended meanwhile
    for name, total in sums.items():
        if name:
            modules[name]["all"] = max(modules[name]["all"], total)
    return sums


def _children(pid: int) -> list[int]:
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass  # a thread or the process has ended meanwhile
    return found
