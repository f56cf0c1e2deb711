# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes secrets out of documents, and finds them in files. Pure.

A secret is known by its value, wherever and in whatever writing it stands, or by the name of what holds it. In its
place comes "<hidden:XXXXXXXX>", eight hex digits of an HMAC: who reads it sees that a password has changed, and cannot
try passwords without the key.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
from collections import namedtuple
from urllib.parse import quote, quote_plus

# A value that must not get out (str), and where it is from, for messages (str).
Secret = namedtuple("Secret", "value origin")

SHORTEST = 6  # characters; what is shorter is everywhere by chance

_NAME = re.compile(
    r"pass(?!ive|enger|through)|pwd|secret|token|salt|credential|(?<!sandbox)key(?!board|map|word)|private|dsn"
    r"|(?:^|[_.-])auth(?:[_.-]|$)|basicauth|authoriz", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"(?:[_.-]|^)(?:file|path|dir|method|type|mode|algorithm|enabled|length|expiry|policy|url|host|port|user|command|name"
    r"|domain|realm|scheme|provider|size|count|ttl|timeout|version|format|prefix)\Z", re.IGNORECASE)
# What is no secret to look for although its name sounds so: a place in the file system, a number.
_PLACE = re.compile(
    r"/(?:etc|run|var|usr|opt|srv|home|root|secrets|certs?|data|app|bitnami|tmp|mnt|dev)(?:/[\w.@-]*)*\Z")
_NUMBER = re.compile(r"[0-9]+\Z")
_PASSWORD = re.compile(r"(?:pass|password|passwd|pwd|secret|salt|token)\Z", re.IGNORECASE)
_COMMENT = re.compile(r"[ \t]*(?:#|//|;|\*|/\*)")
# An assignment anywhere in a line: PHP, the words of a command, a connection string. A name begins where a word does,
# so that a long line costs time in proportion to its length.
_NAMED = re.compile(r"""(?<![\w.$>-])(?P<name>[\w.$>-]+)(?P<sep>["']?\]?\s{0,8}(?:=>?|:(?!//))\s{0,8})""")
_VALUE = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.|'')*'|[^\s"'#,;&|<>{}()\[\]]+""")
# A line that is an assignment, to its end: YAML, an env file.
_LINE = re.compile(
    r"""[ \t]*(?:-[ \t]+)?(?:export[ \t]+)?(?P<open>["']?)(?P<name>[\w.$>-]+)(?P<close>["']?)"""
    r"""[ \t]*(?:=|:(?=[ \t]))[ \t]*(?P<value>\S.*)""")
_ENTRY = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.+)\Z", re.DOTALL)
_REFERENCE = re.compile(r"""["']?(?:\$\w+|\$\{\w+\}|\$\{\w+:?\?[^}\n]*\})["']?(?![^\s,;}\])])""")
_USERINFO = re.compile(
    r"""(?P<before>\b(?P<scheme>[A-Za-z][\w+.-]{0,30})://)"""
    r"""(?P<user>[^\s/:@"'<>]*)(?P<colon>:?)(?P<password>[^\s/"'<>]*)@""")
_BEARER = re.compile(r"""\b(?P<kind>(?:Basic|Bearer)\s+)(?P<value>[\w.~+/-]{8,}=*)""", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)", re.DOTALL)
_HIDDEN = "<hidden:"
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
# What anybody would try first, and what is part of other words; to hide it everywhere would hide half of a document.
COMMON = frozenset((
    "password", "passwort", "secret", "changeme", "moodle", "postgres", "postgresql", "administrator", "bitnami",
    "example", "localhost", "default", "hidden", "public", "private", "production", "development", "container",
    "scram-sha-256",
))


def looks_secret(name):
    """Return whether what has this name (str: of a variable, a label, a key) is likely to be a secret."""
    return bool(_NAME.search(name)) and not _NO_SECRET.search(name)


