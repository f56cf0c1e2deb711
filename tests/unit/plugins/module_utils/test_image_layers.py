# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images put together out of a made-up folder of an engine."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import tracemalloc

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _image_archive, _image_layers

FILES = {
    "etc/hostname": b"host\n", "etc/empty": b"", "usr/bin/large": b"x" * 3_000_000 + b"y",
    "usr/" + "long/" * 60 + "name": b"deep", "n\udce9/latin1-\udcff": b"not UTF-8", "usr/bin/other": b"again",
}


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Engine:
    """The folder of an engine with images of the given layers, each a dict of name to content."""

    def __init__(self, root):
        self.root = root
        self.database = root / "image" / "overlay2"

    def add_layer(self, chain, files, others=()):
        """Store a layer above a chain (str or None). Return (its tar, its folder of files, its chain, its description).

        :param others: list of (name, type, target) of members without content, which the folder of files does not have.
        """
        plain, entries = self._split(files, others)
        number = str(len(list((self.root / "overlay2").glob("*"))))
        folder = self.root / "overlay2" / number / "diff"
        folder.mkdir(parents=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        diff_id = digest(plain)
        chain = diff_id if chain is None else digest(f"{chain} {diff_id}".encode())
        described = self.database / "layerdb" / "sha256" / chain[7:]
        described.mkdir(parents=True)
        (described / "cache-id").write_text(number)
        with gzip.open(described / "tar-split.json.gz", "wt") as lines:
            lines.writelines(json.dumps(entry) + "\n" for entry in entries)
        return plain, folder, chain, described

    @staticmethod
    def _split(files, others):
        """Return a tar (bytes) and its description: the contents of files apart, everything else as it is."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            for name, kind, target in others:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                tar.addfile(member)
        plain, entries, position = buffer.getvalue(), [], 0
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            for member in tar:
                entries.append({"type": 2, "payload": base64.b64encode(plain[position:member.offset_data]).decode()})
                entry = {"type": 1, "name": member.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")}
                if "\ufffd" in entry["name"]:
                    raw = member.name.encode("utf-8", "surrogateescape")
                    entry = {"type": 1, "name_raw": base64.b64encode(raw).decode()}
                if member.size:
                    entry["size"] = member.size
                entries.append(entry)
                position = member.offset_data + member.size
        entries.append({"type": 2, "payload": base64.b64encode(plain[position:]).decode()})
        return plain, entries

    def add_image(self, layers):
        """Store the configuration of an image of these layers (list of tars); return its ID."""
        content = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()
        path = self.database / "imagedb" / "content" / "sha256" / digest(content)[7:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest(content)


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path)


@pytest.fixture
def simple(engine):
    """An engine with one image of one layer: (engine, ID, folder of the layer's files, of its description)."""
    plain, folder, _chain, described = engine.add_layer(None, FILES)
    return engine, engine.add_image([plain]), folder, described


def saved(engine, tags):
    return b"".join(_image_layers.LayerArchive(str(engine.root), tags).chunks())


def test_layers_come_out_as_they_went_in_and_once(engine):
    low, _folder, chain, _described = engine.add_layer(None, FILES)
    high, _folder, _chain, _described = engine.add_layer(chain, {"top": b"t"})
    one, two = engine.add_image([low]), engine.add_image([low, high])
    archive = saved(engine, {one: ["one:1"], two: []})
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))
        contents = [[tar.extractfile(name).read() for name in entry["Layers"]] for entry in manifest]
    assert contents == [[low], [low, high]]
    assert [entry["RepoTags"] for entry in manifest] == [["one:1"], None]
    assert len(names) == len(set(names)) == 5


def test_members_without_content_need_no_files(engine):
    others = [
        ("link", tarfile.SYMTYPE, "/etc/passwd"), ("again", tarfile.LNKTYPE, "top"), ("null", tarfile.CHRTYPE, ""),
        ("disk", tarfile.BLKTYPE, ""), ("pipe", tarfile.FIFOTYPE, ""), ("folder", tarfile.DIRTYPE, ""),
        ("etc/.wh.hostname", tarfile.REGTYPE, ""), ("var/.wh..wh..opq", tarfile.REGTYPE, ""),
    ]
    layer, _folder, _chain, _described = engine.add_layer(None, {"top": b"t"}, others)
    identifier = engine.add_image([layer])
    with tarfile.open(fileobj=io.BytesIO(saved(engine, {identifier: []}))) as tar:
        assert tar.extractfile(digest(layer)[7:] + "/layer.tar").read() == layer


def test_an_empty_layer_twice_in_an_image(engine):
    empty, _folder, chain, _described = engine.add_layer(None, {})
    files, _folder, chain, _described = engine.add_layer(chain, {"top": b"t"})
    engine.add_layer(chain, {})
    identifier = engine.add_image([empty, files, empty])
    with tarfile.open(fileobj=io.BytesIO(saved(engine, {identifier: []}))) as tar:
        layers = json.load(tar.extractfile("manifest.json"))[0]["Layers"]
        assert [tar.extractfile(name).read() for name in layers] == [empty, files, empty]
        assert len(tar.getnames()) == 4


def test_an_image_without_layers(engine):
    identifier = engine.add_image([])
    reader = _image_archive.Reader()
    reader.feed(saved(engine, {identifier: ["none:1"]}))
    assert reader.images()[0]["id"] == identifier


def test_a_layer_is_filed_by_what_is_below(engine):
    # The numbers are those of the OCI image specification's rule: sha256(chain + " " + digest).
    one, two = digest(b"1"), digest(b"2")
    assert list(_image_layers.chains([one, two])) == [(one, one), (two, digest(f"{one} {two}".encode()))]


