#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_restore
short_description: Restore a volume, a bind mount or a path of a container from an archive
version_added: 0.1.0
description:
  - Makes a tree of files what an archive of M(moodleclaude.backup.volume_archive) says. Afterwards the tree holds what
    the archive holds and nothing else, but for what O(keep) and O(paths) say, and what is mounted below the tree.
  - Everything is unpacked beside first, in a folder C(.moodle_backup_<transaction>_new) in the tree's root that only
    root can enter. Then it is put in place by renaming. What was there before can be put back from whatever point, also
    after the module was killed.
  - A tree in the writable layer of a container is made like the archive in place instead, with O(phase=all) only. That
    is for a container that was just created from its image. The archive is read to its end and compared with what is
    there before anything is changed, and files that are as they should be are not touched.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
  - moodleclaude.backup.docker.transport
  - moodleclaude.backup.docker.tree
attributes:
  check_mode:
    support: full
    details: With V(transport=api) a helper container is created and removed to look at the tree.
  diff_mode:
    support: partial
    details: Shows the names at the top of the tree, or the O(paths), before and after; with O(compare=true) the first
      hundred paths that differ. Only with O(phase=all) and O(phase=prepare).
  idempotent:
    support: partial
    details: The phases V(switch), V(commit) and V(rollback) are, and a restore into a container's writable layer.
      Otherwise V(prepare) and V(all) unpack the archive each time.
options:
  src:
    description:
      - Path of the archive on the managed host. Its content tells how it is compressed.
      - Required if O(phase=all) or O(phase=prepare); the other phases do not read it.
    type: path
  paths:
    description:
      - Paths relative to the tree's root. If given, only these are replaced, and everything else stays. Each must be in
        the archive. Folders above them that are missing are made as they are in the archive.
      - Only read if O(phase=all) or O(phase=prepare); the other phases know it from there.
    type: list
    elements: str
  keep:
    description:
      - Patterns of what stays as it is in the tree, whatever the archive holds, as in the option O(ignore:exclude) of
        M(moodleclaude.backup.volume_archive).
      - Only read if O(phase=all) or O(phase=prepare); the other phases know it from there.
    type: list
    elements: str
    default: []
  phase:
    description:
      - V(all) does everything in one call; if it fails, what was there stays or is put back.
      - V(prepare) unpacks the archive beside what is there. If the tree's folder is missing it is made.
      - V(switch) puts the prepared tree in place and keeps the old one beside. Takes a moment; whoever uses the tree
        should be stopped.
      - V(commit) removes the old tree.
      - V(rollback) puts the old tree back, or gives up what was prepared. It is no error if there is nothing to do.
    type: str
    choices: [all, prepare, switch, commit, rollback]
    default: all
  transaction:
    description:
      - Name of the transaction, 1 to 32 lower-case letters and digits. Phases of the same restore have the same name.
      - Required unless O(phase=all).
    type: str
  compare:
    description:
      - Whether to tell only if the tree differs from the archive. Nothing is written or made, and whoever uses the tree
        can go on.
      - Files are compared by content, type, owner, group, mode, time in whole seconds, extended attributes and further
        names, links by what they link to and owner, folders by owner, group, mode, extended attributes and what is in
        them. O(keep) and O(paths) are heeded. Sockets are passed over.
      - It stops at the first difference, but in diff mode.
      - With V(transport=api) nothing is read, and the tree counts as different. So does one whose volume or container
        does not exist.
      - Goes with O(phase=all) and O(phase=prepare) only.
    type: bool
    default: false
  unless_same:
    description:
      - Whether to compare first, as with O(compare=true), and do nothing if there is no difference.
      - Goes with O(phase=all) and O(phase=prepare) only.
    type: bool
    default: false
    version_added: 0.2.0
  fingerprint:
    description:
      - What RV(ignore:fingerprint) of M(moodleclaude.backup.volume_archive) was when the archive was made. If the tree
        still has it, nothing in it was changed since, and when they are compared neither of them is read.
      - Only read if O(compare=true) or O(unless_same=true).
    type: str
    version_added: 0.2.0
  exclude:
    description:
      - What O(ignore:exclude) of M(moodleclaude.backup.volume_archive) was when the archive was made. It belongs to the
        fingerprint, and is only read together with O(fingerprint).
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  image:
    description:
      - Image of the helper container that V(transport=api) needs. It must be on the engine and have a shell; with GNU
        tar in it nothing of the archive is lost.
      - The default is the image of a container that has the volume, or of the container that is named.
    type: str
notes:
  - A volume must exist; it is not created.
  - With O(transport=api), an extended attribute of the tree's root that the archive does not have stays there.
  - A single file is replaced by renaming. A running container that has the file itself mounted sees the new one after
    its restart.
seealso:
  - module: moodleclaude.backup.volume_archive
"""

EXAMPLES = r"""
- name: Restore a volume in one call
  moodleclaude.backup.volume_restore:
    src: /var/backups/moodledata.tar.zst
    volume: school_moodledata

- name: Unpack the data beside the running site
  moodleclaude.backup.volume_restore:
    src: /var/backups/moodledata.tar.zst
    volume: school_moodledata
    phase: prepare
    transaction: t20260131

- name: Put it in place
  moodleclaude.backup.volume_restore:
    volume: school_moodledata
    phase: switch
    transaction: t20260131

- name: Something is wrong, so take the old data again
  moodleclaude.backup.volume_restore:
    volume: school_moodledata
    phase: rollback
    transaction: t20260131

- name: Put one plugin back
  moodleclaude.backup.volume_restore:
    src: /var/backups/code.tar.zst
    volume: school_code
    paths: [local/claude]

- name: See whether the code is what the archive holds
  moodleclaude.backup.volume_restore:
    src: /var/backups/code.tar.zst
    container: school-web-1
    path: /var/www/html
    compare: true
  register: code

- name: Bring config.php into a container that was just created
  moodleclaude.backup.volume_restore:
    src: /var/backups/config.tar
    container: school-web-1
    path: /var/www/html/config.php
"""

RETURN = r"""
phase:
  description: The phase.
  returned: success
  type: str
transaction:
  description: Name of the transaction.
  returned: success
  type: str
transport:
  description: How the tree was reached, V(direct) or V(api).
  returned: if there was a tree
  type: str
files:
  description: Number of entries in the archive.
  returned: O(phase=all) and O(phase=prepare) when the archive was unpacked
  type: int
different:
  description: Whether the tree differs from the archive.
  returned: if O(compare=true) or O(unless_same=true)
  type: bool
changed_paths:
  description:
    - What was written, removed or given other attributes, the first hundred.
    - With O(compare=true) what differs, only the first one unless in diff mode.
  returned:
    if O(compare=true) or O(unless_same=true), and for a tree in a container's writable layer with the direct transport
  type: list
  elements: str
changed_count:
  description: How many there are.
  returned: as RV(changed_paths), unless comparing stopped at the first one
  type: int
extra:
  description:
    - What is in the container's tree and not in the archive, outermost paths. With V(transport=api) a container's
      writable layer can only be added to, so they are to be removed when the container runs.
    - Empty with the direct transport.
  returned: for a tree in a container's writable layer
  type: list
  elements: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call
from ansible_collections.moodleclaude.backup.plugins.module_utils._tree_restore import RESTORE


def main():
    run_call(RESTORE)


if __name__ == "__main__":
    main()
