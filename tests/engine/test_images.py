# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_export and image_import against the real engine: what comes back, and what happens when something breaks."""

from __future__ import annotations

import io
import os
import random
import socket
import subprocess
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _images

ENDINGS = {"zstd": ".tar.zst", "gzip": ".tar.gz", "none": ".tar"}


@pytest.fixture
def make_image(engine, tiny, prefix):
    """A function that makes an image of one layer of random bytes above another image, and returns its ID."""

    def make(name, size=200_000, base=tiny):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo("random")
            info.size = size
            tar.addfile(info, io.BytesIO(os.urandom(size)))
        container = engine.create_container(prefix + "-build", {
            "Image": base, "Cmd": ["true"], "Labels": {"org.moodleclaude.backup.test": prefix}})
        engine.put_archive(container, "/", buffer.getvalue())
        engine.api.commit(container, repository=name.partition(":")[0], tag=name.partition(":")[2])
        engine.remove_container(container)
        return engine.image(name)["Id"]

    return make


@pytest.fixture
def archive(run_module, make_image, prefix, tmp_path):
    """An uncompressed archive of one image that is not on the engine any more, and that image's ID and name."""
    name = prefix + "/one:1"
    identifier = make_image(name)
    dest = str(tmp_path / "one.tar")
    assert run_module("image_export", {"images": [name], "dest": dest, "compression": "none"})["changed"]
    return {"path": dest, "id": identifier, "name": name}


@pytest.mark.parametrize(("compression", "transport"), [
    ("zstd", "direct"), ("zstd", "api"), ("gzip", "direct"), ("none", "direct"), ("none", "api")])
def test_round_trip(engine, run_module, make_image, prefix, tmp_path, compression, transport):
    base = make_image(prefix + "/base:1", size=3_000_000)
    names = [prefix + "/one:1", prefix + "/two"]
    identifiers = [make_image(names[0], base=base), make_image(names[1] + ":latest", base=base)]
    dest = str(tmp_path / "images") + ENDINGS[compression]
    options = {"images": names, "dest": dest, "compression": compression, "transport": transport}

    result = run_module("image_export", options)
    assert result["changed"], result
    assert result["transport"] == transport
    assert [image["id"] for image in result["images"]] == identifiers
    assert result["images"][1]["tags"] == [names[1] + ":latest"]
    assert result["size"] == os.path.getsize(dest)
    assert result["sha256"] == subprocess.check_output(["sha256sum", dest], text=True).split()[0]
    assert 3_400_000 < result["raw_size"] < 6_300_000, "the layer that both share must be there once"
    assert os.stat(dest).st_mode & 0o777 == os.stat(dest + ".json").st_mode & 0o777 == 0o600

    modified = os.stat(dest).st_mtime_ns
    again = run_module("image_export", options)
    assert again["changed"] is False
    assert [again[key] for key in ("size", "sha256", "raw_size")] == [
        result[key] for key in ("size", "sha256", "raw_size")]
    assert os.stat(dest).st_mtime_ns == modified

    for name in [*names, prefix + "/base:1"]:
        engine.remove_image(name, force=True)
    assert not any(map(engine.image, identifiers))
    predicted = run_module("image_import", {"src": dest, "images": result["images"]}, check=True)
    assert not any(map(engine.image, identifiers))
    restored = run_module("image_import", {"src": dest, "images": result["images"]})
    assert restored["changed"] and predicted["changed"], restored
    assert sorted(identifiers) == restored["loaded"] == predicted["loaded"]
    assert [engine.image(name)["Id"] for name in names] == identifiers
    assert run_module("image_import", {"src": dest})["changed"] is False


def test_the_archive_is_read_when_it_has_no_index(engine, run_module, archive):
    os.unlink(archive["path"] + ".json")
    engine.remove_image(archive["name"], force=True)
    assert run_module("image_import", {"src": archive["path"]}, check=True)["loaded"] == [archive["id"]]
    assert engine.image(archive["id"]) is None
    result = run_module("image_import", {"src": archive["path"]})
    assert result["loaded"] == [archive["id"]]
    assert run_module("image_import", {"src": archive["path"]})["changed"] is False


def test_fingerprints_of_archive_and_engine_agree(engine, archive):
    inside = _images._read(archive["path"]).images()
    assert [image["fingerprint"] for image in inside] == [
        _images.fingerprint_of_inspect(engine.image(archive["id"]))]


