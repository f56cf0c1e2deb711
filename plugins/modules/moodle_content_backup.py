#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: moodle_content_backup
short_description: Back up the database and the stored files of a Moodle that is in use
version_added: 0.1.0
description:
  - Dumps the database and puts all stored files that the dump refers to into a pool, so that the two belong
    together, although users go on uploading and deleting and cron goes on cleaning up.
  - First all stored files go into the pool, then comes the dump, then what is new among the stored files and among
    those that the site has deleted meanwhile. At the end every file that the dump itself refers to has to be there with
    the right SHA-1. If one is not, because it came and went for good in between, another dump is made, which no longer
    refers to it.
  - Files that the site did not have before the backup began are its own damage. They are reported, and are no reason
    to fail.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.database
  - moodleclaude.backup.docker
  - moodleclaude.backup.docker.compression
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Every run writes a new dump.
options:
  dest:
    description: Path of the file for the dump. Its folder must exist. The file gets mode 0600.
    type: path
    required: true
  format:
    description: Format of the dump, as for M(moodleclaude.backup.database_dump).
    type: str
    choices: [custom, plain]
    default: custom
  overwrite:
    description: Whether a dump that is there may be replaced. It is replaced only once the new one is whole.
    type: bool
    default: false
  exclude_table_data:
    description: Tables whose rows are left out, as for M(moodleclaude.backup.database_dump).
    type: list
    elements: str
    default: []
  roles_dest:
    description: Path of a file for the server's roles, as for M(moodleclaude.backup.database_dump).
    type: path
  filedir:
    description:
      - Where the stored files are and where they go, as the options of M(moodleclaude.backup.filedir_archive) say,
        C(dest) among them. Those for the closure check are not allowed, this module sees to it.
      - The connection to Docker and the compression are taken over.
    type: dict
    required: true
  prefix:
    description: What the names of the site's tables begin with.
    type: str
    default: mdl_
  external_files:
    description:
      - The site keeps files in an external store, of which nothing is in the backup. Such a backup is not complete, so
        the module fails unless O(accept_incomplete=true).
    type: bool
    default: false
  accept_incomplete:
    description: Make the backup even if stored files are missing. The result tells that it is not complete.
    type: bool
    default: false
  attempts:
    description: How often to dump at the most, until the dump and the files belong together.
    type: int
    default: 3
notes:
  - Of the table C(files) the columns C(contenthash), C(filesize) and C(referencefileid) are looked at.
seealso:
  - module: moodleclaude.backup.database_dump
  - module: moodleclaude.backup.filedir_archive
"""

EXAMPLES = r"""
- name: Back up the database and the stored files of a running site
  moodleclaude.backup.moodle_content_backup:
    container: moodle-db
    database: moodle
    username: moodle
    dest: /var/backups/moodle/database.dump.zst
    filedir:
      volume: moodledata
      path: filedir
      trash: trashdir
      pool: /var/backups/moodle/pool/filedir
      dest: /var/backups/moodle/filedir.sha1
"""

RETURN = r"""
database:
  description: What M(moodleclaude.backup.database_dump) returns for the dump.
  type: dict
  returned: success
filedir:
  description:
    - What M(moodleclaude.backup.filedir_archive) returns for the last pass. C(new) (count) and C(new_bytes) are those
      of all passes.
  type: dict
  returned: success
complete:
  description: Whether everything that the dump refers to is in the backup, or was missing on the site already.
  type: bool
  returned: when something was backed up
reasons:
  description: Why the backup is not complete.
  type: list
  elements: str
  returned: when something was backed up
attempts:
  description: How many dumps were made.
  type: int
  returned: when something was backed up
elsewhere:
  description: How many files the site knows by reference only whose content is not in the backup.
  type: int
  returned: when something was backed up
missing:
  description: The stored files that are missing, C(count) and C(examples).
  type: dict
  returned: failure because of them
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._content import CONTENT_BACKUP
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(CONTENT_BACKUP)


if __name__ == "__main__":
    main()