def searchable(value, public=()):
    """Return whether a secret (str) is such that its value alone tells it from other text.

    :param public: names that everybody may know (of containers, of the database), in lower case.
    """
    return len(value) >= SHORTEST and value.lower() not in COMMON and value.lower() not in public


def _is_worth(name, value):
    """Return whether a value that its name says is a secret is one to look for elsewhere too."""
    return bool(value) and not _PLACE.match(value) and not (_NUMBER.match(value) and not _PASSWORD.search(name))


def harvest(value, found=None, name=""):
    """Return the values of a document (dict, list, str ...) that look like secrets, as {value: name of its holder}."""
    found = {} if found is None else found
    if isinstance(value, dict):
        for key in value:
            harvest(value[key], found, str(key))
    elif isinstance(value, list):
        for word, entry in zip([""] + value[:-1], value):
            harvest(entry, found, _option(word) or name)
    elif isinstance(value, str):
        entry = _ENTRY.match(value)
        if entry and looks_secret(entry.group("name")):
            if _is_worth(entry.group("name"), entry.group("value")):
                found.setdefault(entry.group("value"), entry.group("name"))
        elif name and looks_secret(name) and _is_worth(name, value):
            found.setdefault(value, name)
        for url in _USERINFO.finditer(value):
            for part in _hidden_parts(url):
                found.setdefault(url.group(part), "password in an address")
    return found


def harvest_text(text, code=False):
    """Return the same of a text of lines ({value: name}); comments count for nothing, examples stand there.

    :param code: bool, whether it is PHP, where only what is in quotes is a value. Otherwise YAML, ini, an env file ...
    """
    found = {}
    for line in text.split("\n"):
        if _COMMENT.match(line):
            continue
        whole = None if code else _whole_line(line)
        pairs = [whole[:2]] if whole and whole[1][0] not in "[{" else []
        pairs += [(name, value) for name, value, _at in _assigned(line) if not code or value[0] in "\"'"]
        found.update({_unquoted(value): name for name, value in pairs if _is_worth(name, _unquoted(value))})
        for url in _USERINFO.finditer(line):
            found.update({url.group(part): "password in an address" for part in _hidden_parts(url)})
    return found


def _assigned(text):
    """Yield (name, value, where the value begins) of the assignments in a text whose names look secret."""
    place = 0
    while True:
        named = _NAMED.search(text, place)
        if named is None:
            return
        place = named.end()
        reference = _REFERENCE.match(text, place)
        if reference or not looks_secret(named.group("name")):
            place = reference.end() if reference else place
            continue
        value = _VALUE.match(text, place)
        if value and not _is_open(named.group("name"), value.group()):
            yield named.group("name"), value.group(), place
            place = value.end()


def _whole_line(line):
    """Return (name, value, where the value begins) of a line that assigns what looks secret, or None.

    A value in quotes that ends before the line does is none of a whole line: _assigned() finds it.
    """
    match = _LINE.match(line)
    if match is None or not looks_secret(match.group("name")):
        return None
    value, mark = match.group("value").rstrip(), match.group("open")
    if mark and not match.group("close") and value.rstrip(",").endswith(mark):
        value = value.rstrip(",")[:-1]  # the quotes are around the whole assignment
        return (match.group("name"), value, match.start("value")) if value else None
    quoted = _VALUE.match(value) if value[0] in "\"'" else None
    if _is_open(match.group("name"), value) or (quoted and not value[quoted.end():].strip(" \t;,")):
        return None
    return match.group("name"), value, match.start("value")


def _option(word):
    """Return the name that the word before a word of a command gives it: "--password" (str), or ""."""
    return word.lstrip("-") if isinstance(word, str) and word.startswith("-") and "=" not in word else ""


def _hidden_parts(url):
    """Return which groups of a matched address are secret (tuple of str)."""
    if url.group("colon"):
        return ("password",) if url.group("password") else ()
    # A token as the user's name is common with https only.
    return ("user",) if url.group("scheme").lower() in ("http", "https") and url.group("user") else ()


