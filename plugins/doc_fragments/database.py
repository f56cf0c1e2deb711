# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How a module logs in to the database server of a container.
    DOCUMENTATION = r"""
options:
  container:
    description:
      - Name or ID of the running container with the PostgreSQL server, or at least with its client programs
        C(psql), C(pg_dump), C(pg_dumpall) and C(pg_restore).
    type: str
    required: true
  database:
    description: Name of the database. Spaces, quotes and other special characters are taken as they are.
    type: str
    required: true
  username:
    description:
      - PostgreSQL's user.
      - If neither this nor O(password) is set, the ways that the container itself offers are tried one after the other,
        the superuser of its environment (E(POSTGRES_USER), E(POSTGRES_PASSWORD), E(POSTGRES_PASSWORD_FILE) and their
        counterparts E(POSTGRESQL_USERNAME), E(POSTGRESQL_PASSWORD), E(POSTGRESQL_POSTGRES_PASSWORD)), then the
        operating system user C(postgres) with peer authentication.
    type: str
  password:
    description:
      - Password of O(username). It reaches the client programs through their environment.
      - Mutually exclusive with O(password_command).
    type: str
  password_command:
    description:
      - A program with its arguments that is run in O(password_container) and writes the password to standard output.
        One newline at its end is removed.
      - So a password that stands in the configuration of an application never passes through Ansible.
    type: list
    elements: str
  password_container:
    description: Name or ID of the container in which O(password_command) is run. The default is O(container).
    type: str
  login_host:
    description:
      - Host name or address of the server as seen from O(container), or the folder of its socket.
      - If empty, the client's default socket is used.
    type: str
    default: ''
  login_port:
    description: Port of the server. The default is the client's, usually V(5432).
    type: int
"""
