# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the benchmark that need no Docker engine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from pathlib import Path
from xml.etree import ElementTree

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


@pytest.fixture
def file_on_disk():
    """A new file, not in memory as it may be elsewhere."""
    with tempfile.NamedTemporaryFile(prefix="mcb-", dir="/var/tmp") as file:
        file.write(bytes(100_000))
        file.flush()
        yield file.name


def test_a_step_starts_from_the_disk_unless_the_cache_is_to_stay(meter, file_on_disk, monkeypatch):
    def cached():
        words = ["fincore", "--raw", "--noheadings", "--output", "PAGES", file_on_disk]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    monkeypatch.setattr(meter, "_keep", False)
    if meter.drop_caches() is False:
        pytest.skip("this machine does not let anybody drop its page cache")
    assert cached() == 0
    Path(file_on_disk).read_bytes()
    assert cached() > 0
    meter.keep_caches()
    assert meter.drop_caches() is None
    assert cached() > 0


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
    assert used.module_memory == used.modules["demo"]["all"]
    assert used.memory >= used.module_memory


def test_memory_that_forked_processes_share_counts_once(meter, tmp_path):
    module = tmp_path / "AnsiballZ_demo.py"
    module.write_text(
        "import os, time\n"
        "held = b'x' * 60_000_000\n"
        "children = [os.fork() for unused in range(2)]\n"
        "time.sleep(0.8)\n"
    )
    used = meter.measure([sys.executable, str(module)], tmp_path / "log", {})
    assert 60_000_000 < used.modules["demo"]["all"] < 100_000_000


def test_what_is_not_of_a_module_counts_apart(meter, tmp_path):
    used = meter.measure([sys.executable, "-c", "import time; held = b'x' * 50_000_000; time.sleep(0.6)"],
                         tmp_path / "log", {})
    assert 50_000_000 < used.memory < 90_000_000
    assert used.module_memory == 0
    assert used.modules == {}


