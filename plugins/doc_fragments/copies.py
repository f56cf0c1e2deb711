# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The other storage that holds backups; kept in step with module_utils/_copy_kinds.py.
    DOCUMENTATION = r"""
options:
  copies:
    description: The other storage that holds backups, in the order in which it is written to and asked.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A short name, of letters, digits, C(.), C(_) and C(-).
        type: str
        required: true
      kind:
        description:
          - V(rsync) is a folder with the same layout as O(root), on a host that SSH reaches, or on this one, for
            example on a mounted disk.
          - V(restic) is a repository of restic (0.14 or newer), which has to be installed. It is encrypted.
          - V(controller) is such a folder on the control node, which is the host, or reaches it by SSH with a key, as
            root or as a user with C(sudo) without a password.
        type: str
        choices: [rsync, restic, controller]
        required: true
      path:
        description:
          - The folder of V(kind=rsync) and V(kind=controller), absolute. Each host needs one of its own.
          - It may serve as O(root), and its files open with standard tools.
        type: str
      host:
        description:
          - The host of V(kind=rsync). It needs sh, coreutils, findutils, util-linux, grep and rsync of GNU and Linux.
            Without it, the folder is on this host.
        type: str
      user:
        description: The user there. The default is what SSH takes.
        type: str
      port:
        description: The port of SSH there, also for a repository over SFTP.
        type: int
        default: 22
      ssh_key:
        description: Path of the private key, on the host that the module runs on, also for a repository over SFTP.
        type: path
      known_hosts:
        description: Path of the file with known host keys. The default is what SSH takes.
        type: path
      host_key_checking:
        description: Whether a host whose key is not known, or another one, is refused.
        type: bool
        default: true
      connect_timeout:
        description: Seconds to wait for a connection.
        type: int
        default: 20
      rate_limit:
        description: Bytes per second at the most, as a number or written V(20M). V(0) for no limit.
        type: str
        default: "0"
      encrypted_storage:
        description:
          - Says that the storage of V(kind=rsync) or V(kind=controller) is encrypted, or trusted as the host of the
            backups is. Backups hold passwords, so without it such a copy is refused.
        type: bool
        default: false
      repository:
        description:
          - Where the repository of V(kind=restic) is, as restic writes it - a path, C(sftp:), C(rest:), C(s3:). Each
            host needs one of its own.
        type: str
      password:
        description: The password of the repository. It reaches restic by its environment.
        type: str
      password_file:
        description: Path of a file with the password, on the host that the module runs on.
        type: path
      environment:
        description:
          - Environment variables with which restic logs in to its storage, such as C(AWS_ACCESS_KEY_ID). All values are
            hidden wherever they would be shown.
        type: dict
      create:
        description: Whether the repository is made if it is not there.
        type: bool
        default: true
      keep_last:
        description:
          - How many of the newest backups of a stack stay in the copy. Without any of the options C(keep_), nothing is
            ever removed from it. What would be removed at once is not copied.
        type: int
        default: 0
      keep_daily:
        description: Of how many days the newest backup stays.
        type: int
        default: 0
      keep_weekly:
        description: Of how many weeks the newest backup stays.
        type: int
        default: 0
      keep_monthly:
        description: Of how many months the newest backup stays.
        type: int
        default: 0
      keep_yearly:
        description: Of how many years the newest backup stays.
        type: int
        default: 0
      keep_within:
        description: How far before the newest backup all of them stay, such as V(30d), V(6m) or V(1y6m).
        type: str
        default: ""
      keep_minimum:
        description: How many of the newest backups stay whatever the other options say.
        type: int
        default: 1
"""
