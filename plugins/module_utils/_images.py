# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes images into one archive, and brings them back.

Beside an archive <dest> lies its index <dest>.json: which images it holds, and the size and checksum of the archive
that this was written for. It makes "is everything there already" a matter of milliseconds; without it the archive is
read.
"""
from __future__ import annotations

import contextlib
import json
import os

from . import _sharing
from ._call import COMPRESSION, Call
from ._errors import ExistsError, IntegrityError, NotFoundError, UsageError
from ._image_archive import Reader, fingerprint_of_inspect
from ._image_sources import write
from ._stream import PartialFile, plain_content

_STORED = ("size", "sha256", "raw_size")  # what the index says of the archive itself


def index_path(archive):
    """Return where the index of an archive lies (str)."""
    return archive + ".json"


def read_index(archive):
    """Return the index of an archive (dict with images, size, sha256, raw_size), or None if it has none that fits."""
    try:
        with open(index_path(archive), encoding="utf-8") as handle:
            index = json.load(handle)
        fits = index["size"] == os.path.getsize(archive) and all("id" in image for image in index["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return index if fits else None


def normalized(name):
    """Return an image's name as the engine lists it: without the default registry, with a tag (str)."""
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"):
        if name.startswith(prefix):
            name = name[len(prefix):]
            break
    if "@" in name or ":" in name.rpartition("/")[2]:
        return name
    return name + ":latest"


def find(engine, identifier, fingerprint):
    """Return what the engine says about an image (dict), or None.

    An engine with another image store has it under another ID; then the fingerprint (hex str, or None) decides.
    """
    inspect = engine.image(identifier)
    if inspect is not None or not fingerprint:
        return inspect
    for other in engine.image_ids():
        inspect = engine.image(other)
        if inspect is not None and fingerprint_of_inspect(inspect) == fingerprint:
            return inspect
    return None


def describe(engine, names):
    """Return what the engine knows of these images, in this order: list of dict.

    :param names: names, IDs, or "name=ID" for the image with this ID that shall have this name when it comes back.
    Each has name (as given), id, tags (the ones to be saved), repo_digests, size (bytes), created, fingerprint.
    :raises: NotFoundError if there is no such image.
    """
    found = []
    for entry in dict.fromkeys(names):
        name, pinned, identifier = entry.partition("=")
        inspect = engine.image(identifier or name)
        if inspect is None:
            raise NotFoundError("Image '%s' is not on this engine" % entry)
        tags = sorted(inspect.get("RepoTags") or ())
        found.append({
            "name": name,
            "id": inspect["Id"],
            "tags": [normalized(name)] if pinned or normalized(name) in tags else tags,
            "repo_digests": sorted(inspect.get("RepoDigests") or ()),
            "size": inspect.get("Size") or 0,
            "created": inspect.get("Created") or "",
            "fingerprint": fingerprint_of_inspect(inspect),
        })
    return found


# --- export -------------------------------------------------------------------------------------------------------


def export(engine, params, check_mode):
    """Write images into an archive; what image_export does.

    :param params: dict with images (list of str), dest (absolute path), overwrite, compression, compression_level,
        processes, transport, earlier (list of dict).
    :returns: dict for exit_json.
    """
    dest = params["dest"]
    if not params["images"]:
        raise UsageError("No image is named", "Give at least one in 'images'.")
    images = describe(engine, params["images"])
    result = {"dest": dest, "index": index_path(dest), "images": images, "shared": False}
    before = read_index(dest)
    if before is not None and _content(before["images"]) == _content(images):
        result.update({key: before[key] for key in _STORED})
        result.update(changed=False, diff=_difference(before, images))
        return result
    if os.path.lexists(dest) and not params["overwrite"]:
        raise ExistsError("%s exists already and holds other images" % dest,
                          "Choose another name, or set overwrite=true.")
    if not check_mode:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(index_path(dest))  # it must never lie beside an archive that it was not written for
        stored = _share(images, params)
        if stored is None:
            stored = write(engine, images, params)
        _write_index(dest, images, stored)
        result.update(stored)
    result.update(changed=True, diff=_difference(before, images))
    return result


def estimate(engine, params):
    """Return how many bytes export() would write (int): none if an archive that is there can serve."""
    images = describe(engine, params["images"])
    before = read_index(params["dest"])
    if before is not None and _content(before["images"]) == _content(images):
        return 0
    if any(_sharing.usable(earlier, params["compression"]) for earlier in _candidates(images, params)):
        return 0
    size = sum({image["id"]: image["size"] for image in images}.values())
    if params["compression"] == "none":
        return size
    for earlier in params["earlier"]:
        if earlier["raw_size"]:
            return size * earlier["size"] // earlier["raw_size"]
    return size // 2


def _candidates(images, params):
    """Return the earlier archives (list of dict) that hold exactly these images under these names."""
    wanted = _content(images)
    return [earlier for earlier in params["earlier"] if _content(earlier["images"]) == wanted]


def _share(images, params):
    """Make dest another name of an earlier archive. Return what is known of it (dict), or None if there is none."""
    for earlier in _candidates(images, params):
        if _sharing.link(earlier, params["dest"], params["compression"]):
            return dict({key: earlier[key] for key in _STORED}, shared=True)
    return None


def _content(images):
    """Return what counts when two lists of images are compared (sorted list)."""
    return sorted((image.get("id") or "", image.get("name") or "", sorted(image.get("tags") or ())) for image in images)


def _write_index(dest, images, stored):
    index = dict({key: stored[key] for key in _STORED}, images=images)
    with PartialFile(index_path(dest), overwrite=True) as out:
        out.write(json.dumps(index, indent=2, sort_keys=True).encode("utf-8") + b"\n")
        out.publish()


