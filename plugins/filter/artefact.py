# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import posixpath

from ansible.errors import AnsibleFilterError

# What of a module's result is worth keeping in a backup's metadata.
_KEPT = ("raw_size", "transport", "format", "tables", "row_count", "table_count", "server_version",
         "client_version", "encoding", "collation", "database_owner", "images")


def artefact(result, role, tree=None):
    """Describe what a module wrote, for the metadata of a backup; a list for a skipped, a plain or a looped result.

    :param result: dict, the registered result of a task that wrote files, or of a loop of such.
    :param role: str, what the file is. :param tree: dict, where its content belongs.
    :returns: list of {"role", "file" (name in the backup's folder), "tree", ...}; empty if the task was skipped.
    """
    if not isinstance(result, dict):
        raise AnsibleFilterError("artefact needs the registered result of a task")
    if "results" in result:
        found = []
        for entry in result["results"]:
            item = entry.get(entry.get("ansible_loop_var", "item"))
            found += artefact(entry, item["role"], {key: item[key] for key in _TREE if item.get(key) is not None})
        return found
    if result.get("skipped") or "dest" not in result:
        return []
    # In check mode nothing was written, so there is no size and no checksum.
    described = {key: result.get(key) for key in ("size", "sha256")}
    described.update({key: result[key] for key in _KEPT if key in result})
    if role != "images":
        described.pop("images", None)
    described.update(role=role, file=posixpath.basename(result["dest"]))
    if tree:
        described["tree"] = tree
    # A dump comes with a second file, the roles of its server.
    return [described] + artefact(result.get("roles") or {}, "roles")


_TREE = ("volume", "container", "path", "paths", "storage", "exclude", "keep")


def failure(result):
    """Return why a task failed (str): its message, or those of the failed items of its loop.

    :param result: dict, ansible_failed_result.
    """
    failed = [entry for entry in result.get("results", []) if entry.get("failed")]
    messages = [str(entry.get("msg", "")) for entry in failed] or [str(result.get("msg", "no message"))]
    return " ".join(message for message in messages if message)


class FilterModule:
    def filters(self):
        return {"artefact": artefact, "failure": failure}