def test_an_image_given_by_id(engine, run_module, make_image, prefix, tmp_path):
    tagged = make_image(prefix + "/one:1")
    engine.tag(tagged, prefix + "/one:2")
    untagged = make_image(prefix + "/gone:1")
    keeper = engine.create_container(prefix + "-keeper", {"Image": untagged, "Cmd": ["true"]})
    make_image(prefix + "/gone:1")  # takes the name away
    dest = str(tmp_path / "images.tar")
    result = run_module("image_export", {"images": [tagged, untagged], "dest": dest, "compression": "none"})
    assert [image["tags"] for image in result["images"]] == [[prefix + "/one:1", prefix + "/one:2"], []]
    engine.remove_container(keeper)
    for name in (prefix + "/one:1", prefix + "/one:2", untagged):
        engine.remove_image(name, force=True)
    assert run_module("image_import", {"src": dest, "images": result["images"]})["changed"]
    assert engine.image(untagged)["RepoTags"] == []
    assert sorted(engine.image(tagged)["RepoTags"]) == [prefix + "/one:1", prefix + "/one:2"]
    engine.remove_image(untagged)


def test_other_content_is_not_overwritten_unless_asked(run_module, make_image, archive):
    make_image(archive["name"])
    options = {"images": [archive["name"]], "dest": archive["path"], "compression": "none"}
    before = os.stat(archive["path"]).st_mtime_ns
    refused = run_module("image_export", options)
    assert refused["failed"]
    assert "exists already and holds other images" in refused["msg"]
    predicted = run_module("image_export", dict(options, overwrite=True), check=True)
    assert predicted["changed"]
    assert predicted["diff"]["before"] != predicted["diff"]["after"]
    assert os.stat(archive["path"]).st_mtime_ns == before
    assert run_module("image_export", dict(options, overwrite=True))["changed"]


def test_names_that_moved_are_put_back_and_told(engine, run_module, make_image, archive):
    other = make_image(archive["name"])
    keeper = "%s-keeper" % archive["name"].partition("/")[0]
    engine.create_container(keeper, {"Image": other, "Cmd": ["true"]})
    for check in (True, False):
        result = run_module("image_import", {"src": archive["path"]}, check=check)
        assert result["changed"]
        assert result["loaded"] == []
        assert result["moved"] == {archive["name"]: other}
        assert engine.image(archive["name"])["Id"] == (other if check else archive["id"])
    assert engine.image(other) is not None
    engine.remove_container(keeper)
    engine.remove_image(other)


@pytest.mark.parametrize("position", [0.5, 0.99])
@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_a_cut_archive_is_refused(engine, run_module, archive, compression, position, tmp_path):
    dest = str(tmp_path / "again") + ENDINGS[compression]
    run_module("image_export", {"images": [archive["name"]], "dest": dest, "compression": compression})
    wanted = [{"id": archive["id"], "name": archive["name"]}]
    engine.remove_image(archive["name"], force=True)
    os.truncate(dest, int(os.path.getsize(dest) * position))
    for options in ({"images": wanted}, {}):
        result = run_module("image_import", dict(options, src=dest))
        assert result["failed"], result
        words = ("cut", "unexpected", "damaged", "truncated", "premature")
        assert any(word in result["msg"].lower() for word in words), result["msg"]
        assert engine.image(archive["id"]) is None


@pytest.mark.parametrize("compression", ["zstd", "none"])
@pytest.mark.parametrize("where", ["layer", "header", "config"])
def test_a_flipped_bit_is_refused(engine, run_module, archive, compression, where, tmp_path):
    with open(archive["path"], "rb") as handle:
        plain = bytearray(handle.read())
    with tarfile.open(archive["path"]) as tar:
        config = tar.getmember(archive["id"].partition(":")[2] + ".json")
        # The engine does not read layers that it has, like the one of the image below.
        layer = next(member for member in tar if member.name.endswith("/layer.tar") and member.size < 1_000_000)
    position = {
        "layer": layer.offset_data + 10_000, "header": layer.offset + 20, "config": config.offset_data + 30,
    }[where]
    plain[position] ^= 4
    broken = tmp_path / "broken.tar"
    broken.write_bytes(plain)
    if compression == "zstd":
        subprocess.run(["zstd", "-q", "--rm", str(broken)], check=True)
        broken = tmp_path / "broken.tar.zst"
    engine.remove_image(archive["name"], force=True)
    wanted = [{"id": archive["id"], "name": archive["name"]}]
    result = run_module("image_import", {"src": str(broken), "images": wanted})
    assert result["failed"], result
    assert engine.image(archive["id"]) is None


def test_a_flipped_bit_in_compressed_data_is_refused(engine, run_module, archive, tmp_path):
    dest = tmp_path / "again.tar.zst"
    run_module("image_export", {"images": [archive["name"]], "dest": str(dest)})
    engine.remove_image(archive["name"], force=True)
    content = bytearray(dest.read_bytes())
    content[random.Random(1).randrange(100, len(content) - 100)] ^= 1
    dest.write_bytes(content)
    result = run_module("image_import", {"src": str(dest)})
    assert result["failed"]
    assert str(dest) in result["msg"]
    assert engine.image(archive["id"]) is None


