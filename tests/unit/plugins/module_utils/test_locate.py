# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _locate
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import NotFoundError, StorageError, UsageError


def container(*mounts):
    return {"Mounts": [{"Source": source, "Destination": destination} for source, destination in mounts]}


CODE, DATA = ("/v/code", "/var/www"), ("/v/data", "/var/www/html/data")
CONFIG = ("/h/config.php", "/var/www/config.php")


@pytest.mark.parametrize(("path", "nested"), [
    (b"/v/code", {b"html/data", b"config.php"}),
    (b"/v/code/html", {b"data"}),
    (b"/v", {b"code/html/data", b"code/config.php"}),
    (b"/v/data", set()),
    (b"/v/cod", set()),
])
def test_nested_mounts(path, nested):
    assert _locate.nested_mounts([container(CODE, DATA, CONFIG), container(("", "/tmp"))], path) == nested


def test_where_a_volume_is(tmp_path):
    plain = {"Name": "v", "Driver": "local", "Mountpoint": str(tmp_path), "Options": None}
    assert _locate.mountpoint(plain) == str(tmp_path)
    for other in ({"Options": {"device": ":/export", "type": "nfs"}}, {"Driver": "cloud"}, {"Mountpoint": ""}):
        with pytest.raises(StorageError, match="volume 'v'"):
            _locate.mountpoint(dict(plain, **other))


def test_what_must_be_there():
    class Nothing:
        @staticmethod
        def volume(_name):
            return None

    with pytest.raises(NotFoundError, match="no volume 'x'"):
        _locate.require_volume(Nothing, "x")
    with pytest.raises(UsageError, match="absolute"):
        _locate.require_absolute("srv", "on the host")


@pytest.mark.parametrize(("params", "text"), [
    ({"volume": "v", "container": None, "path": "/"}, "volume 'v'"),
    ({"volume": "v", "container": None, "path": "/a/"}, "volume 'v' (a)"),
    ({"volume": None, "container": "c", "path": "/a"}, "'/a' of container 'c'"),
    ({"volume": None, "container": None, "path": "/a"}, "'/a'"),
])
def test_describe(params, text):
    assert _locate.describe(params) == text
