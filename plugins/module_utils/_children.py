# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions that run side by side, each in a process of its own.

A process is forked, so it starts in a millisecond and knows all that this one knows. It is told to end by SIGTERM,
which becomes an exception in it, so that whatever it has begun is cleaned up. The kernel sends the same signal when
this process is killed. All that a process starts is in its own process group, and ends with it.
"""
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import time
import traceback

from . import _throttle
from ._errors import BackupError, CommandError, StorageError

PATIENCE = 30  # seconds that a process has for cleaning up
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Ended(BaseException):
    """Raised in the middle of anything by a signal that ends this process. Not an Exception: nobody may swallow it."""


def side_by_side(tasks, limit, after=None):
    """Run functions in processes of their own, in the given order, at most limit at once.

    :param tasks: list of (name, function); the function takes no arguments and returns something that JSON can carry,
        or raises BackupError.
    :param limit: int, at least 1.
    :param after: {name: names of the tasks that have to end before that one starts}; those come before it in tasks.
    :returns: {name: (what the function returned, seconds that it took)}.
    :raises: the first BackupError of a task, with the task's name in its message and in details as "job", after all
        others were ended. Nothing that was started runs any more when this returns or raises.
    """
    waiting, done, running = list(tasks), {}, {}
    with _Signals() as signals, selectors.DefaultSelector() as ready:
        try:
            while waiting or running:
                while len(running) < limit and (task := _startable(waiting, after or {}, done)):
                    waiting.remove(task)
                    child = _Child(*task, signals.before)
                    running[child.pipe] = child
                    ready.register(child.pipe, selectors.EVENT_READ)
                with signals.raised():
                    events = ready.select()
                for key, _events in events:
                    child = running[key.fd]
                    if child.read():
                        continue
                    ready.unregister(key.fd)
                    child.reap()
                    del running[key.fd]
                    done[child.name] = (child.value(), child.seconds)
        except Ended as ended:
            raise CommandError("This was ended by %s, and so were its jobs" % ended, "Run it again.") from ended
        finally:
            _end(running.values())
    return done


def _startable(waiting, after, done):
    """Return the first of the tasks that need not wait for another one, or None."""
    return next((task for task in waiting if set(after.get(task[0], ())) <= done.keys()), None)


class _Signals:
    """Holds back the signals that end a process, and lets them raise Ended where that can do no harm.

    Those that were ignored before stay ignored.
    """

    def __enter__(self):
        wanted = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)  # the mask that was
        self._handlers = {number: signal.signal(number, _raise) for number in wanted}
        return self

    @contextlib.contextmanager
    def raised(self):
        held = signal.pthread_sigmask(signal.SIG_SETMASK, self.before)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def __exit__(self, *unused):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)


def _raise(number, _frame):
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # cleaning up is not to be disturbed
    raise Ended(signal.Signals(number).name)


def _end(children):
    """End processes: a signal, time to clean up, and then by force."""
    children = list(children)
    for child in children:
        child.end()
    deadline = time.monotonic() + PATIENCE
    for child in children:
        child.drain(deadline)
        child.reap()


class _Child:
    """A forked process that runs one task and writes what came of it, as JSON, into a pipe."""

    def __init__(self, name, function, unblocked):
        self.name = name
        self._began = time.monotonic()
        self.seconds = None
        self._answer = bytearray()
        self._status = None
        self.pipe, writing = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(function, writing, parent, unblocked)
        os.close(writing)
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)  # the child does the same; whoever comes first

    def read(self):
        """Take what the pipe has. Return False at its end."""
        data = os.read(self.pipe, 1 << 16)
        self._answer += data
        return bool(data)

    def drain(self, deadline):
        """Read until the end, or until a point in time (as time.monotonic() counts)."""
        with selectors.DefaultSelector() as ready:
            ready.register(self.pipe, selectors.EVENT_READ)
            while ready.select(max(0, deadline - time.monotonic())):
                if not self.read():
                    return

    def end(self):
        os.kill(self.pid, signal.SIGTERM)

    def reap(self):
        """End what is left of the process and its group, and collect it."""
        if self._status is not None:
            return
        # Not collected yet, so its number cannot mean anybody else.
        with contextlib.suppress(ProcessLookupError):
            if not self._ends_by_itself():
                os.kill(self.pid, signal.SIGKILL)
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            os.killpg(self.pid, signal.SIGKILL)
        self._status = os.waitpid(self.pid, 0)[1]
        os.close(self.pipe)
        self.seconds = round(time.monotonic() - self._began, 3)

    def _ends_by_itself(self):
        """True if the process ends within a second: after its answer there is nothing left to do."""
        for _attempt in range(1000):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return True
            time.sleep(0.001)
        return False

    def value(self):
        """Return what the task returned, or raise its error."""
        try:
            answer = json.loads(self._answer)
        except ValueError:
            raise CommandError(
                "job '%s': its process ended without an answer (%s)" % (self.name, _cause(self._status)),
                "If memory ran out, the kernel's log says so; run fewer jobs at once.", job=self.name,
            ) from None
        if "error" in answer:
            error = answer["error"]
            details = dict(error["details"], job=self.name)
            raise BackupError("job '%s': %s" % (self.name, error["message"]), error["hint"], **details)
        return answer["value"]


def _cause(status):
    if os.WIFSIGNALED(status):
        return "killed by signal %d" % os.WTERMSIG(status)
    return "exit code %d" % os.WEXITSTATUS(status)


def _be_child(function, pipe, parent, unblocked):
    """Run a task in the process that was just forked, and never return."""
    code = 1
    try:
        for number in _SIGNALS:
            signal.signal(number, _end_child)
        os.setpgid(0, 0)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):  # whoever waits for the end of the module's output must not wait for this process
            os.dup2(nothing, fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        if os.getppid() == parent:
            _answer(pipe, _outcome(function))
            code = 0
    except BaseException:  # pylint: disable=broad-exception-caught
        pass  # ended: nobody waits for an answer
    finally:
        os._exit(code)


def _end_child(number, frame):
    _throttle.cancel()
    # Should cleaning up hang, nobody may be left to end this.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)
    _raise(number, frame)


def _outcome(function):
    """Return what comes of a task as a dict that JSON can carry."""
    try:
        value = function()
        json.dumps(value)
        return {"value": value}
    except BackupError as error:
        described = error
    except OSError as error:
        described = StorageError("%s: %s" % (error.filename or "input/output", error.strerror or error),
                                 exception=traceback.format_exc())
    except Exception as error:  # pylint: disable=broad-exception-caught
        described = BackupError("%s: %s" % (type(error).__name__, error), "This is a defect; please report it.",
                                exception=traceback.format_exc())
    return {"error": {"message": described.message, "hint": described.hint, "details": described.details}}


def _answer(pipe, outcome):
    with os.fdopen(pipe, "wb") as handle:
        handle.write(json.dumps(outcome, default=str).encode())
