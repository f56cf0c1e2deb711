#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_import
short_description: Bring Docker images back from an archive
version_added: 0.1.0
description:
  - Loads an archive that M(moodleclaude.backup.image_export) or C(docker save) wrote. The file's content decides how it
    is decompressed (zstd, gzip or not at all), not its name.
  - Nothing is loaded if the engine has all the images; then only missing names are set.
  - Afterwards every image is there under its ID, or the module fails.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  src:
    description: Path of the archive.
    type: path
    required: true
  images:
    description:
      - The images that must be there afterwards, as RV(moodleclaude.backup.image_export#module:images) of the export.
      - Of each entry C(id) is required. C(tags) are the names that the image gets, by default C(name) if that is one.
        C(fingerprint) recognises the image on an engine whose image store numbers images differently.
      - If not given, all that the archive holds. Its index is read, or the archive itself if it has none.
    type: list
    elements: dict
seealso:
  - module: moodleclaude.backup.image_export
"""

EXAMPLES = r"""
- name: Load all images of a backup
  moodleclaude.backup.image_import:
    src: /var/backups/moodle/images.tar.zst

- name: Load an archive and insist on one image
  moodleclaude.backup.image_import:
    src: /var/backups/moodle/images.tar.zst
    images:
      - name: my-moodle:4.5
        id: sha256:dba0f2763b67fde6040986dd936be32790735f1f649189a2fbc69d03ebc479a1
"""

RETURN = r"""
images:
  description: The images that were wanted, with the IDs that they have on this engine.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name as it was given.
      type: str
    id:
      description: The engine's ID of the image.
      type: str
    tags:
      description: Names of the image.
      type: list
      elements: str
loaded:
  description: IDs of the images that were not on the engine.
  returned: success
  type: list
  elements: str
tagged:
  description: Names that were missing or at another image.
  returned: success
  type: list
  elements: str
moved:
  description: Names that were at another image, with that image's ID. The other image stays on the engine.
  returned: success
  type: dict
  sample: {"postgres:16": "sha256:dba0f2763b67fde6040986dd936be32790735f1f649189a2fbc69d03ebc479a1"}
"""

from ansible_collections.moodleclaude.backup.plugins.module_utils._images import RESTORE
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import run_call


def main():
    run_call(RESTORE)


if __name__ == "__main__":
    main()
