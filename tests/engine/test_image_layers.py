# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images read out of the engine's storage: the same as the engine gives, and never anything else."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _image_layers, _images

OPTIONS = {"overwrite": False, "compression": "none", "compression_level": None, "processes": 0, "earlier": []}


@pytest.fixture
def odd_image(engine, tiny, prefix):
    """The name and ID of an image with layers that have all that a tar can have."""
    name = prefix + "/odd:1"
    members = [
        ("odd", tarfile.DIRTYPE, "", b""), ("odd/file", tarfile.REGTYPE, "", os.urandom(300_000)),
        ("odd/empty", tarfile.REGTYPE, "", b""), ("odd/again", tarfile.LNKTYPE, "odd/file", b""),
        ("odd/link", tarfile.SYMTYPE, "/etc/passwd", b""), ("odd/folder", tarfile.SYMTYPE, "/odd", b""),
        ("odd/pipe", tarfile.FIFOTYPE, "", b""), ("odd/null", tarfile.CHRTYPE, "", b""),
        ("odd/" + "long-" * 45 + "ü", tarfile.REGTYPE, "", b"x"), ("odd/gone", tarfile.REGTYPE, "", b"x"),
        ("odd/single", tarfile.REGTYPE, "", os.urandom(5000)),
        ("odd/kept", tarfile.DIRTYPE, "", b""), ("odd/kept/old", tarfile.REGTYPE, "", b"x"),
    ]
    base = tiny
    # Removed files and a folder made anew are whiteouts and an opaque folder in the upper layer.
    for step, program in enumerate(("true", "rm -r /odd/gone /odd/kept && mkdir /odd/kept && echo 1 > /odd/kept/new")):
        container = engine.create_container(prefix + "-build", {
            "Image": base, "Cmd": ["sh", "-c", program], "Labels": {"org.moodleclaude.backup.test": prefix}})
        if step == 0:
            engine.put_archive(container, "/", _tar(members))
        engine.start(container)
        assert engine.api.wait(container)["StatusCode"] == 0
        base = "%s/odd:%d" % (prefix, step)
        engine.api.commit(container, repository=prefix + "/odd", tag=str(step))
        engine.remove_container(container)
    return name, engine.image(name)["Id"]


def _tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(content)
            member.devmajor, member.devminor = 1, 3
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def content(archive):
    """Return what an archive holds: (name of the configuration, tags, digests of the layers, configuration)."""
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        layers = [hashlib.sha256(tar.extractfile(name).read()).hexdigest() for name in manifest["Layers"]]
        return manifest["Config"], manifest["RepoTags"], layers, tar.extractfile(manifest["Config"]).read()


def test_both_ways_give_the_same(engine, run_module, odd_image, prefix, tmp_path):
    name, identifier = odd_image
    archives = {way: str(tmp_path / (way + ".tar")) for way in ("direct", "api")}
    for way, dest in archives.items():
        options = {"images": [name], "dest": dest, "compression": "none", "transport": way}
        assert run_module("image_export", options)["transport"] == way
    assert content(archives["direct"]) == content(archives["api"])
    layers = engine.image(name)["RootFS"]["Layers"]
    for dest in archives.values():
        for tag in (name, prefix + "/odd:0"):
            engine.remove_image(tag, force=True)
        assert engine.image(identifier) is None
        subprocess.run(["docker", "load", "-q", "-i", dest], check=True, capture_output=True)
        loaded = engine.image(name)
        assert (loaded["Id"], loaded["RootFS"]["Layers"]) == (identifier, layers)
    container = engine.create_container(prefix + "-look", {
        "Image": name, "Cmd": ["sh", "-c", "cd /odd && ls kept && test ! -e gone && stat -c '%F %h' file again pipe null"]})
    engine.start(container)
    engine.api.wait(container)
    assert engine.api.logs(container).decode().split("\n") == [
        "new", "regular file 2", "regular file 2", "fifo 1", "character special file 1", ""]


def test_a_foreign_image(engine, run_module, prefix, tmp_path):
    """An image that was not built here but came as a tar of another program, with padding and without './'."""
    name = prefix + "/foreign:1"
    plain = _tar([("file", tarfile.REGTYPE, "", b"content")]) + bytes(3_000_000)
    subprocess.run(["docker", "import", "-", name], input=plain, check=True, capture_output=True)
    dest = str(tmp_path / "images.tar")
    run_module("image_export", {"images": [name], "dest": dest, "compression": "none", "transport": "direct"})
    assert content(dest)[2] == [hashlib.sha256(plain).hexdigest()]


class Elsewhere:
    """The engine, with its folder said to be another one."""

    def __init__(self, engine, root):
        self._engine, self._root = engine, root

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def info(self):
        return dict(self._engine.info(), DockerRootDir=str(self._root))


