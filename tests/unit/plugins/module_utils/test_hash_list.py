# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import subprocess
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _hash_list
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError, UsageError

HASHES = st.sets(st.binary(max_size=4).map(lambda content: hashlib.sha1(content).hexdigest()))
ONE, TWO = "1" * 40, "2" * 40


def write(path, names):
    path.write_text("".join(name + "\n" for name in names))
    return str(path)


@given(names=HASHES, width=st.sampled_from([1, 2]))
def test_all_hashes_are_taken_prefix_by_prefix(tmp_path_factory, names, width):
    path = write(tmp_path_factory.mktemp("h") / "hashes", sorted(names))
    with _hash_list.SortedHashes(path) as hashes:
        taken = [hashes.take("%0*x" % (width, number)) for number in range(16 ** width)]
    assert [name for part in taken for name in part] == sorted(names)
    assert all(name.startswith("%0*x" % (width, number)) for number, part in enumerate(taken) for name in part)


def test_prefixes_may_be_left_out(tmp_path):
    with _hash_list.SortedHashes(write(tmp_path / "hashes", [ONE, TWO])) as hashes:
        assert hashes.take("22") == [TWO]


def test_no_file_is_an_empty_one():
    with _hash_list.SortedHashes(None) as hashes:
        assert hashes.take("00") == []


@pytest.mark.parametrize("lines", [
    [TWO, ONE], [ONE, ONE], ["x" * 40], [ONE[1:]], [ONE + " "], [ONE.upper().replace("1", "A")], ["", ONE], ["é" * 40],
])
def test_what_is_no_sorted_list_of_hashes_is_refused(tmp_path, lines):
    path = write(tmp_path / "hashes", lines)
    with pytest.raises(IntegrityError, match="is no SHA-1, or not in order"), _hash_list.SortedHashes(path) as hashes:
        for number in range(16):
            hashes.take("%x" % number)


@given(names=HASHES)
def test_a_list_is_read_as_it_was_written(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("l") / "list"
    path.write_text("".join(_hash_list.render(name, "../../pools/x/filedir/") for name in sorted(names)))
    assert list(_hash_list.entries(path, "../../pools/x/filedir/")) == sorted(names)
    assert list(_hash_list.entries(path)) == sorted(names)


def test_sha1sum_checks_a_list(tmp_path):
    content = b"content"
    name = hashlib.sha1(content).hexdigest()
    blob = tmp_path / "pools" / "filedir" / name[:2] / name[2:4] / name
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    folder = tmp_path / "backups" / "one"
    folder.mkdir(parents=True)
    path = folder / _hash_list.FILENAME
    prefix = _hash_list.pool_prefix(str(tmp_path / "pools" / "filedir"), str(path))
    path.write_text(_hash_list.render(name, prefix))
    command = ["sha1sum", "--strict", "--quiet", "-c", path.name]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=True).stderr == b""
    blob.write_bytes(b"c0ntent")
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("line", [
    ONE, ONE + " *p/11/11/" + ONE, ONE + "  p/11/11/" + TWO, ONE + "  q/11/11/" + ONE, ONE + "  p/../p/11/11/" + ONE,
    ONE + "  p/11/12/" + ONE, "", ONE + "  /p/11/11/" + ONE, "\\" + ONE + "  p/11/11/" + ONE,
])
def test_a_line_that_leads_elsewhere_is_refused(tmp_path, line):
    (tmp_path / "list").write_text(line + "\n")
    with pytest.raises(IntegrityError, match="Line 1 of"):
        list(_hash_list.entries(tmp_path / "list", "p/"))


def test_a_list_that_is_cut_off_or_out_of_order_is_refused(tmp_path):
    path = tmp_path / "list"
    lines = [_hash_list.render(name, "p/") for name in (ONE, TWO)]
    for text in ("".join(lines)[:-1], lines[1] + lines[0], lines[0] * 2):
        path.write_text(text)
        with pytest.raises(IntegrityError):
            list(_hash_list.entries(path, "p/"))


def test_a_path_that_needs_escaping_is_refused():
    with pytest.raises(UsageError, match="cannot stand in a list"):
        _hash_list.pool_prefix("/a\\b", "/backups/one/filedir.sha1")


NUMBERS = st.integers(0, 2 ** 160 - 1)


@given(st.sets(NUMBERS, max_size=60), NUMBERS, st.sampled_from(["../", "pool/a b/"]))
def test_a_list_tells_what_it_holds_without_being_read(numbers, other, prefix):
    names = sorted("%040x" % number for number in numbers)
    with tempfile.NamedTemporaryFile("w") as handle:
        handle.writelines(_hash_list.render(name, prefix) for name in names)
        handle.flush()
        assert all(_hash_list.holds(handle.name, name) for name in names)
        assert _hash_list.holds(handle.name, "%040x" % other) is (other in numbers)
        for number in numbers:
            assert _hash_list.holds(handle.name, "%040x" % ((number + 1) % 2 ** 160)) is (
                (number + 1) % 2 ** 160 in numbers)
