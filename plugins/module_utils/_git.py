# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs git: with a fixed environment, never through a shell, and nothing asks, signs, edits or stays behind.

What somebody has set for git on this host still counts where it must: identity, proxies, certificates, credential
helpers, what to ignore, which folders are trusted. What would surprise is overridden: hooks do not run, for they would
run with the rights of whoever backs up, usually root; nothing is signed and no line ends are converted.
"""
from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from base64 import b64encode
from collections import namedtuple
from urllib.parse import urlsplit

from . import _stream
from ._errors import CommandError, LockedError, NotFoundError, StorageError, UsageError

# rc: int. out: bytes. err: str, the last lines of standard error.
Answer = namedtuple("Answer", "rc out err")

_SETTINGS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false", "core.autocrlf=false",
    "core.safecrlf=false", "tag.gpgSign=false", "push.gpgSign=false", "push.followTags=false",
    "push.recurseSubmodules=no", "submodule.recurse=false", "fetch.recurseSubmodules=false", "fetch.prune=false",
    "fetch.pruneTags=false", "gc.autoDetach=false", "http.lowSpeedLimit=1", "http.lowSpeedTime=60",
)
_KEPT = (
    "PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "SSH_AUTH_SOCK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy", "TZ",
)
_ADDRESS = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/'\"]+@")
_LOCK = re.compile(r"'([^'\n]+\.lock)'?: File exists")
_OWNER = re.compile(r"dubious ownership in repository at '([^'\n]+)'")


def without_credentials(text):
    """Return a text (str) in which addresses have no user and no password any more; ssh keeps its user."""
    return _ADDRESS.sub(lambda found: found.group() if _harmless(found.group()) else found.group(1), text)


def _harmless(before):
    """Return True for the user's name of ssh://git@."""
    return before.lower().startswith(("ssh:", "git+ssh:")) and before.count(":") == 1


def check_address(address):
    """Return the address (str) of a remote if git may have it; raise UsageError otherwise."""
    if not address or address.startswith("-") or "\n" in address or "::" in address.split("/")[0]:
        raise UsageError("'%s' is no address of a remote repository" % without_credentials(address))
    if without_credentials(address) != address:
        raise UsageError(
            "The address %s has a user or a password in it, which everybody would see who may read the repository's"
            " settings" % without_credentials(address),
            "Give them in moodle_backup_repository_user and moodle_backup_repository_password.")
    return address


class Git:
    """git in one folder.

    :param path: str, the top of the working tree. :param environment: dict, what is set besides the fixed environment.
    """

    def __init__(self, path, environment=None):
        self.path = path
        self._program = shutil.which("git")
        if self._program is None:
            raise NotFoundError("The program 'git' is not installed on this host", "Install the package 'git'.")
        self.environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.environment.update(
            LC_ALL="C", GIT_TERMINAL_PROMPT="0", GIT_EDITOR="false", GIT_PAGER="cat", GIT_OPTIONAL_LOCKS="0",
            GIT_ALLOW_PROTOCOL="file:git:http:https:ssh", GIT_SSH_COMMAND=_ssh_command(), GIT_LITERAL_PATHSPECS="1",
            **(environment or {}))

    def with_environment(self, **environment):
        """Return a Git for the same folder in whose environment more is set."""
        other = Git.__new__(Git)
        other.path, other._program = self.path, self._program
        other.environment = dict(self.environment, **environment)
        return other

    def run(self, *arguments, stdin=b"", accepted=(0,), what=None):
        """Run git.

        :param stdin: bytes that it reads. :param accepted: exit codes that are no failure (tuple of int).
        :param what: str, what it does, for messages. :returns: Answer, whose out is held in memory.
        :raises: CommandError, LockedError, UsageError.
        """
        argv = [self._program]
        for setting in _SETTINGS:
            argv += ["-c", setting]
        what = what or "git %s" % arguments[0]
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written:
            given.write(stdin)
            given.seek(0)
            process = _stream.Process(argv + list(arguments), stdin=given, stdout=written, env=self.environment,
                                      what=what, accepted=accepted, cwd=self.path)
            try:
                rc, err = process.finish()
            except CommandError as error:
                raise self._explained(error, what) from None
            except BaseException:
                process.abort()
                raise
            written.seek(0)
            return Answer(rc, written.read(), without_credentials(err))

    def text(self, *arguments, **options):
        """Run git and return what it says as text (str), without white space at the end."""
        return self.run(*arguments, **options).out.decode("utf-8", "surrogateescape").rstrip()

    def ask(self, *arguments):
        """Return what git says (str), or None if it says that there is no answer."""
        answer = self.run(*arguments, accepted=(0, 1, 2, 128))
        return answer.out.decode("utf-8", "surrogateescape").rstrip("\n") if answer.rc == 0 else None

    def _explained(self, error, what):
        """Return the error that tells an operator more than git's own words, without credentials."""
        said = without_credentials(error.details.get("stderr") or error.message)
        lock, owner = _LOCK.search(said), _OWNER.search(said)
        if lock:
            return LockedError(
                "Another git is at work in %s, or one that died has left %s behind" % (self.path, lock.group(1)),
                "If no git runs there, remove that file, and run this again.", lock=lock.group(1))
        if owner:
            return UsageError(
                "The working tree %s belongs to somebody else than who runs git here (%s), so git does not trust it"
                % (owner.group(1), _me()),
                "Run this as its owner (ansible_become_user), or trust it: git config --global --add safe.directory %s"
                % owner.group(1))
        hint = next((hint for words, hint in _HINTS if words in said), None)
        return CommandError("%s failed in %s: %s" % (what, self.path, said), hint, rc=error.details.get("rc"))


