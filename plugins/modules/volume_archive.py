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
  - A tree that is what it was when an O(earlier) archive was made is not read again; that archive gets a second name
    instead. Each of the two names can be removed without the other.
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
  earlier:
    description:
      - Archives of the same tree that earlier backups hold, the newest first, with what this module returned for them.
      - If the tree has the RV(fingerprint) of one of them, and that file is there with its size and compressed as
        O(compression) says, O(dest) becomes a hard link to it. Where no hard link is possible, on another file system
        for example, the archive is written anew.
      - Leave out those that are known to be damaged. Their content is not read here.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the earlier archive.
        type: path
        required: true
      sha256:
        description: Its SHA-256.
        type: str
        required: true
      size:
        description: Its size in bytes.
        type: int
        required: true
      raw_size:
        description: Its size before compression in bytes, to estimate the room that a new one needs.
        type: int
      files:
        description: Number of entries in it.
        type: int
      fingerprint:
        description: The fingerprint of the tree that is in it.
        type: str
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

- name: Archive it again where it changed, and share yesterday's archive where it did not
  moodleclaude.backup.volume_archive:
    container: school-web-1
    path: /var/www/html
    dest: /var/backups/tuesday/code.tar.zst
    earlier:
      - path: /var/backups/monday/code.tar.zst
        size: "{{ monday.size }}"
        raw_size: "{{ monday.raw_size }}"
        sha256: "{{ monday.sha256 }}"
        files: "{{ monday.files }}"
        fingerprint: "{{ monday.fingerprint }}"

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
shared:
  description: Whether the archive is another name of an earlier one.
  returned: success, not in check mode
  type: bool
fingerprint:
  description:
    - What tells this tree from a changed one. It is made of path, type, size, mtime, ctime, inode, owner, group, mode,
      link target and device of every entry that is archived, and of the options that choose them. The times of a folder
      do not count if all that is in it is left out.
    - V(null) if a later change could not be told, because something changed in the last two seconds or during the walk,
      and with any other RV(transport) than V(direct).
    - A container that does not run can have another fingerprint than while it ran.
  returned: success, not in check mode
  type: str
tree_size:
  description: Bytes that the tree takes in an archive before compression, about. V(null) without the direct transport.
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
