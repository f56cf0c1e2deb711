# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Floors: the single pipelines that a full backup or restore cannot avoid, each alone on an idle machine."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import meter
import stack

_SAVED = "floor-images.tar.zst"
_ZSTD = "zstd -q -3 -T0"


@dataclass(frozen=True)
class Floor:
    """One pipeline.

    :param script: for bash, run in the folder of the round.
    :param before: prepares it and is not measured; so does after.
    """

    title: str
    script: str
    before: str = ":"
    after: str = ":"


_NOTHING = json.dumps([{"hosts": "all", "gather_facts": False, "become": True, "tasks": [{"ping": None}] * 4}])
_IN_DATABASE = f"docker exec {stack.DATABASE} sh -c"
BACKUP = {
    "images": Floor("docker save of both images through zstd",
                    f"docker save {stack.IMAGES['web']} {stack.IMAGES['db']} | {_ZSTD} -c >{_SAVED}"),
    "database": Floor("pg_dump through zstd in the container, to the host",
                      f"{_IN_DATABASE} 'pg_dump -U moodle -Fc -Z0 moodle | {_ZSTD} -c' >floor-dump",
                      after="rm floor-dump"),
    "code": Floor("tar of the code through zstd, on the host",
                  "tar -C \"$(docker inspect -f '{{.GraphDriver.Data.MergedDir}}' " + stack.WEB + ")" + stack.CODE
                  + f'" -cf - . | {_ZSTD} -c >floor-code', after="rm floor-code"),
    "ansible": Floor("ansible-playbook with four tasks that do nothing, as many as a backup has modules",
                     f"ansible-playbook -i localhost, -c local -e ansible_python_interpreter={sys.executable}"
                     " nothing.yml >/dev/null", f"printf '%s' '{_NOTHING}' >nothing.yml", "rm nothing.yml"),
}
IN_PLACE = {
    "load": Floor("pg_restore into a new database, without waiting for the disk",
                  f"{_IN_DATABASE} 'PGOPTIONS=\"-c synchronous_commit=off -c maintenance_work_mem=256MB\" "
                  "pg_restore -U moodle -j 2 -d floor /tmp/floor.dump'",
                  f"{_IN_DATABASE} 'pg_dump -U moodle -Fc -Z0 -f /tmp/floor.dump moodle && createdb -U moodle floor'",
                  f"{_IN_DATABASE} 'dropdb -U moodle floor && rm /tmp/floor.dump'"),
}
EMPTY = {
    "load images": Floor("docker load of both images onto the emptied engine", f"zstd -q -d -c {_SAVED} | docker load"),
}
ALL = BACKUP | IN_PLACE | EMPTY


def measured(floor: Floor, work: Path) -> dict:
    """Run the pipeline from a cold page cache; return what it cost."""
    for script in (floor.before, None, floor.after):
        if script:
            stack.command("bash", "-c", f"cd '{work}' && {{ {script}; }}")
            continue
        meter.drop_caches()
        words = ["bash", "-c", f"set -euo pipefail; cd '{work}'; {floor.script}"]
        cost = meter.measure(words, work / "floor.log", dict(os.environ))
    return {"wall": cost.wall, "machine": cost.machine, "processes": cost.processes, "memory": cost.memory,
            "idle_load": cost.idle_load}
