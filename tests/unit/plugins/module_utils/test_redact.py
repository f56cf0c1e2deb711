# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import html
import json
import time
import urllib.parse

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _redact
from ansible_collections.moodleclaude.backup.plugins.module_utils._redact import Hider, Secret

KEY = b"k" * 32
SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=24).filter(
    lambda text: text.strip() == text and _redact.searchable(text) and text not in "<hidden:0123456789abcdef>")
# What a program makes of a secret when it writes it somewhere.
WAYS = {
    "as it is": lambda text: text,
    "JSON": lambda text: json.dumps({"x": text}),
    "JSON, not ASCII": lambda text: json.dumps([text], ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"x": text})),
    "PHP's JSON": lambda text: json.dumps(text).replace("/", "\\/"),
    "YAML": lambda text: "key: '%s'" % text.replace("'", "''"),
    "PHP": lambda text: "'%s'" % text.replace("\\", "\\\\").replace("'", "\\'"),
    "shell": lambda text: "'%s'" % text.replace("'", "'\\''"),
    "shell in JSON": lambda text: json.dumps("'%s'" % text.replace("'", "'\"'\"'")),
    "Compose": lambda text: text.replace("$", "$$"),
    "Compose in JSON": lambda text: json.dumps(text.replace("$", "$$")),
    "address": lambda text: "postgres://u:%s@db/moodle" % urllib.parse.quote(text, safe=""),
    "form": lambda text: "p=%s&q=1" % urllib.parse.quote_plus(text),
    "HTML": html.escape,
    "header": lambda text: "Authorization: Basic %s" % base64.b64encode(("user:%s" % text).encode()).decode(),
    "header, another user": lambda text: base64.b64encode(("ab:%s" % text).encode()).decode(),
    "base64 in the middle": lambda text: base64.b64encode(('{"a": "%s", "b": 1}' % text).encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
}


def hider(*values, public=()):
    return Hider(KEY, [Secret(value, "the password") for value in values], public)


def read_back(text):
    """Yield what a reader who knows these ways gets out of a text."""
    yield text
    for word in text.replace('"', " ").replace("'", " ").replace(":", " ").split():
        for decode in (base64.b64decode, base64.urlsafe_b64decode, bytes.fromhex):
            try:
                raw = decode(word + "=" * (-len(word) % 4) if decode is not bytes.fromhex else word)
                yield raw.decode("utf-8", "replace")
            except ValueError:
                pass
    yield urllib.parse.unquote(text)
    yield urllib.parse.unquote_plus(text)
    yield html.unescape(text)
    for unescape in (("''", "'"), ("\\'", "'"), ("'\\''", "'"), ("$$", "$"), ("\\/", "/"), ("\\\\", "\\")):
        yield text.replace(*unescape)
    try:
        document = json.loads(text)
        yield str(document)
        yield from read_back(document) if isinstance(document, str) else ()
    except ValueError:
        pass


@given(SECRETS, st.sampled_from(sorted(WAYS)), st.text(max_size=10), st.text(max_size=10))
def test_a_known_secret_is_hidden_and_found_in_any_writing(secret, way, before, after):
    assume(secret not in before and secret not in after)
    text, known = before + WAYS[way](secret) + after, hider(secret)
    assert known.find(text.encode()) != []
    for hidden in (known.text(text), known.line(text), json.dumps(known.document({"a": [text]}))):
        assert known.find(hidden.encode()) == []
        assert "<hidden:" in hidden
    hidden = known.text(WAYS[way](secret))
    assert not any(secret in seen for seen in read_back(hidden))


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just("s3cret 'value'")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3))))
def test_a_document_keeps_its_form(document):
    once = hider("s3cret 'value'").document(document)
    assert type(once) is type(document)
    assert "s3cret" not in json.dumps(once)
    if isinstance(document, dict):
        assert len(once) == len(document)
    assert hider("s3cret 'value'").document(once) == once  # what is hidden stays as it is


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_hiding_twice_is_hiding_once(text):
    once = hider("s3cret").text(text)
    assert hider("s3cret").text(once) == once


def test_a_mark_tells_that_a_password_changed_and_nothing_else():
    one, other = hider("s3cret").mark("s3cret"), hider("s3cret").mark("s3cret2")
    assert one != other and one == hider().mark("s3cret")
    assert one.startswith("<hidden:") and len(one) == 17
    assert Hider(b"other" * 8, []).mark("s3cret") != one


ENVIRONMENT = [
    ("POSTGRES_PASSWORD=two words", "POSTGRES_PASSWORD=", "two words"),
    ("DB_PASS=x", "DB_PASS=", "x"),
    ("AWS_SECRET_ACCESS_KEY=a=b", "AWS_SECRET_ACCESS_KEY=", "a=b"),
    ("SENTRY_DSN=https://abc@sentry.example/1", "SENTRY_DSN=", "https://abc@sentry.example/1"),
    ("DATABASE_URL=postgres://moodle:pa55@db:5432/moodle", "DATABASE_URL=postgres://moodle:", "pa55"),
    ("REMOTE=https://ghp_token@git.example/a", "REMOTE=https://", "ghp_token"),
    ("CREDENTIALS=line\nline", "CREDENTIALS=", "line\nline"),
    ("smtppass=x", "smtppass=", "x"),
]


@pytest.mark.parametrize(("entry", "kept", "value"), ENVIRONMENT)
def test_a_variable_that_sounds_secret_is_hidden(entry, kept, value):
    hidden = hider().document({"Env": [entry]})["Env"][0]
    assert hidden.startswith(kept + "<hidden:") and value not in hidden.replace(kept, "")
    assert value in _redact.harvest({"Env": [entry]})


