# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds a Moodle stack among the containers of an engine."""
from __future__ import annotations

import os
import posixpath

from . import _layer_changes, _moodle, _overlay, _podman, _trees
from ._errors import EngineError, NotFoundError, UsageError
from ._naming import unique
from ._sites import PROJECT, choose, find_moodle, find_stacks, label, mounts_of, name_of, site_key

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


def find_companions(engine, site, database):
    """Return the descriptions of the stack's other containers, running or not.

    In a Compose project: all of the project. Otherwise: those that share a network of their own with the web container
    and belong to no project and to no other site.

    :param site: as find_moodle gives.
    """
    web = site["inspect"]
    project, own = label(web, PROJECT), {web["Id"], database["Id"]}
    networks = set(web["NetworkSettings"]["Networks"] or {}) - {"bridge", "host", "none"}
    found = []
    for entry in engine.containers(all=True):
        if entry["Id"] in own:
            continue
        labels = entry.get("Labels") or {}
        if labels.get("org.moodleclaude.backup.helper") is not None:
            continue
        if project:
            member = labels.get(PROJECT) == project and labels.get("com.docker.compose.oneoff") != "True"
        else:
            shared = networks & set((entry.get("NetworkSettings") or {}).get("Networks") or {})
            member = bool(shared) and not labels.get(PROJECT)
        if member:
            found.append(engine.container(entry["Id"]))
    if not project:
        found = [inspect for inspect in found if not _is_other_site(engine, inspect, site)]
    return sorted(found, key=name_of)


def _is_other_site(engine, inspect, site):
    """True if a container runs another Moodle than the site; the cron container of the same site does not."""
    other = find_moodle(engine, inspect) if inspect["State"]["Running"] else None
    return other is not None and site_key(other) != site_key(site)


def database_mounts(engine, database):
    """Return the destinations (list of str) of a database container's mounts that hold the server's own files."""
    destinations = [mount["destination"] for mount in mounts_of(database)]
    if not destinations or not database["State"]["Running"]:
        return []
    said = dict(entry.partition("=")[::2] for entry in database["Config"].get("Env") or [])
    if said.get("PGDATA"):
        holding = [path for path in destinations if _trees.inside(posixpath.normpath(said["PGDATA"]), path)]
        if holding:
            return [max(holding, key=len)]
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
    filedir, _trash = _moodle.stored_files(cfg, settings["dataroot"])
    wanted = [
        # What is not a stored file there: a word of warning, and whatever somebody has put beside.
        {"role": "data", "label": "moodledata.filedir", "path": filedir, "exclude": [],
         "keep": [_moodle.STORED_FOLDERS]},
        {"role": "application", "label": "application", "path": settings["root"], "exclude": []},
        {"role": "data", "label": "moodledata", "path": settings["dataroot"],
         "exclude": _moodle.rebuilt_paths(cfg, posixpath.normpath(cfg["dataroot"])) + list(exclude_data)},
    ]
    for key, path in _moodle.extra_data_folders(cfg, posixpath.normpath(cfg["dataroot"])):
        wanted.append({"role": "data", "label": "moodledata.%s" % key, "path": path, "exclude": []})
    for tree in wanted:
        tree["storage"] = _trees.resolve(web, tree.pop("path"))
    if wanted[2]["storage"][0] == "layer":
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


def stored_files(site, web):
    """Return where the stored files are (dict as in "trees", with "trash", the same for those that were deleted)."""
    filedir, trash = (
        _trees.source(_trees.resolve(_simple(web), path))
        for path in _moodle.stored_files(site["settings"]["cfg"], site["settings"]["dataroot"])
    )
    return dict(filedir, role="filedir", file="filedir", trash=trash)


def _simple(inspect):
    return {"name": name_of(inspect), "mounts": mounts_of(inspect)}