def test_an_interrupted_command_is_ended_with_its_children(meter, tmp_path):
    script = f"sleep 300 & echo $! >{tmp_path}/pid; wait"
    alarm = threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    # No SIGINT: what runs in the background ignores it.
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    alarm.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            meter.measure(["sh", "-c", script], tmp_path / "log", dict(os.environ))
    finally:
        signal.signal(signal.SIGUSR1, before)
    child = int((tmp_path / "pid").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and alive(child):
        time.sleep(0.05)
    assert not alive(child)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_storage_counts_an_inode_once(meter, tmp_path):
    assert meter.storage_bytes(tmp_path / "absent") == (0, 0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * 100_000)
    os.sync()
    once = meter.storage_bytes(tmp_path)
    assert once[1] == 100_000
    assert once[0] >= 100_000
    os.link(tmp_path / "folder" / "file", tmp_path / "again")
    (tmp_path / "link").symlink_to("again")
    assert meter.storage_bytes(tmp_path)[1] == 100_000 + len("again")


def test_a_failed_command_tells_what_it_said_last(meter, tmp_path):
    from stack import BenchmarkError

    with pytest.raises(BenchmarkError, match="exit code 3:\nno such luck"):
        meter.measure(["sh", "-c", "echo no such luck >&2; exit 3"], tmp_path / "log", {})


# --- options --------------------------------------------------------------------------------------------------------


def test_options_have_their_defaults_and_wrong_ones_are_refused(importable):
    import main

    assert main.parse([]).ways == ["original", "restic", "ours"]
    assert main.parse([]).scale == 1.0
    growth = main.parse(["--growth"])
    assert (growth.series, growth.scale, growth.ways) == ("growth", 0.1, ["ours"])
    assert (main.parse(["--fleet"]).series, main.parse(["--fleet"]).scale) == ("fleet", 1.0)
    assert main.parse(["--steps", "restore-empty,first"]).steps == ["first", "restore-empty"]
    for wrong in (["--ways", "tape"], ["--steps", "changed"], ["--scale", "0"], ["--repeat", "0"],
                  ["--memory", "--write"], ["--write", "--ways", "original"], ["--growth", "--memory"],
                  ["--fleet", "--growth"]):
        with pytest.raises(SystemExit):
            main.parse(wrong)


# --- the reports ----------------------------------------------------------------------------------------------------


def run(step, way, wall, **more):
    return {"step": step, "way": way, "wall": wall, "machine": 4.0, "processes": 2.0, "disk": 5_000_000, "modules": {},
            "memory": 7_000_000, "added": 20_000_000, "idle_load": 0.1, "cold": True, "tasks": [], **more}


def runs():
    tasks = [{"task": "role : Find the stack", "item": "", "seconds": 0.5},
             {"task": "role : Archive", "item": "code", "seconds": 20.0}]
    parts = [{"task": "images", "item": "", "seconds": 12.5}]
    small = {"dump": 3_000_000, "new_bytes": 500_000, "added": 4_400_000, "tasks": tasks}
    return [
        run("first", "original", 100.0), run("first", "original", 120.0), run("first", "original", 900.0, tasks=parts),
        run("first", "restic", 60.0),
        run("first", "ours", 30.0, tasks=tasks, modules={"m": {"own": 30_000_000, "all": 60_000_000}}),
        run("first", "ours", 25.0, tasks=tasks, modules={"m": {"own": 40_000_000, "all": 50_000_000}}),
        run("first", "ours", 24.0, tasks=tasks),
        run("changed", "ours", 5.0, **small),
        run("restore-in-place", "original", 80.0), run("restore-in-place", "ours", 20.0, tasks=tasks),
    ]


def results():
    names = ("code_bytes", "code_files", "data_bytes", "data_files", "database_bytes", "sql_bytes", "web_image_bytes",
             "db_image_bytes")
    machine = {"cores": 2, "memory_bytes": 2**34, "system": "Linux", "engine": "20.10", "storage_driver": "overlay2"}
    return {"series": "comparison", "scale": 0.5, "repeat": 3, "machine": machine, "runs": runs(),
            "floors": [{"floor": name, "wall": wall, "machine": 30.0}
                       for name, wall in (("images", 20.0), ("load", 8.0), ("ansible", 2.0))],
            "site": dict.fromkeys(names, 7_000_000)}


def growth_results():
    grown = [run(step, "ours", 2.0 + 3 * factor, factor=factor, memory=50_000_000, added=1_000_000 * factor)
             for factor in (1, 2, 4, 8) for step in ("first", "unchanged")]
    sites = {factor: results()["site"] for factor in (1, 2, 4, 8)}
    files = [{"way": "ours", "files": count, "step": step, "new": 50_000, "wall": count / 10_000, "processes": 1.0,
              "memory": 30_000_000} for count in (62_500, 500_000) for step in ("first", "unchanged")]
    return {**results(), "series": "growth", "runs": grown, "sites": sites, "files": files}


def test_the_median_of_the_rounds_counts(importable):
    import tables

    assert tables.typical(runs(), "wall", step="first", way="original") == 120.0
    assert tables.ratio(runs(), "first", "original") == 120.0 / 25.0
    assert tables.ratio(runs(), "restore-empty", "original") is None


def test_tables_show_what_was_measured_and_no_step_that_was_not(report):
    shown = report.figure_table(runs(), ["original", "restic", "ours"], "wall").splitlines()
    assert shown[0] == (
        "| wall time, s                        | original | restic | ours | original / ours | restic / ours |")
    assert shown[2] == (
        "| first backup                        |    120.0 |   60.0 | 25.0 |            4.80 |          2.40 |")
    assert shown[3].split("|")[2:6] == ["          ", "        ", "  5.0 ", "                 "]
    assert len(shown) == 5
    added = report.figure_table(runs(), ["original", "ours"], "added")
    assert "restore" not in added


def test_task_table_accounts_for_the_whole_time(report):
    lines = report.task_table(runs(), "first").splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [
        "Archive (code)", "shorter ones, 1 tasks", "Ansible before, between and after"]
    assert sum(float(line.split("|")[2]) for line in lines) == 24.0


def test_memory_table_has_the_highest_of_all_runs(report):
    assert report.peaks(runs()) == {"m": {"own": 40_000_000, "all": 60_000_000}}
    assert "| m            |                      40 |                    60 |" in report.memory_table(runs())
    assert report.too_large(results()) == []
    large = {"runs": [run("first", "ours", 1.0, modules={"hog": {"own": 151_000_000, "all": 0}})]}
    assert report.too_large(large) == ["hog"]


def test_targets_say_what_was_reached_and_what_was_not(importable):
    import targets

    found = {line[0].partition(",")[0]: line[2:] for line in targets.lines(results())}
    assert found == {
        "first backup: original / ours": ("4.80", True, ""),
        "first backup: ours / saving the images alone": ("1.25", True, "1.00"),
        "restore in place after that change: original / ours": ("4.00", False, "8.00"),
        "repeat": ("4.40", True, "3.50"),
    }
    too_much = results()
    for entry in too_much["runs"]:
        entry["added"] = 4_600_000
    assert [line[3] for line in targets.lines(too_much) if "MB added" in line[0]] == [False]


def test_details_of_a_script_come_from_its_log(importable, tmp_path):
    import ways

    log = tmp_path / "log"
    log.write_text("== 100.250000 database\nnoise == 1.0 no\n== 101,500000 images\nLoaded\n== 104.000000 end\n")
    assert ways.Original(tmp_path, tmp_path).details(log) == [
        {"task": "database", "item": "", "seconds": 1.25}, {"task": "images", "item": "", "seconds": 2.5}]


def test_growth_is_fitted(importable):
    import growth
    import report_growth

    assert growth.exponent([(1, 5.0), (2, 5.0), (4, 5.0)]) == pytest.approx(0)
    assert growth.exponent([(1, 3.0), (2, 12.0), (4, 48.0)]) == pytest.approx(2)
    assert growth.line([(1, 5.0), (2, 8.0), (4, 14.0), (8, 26.0)]) == pytest.approx((2.0, 3.0))
    shown = "\n".join(report_growth.parts(growth_results()))
    line = next(line for line in shown.splitlines() if line.startswith("| wall time, s"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["5.0", "8.0", "14.0", "26.0", "0.79", "2.0", "3.0"]
    assert (shown.count("yes |"), shown.count("no |")) == (4, 0)
    line = next(line for line in shown.splitlines() if line.startswith("| 500,000"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["50,000", "50.0", "1,000", "50.00", "1.00", "30.0"]
    line = next(line for line in shown.splitlines() if line.startswith("| exponent"))
    assert [cell.strip() for cell in line.split("|")[5:-1]] == ["1.00", "0.00", "0.00"]
    hungry = growth_results()
    for entry in hungry["runs"]:
        entry["memory"] *= entry["factor"]
    for entry in hungry["files"]:
        entry["wall"] **= 2
    assert report_growth.verdict(hungry["runs"], hungry["files"]).count("no |") == 3


def test_the_series_of_stored_files_is_run_and_read(importable, tmp_path, monkeypatch):
    import growth
    from stack import BenchmarkError

    script = tmp_path / "filedir_growth.py"
    monkeypatch.setattr(growth, "FILES_SERIES", script)
    script.write_text(
        "import json, sys\n"
        "for number in map(int, sys.argv[3:]):\n"
        "    cost = {'files': number, 'new': 3, 'seconds': 1.5, 'cpu_seconds': 1.0, 'peak_mib': 2.0}\n"
        "    print(json.dumps({'number': number, 'store': cost, 'again': [dict(cost, new=0)], 'load': 0.1}))\n"
    )
    found = growth.files_series(tmp_path, 0.01, print)
    assert [run["files"] for run in found] == [625, 625, 1250, 1250, 2500, 2500, 5000, 5000]
    assert found[1] == {"way": "ours", "files": 625, "step": "unchanged", "new": 0, "wall": 1.5, "processes": 1.0,
                        "memory": 2 << 20}
    script.write_text("raise SystemExit('no room')")
    with pytest.raises(BenchmarkError, match="exit code 1:\nno room"):
        growth.files_series(tmp_path, 0.01, print)


def fleet_results():
    tasks = [{"task": "fleet : Try to reach the host", "item": "", "seconds": 0.25, "remote": True},
             {"task": "backup : Find the stack", "item": "", "seconds": 2.0, "remote": True},
             {"task": "fleet : Keep", "item": "", "seconds": 0.5, "remote": False}]
    runs = [run(step, "ours", 6.0, stacks=1, tasks=tasks, cold=None) for step in ("ping", "one-first")]
    runs.append(run("one-tuned", "ours", 5.5, stacks=1, tasks=tasks, cold=None))
    runs.append(run("all-first", "ours", 57.0, stacks=19, tasks=tasks * 19, cold=None))
    runs.append(run("all-repeat", "ours", 60.0, stacks=20, tasks=tasks * 20, cold=None))
    return {**results(), "series": "fleet", "runs": runs}


def test_what_a_stack_costs_over_ssh_is_told(importable):
    import report_fleet

    found = fleet_results()
    steps, tasks, verdict = report_fleet.parts(found)
    line = next(line for line in steps.splitlines() if "all: repeat" in line)
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["20", "60.0", "3.0", "40", "2.0", "20", "4.0"]
    assert [line.split("|")[2].strip() for line in tasks.splitlines()[2:]] == ["0.25", "2.00", "0.50", "3.25"]
    assert verdict.count("yes |") == 5 and "| an empty stack, one of 19 in a run: wall time, s" in verdict
    found["runs"][1].update(wall=10.1, tasks=found["runs"][1]["tasks"] * 11)
    found["runs"][2]["wall"] = 10.1
    found["runs"][3]["wall"] = 19 * 10.1
    found["runs"][4]["stacks"] = 19
    assert report_fleet.verdict(found).count("no |") == 5


def test_the_summary_of_a_run_is_found_in_what_ansible_prints(importable):
    import fleet

    summary = {"moodle_backup_summary": {"backup": {"result": "good", "stacks": []}}}
    printed = "CUSTOM STATS: ***\n\tRUN: %s\n\n" % json.dumps(summary)
    assert fleet.summary_in(printed) == {"result": "good", "stacks": []}
    with pytest.raises(fleet.BenchmarkError, match="has not said"):
        fleet.summary_in("PLAY RECAP ***\nhost : ok=1\n")


def test_the_report_of_many_stacks_is_whole(report):
    text = report.text(fleet_results())
    assert "| an empty stack: tasks over SSH" in text and "The page cache was left as it was before" in text


def test_bars_are_as_long_as_the_times(importable):
    import plot

    lines = plot.bars(runs(), ["original", "restic", "ours"]).splitlines()
    assert lines[:2] == ["```text", "first backup"]
    lengths = [line.count("█") for line in lines[2:5]]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=1)
    assert lengths[2] > 0
    assert lines[2].endswith("120.0 s")


def test_the_picture_is_xml_with_all_series(importable):
    import plot

    picture = ElementTree.fromstring(plot.svg({"comparison": results(), "growth": growth_results()}))
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "original 120.0" in words
    assert "first backup" in words
    assert "8 times" in words
    assert "500,000" in words
    assert "ours, unchanged: 26.0" in words


def test_the_document_gets_each_series_between_its_marks(importable, tmp_path, monkeypatch):
    import main

    document = tmp_path / "benchmark.md"
    document.write_text("before\n<!-- comparison -->\nold\n<!-- end of comparison -->\nbetween\n<!-- growth -->\nold\n"
                        "<!-- end of growth -->\nafter\n")
    monkeypatch.setattr(main, "DOCUMENT", document)
    for _again in range(2):
        main.write_document(growth_results())
        main.write_document(results())
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- comparison -->\n\n![Bars of ")
    assert "(benchmark.svg)\n\nMachine: 2 cores, 16 GiB of memory, Linux, Docker Engine " in text
    assert text.count("(benchmark.svg)") == 1
    assert text.endswith("|\n\n<!-- end of growth -->\nafter\n")
    assert "old" not in text
    assert text.count("| target, on 2 cores") == 1
    assert "Site: code 7 MB in 7000000 files" in text
    assert set(json.loads(document.with_suffix(".json").read_text(encoding="utf-8"))) == {"comparison", "growth"}
    assert "8 times" in document.with_suffix(".svg").read_text(encoding="utf-8")


def test_the_real_document_has_the_marks():
    text = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    for series in ("comparison", "growth", "fleet"):
        assert text.count(f"<!-- {series} -->\n") == 1
        assert text.count(f"<!-- end of {series} -->\n") == 1
