#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_restore
short_description: Bring a dump back into the PostgreSQL server of a container
version_added: 0.1.0
description:
  - Loads a dump into a new database beside the one that is in use, counts its rows, and only then gives it the name.
    The database that was there serves its users until that moment, and can be put back until it is removed.
  - Every SQL error is a failure. So is a table that does not have exactly the rows that the dump holds.
  - Takes dumps in custom format and plain SQL, compressed with zstd or gzip or not at all; the file's content decides.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.database
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
    details: Logs in, asks the server and reads the beginning of the dump, as every run does.
  diff_mode:
    support: full
    details: Shows the databases that belong to the transaction, before and after.
  idempotent:
    support: partial
    details: The phases V(switch), V(commit) and V(rollback) change nothing when they are run again. V(prepare) and
      V(all) load the dump again.
options:
  src:
    description: Path of the dump on the managed host. Required for O(phase=all) and O(phase=prepare).
    type: path
  roles_src:
    description:
      - Path of a file with roles, as O(moodleclaude.backup.database_dump#module:roles_dest) writes it.
      - Roles that the server does not have are created from it. Roles that exist are never touched.
    type: path
  owner:
    description:
      - Role that will own the database. The default is the owner that the dump records, else that of the database whose
        place it takes, else O(username).
    type: str
  no_owner:
    description:
      - Give every object in the dump to the database's owner and leave out privileges, instead of following the dump.
      - For dumps in custom format.
    type: bool
    default: false
  tables:
    description:
      - Number of rows that tables must have, as V(schema.table) and number, such as
        RV(moodleclaude.backup.database_dump#module:tables) of the dump.
      - Without this the rows are compared with what is found in the dump itself, which is also done with it.
    type: dict
  phase:
    description:
      - V(prepare) loads the dump into a database beside the one in use.
      - V(switch) gives it the name and keeps the old one beside. Sessions on the old one are ended.
      - V(commit) removes the old one.
      - V(rollback) puts the old one back and removes what was prepared, from whatever point; if there is nothing to do
        it changes nothing.
      - V(all) does the first three in one go; a failure leaves what was there.
    type: str
    choices: [all, prepare, switch, commit, rollback]
    default: all
  transaction:
    description:
      - Name of the restore to which the phases belong, 1 to 24 lower-case letters and digits. Part of the names of the
        databases that are made.
      - Required unless O(phase=all).
    type: str
  wait_seconds:
    description:
      - How long to wait at the most for a server that is just starting, including the first start in which it creates
        its files. V(0) does not wait.
    type: int
    default: 0
notes:
  - A superuser is needed, or a user who may create databases and act for all owners in the dump.
  - The database is created like the one in the dump. For plain SQL, which does not tell, it is created like the one
    whose place it takes; if there is none, with the server's default locale.
  - Settings, privileges, connection limit and comment of the database itself are those of the database whose place it
    takes, or those of the dump if there is none.
seealso:
  - module: moodleclaude.backup.database_dump
"""

EXAMPLES = r"""
- name: Restore a database in one go
  moodleclaude.backup.database_restore:
    container: moodle-db
    database: moodle
    src: /var/backups/moodle/database.dump.zst

- name: Load it while the site is up
  moodleclaude.backup.database_restore:
    container: moodle-db
    database: moodle
    src: /var/backups/moodle/database.dump.zst
    roles_src: /var/backups/moodle/roles.sql
    phase: prepare
    transaction: r20250131
    wait_seconds: 60

- name: Put it in place while the site is down
  moodleclaude.backup.database_restore:
    container: moodle-db
    database: moodle
    phase: switch
    transaction: r20250131

- name: Think better of it
  moodleclaude.backup.database_restore:
    container: moodle-db
    database: moodle
    phase: rollback
    transaction: r20250131
"""

RETURN = r"""
database:
  description: Name of the database.
  returned: success
  type: str
phase:
  description: The phase that was run.
  returned: success
  type: str
kept:
  description: Name under which the old database is kept; empty if it is not kept or there was none.
  returned: success
  type: str
  sample: moodle_mb_r20250131_old
server_version:
  description: Version of the server.
  returned: success
  type: str
  sample: 15.13 (Debian 15.13-0+deb12u1)
database_owner:
  description: Role that owns the restored database.
  returned: O(phase=all) and O(phase=prepare), not in check mode
  type: str
tables:
  description: For each table in the dump, as V(schema.table), the number of rows that were loaded and counted.
  returned: O(phase=all) and O(phase=prepare), not in check mode
  type: dict
  sample: {public.mdl_user: 1204}
table_count:
  description: Number of these tables.
  returned: O(phase=all) and O(phase=prepare), not in check mode
  type: int
row_count:
  description: Number of their rows.
  returned: O(phase=all) and O(phase=prepare), not in check mode
  type: int
roles_created:
  description: Roles that were created from O(roles_src).
  returned: O(phase=all) and O(phase=prepare), not in check mode
  type: list
  elements: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines.postgresql import RESTORE
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(RESTORE)


if __name__ == "__main__":
    main()
