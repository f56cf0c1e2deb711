# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records containers with their networks, volumes and images in a file, and reads that file.

_recreation makes them again from it.
"""
from __future__ import annotations

import json
import os

from . import _compose, _definition
from ._call import Call
from ._errors import ExistsError, IntegrityError, NotFoundError, UsageError
from ._image_archive import fingerprint_of_inspect
from ._images import normalized
from ._stream import PartialFile, check_destination, sha256_of

FORMAT = 1


def container_names(engine):
    """Return the names of all containers (dict of ID to str)."""
    return {
        found["Id"]: next((name.lstrip("/") for name in found["Names"] if name.count("/") == 1), found["Id"])
        for found in engine.containers()
    }


def find_exact(engine, name):
    """Return the description of the container with exactly this name, or None; a part of an ID does not count."""
    found = engine.find_container(name)
    return found if found and found["Name"] == "/" + name else None


def record(engine, containers, running=None):
    """Return what is needed to create these containers again.

    :param containers: list of str, names or IDs.
    :param running: list of names of those that count as running, or None: those that run now.
    :returns: dict with format, engine, containers ({name: {"definition", "inspect"}}), networks ({name: body of POST
        /networks/create}), volumes ({name: Name, Driver, Options, Labels}), images ({ID: names, fingerprint, tags,
        repo_digests}) and start_order (list of names).
    """
    names = container_names(engine)
    described, definitions = {}, {}
    for inspect in (engine.container(name) for name in containers):
        definition = _definition.from_inspect(inspect, names)
        definitions[definition["name"]] = definition
        described[definition["name"]] = {"definition": definition, "inspect": inspect}
    if running is not None:
        _count_as_running(definitions, running)
    return {
        "format": FORMAT,
        "engine": _engine(engine),
        "containers": described,
        "networks": _networks(engine, definitions),
        "volumes": _volumes(engine, described),
        "images": _images(engine, definitions),
        "start_order": _definition.start_order(definitions),
    }


def _count_as_running(definitions, names):
    unknown = sorted(set(names) - set(definitions))
    if unknown:
        raise UsageError("%s cannot count as running, for it is not recorded" % ", ".join(unknown),
                         "Give names of these containers: %s." % ", ".join(sorted(definitions)))
    for name, definition in definitions.items():
        definition["running"] = name in names


def _engine(engine):
    version, info = engine.version(), engine.info()
    return {
        "version": version.get("Version"),
        "api_version": version.get("ApiVersion"),
        "os": version.get("Os"),
        "architecture": version.get("Arch"),
        "kernel": version.get("KernelVersion"),
        "storage_driver": info.get("Driver"),
        "cgroup_version": info.get("CgroupVersion"),
        "root": info.get("DockerRootDir"),
        "host": info.get("Name"),
    }


def _networks(engine, definitions):
    wanted = {name for definition in definitions.values() for name in definition["networks"]}
    networks = {}
    for name in sorted(wanted):
        if _definition.is_predefined(name):
            continue
        inspect = engine.network(name)
        if inspect is None:
            raise NotFoundError("Network '%s' is gone, though a container belongs to it" % name,
                                "Disconnect the container from it or create the network again.")
        networks[name] = _definition.network_from_inspect(inspect)
    return networks


def _volumes(engine, described):
    wanted = {
        mount["Name"] for entry in described.values() for mount in entry["inspect"].get("Mounts") or ()
        if mount.get("Type") == "volume"
    }
    volumes = {}
    for name in sorted(wanted):
        inspect = engine.volume(name)
        if inspect is None:
            raise NotFoundError("Volume '%s' is gone, though a container mounts it" % name,
                                "Remove the container or create the volume again.")
        volumes[name] = _definition.volume_from_inspect(inspect)
    return volumes


def _images(engine, definitions):
    images = {}
    for definition in definitions.values():
        inspect = engine.image(definition["image_id"])
        if inspect is None:
            raise NotFoundError(
                "Image %s of container '%s' is gone" % (definition["image_id"], definition["name"]),
                "Create the container again from an image that exists ('%s')." % definition["image"],
            )
        entry = images.setdefault(inspect["Id"], {
            "names": [],
            "fingerprint": fingerprint_of_inspect(inspect),
            "tags": sorted(inspect.get("RepoTags") or ()),
            "repo_digests": sorted(inspect.get("RepoDigests") or ()),
        })
        if definition["image"] not in entry["names"]:
            entry["names"].append(definition["image"])
    return images


def image_references(content):
    """Return names or IDs under which the engine has the recorded images now (sorted list of str).

    A name that meanwhile means another image is replaced by the ID.
    """
    references = set()
    for identifier, entry in content["images"].items():
        still = [name for name in entry["names"] if normalized(name) in entry["tags"]]
        references.update(still or [identifier])
    return sorted(references)


def load(path):
    """Return the record that a file holds (dict); NotFoundError or IntegrityError if it is none."""
    try:
        with open(path, encoding="utf-8") as handle:
            content = json.load(handle)
    except FileNotFoundError as error:
        raise NotFoundError("%s does not exist" % path) from error
    except ValueError as error:
        raise IntegrityError("%s is damaged: %s" % (path, error), "Verify the backup that it belongs to.") from error
    if not isinstance(content, dict) or not isinstance(content.get("containers"), dict):
        raise IntegrityError("%s does not describe containers" % path, "It is written by container_export.")
    if content.get("format") != FORMAT:
        raise IntegrityError("%s has format %s, and this version reads format %d" % (
            path, content.get("format"), FORMAT), "Use the version of the collection that wrote it, or a newer one.")
    return content


def _same(one, other):
    """Return True if two records would create the same things."""
    return _lasting(one) == _lasting(other)


def _lasting(content):
    kept = {key: content[key] for key in ("networks", "volumes", "images", "start_order")}
    kept["containers"] = {name: entry["definition"] for name, entry in content["containers"].items()}
    return kept


def export(engine, params, check_mode):
    """Write the record of some containers into a file; what container_export does.

    :param params: dict with containers (list of str), running (list of str or None, see record()), dest and
        compose_dest (absolute paths), compose_files (list of absolute paths), overwrite (bool).
    :returns: dict for exit_json; names only, because a description holds passwords.
    """
    dest = params["dest"]
    content = record(engine, params["containers"], params["running"])
    result = {
        "dest": dest,
        "containers": sorted(content["containers"]),
        "networks": sorted(content["networks"]),
        "volumes": sorted(content["volumes"]),
        "images": image_references(content),
        "start_order": content["start_order"],
    }
    before = _existing(dest)
    changed = before is None or not _same(before, content)
    if changed and os.path.lexists(dest) and not params["overwrite"]:
        raise ExistsError("%s exists already and describes something else" % dest,
                          "Choose another name, or set overwrite=true.")
    if changed and not check_mode:
        with PartialFile(dest, overwrite=True) as out:
            out.write(json.dumps(content, indent=2, sort_keys=True).encode("utf-8") + b"\n")
            result.update(out.publish())
    elif not changed:
        result.update(size=os.path.getsize(dest), sha256=sha256_of(dest))
    result.update(changed=changed, diff=_difference(before, content))
    if params["compose_dest"]:
        result["compose"] = _export_compose(params, content, check_mode)
        result["changed"] = changed or result["compose"].pop("changed")
    result["compose_files"] = [_copy_compose(path, params, check_mode) for path in params["compose_files"]]
    result["changed"] = any([result["changed"]] + [copy.pop("changed") for copy in result["compose_files"]])
    return result


def _copy_compose(path, params, check_mode):
    """Copy a compose file to the record's folder. Return as _write_text does."""
    try:
        with open(path, "rb") as handle:
            text = handle.read()
    except OSError as error:
        raise NotFoundError("The compose file '%s' cannot be read: %s" % (path, error.strerror),
                            "The containers' labels say that it is theirs.") from error
    dest = os.path.join(os.path.dirname(params["dest"]), os.path.basename(path))
    return _write_text(dest, text, params["overwrite"], check_mode)


