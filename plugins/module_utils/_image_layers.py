# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads images straight out of the engine's storage, as an archive like the one that 'docker save' writes.

The engine keeps of every layer the files (overlay2/<id>/diff) and all that its tar has besides (tar-split.json.gz), so
that the tar can be put together again, byte for byte. 'docker save' does the same, but writes everything to a temporary
folder first. The digest of each layer is compared with the one in the image's configuration, and that one's with the
image's ID: what differs in a single bit is refused, wherever the difference comes from.
"""
from __future__ import annotations

import binascii
import gzip
import hashlib
import json
import os
import tarfile
import zlib

from . import _beneath
from ._errors import BackupError, NotFoundError

_CHUNK = 1024 * 1024  # bytes
_BLOCK = 512  # bytes
_LINES = 256 * 1024  # bytes of a description that are read at once
_ENTRY_OF_FILE, _ENTRY_OF_BYTES = 1, 2  # in tar-split's description


class LayerError(BackupError):
    """The storage is not as expected; 'docker save' is the way then."""


def supported(info):
    """True if the engine (dict as 'docker info' gives) keeps its images in a way that is known here."""
    return info.get("Driver") == "overlay2" and os.path.isdir(_database(info["DockerRootDir"]))


def _database(root):
    return os.path.join(root, "image", "overlay2")


class LayerArchive:
    """An archive of images, each layer in it once.

    :param root: str, the engine's folder. :param images: dict of image ID to its tags (list of str).
    :raises: LayerError if something is missing.
    """

    def __init__(self, root, images):
        self._root = root
        self._images = [(identifier, tags, self._config(identifier)) for identifier, tags in images.items()]
        self._layers = {}  # digest → (folder of its description, bytes of its tar)
        for _identifier, _tags, config in self._images:
            for digest, chain in chains(_digests(config)):
                if digest not in self._layers:
                    folder = os.path.join(_database(root), "layerdb", *chain.split(":"))
                    self._layers[digest] = (folder, _size(folder))

    def _config(self, identifier):
        content = _read(os.path.join(_database(self._root), "imagedb", "content", *identifier.split(":")))
        if hashlib.sha256(content).hexdigest() != _hex(identifier):
            raise LayerError("The configuration of image %s in the engine's storage is damaged" % identifier)
        return content

    def chunks(self):
        """Yield the archive (bytes); raise LayerError if the storage is not what it was."""
        manifest = []
        for digest, (folder, size) in self._layers.items():
            yield _header(_layer_name(digest), size)
            yield from self._layer(digest, folder, size)
            yield bytes(-size % _BLOCK)
        for identifier, tags, config in self._images:
            name = _hex(identifier) + ".json"
            yield _member(name, config)
            layers = [_layer_name(digest) for digest in _digests(config)]
            manifest.append({"Config": name, "RepoTags": tags or None, "Layers": layers})
        yield _member("manifest.json", json.dumps(manifest).encode("utf-8")) + bytes(2 * _BLOCK)

    def _layer(self, digest, folder, size):
        """Yield the tar of a layer; raise LayerError at its end if it is not the one that belongs to the image."""
        # Names of folders are plain ASCII; whatever else stands there leads nowhere.
        number = _read(os.path.join(folder, "cache-id")).decode("ascii", "replace").strip()
        checksum = hashlib.sha256()
        with _Files(os.path.join(self._root, "overlay2", number, "diff")) as files:
            for chunk in _gathered(_content(folder, files)):
                checksum.update(chunk)
                size -= len(chunk)
                yield chunk
        if size or checksum.hexdigest() != _hex(digest):
            raise LayerError("Layer %s in the engine's storage is damaged" % digest)


def chains(digests):
    """Yield (digest, chain ID) of the layers of an image, lowest first: the engine files a layer by what is below."""
    chain = None
    for digest in digests:
        if chain is None:
            chain = digest
        else:
            chain = "sha256:" + hashlib.sha256(("%s %s" % (chain, digest)).encode("ascii")).hexdigest()
        yield digest, chain


def _digests(config):
    try:
        return json.loads(config.decode("utf-8"))["rootfs"]["diff_ids"] or []
    except (ValueError, KeyError, TypeError) as error:
        raise LayerError("The configuration of an image names no layers") from error


def _layer_name(digest):
    return _hex(digest) + "/layer.tar"


def _hex(digest):
    return digest.partition(":")[2]


def _read(path):
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError as error:
        raise LayerError("%s cannot be read: %s" % (path, error.strerror)) from error


def _entries(folder):
    """Yield what a layer's tar is made of: (bytes, None, 0), or (None, name of a file as bytes, its size)."""
    try:
        for entry in _described(os.path.join(folder, "tar-split.json.gz")):
            if entry["type"] == _ENTRY_OF_BYTES:
                yield binascii.a2b_base64(entry["payload"] or b""), None, 0
            elif entry["type"] == _ENTRY_OF_FILE and entry.get("size"):
                raw = entry.get("name_raw")
                name = binascii.a2b_base64(raw) if raw else entry["name"].encode("utf-8")
                yield None, name, entry["size"]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise LayerError("The description of a layer in %s cannot be read: %s" % (folder, error)) from error


def _described(path):
    """Yield the entries (dict) of a description, one of which is in each line."""
    with gzip.open(path) as handle:
        # An image has many thousands; some taken together cost less than one by one.
        for lines in iter(lambda: handle.readlines(_LINES), []):
            yield from json.loads(b"[" + b",".join(lines) + b"]")


def _size(folder):
    return sum(len(text) if name is None else size for text, name, size in _entries(folder))


def _content(folder, files):
    """Yield a layer's tar in parts of at most _CHUNK bytes, most of them small."""
    for text, name, size in _entries(folder):
        if name is None:
            yield text
        else:
            yield from files.read(name, size)


def _gathered(parts):
    """Yield the same bytes in parts of at least _CHUNK bytes (the last one excepted)."""
    kept, size = [], 0
    for part in parts:
        kept.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield b"".join(kept)
            kept, size = [], 0
    yield b"".join(kept)


class _Files:
    """Reads the files of a layer; never follows a link, so that no image can lead to a file of the host."""

    def __init__(self, path):
        try:
            self._root = _beneath.open_root(path)
        except NotFoundError as error:
            raise LayerError(error.message) from error
        self._folder, self._path = None, None

    def read(self, name, size):
        """Yield exactly size bytes of a file (bytes, relative)."""
        path, _slash, last = name.rstrip(b"/").rpartition(b"/")
        try:
            handle = self._open(path, last)
            try:
                while size:
                    chunk = os.read(handle, min(size, _CHUNK))
                    if not chunk:
                        raise LayerError("A file of a layer is shorter than it was: %s" % os.fsdecode(name))
                    size -= len(chunk)
                    yield chunk
            finally:
                os.close(handle)
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            reason = getattr(error, "strerror", None) or error
            raise LayerError("'%s' of a layer cannot be read: %s" % (os.fsdecode(name), reason)) from error

    def _open(self, path, name):
        if b".." in path.split(b"/") or name == b"..":
            raise LayerError("A layer has a file named '%s'" % os.fsdecode(path + b"/" + name))
        if path != self._path:  # a tar names the files of a folder one after another
            self._close()
            self._folder, self._path = _beneath.open_folder(self._root, path), path
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)

    def _close(self):
        if self._folder is not None:
            os.close(self._folder)
            self._folder, self._path = None, None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._close()
        os.close(self._root)


def _header(name, size):
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _member(name, content):
    return _header(name, len(content)) + content + bytes(-len(content) % _BLOCK)