def _is_open(name, value):
    """Return True if an assigned value is no secret itself: a reference, or a list of names that Compose has."""
    return bool(_REFERENCE.fullmatch(value)) or value.startswith((_HIDDEN, "getenv(", "$(", "`")) or (
        name.lower() == "secrets" and value[:1] in "[{")


def _unquoted(value):
    """Return what a quoted word of YAML, PHP or an env file means, near enough (str)."""
    if value[:1] in ('"', "'"):
        value = value.rstrip(" \t;,")
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "\"'":
        return value
    inner = value[1:-1]
    if value[0] == '"':
        try:
            return json.loads(value)
        except ValueError:
            return re.sub(r'\\([\\"$`])', r"\1", inner)
    return inner.replace("''", "'") if "\\" not in inner else re.sub(r"\\(['\\])", r"\1", inner)


# --- the ways to write a value -------------------------------------------------------------------------------------

def _lower_escapes(text):
    return re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), text)


_WRITINGS = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: text.replace("'", "''"),
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
    lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    lambda text: text.replace("'", "'\\''"),
    lambda text: text.replace("'", "'\"'\"'"),
    lambda text: re.sub(r'([\\"$`])', r"\\\1", text),
    lambda text: text.replace("$", "$$"),
    lambda text: text.replace("$", "\\$"),
    lambda text: quote(text, safe="", errors="surrogateescape"),
    lambda text: quote(text, safe="/", errors="surrogateescape"),
    lambda text: quote_plus(text, errors="surrogateescape"),
    lambda text: _lower_escapes(quote(text, safe="", errors="surrogateescape")),
    lambda text: html.escape(text, quote=True),
    lambda text: html.escape(text, quote=True).replace("&#x27;", "&#039;"),
    lambda text: html.escape(text, quote=False),
)


def writings(value):
    """Return how a value (str) may stand in files: as it is, and escaped once or twice (set of str)."""
    once = {value} | {write(value) for write in _WRITINGS}
    twice = {write(text) for text in once for write in _WRITINGS}
    return {text for text in once | twice if text} | {value.encode("utf-8", "surrogateescape").hex()}


