#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: side_by_side
short_description: Do the work of several modules of this collection at the same time
version_added: 0.2.0
description:
  - Does jobs side by side, each in a process of its own, and those that depend on others after these. A job is what one
    of the other modules does, with the same options.
  - The options of all jobs are checked, and there has to be room for what they write, before any of them starts.
  - If a job fails, the others are ended. They clean up as if they had failed themselves, so no partial file is left.
    What jobs have completed before stays.
  - The jobs end with the module, even if it is killed.
author:
  - MoodleClaude contributors (@moodleclaude)
extends_documentation_fragment:
  - moodleclaude.backup.attributes
  - moodleclaude.backup.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: What the modules of the jobs show, with the names of the jobs.
  idempotent:
    support: partial
    details: As the modules of the jobs are.
options:
  jobs:
    description:
      - What is to be done. The jobs start in this order, so the longest should be the first.
      - A job that needs what another one makes has to name it in C(after).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for results and messages. Each job needs its own.
        type: str
        required: true
      module:
        description: The module of this collection that would do the work alone.
        type: str
        required: true
        choices:
          - container_export
          - container_import
          - container_state
          - database_dump
          - database_restore
          - filedir_archive
          - filedir_restore
          - image_export
          - image_import
          - moodle_config
          - moodle_content_backup
          - moodle_site_check
          - moodle_site_finish
          - restore_session
          - volume_archive
          - volume_restore
      args:
        description:
          - The options of that module. The options of the Docker connection are those of this task, unless a job has
            its own.
        type: dict
        default: {}
      after:
        description:
          - Names of the jobs that have to be done before this one starts. They have to be above it in the list.
        type: list
        elements: str
        default: []
  processes:
    description:
      - How many jobs may run at once. The compressors of all jobs together get as many cores, unless a job has a
        C(processes) of its own.
      - With V(0) that is the number of cores, at least 2, and each compressor may use all cores.
    type: int
    default: 0
  nice:
    description:
      - How far the jobs and their programs step back for other programs that need the processor, V(0) (not at all) to
        V(19).
      - This does not reach what other processes do on behalf of the jobs. The database server and the Docker Engine
        work as always.
    type: int
    default: 0
  ionice:
    description:
      - How far the jobs and their programs step back for other programs that need the disk. V(best-effort) is the
        lowest priority of that class, V(idle) works only when nobody else needs the disk. Anything but V(none) needs
        the program C(ionice), and takes effect with a scheduler of the kernel that knows priorities, such as C(bfq).
      - This does not reach what the database server and the Docker Engine do on behalf of the jobs.
    type: str
    choices: [none, best-effort, idle]
    default: none
  rate_limit:
    description:
      - How many bytes per second all jobs together may read from the site, or write to it when they restore, counted
        without compression. A number of bytes, or with a unit such as V(20M) or V(1G). V(0) is no limit.
      - This limits the load on disks and network better than O(ionice) when the engine does the reading.
    type: str
    default: '0'
  check_space:
    description:
      - Whether the jobs are asked first how many bytes they will write, and refused if the file system has not as many.
        Jobs that cannot tell are left out of the sum, among them all restores but those of C(filedir_restore).
    type: bool
    default: true
  space_margin:
    description:
      - How many bytes have to stay free beyond what the jobs need, written as in O(rate_limit).
      - The default is 64 MiB and 5 % of what is needed.
    type: str
requirements:
  - The program C(ionice) on the managed host, if O(ionice) is not V(none)
seealso:
  - module: moodleclaude.backup.database_dump
  - module: moodleclaude.backup.volume_archive
  - module: moodleclaude.backup.image_export
"""

EXAMPLES = r"""
- name: Dump a database and archive a volume at the same time
  moodleclaude.backup.side_by_side:
    jobs:
      - name: images
        module: image_export
        args:
          images: [school/web:4.5]
          dest: /var/backups/images.tar.zst
      - name: database
        module: database_dump
        args:
          container: school-db-1
          database: moodle
          dest: /var/backups/database.dump.zst
      - name: moodledata
        module: volume_archive
        args:
          volume: school_moodledata
          dest: /var/backups/moodledata.tar.zst
  register: done

- name: Tell the size of the dump
  ansible.builtin.debug:
    msg: "{{ done.jobs.database.size }} bytes in {{ done.seconds.database }} seconds"

- name: Load an image, and create the container when it is there
  moodleclaude.backup.side_by_side:
    jobs:
      - name: image
        module: image_import
        args:
          src: /var/backups/images.tar.zst
      - name: container
        module: container_import
        args:
          src: /var/backups/container_info.json
        after: [image]

- name: Do it gently on a busy host
  moodleclaude.backup.side_by_side:
    processes: 1
    nice: 19
    ionice: idle
    rate_limit: 20M
    jobs:
      - name: moodledata
        module: volume_archive
        args:
          volume: school_moodledata
          dest: /var/backups/moodledata.tar.zst
"""

RETURN = r"""
jobs:
  description: For each job's name, what its module would have returned, without warnings and differences.
  returned: success
  type: dict
  sample:
    moodledata:
      changed: true
      dest: /var/backups/moodledata.tar.zst
      size: 123456
seconds:
  description: For each job's name, how long it took.
  returned: success
  type: dict
  sample: {moodledata: 1.234}
space:
  description:
    - For each file system that jobs write to, C(folder), the bytes that are C(needed) and C(free), and for each job
      that could tell its part of it (C(jobs)).
    - Also returned when there is not enough.
  returned: if O(check_space=true)
  type: list
  elements: dict
  sample:
    - folder: /var/backups
      needed: 1000000
      free: 2000000000
      jobs: {moodledata: 1000000}
job:
  description: Name of the job that failed.
  returned: when a job failed
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.moodleclaude.backup.plugins.module_utils import _jobs
from ansible_collections.moodleclaude.backup.plugins.module_utils._module import build_module, run


class Module(AnsibleModule):
    """AnsibleModule that shows the jobs without their secrets, and hides them as a whole where it cannot tell."""

    def __init__(self, **kwargs):
        self._options_are_right = False
        super().__init__(**kwargs)
        self._options_are_right = True
        self.no_log_values = _jobs.secrets(self.params["jobs"])

    def fail_json(self, msg, **kwargs):
        """End the module. The constructor itself calls this when the options are wrong."""
        jobs = self.params.get("jobs")
        try:
            if "'jobs'" in msg and not self._options_are_right:
                raise ValueError(_jobs.FORM)  # what could not be read was dropped, but the message shows it
            self.no_log_values = _jobs.secrets(jobs)
        except ValueError as error:
            msg, self.params["jobs"] = "The option jobs is wrong, and not shown: %s" % error, None
        self._hide_settings()
        super().fail_json(msg, **kwargs)

    def exit_json(self, **kwargs):
        self._hide_settings()
        super().exit_json(**kwargs)

    def _hide_settings(self):
        """Take those settings that may be secret out of what is shown of the options."""
        if self.params.get("jobs"):
            self.params["jobs"] = _jobs.shown(self.params["jobs"])


def main():
    module = build_module(_jobs.OPTIONS, kind=Module, supports_check_mode=True)
    run(module, lambda: _jobs.run(module.params, module.check_mode, module._diff))


if __name__ == "__main__":
    main()
