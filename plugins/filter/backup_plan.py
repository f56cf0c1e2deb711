# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which jobs make up a backup, and what the backup's metadata says of what they wrote."""
from __future__ import annotations

import posixpath

from ansible_collections.moodleclaude.backup.plugins.module_utils._naming import slug, unique

_ENDINGS = {"zstd": ".zst", "gzip": ".gz", "none": ""}
_FORMATS = {"custom": ".dump", "plain": ".sql"}
_TREE = ("volume", "container", "path", "paths", "storage", "exclude", "keep")
_EARLIER = ("path", "sha256", "size", "raw_size")
# What of a module's result is worth keeping in a backup's metadata.
_KEPT = ("size", "sha256", "raw_size", "transport", "format", "tables", "row_count", "table_count", "server_version",
         "client_version", "encoding", "collation", "database_owner", "fingerprint", "shared", "new", "new_bytes",
         "files", "bytes", "attributes")
_DATABASE = "content"  # name of the job that backs up the database and the stored files


def backup_plan(stack, options):
    """Return the jobs of a backup, the longest first (list of {"name", "module", "args", "role", "tree"}).

    :param stack: dict, what moodle_stack_info returns as "stack".
    :param options: dict with folder (of the backup in the making), pool, earlier (list, as backup_set returns it),
        compression, database_format, transport, and as bool images, self_contained, accept_incomplete, stopped (the
        site is held still that way), site_check.
    """
    plan = _Plan(stack, options)
    files = plan.trees() + plan.plugins() + plan.configuration()
    site = [plan.site()] if options["site_check"] else []
    return [plan.content(), *plan.images(), *files, plan.containers(), *site]


def jobs(plan):
    """Return a plan as side_by_side takes it."""
    return [{key: job[key] for key in ("name", "module", "args")} for job in plan]


