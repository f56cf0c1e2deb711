# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backups of all hosts, as one document for programs and as a table for people."""
from __future__ import annotations

import json
import shlex
import textwrap

from ansible_collections.moodleclaude.backup.plugins.module_utils._room import human

_PLAYBOOK = "moodleclaude.backup.restore"
_ROOT = "/var/backups/moodleclaude"  # where the playbooks look if they are not told
_RESTORABLE = ("complete", "incomplete")
_BACKUPS = ("complete", "incomplete", "damaged", "broken")
_KEPT = ("root", "exists", "time", "backups", "stacks", "count", "size")
_TIMES = ((365 * 86400, "y"), (30 * 86400, "mo"), (86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_WIDEST_NAME = 40
_INDENT = " " * 6


def catalog_document(results, inventories=()):
    """Return what is known of the backups of all hosts as one document (dict).

    :param results: dict of host to the registered result of backup_info; an empty dict for a host that was not asked.
    :param inventories: list of str, the inventories of this run, for the commands.
    :returns: {"hosts": list of {"host", "state" (listed, failed, unreachable or "not asked"), "message" (why, or None)}
        with what backup_info returns of a host that is listed, "restore" (command) added to each backup; "count",
        "size" (bytes) of all hosts}.
    """
    hosts = [_host(host, result or {}, inventories) for host, result in results.items()]
    return {
        "hosts": hosts,
        "count": sum(host.get("count", 0) for host in hosts),
        "size": sum(host.get("size", 0) for host in hosts),
    }


def _host(host, result, inventories):
    if result.get("unreachable"):
        return {"host": host, "state": "unreachable", "message": str(result.get("msg", ""))}
    if result.get("failed"):
        return {"host": host, "state": "failed", "message": str(result.get("msg", ""))}
    if "backups" not in result:
        return {"host": host, "state": "not asked", "message": "this run did not come to it"}
    listed = dict({key: result[key] for key in _KEPT}, host=host, state="listed", message=None)
    listed["backups"] = [
        dict(backup, restore=restore_command(host, backup["name"], result["root"], inventories)
             if backup["state"] in _RESTORABLE else None)
        for backup in result["backups"]
    ]
    return listed


def restore_command(host, name, root, inventories):
    """Return the command (str) that restores a backup, as a shell takes it."""
    words = ["ansible-playbook"]
    for inventory in inventories:
        words += ["-i", inventory]
    words += [_PLAYBOOK, "--limit", host, "-e", "moodle_backup_name=%s" % name]
    if root != _ROOT:
        # Ansible takes "key=value" apart at spaces and quotes; JSON it takes as it is.
        plain = root == shlex.quote(root)
        words += ["-e", "moodle_backup_root=%s" % root if plain else json.dumps({"moodle_backup_root": root})]
    return " ".join(map(shlex.quote, words))


# --- the table ------------------------------------------------------------------------------------------------------


def catalog_table(document, width=100):
    """Return a document of catalog_document() as a table (list of str, the lines).

    :param width: characters. Commands are never broken, so that they can be copied, and names neither.
    """
    lines = []
    for host in document["hosts"]:
        lines += _Table(width).host(host) + [""]
    listed = sum(1 for host in document["hosts"] if host["state"] == "listed")
    others = len(document["hosts"]) - listed
    lines.append("%s on %s, %s on disk%s" % (
        _count(document["count"], "backup"), _count(listed, "host"), human_size(document["size"]),
        "; NO LIST OF %s, see above" % _count(others, "host").upper() if others else ""))
    return lines


class _Table:
    def __init__(self, width):
        self.width = max(width, 60)

    def host(self, host):
        """Return the lines of one host."""
        if host["state"] != "listed":
            return self.wrapped("%s: %s: %s" % (host["host"], host["state"].upper(), host["message"]), "  ", "")
        if not host["exists"]:
            return ["%s: no backups, there is no %s" % (host["host"], host["root"])]
        head = host["host"], _count(host["count"], "backup"), human_size(host["size"]), host["root"], host["time"]
        lines = self.wrapped("%s: %s, %s, in %s, at %s" % head, "  ", "")
        for stack in host["stacks"]:
            lines += self.stack(stack, [one for one in host["backups"] if one["stack"] == stack["name"]])
        rest = [one for one in host["backups"] if one["stack"] is None]
        return lines + (["", "  No stack is known of:"] + self.rows(rest) if rest else [])

    def stack(self, stack, backups):
        """Return the lines of one stack."""
        newest = stack["newest"]
        good = "the newest good one is %s, %s old" % (newest["name"], human_age(newest["age"])) if newest else (
            "THERE IS NO GOOD ONE")
        states = ", ".join("%d %s" % (count, state) for state, count in sorted(stack["states"].items())
                           if state != "complete")
        lines = ["", *self.wrapped("  Stack %s: %s, %s on disk; %s%s" % (
            stack["name"], _count(stack["count"], "backup"), human_size(stack["size"]), good,
            "; " + states if states else ""), "    ", "")]
        if stack["at_work"]:
            lines.append("    at work right now: %s" % stack["at_work"])
        if stack["unfinished_restore"]:
            lines += self.wrapped("A RESTORE FROM %s DID NOT END: run it again, or undo it with the playbook "
                                  "moodleclaude.backup.rollback" % stack["unfinished_restore"], "    ")
        for job, outcome in stack["outcomes"].items():
            became = job, "ok" if outcome["ok"] else "FAILED", human_age(outcome["age"]), outcome["message"]
            lines += self.wrapped("last %-9s  %-6s  %s ago: %s" % became, "    ", more=4)
        return lines + self.rows(backups)

    def rows(self, backups):
        """Return the lines of a list of backups, with a head."""
        if not backups:
            return []
        names = [len(one["name"]) for one in backups if len(one["name"]) <= _WIDEST_NAME]
        row = "  %%3s  %%-%ds  %%-25s  %%-6s  %%10s  %%10s  %%s" % max([8, *names])
        lines = ["", (row % ("#", "NAME", "CREATED", "AGE", "SIZE", "FREES", "STATE"))]
        for one in backups:
            cells = [one["created"], human_age(one["age"]), human_size(one["size"]), human_size(one["frees"]),
                     one["state"]]
            number = one["number"] or "-"
            if len(one["name"]) > _WIDEST_NAME:
                lines.append("  %3s  %s" % (number, one["name"]))
                lines.append(row % ("", "", *cells))
            else:
                lines.append(row % (number, one["name"], *cells))
            for detail in details(one):
                lines += self.wrapped(detail)
            if one["restore"]:
                lines.append(_INDENT + " " + one["restore"])
        return lines

    def wrapped(self, text, indent=_INDENT + " ", first=None, more=0):
        """Return a text in lines (list of str).

        :param indent: of all lines. :param first: of the first one, if that is another. :param more: spaces before all
            but the first one.
        """
        return textwrap.wrap(text, self.width, initial_indent=indent if first is None else first,
                             subsequent_indent=indent + " " * more, break_long_words=False, break_on_hyphens=False)


def details(backup):
    """Return what there is to say of a backup below its row (list of str)."""
    lines = [backup["reason"]] if backup["reason"] else []
    if backup["setup"]:
        lines.append("; ".join(filter(None, (_site(backup), _database(backup), *_setup(backup["setup"])))))
        lines.append("; ".join([_verified(backup["verified"]), *_kept(backup)]))
    return lines


def _site(backup):
    return ", ".join(filter(None, ("Moodle %s" % backup["moodle"] if backup["moodle"] else None, backup["site"],
                                   backup["address"])))


def _database(backup):
    if not backup["database"]:
        return None
    version = backup["database_version"]
    return "database %s%s" % (backup["database"], " (PostgreSQL %s)" % version if version else "")


def _setup(setup):
    kind = "Compose project %s" % setup["project"] if setup["kind"] == "compose" else "single containers"
    mode = {"hot": "made in use", "maintenance": "made in maintenance mode", "stopped": "made while stopped"}
    files = {"pool": "files in the pool", "self-contained": "self-contained"}
    return kind, mode.get(setup["mode"], setup["mode"]), files.get(setup["files"])


def _verified(verified):
    if not verified:
        return "never verified"
    found = "whole" if verified["ok"] else "DAMAGED"
    return "verified %s, %s ago (%s): %s" % (verified["how"], human_age(verified["age"]), verified["time"], found)


def _kept(backup):
    pinned = backup["pinned"]
    if pinned:
        yield "pinned" + (" (%s)" % pinned["reason"] if pinned["reason"] else "")
    for copy in backup["copies"]:
        yield "copy %s (%s, %s)" % (copy["name"], copy["kind"], copy["where"])


def _count(number, word):
    return "%d %s%s" % (number, word, "" if number == 1 else "s")


def human_size(size):
    """Return bytes (int, or None if that is not known) as text (str)."""
    return "?" if size is None else human(size)


def human_age(seconds):
    """Return seconds (int) as text (str) in the largest unit of which there are at least two."""
    for length, unit in _TIMES:
        if seconds >= 2 * length or (unit == "s"):
            return "%d %s" % (seconds // length, unit)
    return None


class FilterModule:
    def filters(self):
        return {"catalog_document": catalog_document, "catalog_table": catalog_table}
