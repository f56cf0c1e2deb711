# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from at_once import Meeting

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _docker,
    _job_kinds,
    _jobs,
    _module,
    _room,
    _secret_settings,
    _throttle,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._call import COMPRESSION, Call
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    BackupError,
    StorageError,
    UsageError,
)
from ansible_collections.moodleclaude.backup.plugins.modules import side_by_side

SECRET = "s3cr'et\\wo\"rd"
DEFAULTS = {"processes": 0, "nice": 0, "ionice": "none", "rate_limit": "0", "check_space": True, "space_margin": None}


class Engine:
    """Stands for a connection; nothing here needs an engine."""

    def __init__(self, params):
        self.params = params


def call(work, estimate=None, **options):
    spec = {**COMPRESSION, "dest": {"type": "path"}, "password": {"type": "str", "no_log": True}, **options}
    return Call(spec, {"required_if": [("compression", "gzip", ["dest"])]}, work, estimate)


@pytest.fixture
def calls(monkeypatch):
    """The calls that there are (dict), none yet; the number of cores is 4."""
    made = {}
    monkeypatch.setattr(_docker, "Engine", Engine)
    monkeypatch.setattr(_jobs, "call_of", made.__getitem__)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(4)))
    yield made
    _throttle.configure(None)


def run(jobs, check_mode=False, diff=False, **params):
    connection = {name: option.get("default") for name, option in _module.DOCKER_OPTIONS.items()}
    jobs = [{"name": name, "module": module, "args": args, "after": list(after)} for name, module, args, *after in jobs]
    return _jobs.run({**connection, **DEFAULTS, **params, "jobs": jobs}, check_mode, diff)


def told(engine, params, check_mode, diff):
    return {"changed": False, "params": params, "engine": engine.params["docker_host"], "modes": [check_mode, diff]}


def test_a_job_gets_what_its_module_would_get(calls, monkeypatch):
    calls["told"] = call(told)
    monkeypatch.setenv("DOCKER_TIMEOUT", "7")
    result = run([("a", "told", {"dest": "~/x", "processes": "3"}), ("b", "told", {"docker_url": "unix:///other"})],
                 check_mode=True, diff=True, timeout=None, docker_host="unix:///outer")
    first, second = result["jobs"]["a"], result["jobs"]["b"]
    assert first["params"]["dest"] == os.path.expanduser("~/x")
    assert first["params"]["processes"] == 3 and second["params"]["processes"] == 0
    assert first["params"]["compression"] == "zstd" and first["params"]["timeout"] == 7
    assert (first["engine"], second["engine"]) == ("unix:///outer", "unix:///other")
    assert first["modes"] == [True, True]


@pytest.mark.parametrize(("processes", "jobs", "own", "share"), [
    (0, 2, 0, 0), (4, 2, 0, 2), (4, 8, 0, 1), (1, 3, 0, 1), (5, 2, 0, 2), (4, 1, 0, 4), (4, 2, 3, 3),
])
def test_compressors_share_the_processes(calls, processes, jobs, own, share):
    calls["told"] = call(told)
    done = run([(str(number), "told", {"processes": own}) for number in range(jobs)], processes=processes)["jobs"]
    assert {result["params"]["processes"] for result in done.values()} == {share}


@pytest.mark.parametrize(("cores", "processes", "together"), [(4, 0, 4), (1, 0, 2), (4, 1, 1), (4, 3, 3)])
def test_limit(calls, monkeypatch, tmp_path, cores, processes, together):
    meeting = Meeting(tmp_path, together)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    calls["work"] = call(lambda *_unused: {"changed": False, "together": meeting.attend()})
    done = run([(str(number), "work", {}) for number in range(6)], processes=processes)["jobs"]
    assert max(result["together"] for result in done.values()) == together


def test_a_job_waits_for_those_that_it_needs(calls, tmp_path):
    calls["make"] = call(lambda *_: time.sleep(0.3) or (tmp_path / "made").touch() or {"changed": True})
    calls["look"] = call(lambda *_: {"changed": False, "there": (tmp_path / "made").exists()})
    assert run([("a", "make", {}), ("b", "look", {}, "a")])["jobs"]["b"]["there"] is True


