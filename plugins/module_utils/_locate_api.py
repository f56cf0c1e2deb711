# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds a tree through the Docker API alone: in the container itself, or in a helper container that has its mount."""
from __future__ import annotations

import contextlib
import posixpath

from ._errors import BackupError, UsageError
from ._gnutar import is_gnu, portable
from ._locate import require_absolute, require_volume
from ._paths import covering, encode, mount_points, points_below, show
from ._shell_place import Shell

_MOUNT = "/moodle_backup_tree"
# Bits of the engine's file modes (Go's os.FileMode).
_DIRECTORY, _LINK = 1 << 31, 1 << 27
_MAX_LINKS = 40


class ApiTree:
    """A tree in a container.

    container: ID; path: absolute path of the tree's folder there (str), or of the folder that holds its single file;
    name: name of that file (bytes), or None; gnu: whether a GNU tar runs there; running: whether any program can;
    mounts: relative paths of what is mounted below (bytes); layer: True if it lies in the container's own layer;
    exists: False if nothing is at the path.
    """

    def __init__(self, engine, container, path, *, gnu, running, mounts=(), layer=False, single=False):
        self.engine, self.container = engine, container
        self.gnu, self.running, self.layer = gnu, running, layer
        found = engine.find_path(container, path)
        self.exists = found is not None
        file = not found["mode"] & _DIRECTORY if found else single
        self.path, name = posixpath.split(path) if file else (path, None)
        self.name = encode(name) if file else None
        self.mounts = [] if file else list(mounts)
        self._shell = None

    def at(self, relative):
        """Return the absolute path (bytes) of a relative path."""
        base = encode(self.path).rstrip(b"/")
        return base + b"/" + relative if relative else base or b"/"

    def shell(self):
        """Return the Shell that runs there."""
        if self._shell is None:
            stream = self.engine.exec_stream(self.container, ["sh"], {"LC_ALL": "C"}, "0", True)
            self._shell = Shell(stream)
        return self._shell

    def close(self):
        if self._shell is not None:
            self._shell.close()

    def has(self, relative):
        """True if there is something at a relative path."""
        return self.engine.find_path(self.container, show(self.at(relative))) is not None

    def is_link(self, relative):
        found = self.engine.find_path(self.container, show(self.at(relative)))
        return found is not None and bool(found["mode"] & _LINK)


def api_tree(engine, params, write=False, single=False):
    """Return a context manager that gives the ApiTree that the options volume, container and path mean.

    :param write: bool, whether it is going to be changed; then a helper container does the work wherever one can.
    :param single: bool, whether a single file is meant where nothing is yet.
    """
    if params["container"]:
        return _in_container(engine, params, write, single)
    if params["volume"]:
        require_volume(engine, params["volume"])
        mount = {"Type": "volume", "Source": params["volume"], "VolumeOptions": {"NoCopy": True}}
        image = params["image"] or _image_beside(engine, params["volume"])
        inside = params["path"]
    else:
        require_absolute(params["path"], "on the Docker host")
        if not params["image"]:
            raise UsageError("image is required for a path of the host through the Docker API",
                             "Name an image on the engine that has a shell, best with GNU tar.")
        folder, inside = posixpath.split(posixpath.normpath(params["path"]))
        mount = {"Type": "bind", "Source": folder}
        image = params["image"]
    return _helper(engine, image, mount, inside, write, single)


@contextlib.contextmanager
def _helper(engine, image, mount, inside, write, single):
    mount = dict(mount, Target=_MOUNT, ReadOnly=not write)
    with engine.helper(image, mounts=[mount]) as container:
        path = _resolve(engine, container, posixpath.join(_MOUNT, inside.lstrip("/")), within=_MOUNT)
        tree = ApiTree(engine, container, path, gnu=_has_gnu_tar(engine, container), running=True, single=single)
        try:
            yield tree
        finally:
            tree.close()


