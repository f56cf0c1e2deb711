# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secrets of the stacks that have backups: what must not get into git. They are read from the backups themselves.

container_info.json and the compose files name variables and their values; config.php is in the archive of the code, env
files in that of the configuration, hashes of passwords among the database's roles; passwords that this collection made
are in setup/<stack>.json.
"""
from __future__ import annotations

import json
import os
import posixpath
import re
import secrets
import tarfile

from . import _backup_set, _redact
from ._errors import BackupError, IntegrityError, StorageError
from ._stream import fsync_directory, plain_content
from ._tracking import table

KEY = "repository.key"
_LARGEST = 1024 * 1024  # bytes of a file in an archive that may hold settings
_SMALL = 256 * 1024  # bytes of an archive that is looked through although it is not the configuration
_ROLE_PASSWORD = re.compile(r"\bPASSWORD\s+'((?:[^']|'')+)'", re.IGNORECASE)
_SETTINGS = re.compile(r"(\.env\b.*|.*\.(env|ya?ml|json|ini|conf|cnf|cfg|toml|properties|sh)|config[\w.-]*\.php)\Z")
_GETENV = re.compile(r"(?:getenv\(\s*|\$_(?:ENV|SERVER)\[\s*)['\"](\w+)['\"]")
_HASHES = ("SCRAM-SHA-256$", "md5")


class Known:
    """What is known of the secrets of all stacks of a root.

    :param root: _backup_set.Root. :param not_secret: names (of variables) whose values are no secrets.
    Afterwards, secrets is a list of _redact.Secret, public a set of names in lower case that everybody may know, and
    warnings a list of str.
    """

    def __init__(self, root, not_secret=()):
        self._not_secret = frozenset(not_secret)
        self._found, self.public, self.warnings = {}, set(), []
        self._seen = {}  # the variables that an archive takes secrets from (set of str), by what tells it from others
        for backup in _backup_set.complete(root):
            self._read_backup(backup)
        self._read_setup(os.path.join(root.path, "setup"))
        self.secrets = [_redact.Secret(value, origin) for value, origin in sorted(self._found.items())]
        weak = {secret.origin for secret in self.secrets if not _redact.searchable(secret.value, self.public)
                and any(word in secret.origin.lower() for word in ("pass", "pwd"))}
        self.warnings += [
            "%s is short, or a word that is in use for other things too: it is hidden where its name tells what it is,"
            " and cannot be searched for elsewhere. Better choose another one." % origin for origin in sorted(weak)]

    def hider(self, key):
        """Return the _redact.Hider of these secrets. :param key: bytes."""
        return _redact.Hider(key, self.secrets, self.public)

    def _add(self, found, where):
        for value, name in found.items():
            value = value.strip()
            if value and name not in self._not_secret:
                self._found.setdefault(value, "%s (%s)" % (name, where))

    def _read_backup(self, backup):
        stack = backup["stack"]
        database = table(backup.get("database"))
        names = [stack, backup["name"], database.get("name"), database.get("user"), database.get("container")]
        names += [table(container).get("name") for container in backup.get("containers") or []]
        self.public.update(str(name).lower() for name in names if name)
        variables = self._read_containers(backup)
        for artefact in backup.get("artefacts") or []:
            path = os.path.join(backup["path"], os.path.basename(artefact["file"]))
            known = (artefact.get("role"), artefact.get("sha256") or path)
            where = "%s, stack %s" % (artefact["file"], stack)
            try:
                if known not in self._seen and os.path.isfile(path):
                    self._seen[known] = set()
                    self._read_artefact(artefact, path, backup, where, self._seen[known])
                names = self._seen.get(known, ())
                self._add({variables[name]: name for name in names if variables.get(name)}, where)
            except (BackupError, OSError, EOFError, tarfile.TarError, ValueError, TypeError, KeyError) as error:
                self.warnings.append("%s of backup '%s' cannot be searched for passwords: %s" % (
                    artefact["file"], backup["name"], error))

    def _read_containers(self, backup):
        """Take in container_info.json. :returns: the variables of all containers (dict)."""
        path = os.path.join(backup["path"], "container_info.json")
        try:
            with open(path, encoding="utf-8") as handle:
                content = json.load(handle)
            self._add(_redact.harvest(content), "container_info.json, stack %s" % backup["stack"])
            return dict(
                entry.partition("=")[::2] for container in content["containers"].values()
                for entry in container["definition"]["config"].get("Env") or [])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.warnings.append("container_info.json of backup '%s' cannot be searched for passwords: %s" % (
                backup["name"], error))
            return {}

    def _read_artefact(self, artefact, path, backup, where, names):
        """Take in one file of a backup, and the names of variables that it takes secrets from (names, a set)."""
        role, small = artefact.get("role"), os.path.getsize(path) <= _SMALL
        if role == "compose":
            self._add(_redact.harvest_text(_text_of(path)), where)
        elif role == "roles":
            for match in _ROLE_PASSWORD.finditer(_text_of(path)):
                name = "hash of a password" if match.group(1).startswith(_HASHES) else "password"
                self._add({match.group(1).replace("''", "'"): "%s of a database role" % name}, where)
        elif role == "application" or (role == "configuration" or small) and "tree" in artefact and ".tar" in path:
            moodle = table(backup.get("moodle"))
            wanted = posixpath.relpath(moodle["config"], moodle["root"]) if moodle.get("config") else "config.php"
            everything = role != "application"
            for name, text in _members(path, wanted, everything):
                self._add(_settings(name, text, names), "%s in %s" % (name, where))

    def _read_setup(self, folder):
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if entry.endswith(".json"):
                try:
                    content = json.loads(_text_of(os.path.join(folder, entry)))
                    values = {str(content[name]): "%s password" % name for name in content}
                except (ValueError, TypeError) as error:
                    raise IntegrityError("The passwords in %s cannot be read" % os.path.join(folder, entry)) from error
                self._add(values, "setup/%s" % entry)


def _settings(name, text, names):
    """Return the secrets of a file ({value: name}); the names of variables that hold some are added to names (set).

    A file that is not for settings tells none, unless it is a single line under a name that says it is a secret.
    """
    base = posixpath.basename(name)
    if not _SETTINGS.match(base):
        return {text: base} if _redact.looks_secret(base) and "\n" not in text.strip() else {}
    if base.endswith(".json"):
        try:
            return _redact.harvest(json.loads(text))
        except ValueError:
            pass  # it is searched as the lines that it is
    found = _redact.harvest_text(text, code=base.endswith(".php"))
    for line in text.split("\n"):
        if _redact.looks_secret(line.partition("=")[0]):
            names.update(_GETENV.findall(line))
    return found


def _members(path, wanted, everything):
    """Yield (name, text) of the files in an archive that hold settings; only the wanted one unless everything."""
    with plain_content(path) as chunks, tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if member.isreg() and member.size <= _LARGEST and (everything or name == wanted):
                yield name, archive.extractfile(member).read().decode("utf-8", "surrogateescape")
                if not everything:
                    return


class _Stream:
    """Chunks of bytes as a file object that can only be read."""

    def __init__(self, chunks):
        self._chunks, self._rest = iter(chunks), b""

    def read(self, size):
        while len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += chunk
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _text_of(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as handle:
        return handle.read()


def key_of(root, create=True):
    """Return the key of this root (bytes) for the marks that stand for secrets; it is made once, and never shown.

    :param create: bool, whether to make it if it is missing; otherwise one that is not kept is returned.
    :raises: StorageError, IntegrityError.
    """
    path = os.path.join(root.path, KEY)
    try:
        with open(path, encoding="ascii") as handle:
            key = handle.read().strip()
    except FileNotFoundError:
        key = secrets.token_hex(32)
        if create:
            _keep(path, key)
    if len(key) != 64:
        raise IntegrityError("%s is damaged" % path, "Remove it; all marks of passwords in git will change once.")
    return bytes.fromhex(key)


def _keep(path, key):
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as handle:
            handle.write(key + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        fsync_directory(os.path.dirname(path))
    except OSError as error:
        raise StorageError("%s cannot be written: %s" % (path, error.strerror)) from error
