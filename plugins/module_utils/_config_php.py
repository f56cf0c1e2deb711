# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Overrides settings in a config.php, for a site that comes back under another address or as a copy.

The settings go into a block right before the line that loads lib/setup.php, so they win over everything above them,
whatever PHP it is. The file is reached through the Docker API, in a container that runs or not.
"""
from __future__ import annotations

import io
import posixpath
import re
import tarfile

from ._call import Call
from ._errors import NotFoundError, UsageError

BEGIN = "// Settings by moodleclaude.backup: begin"
END = "// Settings by moodleclaude.backup: end"
_BLOCK = re.compile(r"^%s\n.*?^%s\n" % (re.escape(BEGIN), re.escape(END)), re.MULTILINE | re.DOTALL)
_SETUP = re.compile(r"^[^\n#/*]*\brequire(?:_once)?\b[^\n]*lib/setup\.php", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAX_LINKS = 10


def php_value(value):
    """Return a str, bool, int or float as a PHP literal (str)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return "'%s'" % str(value).replace("\\", "\\\\").replace("'", "\\'")


def override(text, settings):
    """Return a config.php (str) in which these settings (dict) hold. Without settings the block is removed.

    :raises: UsageError if a name is none, or if the place for them cannot be found.
    """
    for name in settings:
        if not _NAME.match(name):
            raise UsageError("'%s' is not the name of a setting" % name)
    text = _BLOCK.sub("", text)
    if not settings:
        return text
    found = list(_SETUP.finditer(text))
    if not found:
        raise UsageError("config.php has no line that loads lib/setup.php", "Change its settings by hand.")
    lines = ["$CFG->%s = %s;" % (name, php_value(settings[name])) for name in sorted(settings)]
    place = found[-1].start()
    return text[:place] + "\n".join([BEGIN] + lines + [END, ""]) + text[place:]


def change(engine, container, path, settings, check_mode=False):
    """Override settings in a config.php of a container.

    :param path: str, of config.php; links are followed inside the container. :param settings: dict.
    :returns: whether anything had to be changed (bool).
    """
    path = _real_path(engine, container, path)
    member, content = _read(engine, container, path)
    text = content.decode("utf-8", "surrogateescape")
    wanted = override(text, settings)
    if wanted == text:
        return False
    if not check_mode:
        _write(engine, container, path, member, wanted.encode("utf-8", "surrogateescape"))
    return True


def _real_path(engine, container, path):
    for _count in range(_MAX_LINKS):
        target = engine.stat(container, path).get("linkTarget")
        if not target or target == path:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    raise UsageError("'%s' in container '%s' is a link in circles" % (path, container))


def _read(engine, container, path):
    data = b"".join(engine.get_archive(container, path))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = archive.next()
        if member is None or not member.isreg():
            raise NotFoundError("'%s' in container '%s' is no file" % (path, container))
        return member, archive.extractfile(member).read()


def _write(engine, container, path, member, content):
    wanted = tarfile.TarInfo(posixpath.basename(path))
    wanted.mode, wanted.uid, wanted.gid, wanted.mtime = member.mode, member.uid, member.gid, member.mtime
    wanted.size = len(content)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(wanted, io.BytesIO(content))
    engine.put_archive(container, posixpath.dirname(path), stream.getvalue())


def _work(engine, params, check_mode):
    changed = change(engine, params["container"], params["config"], params["settings"], check_mode)
    return {"changed": changed, "settings": sorted(params["settings"])}


CONFIG = Call(
    options={
        "container": {"type": "str", "required": True},
        "config": {"type": "str", "required": True},
        "settings": {"type": "dict", "required": True, "no_log": True},  # what of them is: _secret_settings
    },
    rules={},
    work=lambda engine, params, check_mode, _diff: _work(engine, params, check_mode),
)
