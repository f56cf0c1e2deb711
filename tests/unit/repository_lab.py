# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup root with secrets in it, a working tree and a bare remote, for tests of the repository of backups."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tarfile

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set
from ansible_collections.moodleclaude.backup.plugins.module_utils._repository import Repository
from ansible_collections.moodleclaude.backup.plugins.module_utils._repository_status import status

PASSWORD = "s3cret 'of' the $DATABASE"
SECRETS = {"database": PASSWORD, "salt": "salt & pepper", "admin": "Adm1n of school", "env": "from the env file",
           "url": "pa55-in-url", "role": "SCRAM-SHA-256$4096:abcdef==$x:y", "getenv": "from getenv"}


def git(path, *arguments, stdin=None):
    return subprocess.run(["git", "-C", str(path), *arguments], check=True, capture_output=True,
                          encoding="utf-8", input=stdin).stdout


def pack(path, files):
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def make_backup(root, name, stack="school", password=PASSWORD, release="4.5", getenv=SECRETS["getenv"]):
    begun = _backup_set.begin(root, stack, name, "me")
    folder = begun["folder"]
    definition = {"name": "%s-db" % stack, "image": "postgres:16", "config": {
        "Env": ["POSTGRES_PASSWORD=%s" % password, "POSTGRES_USER=moodle", "DBX=%s" % getenv,
                "URL=postgres://u:%s@db/moodle" % SECRETS["url"]],
        "Labels": {"auth": "Basic %s" % base64.b64encode(("moodle:%s" % password).encode()).decode()}}}
    texts = {
        "container_info.json": json.dumps({
            "format": 1, "containers": {"%s-db" % stack: {"definition": definition, "inspect": {"Config": definition}}},
            "networks": {}, "volumes": {}, "images": {}, "start_order": []}),
        "compose.yml": "services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: %s\n" % json.dumps(
            password.replace("$", "$$")),
        "environment_snapshot.txt": "Moodle %s\n" % release,
        "database.dump.zst": "a dump with %s" % password,
        "database_roles.sql": "ALTER ROLE moodle PASSWORD '%s';\n" % SECRETS["role"],
        "filedir.sha1": "",
    }
    for file, text in texts.items():
        with open(os.path.join(folder, file), "w", encoding="utf-8") as handle:
            handle.write(text)
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    pack(os.path.join(folder, "application.tar"), {"./index.php": "<?php\n", "./config.php": (
        "<?php\n$CFG->dbpass = '%s';\n$CFG->passwordsaltmain = '%s';\n$CFG->smtppass = getenv('DBX');\n"
        % (quoted, SECRETS["salt"]))})
    pack(os.path.join(folder, "configuration.tar"), {".env": "API_TOKEN=%s\n" % SECRETS["env"]})
    roles = {"compose.yml": "compose", "container_info.json": "containers", "application.tar": "application",
             "configuration.tar": "configuration", "database.dump.zst": "database", "database_roles.sql": "roles",
             "filedir.sha1": "filedir"}
    artefacts = [{"file": file, "role": role, "size": 10, "sha256": "ab" * 32, "tree": {}}
                 for file, role in roles.items()]
    artefacts[-1]["bytes"] = 1000
    return _backup_set.publish(root, stack, name, "me", {
        "artefacts": artefacts, "containers": [{"name": "%s-db" % stack}],
        "database": {"name": "moodle", "user": "moodle"},
        "moodle": {"release": release, "root": "/var/www", "config": "/var/www/config.php", "plugins": [
            {"component": "local_own", "version": "1", "release": "", "path": "local/own"}]}})["folder"]


class Lab:
    """A root, a working tree and a bare remote."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.root = _backup_set.Root(str(folder / "root"), lock_timeout=60)
        self.path, self.remote = folder / "tree", folder / "remote.git"
        subprocess.run(["git", "init", "-q", "--bare", "--initial-branch", "main", str(self.remote)], check=True)

    def repository(self, check_mode=False, **params):
        defaults = dict.fromkeys(
            ("commit_message", "remote", "ssh_key", "ssh_host_key", "user", "password", "stack", "tag"))
        defaults.update(path=str(self.path), root=self.root.path, branch="main", host="docker1", name="latest",
                        forget=[], gone=[], not_secret=[], author_name="A", author_email="a@b", max_size=1000000)
        return Repository(dict(defaults, **params), check_mode)

    def do(self, state, check_mode=False, **params):
        repository = self.repository(check_mode, **params)
        return status(repository) if state == "status" else getattr(repository, state)()

    def write(self, path, text):
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def setup_passwords(self):
        self.root.prepare()
        os.makedirs(os.path.join(self.root.path, "setup"))
        with open(os.path.join(self.root.path, "setup", "school.json"), "w", encoding="utf-8") as handle:
            json.dump({"admin": SECRETS["admin"]}, handle)

    def tree_state(self):
        """Everything below the working tree, .git included, but for what only says when git looked."""
        return {str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
                for path in sorted(self.folder.rglob("*")) if path.name != "index"}


def all_objects(path):
    return subprocess.run(["git", "-C", str(path), "cat-file", "--batch-all-objects", "--batch"], check=True,
                          capture_output=True).stdout
