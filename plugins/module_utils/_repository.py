# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repository that keeps track of backups: what each state of the module backup_repository does."""
from __future__ import annotations

import contextlib
import os
import re

from . import _backup_set, _catalog, _commit, _git, _records, _remote, _secrets, _tracking
from ._errors import NotFoundError, StorageError, UsageError

_README = "backups/README.md"
_TITLE = "Keep track of backups"
_BEGIN, _END = "# moodleclaude.backup: begin", "# moodleclaude.backup: end"
_BLOCK = re.compile(r"^%s\n.*?^%s\n?" % (re.escape(_BEGIN), re.escape(_END)), re.MULTILINE | re.DOTALL)
IGNORED = """\
# Large artefacts: they are outside of git, and .backup_tracking tells where.
*.zst
*.gz
*.tgz
*.tar
*.xz
*.bz2
*.mbz
*.dump
*.sql
# Secrets. What has to be in git all the same goes behind this block, with a "!" before it.
.env
.env.*
*.env
!.env.example
*.key
*.pem
*.p12
*.pfx
*.jks
*.kdbx
id_rsa*
id_dsa*
id_ecdsa*
id_ed25519*
*.token
*token.txt
*tokens.txt
*.secret
secrets/
.pgpass
.my.cnf
.netrc
.git-credentials
.vault_pass*
"""


def with_block(text, folders):
    """Return a .gitignore (str) that has our block, at its end or where it was; other lines stay.

    :param folders: list of str, further folders to ignore, relative to the top.
    """
    lines = "".join("/%s/\n" % re.sub(r"([\\*?\[\]#! ])", r"\\\1", folder) for folder in folders)
    block = "%s\n%s%s%s\n" % (_BEGIN, IGNORED, "# The backups themselves.\n" + lines if lines else "", _END)
    if _BLOCK.search(text):
        return _BLOCK.sub(lambda found: block, text, count=1)
    return text + ("" if not text or text.endswith("\n") else "\n") + ("\n" if text else "") + block


