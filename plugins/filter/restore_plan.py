# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which jobs make up each step of a restore. Every job is as side_by_side takes it."""
from __future__ import annotations

import posixpath

_PLACE = ("volume", "container", "path")


def database_images(backup, artefacts):
    """Split archives of images (list of artefacts) in two: those that the database needs, and the others.

    :param backup: dict, metadata of the backup. :returns: {"database": list, "others": list}.
    """
    name = backup["database"]["container"]
    wanted = {container["image_id"] for container in backup["containers"] if container["name"] == name}
    parts = {"database": [], "others": []}
    for artefact in artefacts:
        held = {image["id"] for image in artefact["images"]}
        parts["database" if held & wanted else "others"].append(artefact)
    return parts


def image_jobs(artefacts, folder):
    """Return the jobs that load archives of images where the engine lacks them."""
    return [
        {"name": "load %s" % artefact["file"], "module": "image_import",
         "args": {"src": posixpath.join(folder, artefact["file"]), "images": artefact["images"]}}
        for artefact in artefacts
    ]


def split_new(artefacts, containers):
    """Split artefacts with a tree in two: those that may be right already, and those whose place was just made.

    :param containers: dict, what container_import returned: "absent" (containers), "actions" ("create volume x").
    :returns: {"there": list, "new": list}.
    """
    parts = {"there": [], "new": []}
    for artefact in artefacts:
        tree = artefact["tree"]
        made = "create volume %s" % tree.get("volume") in containers["actions"]
        parts["new" if made or tree.get("container") in containers["absent"] else "there"].append(artefact)
    return parts


def compare_jobs(artefacts, options):
    """Return the jobs that tell whether trees are right already.

    :param artefacts: list of those with a tree. :param options: dict, see _tree_args().
    """
    return [
        {"name": "compare %s" % artefact["file"], "module": "volume_restore",
         "args": dict(_tree_args(artefact, options), compare=True, phase="prepare", **_source(artefact, options),
                      **_unchanged(artefact))}
        for artefact in artefacts if artefact["role"] != "filedir"
    ]


def different(artefacts, results):
    """Return the artefacts (list) whose trees are not right, by the results of compare_jobs()."""
    return [
        artefact for artefact in artefacts
        if results.get("compare %s" % artefact["file"], {}).get("different", True)
    ]


def prepare_jobs(artefacts, options):
    """Return the jobs that unpack trees beside those in use."""
    return [
        {"name": "prepare %s" % artefact["file"], "module": "volume_restore",
         "args": dict(_tree_args(artefact, options), phase="prepare", **_source(artefact, options))}
        for artefact in artefacts
    ]


def filedir_job(artefact, options, phase="prepare"):
    """Return the job (a list of one, or of none without an artefact) that brings the stored files back.

    :param options: dict as for _tree_args(), and pool (folder), check (bool, see filedir_restore).
    """
    if not artefact:
        return []
    tree = artefact["tree"]
    args = {key: tree[key] for key in _PLACE if tree.get(key) is not None}
    args.update(image=options["image"], transport=options["transport"], phase=phase,
                transaction=options["transaction"])
    if phase in ("prepare", "all", "switch"):
        args.update(src=posixpath.join(options["folder"], artefact["file"]), pool=options["pool"])
    if phase in ("prepare", "all"):
        args.update(artefact.get("attributes") or {}, check=options["check"])
    return [{"name": "%s %s" % (phase, artefact["file"]), "module": "filedir_restore", "args": args}]


def phase_jobs(plan, transport, phase, database=True):
    """Return the jobs of the phase "switch", "commit" or "rollback" of all trees, the stored files and the database.

    They are to be done one after the other: what is beside the stored files is a tree in the same folder, and what came
    last has to go first.

    :param plan: dict, _moodle_backup_plan of the role restore.
    """
    options = dict(plan, transport=transport)
    jobs = [
        {"name": "%s %s" % (phase, artefact["file"]), "module": "volume_restore",
         "args": dict(_tree_args(artefact, options), phase=phase)}
        for artefact in plan["trees"]
    ]
    files = filedir_job(plan.get("filedir"), options, phase)
    jobs = files + jobs if phase == "rollback" else jobs + files
    if database:
        jobs.append({"name": "%s database" % phase, "module": "database_restore", "args": {
            "container": plan["database"]["container"], "database": plan["database"]["name"],
            "transaction": plan["transaction"], "phase": phase}})
    return jobs


def layer_jobs(artefacts, options):
    """Return the jobs that fill the writable layers of containers that were just created."""
    jobs = []
    for artefact in artefacts:
        if artefact["role"] == "filedir":
            jobs += filedir_job(artefact, options, "all")
        else:
            args = dict(_tree_args(artefact, options), phase="all", **_source(artefact, options))
            jobs.append({"name": "fill %s" % artefact["file"], "module": "volume_restore", "args": args})
    return jobs


def _tree_args(artefact, options):
    """Return where a tree is, as volume_restore takes it.

    :param options: dict with image (for helper containers), transport, transaction, and folder of the backup.
    """
    tree = artefact["tree"]
    args = {key: tree[key] for key in _PLACE if tree.get(key) is not None}
    # Configuration is beside the compose file on the host, not in a container.
    transport = "direct" if artefact["role"] == "configuration" else options["transport"]
    return dict(args, image=options["image"], transport=transport, transaction=options["transaction"])


def _unchanged(artefact):
    """Return what tells a tree that nobody has written to since it was archived."""
    if not artefact.get("fingerprint"):
        return {}
    return {"fingerprint": artefact["fingerprint"], "exclude": artefact["tree"].get("exclude") or []}


def _source(artefact, options):
    tree = artefact["tree"]
    found = {"src": posixpath.join(options["folder"], artefact["file"]), "keep": tree.get("keep") or []}
    return dict(found, paths=tree["paths"]) if tree.get("paths") is not None else found


class FilterModule:
    def filters(self):
        return {
            "database_images": database_images, "image_jobs": image_jobs, "split_new": split_new,
            "compare_jobs": compare_jobs, "different": different, "prepare_jobs": prepare_jobs,
            "filedir_job": filedir_job, "phase_jobs": phase_jobs, "layer_jobs": layer_jobs,
        }
