# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the Moodle sites that run on an engine, and chooses one."""
from __future__ import annotations

import posixpath

from . import _moodle
from ._errors import AmbiguousError, BackupError, NotFoundError, UsageError

PROJECT = "com.docker.compose.project"
_WEB_PORTS = ("80/tcp", "443/tcp", "8080/tcp", "8443/tcp")


def name_of(inspect):
    """Return a container's name (str) from its description."""
    return inspect["Name"].lstrip("/")


def label(inspect, key):
    return (inspect["Config"].get("Labels") or {}).get(key, "")


def mounts_of(inspect):
    """Return a container's mounts (list of {"type", "name", "source", "destination"})."""
    return [
        {
            "type": mount["Type"], "name": mount.get("Name", ""), "source": mount.get("Source", ""),
            "destination": posixpath.normpath(mount["Destination"]),
        }
        for mount in inspect.get("Mounts") or []
    ]


def code_candidates(inspect):
    """Return the folders of a container in which a Moodle may be (list of str, no doubles)."""
    found = [inspect["Config"].get("WorkingDir") or "/"]
    for entry in inspect["Config"].get("Env") or []:
        key, _equals, value = entry.partition("=")
        if value.startswith("/") and ("ROOT" in key or "MOODLE" in key or "HTML" in key) and "\n" not in value:
            found += [value, posixpath.dirname(value)]
    found += [mount["destination"] for mount in mounts_of(inspect)]
    found += _moodle.CODE_ROOTS
    return list(dict.fromkeys(posixpath.normpath(path) for path in found if path != "/"))


def find_moodle(engine, inspect):
    """Return {"inspect", "config", "settings"} if a running container holds an installed Moodle, else None.

    :raises: CommandError if there is a Moodle whose settings cannot be read.
    """
    name = name_of(inspect)
    try:
        rc, out, _err = engine.run(
            name, ["sh", "-c", _moodle.FIND_CODE, "sh"] + code_candidates(inspect), user="0", check=False
        )
    except BackupError:
        return None
    folders = out.decode("utf-8", "surrogateescape").splitlines() if rc == 0 else []
    if not folders:
        return None
    config = posixpath.join(folders[0], "config.php")
    rc, out, err = engine.run(name, _moodle.probe_command(config), user="0", check=False)
    if rc in (126, 127):
        return None  # the code without PHP: a web server in front of a PHP container
    where = "container '%s' (%s)" % (name, folders[0])
    settings = _moodle.parse_probe(out if _moodle._MARK.encode() in out else out + err.encode(), where)
    return {"inspect": inspect, "config": config, "settings": settings}


def find_stacks(engine, container=None, project=None):
    """Return every Moodle (list as find_moodle gives) among the running containers, one for each site.

    :param container: str, only this container. :param project: str, only containers of this Compose project.
    """
    if container is not None:
        inspect = engine.container(container)
        if not inspect["State"]["Running"]:
            raise UsageError("Container '%s' is not running" % container, "Start it; its settings are read through it.")
        inspects = [inspect]
    else:
        filters = {"label": "%s=%s" % (PROJECT, project)} if project else None
        inspects = [engine.container(entry["Id"]) for entry in engine.containers(all=False, filters=filters)]
    sites = {}
    for inspect in sorted(inspects, key=_web_first):
        found = find_moodle(engine, inspect)
        if found is not None:
            sites.setdefault(site_key(found), found)
    return list(sites.values())


def site_key(site):
    """Return what tells one site from another; its web and its cron container have the same."""
    cfg = site["settings"]["cfg"]
    return (label(site["inspect"], PROJECT), cfg.get("dbhost"), cfg.get("dbname"), cfg.get("prefix"), cfg["wwwroot"])


def _web_first(inspect):
    """Sort key: of several containers of one site (web, cron) the one that serves pages comes first."""
    ports = inspect["NetworkSettings"].get("Ports") or {}
    exposed = inspect["Config"].get("ExposedPorts") or {}
    published = any(ports.get(port) for port in ports)
    return (not published, not any(port in exposed for port in _WEB_PORTS), name_of(inspect))


def choose(sites, container=None, project=None):
    """Return the only one of several sites; raise NotFoundError or AmbiguousError with the candidates."""
    if len(sites) == 1:
        return sites[0]
    if not sites:
        wanted = "Container '%s'" % container if container else "Compose project '%s'" % project if project else None
        raise NotFoundError(
            "%s holds no installed Moodle" % wanted if wanted else "No running container holds an installed Moodle",
            "A Moodle is a folder with config.php and version.php, with PHP beside it. Name its container in"
            " 'container'.",
        )
    candidates = [
        {
            "container": name_of(site["inspect"]), "project": label(site["inspect"], PROJECT) or None,
            "wwwroot": site["settings"]["cfg"]["wwwroot"],
        }
        for site in sites
    ]
    named = "; ".join(
        "%s (%s%s)" % (entry["container"], entry["project"] and "project %(project)s, " % entry or "", entry["wwwroot"])
        for entry in candidates
    )
    raise AmbiguousError(
        "There are %d Moodle sites: %s" % (len(sites), named), "Name one in 'container' or 'project'.",
        candidates=candidates,
    )
