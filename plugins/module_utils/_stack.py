# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds a Moodle stack among the containers of an engine."""
from __future__ import annotations

import os
import posixpath

from . import _moodle, _trees
from ._errors import AmbiguousError, BackupError, NotFoundError, UsageError
from ._naming import unique

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_CONFIG_FILES = "com.docker.compose.project.config_files"
_WORKING_DIR = "com.docker.compose.project.working_dir"
_LOCALHOST = ("localhost", "127.0.0.1", "::1", "")
# What every container makes anew, or the engine puts into it.
_PASSING = (
    "/.dockerenv", "/dev", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc", "/root", "/run",
    "/sbin/docker-init", "/sys", "/tmp", "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/php", "/var/lock",
    "/var/log", "/var/run", "/var/spool", "/var/tmp",
)
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
        filters = {"label": "%s=%s" % (_PROJECT, project)} if project else None
        inspects = [engine.container(entry["Id"]) for entry in engine.containers(all=False, filters=filters)]
    sites = {}
    for inspect in sorted(inspects, key=_web_first):
        found = find_moodle(engine, inspect)
        if found is not None:
            cfg = found["settings"]["cfg"]
            key = (label(inspect, _PROJECT), cfg.get("dbhost"), cfg.get("dbname"), cfg.get("prefix"), cfg["wwwroot"])
            sites.setdefault(key, found)
    return list(sites.values())


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
            "container": name_of(site["inspect"]), "project": label(site["inspect"], _PROJECT) or None,
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


def find_database(engine, web, cfg, override=None):
    """Return the description of the container that a site's database host is.

    :param web: description of the web container. :param cfg: settings of the site.
    """
    if override:
        return engine.container(override)
    host, port = str(cfg.get("dbhost") or ""), str(cfg.get("dbport") or "5432")
    network_mode = web["HostConfig"].get("NetworkMode", "")
    if network_mode.startswith("container:"):
        web_networks = engine.container(network_mode.split(":", 1)[1])["NetworkSettings"]["Networks"]
    else:
        web_networks = web["NetworkSettings"]["Networks"] or {}
    if host in _LOCALHOST and network_mode != "host":
        return web
    running = [engine.container(entry["Id"]) for entry in engine.containers(all=False)]
    for inspect in running:
        if _answers_to(inspect, host, web_networks):
            return inspect
    if host in _LOCALHOST or host == "host.docker.internal" or _is_gateway(host, web_networks):
        for inspect in running:
            bindings = (inspect["NetworkSettings"].get("Ports") or {}).values()
            if any(entry.get("HostPort") == port for entries in bindings for entry in entries or []):
                return inspect
    raise NotFoundError(
        "The database host '%s' of container '%s' is not a running container on its networks" % (host, name_of(web)),
        "Start it, or name it in 'database_container'. A database outside of Docker is not supported.",
    )


def _answers_to(inspect, host, networks):
    for network, endpoint in (inspect["NetworkSettings"]["Networks"] or {}).items():
        if network not in networks:
            continue
        names = set(endpoint.get("Aliases") or []) | set(endpoint.get("DNSNames") or [])
        names |= {name_of(inspect), inspect["Id"], inspect["Id"][:12], endpoint.get("IPAddress")}
        if host in names or host.rpartition(".")[0] in names and host.endswith("." + network):
            return True
    return False


def _is_gateway(host, networks):
    return any(host == endpoint.get("Gateway") for endpoint in networks.values())


def find_companions(engine, web, database, others=None):
    """Return the descriptions of the stack's other containers, running or not.

    In a Compose project: all of the project. Otherwise: those that share a network of their own with the web container
    and belong to no project and to no other site.

    :param others: set of str, names of the web containers of other sites.
    """
    project, own = label(web, _PROJECT), {web["Id"], database["Id"]}
    networks = set(web["NetworkSettings"]["Networks"] or {}) - {"bridge", "host", "none"}
    found = []
    for entry in engine.containers(all=True):
        if entry["Id"] in own:
            continue
        labels = entry.get("Labels") or {}
        if labels.get("org.moodleclaude.backup.helper") is not None:
            continue
        if project:
            member = labels.get(_PROJECT) == project and labels.get("com.docker.compose.oneoff") != "True"
        else:
            shared = networks & set((entry.get("NetworkSettings") or {}).get("Networks") or {})
            names = {name.lstrip("/") for name in entry.get("Names") or []}
            member = bool(shared) and not labels.get(_PROJECT) and not names & (others or set())
        if member:
            found.append(engine.container(entry["Id"]))
    return sorted(found, key=name_of)