@pytest.fixture
def storage(engine, odd_image, tmp_path):
    """A copy of what the engine has stored of the odd image: (engine that has it, folder of the lowest odd layer)."""
    root, here = tmp_path / "docker", Path(engine.info()["DockerRootDir"])
    name, identifier = odd_image
    database = Path("image/overlay2")
    config = database / "imagedb/content/sha256" / identifier[7:]
    (root / config).parent.mkdir(parents=True)
    shutil.copy(here / config, root / config)
    folders = []
    for _digest, chain in _image_layers.chains(engine.image(name)["RootFS"]["Layers"]):
        described = database / "layerdb/sha256" / chain[7:]
        shutil.copytree(here / described, root / described)
        folder = Path("overlay2") / (here / described / "cache-id").read_text() / "diff"
        (root / folder).parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", here / folder, root / folder], check=True)
        folders.append(root / folder)
    return Elsewhere(engine, root), next(folder for folder in folders if (folder / "odd/file").exists())


def change_a_byte(folder):
    with open(folder / "odd/file", "r+b") as handle:
        handle.seek(200_000)
        byte = handle.read(1)[0]
        handle.seek(200_000)
        handle.write(bytes([byte ^ 1]))


def put_a_link(folder):
    (folder / "odd/single").unlink()
    (folder / "odd/single").symlink_to("/etc/passwd")


def test_a_storage_that_is_whole(storage, odd_image, tmp_path):
    params = dict(OPTIONS, images=[odd_image[0]], dest=str(tmp_path / "images.tar"), transport="direct")
    assert _images.export(storage[0], params, False)["transport"] == "direct"


@pytest.mark.parametrize(("change", "reason"), [
    (change_a_byte, "is damaged"), (put_a_link, "odd/single"),
    (lambda folder: (folder / "odd/single").unlink(), "odd/single"),
    (lambda folder: os.truncate(folder / "odd/file", 100), "shorter"), (shutil.rmtree, "cannot be opened"),
])
def test_a_storage_that_is_not_as_expected(storage, odd_image, tmp_path, change, reason):
    """The engine is asked then; what it gives is right, for only the copy of its storage is not."""
    engine, folder = storage
    change(folder)
    dest = tmp_path / "images.tar"
    params = dict(OPTIONS, images=[odd_image[0]], dest=str(dest), transport="direct")
    with pytest.raises(_image_layers.LayerError, match=reason):
        _images.export(engine, params, False)
    assert not [path for path in tmp_path.iterdir() if "images" in path.name]
    result = _images.export(engine, dict(params, transport="auto"), False)
    assert result["transport"] == "api"
    assert len(result["warnings"]) == 1 and reason in result["warnings"][0]
    assert content(dest)[0].startswith(odd_image[1][7:])


def test_another_storage(engine, odd_image, tmp_path):
    elsewhere = Elsewhere(engine, tmp_path)
    params = dict(OPTIONS, images=[odd_image[0]], dest=str(tmp_path / "images.tar"), transport="auto")
    result = _images.export(elsewhere, params, False)
    assert (result["transport"], result["warnings"]) == ("api", [])
    with pytest.raises(_images.UsageError, match="transport=direct is not possible"):
        _images.export(elsewhere, dict(params, dest=str(tmp_path / "more.tar"), transport="direct"), False)


def test_killed_in_mid_export(engine, prefix, module_command, module_environment, run_module, tmp_path):
    """Whatever is left has no name that counts, no process and no mount; the next run takes its place."""
    plain = _tar([("random", tarfile.REGTYPE, "", os.urandom(100_000_000))])
    subprocess.run(["docker", "import", "-", prefix + "/big:1"], input=plain, check=True, capture_output=True)
    dest = tmp_path / "images.tar.zst"
    options = {"images": [prefix + "/big:1"], "dest": str(dest), "transport": "direct", "compression_level": 19}
    with subprocess.Popen(module_command("image_export"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          env=module_environment) as process:
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode())
        process.stdin.close()
        partial = tmp_path / ".images.tar.zst.partial"
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        children = Path("/proc/%d/task/%d/children" % (process.pid, process.pid)).read_text().split()
        assert children, "the compressor must be at work"
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == [partial.name]
    deadline = time.monotonic() + 30
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, children))
    assert run_module("image_export", dict(options, compression_level=1))["changed"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.tar.zst", "images.tar.zst.json"]


def _alive(process):
    try:
        return "\nState:\tZ" not in Path("/proc/%s/status" % process).read_text()
    except OSError:
        return False


@pytest.mark.parametrize("description", [b"", gzip.compress(b"{}")])
def test_a_damaged_description_in_the_storage(storage, odd_image, tmp_path, description):
    engine, _folder = storage
    for path in (tmp_path / "docker").rglob("tar-split.json.gz"):
        path.write_bytes(description)
    params = dict(OPTIONS, images=[odd_image[0]], dest=str(tmp_path / "images.tar"), transport="auto")
    assert _images.export(engine, params, False)["transport"] == "api"