class _Plan:
    def __init__(self, stack, options):
        self.stack, self.options = stack, options
        self.ending = _ENDINGS[options["compression"]]

    def _path(self, name):
        return posixpath.join(self.options["folder"], name)

    def _place(self, tree):
        """Return the options that say where a tree is.

        Through the Docker API a folder of the host is reached in a helper container, for which an image is needed.
        """
        place = _place(tree)
        if set(place) == {"path"}:
            place["image"] = self.stack["web"]["image_id"]
        return place

    def _earlier(self, keys, fits):
        """Return the archives of earlier backups that fit, as the modules take them."""
        return [
            {key: entry[key] for key in (*_EARLIER, *keys) if key in entry}
            for entry in self.options["earlier"] if fits(entry) and all(key in entry for key in _EARLIER)
        ]

    def content(self):
        database, options = self.stack["database"], self.options
        files = dict(self._place(self.stack["filedir"]), transport=options["transport"])
        trash = _place(self.stack["filedir"]["trash"])
        if all(trash.get(key) == files.get(key) for key in ("volume", "container")):
            files["trash"] = trash["path"]  # elsewhere it is not looked at, and a deletion costs another dump
        if options["self_contained"]:
            files.update(archive=True, pool=self._path(".pool"), dest=self._path("filedir.tar" + self.ending))
        else:
            files.update(pool=options["pool"], dest=self._path("filedir.sha1"))
        return {"name": _DATABASE, "module": "moodle_content_backup", "role": "database", "args": {
            "container": database["container"], "database": database["name"], "username": database["user"],
            # With the web container stopped, what the database container itself offers has to do.
            **({} if options["stopped"] else {
                "password_container": self.stack["web"]["name"], "password_command": database["password_command"]}),
            "format": options["database_format"], "compression": options["compression"],
            "dest": self._path("database" + _FORMATS[options["database_format"]] + self.ending),
            "roles_dest": self._path("database_roles.sql"), "prefix": database["prefix"], "filedir": files,
            "external_files": self.stack["moodle"]["external_files"], "accept_incomplete": options["accept_incomplete"],
        }}

    def images(self):
        """Return a job for each image, by ID, so that another backup can share its archive."""
        if not self.options["images"]:
            return []
        names = {}
        for reference in self.stack["images"]:
            name, _equals, identifier = reference.partition("=")
            names.setdefault(identifier or name, []).append(reference)
        groups = list(names.values())
        files = unique(["image_" + slug(references[0].partition("=")[0]) for references in groups])
        return [self._image(references, file) for references, file in zip(groups, files)]

    def _image(self, references, file):
        wanted = {reference.partition("=")[2] or reference for reference in references}

        def fits(entry):
            return entry["role"] == "images" and {image["id"] for image in entry["images"]} == wanted

        return {"name": file.replace("_", " ", 1), "module": "image_export", "role": "images", "args": {
            "images": references, "dest": self._path(file + ".tar" + self.ending),
            "compression": self.options["compression"], "transport": self.options["transport"],
            "earlier": self._earlier(("images",), fits),
        }}

    def trees(self):
        return [self._tree(tree, tree["role"], tree["file"]) for tree in self.stack["trees"]]

    def _tree(self, tree, role, file, transport=None):
        described = {key: tree[key] for key in _TREE if tree.get(key) is not None}

        def fits(entry):
            return entry["role"] == role and entry.get("tree") == described

        return {"name": file, "module": "volume_archive", "role": role, "tree": described, "args": {
            **self._place(tree), **{key: tree[key] for key in ("paths", "exclude") if tree.get(key) is not None},
            "dest": self._path("%s.tar%s" % (file, self.ending)), "compression": self.options["compression"],
            "transport": transport or self.options["transport"],
            "earlier": self._earlier(("fingerprint", "files"), fits),
        }}

    def plugins(self):
        if not self.stack["plugin_paths"]:
            return []
        tree = {"container": self.stack["web"]["name"], "path": self.stack["moodle"]["root"],
                "paths": self.stack["plugin_paths"]}
        job = self._tree(tree, "plugins", "plugins")
        job["args"]["earlier"] = self._earlier(("fingerprint", "files"), lambda entry: entry["role"] == "plugins")
        return [{key: value for key, value in job.items() if key != "tree"}]

    def configuration(self):
        return [self._tree(tree, "configuration", tree["file"], "direct") for tree in self.stack["configuration"]]

    def containers(self):
        files = self.stack["compose"]["config_files"]
        return {"name": "containers", "module": "container_export", "role": "containers", "args": {
            "containers": [container["name"] for container in self.stack["containers"]],
            # They may be stopped for the time of the backup.
            "running": [container["name"] for container in self.stack["containers"] if container["running"]],
            "dest": self._path("container_info.json"),
            **({"compose_files": files} if files else {"compose_dest": self._path("docker-compose.yml")}),
        }}

    def site(self):
        return {"name": "site", "module": "moodle_site_check", "role": None, "args": {
            "container": self.stack["web"]["name"], "config": self.stack["moodle"]["config"],
            "wwwroot": self.stack["moodle"]["wwwroot"], "web": False, "wait_seconds": 0, "content": False,
            "companions": [container["name"] for container in self.stack["containers"]],
        }}


def _place(tree):
    return {key: tree[key] for key in ("volume", "container", "path") if tree.get(key) is not None}


def artefacts(plan, results, stack):
    """Return the artefacts of a backup for its metadata (list of {"role", "file", perhaps "tree", ...}).

    :param plan: as backup_plan() gives. :param results: dict, what side_by_side returns as "jobs".
    :param stack: see backup_plan().
    """
    found = []
    for job in plan:
        result = results[job["name"]]
        if job["role"] == "database":
            found += _described(result["database"], "database") + _described(result["database"].get("roles"), "roles")
            files = stack["filedir"]
            found += _described(result["filedir"], "filedir", {key: files[key] for key in _TREE if key in files})
        elif job["role"]:
            found += _described(result, job["role"], job.get("tree"))
            found += _described(result.get("compose"), "compose")
            for copy in result.get("compose_files") or []:
                found += _described(copy, "compose")
    return found


def _described(result, role, tree=None):
    if not result or not result.get("dest"):
        return []
    # In check mode nothing was written, so there is no size and no checksum.
    described = {key: result.get(key) for key in ("size", "sha256")}
    described.update({key: result[key] for key in _KEPT if result.get(key) is not None and result[key] is not False})
    if role == "images":
        described["images"] = result["images"]
    described.update(role=role, file=posixpath.basename(result["dest"]))
    if tree:
        described["tree"] = tree
    return [described]


class FilterModule:
    def filters(self):
        return {"backup_plan": backup_plan, "jobs": jobs, "artefacts": artefacts}