def _encoded(value):
    """Return the characters that base64 is sure to hold of a value, whatever is before and behind it (set of str)."""
    data, found = value.encode("utf-8", "surrogateescape"), set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode()
        # The first characters depend on what is before the value, the last ones on what follows.
        text = text[(before * 8 + 5) // 6:(before + len(data)) * 8 // 6]
        if len(text) >= SHORTEST:
            found.update((text, text.replace("+", "-").replace("/", "_")))
    return found


def _word_around(text, start, length):
    """Return the begin and the end (two int) of what may be one text in base64."""
    end = start + length
    while start > 0 and text[start - 1] in _BASE64:
        start -= 1
    while end < len(text) and text[end] in _BASE64:
        end += 1
    return start, end


class _Known:
    """A secret in all its writings."""

    def __init__(self, secret):
        self.secret, self.encoded = secret, _encoded(secret.value)
        self._escaped = writings(secret.value) - self.encoded
        # Letters and digits are never escaped: where these are not, the others need not be looked for.
        self._core = max(re.findall(r"[A-Za-z0-9]+", secret.value), key=len, default="")
        self._hex = secret.value.encode("utf-8", "surrogateescape").hex()

    def present_in(self, text):
        """Return the writings that are in a text (list of str)."""
        wanted = [*self.encoded, self._hex]
        if self._core in text:
            wanted += self._escaped
        return [writing for writing in wanted if writing in text]


class Hider:
    """Hides secrets.

    :param key: bytes, for the HMAC. :param secrets: list of Secret; those that are not searchable() are only hidden
        where a name tells what they are.
    :param public: see searchable().
    """

    def __init__(self, key, secrets, public=()):
        self._key = key
        self._known = [_Known(secret) for secret in secrets if searchable(secret.value, public)]

    def mark(self, value):
        """Return what stands in the place of a value (str)."""
        if value.startswith(_HIDDEN):
            return value
        digest = hmac.new(self._key, value.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
        return "%s%s>" % (_HIDDEN, digest[:8])

    def find(self, data):
        """Return the secrets in a file's content, sorted: [(number of the line, where the secret is from)].

        :param data: bytes. A private key counts as a secret, too.
        """
        text = data.decode("utf-8", "surrogateescape")
        found = {(text.count("\n", 0, match.start()) + 1, "a private key") for match in _PRIVATE_KEY.finditer(text)}
        for known in self._known:
            for writing in known.present_in(text):
                found.add((text.count("\n", 0, text.find(writing)) + 1, known.secret.origin))
        return sorted(found)

    def text(self, text):
        """Return a text (str) of lines without secrets: of known values, and of what lines say is a secret."""
        text = self._without_known(text)
        lines, block = [], None
        for line in text.split("\n"):
            indent = len(line) - len(line.lstrip(" "))
            if block is not None and (not line.strip() or indent > block):
                lines.append(" " * indent + self.mark(line.strip()) if line.strip() else line)
                continue
            whole, block = _whole_line(line), None
            if whole:
                name, value, start = whole
                if re.match(r"[|>][+-]?\d?\Z", value):
                    block = indent
                else:
                    line = line[:start] + self.mark(value) + line[start + len(value):]
            lines.append(self._phrases(line))
        return "\n".join(lines)

    def document(self, value, name=""):
        """Return a document (dict, list, str ...) without secrets."""
        if isinstance(value, dict):
            return {self.line(str(key)): self.document(entry, str(key)) for key, entry in value.items()}
        if isinstance(value, list):
            before = [""] + value[:-1]
            return [self.document(entry, _option(word) or name) for word, entry in zip(before, value)]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self.mark(str(value)) if any(known.secret.value == str(value) for known in self._known) else value
        if not isinstance(value, str) or not value:
            return value
        entry = _ENTRY.match(value)
        if entry and looks_secret(entry.group("name")):
            return "%s=%s" % (entry.group("name"), self.mark(entry.group("value")))
        return self.mark(value) if looks_secret(name) else self.line(value)

    def line(self, text):
        """Return one text (str) without secrets that is no file: a word of a command, an address, a message."""
        return self._phrases(self._without_known(text))

    def _without_known(self, text):
        text = _PRIVATE_KEY.sub(lambda found: self.mark(found.group()), text)
        plain, encoded = {}, set()
        for known in self._known:
            for writing in known.present_in(text):
                if writing in known.encoded:
                    encoded.add(writing)
                else:
                    plain[writing] = known.secret.value
        if plain:
            longest_first = sorted(plain, key=len, reverse=True)
            text = re.sub("|".join(map(re.escape, longest_first)), lambda found: self.mark(plain[found.group()]), text)
        for writing in sorted(encoded):
            for _count in range(text.count(writing)):
                place = text.find(writing)
                if place < 0:
                    break
                start, end = _word_around(text, place, len(writing))
                text = text[:start] + self.mark(text[start:end]) + text[end:]
        return text

    def _phrases(self, text):
        text = _USERINFO.sub(self._address, text)
        text = _BEARER.sub(lambda found: found.group("kind") + self.mark(found.group("value")), text)
        parts, done = [], 0
        for _name, value, start in _assigned(text):
            parts += [text[done:start], self._quoted_mark(value)]
            done = start + len(value)
        return "".join([*parts, text[done:]])

    def _address(self, found):
        user, password = found.group("user"), found.group("password")
        parts = _hidden_parts(found)
        return "%s%s%s%s@" % (found.group("before"), self.mark(user) if "user" in parts else user, found.group("colon"),
                              self.mark(password) if "password" in parts else password)

    def _quoted_mark(self, value):
        """Return the mark, in quotes if the value is, so that the document stays one."""
        if value.startswith(_HIDDEN) or value[1:].startswith(_HIDDEN):
            return value
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        return (value[0] + self.mark(_unquoted(value)) + value[0]) if quoted else self.mark(value)
