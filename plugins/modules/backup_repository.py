#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_repository
short_description: Keep track of backups in a git repository
version_added: 0.2.0
description:
  - Commits what describes a backup, without any secret, to a git repository on the managed host, so that every backup
    is known, two of them can be compared, and a change of a stack's configuration can be reviewed.
  - The artefacts themselves stay outside of git; C(.backup_tracking) says where each of them is.
  - Before anything is committed or pushed, every file in it is searched for the secrets of all stacks that have backups
    below O(root), in whatever writing, and for private keys. If there is one, nothing is committed, and no trace of the
    file is left in the repository.
  - Hooks of git do not run, commits are not signed, nothing asks for a password, and nothing is ever forced.
notes:
  - Needs git 2.31 or newer on the managed host.
  - A password shorter than six characters, or one that is also a common word or the name of a container or database,
    cannot be told from other text. It is hidden where the name of a variable tells that it is a password; a warning
    names it.
  - A secret that stands only in the database, such as a token of a web service, is known nowhere else and so is not
    searched for. Nothing of the database gets into git by this module.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.backup_root
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written. For V(state=synced) the remote is asked, and what is new there is looked at apart.
      - For V(state=recorded) and a backup that does not exist, it is taken that the task before would make it.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description:
      - V(initialized) makes the repository, unless it is one, and commits a block in C(.gitignore) that keeps
        large artefacts and secrets out, C(.backup_tracking), and a README. Other changes are not committed.
      - V(snapshot) commits everything that has changed and is not ignored.
      - V(recorded) does the same, together with what describes the backup O(name), in C(backups/<name>/) and, for the
        newest one of a stack, in C(stacks/<stack>/).
      - V(status) tells how things are.
      - V(cleaned) forgets backups of this host that do not exist any more. What is known of copies of them stays.
      - V(synced) takes over what is new in the remote, or pushes commits and tags. If both sides have something new it
        fails.
      - V(tagged) makes an annotated tag on the current commit.
    type: str
    choices: [initialized, snapshot, recorded, status, cleaned, synced, tagged]
    required: true
  path:
    description: Top of the working tree of the repository, on the managed host. It must not be in O(root).
    type: path
    required: true
  branch:
    description:
      - The branch that commits go to. V(state=initialized) makes it in a new repository.
      - If another one is checked out, nothing is done.
    type: str
    default: main
  remote:
    description:
      - Address of the remote repository, which gets the name C(origin); for V(state=initialized) and V(state=synced).
      - It must not hold a password. Without it the address stays as it is.
    type: str
  ssh_key:
    description: Path of a private key on the managed host with which the remote is reached over SSH.
    type: path
  ssh_host_key:
    description:
      - The lines of C(known_hosts) by which the remote is known, instead of those of the user.
      - A server that is not known is never trusted.
    type: str
  user:
    description: Account at the remote, for HTTPS.
    type: str
  password:
    description: Password or token of this account. It reaches git by its environment, and only with HTTPS.
    type: str
  name:
    description: Name of the backup for V(state=recorded), or V(latest) for the newest complete one.
    type: str
    default: latest
  stack:
    description: Name of the stack that V(name=latest) is about. Needed when the backups are of several stacks.
    type: str
  host:
    description:
      - What the host is called in C(.backup_tracking), such as its name in the inventory.
      - The default is its own name.
    type: str
  forget:
    description: Names of backups that V(state=cleaned) forgets whether or not they or copies of them exist.
    type: list
    elements: str
    default: []
  gone:
    description:
      - Names of backups that V(state=cleaned) takes for removed, such as those that the task before would have removed
        if it were not in check mode.
    type: list
    elements: str
    default: []
  commit_message:
    description:
      - Message of the commit or of the tag. The default names the files that were added, changed and removed.
      - V(state=initialized), V(state=cleaned), V(state=status) and V(state=synced) have no use for it and refuse it.
    type: str
  tag:
    description: Name of the tag. V(state=tagged) needs it.
    type: str
  author_name:
    description: Who commits, for a user whose git has no C(user.name).
    type: str
    default: Moodle backup
  author_email:
    description: Mail address of who commits, for a user whose git has no C(user.email).
    type: str
    default: moodle-backup@localhost
  not_secret:
    description:
      - Names of variables that sound as if they held secrets, and do not. Nothing is searched for their values.
      - A message that refuses a file tells such a name.
    type: list
    elements: str
    default: []
  max_size:
    description: Bytes of the largest file that may be committed or pushed.
    type: int
    default: 52428800
