# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A remote repository: whether it is ahead or behind, and both sides brought together without force."""
from __future__ import annotations

import os
import tempfile

from . import _git
from ._errors import CommandError, UsageError

NAME = "origin"


def address(git):
    """Return the address of the remote (str, perhaps with credentials in it), or None if there is none."""
    return git.ask("config", "--get", "remote.%s.url" % NAME)


def set_address(git, wanted, check_mode=False):
    """Make an address (str) that of the remote. :returns: whether it was another one (bool). :raises: UsageError."""
    _git.check_address(wanted)
    known = address(git)
    if known == wanted:
        return False
    if not check_mode and known is None:
        git.run("remote", "add", NAME, wanted)
    elif not check_mode:
        git.run("remote", "set-url", NAME, wanted)
    return True


class Remote:
    """A remote, seen from a working tree.

    :param tree: _commit.WorkingTree. :param git: _git.Git that can log in to the remote, see _git.reaching.
    :raises: CommandError if it cannot be reached.
    """

    def __init__(self, tree, git):
        self._tree, self._git = tree, git
        self.address = _git.without_credentials(address(git))
        self.head, self.tags = None, {}
        wanted = "refs/heads/%s" % tree.branch
        said = git.text("ls-remote", NAME, wanted, "refs/tags/*", what="asking the remote %s" % self.address)
        for identifier, name in (line.split("\t") for line in said.splitlines()):
            if name == wanted:
                self.head = identifier
            elif name.startswith("refs/tags/") and not name.endswith("^{}"):
                self.tags[name[len("refs/tags/"):]] = identifier

    def own_tags(self):
        """Return the tags of the working tree's repository (dict of name to ID)."""
        said = self._git.text("for-each-ref", "--format=%(objectname) %(refname:strip=2)", "refs/tags")
        return {name: identifier for identifier, _space, name in (line.partition(" ") for line in said.splitlines())}

    def distance(self, git=None):
        """Return how many commits are missing (there, here): (int, int); None for here if they are not even known."""
        git, head = git or self._git, self._tree.head()
        if self.head is None:
            return (self._count(git, head) if head else 0), 0
        if git.ask("cat-file", "-e", "%s^{commit}" % self.head) is None:
            return None, None
        if head is None:
            return 0, self._count(git, self.head)
        return self._count(git, head, "^" + self.head), self._count(git, self.head, "^" + head)

    @staticmethod
    def _count(git, *wanted):
        return int(git.text("rev-list", "--count", *wanted))

    def sync(self, check_mode=False):
        """Fetch; then take over what is new there if nothing is new here, else push commits and tags.

        :returns: {"pulled", "pushed" (numbers of commits), "tags_pulled", "tags_pushed" (lists of str)}.
        :raises: UsageError if both sides have commits that the other one lacks, or another commit under the same tag.
        """
        own = self.own_tags()
        other = sorted(name for name in own if self.tags.get(name, own[name]) != own[name])
        if other:
            raise UsageError(
                "The tag '%s' is another one in %s than here" % (other[0], self.address),
                "Remove the wrong one yourself (git tag -d, git push --delete); nothing is overwritten.")
        new = sorted(set(self.tags) - set(own))
        with tempfile.TemporaryDirectory(prefix="moodle_backup_", dir=self._tree.folder) as folder:
            git = self._fetch(new, folder if check_mode else None)
            ahead, behind = self.distance(git)
        if ahead and behind:
            raise UsageError(
                "Both %s and %s have commits that the other one lacks: %d here, %d there"
                % (self._git.path, self.address, ahead, behind),
                "Bring them together yourself, and run this again: git -C %s pull --rebase %s %s"
                % (self._git.path, NAME, self._tree.branch))
        if behind and not check_mode:
            self._git.run("merge", "-q", "--ff-only", self.head, what="taking over what is new in the remote")
        missing = sorted(set(own) - set(self.tags))
        if (ahead or missing) and not check_mode:
            self._push(ahead, missing)
        return {"pulled": behind, "pushed": ahead, "tags_pulled": new, "tags_pushed": missing}

    def _fetch(self, tags, apart):
        """Fetch the branch and new tags; with a folder apart, into that one. :returns: the Git that knows them."""
        git = self._git
        known = git.ask("cat-file", "-e", "%s^{commit}" % self.head) is not None if self.head else True
        branch = "+refs/heads/%s:refs/remotes/%s/%s" % (self._tree.branch, NAME, self._tree.branch)
        wanted = ([branch] if self.head else []) + ["refs/tags/%s:refs/tags/%s" % (name, name) for name in tags]
        options = ["--no-tags", "--quiet"]
        if apart is not None:
            if known:
                return git
            objects = os.path.join(apart, "objects")
            os.mkdir(objects)
            git = git.with_environment(
                GIT_OBJECT_DIRECTORY=objects, GIT_ALTERNATE_OBJECT_DIRECTORIES=self._tree.objects)
            options += ["--dry-run"]
        if wanted:
            git.run("fetch", *options, NAME, *wanted, what="fetching from %s" % self.address)
        return git

    def _push(self, ahead, tags):
        refs = ["refs/tags/%s" % name for name in tags]
        branch = "refs/heads/%s" % self._tree.branch
        known = [identifier for identifier in {self.head, *self.tags.values()}
                 if identifier and self._git.ask("cat-file", "-e", identifier) is not None]
        self._tree.refuse_commits(([branch] if ahead else []) + refs, known)
        wanted = (["%s:%s" % (branch, branch)] if ahead else []) + ["%s:%s" % (ref, ref) for ref in refs]
        try:
            self._git.run("push", "--quiet", NAME, *wanted, what="pushing to %s" % self.address)
        except CommandError as error:
            if "(fetch first)" in error.message or "(non-fast-forward)" in error.message:
                raise UsageError("Somebody else pushed to %s meanwhile" % self.address, "Run this again.") from error
            raise
