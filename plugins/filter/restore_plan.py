# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which jobs make up each step of a restore. Every job is as side_by_side takes it."""
from __future__ import annotations

import posixpath

# Names of jobs whose results are asked for.
CONTAINERS = "prepare the containers"
CREATE = "create the containers"
_CREATED = "create container "
_PLACE = ("volume", "container", "path")


def base_jobs(plan, backup, artefacts):
    """Return the jobs that make what all else needs: the images, networks, volumes, and a database that runs.

    :param plan: dict, _moodle_backup_plan of the role restore. :param backup: dict, metadata of the backup.
    :param artefacts: list, the archives of images.
    """
    database = plan["database"]["container"]
    wanted = {container["image_id"] for container in backup["containers"] if container["name"] == database}
    first = [artefact for artefact in artefacts if wanted & {image["id"] for image in artefact["images"]}]
    needed = _image_jobs(first, plan["folder"])
    containers = {
        "name": CONTAINERS, "module": "container_import", "after": [job["name"] for job in needed],
        "args": {"src": plan["src"], "transaction": plan["transaction"], "phase": "prepare", "ready": [database],
                 # In an older backup of a stopped site, the containers' own record says that they did not run.
                 "started": [container["name"] for container in backup["containers"] if container.get("running")],
                 # What the backup holds is loaded beside this.
                 "check_images": not artefacts},
    }
    others = [artefact for artefact in artefacts if artefact not in first]
    return [*needed, containers, *_image_jobs(others, plan["folder"])]


def _image_jobs(artefacts, folder):
    return [
        {"name": "load %s" % artefact["file"], "module": "image_import",
         "args": {"src": posixpath.join(folder, artefact["file"]), "images": artefact["images"]}}
        for artefact in artefacts
    ]


def already_there(artefacts, containers):
    """Return those of the artefacts with a tree (list) whose place was there before.

    :param containers: dict, what container_import returned: "absent" (containers), "actions" ("create volume x").
    """
    return [
        artefact for artefact in artefacts
        if "create volume %s" % artefact["tree"].get("volume") not in containers["actions"]
        and artefact["tree"].get("container") not in containers["absent"]
    ]


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


def apart(artefacts):
    """Return the artefacts with a tree (list) without configuration that is in another tree of the host (list).

    The archive of that tree has it too, and two trees in one folder would be in each other's way.
    """
    folders = [artefact["tree"]["path"].rstrip("/") + "/" for artefact in artefacts
               if artefact["role"] != "configuration" and artefact["tree"]["storage"] == "bind"]
    return [
        artefact for artefact in artefacts if artefact["role"] != "configuration"
        or not any((artefact["tree"]["path"].rstrip("/") + "/").startswith(folder) for folder in folders)
    ]


def different(artefacts, results):
    """Return the artefacts (list) whose trees are not right, by the results of compare_jobs() and prepare_jobs()."""
    def result(artefact):
        return results.get("compare %s" % artefact["file"]) or results.get("prepare %s" % artefact["file"]) or {}

    return [artefact for artefact in artefacts if result(artefact).get("different", True)]


def prepare_jobs(artefacts, options, anew=()):
    """Return the jobs that unpack the trees of artefacts that are not right already, beside those in use.

    :param anew: files (list of str) of the artefacts that are unpacked even if their trees are right.
    """
    return [
        {"name": "prepare %s" % artefact["file"], "module": "volume_restore",
         "args": dict(_tree_args(artefact, options), unless_same=artefact["file"] not in anew, phase="prepare",
                      **_source(artefact, options), **_unchanged(artefact))}
        for artefact in artefacts
    ]