def test_one_result_of_many(calls):
    calls["quiet"] = call(lambda *_: {"changed": False, "x": 1})
    calls["loud"] = call(lambda *_: {"changed": True, "warnings": ["careful"], "diff": {
        "before": "a", "after": "b", "before_header": "h"}})
    calls["double"] = call(lambda *_: {"changed": False, "diff": [{"before": "", "after": "1"}, {"prepared": "p"}]})
    result = run([("q", "quiet", {}), ("l", "loud", {}), ("d", "double", None)])
    assert result["changed"] is True
    assert result["warnings"] == ["l: careful"]
    assert result["jobs"] == {"q": {"changed": False, "x": 1}, "l": {"changed": True}, "d": {"changed": False}}
    assert result["diff"] == [
        {"before": "a", "after": "b", "before_header": "l: h", "after_header": "l"},
        {"before": "", "after": "1", "before_header": "d", "after_header": "d"},
        {"prepared": "p", "before_header": "d", "after_header": "d"},
    ]
    assert set(result["seconds"]) == {"q", "l", "d"} and all(value >= 0 for value in result["seconds"].values())
    quiet = run([("q", "quiet", {})])
    assert quiet["changed"] is False and "diff" not in quiet


@pytest.mark.parametrize(("jobs", "words"), [
    ([("a", "work", {"nonsense": 1})], "job 'a': unsupported options: nonsense"),
    ([("a", "work", {}), ("b", "work", {"compression": "rar"})], "job 'b': value of compression must be one of"),
    ([("b", "work", {"compression": "gzip"})], "job 'b': compression is gzip but all of the following are missing"),
    ([("b", "work", {"processes": "many"})], "job 'b': argument 'processes' is of type"),
    ([("a", "work", {}), ("a", "work", {})], "'a' is the name of 2 jobs"),
    ([("", "work", {})], "'' is the name of 1 jobs"),
    ([("a", "work", {}, "b"), ("b", "work", {})], "job 'a': no job before it is named 'b'"),
    ([("a", "work", {}, "a")], "job 'a': no job before it is named 'a'"),
])
def test_bad_job_is_refused_before_anything_starts(calls, tmp_path, jobs, words):
    calls["work"] = call(lambda *_: (tmp_path / "started").touch())
    with pytest.raises(UsageError) as caught:
        run(jobs)
    assert words in caught.value.message
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(("params", "words"), [
    ({"processes": -1}, "processes is -1"), ({"nice": 20}, "nice is 20"), ({"nice": -1}, "nice is -1"),
    ({"rate_limit": "fast"}, "rate_limit: 'fast' is not a size"), ({"rate_limit": "-5"}, "'-5' is not a size"),
    ({"space_margin": "x"}, "space_margin: 'x' is not a size"),
])
def test_bad_options(calls, params, words):
    with pytest.raises(UsageError, match=words):
        run([], **params)


def test_rate_limit_is_shared(calls):
    def work(_engine, _params, _check_mode, _diff):
        for _chunk in range(4):
            _throttle.wait(1 << 20)
        return {"changed": False}

    calls["work"] = call(work)
    began = time.monotonic()
    run([("a", "work", {}), ("b", "work", {})], rate_limit="16M")
    assert time.monotonic() - began >= 8 / 16 - 0.01


