# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""_pgdump against made-up dumps of every archive version; dumps of real servers are in tests/engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _pgdump
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError

END = b"\\.\n\n\n"


# --- a writer of custom dumps ---------------------------------------------------------------------------------------


def number(value):
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def text(value):
    return number(-1) if value is None else number(len(value)) + value


def entry(version, dump_id, kind, tag, has_data=False, definition=b"", copy=b"", namespace=b"public", owner=b"moodle"):
    fields = number(dump_id) + number(has_data) + text(b"0") + text(b"0") + text(tag) + text(kind) + number(3)
    fields += text(definition) + text(b"") + text(copy) + text(namespace) + text(None)
    if version >= 14:
        fields += text(b"heap")
    if version >= 16:
        fields += number(114)
    return fields + text(owner) + text(b"false") + text(b"7") + text(None) + b"\x01" + bytes(8)


def head(version, entries, compression=0, server=b"15.3 (Debian)", client=b"15.4"):
    start = b"PGDMP" + bytes([1, version, 0, 4, 8, 1])
    start += bytes([compression]) if version >= 15 else number(compression)
    start += b"".join(number(part) for part in (0, 30, 12, 1, 0, 125, 0))
    start += text(b"moodle") + text(server) + text(client)
    return start + number(len(entries)) + b"".join(entries)


def block(dump_id, pieces):
    return b"\x01" + number(dump_id) + b"".join(text(piece) for piece in pieces) + number(0)


def archive(version=14, encoding=b"UTF8", compression=0):
    """A dump with two tables, one of them empty, large objects, and things without data."""
    entries = [
        entry(version, 1, b"ENCODING", b"ENCODING", definition=b"SET client_encoding = '%s';\n" % encoding),
        entry(version, 2, b"DATABASE", b"moodle", definition=b"CREATE DATABASE moodle WITH TEMPLATE = template0;\n"),
        entry(version, 3, b"TABLE", b"user"),
        entry(version, 4, b"TABLE DATA", b"user", True, copy=b'COPY public."user" (id, "full ""name""") FROM stdin;\n'),
        entry(version, 5, b"TABLE DATA", b"empty", True, copy=b"COPY public.empty  FROM stdin;\n"),
        entry(version, 6, b"BLOBS", b"BLOBS", True, namespace=None),
    ]
    large = b"\x03" + number(6) + number(900) + text(b"\n\n") + number(0) + number(901) + number(0) + number(0)
    rows = [b"1\tAda\\nLovelace\n", b"2\t\n3\t", b"\\\\.\n", END]
    return head(version, entries, compression) + block(4, rows) + block(5, [END]) + large


def read(data, size=None, **options):
    reader = _pgdump.DumpReader(**options)
    for start in range(0, len(data), size or len(data)):
        reader.feed(data[start:start + (size or len(data))])
    return reader, reader.close()


@pytest.mark.parametrize("version", range(12, 17))
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_custom_rows_are_counted_in_every_version_however_the_bytes_arrive(version, size):
    reader, tables = read(archive(version), size)
    assert tables == {"public.user": 3, "public.empty": 0}
    header = reader.header
    assert (header.format, header.encoding, header.counted) == ("custom", "UTF8", True)
    assert (header.server_version, header.client_version) == ("15.3 (Debian)", "15.4")
    assert [entry.kind for entry in header.entries][:3] == ["ENCODING", "DATABASE", "TABLE"]
    assert header.entries[3].owner == "moodle"


