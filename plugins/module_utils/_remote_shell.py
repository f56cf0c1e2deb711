# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs constant sh scripts and rsync, on this host or on another one over SSH.

The text of a script never contains a value: values are its arguments, quoted with shlex for the shell at the other end.
"""
from __future__ import annotations

import atexit
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading

from ._errors import CommandError, IntegrityError, LockedError, StorageError, UsageError
from ._stream import Process, ProcessSource, _program

_PRELUDE = "set -eu\numask 077\nLC_ALL=C\nexport LC_ALL\n"
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:%@-]*\Z")
_PERSIST = 30  # seconds that a connection stays open which nobody uses
_BEAT = 10  # seconds between two signs of life; the script at the other end waits six times as long
_LOST = (10, 12, 30, 35, 255)  # exit codes by which rsync and ssh say that the connection failed

# Holds a lock on "$1" for as long as somebody writes dots into it. A connection that died without a word does not hold
# it for ever. "$2" is -x or -s. Nothing waits: who is late is told.
_HOLD = r"""
exec 9<"$1"
flock -n "$2" 9 || { echo busy; exit 0; }
echo held
while [ "$(timeout 60 head -c 1)" = . ]; do :; done
"""


_connected = []  # every Shell with a connection


@atexit.register
def close_all():
    """End all connections of this process."""
    while _connected:
        _connected.pop().close()


class Shell:
    """A host on which scripts run: this one, or one that SSH reaches.

    :param ssh: dict with host, and optionally user, port (int), ssh_key (path), known_hosts (path), host_key_checking
        (bool), connect_timeout (seconds), ssh_arguments (list of str); None for this host.
    :param pass_fds: file descriptors that the children inherit, so that what is locked by them stays locked while one
        of them lives, even if this process was killed.
    """

    def __init__(self, ssh=None, pass_fds=()):
        self._ssh = ssh
        self.remote = ssh is not None
        self._fds = tuple(pass_fds)
        self._folder = None
        self._root = []  # what makes a command run as root
        if ssh is None:
            self.where = "this host"
            return
        for key in ("host", "user"):
            if ssh.get(key) and not _WORD.match(ssh[key]):
                raise UsageError("%s: '%s' is not one" % (key, ssh[key]), "Use letters, digits, '.', '_', '-' and ':'.")
        for key in ("ssh_key", "known_hosts"):
            if ssh.get(key) and re.search(r"['\"\s]", ssh[key]):
                raise UsageError("%s: '%s' has a space or a quote in it" % (key, ssh[key]), "Use another name.")
        self.where = "%s@%s" % (ssh["user"], ssh["host"]) if ssh.get("user") else ssh["host"]

    def become_root(self):
        """Run everything through sudo from now on, if the user there is not root.

        :raises: CommandError if that user needs a password for it.
        """
        if self.text("asking who the user is", "id -u").strip() != "0":
            self._root = ["sudo", "-n", "--"]
            self.text("becoming root with sudo", ":")

    def _control(self):
        """Return the folder (str) where the first connection waits for others to use it, for making one takes time."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="moodle_backup_")
            _connected.append(self)
        return self._folder

    def close(self):
        """End the connection; if this process is killed, it ends by itself."""
        if self._folder is None:
            return
        with contextlib.suppress(CommandError):
            process = Process(self._ssh_command() + ["-O", "exit", self._ssh["host"]], what="ssh")
            process.popen.wait()
            process.abort()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def _ssh_command(self, shared=True):
        ssh = self._ssh
        options = ["BatchMode=yes", "ConnectTimeout=%d" % ssh.get("connect_timeout", 20), "ServerAliveInterval=15",
                   "ServerAliveCountMax=4"]
        if shared:
            options += ["ControlMaster=auto", "ControlPersist=%d" % _PERSIST, "ControlPath=%s/%%C" % self._control()]
        if ssh.get("host_key_checking", True):
            options.append("StrictHostKeyChecking=yes")
        else:
            options += ["StrictHostKeyChecking=no", "LogLevel=ERROR"]
        if ssh.get("known_hosts"):
            options.append("UserKnownHostsFile=%s" % ssh["known_hosts"])
        command = [_program("ssh")]
        if ssh.get("ssh_key"):
            command += ["-i", ssh["ssh_key"]]
            options.append("IdentitiesOnly=yes")
        if ssh.get("port"):
            command += ["-p", str(ssh["port"])]
        if ssh.get("user"):
            command += ["-l", ssh["user"]]
        for option in options:
            command += ["-o", option]
        return command + list(ssh.get("ssh_arguments") or ())

    def check_sftp(self):
        """Raise CommandError that says why if no SFTP session can be had."""
        what = "opening an SFTP session"
        process = Process(self._ssh_command(shared=False) + [self._ssh["host"], "-s", "sftp"], what=what)
        try:
            process.finish()
        except CommandError as error:
            raise self.failure(what, error) from error

    def sftp_command(self):
        """Return the command (str) that gives an SFTP session, quoted as restic takes it."""
        return shlex.join(self._ssh_command(shared=False) + [self._ssh["host"], "-s", "sftp"])

    def _command(self, script, arguments):
        command = self._root + ["sh", "-c", _PRELUDE + script, "sh", *arguments]
        return command if self._ssh is None else self._ssh_command() + [self._ssh["host"], shlex.join(command)]

    def text(self, what, script, *arguments):
        """Return what a script prints (str). :param what: str, what it does, for messages. :raises: see failure()."""
        return "\n".join(self.lines(what, script, *arguments))

    def lines(self, what, script, *arguments):
        """Yield the lines (str, without their ends) that a script prints; constant memory."""
        source = ProcessSource(self._command(script, arguments), what=what, pass_fds=self._fds)
        try:
            rest = b""
            for chunk in source.chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
            if rest:
                yield rest.decode("utf-8", "replace")
            source.finish()
        except CommandError as error:
            raise self.failure(what, error) from error
        finally:
            source.abort()

    def location(self, path):
        """Return a path of this host as rsync takes it (str)."""
        if self._ssh is None:
            return path
        host = self._ssh["host"]
        return "%s:%s" % ("[%s]" % host if ":" in host else host, path)

    def rsync(self, what, arguments, limit=0):
        """Run rsync between this process's host and the shell's, which may be the same.

        :param what: str, for messages. :param arguments: list of str; paths of the shell's host are made by location().
        :param limit: bytes per second, 0 for none. :raises: StorageError, CommandError.
        """
        command = [_program("rsync")]
        if self._ssh is not None:
            command += ["--rsh=%s" % shlex.join(self._ssh_command()), "--protect-args"]
        if self._ssh is not None and self._root:
            command.append("--rsync-path=%s rsync" % " ".join(self._root))
        if limit:
            command.append("--bwlimit=%d" % max(1, limit // 1024))
        process = Process(command + arguments, what=what, pass_fds=self._fds)
        try:
            process.finish()
        except CommandError as error:
            raise self.failure(what, error) from error
        finally:
            process.abort()

    def failure(self, what, error):
        """Return the error that says what to do, for a CommandError of ssh, rsync or a script."""
        text = error.details.get("stderr") or ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        noise = ("rsync error:", "rsync: connection unexpectedly closed", "@@@", "Warning: Permanently added")
        cause = "; ".join([line for line in lines if not line.startswith(noise)][-3:]) or "; ".join(lines[-1:])
        message = "%s: %s failed: %s" % (self.where, what, cause or error.message)
        return _kind(text, error.details.get("rc"))(message, _hint(text, error.details.get("rc"), self.where),
                                                    rc=error.details.get("rc"))

    @contextlib.contextmanager
    def holding(self, path, shared, what):
        """Hold a lock on a file or folder there. Give a function that raises CommandError if the lock was lost.

        :param what: str, what it protects, for messages. :raises: LockedError when somebody else holds it.
        """
        process = Process(self._command(_HOLD, [path, "-s" if shared else "-x"]), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, what=what, pass_fds=self._fds)
        ended = threading.Event()
        beat = threading.Thread(target=_beat, args=(process.stdin, ended), daemon=True)
        try:
            answer = process.stdout.readline().strip()
            if answer == b"busy":
                raise LockedError("%s: another run is at work on %s right now" % (self.where, what),
                                  "Run this again when it has ended.")
            if answer != b"held":
                self._refuse(process, what)
            beat.start()

            def check():
                if process.popen.poll() is not None:
                    self._refuse(process, what)

            yield check
        finally:
            ended.set()
            if beat.is_alive():
                beat.join()
            with contextlib.suppress(OSError):
                process.stdin.close()  # so that the lock is free when this returns, not a moment later
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(5)
            process.abort()

    def _refuse(self, process, what):
        process.popen.wait()
        error = CommandError("", rc=process.popen.returncode, stderr=process.stderr_tail())
        raise self.failure("holding the lock of %s" % what, error)


def _beat(pipe, ended):
    """Write a sign of life every few seconds until the event is set or nobody reads any more."""
    with contextlib.suppress(OSError, ValueError):
        while True:
            os.write(pipe.fileno(), b".")
            if ended.wait(_BEAT):
                return


def _kind(text, rc):
    if rc == 11 or "No space left" in text or "Disk quota" in text:
        return StorageError
    # Of rsync: some files could not be read, so it is about this backup; another one may do better.
    return IntegrityError if rc in (23, 24) else CommandError


def _hint(text, rc, where):
    for words, hint in (
        ("Host key verification failed",
         "Is it the right host? Then bring its key into known_hosts; ssh-keyscan prints it."),
        ("Permission denied (", "Check the user and the SSH key, and authorized_keys of %s." % where),
        ("sudo:", "The user needs sudo without a password there, or has to be root."),
        ("No space left", "Make room there, then run this again; it goes on with what is missing."),
        ("Disk quota", "Make room there, then run this again; it goes on with what is missing."),
        ("not found", "It needs sh, coreutils, findutils, util-linux, grep and rsync of GNU and Linux."),
        ("Permission denied", "Check who owns the folder there."),
    ):
        if words in text:
            return hint
    if rc in _LOST:
        return "Check that the host is up and the network works, then run this again; it goes on where it stopped."
    return None
