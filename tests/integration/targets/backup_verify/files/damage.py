# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages a file as a bad disk does, without a trace in its times, or puts it back into the same file.

Arguments: the file, where its content is kept meanwhile, and damaged, truncated, missing or repaired.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

path, kept, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if what == "repaired":
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(kept.read_bytes())
    sys.exit()
state, content = path.stat(), path.read_bytes()
kept.write_bytes(content)
path.chmod(0o600)
if what == "missing":
    path.unlink()
else:
    path.write_bytes(content[:-5] if what == "truncated" else bytes([content[0] ^ 1]) + content[1:])
    path.chmod(state.st_mode)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
