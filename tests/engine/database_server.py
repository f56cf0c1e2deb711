# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real PostgreSQL server in a container, for tests, with awkward names and a password that is really asked for."""

from __future__ import annotations

import re
import time

SUPERUSER = "-ad min = %s;"  # initdb itself refuses quotes, dollars and backslashes here
PASSWORD = "s3cr3t 'pass\" $HOME \\n %s`x`"
USER = 'moo"dle \'user\' = %d'
USER_PASSWORD = "0th3r-word \\'$$\"="
DATABASE = "-it's \"a\" $x \\n %s = ü;db"

# Things that are easily lost, and things that look like parts of a dump and are none.
CONTENT = r"""
CREATE TABLE plain (id serial PRIMARY KEY, name text, data bytea, at timestamptz DEFAULT '2025-01-31 20:15:30Z');
INSERT INTO plain (name, data) SELECT 'row ' || i, decode(md5(i::text), 'hex') FROM generate_series(1, 500) i;
INSERT INTO plain (name) VALUES (E'new\nline'), (E'tab\there'), (E'\\.'), (''), (NULL), ('naïve ✓'), (E'\r\n');
CREATE TABLE "odd ""name.with
newline; COPY x FROM stdin;" ("col ""umn" text);
INSERT INTO "odd ""name.with
newline; COPY x FROM stdin;" VALUES ('a'), ('b');
CREATE TABLE empty (id int);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE single (line text);
INSERT INTO single VALUES (''), ('\.'), (''), ('');
CREATE TABLE parts (id int, kind text) PARTITION BY LIST (kind);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES (1, 'a'), (2, 'b'), (3, 'a');
CREATE TABLE child (extra int) INHERITS (plain);
INSERT INTO child (id, name, extra) VALUES (9000, 'child', 1);
CREATE UNLOGGED TABLE unlogged (id int);
INSERT INTO unlogged VALUES (1);
CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED ALWAYS AS IDENTITY);
INSERT INTO generated (a) SELECT generate_series(1, 10);
CREATE TABLE hidden (id int);
INSERT INTO hidden VALUES (1), (2);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE SCHEMA "other schema";
CREATE TABLE "other schema".plain (id int REFERENCES public.plain);
INSERT INTO "other schema".plain VALUES (1), (2);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM plain;
CREATE VIEW seen AS SELECT name FROM plain;
CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    -- PostgreSQL database dump complete
    RETURN '
COPY public.plain (id) FROM stdin;
1
\.
';
END $$;
CREATE INDEX ON plain (name);
SELECT lo_from_bytea(4711, 'large object');
SELECT lo_create(4712);
GRANT SELECT ON plain TO "the reader";
COMMENT ON TABLE plain IS 'it''s plain';
"""
ROWS = {
    "public.plain": 507, 'public.odd "name.with\nnewline; COPY x FROM stdin;': 2, "public.empty": 0,
    "public.nothing": 1, "public.single": 4, "public.parts_a": 2, "public.parts_rest": 1, "public.child": 1,
    "public.unlogged": 1, "public.generated": 10, "public.hidden": 2, "other schema.plain": 2,
}

SETTINGS = r"""
ALTER DATABASE {database} SET search_path TO '$user', public, 'other schema';
ALTER DATABASE {database} CONNECTION LIMIT 40;
REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
GRANT CREATE ON DATABASE {database} TO "the reader";
COMMENT ON DATABASE {database} IS 'it''s; on database x ;';
ALTER ROLE "the reader" IN DATABASE {database} SET work_mem TO '8MB';
"""


def quoted(name):
    return '"%s"' % name.replace('"', '""')


class Server:
    """A container with a server; sql() is the superuser's own session, independent of the code under test."""

    def __init__(self, engine, name, image, env=(), start=True):
        self.engine, self.name = engine, name
        environment = [
            "POSTGRES_USER=" + SUPERUSER, "POSTGRES_PASSWORD=" + PASSWORD, "POSTGRES_DB=postgres",
            "POSTGRES_INITDB_ARGS=--auth-local=scram-sha-256 --auth-host=scram-sha-256 --no-sync",
        ]
        command = ["postgres", "-c", "fsync=off", "-c", "max_wal_size=4GB"]
        engine.create_container(name, {"Image": image, "Env": environment + list(env), "Cmd": command})
        if start:
            engine.start(name)
            self.wait()

    def wait(self):
        deadline = time.monotonic() + 60
        while self.engine.run(self.name, ["cat", "/proc/1/comm"])[1] != b"postgres\n" or not self.answers():
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def answers(self):
        return self._psql("postgres", "SELECT 1;", check=False)[0] == 0

    def sql(self, text, database="postgres"):
        """Run SQL. Return the lines of its output (list of str)."""
        return self._psql(database, text)[1].decode().splitlines()

    def _psql(self, database, text, check=True):
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        environment = {"PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD, "PGDATABASE": database}
        return self.engine.run(self.name, argv, environment=environment, stdin=text.encode(), check=check)

    def create(self, database=DATABASE, content=CONTENT, settings=True):
        """Make a database that belongs to USER and is full of traps."""
        name, secret = quoted(database), USER_PASSWORD.replace("'", "''")
        self.sql("".join((
            'CREATE ROLE "the reader";',
            "CREATE ROLE %s LOGIN PASSWORD '%s';" % (quoted(USER), secret),
            "CREATE DATABASE %s OWNER %s TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';" % (name, quoted(USER)),
            SETTINGS.format(database=name) if settings else "",
        )))
        self.sql("GRANT ALL ON SCHEMA public TO PUBLIC; SET SESSION AUTHORIZATION %s;\n%s"
                 % (quoted(USER), content), database)

    def drop(self):
        """Remove every database and role that a test may have left."""
        self.sql(r"""
            SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database
            WHERE datname NOT IN ('postgres', 'template0', 'template1') \gexec
            SELECT format('DROP ROLE %I', rolname) FROM pg_roles
            WHERE rolname <> current_user AND rolname !~ '^pg_' \gexec
            """)

    def databases(self):
        return self.sql("SELECT datname FROM pg_database ORDER BY 1;")

    def text(self, database=DATABASE):
        """Return everything in a database and all its settings as SQL (str), as the server's own pg_dump writes it."""
        argv = ["pg_dump", "--create", "--dbname", "dbname='%s'" % database.replace("\\", "\\\\").replace("'", "\\'")]
        environment = {"PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD}
        output = self.engine.run(self.name, argv, environment=environment)[1].decode()
        return re.sub(r"(?m)^(\\(un)?restrict .*|-- Dumped .*)\n", "", output)

    def login(self, **more):
        """Return the arguments (dict) of a module that logs in as the owner of the database."""
        return dict({"container": self.name, "database": DATABASE, "username": USER, "password": USER_PASSWORD}, **more)

    def admin(self, **more):
        """Return the arguments (dict) of a module that finds its own way to log in."""
        return dict({"container": self.name, "database": DATABASE}, **more)

    def processes(self):
        """Return the command lines (list of str) of everything that runs in the container."""
        return [row[-1] for row in self.engine.api.top(self.name, "-eo pid,args")["Processes"]]

    def log(self):
        return self.engine.api.logs(self.name).decode()
