#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: filedir_archive
short_description: Bring a folder of content-addressed files into a pool, and list them
version_added: 0.2.0
description:
  - For a folder whose files are named by the SHA-1 of their content, C(xx/yy/<sha1>), such as Moodle's C(filedir). The
    module calls such a file a blob.
  - Blobs go into a pool that all backups share, each of them once. A repeat with nothing new reads no file. It costs a
    stat for each of them.
  - A backup holds a list of the blobs that it needs, which C(sha1sum -c) checks.
  - A blob with wrong content is never stored, and one in the pool that turns out to be wrong is replaced and reported.
  - The folder is read as it is, without stopping anything. Blobs that come or go meanwhile are no error. Whether a
    list has everything that a database refers to is what O(required) tells.
  - Blobs that are missing do not make the module fail. It says which ones, and the caller decides.
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
    details: Lists the folder and says what is new by sizes and names, without reading any file.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: The pool does not change when there is nothing new. A list or an archive is written each time.
options:
  path:
    description:
      - Path of the folder of blobs, in the volume or in the container.
      - Without O(volume) and O(container), an absolute path on the Docker host.
  trash:
    description:
      - Path of a folder of the same form to which the owner moves blobs that it deletes, such as Moodle's C(trashdir);
        in the same volume or container as O(path). It need not exist.
      - A blob that is asked for and no longer in the folder is taken from there.
    type: str
  pool:
    description:
      - Folder of the pool on the managed host. It is made if it is missing, with everything in it for root alone.
      - Blobs that were found damaged when a backup was verified are named in C(damaged.json) in the folder that holds
        the pool. They are read again, and replaced if they are still wrong.
    type: path
    required: true
  dest:
    description:
      - Path of the list. It names every blob that the folder has now, and those of O(required) that the pool has.
      - Paths in it are relative to the list's folder, so that folder and pool may be moved together.
      - Without it, the pool is filled and nothing is listed.
    type: path
  archive:
    description:
      - Whether to write one tar archive with everything in it to O(dest), instead of a list. Its members are named
        C(xx/yy/<sha1>).
      - O(pool) is then a folder for this backup alone, which may have been filled by an earlier call. It is removed at
        the end.
    type: bool
    default: false
  overwrite:
    description: Whether a list or an archive that exists may be replaced. It is replaced only by a complete one.
    type: bool
    default: false
  expected:
    description:
      - For a first call. Path of a file with the hashes that are referred to right now, one in each line, sorted, each
        once.
      - Those that neither the folder nor O(trash) has with the right content are written to O(missing_dest).
    type: path
  missing_dest:
    description: Path of the file with the hashes that are missing already. It is replaced if it exists.
    type: path
  required:
    description:
      - For the last call. Path of a file with the hashes that must be in the list, of the same form as O(expected).
        RV(missing) and RV(site_damage) tell which ones are not.
    type: path
  known_missing:
    description: Path of the O(missing_dest) of the first call. What is missing for as long is the site's own damage.
    type: path
  image:
    description:
      - Image of the helper container that V(transport=api) needs to reach a volume or a path of the host. It must be on
        the engine and have a shell, best with find, stat and tar in it.
      - The default for a volume is the image of a container that has it.
    type: str
notes:
  - O(compression), O(compression_level) and, for zstd, O(processes) matter with O(archive=true) only. With
    O(processes=1) blobs are copied one after the other, otherwise two at a time.
seealso:
  - module: moodleclaude.backup.filedir_restore
  - module: moodleclaude.backup.backup_verify
"""

EXAMPLES = r"""
- name: Bring what is new into the pool
  moodleclaude.backup.filedir_archive:
    volume: school_moodledata
    path: /filedir
    pool: /var/backups/moodleclaude/pools/school/filedir

- name: List what a dump needs
  moodleclaude.backup.filedir_archive:
    volume: school_moodledata
    path: /filedir
    trash: /trashdir
    pool: /var/backups/moodleclaude/pools/school/filedir
    required: /var/backups/moodleclaude/needed.sha1
    dest: /var/backups/moodleclaude/backups/today/filedir.sha1

- name: One archive that needs no pool
  moodleclaude.backup.filedir_archive:
    container: school-web-1
    path: /var/www/moodledata/filedir
    pool: /var/tmp/school_filedir
    dest: /var/backups/filedir.tar
    archive: true
    compression: none
"""

RETURN = r"""
dest:
  description: Path of the list or the archive.
  returned: O(dest) is given
  type: str
size:
  description: Its size in bytes.
  returned: O(dest) is given, not in check mode
  type: int
sha256:
  description: Its SHA-256.
  returned: O(dest) is given, not in check mode
  type: str
raw_size:
  description: Size of the archive before compression in bytes.
  returned: O(archive=true), not in check mode
  type: int
files:
  description: Number of blobs in the list, or in the folder if there is no list.
  returned: success
  type: int
bytes:
  description: Their size in bytes.
  returned: success
  type: int
new:
  description: How many blobs the pool did not have, or had with wrong content.
  returned: success
  type: int
new_bytes:
  description: Their size in bytes.
  returned: success
  type: int
promoted:
  description: How many of them were taken from O(trash).
  returned: success, not in check mode
  type: int
replaced:
  description: Blobs that were wrong in the pool and have been replaced, as C(count) and C(examples) (at most 100).
  returned: success, not in check mode
  type: dict
  sample: {count: 0, examples: []}
rejected:
  description:
    - Files of the folder that cannot be read or whose content is not what their name says, as C(count) and C(examples)
      (at most 100). They are not stored.
  returned: success, not in check mode
  type: dict
  sample: {count: 0, examples: []}
missing:
  description: Hashes of O(required) that are nowhere with the right content, as C(count) and C(examples) (at most 20).
  returned: success, not in check mode, O(expected) is not given
  type: dict
  sample: {count: 0, examples: []}
site_damage:
  description: The same for those that are in O(known_missing). They are not counted as RV(missing).
  returned: success, not in check mode, O(expected) is not given
  type: dict
  sample: {count: 0, examples: []}
attributes:
  description: What is most common in the folder, to give it to what is restored. V(null) for what there is none of.
  returned: success, not in check mode
  type: dict
  contains:
    owner:
      description: Number of the user and of the group that own the files.
      type: list
      elements: int
      sample: [33, 33]
    file_mode:
      description: Mode of the files, octal.
      type: str
      sample: "0660"
    folder_mode:
      description: Mode of the folders, octal.
      type: str
      sample: "2770"
transport:
  description:
    - How the folder was read. V(direct) on the host, V(exec) by programs in a container, V(archive) by the engine's
      archive endpoint, which reads all files to store those that are new.
  returned: success
  type: str
  sample: direct
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir import FILEDIR_ARCHIVE
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(FILEDIR_ARCHIVE)


if __name__ == "__main__":
    main()