def test_an_archive_of_something_else(engine, run_module, archive, prefix):
    wanted = [{"id": "sha256:" + "0" * 64, "name": prefix + "/none:1"}]
    result = run_module("image_import", {"src": archive["path"], "images": wanted})
    assert result["failed"]
    assert "is not on the engine" in result["msg"]


def test_a_full_disk_leaves_nothing(run_module, make_image, prefix, tmp_path):
    make_image(prefix + "/one:1", size=4_000_000)
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        for compression, ending in ENDINGS.items():
            result = run_module("image_export", {
                "images": [prefix + "/one:1"], "dest": str(folder / "images") + ending, "compression": compression})
            assert result["failed"]
            assert "No space left on device" in result["msg"], result["msg"]
            assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Proxy(threading.Thread):
    """A unix socket in front of the engine's that hangs up after a number of bytes in either direction."""

    def __init__(self, path, limit):
        super().__init__(daemon=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(8)
        self._left = limit
        self.start()

    def run(self):
        while True:
            client, _address = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect("/var/run/docker.sock")
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, target):
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            self._left -= len(data)
            if not data or self._left < 0:
                for end in (source, target):
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                return
            target.sendall(data)


@pytest.mark.parametrize("limit", [20_000, 2_000_000])
def test_an_engine_that_goes_away(engine, run_module, make_image, prefix, tmp_path, limit):
    identifier = make_image(prefix + "/one:1", size=4_000_000)
    dest = str(tmp_path / "images.tar")
    options = {"images": [prefix + "/one:1"], "dest": dest, "compression": "none"}

    Proxy(str(tmp_path / "export.sock"), limit)
    export = dict(options, transport="api", docker_host="unix://%s" % (tmp_path / "export.sock"))
    result = run_module("image_export", export)
    assert result["failed"]
    assert prefix in result["msg"]
    assert sorted(name for name in os.listdir(tmp_path) if not name.endswith(".sock")) == []

    assert run_module("image_export", options)["changed"]
    engine.remove_image(prefix + "/one:1", force=True)
    Proxy(str(tmp_path / "import.sock"), limit)
    result = run_module("image_import", {"src": dest, "docker_host": "unix://%s" % (tmp_path / "import.sock")})
    assert result["failed"]
    assert "Loading images" in result["msg"] or "Image '" in result["msg"]
    assert engine.image(identifier) is None


def test_no_engine_at_all(run_module, tmp_path):
    result = run_module("image_export", {
        "images": ["x"], "dest": str(tmp_path / "x.tar"), "docker_host": "unix://%s" % (tmp_path / "none.sock")})
    assert result["failed"]
    assert "cannot be reached" in result["msg"]


class OtherStore:
    """An engine that shows an image under another ID, as one with another image store does."""

    def __init__(self, engine, identifier, other):
        self._engine, self._identifier, self._other = engine, identifier, other

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def image(self, name):
        if name == self._identifier:
            return None
        inspect = self._engine.image(self._identifier if name == self._other else name)
        return inspect and dict(inspect, Id=inspect["Id"].replace(self._identifier, self._other))

    def image_ids(self):
        return [identifier.replace(self._identifier, self._other) for identifier in self._engine.image_ids()]

    def tag(self, image, name):
        self._engine.tag(self._identifier if image == self._other else image, name)


def test_another_image_store(engine, archive):
    index = _images.read_index(archive["path"])
    engine.remove_image(archive["name"], force=True)
    other = "sha256:" + "1" * 64
    store = OtherStore(engine, archive["id"], other)
    result = _images.restore(store, {"src": archive["path"], "images": index["images"]}, False)
    assert result["changed"]
    assert result["images"][0]["id"] == other
    assert "has another ID on this engine" in result["warnings"][0]
    engine.tag(archive["id"], archive["name"] + "-again")
    engine.remove_image(archive["name"])
    result = _images.restore(store, {"src": archive["path"], "images": index["images"]}, False)
    assert (result["loaded"], result["tagged"]) == ([], [archive["name"]])