"""

EXAMPLES = r"""
- name: Begin to keep track
  moodleclaude.backup.backup_repository:
    state: initialized
    root: /var/backups/moodleclaude
    path: /srv/moodle-repository
    remote: git@git.example:school/moodle.git

- name: Commit what describes the newest backup
  moodleclaude.backup.backup_repository:
    state: recorded
    root: /var/backups/moodleclaude
    path: /srv/moodle-repository

- name: Push it
  moodleclaude.backup.backup_repository:
    state: synced
    root: /var/backups/moodleclaude
    path: /srv/moodle-repository
    ssh_key: /root/.ssh/id_backup
"""

RETURN = r"""
commit:
  description: The new commit, or the one that has the tag; null if there was nothing to commit, and in check mode.
  type: str
  returned: state is initialized, snapshot, recorded, cleaned or tagged
changes:
  description: The files of the commit, each as C(kind) (C(added), C(changed) or C(removed)) and C(path).
  type: list
  elements: dict
  returned: state is initialized, snapshot, recorded or cleaned
message:
  description: The message of the commit or of the tag. For state status, lines that tell a person how things are.
  type: raw
  returned: unless state is synced
name:
  description: The backup that was recorded, or the newest one that is tracked.
  type: str
  returned: state is recorded or tagged
forgotten:
  description: Names of the backups of which nothing is known any more.
  type: list
  elements: str
  returned: state is cleaned
pulled:
  description: How many commits were new in the remote.
  type: int
  returned: state is synced
pushed:
  description: How many commits were new here.
  type: int
  returned: state is synced
tags_pulled:
  description: The tags that were new in the remote.
  type: list
  elements: str
  returned: state is synced
tags_pushed:
  description: The tags that were new here.
  type: list
  elements: str
  returned: state is synced
tag:
  description: The tag.
  type: str
  returned: state is tagged
branch:
  description: The branch that is checked out, or null.
  type: str
  returned: state is status
files:
  description: Files that are not as in the last commit, as lists C(conflicts), C(changed), C(removed), C(untracked).
  type: dict
  returned: state is status
recent:
  description: The newest commits, each with C(commit), C(at) (seconds since the epoch), C(author) and C(subject).
  type: list
  elements: dict
  returned: state is status
tags:
  description: All tags, the oldest first.
  type: list
  elements: str
  returned: state is status
repository_size:
  description: Bytes that git's own objects take.
  type: int
  returned: state is status
backups:
  description:
    - C(count), C(size) (bytes, without pools) and C(latest) of the backups on this host; how many are C(tracked), the
      C(latest_tracked) one, those that are C(not_tracked), those that are tracked and not here (C(gone)); and
      C(tracking_problem) if C(.backup_tracking) cannot be read.
  type: dict
  returned: state is status
remote:
  description:
    - C(url) without credentials; how many commits it is C(ahead) (to push) and C(behind) (to pull), both null if the
      remote has commits that were not fetched yet; C(tags_to_push); and C(problem) if it cannot be reached.
    - Null if there is no remote.
  type: dict
  returned: state is status
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run
from ansible_collections.moodleclaude.backup.plugins.module_utils._repository import Repository
from ansible_collections.moodleclaude.backup.plugins.module_utils._repository_status import status

STATES = {
    "initialized": Repository.initialized, "snapshot": Repository.snapshot, "recorded": Repository.recorded,
    "status": status, "cleaned": Repository.cleaned, "synced": Repository.synced, "tagged": Repository.tagged,
}


def work(params, check_mode):
    """Return the result of one call (dict)."""
    if params["commit_message"] and params["state"] not in ("snapshot", "recorded", "tagged"):
        raise UsageError("A commit_message is given, and nothing that state=%s does has one of yours" % params["state"],
                         "Leave it out.")
    return STATES[params["state"]](Repository(params, check_mode))


def main():
    module = build_module(
        {
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "root": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "branch": {"type": "str", "default": "main"},
            "remote": {"type": "str"},
            "ssh_key": {"type": "path", "no_log": False},
            "ssh_host_key": {"type": "str", "no_log": False},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "name": {"type": "str", "default": "latest"},
            "stack": {"type": "str"},
            "host": {"type": "str"},
            "forget": {"type": "list", "elements": "str", "default": []},
            "gone": {"type": "list", "elements": "str", "default": []},
            "commit_message": {"type": "str"},
            "tag": {"type": "str"},
            "author_name": {"type": "str", "default": "Moodle backup"},
            "author_email": {"type": "str", "default": "moodle-backup@localhost"},
            "not_secret": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "max_size": {"type": "int", "default": 52428800},
        },
        docker=False,
        supports_check_mode=True,
    )
    run(module, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
