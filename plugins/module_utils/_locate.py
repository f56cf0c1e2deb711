# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds a tree on this host, as an open folder: the direct way.

A tree is what lies below one path of a volume, of a container or of this host, in one mount: what is mounted below it
is another tree.
"""
from __future__ import annotations

import contextlib
import os

from . import _beneath, _overlay
from ._errors import NotFoundError, StorageError, UsageError
from ._paths import covering, encode, is_within, join, mount_points, points_below, show

# What the engine itself puts into every container that runs.
_ENGINE_POINTS = (b"/dev", b"/proc", b"/sys", b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf")


class DirectTree:
    """A tree that was found. As a context manager it closes what it holds.

    root: O_PATH descriptor of the tree's folder, or of the folder that holds its single file, None if that is missing;
    name: name of the single file (bytes), None for a folder; mounts: relative paths of what is mounted below (bytes);
    layer: True if it lies in a container's writable layer; exists: False if nothing is at the path; made: True if the
    folder was created just now; holder: (O_PATH descriptor of the folder above, name) of the tree's own folder.
    """

    def __init__(self, found, mounts, layer, single):
        self._found = found
        file = single if found.fd is None else not found.is_folder()
        self.name = found.name if file else None
        self.root = found.fd if self.name is None else found.parent
        self.mounts = mounts if self.name is None else []
        self.layer = layer
        self.exists = found.fd is not None
        self.made = found.made
        self.holder = (found.parent, found.name)

    def close(self):
        self._found.__exit__()


@contextlib.contextmanager
def direct_tree(engine, params, write=False, create=None, single=False):
    """Give the DirectTree that the options volume, container and path mean.

    :param write: bool, whether it is going to be changed. :param create: as _beneath.resolve takes it.
    :param single: bool, whether a single file is meant where nothing is yet.
    :raises: NotFoundError, UsageError, StorageError.
    """
    with contextlib.ExitStack() as cleanup:
        if params["volume"]:
            found, mounts, layer = _in_volume(engine, params["volume"], params["path"], write, create, cleanup)
        elif params["container"]:
            found, mounts, layer = _in_container(engine, params, write, create, cleanup)
        else:
            found, mounts, layer = _on_host(engine, params["path"], write, create, cleanup)
        tree = DirectTree(found, mounts, layer, single)
        cleanup.callback(tree.close)
        yield tree


def _opened(cleanup, fd):
    cleanup.callback(os.close, fd)
    return fd


def mountpoint(volume):
    """Return where a volume's files are on this host (str). :param volume: dict as docker volume inspect gives it."""
    path = volume.get("Mountpoint") or ""
    plain = volume.get("Driver") == "local" and not (volume.get("Options") or {}).get("device")
    if not path or not (plain or os.path.ismount(path)):
        raise StorageError("The files of volume '%s' are not on this host, or not mounted now" % volume["Name"])
    return path


def require_volume(engine, name):
    """Return the description of a volume (dict); NotFoundError if there is none."""
    found = engine.volume(name)
    if found is None:
        raise NotFoundError("There is no volume '%s'" % name, "Create it first, or check the name.")
    return found


def require_absolute(path, what):
    if not path.startswith("/"):
        raise UsageError("path: '%s' must be an absolute path %s" % (path, what))


def _in_volume(engine, name, path, write, create, cleanup):
    place = mountpoint(require_volume(engine, name))
    root = _opened(cleanup, _beneath.open_root(place))
    found = _beneath.resolve(root, encode(path), strict=True, create=create)
    here = join(os.path.realpath(encode(place)), found.path.lstrip(b"/"))
    return found, _mounts_on_host(engine, here, write), False


def _on_host(engine, path, write, create, cleanup):
    require_absolute(path, "on the Docker host")
    root = _opened(cleanup, _beneath.open_root("/"))
    found = _beneath.resolve(root, encode(path), create=create)
    return found, _mounts_on_host(engine, found.path, write), False


def _mounts_on_host(engine, path, write):
    with open("/proc/self/mountinfo", "rb") as handle:
        below = points_below(mount_points(handle.read()), path)
    # Moving a folder on which a running container has something mounted would take the mount away under it.
    return sorted({*below, *nested_mounts(engine.containers(all=False), path)}) if write else below


