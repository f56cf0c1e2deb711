# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""database_dump and database_restore against real servers: what comes back is what was there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest
from database_server import CONTENT, DATABASE, PASSWORD, ROWS, SUPERUSER, USER, USER_PASSWORD, Server, quoted

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _dump

VERSIONS = (15, 17)


@pytest.fixture(scope="module")
def servers(engine, require_image):
    """{major version: Server}"""
    word = "mcb-test-%s" % os.urandom(4).hex()
    names = {version: "%s-%d" % (word, version) for version in VERSIONS}
    try:
        yield {version: Server(engine, name, require_image("moodleclaude-test/postgresql:%d" % version))
               for version, name in names.items()}
    finally:
        for name in names.values():
            engine.remove_container(name, volumes=True)


@pytest.fixture
def server(servers, request):
    """A server without any database, of version 15 unless the test asks for another one."""
    found = servers[getattr(request, "param", 15)]
    found.drop()
    return found


@pytest.fixture
def dumped(server, run_module, tmp_path):
    """(server with a database, path of its dump, path of its roles, what database_dump returned)"""
    server.create()
    dest, roles = tmp_path / "x.dump.zst", tmp_path / "roles.sql"
    result = run_module("database_dump", server.login(dest=str(dest), roles_dest=str(roles)))
    assert "msg" not in result, result
    return server, dest, roles, result


def plain(path):
    """Return the content of a dump (bytes) as the standard programs see it."""
    program = {".zst": "zstd", ".gz": "gzip"}.get(path.suffix)
    return subprocess.check_output([program, "-dc", path]) if program else path.read_bytes()


def ok(result):
    assert not result.get("failed"), result["msg"]
    return result


def without_secrets(result):
    text = json.dumps(result)
    for secret in (PASSWORD, USER_PASSWORD):
        assert json.dumps(secret)[1:-1] not in text
    return result


@pytest.mark.parametrize("server, format, ending", [
    (15, "custom", ".zst"), (15, "custom", ".gz"), (15, "plain", ""), (17, "custom", ".zst"), (17, "plain", ".zst"),
], indirect=["server"])
def test_a_database_comes_back_exactly(server, run_module, tmp_path, format, ending):
    server.create()
    before = server.text()
    dest = tmp_path / ("dump" + ending)
    compression = {".zst": "zstd", ".gz": "gzip", "": "none"}[ending]
    done = ok(run_module("database_dump", server.login(dest=str(dest), format=format, compression=compression)))
    assert done["tables"] == ROWS
    assert (done["row_count"], done["table_count"]) == (sum(ROWS.values()), len(ROWS))
    assert done["sha256"] == hashlib.sha256(dest.read_bytes()).hexdigest()
    assert (done["size"], done["raw_size"]) == (dest.stat().st_size, len(plain(dest)))
    assert dest.stat().st_mode & 0o777 == 0o600
    assert (done["encoding"], done["collation"], done["ctype"]) == ("UTF8", "C", "C.UTF-8")
    assert done["database_owner"] == USER
    assert os.listdir(tmp_path) == [dest.name]

    server.sql("DROP TABLE plain CASCADE; CREATE TABLE newer (id int);", DATABASE)
    restored = without_secrets(ok(run_module("database_restore", server.admin(src=str(dest), tables=done["tables"]))))
    assert restored["changed"]
    assert restored["tables"] == ROWS
    assert server.text() == before
    assert server.databases() == [DATABASE, "postgres", "template0", "template1"]


@pytest.mark.parametrize("target", VERSIONS)
def test_a_dump_comes_back_on_an_empty_server_with_its_roles_and_settings(servers, dumped, run_module, target):
    source, dest, roles, result = dumped
    assert result["roles"] == {"dest": str(roles), "size": roles.stat().st_size, "passwords": True,
                               "sha256": hashlib.sha256(roles.read_bytes()).hexdigest()}
    assert roles.stat().st_mode & 0o777 == 0o600
    before = source.text()
    server = servers[target]
    server.drop()
    restored = ok(run_module("database_restore", server.admin(src=str(dest), roles_src=str(roles))))
    assert sorted(restored["roles_created"]) == sorted([USER, "the reader"])
    if target == 15:
        assert server.text() == before
    # The owner logs in with the password of old, and owns what he owned.
    again = ok(run_module("database_dump", server.login(dest=str(dest), overwrite=True)))
    assert again["tables"] == ROWS
    assert again["database_owner"] == USER


