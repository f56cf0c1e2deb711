# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backs up a Moodle's database and its stored files so that they belong together, while the site is in use.

Moodle stores a file before its row and removes the row before the file, so files that are copied first and again after
the dump hold all that the dump refers to, but for those that came and went for good in between. The closure check finds
these, and another dump no longer refers to them.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from . import _stream
from ._call import COMPRESSION, Call
from ._engines import postgresql
from ._errors import IntegrityError, UsageError
from ._filedir import FILEDIR_ARCHIVE
from ._module import DOCKER_OPTIONS
from ._pool import Pool

_NEEDED = "COPY (SELECT DISTINCT contenthash FROM :\"files\" WHERE filesize > 0 AND referencefileid IS NULL) TO STDOUT"
# Options of filedir_archive that tell what a pass is for.
_PASSES = ("expected", "missing_dest", "required", "known_missing")
_HINT = "To make such a backup all the same, set accept_incomplete (in playbooks: name the stack in" \
        " moodle_backup_accept_incomplete)."


def backup(engine, params, check_mode=False, diff=False):
    """Return what moodle_content_backup returns.

    :param params: dict, the options of moodle_content_backup.
    :raises: IntegrityError if stored files are missing that the database refers to; UsageError.
    """
    if params["external_files"] and not params["accept_incomplete"]:
        raise UsageError("This site keeps files in an external store, so a backup of it is not complete", _HINT)
    files = _file_options(params)
    if check_mode:
        dump = postgresql.DUMP.work(engine, dict(params, references=[]), True, diff)
        return {"changed": True, "database": dump, "filedir": FILEDIR_ARCHIVE.work(engine, files, True, diff)}
    finals = {"dest": params["dest"], "roles_dest": params["roles_dest"], "filedir": files["dest"]}
    _check_destinations(finals, params["overwrite"], files["overwrite"])
    with _written_aside(finals) as aside:
        params = dict(params, dest=aside["dest"], roles_dest=aside["roles_dest"], overwrite=True)
        files = dict(files, dest=aside["filedir"], overwrite=True)
        with _folder(files["dest"] + ".work") as work:
            result = _Run(engine, params, files, work).run()
    result["database"]["dest"], result["filedir"]["dest"] = finals["dest"], finals["filedir"]
    if finals["roles_dest"]:
        result["database"]["roles"]["dest"] = finals["roles_dest"]
    return result


def _check_destinations(finals, overwrite, overwrite_filedir):
    paths = [os.path.abspath(path) for path in finals.values() if path]
    if len(set(paths)) < len(paths):
        raise UsageError("Two files would be written to the same path", "Give each of them a path of its own.")
    for name, path in finals.items():
        if path:
            _stream.check_destination(path, overwrite_filedir if name == "filedir" else overwrite)


@contextlib.contextmanager
def _written_aside(finals):
    """Give other paths in the same folders; what is written there gets its final names in the end.

    A dump alone is no backup, and must not replace one.

    :param finals: dict of paths (str or None); the same with the other paths is given.
    """
    aside = {name: path and os.path.join(os.path.dirname(path), ".%s.open" % os.path.basename(path))
             for name, path in finals.items()}
    try:
        yield aside
        for name, path in finals.items():
            if path:
                os.rename(aside[name], path)
                _stream.fsync_directory(os.path.dirname(path))
    finally:
        for path in filter(None, aside.values()):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


@contextlib.contextmanager
def _folder(path):
    """Give a new folder for working files; one that a killed run has left is removed before."""
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def estimate(engine, params):
    """Return the bytes (int) that a backup may take."""
    dump = postgresql.DUMP.estimate(engine, params)
    return dump + FILEDIR_ARCHIVE.estimate(engine, _file_options(params))


def _file_options(params):
    """Return the options of filedir_archive (dict), checked and complete."""
    given = {**{name: params[name] for name in (*DOCKER_OPTIONS, *COMPRESSION)}, **params["filedir"]}
    own = {name: option for name, option in FILEDIR_ARCHIVE.options.items() if name not in _PASSES}
    checked = ArgumentSpecValidator({**DOCKER_OPTIONS, **own}, **FILEDIR_ARCHIVE.rules).validate(
        {name: value for name, value in given.items() if value is not None})
    if checked.error_messages:
        raise UsageError("filedir: %s" % "; ".join(checked.error_messages), "See the module filedir_archive.")
    if not checked.validated_parameters["dest"]:
        raise UsageError("filedir has no dest", "Name the file to write.")
    return dict(dict.fromkeys(_PASSES), **checked.validated_parameters)


