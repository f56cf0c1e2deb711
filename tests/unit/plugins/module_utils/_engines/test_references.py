# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of columns, collected from rows as COPY writes them; real dumps are in tests/engine."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _references
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    CommandError,
    IntegrityError,
    UsageError,
)

COLUMNS = ("id", "hash", "kind")
_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def copied(values):
    """A row as the server's COPY writes it (bytes); values: str, or None for NULL."""
    return b"\t".join(
        b"\\N" if value is None else "".join(_ESCAPES.get(letter, letter) for letter in value).encode()
        for value in values)


def collect(tmp_path, rows, encoding="UTF8", **wanted):
    dest = tmp_path / "values"
    item = dict({"table": "files", "column": "hash", "dest": str(dest)}, **wanted)
    with _references.References([item], True, lambda: encoding) as references:
        take = references.watch("public", "files", COLUMNS)
        for start in range(0, len(rows), 3):
            take(rows[start:start + 3])
        references.finish(True)
        result = references.publish()
    return dest.read_bytes(), result


_VALUE = st.none() | st.text(
    st.sampled_from("abé0\\\t\r\b\v\f") | st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"),
    max_size=4)
_CONDITION = st.fixed_dictionaries(
    {"column": st.sampled_from(COLUMNS)},
    optional={"null": st.booleans() | st.none(), "not": st.sampled_from(["", "a", "\\", "é"]) | st.none()})


def meets(row, condition):
    value = row[COLUMNS.index(condition["column"])]
    if condition.get("null") is not None and (value is None) is not condition["null"]:
        return False
    return value is None or condition.get("not") is None or value != condition["not"]


@given(rows=st.lists(st.tuples(_VALUE, _VALUE, _VALUE), max_size=30), where=st.lists(_CONDITION, max_size=2))
def test_exactly_the_values_that_a_model_chooses(tmp_path_factory, rows, where):
    content, result = collect(tmp_path_factory.mktemp("x"), [copied(row) for row in rows], where=where)
    expected = {row[1].encode() for row in rows if row[1] is not None and all(meets(row, item) for item in where)}
    assert content == b"".join(value + b"\n" for value in sorted(expected))
    assert result[0]["count"] == len(expected)


@pytest.mark.parametrize("raw, value", [
    (b"plain", b"plain"), (rb"\\N", rb"\N"), (rb"\101\x42\x4g", b"AB\x04g"), (rb"a\qb\.", b"aqb."),
    (b"\\\xc3\xa4", b"\xc3\xa4"),
])
def test_every_escape_of_copy_is_understood(raw, value):
    assert _references.plain_value(raw) == value


def test_values_are_compared_in_the_encoding_of_the_dump(tmp_path):
    rows = [b"1\t\xe4\tx", b"2\tb\tx"]
    where = [{"column": "hash", "not": "ä"}]
    assert collect(tmp_path, rows, "LATIN1", where=where)[0] == b"b\n"
    assert collect(tmp_path, rows, "UTF8", where=where)[0] == b"b\n\xe4\n"


def test_a_value_with_a_line_break_is_refused(tmp_path):
    with pytest.raises(IntegrityError, match="column 'hash' of table 'files' holds a line break"):
        collect(tmp_path, [copied(("1", "a\nb", "x"))])
    assert os.listdir(tmp_path) == []


def test_a_row_that_is_too_short_is_damage(tmp_path):
    for where in ([], [{"column": "kind", "null": True}]):
        with pytest.raises(IntegrityError, match="too few columns"):
            collect(tmp_path, [b"1"], where=where)


@pytest.mark.parametrize("table, schema, takes", [
    ("files", "public", True), ("files", "other", True), ("other.files", "other", True),
    ("other.files", "public", False), ("file", "public", False),
])
def test_a_table_is_meant_with_its_schema_or_in_all(tmp_path, table, schema, takes):
    item = {"table": table, "column": "hash", "dest": str(tmp_path / "x")}
    with _references.References([item], False, lambda: "") as references:
        assert (references.watch(schema, "files", COLUMNS) is not None) is takes
        if not takes:
            with pytest.raises(UsageError, match="'%s' is not in the dump" % table):
                references.finish(True)


def test_a_namesake_without_the_column_does_not_matter(tmp_path):
    item = {"table": "files", "column": "hash", "dest": str(tmp_path / "x")}
    with _references.References([item], False, lambda: "") as references:
        assert references.watch("old", "files", ("id",)) is None
        with pytest.raises(UsageError, match="table 'files' has no column 'hash'"):
            references.finish(True)
        references.watch("public", "files", COLUMNS)([b"1\ta\tb"])
        assert references.watch("younger", "files", ("id",)) is None
        references.finish(True)
        assert references.publish()[0]["count"] == 1


def test_a_dump_that_cannot_be_read_is_an_error(tmp_path):
    item = {"table": "files", "column": "hash", "dest": str(tmp_path / "x")}
    with pytest.raises(UsageError, match="compressed the dump itself"), \
            _references.References([item], False, lambda: "") as references:
        references.finish(False)
    assert os.listdir(tmp_path) == []
    with _references.References([], False, lambda: "") as references:
        references.finish(False)


def test_a_full_disk_is_told_by_sort(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        rows = [b"1\t%040d\tx" % number for number in range(1_000_000)]
        with pytest.raises(CommandError, match="No space left on device"):
            item = {"table": "files", "column": "hash", "dest": str(tmp_path / "x")}
            with _references.References([item], False, lambda: "") as references:
                take = references.watch("public", "files", COLUMNS)
                for _again in range(10):
                    take(rows)
                references.finish(True)
        assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


_MANY = """
import os, sys
from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _references
item = {"table": "files", "column": "hash", "dest": sys.argv[1]}
with _references.References([item], False, lambda: "") as references:
    take = references.watch("public", "files", ("id", "hash"))
    for start in range(0, 2_000_000, 10_000):
        take([b"1\\t%040d" % (number * 7919 % 1_500_007) for number in range(start, start + 10_000)])
    for pid in ("self", references._files[0]._sort.popen.pid):
        status = open("/proc/%s/status" % pid).read()
        print(status.split("VmHWM:")[1].split()[0], flush=True)  # KiB
    print("fed", flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.read()
    references.finish(True)
    print(references.publish()[0]["count"])
"""


# Where another process finds the collection.
_ENVIRONMENT = dict(os.environ, PYTHONPATH=_references.__file__.partition("/ansible_collections/")[0])


def test_memory_stays_small_with_many_values(tmp_path):
    command = [sys.executable, "-c", _MANY, str(tmp_path / "x"), "go"]
    own, of_sort, *output = subprocess.check_output(command, env=_ENVIRONMENT).split()
    assert output == [b"fed", b"1500007"]
    assert int(own) < 40 * 1024
    assert int(of_sort) < 40 * 1024
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("signal", ["kill", "terminate"])
def test_nothing_is_left_beside_when_it_is_killed(tmp_path, signal):
    command = [sys.executable, "-c", _MANY, str(tmp_path / "x"), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_ENVIRONMENT) as process:
        while process.stdout.readline() != b"fed\n":
            assert process.poll() is None
        assert len(os.listdir(tmp_path)) > 1  # the files of sort
        getattr(process, signal)()
    deadline = time.monotonic() + 10
    while os.listdir(tmp_path) != [".x.partial"]:
        assert time.monotonic() < deadline, os.listdir(tmp_path)
        time.sleep(0.05)