def test_nice(calls):
    """In a process of its own, for it cannot be taken back."""
    def work(_engine, _params, _check_mode, _diff):
        with open("/proc/self/stat", "rb") as handle:
            return {"changed": False, "nice": int(handle.read().rpartition(b")")[2].split()[16]),
                    "ionice": os.popen("ionice -p %d" % os.getpid()).read().strip()}

    calls["work"] = call(work)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = run([("a", "work", {})], nice=7, ionice="idle")["jobs"]["a"]
            os.write(writing, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert json.loads(os.read(reading, 1000)) == {"changed": False, "nice": os.nice(0) + 7, "ionice": "idle"}


# --- room ---------------------------------------------------------------------------------------------------------


def test_room_is_checked_before_anything_starts(calls, tmp_path, monkeypatch):
    calls["big"] = call(lambda *_: (tmp_path / "started").touch(), lambda _engine, params: 1000 * params["processes"])
    calls["unknown"] = call(lambda *_: (tmp_path / "started").touch())
    monkeypatch.setattr(_room, "_free", lambda _folder: 5000)
    jobs = [("a", "big", {"dest": str(tmp_path / "a"), "processes": 4}),
            ("b", "big", {"dest": str(tmp_path / "b"), "processes": 2}), ("c", "unknown", {"dest": str(tmp_path)})]
    with pytest.raises(StorageError, match="5.9 KiB are needed .a 3.9 KiB, b 2.0 KiB.") as caught:
        run(jobs, space_margin="0")
    assert caught.value.details["space"][0]["needed"] == 6000
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("params", [{"check_space": False}, {"space_margin": "1K"}])
def test_room_enough_or_not_asked(calls, tmp_path, monkeypatch, params):
    calls["big"] = call(lambda *_: {"changed": True}, lambda *_: 3000)
    monkeypatch.setattr(_room, "_free", lambda _folder: 5000 if "space_margin" in params else 0)
    result = run([("a", "big", {"dest": str(tmp_path / "a")}), ("b", "big", {})], **params)
    assert result["changed"]
    if "space_margin" in params:
        assert result["space"] == [{"folder": str(tmp_path), "needed": 3000, "free": 5000, "jobs": {"a": 3000}}]
    else:
        assert "space" not in result


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_seen_before_the_work_is_not_looked_for_again(calls, tmp_path, asked):
    def look(_engine, _params):
        with open(tmp_path / "looks", "a", encoding="ascii") as handle:
            handle.write("x")
        return ["seen"]

    calls["big"] = call(lambda _engine, params, *_: {"changed": False, "seen": params.get("seen")},
                        lambda _engine, params: len(params["seen"]))._replace(look=look)
    result = run([("a", "big", {"dest": str(tmp_path / "a")})], check_space=asked)
    assert result["jobs"]["a"]["seen"] == (["seen"] if asked else None)
    assert not asked or (result["space"][0]["needed"] == 1 and (tmp_path / "looks").read_text() == "x")


def test_failed_estimate_is_the_error_of_its_job(calls, tmp_path):
    def estimate(_engine, _params):
        raise BackupError("no such thing", "look")

    calls["big"] = call(lambda *_: None, estimate)
    with pytest.raises(BackupError, match="job 'a': no such thing"):
        run([("a", "big", {"dest": str(tmp_path / "a")})])


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.fixture
def module_output(shown_by):
    """A function that runs the module and returns (result, everything that was shown or logged as str)."""
    return lambda args: shown_by(side_by_side.main, args)


def dump(**args):
    return {"name": "db", "module": "database_dump", "args": {"container": "mcb-none", **args}}


def config(settings):
    return {"name": "config", "module": "moodle_config", "args": {
        "container": "mcb-none", "config": "/config.php", "settings": settings}}


@pytest.mark.parametrize(("args", "words"), [
    ({"jobs": [dump(password=SECRET, database="x", username="u", dest="/x")]}, "job 'db'"),
    ({"jobs": [dump(password=SECRET)]}, "job 'db': missing required arguments: database"),
    ({"jobs": [dump(password=SECRET)], "nice": "very"}, "argument 'nice'"),
    ({"jobs": [dump(password=SECRET)], "nonsense": 1}, "Unsupported parameters"),
    ({"jobs": [{**dump(password=SECRET), "module": "rm"}]}, "value of module must be one of"),
    ({"jobs": [{**dump(), "password": SECRET}]}, "a dictionary with name, module, args and after, and nothing else"),
    ({"jobs": [dump(password=[{"x": SECRET}])]}, "job 'db': missing"),
    ({"jobs": [dump(password=[{"x": SECRET}], database="x", dest="/x")]}, "job 'db'"),
    ({"jobs": [dump(password=[{"x": SECRET}])], "nice": "very"}, "argument 'nice'"),
    ({"jobs": [{"name": "db", "module": "database_dump", "args": "password=%s x" % SECRET}]}, "job 'db'"),
    ({"jobs": "password=%s" % SECRET}, "jobs is wrong"),
    ({"jobs": {"args": {"password": SECRET}}}, "jobs is wrong"),
    ({"jobs": [[{"password": SECRET}]]}, "jobs is wrong"),
    ({"jobs": [dump(password="other"), [{"password": SECRET}]]}, "jobs is wrong"),
    ({"jobs": [config({"dbpass": SECRET})]}, "job 'config'"),
    ({"jobs": [config({"dbpass": SECRET})], "nice": "very"}, "argument 'nice'"),
    ({"jobs": [config({"dboptions": {"auth": [SECRET]}})]}, "job 'config'"),
    ({"jobs": [config(json.dumps({"dbpass": SECRET}))]}, "job 'config'"),
    ({"jobs": [config(SECRET)]}, "job 'config': argument 'settings'"),
    ({"jobs": [config([{"dbpass": SECRET}])]}, "job 'config': argument 'settings'"),
    ({"jobs": [dump(settings={"dbpass": SECRET})]}, "job 'db'"),
])
def test_secrets_are_never_shown(module_output, args, words):
    result, shown = module_output({**args, "docker_host": "unix:///nonexistent.sock"})
    assert result["failed"] is True
    assert words in result["msg"]
    for form in (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], "s3cr"):
        assert form not in shown


