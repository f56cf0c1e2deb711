# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _image_archive
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError

CONFIG = {
    "architecture": "amd64", "os": "linux", "created": "2026-01-31T20:15:30.5Z", "config": {"Cmd": ["sh"], "Env": None},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]}, "history": [],
}
CONFIG_TEXT = json.dumps(CONFIG).encode()
DIGEST = hashlib.sha256(CONFIG_TEXT).hexdigest()
INSPECT = {
    "Architecture": "amd64", "Os": "linux", "Created": "2026-01-31T20:15:30.500000000Z",
    "Config": {"Cmd": ["sh"], "Env": [], "Hostname": ""}, "RootFS": {"Layers": ["sha256:1", "sha256:2"]},
}


def archive(members, tar_format=tarfile.PAX_FORMAT):
    """Return a tar (bytes) of these members (list of (name, bytes))."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def legacy(config_name=DIGEST + ".json", layer=b"\x00layer" * 1000, manifest=None):
    entry = {"Config": config_name, "RepoTags": ["site:1", "a:1"], "Layers": ["one/layer.tar"]}
    return [
        ("one/VERSION", b"1.0"),
        ("one/layer.tar", layer),
        (config_name, CONFIG_TEXT),
        ("manifest.json", json.dumps(manifest or [entry]).encode()),
        ("repositories", b"{}"),
    ]


def oci():
    name = "blobs/sha256/" + DIGEST
    entry = {"Config": name, "RepoTags": None, "Layers": ["blobs/sha256/1"]}
    index = {"schemaVersion": 2, "manifests": [{"digest": "sha256:index", "size": 1}]}
    return [
        ("blobs/sha256/1", b"{" * 3_000_000),
        (name, CONFIG_TEXT),
        ("index.json", json.dumps(index).encode()),
        ("manifest.json", json.dumps([entry]).encode()),
        ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
    ]


def read(content, step=None):
    reader = _image_archive.Reader()
    step = step or len(content) or 1
    for position in range(0, len(content), step):
        reader.feed(content[position:position + step])
    return reader


EXPECTED = {"id": "sha256:" + DIGEST, "tags": ["a:1", "site:1"],
            "fingerprint": _image_archive.fingerprint_of_inspect(INSPECT)}


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 513, 10_000, None])
def test_docker_layout(tar_format, step):
    reader = read(archive(legacy(), tar_format), step)
    assert reader.images() == [EXPECTED]
    assert reader.manifest_digests() == set()


def test_oci_layout():
    reader = read(archive(oci()), 64 * 1024)
    assert reader.images() == [dict(EXPECTED, tags=[])]
    assert reader.manifest_digests() == {"sha256:index"}


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(tar_format):
    entry = {"Config": DIGEST + ".json", "RepoTags": ["a:1"], "Layers": ["l" * 200 + "/layer.tar"]}
    members = legacy(manifest=[entry]) + [("l" * 200 + "/layer.tar", b"x")]
    assert read(archive(members, tar_format)).images()[0]["tags"] == ["a:1"]


def test_large_members_are_not_kept():
    reader = read(archive([("big.json", b"{" + b" " * (2 * 1024 * 1024))] + legacy()), 1024 * 1024)
    assert reader.images() == [EXPECTED]
    assert "big.json" not in reader._small


def test_a_size_in_binary_is_understood():
    block = bytearray(archive([("x", b"")])[:512])
    size = 9 * 1024 ** 3
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 8 * 0x20)
    reader = _image_archive.Reader()
    reader.feed(bytes(block))
    assert reader._skip == size


@given(st.integers(min_value=0, max_value=len(archive(legacy())) - 1))
def test_every_cut_is_noticed(position):
    content = archive(legacy())
    end = content.rstrip(b"\0")
    complete = len(end) + -len(end) % 512 + 1024
    reader = read(content[:min(position, complete - 1)])
    with pytest.raises(IntegrityError, match="cut|misses|has no"):
        reader.images()


@pytest.mark.parametrize(("members", "message"), [
    ([member for member in legacy() if member[0] != "one/layer.tar"], "misses one/layer.tar"),
    ([member for member in legacy() if member[0] != DIGEST + ".json"], "misses " + DIGEST),
    ([member for member in legacy() if member[0] != "manifest.json"], "has no manifest.json"),
    (legacy(config_name="0" * 64 + ".json"), "configuration of image 0000.* is damaged"),
    ([(name, b"[{" if name == "manifest.json" else content) for name, content in legacy()], "manifest.json.*damaged"),
])
def test_what_is_not_whole_is_refused(members, message):
    with pytest.raises(IntegrityError, match=message):
        read(archive(members)).images()


def test_something_else_than_tar_is_refused():
    with pytest.raises(IntegrityError, match="no tar header"):
        read(b"<html>" * 1000)
    with pytest.raises(IntegrityError, match="cut"):
        read(b"").images()


def test_an_error_text_behind_the_members_is_refused():
    content = archive(legacy())
    with pytest.raises(IntegrityError, match="no tar header"):
        read(content[:content.rindex(b"repositories")] + b'{"error": "disk"}' * 100)


@pytest.mark.parametrize("content", [b"0 path=x\n", b"9999 path=x\n", b"x path=x\n", b"path", b"3 path=x\n"])
def test_damaged_extended_headers_are_refused(content):
    with pytest.raises(IntegrityError, match="extended header"):
        _image_archive._pax_records(content)


@pytest.mark.parametrize("change", [
    {"Architecture": "arm64"}, {"Created": "2026-01-31T20:15:31Z"}, {"RootFS": {"Layers": ["sha256:1"]}},
    {"Config": {"Cmd": ["bash"]}},
])
def test_fingerprints_tell_images_apart(change):
    assert _image_archive.fingerprint_of_inspect(dict(INSPECT, **change)) != EXPECTED["fingerprint"]