def test_the_roles_that_exist_are_not_touched(dumped, run_module):
    server, dest, roles, _result = dumped
    server.sql("DROP DATABASE %s; ALTER ROLE %s PASSWORD 'changed'; DROP ROLE \"the reader\";"
               % (quoted(DATABASE), quoted(USER)))
    restored = ok(run_module("database_restore", server.admin(src=str(dest), roles_src=str(roles))))
    assert restored["roles_created"] == ["the reader"]
    ok(run_module("database_dump", server.login(dest=str(dest), overwrite=True, password="changed")))


def test_roles_without_a_superuser_have_no_passwords(server, engine, run_module, tmp_path, prefix):
    server.create()
    # A container that has the programs but knows no superuser of that server.
    address = engine.container(server.name)["NetworkSettings"]["IPAddress"]
    engine.create_container(prefix, {
        "Image": "moodleclaude-test/postgresql:15", "Entrypoint": ["sleep", "600"], "Cmd": [], "Env": []})
    engine.start(prefix)
    roles = tmp_path / "roles.sql"
    arguments = server.login(dest=str(tmp_path / "d"), roles_dest=str(roles))
    done = ok(run_module("database_dump", dict(arguments, container=prefix, login_host=address, login_port=5432)))
    assert done["roles"]["passwords"] is False
    assert "CREATE ROLE" in roles.read_text()


@pytest.mark.parametrize("name", ["host=nowhere dbname=x", "postgresql://nowhere/x", "--help", "a'b\\c", "x" * 63])
def test_names_that_look_like_something_else(server, run_module, tmp_path, name):
    server.create(name, "CREATE TABLE t (id int); INSERT INTO t VALUES (1);", settings=False)
    arguments = server.login(database=name)
    ok(run_module("database_dump", dict(arguments, dest=str(tmp_path / "d"))))
    server.sql("DROP DATABASE %s;" % quoted(name))
    ok(run_module("database_restore", dict(arguments, src=str(tmp_path / "d"))))
    assert server.sql("SELECT count(*) FROM t;", name) == ["1"]
    for phase in ("prepare", "switch", "rollback") if len(name) == 63 else ():
        ok(run_module("database_restore", dict(arguments, src=str(tmp_path / "d"), phase=phase, transaction="t" * 24)))
    assert sorted(server.databases()) == sorted([name, "postgres", "template0", "template1"])


def test_the_same_file_comes_from_a_container_without_zstd(server, engine, run_module, tmp_path):
    server.create()
    ok(run_module("database_dump", server.login(dest=str(tmp_path / "inside.zst"))))
    engine.run(server.name, ["mv", "/usr/bin/zstd", "/usr/bin/zstd.away"])
    try:
        outside = ok(run_module("database_dump", server.login(dest=str(tmp_path / "outside.zst"))))
    finally:
        engine.run(server.name, ["mv", "/usr/bin/zstd.away", "/usr/bin/zstd"])
    assert outside["tables"] == ROWS
    assert len(plain(tmp_path / "inside.zst")) == len(plain(tmp_path / "outside.zst"))


def test_excluded_tables_keep_their_definition(server, run_module, tmp_path):
    server.create()
    server.sql('CREATE TABLE "pl*n" (id int); INSERT INTO "pl*n" VALUES (1);', DATABASE)
    done = ok(run_module("database_dump", server.admin(
        dest=str(tmp_path / "d"), exclude_table_data=["public.generated", "pl*n", 'odd "name.with', "hidden"])))
    assert set(ROWS) - set(done["tables"]) == {"public.generated", "public.hidden"}
    assert "public.pl*n" not in done["tables"]
    assert "there is no table 'odd \"name.with'" in json.dumps(done["warnings"]).replace('\\"', '"')
    ok(run_module("database_restore", server.admin(src=str(tmp_path / "d"))))
    assert server.sql("SELECT count(*) FROM generated;", DATABASE) == ["0"]


def test_everything_can_be_given_to_another_owner(dumped, servers, run_module):
    _source, dest, _roles, _result = dumped
    server = servers[17]
    server.drop()
    server.sql("CREATE ROLE heir;")
    ok(run_module("database_restore", server.admin(src=str(dest), owner="heir", no_owner=True)))
    query = "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relname ~ '^(plain|seen|counted)';"
    assert server.sql(query, DATABASE) == ["heir"]
    assert "ALTER DATABASE" in server.text()  # the settings that name no role have come along