def compose_files(web):
    """Return ({"project", "working_dir", "config_files"}) of a stack that Compose made; empty values otherwise."""
    folder = label(web, _WORKING_DIR)
    # podman-compose writes them relative to the folder.
    files = [posixpath.join(folder, path) for path in label(web, _CONFIG_FILES).split(",") if path]
    return {"project": label(web, PROJECT) or None, "working_dir": folder or None, "config_files": files}


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
        above = {folder for path in known for folder in _folders_above(path)}
        try:
            changed = [path for path in _changed(engine, inspect, known) if path not in above]
        except EngineError as error:
            said.append("Whether container '%s' has files in its writable layer that are in no backup is not known. %s"
                        % (name, error.describe()))
            continue
        if changed:
            said.append(
                "Container '%s' has %d files or folders in its writable layer that are in no backup, such as %s."
                % (name, len(changed), ", ".join(changed[:3]))
            )
    return said


def _folders_above(path):
    parts = path.strip("/").split("/")
    return ["/" + "/".join(parts[:count]) for count in range(1, len(parts))]


def _changed(engine, inspect, known):
    """Return what was added to a container's image or removed from it and is not known (list of paths)."""

    def skip(path):
        return any(_trees.inside(path, folder) for folder in known)

    graph_driver = inspect.get("GraphDriver") or {}
    if engine.direct_possible() and _overlay.supported(graph_driver):
        try:
            return _layer_changes.changed_paths(graph_driver["Data"], skip)
        except OSError:
            pass  # the layers lie elsewhere than the engine says; it can tell by itself
    return [entry["Path"] for entry in engine.changes(inspect["Id"]) if entry["Kind"] != 0 and not skip(entry["Path"])]


def _refuse(engine, containers):
    """Raise UsageError if a container (of the descriptions) is one that could not be made again as it is."""
    for inspect in containers:
        name, host = name_of(inspect), inspect["HostConfig"]
        if host.get("UsernsMode") not in (None, "", "host"):
            raise UsageError(
                "Container '%s' has numbers of users of its own (user namespace '%s'), so the owners of its files would"
                " not come back as they are" % (name, host["UsernsMode"]), "Run it without --userns.")
        mode = host.get("NetworkMode") or ""
        other = engine.find_container(mode.partition(":")[2]) if mode.startswith("container:") else None
        if any(_podman.holds_pod(one) for one in (inspect, other) if one is not None):
            raise UsageError(
                "Container '%s' belongs to a pod of Podman, which cannot be made again through the Docker API" % name,
                "Run the site's containers on a network of their own, without a pod.")


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
        companions = find_companions(engine, site, database)
    containers = [web] + ([database] if database["Id"] != web["Id"] else []) + companions
    _refuse(engine, containers)
    server = {name_of(database): database_mounts(engine, database)}
    wanted, said = wanted_trees(site, containers, server, params["plugin_paths"], params["exclude_data"])
    trees = _trees.plan(wanted)
    compose = compose_files(web)
    if compose["config_files"] and not engine.same_host():
        said.append("The compose file of project '%s' and the settings beside it are not in the backup, for the engine"
                    " is on another host than this. A compose file is made from the containers instead."
                    % compose["project"])
        compose.update(working_dir=None, config_files=[])
    compose["files"] = configuration_files(compose)
    plugins = [plugin["path"] for plugin in settings["plugins"]] + list(params["plugin_paths"])
    about = engine.info()
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
            "config": site["config"], "config_place": _trees.source(_trees.resolve(_simple(web), settings["config"])),
            "root": settings["root"], "code": settings["code"],
            "dataroot": settings["dataroot"], "owner": settings["owner"], "php": settings["php"],
            "external_files": bool(cfg.get("alternative_file_system_class")),
            "plugins": settings["plugins"],
            "alternative_component_cache": bool(cfg.get("alternative_component_cache")),
        },
        "trees": trees,
        "filedir": stored_files(site, containers[0]),
        "plugin_paths": plugins,
        "compose": compose,
        "configuration": configuration(compose, params["config_paths"]),
        "engine": {
            "version": about.get("ServerVersion"), "storage_driver": about.get("Driver"),
            "system": about.get("OperatingSystem"), "kernel": about.get("KernelVersion"), "host": about.get("Name"),
        },
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