def _export_compose(params, content, check_mode):
    """Write a compose file for the recorded containers. Return as _write_text does."""
    text = _compose.render(content).encode("utf-8")
    return _write_text(params["compose_dest"], text, params["overwrite"], check_mode)


def _write_text(dest, text, overwrite, check_mode):
    """Write a small file. Return dest, changed and, when it exists, size and sha256."""
    check_destination(dest, True, check_mode)
    if os.path.lexists(dest):
        with open(dest, "rb") as handle:
            if handle.read() == text:
                return {"dest": dest, "changed": False, "size": len(text), "sha256": sha256_of(dest)}
        check_destination(dest, overwrite)
    if check_mode:
        return {"dest": dest, "changed": True}
    with PartialFile(dest, overwrite=True) as out:
        out.write(text)
        return dict(out.publish(), changed=True)


def _existing(dest):
    try:
        return load(dest)
    except (NotFoundError, IntegrityError):
        return None


def _difference(before, after):
    """Return before and after for diff mode: the names of what is described, since the values may be secret."""
    texts = []
    for content in (before, after):
        lines = []
        for kind in ("containers", "networks", "volumes", "images"):
            lines.extend("%s: %s" % (kind, name) for name in sorted((content or {}).get(kind, ())))
        texts.append("".join(line + "\n" for line in lines))
    if before is not None:
        for name in sorted(set(before["containers"]).intersection(after["containers"])):
            fields = _definition.compare(*(item["containers"][name]["definition"] for item in (before, after)))
            if fields:
                texts[1] += "%s differs in: %s\n" % (name, ", ".join(fields))
    return {"before": texts[0], "after": texts[1]}


EXPORT = Call(
    options={
        "containers": {"type": "list", "elements": "str", "required": True},
        "running": {"type": "list", "elements": "str"},
        "dest": {"type": "path", "required": True},
        "compose_dest": {"type": "path"},
        "compose_files": {"type": "list", "elements": "path", "default": []},
        "overwrite": {"type": "bool", "default": False},
    },
    rules={},
    work=lambda engine, params, check_mode, _diff: export(engine, params, check_mode),
)