def test_an_earlier_archive_is_shared_without_the_engine_saving_anything(engine, run_module, archive, tmp_path):
    """The engine is reached through a socket that hangs up long before an image could pass."""
    first = run_module("image_export", {"images": [archive["name"]], "dest": archive["path"]})
    earlier = [dict({key: first[key] for key in ("sha256", "size", "raw_size", "images")}, path=archive["path"])]
    folder = tmp_path / "next"
    folder.mkdir()
    Proxy(str(tmp_path / "engine.sock"), 50_000)
    dest = str(folder / "one.tar")
    options = {"images": [archive["name"]], "dest": dest, "compression": "none", "earlier": earlier,
               "transport": "api", "docker_host": "unix://%s" % (tmp_path / "engine.sock")}
    result = run_module("image_export", options)
    assert (result.get("changed"), result.get("shared")) == (True, True), result
    assert os.path.samefile(dest, archive["path"])
    os.unlink(archive["path"])
    engine.remove_image(archive["name"], force=True)
    assert run_module("image_import", {"src": dest})["loaded"] == [archive["id"]]


def test_an_earlier_archive_on_another_file_system(run_module, archive, tmp_path):
    first = run_module("image_export", {"images": [archive["name"]], "dest": archive["path"]})
    earlier = [dict({key: first[key] for key in ("sha256", "size", "raw_size", "images")}, path=archive["path"])]
    folder = tmp_path / "other"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)
    try:
        result = run_module("image_export", {
            "images": [archive["name"]], "dest": str(folder / "one.tar"), "compression": "none", "earlier": earlier})
        assert (result["changed"], result["shared"], result["raw_size"]) == (True, False, first["raw_size"])
        assert sorted(os.listdir(folder)) == ["one.tar", "one.tar.json"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_one_archive_for_each_image_is_as_good_as_one_for_all(engine, run_module, make_image, prefix, tmp_path):
    base = make_image(prefix + "/base:1")
    names = [prefix + "/one:1", prefix + "/two:1", prefix + "/one:2"]
    identifiers = [make_image(name, base=base) for name in names[:2]]
    identifiers.append(identifiers[0])
    engine.tag(identifiers[0], names[2])
    together = str(tmp_path / "images.tar.zst")
    everything = run_module("image_export", {"images": names, "dest": together})["images"]
    single = []
    for number, wanted in enumerate(([names[0], names[2]], [names[1]])):
        dest = str(tmp_path / ("image_%d.tar.zst" % number))
        single.append({"src": dest, "images": run_module("image_export", {"images": wanted, "dest": dest})["images"]})

    def restored(imports):
        for name in [*names, prefix + "/base:1"]:
            engine.remove_image(name, force=True)
        assert not any(map(engine.image, identifiers))
        results = [run_module("image_import", options) for options in imports]
        assert all(result["changed"] for result in results), results
        again = [run_module("image_import", options) for options in imports]
        assert not any(result["changed"] for result in again), again
        loaded = sorted(identifier for result in results for identifier in result["loaded"])
        state = [(engine.image(name)["Id"], sorted(engine.image(name)["RepoTags"])) for name in names]
        return loaded, sorted(tag for result in results for tag in result["tagged"]), state

    outcome = restored([{"src": together, "images": everything}])
    assert [identifier for identifier, _tags in outcome[2]] == identifiers
    assert restored(single) == outcome
    assert restored(single[::-1]) == outcome


def test_images_loaded_side_by_side(engine, run_module, make_image, prefix, tmp_path):
    """They share a layer that none has brought yet, and each brings one of its own."""
    base = make_image(prefix + "/base:1", size=20_000_000)
    names = ["%s/number:%d" % (prefix, number) for number in range(3)]
    identifiers = [make_image(name, base=base) for name in names]
    for number, name in enumerate(names):
        run_module("image_export", {"images": [name], "dest": str(tmp_path / str(number)), "compression": "none"})
    for name in [*names, prefix + "/base:1"]:
        engine.remove_image(name, force=True)
    assert not any(map(engine.image, identifiers))
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda number: run_module("image_import", {"src": str(tmp_path / str(number))}), range(3)))
    assert [result.get("loaded") for result in results] == [[identifier] for identifier in identifiers], results
    assert [engine.image(name)["Id"] for name in names] == identifiers
    again = str(tmp_path / "again")
    result = run_module("image_export", {"images": names, "dest": again, "compression": "none", "transport": "direct"})
    assert [image["id"] for image in result["images"]] == identifiers


@pytest.mark.slow
def test_memory_stays_low(engine, measure_module, make_image, prefix, tmp_path):
    make_image(prefix + "/big:1", size=250_000_000)
    dest = str(tmp_path / "big.tar.zst")
    for module, options in (
        ("image_export", {"images": [prefix + "/big:1"], "dest": dest, "compression_level": 1}),
        ("image_import", {"src": dest}),
    ):
        if module == "image_import":
            engine.remove_image(prefix + "/big:1", force=True)
        result, peak = measure_module(module, options)
        assert result["changed"], result
        assert peak < 150_000_000, "%s took %d bytes" % (module, peak)
