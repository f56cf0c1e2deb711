#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_verdict
short_description: Let a run end as its stacks have
version_added: 0.2.0
description:
  - Fails on each host on which a stack has failed, with the reasons, so that C(ansible-playbook) ends with 2.
  - If all of several stacks have failed, it reports all hosts as unreachable. That is the only other status that
    Ansible has, so C(ansible-playbook) ends with 4 then. It does the same for a single host that was unreachable.
  - It is done on the control node and connects to no host. The role C(fleet) calls it at the end of a run.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  summary:
    description: What became of the run, as P(moodleclaude.backup.run_summary#filter) puts it together.
    type: dict
    required: true
  host:
    description: The host that this is about, as the inventory calls it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: End as the stacks of this host have ended
  moodleclaude.backup.run_verdict:
    summary: "{{ kept | moodleclaude.backup.run_summary('backup') }}"
    host: "{{ inventory_hostname }}"
"""

RETURN = r"""
msg:
  description: V(done), or for each stack of the host that has failed, why.
  type: str
  returned: always
"""
