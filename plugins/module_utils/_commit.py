# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commits in a working tree: what would be in one is looked through before git keeps any of it.

The files are first taken into an index and a store of objects of their own, in a temporary folder. So a check changes
nothing, and a file that is refused has left no trace in the repository. Then the same is done for real, and only if it
gives the same tree, the branch moves on to the new commit.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time

from . import _json_file
from ._errors import IntegrityError, LockedError, StorageError, UsageError
from ._stream import PartialFile

LARGEST = 50 * 1024 * 1024  # bytes of a file that git is to hold
_UNDERWAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "BISECT_LOG")
_PATIENCE = 3  # seconds that another git may take
_BATCH = 32 * 1024 * 1024  # bytes of files that are in memory at once, and one more file
_APART = "moodle_backup_"
_NAMED = 3  # files of a kind that the first line of a message names
_LISTED = 50  # files that a message lists


class Change:
    """One file of a commit. kind: "added", "changed" or "removed". blob: str, or None. mode: str as git has it."""

    def __init__(self, kind, path, blob, mode):
        self.kind, self.path, self.blob, self.mode = kind, path, blob, mode


class WorkingTree:
    """A working tree in which commits are made.

    :param git: _git.Git. :param branch: str, the only one that commits go to. :param hider: _redact.Hider.
    :param author: (name, address), for a repository whose git knows none. :param largest: bytes of a file.
    """

    def __init__(self, git, branch, hider, author, largest=LARGEST):
        self.git, self.branch, self._hider, self._author, self._largest = git, branch, hider, author, largest
        self.folder = git.text("rev-parse", "--absolute-git-dir")
        self.objects = os.path.join(git.text("rev-parse", "--path-format=absolute", "--git-common-dir"), "objects")

    @contextlib.contextmanager
    def locked(self):
        """Keep other runs of this collection waiting, and refuse to work beside another git or on top of a conflict."""
        with _json_file.locked(self.folder):
            for entry in os.listdir(self.folder):
                if entry.startswith(_APART):  # of a run that was killed, or it would hold the lock
                    shutil.rmtree(os.path.join(self.folder, entry))
            self.check()
            yield

    def check(self):
        """Raise LockedError or UsageError if no commit can be made now."""
        lock, since = os.path.join(self.folder, "index.lock"), time.monotonic()
        while os.path.lexists(lock):
            if time.monotonic() - since > _PATIENCE:
                raise LockedError(
                    "Another git is at work in %s, or one that died has left %s behind" % (self.git.path, lock),
                    "If no git runs there, remove that file, and run this again.", lock=lock)
            time.sleep(0.2)
        found = [name for name in _UNDERWAY if os.path.exists(os.path.join(self.folder, name))]
        if found or self.conflicts():
            raise UsageError(
                "A merge, rebase or the like is not finished in %s (%s)" % (
                    self.git.path, ", ".join(self.conflicts()[:5]) or found[0]),
                "Finish it or undo it with git, then run this again.")
        current = self.git.ask("symbolic-ref", "-q", "--short", "HEAD")
        if current != self.branch:
            raise UsageError(
                "The working tree %s is %s, not on '%s'" % (
                    self.git.path, "on branch '%s'" % current if current else "on no branch", self.branch),
                "Change over to it with git, or set moodle_backup_repository_branch.")

    def conflicts(self):
        """Return the paths that a merge has left in conflict (sorted list of str)."""
        return sorted({entry.partition("\t")[2] for entry in self._list("ls-files", "-z", "--unmerged")})

    def head(self):
        """Return the current commit (str), or None if there is none yet."""
        return self.git.ask("rev-parse", "-q", "--verify", "HEAD^{commit}")

    def _list(self, *arguments, git=None):
        text = (git or self.git).run(*arguments).out.decode("utf-8", "surrogateescape")
        return [entry for entry in text.split("\0") if entry]

    def commit(self, message=None, title="Snapshot", files=None, everything=True, check_mode=False):
        """Commit what is in the working tree and not ignored.

        :param message: str, or None for one that names the files. :param title: str, begins the generated one.
        :param files: dict of path to text that are written before and committed even if they are ignored, None to
            remove; in check mode, and if anything is refused, they are not written.
        :param everything: bool, False to commit nothing but these files, whatever else was changed or added.
        :returns: {"commit" (str, None in check mode or if nothing is to be done), "message", "changes" (list of
            {"kind", "path"})}.
        :raises: IntegrityError if a file holds a secret or is too large, LockedError, StorageError.
        """
        with tempfile.TemporaryDirectory(prefix=_APART, dir=self.folder) as folder:
            files = files or {}
            self._refuse_links(files)
            os.mkdir(os.path.join(folder, "objects"))
            apart = self._apart(folder)
            tree = self._stage(apart, folder, files, everything)
            changes = self._changes(apart)
            if not changes:
                return {"commit": None, "message": None, "changes": []}
            self._refuse(changes, apart)
            message = (message or describe(changes, title)).strip() + "\n"
            self._refuse_text(message, "The message of the commit")
            result = {"commit": None, "message": message, "changes": [
                {"kind": change.kind, "path": printable(change.path)} for change in changes]}
            if not check_mode:
                self._write(files)
                result["commit"] = self._commit(folder, tree, files, everything, message)
        return result

    def _apart(self, folder):
        """Return a Git that keeps index and objects in a folder."""
        return self.git.with_environment(
            GIT_INDEX_FILE=os.path.join(folder, "index"), GIT_OBJECT_DIRECTORY=os.path.join(folder, "objects"),
            GIT_ALTERNATE_OBJECT_DIRECTORIES=self.objects)

    def _stage(self, git, folder, files, everything):
        """Take what is to be committed into an index of its own. :returns: its tree (str)."""
        index = os.path.join(folder, "index")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(index)
        if everything:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(os.path.join(self.folder, "index"), index)
            git.run("add", "--all", what="looking through the working tree")
        elif self.head():
            git.run("read-tree", "HEAD")
        lines = []
        for path, text in sorted(files.items()):
            blob = None if text is None else git.text(
                "hash-object", "-w", "--stdin", "--path", path, stdin=_encoded(text))
            lines.append(_index_line(path, blob))
        git.run("update-index", "-z", "--index-info", stdin=b"".join(lines))
        return git.text("write-tree")

    def _changes(self, git):
        before = self.head() or self._nothing()
        fields = self._list("diff-index", "-z", "--cached", "--no-renames", "--raw", before, git=git)
        changes = []
        for described, path in zip(fields[::2], fields[1::2]):
            _before, mode, _old, blob, status = described.lstrip(":").split(" ")
            kind = {"A": "added", "D": "removed"}.get(status[0], "changed")
            changes.append(Change(kind, path, None if kind == "removed" else blob, mode))
        return changes

    def _nothing(self):
        """Return the ID of a tree without files (str)."""
        return self.git.text("hash-object", "-t", "tree", "--stdin")

    def _refuse(self, changes, git):
        """Raise IntegrityError if what is to be committed is too large or holds a secret."""
        found = [change for change in changes if change.blob and change.mode != "160000"]
        problems = self._problems([(change.blob, change.path) for change in found], git)
        for change in changes:
            for _line, origin in self._hider.find(_encoded(change.path)):
                problems.append("the name of %s holds %s" % (self._hider.line(printable(change.path)), origin))
        if problems:
            raise IntegrityError(
                "Nothing was committed in %s: %s" % (self.git.path, listed(problems, 10)),
                "Take it out, or add the file to .gitignore (git rm --cached for one that git has already).",
                problems=problems)

    def _problems(self, blobs, git):
        """Return what is wrong with blobs (list of str). :param blobs: list of (ID, path)."""
        sizes = git.run("cat-file", "--batch-check=%(objectsize)", what="looking at files",
                        stdin="".join("%s\n" % blob for blob, _path in blobs).encode()).out.split()
        problems, batch, sum_of_batch = [], [], 0
        for (blob, path), size in zip(blobs, map(int, sizes)):
            if size > self._largest:
                problems.append("%s has %d bytes, more than the %d that a file may have in git" % (
                    printable(path), size, self._largest))
                continue
            if sum_of_batch + size > _BATCH:
                problems += self._searched(batch, git)
                batch, sum_of_batch = [], 0
            batch.append((blob, path))
            sum_of_batch += size
        return problems + self._searched(batch, git)

    def _searched(self, blobs, git):
        """Return which of some objects hold secrets (list of str). :param blobs: list of (ID, what it is)."""
        answer = git.run("cat-file", "--batch", stdin="".join("%s\n" % blob for blob, _path in blobs).encode()).out
        problems, place = [], 0
        for _blob, path in blobs:
            begin = answer.index(b"\n", place) + 1  # after "<ID> <type> <size>"
            place = begin + int(answer[place:begin].split()[2]) + 1
            problems += ["%s holds %s in line %d" % (printable(path), origin, line)
                         for line, origin in self._hider.find(answer[begin:place - 1])]
        return problems

    def _refuse_text(self, text, what):
        found = self._hider.find(_encoded(text))
        if found:
            raise IntegrityError("%s holds %s, so nothing was done" % (what, found[0][1]), "Choose another one.")

    def _refuse_links(self, files):
        """Raise UsageError if the folder of a file is somewhere else than its name says."""
        top = os.path.realpath(self.git.path)
        for path in files:
            folder = os.path.dirname(os.path.join(top, path))
            if os.path.realpath(folder) != folder:
                raise UsageError("The folder %s is a link to somewhere else" % folder, "Remove the link.")

    def _write(self, files):
        """Write files into the working tree, or remove them."""
        for path, text in sorted(files.items()):
            target = os.path.join(self.git.path, path)
            folder = os.path.dirname(target)
            if text is None:
                _remove(target, self.git.path)
                continue
            try:
                os.makedirs(folder, mode=0o755, exist_ok=True)
            except OSError as error:
                raise StorageError("The folder %s cannot be made: %s" % (folder, error.strerror)) from error
            with PartialFile(target, overwrite=True) as out:
                out.write(_encoded(text))
                out.publish()

    def _commit(self, folder, tree, files, everything, message):
        """Do for real what was foreseen. :returns: the new commit (str)."""
        head = self.head()
        with_index = self.git.with_environment(GIT_INDEX_FILE=os.path.join(folder, "index"))
        if self._stage(with_index, folder, files, everything) != tree:
            raise IntegrityError("Files in %s changed while they were looked through" % self.git.path,
                                 "Nothing was committed. Run this again.")
        self._take_over(files, everything)
        git = self.git.with_environment(**self._identity())
        parents = ["-p", head] if head else []
        commit = git.text("commit-tree", tree, *parents, "-F", "-", stdin=_encoded(message))
        git.run("update-ref", "-m", "commit: %s" % message.partition("\n")[0], "refs/heads/%s" % self.branch, commit,
                head or "0" * len(commit))
        return commit

    def _take_over(self, files, everything):
        """Bring git's own index up to date with what is going to be the commit."""
        if everything:
            self.git.run("add", "--all", what="adding the working tree")
        written = [path for path, text in files.items() if text is not None]
        if written:
            self.git.run("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul",
                         stdin=b"".join(_encoded(path) + b"\0" for path in written), what="adding what was recorded")
        gone = [_index_line(path, None) for path, text in files.items() if text is None]
        self.git.run("update-index", "-z", "--index-info", stdin=b"".join(gone))

    def _identity(self):
        """Return who commits (dict for the environment), as far as git does not know it by itself."""
        names = {}
        for key, variable, value in zip(("user.name", "user.email"), ("NAME", "EMAIL"), self._author):
            if not self.git.ask("config", "--get", key):
                names.update({"GIT_AUTHOR_%s" % variable: value, "GIT_COMMITTER_%s" % variable: value})
        return names

    def tag(self, name, message, check_mode=False):
        """Make an annotated tag on the current commit. :returns: whether there was none (bool)."""
        head = self.head()
        if head is None:
            raise UsageError("%s has no commit to be tagged" % self.git.path, "Run save-snapshot first.")
        there = self.git.ask("rev-parse", "-q", "--verify", "refs/tags/%s^{commit}" % name)
        if there == head:
            return False
        if there is not None:
            raise UsageError("The tag '%s' exists already, on another commit (%s)" % (name, there[:12]),
                             "Choose another name; a tag that others may have does not move.")
        self._refuse_text("%s\n%s" % (name, message), "The tag or its message")
        if not check_mode:
            self.git.with_environment(**self._identity()).run(
                "tag", "-a", "--cleanup=whitespace", "-F", "-", name, stdin=_encoded(message))
        return True

    def refuse_commits(self, wanted, known):
        """Raise IntegrityError if commits or tags that a remote lacks hold a secret or a file that is too large.

        :param wanted: list of str, what is to be sent. :param known: list of str, commits that the remote has.
        """
        lines = self.git.run("rev-list", "--objects", *wanted, "--not", *known, what="looking through the commits")
        named = [line.partition(" ") for line in lines.out.decode("utf-8", "surrogateescape").splitlines()]
        kinds = self.git.run("cat-file", "--batch-check=%(objecttype)", what="looking at commits",
                             stdin="".join("%s\n" % one[0] for one in named).encode()).out.decode().split()
        problems = self._problems(
            [(one[0], one[2]) for one, kind in zip(named, kinds) if kind == "blob"], self.git)
        problems += self._searched(
            [(one[0], "%s %s" % (kind, one[0][:12])) for one, kind in zip(named, kinds) if kind in ("commit", "tag")],
            self.git)
        if problems:
            raise IntegrityError(
                "Nothing was pushed from %s: %s" % (self.git.path, listed(problems, 10)),
                "These commits were made by hand. Rewrite them without it (git rebase -i), and change the password.",
                problems=problems)


