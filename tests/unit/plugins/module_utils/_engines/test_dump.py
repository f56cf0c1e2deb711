# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that runs pg_dump in the container, run here with other programs in its place."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _dump


def supervise(argv, compress="", path=None):
    environment = dict(os.environ, compress=compress, target="dbname='x'")
    if path:
        environment["PATH"] = "%s:%s" % (path, environment["PATH"])
    return subprocess.Popen(["sh", "-c", _dump._SUPERVISED, "sh", *argv], env=environment, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process):
    """Read to the end while standard input stays open, as the engine keeps it."""
    output = process.stdout.read()
    code = process.wait(10)
    process.stdin.close()
    errors = process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    return code, output, errors


@pytest.mark.parametrize("compress, output", [("", b"a b $c\n"), ("tr a-z A-Z", b"A B $C\n")])
def test_output_passes_and_arguments_arrive_as_they_are(compress, output):
    assert ended(supervise(["printf", "%s\\n", "a b $c"], compress)) == (0, output, b"")


@pytest.mark.parametrize("argv, compress, code", [
    (["sh", "-c", "echo no >&2; exit 7"], "", 7),
    (["sh", "-c", "echo no >&2; exit 7"], "cat", 7),
    (["sh", "-c", "echo no >&2"], "false", 1),
])
def test_every_exit_code_counts(argv, compress, code):
    assert ended(supervise(argv, compress))[::2] == (code, b"no\n")


@pytest.mark.parametrize("compress", ["", "cat"])
def test_the_server_is_told_when_the_caller_goes_away(tmp_path, compress):
    psql = tmp_path / "psql"
    psql.write_text('#!%s\nimport os, signal\nos.kill(int(open("%s/pid").read()), signal.SIGTERM)\n'
                    % (sys.executable, tmp_path))
    psql.chmod(0o755)
    process = supervise(["sh", "-c", "echo $$ >%s/pid; exec sleep 60" % tmp_path], compress, tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    process.stdin.close()
    assert process.wait(10) == 143
    process.stdout.close()
    process.stderr.close()
