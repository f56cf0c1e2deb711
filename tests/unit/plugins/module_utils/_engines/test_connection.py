# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be known of logging in without a server."""

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _connection
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    CommandError,
    NotFoundError,
    UsageError,
)

PARAMS = dict.fromkeys(_connection.OPTIONS) | {"container": "db", "login_host": ""}


class FakeEngine:
    """Knows the files of one container and what psql says there for each (user, password, OS user)."""

    def __init__(self, environment=(), files=None, answers=None):
        self.environment, self.files, self.answers = list(environment), files or {}, answers or {}
        self.tried = []

    def container(self, name):
        return {"Id": name, "State": {"Running": True, "Status": "running"}, "Config": {"Env": self.environment}}

    def run(self, container, argv, environment=None, user="", stdin=b"", check=True):
        if argv[0] == "cat":
            return (0, self.files[argv[2]], "") if argv[2] in self.files else (1, b"", "no such file")
        if argv[0] == "tell-password":
            return 0, b"from command\n", ""
        assert all("secret" not in part for part in argv)
        login = (environment["PGUSER"], environment["PGPASSWORD"], user)
        self.tried.append(login)
        return self.answers.get(login, (2, b"", "psql: error: FATAL: no entry for you"))


def who(superuser=True):
    return (0, b'{"version_number": 150013, "version": "15.13", "user": "u", "listens": true, "superuser": %s,'
            b' "createdb": %s}' % ((b"true", b"true") if superuser else (b"false", b"false")), "")


@pytest.mark.parametrize("name, expected", [
    ("moodle", "dbname='moodle'"), ("a=b host=evil", "dbname='a=b host=evil'"), (r"it's \n", r"dbname='it\'s \\n'"),
])
def test_conninfo_quotes_every_name(name, expected):
    assert _connection.conninfo(name) == expected


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "ä" * 32])
def test_impossible_names_are_refused(name):
    with pytest.raises(UsageError):
        _connection.check_name(name)


@pytest.mark.parametrize("environment, files, login", [
    (["POSTGRES_USER=u", "POSTGRES_PASSWORD=p=q"], {}, ("u", "p=q", "0")),
    (["POSTGRES_PASSWORD_FILE=/run/p"], {"/run/p": b"from file\n"}, ("postgres", "from file", "0")),
    (["POSTGRESQL_USERNAME=u", "POSTGRESQL_PASSWORD=p"], {}, ("u", "p", "0")),
    (["POSTGRESQL_USERNAME=u", "POSTGRESQL_POSTGRES_PASSWORD=p"], {}, ("postgres", "p", "0")),
    ([], {}, ("postgres", None, "postgres")),
])
def test_the_container_itself_offers_ways(environment, files, login):
    engine = FakeEngine(environment, files, {login: who()})
    assert _connection.log_in(engine, PARAMS, ["moodle"]).superuser
    assert engine.tried[-1] == login


def test_a_named_user_is_the_only_one_for_a_dump():
    engine = FakeEngine(["POSTGRES_PASSWORD=p"], answers={("postgres", "p", "0"): who()})
    with pytest.raises(CommandError) as error:
        _connection.log_in(engine, dict(PARAMS, username="moodle", password="secret"), ["moodle"])
    assert engine.tried == [("moodle", "secret", "0")]
    assert "as 'moodle' with a password: FATAL: no entry for you" in error.value.message
    assert "secret" not in error.value.describe()


def test_a_named_user_with_a_wrong_password_is_an_error_for_a_restore_too():
    engine = FakeEngine(["POSTGRES_PASSWORD=p"], answers={("postgres", "p", "0"): who()})
    with pytest.raises(CommandError):
        _connection.log_in(engine, dict(PARAMS, username="moodle", password="secret"), ["moodle"], admin=True)


def test_a_restore_looks_for_a_superuser_beyond_the_named_user():
    engine = FakeEngine(["POSTGRES_PASSWORD=p"], answers={
        ("postgres", "p", "0"): who(), ("moodle", "secret", "0"): who(superuser=False)})
    params = dict(PARAMS, username="moodle", password="secret")
    assert _connection.log_in(engine, params, ["moodle"], admin=True).superuser
    assert not _connection.log_in(engine, params, ["moodle"]).superuser


def test_the_environment_gives_the_password_of_the_user_it_names():
    engine = FakeEngine(["POSTGRES_USER=moodle", "POSTGRES_PASSWORD=p"], answers={("moodle", "p", "0"): who()})
    _connection.log_in(engine, dict(PARAMS, username="moodle"), ["moodle"])
    assert engine.tried == [("moodle", "p", "0")]


def test_a_command_can_tell_the_password():
    engine = FakeEngine(answers={("moodle", "from command", "0"): who()})
    _connection.log_in(engine, dict(PARAMS, username="moodle", password_command=["tell-password"]), ["moodle"])


def test_a_database_that_does_not_exist_is_called_so():
    words = (2, b"", 'psql: error: FATAL:  database "moodle" does not exist')
    engine = FakeEngine(answers={("postgres", None, "0"): words})
    with pytest.raises(NotFoundError, match="Database 'moodle' does not exist in container 'db'"):
        _connection.log_in(engine, PARAMS, ["moodle"])
