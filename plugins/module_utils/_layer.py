# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a tree that lies in a container's writable layer.

There is nothing old to keep there: the container was created from its image a moment ago. So the tree is made like the
archive in place, and what the image holds already is not written again.
"""
from __future__ import annotations

import hashlib
import os

from . import _beneath
from ._merge import Merge
from ._paths import Patterns, ancestors, is_within, join, parent, show
from ._place import DirectPlace, copy_attributes
from ._switch import Switch, owner_of
from ._tarstream import members
from ._unpack import put, unpack_direct

_EXTRA = 1000  # how many paths are returned at the most


def restore_direct(selection, tree, transaction):
    """Make an open tree like the archive. Return (list of changed paths, their number, entries in the archive)."""
    place = DirectPlace(tree.root)
    work = Switch(place, transaction, tree.name)
    with place.times_kept():
        place.remove(work.part)
        place.make(work.part)
        place.make(join(work.part, b"tree"))
    try:
        entries = unpack_direct(selection, tree.root, join(work.part, b"tree"), tree.name)
        if selection.paths is None and tree.name is None:
            merge = _merge(selection, tree, place, work.part)
        else:
            with place.times_kept():
                merge = _merge(selection, tree, place, work.part)
    finally:
        # If the root itself was restored it has the archive's times now, and keeps them.
        with place.times_kept():
            place.remove(work.part)
    return merge.changed, merge.count, entries


def _merge(selection, tree, place, part):
    own = {name for name in place.names(b"") if owner_of(name) is not None}
    kept = Patterns(selection.keep).expand(place.names, place.is_folder)
    merge = Merge({*kept, *tree.mounts, *own})
    source = _beneath.open_folder(tree.root, join(part, b"tree"))
    try:
        if tree.name is not None:
            merge.entry(source, tree.root, tree.name, tree.name)
        elif selection.paths is None:
            merge.folder(source, tree.root)
        else:
            for path in selection.paths:
                _merge_part(merge, source, tree.root, path)
    finally:
        os.close(source)
    return merge


def _merge_part(merge, source, root, path):
    for above in ancestors(path):
        _make_like(source, root, above)
    here, there = _beneath.open_folder(source, parent(path)), _beneath.open_folder(root, parent(path))
    try:
        merge.entry(here, there, path.rpartition(b"/")[2], path)
    finally:
        os.close(here)
        os.close(there)


def _make_like(source, root, path):
    here, there = _beneath.open_folder(source, path), _beneath.open_folder(root, parent(path))
    try:
        name = path.rpartition(b"/")[2]
        try:
            made = _beneath.make_folder(there, name)
        except FileExistsError:
            return
        copy_attributes(here, made)
        os.close(made)
    finally:
        os.close(here)
        os.close(there)


def restore_api(selection, tree):
    """Unpack into a container through the engine's archive endpoint.

    :returns: list of paths that are in the container's tree and not in the archive (outermost ones); they are left.
    """
    with selection.content() as chunks:
        put(tree, b"", selection, chunks, tree.name)
    if tree.name is not None or selection.paths is not None:
        return []
    archived = {_short(name) for name in selection.names()}
    kept, extra = Patterns(selection.keep), []
    for name, _member, _archive in members(tree.engine.get_archive(tree.container, tree.path.rstrip("/") + "/.")):
        if not name or _short(name) in archived or kept.match(name):
            continue
        if any(is_within(name, path) for path in tree.mounts) or (extra and is_within(name, extra[-1])):
            continue
        if len(extra) < _EXTRA:
            extra.append(name)
    return [show(name) for name in extra]


def _short(name):
    # Names are many and long; eight bytes of a checksum are enough to tell them apart.
    return hashlib.sha256(name).digest()[:8]


def names(tree):
    """Return the names (list of bytes) at the top of an ApiTree, read through the archive endpoint."""
    chunks = tree.engine.get_archive(tree.container, tree.path.rstrip("/") + "/.")
    return sorted({name.split(b"/")[0] for name, _member, _archive in members(chunks) if name})