def database_mounts(engine, database):
    """Return the destinations (list of str) of a database container's mounts that hold the server's own files."""
    destinations = [mount["destination"] for mount in mounts_of(database)]
    if not destinations or not database["State"]["Running"]:
        return []
    script = 'for d in "$@"; do [ -z "$(find "$d" -maxdepth 4 -name PG_VERSION -print 2>/dev/null | head -n 1)" ] || ' \
        'printf "%s\\n" "$d"; done'
    _rc, out, _err = engine.run(database["Id"], ["sh", "-c", script, "sh"] + destinations, user="0")
    return out.decode("utf-8", "surrogateescape").splitlines()


def wanted_trees(site, containers, server_mounts, plugin_paths, exclude_data):
    """Return (wanted trees for _trees.plan(), warnings).

    :param site: as find_moodle gives. :param containers: descriptions, the web container first.
    :param server_mounts: {container name: destinations that hold the database server's files}.
    """
    settings, web = site["settings"], _simple(containers[0])
    cfg, said = settings["cfg"], []
    wanted = [
        {"role": "application", "label": "application", "path": settings["root"], "exclude": []},
        {"role": "data", "label": "moodledata", "path": settings["dataroot"],
         "exclude": _moodle.rebuilt_paths(cfg, posixpath.normpath(cfg["dataroot"])) + list(exclude_data)},
    ]
    for key, path in _moodle.extra_data_folders(cfg, posixpath.normpath(cfg["dataroot"])):
        wanted.append({"role": "data", "label": "moodledata.%s" % key, "path": path, "exclude": []})
    for tree in wanted:
        tree["storage"] = _trees.resolve(web, tree.pop("path"))
    if wanted[1]["storage"][0] == "layer":
        said.append(
            "The data directory %s is in the container's writable layer: it is lost when the container is removed."
            " Put it on a volume." % settings["dataroot"]
        )
    for inspect in containers:
        simple = _simple(inspect)
        for mount in simple["mounts"]:
            if mount["destination"] in server_mounts.get(simple["name"], []):
                continue
            if mount["type"] == "bind" and _trees.is_system(mount["source"]):
                continue
            if mount["type"] not in ("volume", "bind"):
                continue
            storage = _trees.resolve({"name": simple["name"], "mounts": [mount]}, mount["destination"])
            name = mount["name"] if mount["type"] == "volume" else "%s%s" % (simple["name"], mount["destination"])
            shown = "%s.%s" % (mount["type"], name)
            wanted.append({"role": "mount", "label": shown, "storage": storage, "exclude": []})
    return wanted, said


def _simple(inspect):
    return {"name": name_of(inspect), "mounts": mounts_of(inspect)}


def compose_files(web):
    """Return ({"project", "working_dir", "config_files"}) of a stack that Compose made; empty values otherwise."""
    files = [path for path in label(web, _CONFIG_FILES).split(",") if path]
    return {"project": label(web, _PROJECT) or None, "working_dir": label(web, _WORKING_DIR) or None,
            "config_files": files}


def configuration_files(compose, largest=1024 * 1024):
    """Return the files beside a compose file that configure the stack (list of str, names relative to working_dir).

    Regular files right in the project's folder, of at most largest bytes; what is below it is mounted or not part of
    the configuration.
    """
    folder = compose["working_dir"]
    if not folder or not os.path.isdir(folder) or _trees.is_system(folder):
        return []
    return sorted(
        entry.name for entry in os.scandir(folder)
        if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size <= largest
    )


def configuration(compose, paths):
    """Return the trees of configuration (list of dict as in "trees", with "paths" where only some entries count).

    :param compose: as compose_files() gives, with "files". :param paths: further files or folders on the host.
    """
    found = []
    if compose["files"]:
        found.append({"path": compose["working_dir"], "paths": compose["files"]})
    found += [{"path": posixpath.normpath(path)} for path in paths]
    missing = [entry["path"] for entry in found if not os.path.lexists(entry["path"])]
    if missing:
        raise NotFoundError("The configuration path %s does not exist on this host" % missing[0])
    names = unique(["configuration"] * len(found))
    return [dict(entry, role="configuration", storage="bind", file=name) for entry, name in zip(found, names)]


