# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of all unit tests."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong; and two runs of the same tree must give the same result.
settings.register_profile("repository", deadline=None, derandomize=True, database=None)
settings.load_profile("repository")


@pytest.fixture
def shown_by(monkeypatch, capsys):
    """A function that runs a module (main, arguments as dict); returns (result, what it showed and logged as str)."""
    from ansible.module_utils import basic
    from ansible.module_utils.testing import patch_module_args

    logged = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.syslog, "openlog", lambda *_: None)
    monkeypatch.setattr(basic.syslog, "syslog", lambda _priority, text: logged.append(text))
    monkeypatch.setattr(os, "umask", lambda _mask: 0)
    monkeypatch.setenv("LC_ALL", "C")

    def shown(main, args):
        with patch_module_args(args), pytest.raises(SystemExit):
            main()
        captured = capsys.readouterr()
        assert logged or "failed" in captured.out
        return json.loads(captured.out), captured.out + captured.err + "".join(logged)

    return shown