def config_place(plan, backup, changes=True):
    """Return what has to be replaced so that a change of the restored site's config.php can be undone.

    It is written where it is, in a tree or a container. If that was not made anew by the restore, nobody would put the
    old settings back.

    :param plan: dict, _moodle_backup_plan of the role restore. :param backup: dict, metadata of the backup.
    :param changes: bool, whether config.php is going to be changed at all.
    :returns: dict with "trees" (files of artefacts that are unpacked in any case), "containers" (names of those that
        are replaced in any case) and "refusal" (str, why it must not be changed, and what to do; empty if it may).
    """
    found = {"trees": [], "containers": [], "refusal": ""}
    place = backup["moodle"].get("config_place")
    if not changes:
        return found
    if not place:
        # An older backup does not say what config.php is a link to, if it is one.
        found["trees"] = [tree["file"] for tree in plan["trees"] if tree["role"] != "configuration"]
        layers = [layer["tree"]["container"] for layer in plan["layers"]]
        return dict(found, containers=sorted({backup["web"]["name"], *layers}))
    if place["storage"] == "layer":
        return dict(found, containers=[place["container"]])
    holding = [tree for tree in plan["trees"] if _holds(tree["tree"], place)]
    if not holding:
        return dict(found, refusal="%s is in no archive of the backup. Put it into a volume" % _described(place))
    # The innermost has it; the others leave it out. Of the settings beside a compose file, it may be one.
    best = max(holding, key=lambda tree: (len(_parts(tree["tree"])), tree["role"] != "configuration"))
    if _parts(best["tree"]) == _parts(place):
        return dict(found, refusal="%s is mounted as a single file. Mount the folder that holds it" % _described(place))
    return dict(found, trees=[best["file"]])


def _holds(tree, place):
    """Return whether a path of a volume or of the host (place) is in a tree (bool); both as artefacts have them."""
    if any(tree.get(key) != place.get(key) for key in ("volume", "container")):
        return False
    outer, inner = _parts(tree), _parts(place)
    below = "/".join(inner[len(outer):])
    return inner[:len(outer)] == outer and (tree.get("paths") is None or below in tree["paths"])


def _parts(place):
    return [part for part in place["path"].split("/") if part]


def _described(place):
    where = " of volume '%s'" % place["volume"] if place.get("volume") else ""
    where = " of container '%s'" % place["container"] if place.get("container") else where
    return "%s%s" % (place["path"], where)


def with_containers(jobs):
    """Return jobs that need what base_jobs() makes, as they are in one list with those."""
    return [dict(job, after=[CONTAINERS]) for job in jobs]


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


def switch_jobs(plan, transport, kept, stale):
    """Return the jobs, to be done one after the other, that put everything in its place with the site stopped.

    :param plan: dict, with the trees that differ. :param kept: list of containers that are not replaced in any case.
    :param stale: list of containers that are replaced in any case.
    """
    database = plan["database"]["container"]
    stop = {"name": "stop the site", "module": "container_state", "args": {
        "containers": [name for name in plan["containers"] if name != database], "state": "stopped"}}
    create = {"name": CREATE, "module": "container_import", "args": {
        "src": plan["src"], "transaction": plan["transaction"], "phase": "switch", "state": "created",
        "containers": [name for name in plan["containers"] if name not in kept],
        "recreate": [name for name in stale if name not in kept]}}
    return [stop, *phase_jobs(plan, transport, "switch"), create]


def commit_jobs(plan, transport):
    """Return the jobs, to be done one after the other, that remove what was replaced."""
    return phase_jobs(plan, transport, "commit") + [
        {"name": "commit the containers", "module": "container_import",
         "args": {"transaction": plan["transaction"], "phase": "commit"}}]


def touching(paths, mounts):
    """Return those of the paths (list of str) that are one of the mounts (list of str), above one, or below one."""
    def within(one, other):
        return one == other or one.startswith(other.rstrip("/") + "/")

    return [path for path in paths if any(within(path, mount) or within(mount, path) for mount in mounts)]


def layer_jobs(layers, created, options):
    """Return the jobs that fill the writable layers (list of artefacts) of containers that were just created.

    :param created: dict, results of switch_jobs().
    """
    new = [action[len(_CREATED):] for action in created[CREATE]["actions"] if action.startswith(_CREATED)]
    jobs, stored = [], []
    for artefact in layers:
        if artefact["tree"]["container"] not in new:
            continue
        if artefact["role"] == "filedir":
            stored += filedir_job(artefact, options, "all")
        else:
            args = dict(_tree_args(artefact, options), phase="all", **_source(artefact, options))
            jobs.append({"name": "fill %s" % artefact["file"], "module": "volume_restore", "args": args})
    # Stored files are put into the folder of another tree.
    return jobs + [dict(job, after=[other["name"] for other in jobs]) for job in stored]


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
            "base_jobs": base_jobs, "with_containers": with_containers, "already_there": already_there,
            "compare_jobs": compare_jobs, "different": different, "prepare_jobs": prepare_jobs,
            "config_place": config_place, "apart": apart,
            "filedir_job": filedir_job, "phase_jobs": phase_jobs, "switch_jobs": switch_jobs,
            "layer_jobs": layer_jobs, "commit_jobs": commit_jobs, "touching": touching,
        }
