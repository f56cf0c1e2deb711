# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts the file system of a container that does not run, as the engine's overlay2 driver would.

The mount lives in a mount namespace of its own that ends at once; only an open descriptor keeps it. Nothing can be left
behind, whatever kills this process, and no other process ever sees the mount.
"""
from __future__ import annotations

import ctypes
import os
import threading

from ._errors import StorageError

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REC, _MS_PRIVATE = 0x1, 0x4000, 0x40000
_PAGE = 4096  # bytes; the kernel takes no longer options


def supported(graph_driver):
    """True if the engine says (dict GraphDriver of docker inspect) that overlay2 holds the container's files."""
    data = graph_driver.get("Data") or {}
    return graph_driver.get("Name") == "overlay2" and all(data.get(key) for key in ("LowerDir", "UpperDir", "WorkDir"))


def mount_options(data, link, writable, index_known):
    """Return the options (str) of the overlay mount.

    :param data: dict with LowerDir, UpperDir, WorkDir as docker inspect gives them.
    :param link: function that returns the short name, "l/…" relative to the driver's home, of a layer's folder (str).
    :param writable: bool; if not, the container's own layer is but the topmost of those that are read.
    """
    lower = [link(path) for path in data["LowerDir"].split(":")]
    if not writable:
        return "lowerdir=" + ":".join([link(data["UpperDir"])] + lower)
    options = "lowerdir=%s,upperdir=%s,workdir=%s" % (":".join(lower), data["UpperDir"], data["WorkDir"])
    return "index=off," + options if index_known else options


def home(data):
    """Return the folder (str) in which the overlay2 driver keeps its layers."""
    return os.path.dirname(os.path.dirname(data["UpperDir"]))


def _short_link(path):
    # A container with many layers does not fit into the kernel's page with the full names; the driver has short ones.
    try:
        with open(os.path.join(os.path.dirname(path), "link")) as handle:
            return "l/" + handle.read().strip()
    except OSError:
        return path


def open_root(graph_driver, writable):
    """Return an O_PATH descriptor of the container's root folder.

    :raises: StorageError if the mount is not possible (no right to mount, for example).
    """
    data = graph_driver["Data"]
    index_known = os.path.exists("/sys/module/overlay/parameters/index")
    options = mount_options(data, _short_link, writable, index_known)
    outcome = {}

    def work():
        try:
            outcome["fd"] = _mounted(home(data), data["UpperDir"], options, writable)
        except OSError as error:
            outcome["error"] = error

    # A thread has a namespace and a working directory of its own as soon as it asks for one.
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise StorageError("The container's layers cannot be mounted: %s" % outcome["error"].strerror)
    return outcome["fd"]


def _mounted(folder, target, options, writable):
    if len(options) >= _PAGE:
        raise OSError(0, "the container has too many layers")
    libc = ctypes.CDLL(None, use_errno=True)
    _call(libc.unshare, _CLONE_NEWNS)
    _call(libc.mount, b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
    os.chdir(folder)
    flags = 0 if writable else _MS_RDONLY
    target = os.fsencode(target)
    _call(libc.mount, b"overlay", target, b"overlay", ctypes.c_ulong(flags), os.fsencode(options))
    return os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _call(function, *args):
    if function(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
