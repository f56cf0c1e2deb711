#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_export
short_description: Write Docker images into one archive
version_added: 0.1.0
description:
  - Writes any number of images into one compressed C(docker save) archive, layers that they share only once.
  - Where the engine keeps its images with overlay2 and the module runs beside it as root, the layers are read directly,
    each compared with its digest. That costs less than half of what C(docker save) costs, which serves everywhere else.
    Both ways the archive is one for C(docker load).
  - The archive appears under its name only when it is whole and every image was seen in it.
  - Beside it a small index O(dest)C(.json) is written, which says what the archive holds.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
  - moodleclaude.backup.docker.compression
  - moodleclaude.backup.docker.transport
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
    details: Nothing is written if the archive holds exactly these images under these names already.
options:
  images:
    description:
      - Names or IDs of the images. An image that is given by name keeps that name in the archive, one that is given by
        ID keeps all its names.
      - C(name=ID) means the image with this ID, whatever the name means now, and gives it this name when it comes back.
        It is for containers whose image has been replaced by a newer one of the same name.
    type: list
    elements: str
    required: true
  dest:
    description: Path of the archive. Its folder must exist.
    type: path
    required: true
  overwrite:
    description: Whether an archive that is there and holds other images may be replaced.
    type: bool
    default: false
  earlier:
    description:
      - Archives that this module wrote before, the newest first. If one of them holds exactly the wanted images under
        the same names, is there with its size and has the wanted O(compression), O(dest) becomes a hard link to it,
        and nothing is saved. Where no hard link is possible, as between two file systems, the archive is written.
      - Their contents are not read. Leave out archives that are known to be damaged.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the archive.
        type: path
        required: true
      sha256:
        description: Its RV(sha256), as it was returned.
        type: str
        required: true
      size:
        description: Its RV(size) in bytes.
        type: int
        required: true
      raw_size:
        description: Its RV(raw_size) in bytes.
        type: int
        required: true
      images:
        description: Its RV(images), of which C(id), C(name) and C(tags) are compared.
        type: list
        elements: dict
        required: true
seealso:
  - module: moodleclaude.backup.image_import
"""

EXAMPLES = r"""
- name: Save the images of a site
  moodleclaude.backup.image_export:
    images: [my-moodle:4.5, "postgres:16"]
    dest: /var/backups/moodle/images.tar.zst

- name: Save them again later, without using room for what is the same
  moodleclaude.backup.image_export:
    images: [my-moodle:4.5, "postgres:16"]
    dest: /var/backups/moodle/tuesday/images.tar.zst
    earlier:
      - path: "{{ monday.dest }}"
        sha256: "{{ monday.sha256 }}"
        size: "{{ monday.size }}"
        raw_size: "{{ monday.raw_size }}"
        images: "{{ monday.images }}"

- name: Open such an archive without this collection
  ansible.builtin.shell: set -o pipefail; zstd -dc /var/backups/moodle/images.tar.zst | docker load
  args:
    executable: /bin/bash
  changed_when: true
"""

RETURN = r"""
dest:
  description: Path of the archive.
  returned: success
  type: str
index:
  description: Path of the index beside it.
  returned: success
  type: str
size:
  description: Size of the archive in bytes.
  returned: when the archive exists
  type: int
raw_size:
  description: Size of the archive before compression, in bytes.
  returned: when the archive exists
  type: int
sha256:
  description: SHA-256 of the archive as it was written, in hexadecimal.
  returned: when the archive exists
  type: str
shared:
  description: Whether the archive is a hard link to one of O(earlier).
  returned: success
  type: bool
transport:
  description: V(direct) or V(api), the way that was taken.
  returned: when images were saved
  type: str
images:
  description: What the archive holds, in the order of O(images).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name or ID as it was given.
      type: str
    id:
      description: The engine's ID of the image.
      type: str
    tags:
      description: Names that the image gets when the archive is loaded.
      type: list
      elements: str
    repo_digests:
      description: Names with a digest under which registries know the image.
      type: list
      elements: str
    size:
      description: Size of the unpacked image in bytes, with shared layers.
      type: int
    created:
      description: When the image was built.
      type: str
    fingerprint:
      description: Tells whether two images are the same on engines that number images differently.
      type: str
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._images import EXPORT
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(EXPORT)


if __name__ == "__main__":
    main()
