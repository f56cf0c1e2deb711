# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on a managed host is loaded by the oldest Python of this machine that a managed host may have.

That is 3.9 where there is one. The scenarios 'api' and 'variants' back up and restore with it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import ansible

ROOT = Path(__file__).resolve().parents[2]
# Nothing else of the environment that this test runs in: a managed host has neither.
LOAD = """
import importlib, sys
sys.path[:0] = sys.argv[1:3]
for name in sys.argv[3:]:
    importlib.import_module("ansible_collections.moodleclaude.backup.plugins." + name)
"""


def test_everything_can_be_loaded(tmp_path, record_property):
    python = Path(os.environ["MCB_VENV"]) / "oldest/bin/python"
    (tmp_path / "ansible").symlink_to(Path(ansible.__file__).parent)
    folder = ROOT / "plugins"
    names = [".".join(path.relative_to(folder).with_suffix("").parts)
             for pattern in ("module_utils/**/*.py", "modules/*.py") for path in sorted(folder.glob(pattern))]
    assert len(names) > 100
    done = subprocess.run([python, "-B", "-c", LOAD, tmp_path, os.environ["ANSIBLE_COLLECTIONS_PATH"], *names],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    record_property("python", subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout)