def _image_beside(engine, volume):
    for container in engine.containers(filters={"volume": volume}):
        return container["ImageID"]
    raise UsageError("No container has the volume '%s', so it is open which image can serve to reach it" % volume,
                     "Name an image on the engine that has a shell, best with GNU tar, as 'image'.")


@contextlib.contextmanager
def _in_container(engine, params, write, single):
    inspect = engine.container(params["container"])
    require_absolute(params["path"], "in the container")
    container, running = inspect["Id"], inspect["State"]["Running"]
    path = _resolve(engine, container, params["path"])
    table = {_resolve(engine, container, mount["Destination"]): mount for mount in inspect["Mounts"]}
    points = [encode(point) for point in table]
    gnu = running and _has_gnu_tar(engine, container)
    if gnu:
        points += mount_points(engine.run(container, ["cat", "/proc/self/mountinfo"], user="0")[1])
    owner = covering(points, encode(path))
    mount = table.get(show(owner)) if owner else None
    if write and mount is not None:
        image = params["image"] or inspect["Image"]
        with _beside_mount(engine, image, mount, path, show(owner), single) as tree:
            tree.mounts = [] if tree.name else points_below(points, encode(path))
            yield tree
        return
    if write and owner not in (None, b"/"):
        raise UsageError("'%s' of container '%s' is no part of the container that stays (%s is mounted there)"
                         % (params["path"], params["container"], show(owner)))
    yield ApiTree(engine, container, path, gnu=gnu, running=running, layer=mount is None, single=single,
                  mounts=points_below(points, encode(path)))


@contextlib.contextmanager
def _beside_mount(engine, image, mount, path, owner, single):
    inside = posixpath.relpath(path, owner)
    if mount["Type"] == "volume":
        source = {"Type": "volume", "Source": mount["Name"], "VolumeOptions": {"NoCopy": True}}
    elif mount["Type"] == "bind":
        folder = mount["Source"]
        if path == owner and not _is_folder(engine, image, folder):
            folder, inside = posixpath.split(folder)
        source = {"Type": "bind", "Source": folder}
    else:
        raise UsageError("'%s' is in memory (%s) and does not survive the container" % (path, mount["Type"]))
    with _helper(engine, image, source, "" if inside == "." else inside, True, single) as tree:
        yield tree


def _is_folder(engine, image, source):
    mount = {"Type": "bind", "Source": source, "Target": _MOUNT, "ReadOnly": True}
    with engine.helper(image, mounts=[mount]) as container:
        return bool(engine.stat(container, _MOUNT)["mode"] & _DIRECTORY)


def _resolve(engine, container, path, within=None):
    """Return a path (str) of a container without links; parts that are missing stay as they are.

    :param within: str, a folder that must not be left through a link, or None.
    """
    todo, done, links = [part for part in path.split("/") if part], "/", 0
    while todo:
        part = todo.pop(0)
        if part in (".", ".."):
            done = posixpath.dirname(done) if part == ".." else done
            continue
        here = posixpath.join(done, part)
        found = engine.find_path(container, here)
        if found is None or not found["mode"] & _LINK:
            done = here
            continue
        links += 1
        if links > _MAX_LINKS:
            raise UsageError("'%s' is a link in circles" % path)
        done, todo = "/", [part for part in found["linkTarget"].split("/") if part] + todo
    if within and posixpath.commonpath([within, done]) != within:
        raise UsageError("'%s' leads out of its volume through a link" % path[len(within):],
                         "Give the path of a container instead.")
    return done


def _has_gnu_tar(engine, container):
    try:
        rc, output, _errors = engine.run(container, ["tar", "--version"], user="0", check=False)
    except BackupError:
        return False
    return rc == 0 and is_gnu(output)


def command(argv):
    """Return the command (list of str) that runs GNU tar with these arguments (list of bytes) in a container."""
    return portable([b"tar", *argv])