def nested_mounts(containers, path):
    """Return what containers have mounted inside a folder of this host that they have mounted itself.

    :param containers: list of dict with "Mounts", as the engine lists them. :param path: bytes, absolute.
    :returns: set of paths (bytes) relative to the folder.
    """
    nested = set()
    for container in containers:
        mounts = [(encode(mount.get("Source") or ""), encode(mount["Destination"])) for mount in container["Mounts"]]
        for source, destination in mounts:
            source = os.path.realpath(source) if source else b""
            if source and is_within(path, source):
                inside, prefix = join(destination.rstrip(b"/"), path[len(source):].lstrip(b"/")), b""
            elif source and is_within(source, path):
                inside, prefix = destination, source[len(path):].lstrip(b"/")
            else:
                continue
            nested |= {join(prefix, point) for point in points_below([other for _source, other in mounts], inside)}
    return nested


def _in_container(engine, params, write, create, cleanup):
    inspect = engine.container(params["container"])
    require_absolute(params["path"], "in the container")
    if inspect["State"]["Running"]:
        found, points, layer = _in_running(inspect, params["path"], create, cleanup)
    else:
        found, points, layer = _in_stopped(engine, inspect, params["path"], write, create, cleanup)
    if found.path in points and found.fd is not None and not found.is_folder():
        # A single file that is mounted can only be replaced where it comes from.
        source = next((mount["Source"] for mount in inspect["Mounts"]
                       if encode(os.path.normpath(mount["Destination"])) == found.path), None)
        if source is not None:
            found.__exit__()
            return _on_host(engine, source, write, create, cleanup)
    return found, points_below(points, found.path), layer


def _in_running(inspect, path, create, cleanup):
    base = "/proc/%d" % inspect["State"]["Pid"]
    root = _opened(cleanup, _beneath.open_root(base + "/root"))
    known = b""
    for name in ("/mountinfo", "/cgroup"):
        with open(base + name, "rb") as handle:
            known += handle.read()
    # The process may have ended, and its number may be another one's by now, or this is not the engine's host.
    if inspect["Id"].encode("ascii") not in known:
        raise StorageError("The process of container '%s' is not seen on this host" % inspect["Name"].lstrip("/"))
    points = mount_points(known)
    found = _beneath.resolve(root, encode(path), create=create)
    return found, points, covering(points, found.path) in (None, b"/")


def _in_stopped(engine, inspect, path, write, create, cleanup):
    # With containerd's image store, and with Podman, others keep the layers, and only the engine knows how.
    if not _overlay.supported(inspect.get("GraphDriver") or {}):
        raise StorageError("Container '%s' does not run, and its storage driver is not overlay2"
                           % inspect["Name"].lstrip("/"))
    root = _opened(cleanup, _overlay.open_root(inspect["GraphDriver"], write))
    table = {}
    for mount in sorted(inspect["Mounts"], key=lambda item: len(item["Destination"])):
        opener = _opener(engine, mount)
        if opener is not None:
            with _beneath.resolve(root, encode(mount["Destination"]), table) as place:
                canonical = place.path
            table[canonical] = opener
    found = _beneath.resolve(root, encode(path), table, create=create)
    return found, [*table, *_ENGINE_POINTS], found.mount is None


def _opener(engine, mount):
    def opened():
        source = mount["Source"]
        if mount["Type"] == "volume":
            source = mountpoint(require_volume(engine, mount["Name"]))
        try:
            return os.open(source, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise NotFoundError("'%s', mounted at '%s', cannot be opened: %s"
                                % (source, mount["Destination"], error.strerror)) from error

    return opened if mount["Type"] in ("volume", "bind") else None


def describe(params):
    """Return how messages name the tree (str)."""
    if params["volume"]:
        inside = params["path"].strip("/")
        return "volume '%s'%s" % (params["volume"], " (%s)" % inside if inside else "")
    if params["container"]:
        return "'%s' of container '%s'" % (params["path"], params["container"])
    return "'%s'" % params["path"]


def shown(paths):
    """Return paths (bytes) as a list of str for results."""
    return [show(path) for path in paths]