class Repository:
    """A working tree, and the root whose backups it keeps track of.

    :param params: dict, the module's options. :param check_mode: bool.
    """

    def __init__(self, params, check_mode):
        self.params, self.check_mode = params, check_mode
        self.path = os.path.normpath(params["path"])
        if not os.path.isabs(self.path):
            raise UsageError("The path of the repository, '%s', is not absolute" % params["path"])
        self.root = _backup_set.Root(params["root"])
        self.host = params["host"] or os.uname().nodename
        self._all_known = None
        self._refuse_root()

    @property
    def _known(self):
        """What is known of the secrets of all stacks (_secrets.Known)."""
        if self._all_known is None:
            self._all_known = _secrets.Known(self.root, self.params["not_secret"])
        return self._all_known

    def _refuse_root(self):
        root, path = os.path.realpath(self.root.path), os.path.realpath(self.path)
        if path == root or path.startswith(root + os.sep):
            raise UsageError("The repository %s is in the backup root %s" % (self.path, self.root.path),
                             "Name a folder outside of it: a backup holds what nobody may see in a repository.")

    def tree(self, git, hider=None):
        author = (self.params["author_name"], self.params["author_email"])
        hider = hider or self._known.hider(_secrets.key_of(self.root, create=False))
        return _commit.WorkingTree(git, self.params["branch"], hider, author, self.params["max_size"])

    def _result(self, done, **more):
        """Return a result (dict) of what WorkingTree.commit() did."""
        return dict(changed=bool(done["changes"]), commit=done["commit"], changes=done["changes"],
                    message=done["message"], warnings=self._known.warnings, **more)

    # --- the states ---------------------------------------------------------------------------------------------------

    def initialized(self):
        """Make the repository and what belongs in it, as far as it is not there."""
        git = _git.find(self.path)
        if git is None and self.check_mode:
            if self.params["remote"]:
                _git.check_address(self.params["remote"])
            changes = [_commit.Change("added", path, None, None) for path in sorted(self._first_files())]
            return {"changed": True, "commit": None, "warnings": self._known.warnings,
                    "message": _commit.describe(changes, _TITLE),
                    "changes": [{"kind": change.kind, "path": change.path} for change in changes]}
        new = git is None
        if new:
            _git.check_name(_git.Git("/"), self.params["branch"])
            git = _git.make(self.path, self.params["branch"])
        tree = self.tree(git)
        with tree.locked():
            remote = bool(self.params["remote"]) and _remote.set_address(git, self.params["remote"], self.check_mode)
            done = tree.commit(title=_TITLE, files=self._first_files(), everything=False,
                               check_mode=self.check_mode)
        result = self._result(done)
        result["changed"] = result["changed"] or new or remote
        return result

    def _first_files(self):
        relative = os.path.relpath(os.path.realpath(self.root.path), os.path.realpath(self.path))
        inside = [] if relative.startswith("..") else [relative]
        files = {".gitignore": with_block(self.read(".gitignore") or "", inside)}
        if self.read(_tracking.FILENAME) is None:
            files[_tracking.FILENAME] = _tracking.render([])
        if self.read(_README) is None:
            files[_README] = _records.README
        return files

    def read(self, path):
        """Return the text of a file of the working tree, or None if there is none."""
        try:
            with open(os.path.join(self.path, path), encoding="utf-8", errors="surrogateescape") as handle:
                return handle.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def entries(self):
        text = self.read(_tracking.FILENAME)
        if text is None:
            raise NotFoundError("%s has no %s" % (self.path, _tracking.FILENAME),
                                "Run moodle_backup_repository_action=init first.")
        return _tracking.parse(text)

    def snapshot(self):
        """Commit what has changed in the working tree."""
        tree = self.tree(_git.top(self.path))
        with tree.locked():
            return self._result(tree.commit(self.params["commit_message"], check_mode=self.check_mode))

    def recorded(self):
        """Commit what describes a backup, where its artefacts are, and what has changed in the working tree."""
        git = _git.top(self.path)
        tree = self.tree(git)
        name = self.params["name"]
        if self.check_mode and name != "latest" and not os.path.isdir(self.root.folder(name)):
            with tree.locked():
                self.entries()
            # Nobody has made it yet: that would be the task before.
            return dict(self._result({"changes": [], "commit": None, "message": None}), changed=True, name=name)
        backup = _backup_set.find(self.root, name, self.params["stack"])
        hider = self._known.hider(_secrets.key_of(self.root, create=not self.check_mode))
        tree = self.tree(git, hider)
        with tree.locked(), _backup_set.reading(backup["path"]):
            entries = [entry for entry in self.entries() if entry.name != backup["name"]]
            found = {entry["name"]: entry for entry in _catalog.backups(self.root)}
            note = found.get(backup["name"], {}).get("note", {})
            entries += _records.entries_of(self.root, backup, note, self.host, hider)
            newest = not any(entry["stack"] == backup["stack"] and entry["created"] > backup["created"]
                             and entry["name"] in _tracking.names(entries) for entry in found.values())
            files = _records.files_of(backup, hider, newest)
            files.update(self._outdated(git, files, "backups/%s" % backup["name"]))
            if newest:
                files.update(self._outdated(git, files, "stacks/%s" % backup["stack"]))
            files[_tracking.FILENAME] = _tracking.render(self._with_copies(entries, found, hider))
            done = tree.commit(self.params["commit_message"], "Backup %s" % backup["name"], files,
                               check_mode=self.check_mode)
        return self._result(done, name=backup["name"])

    @staticmethod
    def _outdated(git, files, folder):
        """Return the files of a folder that git has and that are not among new ones (dict of path to None)."""
        return {path: None for path in _listed(git, folder) if path not in files}

    def _with_copies(self, entries, found, hider):
        """Return the entries with the copies of now, of all backups that are on this host."""
        result = []
        for name in _tracking.names(entries):
            own = [entry for entry in entries if entry.name == name]
            if name in found:
                backup = dict(found[name]["backup"], path=found[name]["path"])
                now = _records.entries_of(self.root, backup, found[name]["note"], self.host, hider)
                own = [entry for entry in own if not entry.storage.startswith(_tracking.COPY)]
                own += [entry for entry in now if entry.storage.startswith(_tracking.COPY)]
            result += own
        return result

    def cleaned(self):
        """Forget backups of this host that are gone; what is known of copies of them stays."""
        git = _git.top(self.path)
        tree = self.tree(git)
        with tree.locked():
            entries = self.entries()
            if not os.path.isdir(self.root.backups) and any(map(self._is_here, entries)):
                raise StorageError("There is no folder %s" % self.root.backups,
                                   "If it is on a disk of its own, mount that first. Nothing was forgotten.")
            there = {entry["name"] for entry in _catalog.survey(self.root) if entry["state"] != _catalog.PARTIAL}
            there.difference_update(self.params["gone"])
            kept = [entry for entry in entries if entry.name not in self.params["forget"]
                    and (entry.name in there or not self._is_here(entry))]
            gone = [name for name in _tracking.names(entries) if name not in _tracking.names(kept)]
            files = {path: None for name in gone for path in _listed(git, "backups/%s" % name)}
            if kept != entries:
                files[_tracking.FILENAME] = _tracking.render(kept)
            message = None
            if gone:
                message = "Forget %d backups that are gone\n\n%s" % (len(gone), "\n".join(gone))
            done = tree.commit(message, "Forget backups", files, everything=False, check_mode=self.check_mode)
        return self._result(done, forgotten=gone)

    def _is_here(self, entry):
        return not entry.storage.startswith(_tracking.COPY) and entry.where.startswith(
            "%s:%s/" % (self.host, self.root.path))

    def synced(self):
        """Bring the repository and its remote together."""
        git = _git.top(self.path)
        tree = self.tree(git)
        with tree.locked():
            changed = bool(self.params["remote"]) and _remote.set_address(git, self.params["remote"], self.check_mode)
            if changed and self.check_mode:
                return {"changed": True, "warnings": self._known.warnings}
            with self.reaching(git) as reaching:
                done = _remote.Remote(tree, reaching).sync(self.check_mode)
        return dict(done, changed=changed or any(done.values()), warnings=self._known.warnings)

    @contextlib.contextmanager
    def reaching(self, git):
        """Give a Git that can log in to the remote. :raises: UsageError if there is no remote."""
        address = _remote.address(git)
        if address is None:
            raise UsageError("%s has no remote '%s'" % (self.path, _remote.NAME),
                             "Give its address in moodle_backup_repository_remote.")
        params = self.params
        with _git.reaching(git, address, params["ssh_key"], params["ssh_host_key"], params["user"],
                           params["password"]) as reaching:
            yield reaching

    def tagged(self):
        """Tag the current commit as a release."""
        git = _git.top(self.path)
        if not self.params["tag"]:
            raise UsageError("The tag has no name", "Give it in moodle_backup_repository_tag.")
        name = _git.check_name(git, self.params["tag"], "tags")
        tree = self.tree(git)
        with tree.locked():
            tracked = _tracking.names(self.entries())
            message = self.params["commit_message"] or "Release %s" % name
            message = "%s\n\nLatest backup: %s\n" % (message.strip(), tracked[-1] if tracked else "none")
            changed = tree.tag(name, message, self.check_mode)
        return {"changed": changed, "tag": name, "message": message, "commit": tree.head(),
                "name": tracked[-1] if tracked else None, "warnings": self._known.warnings}


def _listed(git, folder):
    """Return the files of a folder that git has (list of str)."""
    said = git.run("ls-files", "-z", "--", folder).out.decode("utf-8", "surrogateescape")
    return [path for path in said.split("\0") if path]