class _Run:
    """One backup.

    :param files: dict, options of filedir_archive. :param work: str, folder for sorted lists of hashes, one in a line.
    """

    def __init__(self, engine, params, files, work):
        self.engine, self.params, self.files = engine, params, files
        self.wanted, self.known, self.required, self.elsewhere = (
            os.path.join(work, name) for name in ("wanted", "known", "required", "elsewhere"))

    def run(self):
        client = postgresql.log_in(self.engine, self.params, [self.params["database"]])
        list_hashes(client, self.params["prefix"], self.wanted)
        passes = [self._pass(dest=None, archive=False, expected=self.wanted, missing_dest=self.known)]
        # An archive is written but once, when all that belongs into it is there.
        late = {"dest": None, "archive": False} if self.files["archive"] else {}
        attempts = 0
        while attempts < self.params["attempts"] and (attempts == 0 or passes[-1]["missing"]["count"]):
            attempts += 1
            dump = self._dump(client)
            passes.append(self._close(**late))
        missing = passes[-1]["missing"]
        if missing["count"] and not self.params["accept_incomplete"]:
            raise IntegrityError(
                "The backup would not be complete: %d stored files that the database refers to are neither in filedir"
                " nor in trashdir, such as %s" % (missing["count"], ", ".join(missing["examples"][:5])),
                "They vanished while the backup was made. Look for what removes files behind the site's back. " + _HINT,
                missing=missing,
            )
        elsewhere = self._count_elsewhere()
        if self.files["archive"]:
            passes.append(self._close())
        return self._result(dump, passes, attempts, elsewhere)

    def _pass(self, **extra):
        return FILEDIR_ARCHIVE.work(self.engine, dict(self.files, **extra), False, False)

    def _close(self, **extra):
        return self._pass(required=self.required, known_missing=self.known, **extra)

    def _dump(self, client):
        table = self.params["prefix"] + "files"
        stored = {"column": "filesize", "not": "0", "null": None}
        references = [
            {"table": table, "column": "contenthash", "dest": dest,
             "where": [stored, {"column": "referencefileid", "null": null, "not": None}]}
            for dest, null in ((self.required, True), (self.elsewhere, False))
        ]
        options = dict(self.params, references=references)
        result = postgresql.dump(self.engine, options, client=client)
        del result["references"]  # they are working files, gone at the end
        return result

    def _count_elsewhere(self):
        """Return how many files are known to the site by reference only (int); their content may be anywhere."""
        pool = Pool(self.files["pool"])
        with open(self.elsewhere, encoding="ascii") as lines:
            return sum(not os.path.exists(pool.path_of(line.strip())) for line in lines)

    def _result(self, dump, passes, attempts, elsewhere):
        final = passes[-1]
        reasons = []
        if final["missing"]["count"]:
            reasons.append("%d stored files vanished while the backup was made" % final["missing"]["count"])
        if self.params["external_files"]:
            reasons.append("files are kept in an external store")
        filedir = dict(final, new=sum(one["new"] for one in passes), new_bytes=sum(one["new_bytes"] for one in passes))
        said = list(dump.pop("warnings", None) or [])
        for one in passes:
            said += one.pop("warnings", None) or []
        filedir.pop("warnings", None)
        if final["site_damage"]["count"]:
            said.append("%d stored files were missing or damaged on the site before the backup, such as %s." % (
                final["site_damage"]["count"], ", ".join(final["site_damage"]["examples"][:3])))
        if elsewhere:
            said.append("%d files are references to other places; their content is not in the backup." % elsewhere)
        if reasons:
            said.append("This backup is not complete: %s." % "; ".join(reasons))
        return {
            "changed": True, "database": dump, "filedir": filedir, "complete": not reasons, "reasons": reasons,
            "attempts": attempts, "elsewhere": elsewhere, "warnings": list(dict.fromkeys(said)),
        }


def list_hashes(client, prefix, dest):
    """Write the hashes of the stored files that a site refers to right now into a file, sorted, one in a line.

    :param client: postgresql.Client. :param prefix: str, what the names of the site's tables begin with.
    """
    with open(dest, "wb") as out:
        command = ["sort", "-u", "-S", "32M", "-T", os.path.dirname(dest)]
        sort = _stream.Process(command, stdin=subprocess.PIPE, stdout=out)
        try:
            for chunk in client.copy_out(_NEEDED, files=prefix + "files"):
                sort.stdin.write(chunk)
            sort.stdin.close()
            sort.finish()
        finally:
            sort.abort()


CONTENT_BACKUP = Call(
    options={
        **{name: option for name, option in postgresql.DUMP.options.items() if name != "references"},
        "filedir": {"type": "dict", "required": True},
        "prefix": {"type": "str", "default": "mdl_"},
        "external_files": {"type": "bool", "default": False},
        "accept_incomplete": {"type": "bool", "default": False},
        "attempts": {"type": "int", "default": 3},
    },
    rules=postgresql.DUMP.rules,
    work=backup,
    estimate=estimate,
)