@pytest.mark.parametrize("entry", [
    "PATH=/usr/bin", "POSTGRES_USER=moodle", "POSTGRES_PASSWORD_FILE=/run/secrets/db", "POSTGRES_HOST_AUTH_METHOD=md5",
    "MOODLE_URL=http://127.0.0.1:8080/x", "OAUTH_ISSUER=https://id.example",
    "SECRET_NAME=db", "KEYBOARD=de", "AUTHORS=Ada", "GIT=ssh://git@git.example/a", "COMPASS=n",
])
def test_other_variables_can_be_read(entry):
    hidden = hider().document([entry])
    assert hidden == [entry] or entry.startswith("COMPASS")  # rather one too many


def test_words_of_commands_labels_and_nested_values_are_hidden():
    document = {
        "Cmd": ["run", "--db-password", "geheim1", "--token=geheim2", "-e", "PGPASSWORD=geheim3 psql"],
        "Labels": {"app.secret": "geheim4", "traefik.basicauth.users": "u:geheim5", "note": "mail://u:geheim6@host/"},
        "Options": {"o": "username=u,password=geheim7,vers=3"},
        "smtp": {"api_key": ["geheim8"], "header": "Authorization: Bearer geheim9aaa"},
        "pem": "-----BEGIN RSA PRIVATE KEY-----\ngeheim\n-----END RSA PRIVATE KEY-----",
        "keep": {"password_command": ["php", "-r", "echo 1;"], "rows": {"mdl_user_password": 7, "ok": True}},
    }
    hidden = hider().document(document)
    assert "geheim" not in json.dumps(hidden)
    assert hidden["keep"] == document["keep"]
    options = hidden["Options"]["o"]
    assert options.startswith("username=u,password=<hidden:") and options.endswith(",vers=3")


COMPOSE = """\
services:
  db:
    image: postgres:16
    environment:
      POSTGRES_PASSWORD: geheim one two
      POSTGRES_USER: moodle
      OTHER_PASSWORD: "geheim \\" quoted"
      FROM_ENV: ${DB_PASSWORD}
      DB_PASSWORD: ${DB_PASSWORD:?set it}
      WITH_DEFAULT_PASSWORD: ${X:-geheim}
      INLINE_KEY: |
        geheim first line

        geheim second line
      AFTER: kept
  web:
    environment:
      - DB_PASS=geheim four
      - "TOKEN=geheim five"
      - PLAIN=kept
    command: run --password geheim6 --password=geheim7
    secrets: [db_password]
    labels: {app.token: geheim8, app.name: kept}
secrets:
  db_password:
    file: ./db_password.txt
"""


def test_a_compose_file_can_still_be_read():
    hidden = hider("geheim6").text(COMPOSE)
    assert "geheim" not in hidden
    assert hidden.count("<hidden:") == 10
    for kept in ("image: postgres:16", "POSTGRES_USER: moodle", "FROM_ENV: ${DB_PASSWORD}\n", "${DB_PASSWORD:?set it}",
                 "AFTER: kept", "- PLAIN=kept", "secrets: [db_password]", "app.name: kept", "file: ./db_password.txt",
                 "INLINE_KEY: |\n        <hidden:"):
        assert kept in hidden
    assert len(hidden.split("\n")) == len(COMPOSE.split("\n"))


def test_what_lines_of_settings_hold_is_harvested():
    php = "$CFG->dbpass = 'it\\'s \\\\ \"x\"';\n$CFG->passwordsaltmain = \"salt\";\n['password' => 'array', 'u' => 'u']"
    assert set(_redact.harvest_text(php, code=True)) == {"it's \\ \"x\"", "salt", "array"}
    assert set(_redact.harvest_text(php)) == {"it's \\ \"x\"", "salt", "array"}
    assert set(_redact.harvest_text("export DB_PASSWORD='a b'\nNAME=x\nAPI_KEY=k # note\n")) >= {"a b"}
    assert _redact.harvest_text('  - "DB_PASSWORD=geheim",\n') == {"geheim": "DB_PASSWORD"}
    assert _redact.harvest_text('"auth": ["manual", "nologin"],\n"token": "geheim",\n') == {"geheim": "token"}
    assert "geheim one two" in _redact.harvest_text(COMPOSE)
    assert "${DB_PASSWORD:?set it}" not in _redact.harvest_text(COMPOSE)


def test_a_name_that_everybody_knows_is_no_secret_to_look_for():
    known = hider("moodle", "short", "school-db", public={"school-db"})
    assert known.find(b"moodle short school-db") == []
    assert known.text("image: moodle/school-db") == "image: moodle/school-db"
    assert "short" not in known.document(["DB_PASSWORD=short"])[0]


def test_finding_names_the_line_and_never_the_secret():
    known = hider("s3cret")
    assert known.find(b"a\nb\nx = s3cret\n") == [(3, "the password")]
    assert known.find(b"\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc") == [(2, "a private key")]
    assert known.find(b"\xff\xfe s3cret") == [(1, "the password")]
    assert known.find(b"-----BEGIN PUBLIC KEY-----") == []


def test_long_lines_take_time_in_proportion():
    began = time.monotonic()
    for text in ("a" * 300000, "key" * 100000, "a-" * 150000, "x://" * 75000, "A1+/" * 75000):
        hider("s3cret").text(text)
        _redact.harvest_text(text)
    assert time.monotonic() - began < 10