def _difference(before, images):
    def lines(some):
        return "".join("%s %s\n" % (image["name"], image["id"]) for image in some)

    return {"before": lines(before["images"] if before else ()), "after": lines(images)}


# --- import -------------------------------------------------------------------------------------------------------


def restore(engine, params, check_mode):
    """Bring the images of an archive to the engine; what image_import does.

    :param params: dict with src (absolute path), images (list of dict with id and perhaps name, tags, fingerprint; or
        None for all that the archive holds).
    :returns: dict for exit_json.
    """
    src = params["src"]
    if not os.path.isfile(src):
        raise NotFoundError("%s is no file" % src)
    images = [_wanted(image) for image in _expected(src, params["images"])]
    here = {image["id"]: find(engine, image["id"], image["fingerprint"]) for image in images}
    missing = [image for image in images if here[image["id"]] is None]
    moved = _moved_tags(engine, images, here)
    new_tags = sorted(tag for image in images for tag in image["tags"]
                      if tag in moved or engine.image(tag) is None)
    result = {
        "changed": bool(missing or new_tags),
        "loaded": sorted(image["id"] for image in missing),
        "tagged": new_tags,
        "moved": moved,
        "warnings": [],
        "diff": {"before": "", "after": "".join(
            ["load %s\n" % image["id"] for image in missing] + ["tag %s\n" % tag for tag in new_tags])},
    }
    if not check_mode:
        if missing:
            _load(engine, src)
            here = {image["id"]: find(engine, image["id"], image["fingerprint"]) for image in images}
        result["warnings"] = _finish(engine, images, here)
    result["images"] = [
        {"name": image["name"], "id": (here[image["id"]] or {"Id": image["id"]})["Id"], "tags": image["tags"]}
        for image in images
    ]
    return result


def _expected(src, given):
    if given is not None:
        return given
    index = read_index(src)
    return _read(src).images() if index is None else index["images"]


def _read(src):
    """Read an archive to its end. Return the Reader."""
    reader = Reader()
    with plain_content(src) as chunks:
        for chunk in chunks:
            reader.feed(chunk)
    return reader


def _wanted(image):
    """Return an expected image with all keys: id, name, tags (normalized), fingerprint."""
    if not str(image.get("id", "")).startswith("sha256:"):
        raise UsageError("images has an entry without a full 'id': %s" % image.get("name", image),
                         "Give entries as image_export returns them.")
    tags = image.get("tags")
    if tags is None:
        name = image.get("name") or ""
        tags = [] if not name or "@" in name or name.startswith("sha256:") else [name]
    return {
        "id": image["id"],
        "name": image.get("name") or (tags[0] if tags else image["id"]),
        "tags": sorted(normalized(tag) for tag in tags),
        "fingerprint": image.get("fingerprint"),
    }


def _moved_tags(engine, images, here):
    """Return the tags that are at another image now (dict of tag to that image's ID).

    :param here: dict of wanted ID to what the engine says about that image, or None.
    """
    moved = {}
    for image in images:
        right = (here[image["id"]] or {}).get("Id")
        for tag in image["tags"]:
            inspect = engine.image(tag)
            if inspect is not None and inspect["Id"] != right:
                moved[tag] = inspect["Id"]
    return moved


def _load(engine, src):
    """Stream an archive to the engine, watched so that a cut or foreign file is named as what it is."""
    reader = Reader()

    def watched(chunks):
        for chunk in chunks:
            reader.feed(chunk)
            yield chunk
        reader.images()

    with plain_content(src) as chunks:
        try:
            engine.load_images(watched(chunks))
        except IntegrityError as error:
            raise IntegrityError("%s: %s" % (src, error.message), error.hint, **error.details) from error


def _finish(engine, images, here):
    """Make sure that every image is there and has its tags. Return warnings (list of str)."""
    warnings = []
    for image in images:
        inspect = here[image["id"]]
        if inspect is None:
            raise IntegrityError("The archive was loaded, but image '%s' (%s) is not on the engine" % (
                image["name"], image["id"]), "The archive belongs to another backup, or is damaged: verify it.")
        if inspect["Id"] != image["id"]:
            warnings.append("Image '%s' has another ID on this engine (%s, not %s), because its image store counts "
                            "otherwise; layers and configuration are the same." % (
                                image["name"], inspect["Id"], image["id"]))
        for tag in image["tags"]:
            tagged = engine.image(tag)
            if tagged is None or tagged["Id"] != inspect["Id"]:
                engine.tag(inspect["Id"], tag)
    return warnings


_EARLIER = {
    "path": {"type": "path", "required": True},
    "sha256": {"type": "str", "required": True},
    "size": {"type": "int", "required": True},
    "raw_size": {"type": "int", "required": True},
    "images": {"type": "list", "elements": "dict", "required": True},
}
EXPORT = Call(
    options={
        **COMPRESSION,
        "images": {"type": "list", "elements": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "overwrite": {"type": "bool", "default": False},
        "transport": {"type": "str", "choices": ["auto", "direct", "api"], "default": "auto"},
        "earlier": {"type": "list", "elements": "dict", "default": [], "options": _EARLIER},
    },
    rules={},
    work=lambda engine, params, check_mode, _diff: export(engine, params, check_mode),
    estimate=estimate,
)
RESTORE = Call(
    options={
        "src": {"type": "path", "required": True},
        "images": {"type": "list", "elements": "dict"},
    },
    rules={},
    work=lambda engine, params, check_mode, _diff: restore(engine, params, check_mode),
)