def _remove(path, top):
    """Remove a file, and the folders above it that are empty then, below a top."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    folder = os.path.dirname(path)
    while folder != top:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)


def _index_line(path, blob):
    """Return what puts a file into an index, or takes it out if it has no blob (bytes)."""
    return _encoded("100644 %s\t%s\0" % (blob, path) if blob else "0 %s\t%s\0" % ("0" * 40, path))


def _encoded(text):
    return text.encode("utf-8", "surrogateescape")


def printable(text):
    """Return a file's name (str) as a message or a result may hold it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def listed(entries, count):
    """Return the first entries of a list in words (str), and how many more there are."""
    more = "; and %d more" % (len(entries) - count) if len(entries) > count else ""
    return "; ".join(entries[:count]) + more


def describe(changes, title):
    """Return a message (str) that says what a commit does: how many files, and which. :param title: str."""
    parts, body = [], []
    for kind in ("added", "changed", "removed"):
        paths = [printable(change.path) for change in changes if change.kind == kind]
        if paths:
            more = " and %d more" % (len(paths) - _NAMED) if len(paths) > _NAMED else ""
            parts.append("%d %s (%s%s)" % (len(paths), kind, ", ".join(paths[:_NAMED]), more))
            body += ["%-8s %s" % (kind, path.replace("\n", "\\n")) for path in paths]
    subject = "%s: %s" % (title, "; ".join(parts).replace("\n", "\\n"))
    if len(body) > _LISTED:
        body = body[:_LISTED] + ["... and %d more" % (len(body) - _LISTED)]
    return "\n".join([subject, ""] + body)
