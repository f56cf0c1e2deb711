#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: filedir_restore
short_description: Restore a folder of content-addressed files from a pool or an archive
version_added: 0.1.0
description:
  - Makes a filedir hold exactly the blobs that a backup has. A filedir is a folder in which each file is called by the
    SHA-1 of its content and lies in C(xx/yy/), the first digits of its name, as Moodle keeps its files. Such a file is
    called a blob.
  - Only what is missing or wrong is written, and what is right is left alone, so that going back to a state of
    yesterday takes as long as what changed since then.
  - Everything is written beside first and checked, in a folder C(.moodle_backup_<transaction>-blobs_new) in the filedir
    that only root can enter. Then it is put in place by renaming. What was there before can be put back from whatever
    point, also after the module was killed.
  - What is no blob stays as it is, such as C(warning.txt) and the C(.tmp) files of uploads.
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
    details: With V(transport=api) a helper container is created and removed to look at the filedir.
  diff_mode:
    support: partial
    details: Shows how many blobs are right, missing, wrong and surplus, before and after. Only with O(phase=all) and
      O(phase=prepare).
  idempotent:
    support: partial
    details: All phases are but V(prepare), which prepares anew each time.
options:
  src:
    description:
      - Path of a list of blobs on the managed host, with lines C(<sha1>  <path>/xx/yy/<sha1>), sorted; or of an archive
        whose members are C(xx/yy/<sha1>), sorted. Its content tells what it is and how it is compressed.
      - Required if O(phase=all) or O(phase=prepare). The phase V(switch) reads it too if the site removed a blob since
        V(prepare).
    type: path
  pool:
    description:
      - Path of the folder on the managed host that holds the blobs of a list, as C(xx/yy/<sha1>).
      - Required if O(src) is a list.
    type: path
  owner:
    description:
      - User and group of what is written, as numbers, V(uid:gid) or a list of both.
      - The default is the owner of the filedir, or of the folder above if the filedir is made.
    type: raw
  file_mode:
    description:
      - Mode of blobs that are written, in quoted octal digits.
      - The default is O(folder_mode) without the rights to execute and without special bits.
    type: raw
  folder_mode:
    description:
      - Mode of folders that are made, in quoted octal digits.
      - The default is the mode of the filedir, or of the folder above if the filedir is made.
    type: raw
  check:
    description:
      - Whether the content of blobs that are there is compared with their names. Otherwise a blob counts as right if it
        has the size of the one in the backup.
    type: bool
    default: true
  phase:
    description:
      - V(all) does everything in one call; if it fails, what was there stays or is put back.
      - V(prepare) writes what is missing or wrong beside. If the filedir is missing it is made.
      - V(switch) puts the blobs in place, and wrong and surplus ones beside. Takes seconds; the site must be stopped.
      - V(commit) removes what was put beside.
      - V(rollback) puts it back, or gives up what was prepared. It is no error if there is nothing to do.
    type: str
    choices: [all, prepare, switch, commit, rollback]
    default: all
  transaction:
    description:
      - Name of the transaction, 1 to 32 lower-case letters and digits. Phases of the same restore have the same name.
      - Required unless O(phase=all).
    type: str
  image:
    description:
      - Image of the helper container that V(transport=api) needs. It must be on the engine and have a shell with
        C(find), C(stat) and C(sha1sum).
      - The default is the image of a container that has the volume, or of the container that is named.
    type: str
notes:
  - A volume must exist; it is not created.
  - A filedir in the writable layer of a container can be restored with O(phase=all) only. The other phases change
    nothing there.
  - Links in the filedir are never followed; one in the place of a folder is an error.
seealso:
  - module: moodleclaude.backup.filedir_archive
  - module: moodleclaude.backup.volume_restore
"""

EXAMPLES = r"""
- name: Make the filedir what it was in a backup
  moodleclaude.backup.filedir_restore:
    src: /var/backups/moodle/school/20260131-0300/filedir.sha1
    pool: /var/backups/moodle/pools/school/filedir
    volume: school_moodledata
    path: filedir
    owner: "33:33"
    file_mode: "0660"
    folder_mode: "02770"

- name: Write what is missing beside the running site
  moodleclaude.backup.filedir_restore:
    src: /var/backups/moodle/school/20260131-0300/filedir.sha1
    pool: /var/backups/moodle/pools/school/filedir
    volume: school_moodledata
    path: filedir
    phase: prepare
    transaction: t20260131

- name: Put it in place
  moodleclaude.backup.filedir_restore:
    volume: school_moodledata
    path: filedir
    phase: switch
    transaction: t20260131

- name: Something is wrong, so take the old files again
  moodleclaude.backup.filedir_restore:
    volume: school_moodledata
    path: filedir
    phase: rollback
    transaction: t20260131
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
  description: How the filedir was reached, V(direct) or V(api).
  returned: if there was a filedir
  type: str
written:
  description: Number of blobs that were missing or wrong and were written.
  returned: O(phase=all) and O(phase=prepare)
  type: int
written_bytes:
  description: Their size in bytes.
  returned: O(phase=all) and O(phase=prepare)
  type: int
right:
  description: Number of blobs that were as they should be.
  returned: O(phase=all) and O(phase=prepare)
  type: int
wrong:
  description: Number of blobs that were there with other content.
  returned: O(phase=all) and O(phase=prepare)
  type: int
surplus:
  description: Number of blobs that the backup does not have.
  returned: O(phase=all) and O(phase=prepare)
  type: int
extra:
  description:
    - The first of the surplus blobs, which are to be removed when the container runs, for the engine can only add files
      to a container that does not.
  returned: for a filedir in the writable layer of a container that does not run, with V(transport=api)
  type: list
  elements: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir_restore import FILEDIR_RESTORE
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(FILEDIR_RESTORE)


if __name__ == "__main__":
    main()
