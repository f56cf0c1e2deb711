# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run over many hosts and stacks: whose turn it is on a host, what became of each stack, and of all of them.

Pure. A row is what became of one stack: {"host", "stack" (str), "state" (one of STATES), "seconds" (float or None),
"size" (bytes, or None if that says nothing), "message" (str, one line), "error" (the same, or None), "warnings" (list
of str)}.
"""
from __future__ import annotations

from ._errors import UsageError
from ._room import human

DONE, FAILED, UNREACHABLE, LEFT_OUT = STATES = ("done", "failed", "unreachable", "left out")
GOOD, SOME_FAILED, ALL_FAILED = RESULTS = ("good", "some failed", "all failed")
LATEST = "latest"

# What an entry of moodle_backup_stacks may hold: the ends of the names of variables.
KEYS = ("stack", "container", "project", "database_container", "plugin_paths", "exclude_data", "config_paths", "mode")
_TEXTS = ("stack", "container", "project", "database_container")
_NAMES = ("stack", "project", "container")  # the first of them that is given is the stack's name


# --- before the work ------------------------------------------------------------------------------------------------


def stacks_of_host(stacks, settings, name=LATEST):
    """Return the stacks of a host that a run works on, one after the other.

    :param stacks: list of dict with some of KEYS, as the user gives it; empty for the only one, or for all at once.
    :param settings: dict of KEYS to the host's own values. A stack, container or project among them chooses from
        stacks.
    :param name: str, the backup that the run is about.
    :returns: list of dict of all KEYS, with "label" added: what to call it before more is known, "" for nothing.
    :raises: UsageError.
    """
    if not stacks:
        return [dict(settings, label=_name(settings))]
    if not isinstance(stacks, (list, tuple)):
        raise UsageError("moodle_backup_stacks is no list",
                         "It holds an entry for each stack, such as {project: school}.")
    entries = [_entry(entry, settings) for entry in stacks]
    labels = [entry["label"] for entry in entries]
    doubles = sorted({label for label in labels if labels.count(label) > 1})
    if doubles:
        raise UsageError("moodle_backup_stacks names %s more than once" % ", ".join(doubles),
                         "Give each entry another 'stack', which is the name of its backups.")
    chosen = [entry for entry in entries if _is_wanted(entry, settings)]
    if not chosen:
        wanted = ", ".join("%s '%s'" % (key, settings[key]) for key in _NAMES if settings.get(key))
        raise UsageError("None of moodle_backup_stacks has %s" % wanted, "There are: %s." % ", ".join(labels))
    if len(chosen) > 1 and name not in ("", LATEST):
        raise UsageError("'%s' is the name of one backup, and there are several stacks: %s"
                         % (name, ", ".join(entry["label"] for entry in chosen)),
                         "Choose one of them with moodle_backup_stack.")
    return chosen


def _entry(entry, settings):
    if not isinstance(entry, dict):
        raise UsageError("'%s' in moodle_backup_stacks is no dictionary" % (entry,),
                         "Write for example {project: school} or {container: school-web}.")
    unknown = sorted(str(key) for key in entry if key not in KEYS)
    if unknown:
        raise UsageError("An entry of moodle_backup_stacks has %s" % ", ".join(unknown),
                         "It may have: %s. A stack that needs more is a host of its own in the inventory."
                         % ", ".join(KEYS))
    for key in _TEXTS:
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise UsageError("%s of an entry of moodle_backup_stacks is %r, which is no text" % (key, entry[key]),
                             "Write it in quotes: 1.10 without is read as the number 1.1, and 1_0 as 10.")
    label = _name(entry)
    if not label:
        raise UsageError("An entry of moodle_backup_stacks has no name", "Give it a stack, a project or a container.")
    # Where to find it is its own matter; an entry without a container must not get another one's.
    found = dict(settings, container="", project="", database_container="")
    found.update(entry)
    return dict(found, stack=label, label=label)


def _name(entry):
    return next((entry[key] for key in _NAMES if entry.get(key)), "")


def _is_wanted(entry, settings):
    return all(not settings.get(key) or entry[key] == settings[key] for key in _NAMES)


# --- what became of a stack -----------------------------------------------------------------------------------------


def rows_of_success(job, results, label):
    """Return what became of the stacks on which a job has done its work (list of rows without host, state and time).

    :param job: str, the role. :param results: {short name: what the role has registered, or {}}.
    :param label: str, as stacks_of_host gives it.
    """
    return [_row(label, **found) for found in _DONE[job](results, label)]


def row_of_failure(error, label, results=None):
    """Return what became of a stack on which a job has failed (row without host and time).

    :param error: str. :param label: str. :param results: as rows_of_success takes it, for the name of what was found.
    """
    found = (results or {}).get("found") or {}
    named = (found.get("stack") or {}).get("name") or (found.get("backup") or {}).get("stack")
    return dict(_row(label, stack=named or label), state=FAILED, error=_line(error))


def _row(label, stack=None, size=None, message="", warnings=()):
    return {"stack": stack or label, "state": DONE, "size": size, "message": _line(message), "error": None,
            "warnings": list(dict.fromkeys(_line(warning) for warning in warnings))}


def _backup(results, label):
    published, written = results.get("published", {}), results.get("written", {})
    stack = results["found"]["stack"]
    content = (written.get("jobs") or {}).get("content") or {}
    warnings = list(stack.get("warnings") or []) + list(written.get("warnings") or [])
    warnings += published.get("warnings") or []
    if not content.get("complete", True):
        warnings.append("THE BACKUP IS NOT COMPLETE: %s" % "; ".join(content.get("reasons") or []))
    message = published.get("name") or ""
    if published.get("added") is not None:
        message += ", %s new" % human(published["added"])
    yield {"stack": stack["name"], "size": published.get("size"), "message": message, "warnings": warnings}


def _verify(results, label):
    warnings = results["found"].get("warnings") or []
    for one in results["found"].get("stacks") or []:
        yield {"stack": one.get("stack"), "size": one.get("bytes_read"), "message": one.get("message") or "",
               "warnings": warnings}


def _cleanup(results, label):
    pruned = results["pruned"]
    backups = pruned.get("backups") or []
    stacks = sorted({backup["stack"] for backup in backups if backup.get("stack")}) or [label]
    for stack in stacks:
        own = [backup for backup in backups if backup.get("stack") == stack]
        gone = sum(1 for backup in own if backup["action"] == "remove")
        skipped = (pruned.get("skipped") or {}).get(stack)
        yield {"stack": stack, "size": pruned.get("freed") if len(stacks) == 1 else None,
               "message": "%d of %d backups go" % (gone, len(own)),
               "warnings": ["the pool was left alone: %s" % skipped] if skipped else []}


def _replicate(results, label):
    copies = (results.get("pulled", {}).get("copies") or []) + (results.get("copied", {}).get("copies") or [])
    done = ["%s: %s" % (copy["name"], ", ".join(copy["copied"]) or "nothing to copy") for copy in copies
            if copy.get("where")]
    yield {"message": "; ".join(done), "warnings": results.get("copied", {}).get("warnings") or []}


def _restore(results, label):
    backup = results["found"].get("backup") or {}
    sizes = [artefact.get("size") for artefact in backup.get("artefacts") or []]
    name = backup.get("name") or results.get("fetched", {}).get("name")
    yield {"stack": backup.get("stack"), "size": sum(size for size in sizes if size) if sizes else None,
           "message": "from %s" % name if name else ""}


_DONE = {"backup": _backup, "verify": _verify, "cleanup": _cleanup, "replicate": _replicate, "restore": _restore}
JOBS = tuple(_DONE)


# --- what became of all of them -------------------------------------------------------------------------------------


def summary(job, hosts, check=False):
    """Return what became of a run (dict).

    :param job: str. :param hosts: {host: what the run has kept of it}: "job", "rows" (list of rows without host),
        "at" (label of the stack at work, None for none), "unreachable" (why, or ""); {} for a host that it never came
        to.
    :param check: bool, whether it was in check mode.
    :returns: {"job", "check", "result" (one of RESULTS), "done", "failed" (numbers of stacks), "hosts" (number),
        "stacks" (list of rows)}.
    """
    rows = [dict(row, host=host) for host, kept in hosts.items() for row in _rows_of_host(job, kept or {})]
    done = sum(1 for row in rows if row["state"] == DONE)
    result = GOOD if done == len(rows) else SOME_FAILED if done else ALL_FAILED
    return {"job": job, "check": bool(check), "result": result, "done": done, "failed": len(rows) - done,
            "hosts": len(hosts), "stacks": rows}


def _rows_of_host(job, kept):
    if kept.get("job") != job:
        return [_lost("", LEFT_OUT, "The run did not come to it: it had failed or was lost before, see above.")]
    rows = [dict({"seconds": None}, **row) for row in kept.get("rows") or []]
    if kept.get("at") is not None:
        rows.append(_lost(kept["at"], UNREACHABLE, "The connection was lost while it was at work, see above."
                          " What it has begun is cleaned up by the next run."))
    elif kept.get("unreachable"):
        rows.append(_lost("", UNREACHABLE, kept["unreachable"]))
    return rows or [_lost("", LEFT_OUT, "The run ended before its work, see above.")]


def _lost(label, state, error):
    return dict(_row(label), state=state, error=_line(error), seconds=None)


def verdict(document, host):
    """Return how a run ends on one host, as the result (dict) of an action: "failed" or "unreachable", and "msg".

    Ansible has no other status for "all of them failed" than the one for hosts that cannot be reached, so that is what
    all hosts are then called, provided that there was more than one stack to fail.
    """
    bad = [row for row in document["stacks"] if row["state"] != DONE]
    here = [row for row in bad if row["host"] == host]
    if not here:
        return {"msg": "done"}
    text = " ".join("%s: %s" % (row["stack"] or host, row["error"]) for row in here)
    if document["result"] == ALL_FAILED and len(bad) > 1:
        head = "NOTHING WAS DONE: all %d failed, so the status is that of unreachable hosts." % len(bad)
        return {"unreachable": True, "msg": "%s %s" % (head, text)}
    if document["result"] == ALL_FAILED and here[0]["state"] == UNREACHABLE:
        return {"unreachable": True, "msg": text}
    return {"failed": True, "msg": text}


# --- for people -----------------------------------------------------------------------------------------------------


def table(document):
    """Return a document of summary() as lines (list of str). No line is broken, so that each can be found by grep."""
    rows = document["stacks"]
    cells = [("HOST", "STACK", "STATE", "SIZE", "TIME")] + [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = []
    for number, line in enumerate(cells):
        left = ["%-*s" % pair for pair in zip(widths[:3], line[:3])]
        right = ["%*s" % pair for pair in zip(widths[3:], line[3:])]
        message = rows[number - 1]["message"] if number else ""
        lines.append("  ".join(left + right + [message]).rstrip())
        if number:
            lines += ["    warning: %s" % warning for warning in rows[number - 1]["warnings"]]
            lines += ["    error: %s" % rows[number - 1]["error"]] if rows[number - 1]["error"] else []
    return [_head(document), *lines]


def _head(document):
    number = len(document["stacks"])
    return "%s%s on %s: %s" % (
        document["job"], " in check mode, nothing was changed," if document["check"] else "",
        _count(document["hosts"], "host"),
        {GOOD: "ALL GOOD, %s" % _count(number, "stack"), ALL_FAILED: "ALL FAILED, %s" % _count(number, "stack"),
         SOME_FAILED: "%d OF %s FAILED" % (document["failed"], _count(number, "stack").upper())}[document["result"]])


def _cells(row):
    state = row["state"] if row["state"] == DONE else row["state"].upper()
    return (row["host"], row["stack"] or "-", state, "" if row["size"] is None else human(row["size"]),
            "" if row["seconds"] is None else human_seconds(row["seconds"]))


def human_seconds(seconds):
    """Return seconds (float) as text (str): 4.2 s, 3:07, 1:02:03."""
    if seconds < 60:
        return "%.1f s" % seconds
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "%d:%02d:%02d" % (hours, minutes, rest) if hours else "%d:%02d" % (minutes, rest)


def _count(number, word):
    return "%d %s%s" % (number, word, "" if number == 1 else "s")


def _line(text):
    """One line, whatever it was, in which older releases of Ansible see no template: it is kept as a variable."""
    line = " ".join(str(text).split())
    for mark in ("{{", "{%", "{#"):
        line = line.replace(mark, "{ %s" % mark[1])
    return line