def layer_warnings(engine, containers, trees):
    """Return warnings about files in a container's writable layer that are in no tree (list of str)."""
    said = []
    for inspect in containers:
        name = name_of(inspect)
        known = list(_PASSING)
        known += [tree["path"] for tree in trees if tree.get("container") == name]
        known += [mount["destination"] for mount in mounts_of(inspect)] + list(inspect["HostConfig"].get("Tmpfs") or {})
        changed = [
            entry["Path"] for entry in engine.changes(inspect["Id"])
            if entry["Kind"] != 0
            and not any(_trees.inside(entry["Path"], path) or _trees.inside(path, entry["Path"]) for path in known)
        ]
        if changed:
            said.append(
                "Container '%s' has %d files or folders in its writable layer that are in no backup, such as %s."
                % (name, len(changed), ", ".join(changed[:3]))
            )
    return said


def describe(engine, params):
    """Find a stack and return everything a backup needs to know (dict, see the module moodle_stack_info)."""
    sites = find_stacks(engine, params["container"], params["project"])
    site = choose(sites, params["container"], params["project"])
    web, settings = site["inspect"], site["settings"]
    cfg = settings["cfg"]
    if cfg.get("dbtype") != "pgsql":
        raise UsageError("The site's database is of type '%s'" % cfg.get("dbtype"), "Only PostgreSQL is supported.")
    database = find_database(engine, web, cfg, params["database_container"])
    if params["companions"] is not None:
        companions = [engine.container(name) for name in params["companions"]]
    else:
        others = set()
        if not label(web, _PROJECT) and params["container"]:
            others = {name_of(other["inspect"]) for other in find_stacks(engine)} - {name_of(web)}
        companions = find_companions(engine, web, database, others)
    containers = [web] + ([database] if database["Id"] != web["Id"] else []) + companions
    server = {name_of(database): database_mounts(engine, database)}
    wanted, said = wanted_trees(site, containers, server, params["plugin_paths"], params["exclude_data"])
    trees = _trees.plan(wanted)
    compose = compose_files(web)
    compose["files"] = configuration_files(compose)
    plugins = [plugin["path"] for plugin in settings["plugins"]] + list(params["plugin_paths"])
    return {
        "name": params["name"] or compose["project"] or name_of(web),
        "web": _container(web, role="web"),
        "database": {
            "container": name_of(database), "type": "postgresql", "name": cfg["dbname"], "user": cfg.get("dbuser"),
            "prefix": cfg.get("prefix", ""), "host": cfg.get("dbhost"), "port": str(cfg.get("dbport") or "5432"),
            "password_command": _moodle.password_command(site["config"]), "server_mounts": server[name_of(database)],
        },
        "containers": [_container(inspect) for inspect in containers],
        # By ID too: the name may mean a newer image by now.
        "images": sorted({_image_reference(inspect) for inspect in containers}),
        "moodle": {
            "wwwroot": cfg["wwwroot"], "release": settings["version"].get("release"),
            "version": str(settings["version"].get("version")), "branch": str(settings["version"].get("branch")),
            "config": site["config"], "root": settings["root"], "code": settings["code"],
            "dataroot": settings["dataroot"], "owner": settings["owner"], "php": settings["php"],
            "filedir": cfg.get("filedir") or posixpath.join(settings["dataroot"], "filedir"),
            "plugins": settings["plugins"],
            "alternative_component_cache": bool(cfg.get("alternative_component_cache")),
        },
        "trees": trees,
        "plugin_paths": plugins,
        "compose": compose,
        "configuration": configuration(compose, params["config_paths"]),
        "warnings": said + _moodle.warnings(settings) + layer_warnings(engine, containers, trees),
    }


def _image_reference(inspect):
    name, identifier = inspect["Config"]["Image"], inspect["Image"]
    return identifier if name.startswith("sha256:") or "@" in name else "%s=%s" % (name, identifier)


def _container(inspect, role=None):
    found = {
        "name": name_of(inspect), "image": inspect["Config"]["Image"], "image_id": inspect["Image"],
        "running": inspect["State"]["Running"], "service": label(inspect, _SERVICE) or None,
    }
    return dict(found, role=role) if role else found