def test_the_header_is_there_before_the_data():
    data = archive()
    reader = _pgdump.DumpReader()
    reader.feed(data[:len(data) // 2])
    assert reader.header is None
    reader.feed(data[len(data) // 2:-60])
    assert reader.header.server_version.startswith("15.3")


def test_every_truncation_of_a_custom_dump_is_noticed():
    data = archive()
    for size in range(len(data)):
        with pytest.raises(IntegrityError):
            read(data[:size], 64)


def test_bytes_after_the_end_are_noticed():
    for rest in (b"x", b"\x01" + number(4) + number(0)):
        with pytest.raises(IntegrityError, match="damaged"):
            read(archive() + rest)


def test_a_block_that_belongs_to_nothing_is_noticed():
    with pytest.raises(IntegrityError, match="belongs to no object"):
        read(head(14, [entry(14, 1, b"TABLE", b"user")]) + block(9, [END]))


def test_table_data_without_its_end_mark_is_noticed():
    data = head(14, [entry(14, 4, b"TABLE DATA", b"user", True, copy=b"COPY public.user (id) FROM stdin;\n")])
    with pytest.raises(IntegrityError, match="does not end as it should"):
        read(data + block(4, [b"1\n", b"2\n"]))


def test_a_row_that_looks_like_the_end_mark_is_a_row():
    data = head(14, [entry(14, 4, b"TABLE DATA", b"t", True, copy=b"COPY public.t (a) FROM stdin;\n")])
    assert read(data + block(4, [b"\\\\.\n", b"\n", b"\n", END]))[1] == {"public.t": 3}


@pytest.mark.parametrize("data", [
    b"PGDMP" + bytes([1, 11, 0, 4, 8, 1]), b"PGDMP" + bytes([1, 17, 0, 4, 8, 1]), b"PGDMP" + bytes([2, 14, 0, 4, 8, 1]),
    b"PGDMP" + bytes([1, 14, 0, 4, 8, 3]),
])
def test_unknown_archive_versions_and_formats_are_refused(data):
    with pytest.raises(IntegrityError, match="not known here"):
        read(data)


def test_a_dump_that_pg_dump_compressed_is_checked_but_not_counted():
    for version in (14, 16):
        data = archive(version, compression=1)
        reader, tables = read(data, 100)
        assert (tables, reader.header.counted) == ({}, False)
        with pytest.raises(IntegrityError):
            read(data[:-1])


def test_names_are_read_in_the_encoding_of_the_dump():
    entries = [
        entry(14, 1, b"ENCODING", b"ENCODING", definition=b"SET client_encoding = 'LATIN1';\n"),
        entry(14, 4, b"TABLE DATA", b"gr\xf6\xdfe", True, copy=b'COPY public."gr\xf6\xdfe" (id) FROM stdin;\n'),
    ]
    assert read(head(14, entries) + block(4, [b"1\n", END]))[1] == {"public.größe": 1}


def test_an_empty_dump_is_refused():
    with pytest.raises(IntegrityError, match="empty"):
        _pgdump.DumpReader().close()


# --- plain SQL ------------------------------------------------------------------------------------------------------

PLAIN = rb"""--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 17.2 (Debian 17.2-1)
-- Dumped by pg_dump version 17.4

SET client_encoding = 'UTF8';
CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $$
COPY public.fake (id) FROM stdin;
$$;

--
-- Data for Name: user; Type: TABLE DATA; Schema: public; Owner: moodle
--

COPY public."user" (id, name) FROM stdin;
1	Ada\nLovelace
2	\\.

3	x
\.


--
-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: moodle
--

COPY public.empty  FROM stdin;
\.


--
-- Data for Name: odd  name; Type: TABLE DATA; Schema: public; Owner: moodle
--

COPY public."odd "" FROM stdin;
name" (id) FROM stdin;
7
\.


--
-- PostgreSQL database dump complete
--

\unrestrict abc
"""


@pytest.mark.parametrize("size", [1, 5, 50, 4096])
def test_plain_rows_are_counted_however_the_bytes_arrive(size):
    reader, tables = read(PLAIN, size)
    assert tables == {"public.user": 4, "public.empty": 0, 'public.odd " FROM stdin;\nname': 1}
    header = reader.header
    assert (header.format, header.encoding, header.entries) == ("plain", "UTF8", ())
    assert (header.server_version, header.client_version) == ("17.2 (Debian 17.2-1)", "17.4")


def test_every_truncation_of_a_plain_dump_is_noticed():
    end = PLAIN.index(b"dump complete\n") + len(b"dump complete\n")
    start = PLAIN.index(b"database dump\n") + len(b"database dump\n")
    for size in range(start, end):
        with pytest.raises(IntegrityError):
            read(PLAIN[:size], 64)
    assert read(PLAIN[:end])[1] == read(PLAIN)[1]


def test_the_last_line_in_the_middle_does_not_count():
    data = PLAIN.replace(b"\\restrict abc\n", b"-- PostgreSQL database dump complete\n")
    with pytest.raises(IntegrityError, match="last line"):
        read(data[:data.rindex(b"-- PostgreSQL")])


def test_sql_that_pg_dump_did_not_write_is_taken_as_it_is():
    reader, tables = read(b"CREATE TABLE t (id int);\nINSERT INTO t VALUES (1);\n")
    assert tables == {}
    assert (reader.header.format, reader.header.server_version) == ("plain", "")


def test_very_long_lines_need_no_memory():
    data = PLAIN.replace(b"SET client", b"INSERT INTO x VALUES ('" + b"y" * 5_000_000 + b"');\nSET client")
    reader = _pgdump.DumpReader()
    for start in range(0, len(data), 65536):
        reader.feed(data[start:start + 65536])
        assert len(reader._format._buffer) < 2_000_000
    assert reader.close()["public.user"] == 4


# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [archive(), PLAIN], ids=["custom", "plain"])
@pytest.mark.parametrize("size", [1, 3, 11, 4096])
def test_rows_of_chosen_tables_are_shown_once_each(data, size):
    seen, asked = [], []

    def watch(*table):
        asked.append(table)
        return seen.extend if table[1] == "user" else None

    read(data, size, watch=watch)
    is_custom = data.startswith(b"PGDMP")
    assert asked[:2] == [("public", "user", ("id", 'full "name"' if is_custom else "name")), ("public", "empty", ())]
    custom = [b"1\tAda\\nLovelace", b"2\t", b"3\t\\\\."]
    plain = [b"1\tAda\\nLovelace", b"2\t\\\\.", b"", b"3\tx"]
    assert seen == (custom if is_custom else plain)


_VALUES = st.lists(st.binary(max_size=12).map(
    lambda value: value.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")), max_size=20)


@given(lines=_VALUES, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=30), plain=st.booleans())
def test_any_rows_in_any_pieces_come_out_as_they_went_in(lines, cuts, plain):
    if plain:
        start, end = PLAIN.split(b"1\tAda", maxsplit=1)[0], b"\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n"
        data = start + b"".join(line + b"\n" for line in lines) + end
    else:
        entries = [entry(16, 4, b"TABLE DATA", b"user", True, copy=b'COPY public."user" (id, name) FROM stdin;\n')]
        data = head(16, entries) + block(4, [line + b"\n" for line in lines] + [END])
    seen, position, index = [], 0, 0
    reader = _pgdump.DumpReader(lambda schema, table, columns: seen.extend if table == "user" else None)
    while position < len(data):
        size = cuts[index % len(cuts)]
        reader.feed(data[position:position + size])
        position, index = position + size, index + 1
    assert reader.close() == {"public.user": len(lines)}
    assert seen == lines


@pytest.mark.parametrize("version, expected", [("15.13 (Debian 1)", 15), ("17devel", 17), ("9.6.1", 9), ("", 0)])
def test_major(version, expected):
    assert _pgdump.major(version) == expected
