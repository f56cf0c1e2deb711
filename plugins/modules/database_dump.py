#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_dump
short_description: Dump a PostgreSQL database of a container into a file
version_added: 0.1.0
description:
  - Runs the container's own C(pg_dump) and writes what it says into one compressed file on the managed host.
  - The dump is read along while it is written. Its rows are counted for each table, and a dump that is cut off or
    damaged never appears under its name. The database is read once.
  - If the container has the program C(zstd) and O(compression=zstd), the dump is compressed in the container already,
    which takes most of the load off the Docker Engine. The file is of the same kind either way.
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
    details: Logs in and asks the server, as every run does.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Every run writes a new dump.
options:
  dest:
    description: Path of the file. Its folder must exist. The file gets mode 0600.
    type: path
    required: true
  format:
    description:
      - V(custom) is the format of C(pg_dump --format=custom), for C(pg_restore), from which single tables can be taken.
      - V(plain) is SQL text for C(psql).
    type: str
    choices: [custom, plain]
    default: custom
  overwrite:
    description: Whether a file that is there may be replaced. It is replaced only once the new one is whole.
    type: bool
    default: false
  exclude_table_data:
    description:
      - Tables whose rows are left out, as V(table) or V(schema.table). Their definition is dumped.
      - A name means exactly this table; there are no wildcards.
    type: list
    elements: str
    default: []
  roles_dest:
    description:
      - Path of a file for the server's roles, as C(pg_dumpall --roles-only) writes them, not compressed, mode 0600.
      - It holds the hashes of the passwords if a way to log in as a superuser is found.
    type: path
  references:
    description:
      - Columns whose values are collected while the dump passes by. Each value is written once, sorted bytewise, one a
        line. So another program can check what the dump itself refers to.
      - It needs the program C(sort) on the managed host, and a little memory whatever the size of the table.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description:
          - The table, as V(schema.table), or V(table) for the tables of that name in all schemas.
          - It is an error if the data of such a table is not in the dump, or the table has no such column.
        type: str
        required: true
      column:
        description: The column. NULL is never collected.
        type: str
        required: true
      dest:
        description:
          - Path of the file. Its folder must exist. The file gets mode 0600.
          - Values are in the encoding of the database. A value that holds a line break is an error.
        type: path
        required: true
      where:
        description:
          - Conditions, each with V(null), V(not) or both. Only rows that meet all of them count.
        type: list
        elements: dict
        default: []
        suboptions:
          column:
            description: The column that the condition is about.
            type: str
            required: true
          "null":
            description: Whether the column must be NULL (V(true)) or must not (V(false)).
            type: bool
          "not":
            description: A value that the column must not have. NULL is not that value.
            type: str
notes:
  - A table that another session holds locked ends the dump after O(timeout) seconds.
seealso:
  - module: moodleclaude.backup.database_restore
"""

EXAMPLES = r"""
- name: Dump a database with what the container itself offers to log in
  moodleclaude.backup.database_dump:
    container: moodle-db
    database: moodle
    dest: /var/backups/moodle/database.dump.zst

- name: Dump it as the application's user, whose password the application's own container tells
  moodleclaude.backup.database_dump:
    container: moodle-db
    database: moodle
    username: moodle
    password_container: moodle-web
    password_command: [cat, /run/secrets/db_password]
    dest: /var/backups/moodle/database.dump.zst
    roles_dest: /var/backups/moodle/roles.sql
    exclude_table_data: [mdl_sessions, public.mdl_task_log]

- name: Dump it and learn which files its rows refer to
  moodleclaude.backup.database_dump:
    container: moodle-db
    database: moodle
    dest: /var/backups/moodle/database.dump.zst
    references:
      - table: mdl_files
        column: contenthash
        dest: /var/backups/moodle/needed.sha1
        where:
          - column: referencefileid
            "null": true
          - column: filesize
            "not": "0"

- name: Open such a dump without this collection
  ansible.builtin.shell: set -o pipefail; zstd -dc /var/backups/moodle/database.dump.zst | pg_restore --list
  args:
    executable: /bin/bash
  changed_when: false
"""

RETURN = r"""
dest:
  description: Path of the file.
  returned: success
  type: str
size:
  description: Size of the file in bytes.
  returned: success, not in check mode
  type: int
raw_size:
  description: Size of the dump before compression, in bytes.
  returned: success, not in check mode
  type: int
sha256:
  description: SHA-256 of the file, in hexadecimal.
  returned: success, not in check mode
  type: str
database:
  description: Name of the database.
  returned: success
  type: str
format:
  description: V(custom) or V(plain).
  returned: success
  type: str
server_version:
  description: Version of the server.
  returned: success
  type: str
  sample: 15.13 (Debian 15.13-0+deb12u1)
client_version:
  description: Version of the C(pg_dump) that wrote the dump.
  returned: success, not in check mode
  type: str
  sample: 15.13 (Debian 15.13-0+deb12u1)
encoding:
  description: Encoding of the database.
  returned: success
  type: str
  sample: UTF8
collation:
  description: Collation of the database.
  returned: success
  type: str
  sample: en_US.utf8
ctype:
  description: Character classification of the database.
  returned: success
  type: str
  sample: en_US.utf8
database_owner:
  description: Role that owns the database.
  returned: success
  type: str
database_size:
  description: What the database takes on the server's disk with its indexes, in bytes.
  returned: success
  type: int
tables:
  description: For each table whose data is in the dump, as V(schema.table), the number of its rows in the dump.
  returned: success, not in check mode
  type: dict
  sample: {public.mdl_user: 1204}
table_count:
  description: Number of tables whose data is in the dump.
  returned: success, not in check mode
  type: int
row_count:
  description: Number of rows in the dump.
  returned: success, not in check mode
  type: int
references:
  description: The files that O(references) asked for, in the same order.
  returned: success, not in check mode
  type: list
  elements: dict
  contains:
    dest:
      description: Path of the file.
      type: str
    table:
      description: The table, as it was named.
      type: str
    count:
      description: Number of different values, which is that of the lines.
      type: int
    size:
      description: Size of the file in bytes.
      type: int
    sha256:
      description: Its SHA-256, in hexadecimal.
      type: str
roles:
  description: The file with the roles.
  returned: when O(roles_dest) is set, not in check mode
  type: dict
  contains:
    dest:
      description: Path of the file.
      type: str
    size:
      description: Its size in bytes.
      type: int
    sha256:
      description: Its SHA-256, in hexadecimal.
      type: str
    passwords:
      description: Whether hashes of passwords are in it.
      type: bool
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines.postgresql import DUMP
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(DUMP)


if __name__ == "__main__":
    main()