def test_memory_does_not_grow_with_the_layer(engine):
    size = 40_000_000
    layer, _folder, _chain, _described = engine.add_layer(None, {"large": bytes(size), "more": bytes(size)})
    identifier = engine.add_image([layer])
    del layer
    tracemalloc.start()
    try:
        total = sum(map(len, _image_layers.LayerArchive(str(engine.root), {identifier: []}).chunks()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 2 * size
    assert peak < 12_000_000


def test_the_archive_is_one_that_we_can_read(simple):
    engine, identifier, _folder, _described = simple
    reader = _image_archive.Reader()
    reader.feed(saved(engine, {identifier: ["site:1"]}))
    assert [(image["id"], image["tags"]) for image in reader.images()] == [(identifier, ["site:1"])]


@pytest.mark.parametrize(("change", "message"), [
    (lambda folder: (folder / "etc/hostname").write_bytes(b"hosT\n"), "damaged"),
    (lambda folder: (folder / "etc/hostname").write_bytes(b"ho"), "shorter"),
    (lambda folder: (folder / "etc/hostname").unlink(), "hostname"),
    (lambda folder: ((folder / "etc/hostname").unlink(), os.mkfifo(folder / "etc/hostname")), "shorter"),
    (lambda folder: ((folder / "etc/hostname").unlink(), (folder / "etc/hostname").symlink_to("/etc/hostname")),
     "hostname"),
    (lambda folder: ((folder / "usr/bin").rename(folder / "moved"), (folder / "usr/bin").symlink_to("../moved")),
     "large"),
    (lambda folder: folder.rename(folder.parent / "gone"), "diff"),
])
def test_changed_files_are_refused(simple, change, message):
    engine, identifier, folder, _described = simple
    change(folder)
    with pytest.raises(_image_layers.LayerError, match=message):
        saved(engine, {identifier: []})


@pytest.mark.parametrize("name", ["../secret", "etc/../../secret", ".."])
def test_a_name_that_leads_out_of_the_layer_is_refused(simple, name):
    engine, identifier, folder, described = simple
    (folder.parent / "secret").write_bytes(b"host\n")
    with gzip.open(described / "tar-split.json.gz", "wt") as lines:
        lines.write(json.dumps({"type": 1, "name": name, "size": 5}) + "\n")
    with pytest.raises(_image_layers.LayerError, match="has a file named"):
        saved(engine, {identifier: []})


def test_a_name_that_cannot_be_is_refused(simple):
    engine, identifier, _folder, described = simple
    with gzip.open(described / "tar-split.json.gz", "wt") as lines:
        lines.write(json.dumps({"type": 1, "name": "etc/host\0name", "size": 5}) + "\n")
    with pytest.raises(_image_layers.LayerError, match="cannot be read"):
        saved(engine, {identifier: []})


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"no JSON\n", mtime=0),
                                     gzip.compress(b"[1]\n", mtime=0), gzip.compress(b"{}" * 99, mtime=0)[:-9],
                                     b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 99],
                         ids=["empty", "plain", "text", "list", "cut", "flipped"])
def test_a_damaged_description_is_refused(simple, content):
    engine, identifier, _folder, described = simple
    (described / "tar-split.json.gz").write_bytes(content)
    with pytest.raises(_image_layers.LayerError):
        saved(engine, {identifier: []})


@pytest.mark.parametrize("missing", ["cache-id", "tar-split.json.gz"])
def test_a_missing_part_of_the_database_is_refused(simple, missing):
    engine, identifier, _folder, described = simple
    (described / missing).unlink()
    with pytest.raises(_image_layers.LayerError, match="cannot be read"):
        saved(engine, {identifier: []})


def test_a_layer_that_is_exchanged_meanwhile_is_refused(simple):
    engine, identifier, _folder, described = simple
    archive = _image_layers.LayerArchive(str(engine.root), {identifier: []})
    with gzip.open(described / "tar-split.json.gz", "wt") as lines:
        lines.write(json.dumps({"type": 2, "payload": base64.b64encode(bytes(1024)).decode()}) + "\n")
    with pytest.raises(_image_layers.LayerError, match="damaged"):
        list(archive.chunks())


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"no JSON", b'{"rootfs": {"type": "layers"}}'])
def test_a_configuration_without_layers_is_refused(engine, content):
    path = engine.database / "imagedb" / "content" / "sha256" / digest(content)[7:]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(_image_layers.LayerError, match="names no layers"):
        saved(engine, {digest(content): []})


def test_a_changed_configuration_is_refused(simple):
    engine, identifier, _folder, _described = simple
    path = engine.database / "imagedb" / "content" / "sha256" / identifier[7:]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(_image_layers.LayerError, match="configuration of image sha256:.* is damaged"):
        saved(engine, {identifier: []})


def test_an_unknown_image_is_refused(engine):
    with pytest.raises(_image_layers.LayerError, match="imagedb"):
        saved(engine, {"sha256:" + "0" * 64: []})


@pytest.mark.parametrize(("driver", "expected"), [("overlay2", True), ("overlayfs", False), ("btrfs", False)])
def test_only_overlay2_is_supported(simple, driver, expected):
    engine = simple[0]
    assert _image_layers.supported({"Driver": driver, "DockerRootDir": str(engine.root)}) is expected
    assert _image_layers.supported({"Driver": driver, "DockerRootDir": str(engine.root / "none")}) is False
