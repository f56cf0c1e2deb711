# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.filter.docker_environment import docker_environment


@pytest.mark.parametrize(("settings", "expected"), [
    (("", "", ""), {}),
    (("unix:///x.sock",), {"DOCKER_HOST": "unix:///x.sock"}),
    (("tcp://a:2376", "/certs"),
     {"DOCKER_HOST": "tcp://a:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}),
    (("", "", "docker"), {"DOCKER_TLS_HOSTNAME": "docker"}),
])
def test_only_what_is_given_is_set(settings, expected):
    assert docker_environment(*settings) == expected
