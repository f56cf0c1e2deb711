# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of several modules at once: what side_by_side does, apart from being a module."""
from __future__ import annotations

import contextlib
import os
import subprocess
from collections import namedtuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from . import _children, _room, _secret_settings, _throttle
from ._docker_exec import library
from ._errors import BackupError, UsageError
from ._job_kinds import KINDS, SECRETS, SETTINGS, call_of
from ._module import DOCKER_OPTIONS
from ._stream import Process

OPTIONS = {
    "jobs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "no_log": True,  # as a whole, until secrets() has told what of it is secret
        "options": {
            "name": {"type": "str", "required": True},
            "module": {"type": "str", "required": True, "choices": sorted(KINDS)},
            "args": {"type": "dict", "default": {}},
            "after": {"type": "list", "elements": "str", "default": []},
        },
    },
    "processes": {"type": "int", "default": 0},
    "nice": {"type": "int", "default": 0},
    "ionice": {"type": "str", "choices": ["none", "best-effort", "idle"], "default": "none"},
    "rate_limit": {"type": "str", "default": "0"},
    "check_space": {"type": "bool", "default": True},
    "space_margin": {"type": "str"},
}
FORM = "each of the jobs must be a dictionary with name, module, args and after, and nothing else"
_IONICE = {"best-effort": ["-c", "2", "-n", "7"], "idle": ["-c", "3"]}

Job = namedtuple("Job", "name call params after")


def secrets(jobs):
    """Return the values in jobs (as the user wrote them) that must never be shown (set of str).

    :raises: ValueError if jobs are not what they should be; then anything in them may be secret.
    """
    if not isinstance(jobs, (list, type(None))):
        raise ValueError("jobs must be a list")
    found = set()
    for job in jobs or []:
        if not isinstance(job, dict) or not set(job) <= set(OPTIONS["jobs"]["options"]):
            raise ValueError(FORM)
        args = job.get("args")
        if not isinstance(args, (dict, type(None))):
            raise ValueError("args of each of the jobs must be a dictionary")
        found.update(*(_texts(value) for name, value in (args or {}).items() if name in SECRETS))
        found |= _secret_settings.secret_texts((args or {}).get(SETTINGS))
    return found


def shown(jobs):
    """Return jobs as they may be shown (list), with nothing but the names of settings that may be secret.

    Their values may be too short to be looked for; passwords are, in everything.

    :param jobs: as secrets() has taken them.
    """
    return [
        dict(job, args=dict(job["args"], **{SETTINGS: _secret_settings.shown(job["args"][SETTINGS])}))
        if SETTINGS in (job.get("args") or {}) else job for job in jobs
    ]


def _texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return {text for item in value for text in _texts(item)}
    return {str(value)} if value is not None and value != "" else set()


def run(params, check_mode, diff):
    """Do the jobs. Return the module's result (dict).

    :param params: dict as OPTIONS and DOCKER_OPTIONS describe it.
    """
    limit = _limit(params)
    if not 0 <= params["nice"] <= 19:
        raise UsageError("nice is %d" % params["nice"], "Give 0 (as other programs) to 19 (behind all others).")
    rate, margin = _bytes(params, "rate_limit"), _bytes(params, "space_margin")
    jobs = _prepared(params, limit)
    _be_nice(params["nice"], params["ionice"])
    library()  # once for all processes
    space = {"space": _check_space(jobs, limit, margin)} if params["check_space"] else {}
    _throttle.configure(rate)
    done = _children.side_by_side([(job.name, _work(job, check_mode, diff)) for job in jobs], limit,
                                  {job.name: job.after for job in jobs})
    return {**_joined([job.name for job in jobs], done), **space}


def _limit(params):
    """Return how many jobs may run at once."""
    if params["processes"] < 0:
        raise UsageError("processes is %d" % params["processes"], "Give the number of processes, or 0 for all cores.")
    return params["processes"] or max(2, len(os.sched_getaffinity(0)))


def _bytes(params, option):
    """Return the number of bytes that an option means, or None if it is not set."""
    return None if params[option] is None else _room.bytes_of(params[option], option)