def test_peer_authentication(server, engine, run_module, tmp_path):
    server.create()
    hba = "/var/lib/postgresql/data/pg_hba.conf"
    server.sql("CREATE ROLE postgres SUPERUSER LOGIN;")
    script = "cp %s /tmp/hba && echo 'local all all peer' > %s && kill -HUP 1" % (hba, hba)
    engine.run(server.name, ["sh", "-c", script])
    try:
        ok(run_module("database_dump", server.admin(dest=str(tmp_path / "d"))))
        ok(run_module("database_restore", server.admin(src=str(tmp_path / "d"))))
    finally:
        engine.run(server.name, ["sh", "-c", "cat /tmp/hba > %s && kill -HUP 1" % hba])
        while not server.answers():
            pass


def test_the_password_can_come_from_another_container(server, engine, run_module, tmp_path, prefix):
    server.create()
    engine.create_container(prefix, {
        "Image": "moodleclaude-test/postgresql:15", "Cmd": ["sleep", "600"], "Env": ["P=" + USER_PASSWORD]})
    engine.start(prefix)
    arguments = server.login(dest=str(tmp_path / "d"), password_container=prefix)
    del arguments["password"]
    done = run_module("database_dump", dict(arguments, password_command=["sh", "-c", 'echo "$P"']))
    assert ok(without_secrets(done))["row_count"] == sum(ROWS.values())
    failed = run_module("database_dump", dict(arguments, password_command=["false"], overwrite=True))
    assert "The password could not be read" in failed["msg"]


def expected_values(server, query):
    """Return the lines (list of bytes) that a file of references should have, by the word of the server itself."""
    values = server.sql("SELECT DISTINCT encode(convert_to(v, 'UTF8'), 'hex') FROM (%s) x(v);" % query, DATABASE)
    return sorted(bytes.fromhex(value) for value in values)