_HINTS = (
    ("Host key verification failed",
     "Give the server's line of known_hosts in moodle_backup_repository_ssh_host_key, once you know that it is right."),
    ("Permission denied (publickey", "Give a private key that the server accepts in moodle_backup_repository_ssh_key."),
    ("could not read Username",
     "Give the right account in moodle_backup_repository_user and moodle_backup_repository_password."),
    ("Authentication failed", "Check moodle_backup_repository_user and moodle_backup_repository_password."),
    ("does not appear to be a git repository", "Check the address of the remote, and that it was made there."),
    ("not found", "Check the address of the remote, and that it was made there."),
    ("No space left on device", "Make room, and run this again."),
    ("would be overwritten", "Commit these files first (action save-snapshot), or remove them."),
)


def _me():
    return "user %d" % os.geteuid()


def _ssh_command(key=None, known_hosts=None):
    """Return the command (str, for git's shell) that reaches a server and never asks anybody."""
    words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=20",
             "-o", "ServerAliveInterval=15"]
    if key:
        words += ["-i", key, "-o", "IdentitiesOnly=yes"]
    if known_hosts:
        words += ["-o", "UserKnownHostsFile=%s" % known_hosts]
    return " ".join(shlex.quote(word) for word in words)


@contextlib.contextmanager
def reaching(git, address, key=None, host_key=None, user=None, password=None):
    """Give a Git (of the same folder) that can log in to a remote.

    :param address: str, of the remote. :param key: path of a private key on this host, or None.
    :param host_key: str, lines of known_hosts that are the only ones to count, or None.
    :param user: str. :param password: str, for HTTPS; git and its helpers find it in their environment.
    """
    if key and not os.path.isfile(key):
        raise NotFoundError("The private key %s does not exist on this host" % key)
    environment = {}
    with tempfile.TemporaryDirectory(prefix=".moodle_backup_") as folder:
        known_hosts = None
        if host_key:
            known_hosts = os.path.join(folder, "known_hosts")
            with open(known_hosts, "w", encoding="utf-8") as handle:
                handle.write(host_key.rstrip() + "\n")
        environment["GIT_SSH_COMMAND"] = _ssh_command(key, known_hosts)
        if password:
            environment.update(_authorization(address, user, password))
        yield git.with_environment(**environment)


def _authorization(address, user, password):
    parts = urlsplit(address)
    if parts.scheme.lower() != "https":
        raise UsageError(
            "There is a password for the remote, but %s is not reached over HTTPS" % without_credentials(address),
            "Use an https:// address, so that nobody reads the password on the way, or a key with ssh.")
    header = b64encode(("%s:%s" % (user or "git", password)).encode()).decode()
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.%s://%s/.extraHeader" % (parts.scheme, parts.netloc),
            "GIT_CONFIG_VALUE_0": "Authorization: Basic %s" % header}


def top(path):
    """Return the Git of a working tree. :raises: NotFoundError, UsageError if the path is not the top of one."""
    hint = "Make it one with moodle_backup_repository_action=init, or clone it there."
    if not os.path.isdir(path):
        raise NotFoundError("There is no folder %s" % path, hint)
    git = Git(path)
    try:
        found = git.text("rev-parse", "--show-toplevel", what="looking for the repository")
    except CommandError as error:
        raise NotFoundError("%s is not the working tree of a git repository: %s" % (
            path, error.message.rpartition("fatal: ")[2]), hint) from error
    if os.path.realpath(found) != os.path.realpath(path):
        raise UsageError("%s is inside of the git repository %s" % (path, found),
                         "Name the top of that repository, or a folder outside of it.")
    return git


def find(path):
    """Return the Git of a working tree, or None if the path is in no repository at all. :raises: UsageError."""
    above = path
    while not os.path.isdir(above) and above != os.path.dirname(above):
        above = os.path.dirname(above)
    if Git(above).ask("rev-parse", "--show-toplevel") is None:
        # One that git does not trust, or that is broken, is not to be made anew: top() says what is wrong with it.
        return top(path) if os.path.lexists(os.path.join(path, ".git")) else None
    if above != path:
        raise UsageError("%s is inside of a git repository" % path,
                         "Name the top of that repository, or a folder outside of it.")
    return top(path)


def make(path, branch):
    """Make a folder the top of a new repository. :returns: Git. :raises: StorageError, UsageError."""
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise StorageError("The folder %s cannot be made: %s" % (path, error.strerror),
                           "Choose another path, or make it by hand.") from error
    git = Git(path)
    git.run("init", "-q", "--template=", "--initial-branch", branch, what="making the repository")
    return git


def check_name(git, name, kind="heads"):
    """Return the name of a branch, or of a tag (kind "tags"), if git takes it; raise UsageError otherwise."""
    if name.startswith("-") or git.ask("check-ref-format", "refs/%s/%s" % (kind, name)) is None:
        raise UsageError("'%s' cannot be the name of a %s" % (name, "tag" if kind == "tags" else "branch"))
    return name
