# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the benchmark that need no Docker engine."""

from __future__ import annotations

import random
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def importable():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def filler(importable):
    import filler

    return filler


@pytest.fixture
def meter(importable, monkeypatch):
    import meter

    monkeypatch.setattr(meter, "idle_load", lambda: 0.0)
    return meter


@pytest.fixture(scope="module")
def report(importable):
    import report

    return report


# --- content --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool(filler):
    return filler.text_pool("test", 2 << 20)


def test_the_same_seed_gives_the_same_content(filler, pool):
    assert pool == filler.text_pool("test", 2 << 20)
    assert pool != filler.text_pool("other", 2 << 20)
    first, second = (list(filler.code_files("seed", pool, 40, 300_000)) for unused in range(2))
    assert first == second
    assert list(filler.noise_files("seed", 100_000)) == list(filler.noise_files("seed", 100_000))


def test_text_compresses_like_code_and_noise_does_not(filler, pool):
    text = b"".join(content for _name, content in filler.text_files("seed", pool, 1 << 20))
    noise = b"".join(content for _name, content in filler.noise_files("seed", 1 << 20))
    assert 3.5 < len(text) / len(zlib.compress(text, 6)) < 6.5
    assert len(zlib.compress(noise, 6)) >= len(noise)


def test_code_files_have_the_size_that_was_asked_for(filler, pool, tmp_path):
    written = filler.write_tar(tmp_path / "code.tar", "top", filler.code_files("seed", pool, 300, 3_000_000), owner=33)
    assert written == pytest.approx(3_000_000, rel=0.02)
    with tarfile.open(tmp_path / "code.tar") as archive:
        members = archive.getmembers()
    assert len({member.name for member in members}) == 300
    assert all(member.name.startswith("top/") and member.name.endswith(".php") for member in members)
    assert {member.uid for member in members} == {33}


def test_a_generated_file_is_a_comment_and_nothing_else(filler, pool):
    for _name, content in filler.code_files("seed", pool, 20, 200_000):
        assert content.startswith(b"<?php\n")
        assert content.count(b"*/") == 1
        assert content.endswith(b"*/\n")


def test_sizes_add_up(filler):
    assert sum(filler.sizes(random.Random(1), 1000, 12_345_678)) == 12_345_678


# --- measuring ------------------------------------------------------------------------------------------------------


def test_counters_are_read_as_the_kernel_writes_them(meter, monkeypatch):
    monkeypatch.setattr(meter, "_TICKS", 100)
    assert meter.machine_seconds("cpu  100 20 30 9999 888 4 5 6 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n") == 1.65
    assert meter.disk_bytes("pgpgin 5\npgpgout 12\npswpin 7\n") == 12 * 1024


def test_a_command_is_measured_with_the_memory_of_its_modules(meter, tmp_path):
    module = tmp_path / "AnsiballZ_demo.py"
    module.write_text(
        "import subprocess, sys, time\n"
        "held = b'x' * 60_000_000\n"
        "end = time.process_time() + 0.3\n"
        "while time.process_time() < end: pass\n"
        "subprocess.run([sys.executable, '-c', 'import time; held = b\"y\" * 40_000_000; time.sleep(0.5)'])\n"
    )
    used = meter.measure([sys.executable, str(module)], tmp_path / "log", {})
    assert used.wall >= 0.8
    assert 0.3 <= used.processes <= used.wall * 2
    assert set(used.modules) == {"demo"}
    assert 60_000_000 < used.modules["demo"]["own"] < 100_000_000
    assert 100_000_000 < used.modules["demo"]["all"] < 160_000_000


def test_a_failed_command_tells_what_it_said_last(meter, tmp_path):
    from stack import BenchmarkError

    with pytest.raises(BenchmarkError, match="exit code 3:\nno such luck"):
        meter.measure(["sh", "-c", "echo no such luck >&2; exit 3"], tmp_path / "log", {})


# --- the report -----------------------------------------------------------------------------------------------------


def runs():
    entry = {"step": "backup", "machine": 4.0, "processes": 2.0, "disk": 5_000_000, "modules": {}, "idle_load": 0.1}
    tasks = [{"task": "role : Find the stack", "item": "", "seconds": 0.5},
             {"task": "role : Archive", "item": "code", "seconds": 20.0}]
    ours = {"way": "ours", "size": 10_000_000, "tasks": tasks}
    return [
        {**entry, "way": "original", "wall": 100.0, "size": 20_000_000},
        {**entry, "way": "original", "wall": 120.0, "size": 20_000_000},
        {**entry, "way": "original", "wall": 900.0, "size": 20_000_000},
        {**entry, **ours, "wall": 30.0, "modules": {"m": {"own": 30_000_000, "all": 60_000_000}}},
        {**entry, **ours, "wall": 25.0, "modules": {"m": {"own": 40_000_000, "all": 50_000_000}}},
        {**entry, **ours, "wall": 24.0},
    ]


def test_the_median_of_the_runs_counts(report):
    assert report.typical(runs(), "backup", "original", "wall") == 120.0
    assert report.ratio(runs(), "backup") == 120.0 / 25.0
    assert report.ratio(runs(), "restore-empty") is None


def test_tables_show_what_was_measured_and_no_step_that_was_not(report):
    shown = report.step_tables(runs())
    assert "| wall time, s                           |    120.0 | 25.0 |            4.80 |" in shown
    assert "| size of the backup, MB                 |     20.0 | 10.0 |            2.00 |" in shown
    assert "restore" not in shown


def test_task_table_accounts_for_the_whole_time(report):
    lines = report.task_table(runs(), "backup").splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [
        "Archive (code)", "shorter ones, 1 tasks", "Ansible before, between and after"]
    assert sum(float(line.split("|")[2]) for line in lines) == 24.0


def test_memory_table_has_the_highest_of_all_runs(report):
    assert report.peaks(runs()) == {"m": {"own": 40_000_000, "all": 60_000_000}}
    assert "| m      |              40 |                    60 |" in report.memory_table(runs())


def test_the_document_gets_the_results_between_its_marks(report, tmp_path, monkeypatch):
    import compare

    document = tmp_path / "benchmark.md"
    document.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    monkeypatch.setattr(compare, "DOCUMENT", document)
    names = ("code_bytes", "code_files", "data_bytes", "data_files", "database_bytes", "sql_bytes", "web_image_bytes",
             "db_image_bytes")
    machine = {"cores": 2, "memory_bytes": 2**34, "system": "Linux", "engine": "20.10", "storage_driver": "overlay2"}
    results = {"memory": False, "repeat": 3, "caches_dropped": True, "machine": machine, "runs": runs(),
               "site": dict.fromkeys(names, 7_000_000)}
    for _again in range(2):
        compare.write_document(results)
    text = document.read_text()
    assert text.startswith("before\n<!-- results -->\n\nSite: code 7 MB in 7000000 files")
    assert text.endswith("|\n\n<!-- end of results -->\nafter\n")
    assert "old" not in text
    assert text.count("| wall time, s ") == 1
    assert "2 cores, 16 GiB of memory, Linux, Docker Engine 20.10, storage driver overlay2" in text
    assert document.with_suffix(".json").is_file()
