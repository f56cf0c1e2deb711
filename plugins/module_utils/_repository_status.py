# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How things are in a repository that keeps track of backups: for programs as a dict, for people as lines."""
from __future__ import annotations

import os
import time

from . import _catalog, _git, _remote, _tracking
from ._commit import printable
from ._errors import BackupError, CommandError
from ._room import human

_RECENT = 5  # commits


def status(repository):
    """Return how things are (dict, see the module backup_repository) with "message" (list of str, lines for people).

    :param repository: _repository.Repository. :raises: NotFoundError and the like if it is no repository.
    """
    git = _git.top(repository.path)
    result = {
        "changed": False, "path": repository.path, "branch": git.ask("symbolic-ref", "-q", "--short", "HEAD"),
        "files": _files(git), "recent": _recent(git), "tags": git.text("tag", "--sort=creatordate").split(),
        "repository_size": _size(git), "backups": _backups(repository), "remote": _remote_state(repository, git),
    }
    result["message"] = _lines(result)
    return result


def _files(git):
    """Return the names of files that are not as in the last commit (dict of kind to sorted list)."""
    fields = iter(git.run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").out.split(b"\0"))
    found = {"conflicts": [], "changed": [], "removed": [], "untracked": []}
    for field in fields:
        code, path = field[:2].decode(), printable(field[3:].decode("utf-8", "surrogateescape"))
        if not path:
            continue
        if code == "??":
            kind = "untracked"
        elif "U" in code or code in ("AA", "DD"):
            kind = "conflicts"
        else:
            kind = "removed" if "D" in code else "changed"
        found[kind].append(path)
    return {kind: sorted(found[kind]) for kind in found}


def _recent(git):
    if git.ask("rev-parse", "-q", "--verify", "HEAD") is None:
        return []
    said = git.text("log", "-%d" % _RECENT, "-z", "--format=%H%x09%ct%x09%an%x09%s")
    keys = ("commit", "at", "author", "subject")
    recent = [dict(zip(keys, line.split("\t", 3))) for line in said.split("\0") if line]
    return [dict(one, at=int(one["at"])) for one in recent]


def _size(git):
    """Return the bytes that git's own objects take."""
    counted = dict(line.split(": ") for line in git.text("count-objects", "-v").splitlines())
    return (int(counted["size"]) + int(counted["size-pack"])) * 1024


def _backups(repository):
    """Return what there is on this host, and what of it is tracked (dict)."""
    found = _catalog.backups(repository.root)
    try:
        tracked, problem = _tracking.names(repository.entries()), None
    except BackupError as error:
        tracked, problem = [], error.describe()
    names = [entry["name"] for entry in found]
    return {
        "count": len(found), "size": sum(_disk(entry["path"]) for entry in found),
        "latest": names[-1] if names else None, "tracked": len(tracked),
        "latest_tracked": tracked[-1] if tracked else None, "tracking_problem": problem,
        "not_tracked": [name for name in names if name not in tracked],
        "gone": [name for name in tracked if name not in names],
    }


def _disk(folder):
    """Return the bytes of the files of a backup; those of its pool are not its own."""
    return sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder) if entry.is_file())


def _remote_state(repository, git):
    """Return the remote's address without credentials, and how far it is (dict), or None if there is none."""
    address = _remote.address(git)
    if address is None:
        return None
    state = {"url": _git.without_credentials(address), "ahead": None, "behind": None, "problem": None}
    try:
        with repository.reaching(git) as reaching:
            remote = _remote.Remote(repository.tree(git), reaching)
            state["ahead"], state["behind"] = remote.distance()
            state["tags_to_push"] = sorted(set(remote.own_tags()) - set(remote.tags))
    except CommandError as error:
        state["problem"] = error.describe()
    return state


def _lines(result):
    """Return the same for people (list of str)."""
    backups, files = result["backups"], result["files"]
    changed = ["%d %s" % (len(files[kind]), kind) for kind in files if files[kind]]
    lines = [
        "Repository   %s, %s" % (
            result["path"], "branch %s" % result["branch"] if result["branch"] else "on no branch"),
        "Files        %s" % (", ".join(changed) or "all committed"),
        "Size         %s in git" % human(result["repository_size"]),
        "Backups      %d on this host, %s, the latest is %s" % (
            backups["count"], human(backups["size"]), backups["latest"]) if backups["count"] else
        "Backups      none on this host",
        "Tracked      %s" % (backups["tracking_problem"] or "%d%s" % (
            backups["tracked"], ", the latest is %s" % backups["latest_tracked"] if backups["tracked"] else "")),
    ]
    if backups["not_tracked"]:
        lines.append("Not tracked  %s" % ", ".join(backups["not_tracked"][-5:]))
    if result["tags"]:
        lines.append("Release      %s" % result["tags"][-1])
    lines.append("Remote       %s" % _remote_line(result["remote"]))
    for one in result["recent"]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one["at"]))
        lines.append("Commit       %s %s %s: %s" % (one["commit"][:10], when, one["author"], one["subject"]))
    return lines


def _remote_line(remote):
    if remote is None:
        return "none"
    if remote["problem"]:
        return "%s (%s)" % (remote["url"], remote["problem"])
    if remote["ahead"] is None:
        state = "it has commits that are not here"
    elif not remote["ahead"] and not remote["behind"]:
        state = "up to date"
    else:
        state = ", ".join(["%d commits to push" % remote["ahead"]] * bool(remote["ahead"])
                          + ["%d commits to pull" % remote["behind"]] * bool(remote["behind"]))
    tags = ", %d tags to push" % len(remote["tags_to_push"]) if remote["tags_to_push"] else ""
    return "%s, %s%s" % (remote["url"], state, tags)
