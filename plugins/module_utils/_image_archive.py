# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what a 'docker save' archive holds while its bytes go by.

Pure. Both layouts are known: Docker's own (<id>.json, <layer>/layer.tar) and OCI's (index.json, blobs/sha256/...),
which the engine writes since version 25. Only headers and small JSON members are kept.
"""
from __future__ import annotations

import hashlib
import json

from ._errors import IntegrityError

_BLOCK = 512  # bytes
_SMALL = 1024 * 1024  # bytes; image configurations and indexes are far below
_ALL_SMALL = 32 * 1024 * 1024  # bytes
_CONFIG_KEYS = ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes")


def fingerprint(architecture, system, created, config, layers):
    """Return a text that is the same for the same image, however an engine numbers its images (hex str).

    Engines with containerd's image store use the digest of the manifest as image ID, others that of the configuration.

    :param created: str, time in RFC 3339. :param config: dict, the image's container configuration.
    :param layers: list of str, digests of the plain layers.
    """
    # The time is shown with or without trailing zeros, and the beginning of time is sometimes left out.
    created = "" if (created or "").startswith("0001-") else (created or "").rstrip("Z0.")
    content = [architecture or "", system or "", created, list(layers or ())]
    content.append({key: config[key] for key in _CONFIG_KEYS if (config or {}).get(key)})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def fingerprint_of_inspect(inspect):
    """Return the fingerprint of an image from what the engine says about it (dict)."""
    return fingerprint(inspect.get("Architecture"), inspect.get("Os"), inspect.get("Created"), inspect.get("Config"),
                       (inspect.get("RootFS") or {}).get("Layers"))


class Reader:
    """Follows a tar stream. Give it every chunk with feed(), then call images()."""

    def __init__(self):
        self._rest = b""  # an incomplete block
        self._skip = 0  # bytes of padding or of content that is not kept
        self._collect = None  # [name, bytes that are missing, list of chunks]
        self._pending = {}  # name and size from an extended header, for the member after it
        self._small, self._small_size = {}, 0
        self._names = set()
        self._zeros = 0

    def feed(self, chunk):
        """Take the next bytes of the archive. :raises: IntegrityError if they are no tar."""
        view = memoryview(self._rest + chunk if self._rest else chunk)
        self._rest = b""
        while view:
            if self._skip:
                taken = min(self._skip, len(view))
                self._skip -= taken
            elif self._collect:
                taken = self._gather(view)
            elif len(view) < _BLOCK:
                self._rest = bytes(view)
                return
            else:
                taken = _BLOCK
                self._header(bytes(view[:_BLOCK]))
            view = view[taken:]

    def _gather(self, view):
        name, missing, parts = self._collect
        taken = min(missing, len(view))
        parts.append(bytes(view[:taken]))
        self._collect[1] -= taken
        if self._collect[1] == 0:
            self._collect = None
            self._finish_member(name, b"".join(parts))
        return taken

    def _header(self, block):
        if self._zeros >= 2:
            return  # padding behind the end
        if block == bytes(_BLOCK):
            self._zeros += 1
            return
        self._zeros = 0
        kind, size = self._checked(block)
        if kind in b"xgLK":
            self._start("//" + kind.decode("ascii"), size)
            return
        name = self._pending.get("path") or _name(block)
        size = int(self._pending.get("size", size))
        self._pending = {}
        name = name[2:] if name.startswith("./") else name
        self._names.add(name.rstrip("/"))
        if kind in b"0\0" and size:
            # Layers are large or begin with something else than JSON; the first byte is looked at in _finish_member.
            if size <= _SMALL and self._small_size + size <= _ALL_SMALL:
                self._start(name, size)
            else:
                self._skip = size + -size % _BLOCK

    @staticmethod
    def _checked(block):
        """Return (type flag as bytes, size in bytes) of a header whose checksum is right."""
        try:
            expected = int(block[148:156].strip(b" \0") or b"0", 8)
            if block[124] & 0x80:
                size = int.from_bytes(block[125:136], "big")
            else:
                size = int(block[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            expected = -1
        if sum(block) - sum(block[148:156]) + 8 * 0x20 != expected:
            raise IntegrityError("The image archive is damaged or cut: something in it is no tar header",
                                 "Verify the backup, or export the images again.")
        kind = block[156:157]
        return kind, size if kind in b"0\0xgLK7" else 0

    def _start(self, name, size):
        self._collect = [name, size, []]
        if size == 0:
            self._collect = None
            self._finish_member(name, b"")

    def _finish_member(self, name, content):
        self._skip = -len(content) % _BLOCK
        if name == "//x":
            self._pending.update(_pax_records(content))
        elif name == "//L":
            self._pending["path"] = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif not name.startswith("//") and content[:1] in (b"{", b"["):
            self._small[name] = content
            self._small_size += len(content)

    def images(self):
        """Return the images in the archive, after its end: list of {"id", "tags", "fingerprint"}.

        The ID is the digest of the image's configuration.
        :raises: IntegrityError if the archive is cut, or one of its images is not whole.
        """
        if self._zeros < 2 or self._skip or self._collect or self._rest:
            raise IntegrityError("The image archive is cut: its end is missing",
                                 "Verify the backup, or export the images again.")
        return [self._image(entry) for entry in self._json("manifest.json")]

    def manifest_digests(self):
        """Return the digests of the manifests that the archive's index names (set of str); empty in Docker's layout."""
        if "index.json" not in self._small:
            return set()
        return {entry["digest"] for entry in self._json("index.json").get("manifests", ())}

    def _json(self, name):
        if name not in self._small:
            raise IntegrityError("The image archive has no %s" % name, "It must come from 'docker save'.")
        try:
            return json.loads(self._small[name].decode("utf-8"))
        except ValueError as error:
            raise IntegrityError("%s in the image archive is damaged: %s" % (name, error)) from error

    def _image(self, entry):
        for name in [entry["Config"]] + entry["Layers"]:
            if name not in self._names:
                raise IntegrityError("The image archive misses %s of image %s" % (name, entry.get("RepoTags")))
        digest = entry["Config"].rpartition("/")[2].partition(".")[0]
        config = self._json(entry["Config"])
        if hashlib.sha256(self._small[entry["Config"]]).hexdigest() != digest:
            raise IntegrityError("The configuration of image %s in the archive is damaged" % digest)
        return {
            "id": "sha256:" + digest,
            "tags": sorted(entry.get("RepoTags") or ()),
            "fingerprint": fingerprint(config.get("architecture"), config.get("os"), config.get("created"),
                                       config.get("config"), (config.get("rootfs") or {}).get("diff_ids")),
        }


def _name(block):
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _pax_records(content):
    """Return the records of an extended header that matter here (dict)."""
    records = {}
    while content:
        length, _space, _rest = content.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(content):
            raise IntegrityError("The image archive is damaged: an extended header makes no sense")
        record, content = content[len(length) + 1:int(length)], content[int(length):]
        key, _equals, value = record.rstrip(b"\n").partition(b"=")
        if key in (b"path", b"size"):
            records[key.decode("ascii")] = value.decode("utf-8", "surrogateescape")
    return records