@pytest.mark.parametrize("server, format, compression", [
    (15, "custom", "zstd"), (15, "custom", "gzip"), (17, "plain", "zstd"),
], indirect=["server"])
def test_the_values_of_columns_are_collected(server, run_module, tmp_path, format, compression):
    server.create(content=CONTENT + """
        DELETE FROM plain WHERE name ~ E'\\n';
        CREATE TABLE "other schema".parts_a (id int, kind text);
        INSERT INTO "other schema".parts_a VALUES (NULL, NULL), (7, 'never'), (0, 'c\\d');
        """)
    wanted = [
        {"table": "public.plain", "column": "name", "dest": str(tmp_path / "names")},
        {"table": "parts_a", "column": "kind", "dest": str(tmp_path / "kinds"),
         "where": [{"column": "id", "null": False}, {"column": "kind", "not": "never"}]},
        {"table": "plain", "column": "id", "dest": str(tmp_path / "ids"), "where": [{"column": "id", "not": "1"}]},
        {"table": "empty", "column": "id", "dest": str(tmp_path / "none")},
    ]
    done = ok(run_module("database_dump", server.login(
        dest=str(tmp_path / "d"), format=format, compression=compression, references=wanted)))
    expected = {
        "names": expected_values(server, "SELECT name FROM ONLY plain WHERE name IS NOT NULL"),
        "kinds": [b"a", b"c\\d"],
        "ids": expected_values(server, 'SELECT id::text FROM ONLY plain WHERE id <> 1 UNION SELECT id::text'
                                       ' FROM "other schema".plain WHERE id <> 1'),
        "none": [],
    }
    assert len(expected["names"]) == 504
    for item, result in zip(wanted, done["references"]):
        path = tmp_path / os.path.basename(item["dest"])
        content = path.read_bytes()
        assert content == b"".join(value + b"\n" for value in expected[path.name])
        assert result == {"dest": str(path), "table": item["table"], "count": len(expected[path.name]),
                          "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["d", "ids", "kinds", "names", "none"]


@pytest.mark.parametrize("wanted, words, more", [
    ({"table": "nix", "column": "id"}, "no table 'nix'", {}),
    ({"table": "public.counted", "column": "id"}, "no table 'public.counted'", {}),
    ({"table": "plain", "column": "nix"}, "table 'plain' has no column 'nix'", {}),
    ({"table": "plain", "column": "id", "where": [{"column": "nix", "null": True}]}, "no column 'nix'", {}),
    ({"table": "plain", "column": "id", "where": [{"column": "id"}]}, "one of the following is required", {}),
    ({"table": "generated", "column": "a"}, "'generated' is not in the dump", {"exclude_table_data": ["generated"]}),
    ({"table": "parts", "column": "id"}, "'parts' is not in the dump", {}),
    ({"table": "plain", "column": "name"}, "line break", {}),
])
def test_values_that_cannot_be_collected_are_an_error_and_no_file_appears(dumped, run_module, tmp_path, wanted, words,
                                                                          more):
    server, _dest, _roles, _result = dumped
    folder = tmp_path / "new"
    folder.mkdir()
    arguments = server.login(dest=str(folder / "d"), references=[dict(wanted, dest=str(folder / "values"))], **more)
    failed = run_module("database_dump", arguments)
    assert failed.get("failed") and words in failed["msg"], failed
    assert os.listdir(folder) == []


def test_every_file_of_a_dump_needs_a_path_of_its_own(dumped, run_module, tmp_path):
    server, _dest, roles, _result = dumped
    wanted = {"table": "plain", "column": "id"}
    new = str(tmp_path / "new")
    for dests in ([new], [new + "2", new + "/../new2"]):
        failed = run_module("database_dump", server.login(
            dest=new, references=[dict(wanted, dest=dest) for dest in dests]))
        assert "Two files would be written to" in failed["msg"]
    taken = run_module("database_dump", server.login(dest=new, references=[dict(wanted, dest=str(roles))]))
    assert "exists already" in taken["msg"]
    assert "CREATE ROLE" in roles.read_text()


def test_the_size_of_the_database_and_of_the_dump_are_known(server, engine, run_module, tmp_path):
    server.create(content="CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 100000) i;")
    params = server.login(dest=str(tmp_path / "d"), compression="none", timeout=60, login_host="", login_port=None,
                          password_command=None, password_container=None)
    whole = _dump.estimate(engine, params)
    assert abs(_dump.estimate(engine, dict(params, compression="zstd")) - whole // 2) < 500_000  # maps of free space
    for compression in ("zstd", "none"):
        done = ok(run_module("database_dump", server.login(
            dest=str(tmp_path / "d"), compression=compression, overwrite=True)))
        assert done["size"] < _dump.estimate(engine, dict(params, compression=compression)) < done["database_size"]
    sizes = server.sql("SELECT pg_database_size(datname) FROM pg_database WHERE datname LIKE '%it''s%';")
    assert abs(int(sizes[0]) - done["database_size"]) < 1_000_000


def test_the_server_is_waited_for_during_its_first_start(servers, dumped, engine, run_module, prefix):
    _source, dest, roles, _result = dumped
    server = Server(engine, prefix, "moodleclaude-test/postgresql:15", start=False)
    script = b"sleep 3\n"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("docker-entrypoint-initdb.d/slow.sh")
        member.size = len(script)
        tar.addfile(member, io.BytesIO(script))
    engine.put_archive(prefix, "/", archive.getvalue())
    engine.start(prefix)
    arguments = server.admin(src=str(dest), roles_src=str(roles))
    early = run_module("database_restore", dict(arguments, wait_seconds=1))
    assert early["failed"]
    ok(run_module("database_restore", dict(arguments, wait_seconds=60)))
    assert server.sql("SELECT count(*) FROM plain;", DATABASE) == [str(ROWS["public.plain"] + 1)]
    assert "in its first start" in early["msg"] or "could not connect" in early["msg"] or "failed:" in early["msg"]


def test_check_mode_changes_nothing_and_tells_what_would_be(dumped, run_module, tmp_path):
    server, dest, _roles, _result = dumped
    before = server.text()
    dump = ok(run_module("database_dump", server.login(dest=str(tmp_path / "new")), check=True))
    assert dump["changed"] and not (tmp_path / "new").exists()
    arguments = server.admin(src=str(dest), phase="prepare", transaction="t1")
    planned = ok(run_module("database_restore", arguments, check=True, diff=True))
    assert planned["changed"]
    assert planned["diff"]["after"] == "".join(sorted([
        "database %s\n" % DATABASE, "database %s_mb_t1_new from %s\n" % (DATABASE, dest)]))
    for phase in ("commit", "rollback"):
        assert not ok(run_module("database_restore", dict(arguments, phase=phase), check=True))["changed"]
    assert run_module("database_restore", dict(arguments, phase="switch"), check=True)["failed"]
    assert server.text() == before
    assert server.databases() == [DATABASE, "postgres", "template0", "template1"]


def test_a_superuser_by_name(dumped, run_module):
    server, dest, _roles, _result = dumped
    ok(run_module("database_restore", server.admin(src=str(dest), username=SUPERUSER, password=PASSWORD)))