def _prepared(params, limit):
    """Return the list of Job whose options are checked and complete. UsageError names the job and what is wrong."""
    names = [job["name"] for job in params["jobs"]]
    _check_names(params["jobs"], names)
    jobs = []
    for job in params["jobs"]:
        call = call_of(job["module"])
        validator = ArgumentSpecValidator({**DOCKER_OPTIONS, **call.options}, **call.rules)
        checked = validator.validate({**_connection(params, job["args"] or {}), **(job["args"] or {})})
        if checked.error_messages:
            raise UsageError(
                "job '%s': %s" % (job["name"], "; ".join(_problem(error) for error in checked.errors)),
                "See the documentation of the module %s." % job["module"], job=job["name"],
            )
        # A limit that was set holds for the compressors too.
        if params["processes"] and checked.validated_parameters.get("processes") == 0:
            checked.validated_parameters["processes"] = max(1, params["processes"] // min(limit, len(names)))
        jobs.append(Job(job["name"], call, checked.validated_parameters, job["after"]))
    return jobs


def _check_names(jobs, names):
    for number, name in enumerate(names):
        if not name or names.count(name) > 1:
            raise UsageError("'%s' is the name of %d jobs" % (name, names.count(name)), "Give each its own name.")
        late = [other for other in jobs[number]["after"] if other not in names[:number]]
        if late:
            raise UsageError("job '%s': no job before it is named '%s'" % (name, late[0]),
                             "Name in 'after' jobs that are above it in the list.", job=name)


def _problem(error):
    return "unsupported options: %s" % error.msg if isinstance(error, UnsupportedError) else error.msg


def _connection(params, args):
    """Return the options of the Docker connection that a job takes over because it has none of its own."""
    return {
        option: params[option] for option, spec in DOCKER_OPTIONS.items()
        if params[option] is not None and not any(name in args for name in (option, *spec.get("aliases", ())))
    }


def _be_nice(nice, ionice):
    """Let this process, and so all jobs and their programs, step back for others."""
    if ionice != "none":
        Process(["ionice", *_IONICE[ionice], "-p", str(os.getpid())], stdout=subprocess.DEVNULL).finish()
    os.nice(nice)


def _check_space(jobs, limit, margin):
    tasks = [(job.name, _estimate(job)) for job in jobs if job.call.estimate is not None]
    asked = {name: answer for name, (answer, _seconds) in _children.side_by_side(tasks, limit).items()}
    for job in jobs:
        if job.call.look is not None and job.name in asked:
            job.params["seen"] = asked[job.name][2]
    return _room.check({name: (path, size) for name, (size, path, _seen) in asked.items() if path}, margin)


def _estimate(job):
    """Return a function that returns how many bytes a job will write, where (path or None), and what it has seen."""
    from ._docker import Engine

    def ask():
        engine = Engine(job.params)
        place = _destination(job) if "dest" in job.call.options else _tree_place(engine, job.params)
        seen = job.call.look(engine, job.params) if job.call.look else None
        return int(job.call.estimate(engine, dict(job.params, seen=seen)) or 0), place, seen

    return ask


def _destination(job):
    return job.params.get("pool") or job.params["dest"]


def _tree_place(engine, params):
    """Return a path on this host in the tree that is restored to, or near it if it is new; None if there is none."""
    from . import _locate, _tree

    if not _tree.has_place(engine, params):
        return os.path.join(engine.info()["DockerRootDir"], "volumes", "new") if engine.direct_possible() else None
    with contextlib.suppress(BackupError), _tree.reached(engine, params) as tree:
        if not isinstance(tree, _locate.DirectTree):
            return None
        if tree.exists:
            return os.path.join(os.readlink("/proc/self/fd/%d" % tree.root), "new")
        if params["volume"]:
            return os.path.join(engine.volume(params["volume"])["Mountpoint"], "new")
        return None if params["container"] else params["path"]
    return None


def _work(job, check_mode, diff):
    from ._docker import Engine

    return lambda: job.call.work(Engine(job.params), job.params, check_mode, diff)


def _joined(names, done):
    """Return one result (dict) of the results of all jobs."""
    joined = {"changed": False, "jobs": {}, "seconds": {}, "diff": [], "warnings": []}
    for name in names:
        result, joined["seconds"][name] = done[name]
        joined["warnings"] += ["%s: %s" % (name, warning) for warning in result.pop("warnings", None) or []]
        difference = result.pop("diff", None)
        for one in difference if isinstance(difference, list) else [difference] if difference else []:
            joined["diff"].append(_headed(one, name))
        joined["changed"] = joined["changed"] or bool(result.get("changed"))
        joined["jobs"][name] = result
    if not joined["diff"]:
        del joined["diff"]
    return joined


def _headed(difference, name):
    headed = dict(difference)
    for side in ("before_header", "after_header"):
        headed[side] = "%s: %s" % (name, headed[side]) if headed.get(side) else name
    return headed