def test_what_is_no_secret_is_shown(module_output):
    result, _shown = module_output({"jobs": [dump(password=SECRET)]})
    assert result["invocation"]["module_args"]["jobs"][0] == {
        "name": "db", "module": "database_dump", "after": [],
        "args": {"container": "mcb-none", "password": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"},
    }
    # A value that is too short to be looked for everywhere is not shown where it is known to stand.
    settings = {"wwwroot": "http://copy", "noemailever": True, "salt": "1", "n": 7}
    result, _shown = module_output({"jobs": [config(settings)]})
    hidden = dict(settings, salt=_secret_settings.HIDDEN, n=_secret_settings.HIDDEN)
    assert result["invocation"]["module_args"]["jobs"][0] == {
        "name": "config", "module": "moodle_config", "after": [],
        "args": {"container": "mcb-none", "config": "/config.php", "settings": hidden},
    }


def test_what_a_job_did_is_shown_without_secret_settings(module_output, monkeypatch):
    done = {"changed": True, "jobs": {"config": {"settings": ["dbpass"], "said": SECRET}}}
    monkeypatch.setattr(_jobs, "run", lambda *_: done)
    result, shown = module_output({"jobs": [config({"dbpass": SECRET})]})
    assert result["jobs"]["config"]["settings"] == ["dbpass"] and "s3cr" not in shown


# --- the module and its documentation -----------------------------------------------------------------------------


def test_documentation_names_every_module():
    documented = yaml.safe_load(side_by_side.DOCUMENTATION)["options"]["jobs"]["suboptions"]["module"]["choices"]
    assert documented == sorted(_job_kinds.KINDS)


def test_calls_are_those_of_the_modules():
    folder = Path(side_by_side.__file__).parent
    for name in _job_kinds.KINDS:
        one = _job_kinds.call_of(name)
        text = (folder / ("%s.py" % name)).read_text(encoding="utf-8")
        documented = yaml.safe_load(text.split('r"""')[1].split('"""')[0])
        assert set(one.options) >= set(documented["options"])
        assert "run_call(" in text


def test_secrets_of_any_module_are_hidden_in_every_job():
    specs = [_job_kinds.call_of(name).options for name in _job_kinds.KINDS]
    assert {name for spec in specs for option, details in spec.items() if details.get("no_log")
            for name in (option, *details.get("aliases", ()))} == _job_kinds.SECRETS | {_job_kinds.SETTINGS}


def test_every_kind_of_job_is_packed_with_the_module():
    packed = ast.parse(inspect.getsource(_job_kinds._packed)).body[0].body
    names = {".".join(filter(None, [line.module, alias.name])) for line in packed if isinstance(line, ast.ImportFrom)
             for alias in line.names}
    assert names == {place for place, _name in _job_kinds.KINDS.values()}


def test_a_backup_imports_nothing_of_a_restore():
    """Each import costs time on every managed host."""
    base = _jobs.__package__
    script = "; ".join([
        "import sys", "from %s import _jobs, _job_kinds" % base,
        "[_job_kinds.call_of(name) for name in ('moodle_content_backup', 'image_export', 'volume_archive', "
        "'container_export', 'moodle_site_check')]",
        "print([name for name in sys.modules if name.startswith('%s.') and name.rpartition('.')[2] in "
        "('_filedir_restore', '_tree_restore', '_container_import', '_recreation', '_restore_session')])" % base,
    ])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    assert done.stdout.strip() == "[]", done.stderr
