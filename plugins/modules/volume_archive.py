#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_archive
short_description: Archive a volume, a bind mount or a path of a container
version_added: 0.1.0
description:
  - Writes a tree of files into a tar archive on the managed host. Owner, group, mode, times, symbolic and hard links,
    extended attributes, ACLs, holes of sparse files and names of any bytes are in it.
  - The tree is read as it is, without stopping anything. Files that change or vanish meanwhile are warnings.
  - What is mounted below the tree is another tree and is left out. Sockets cannot be archived and are left out with a
    warning.
  - The archive gets its name only when it is complete and on disk.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
  - moodleclaude.backup.docker.compression
  - moodleclaude.backup.docker.transport
  - moodleclaude.backup.docker.tree
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: An archive that exists is written anew if O(overwrite=true), and is an error otherwise.
options:
  dest:
    description: Path of the archive. The folder must exist, and it must not lie in the tree.
    type: path
    required: true
  exclude:
    description:
      - Patterns of what is left out, relative to the tree's root and anchored there. V(*) and V(?) do not match V(/).
        A backslash takes the next character as it is.
      - What a pattern matches takes everything below along, so V(cache) leaves out the folder and V(cache/*) leaves it
        empty.
    type: list
    elements: str
    default: []
  paths:
    description:
      - Paths relative to the tree's root. If given, only these are archived, and the entries of the folders above them,
        so that these folders' owner and mode come back too.
    type: list
    elements: str
  overwrite:
    description: Whether an archive that exists may be replaced. It is replaced only by a complete one.
    type: bool
    default: false
  image:
    description:
      - Image of the helper container that V(transport=api) needs to reach a volume or a path of the host. It must be on
        the engine and have a shell; with GNU tar in it nothing is lost.
      - The default for a volume is the image of a container that has it.
    type: str
notes:
  - The archive opens with C(tar --zstd -xpf).
seealso:
  - module: moodleclaude.backup.volume_restore
"""

EXAMPLES = r"""
- name: Archive a volume without its cache
  moodleclaude.backup.volume_archive:
    volume: school_moodledata
    dest: /var/backups/moodledata.tar.zst
    exclude:
      - cache/*
      - localcache/*

- name: Archive the code, wherever it lies
  moodleclaude.backup.volume_archive:
    container: school-web-1
    path: /var/www/html
    dest: /var/backups/code.tar.zst

- name: Archive one plugin
  moodleclaude.backup.volume_archive:
    container: school-web-1
    path: /var/www/html
    paths: [local/claude]
    dest: /var/backups/plugin.tar.zst

- name: Archive the source of a bind mount
  moodleclaude.backup.volume_archive:
    path: /srv/school/config
    dest: /var/backups/config.tar.gz
    compression: gzip
"""

RETURN = r"""
dest:
  description: Path of the archive.
  returned: success
  type: str
size:
  description: Size of the archive in bytes.
  returned: success, not in check mode
  type: int
raw_size:
  description: Size of the archive before compression in bytes.
  returned: success, not in check mode
  type: int
sha256:
  description: SHA-256 of the archive.
  returned: success, not in check mode
  type: str
files:
  description: Number of entries in the archive, folders and links among them.
  returned: success, not in check mode
  type: int
transport:
  description:
    - How the tree was read. V(direct) on the host, V(exec) by GNU tar in a container, V(archive) by the engine's
      archive endpoint, which loses fractions of seconds, extended attributes, ACLs and holes.
  returned: success
  type: str
  sample: direct
other_mounts:
  description: Paths below the tree on which something else is mounted. They are not in the archive.
  returned: success
  type: list
  elements: str
  sample: [config.php]
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call
from ansible_collections.moodleclaude.backup.plugins.module_utils._tree import ARCHIVE


def main():
    run_call(ARCHIVE)


if __name__ == "__main__":
    main()
