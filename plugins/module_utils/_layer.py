# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a tree that lies in a container's writable layer.

There is nothing old to keep there: the container was created from its image a moment ago. So the tree is made like the
archive in place, and what the image holds already is not written again.
"""
from __future__ import annotations

import contextlib

from ._compare import Comparison, short
from ._paths import Patterns, is_within, show
from ._place import DirectPlace
from ._tarstream import members
from ._unpack import put, unpack_members

_EXTRA = 1000  # how many paths are returned at the most


def restore_direct(selection, tree):
    """Make an open tree like the archive. Return the Comparison that told what was to be done.

    The whole archive is read before anything is changed. Then GNU tar is given just those members that differ.
    """
    found = Comparison(selection, tree.root, tree.name, tree.mounts).run()
    if not found.count:
        return found
    place = DirectPlace(tree.root)
    whole = tree.name is None and selection.paths is None
    with contextlib.nullcontext() if whole else place.times_kept():
        for path in [*found.conflicts, *found.surplus]:
            place.remove(path)
        for path in found.plain:
            place.remove_attributes(path)
        unpack_members(selection, tree.root, tree.name, found.chooser())
    return found


def restore_api(selection, tree):
    """Unpack into a container through the engine's archive endpoint.

    :returns: list of paths that are in the container's tree and not in the archive (outermost ones); they are left.
    """
    with selection.content() as chunks:
        put(tree, b"", selection, chunks, tree.name)
    if tree.name is not None or selection.paths is not None:
        return []
    archived = {short(name) for name in selection.names()}
    kept, extra = Patterns(selection.keep), []
    for name, _member, _archive in members(tree.engine.get_archive(tree.container, tree.path.rstrip("/") + "/.")):
        if not name or short(name) in archived or kept.match(name):
            continue
        if any(is_within(name, path) for path in tree.mounts) or (extra and is_within(name, extra[-1])):
            continue
        if len(extra) < _EXTRA:
            extra.append(name)
    return [show(name) for name in extra]


def names(tree):
    """Return the names (list of bytes) at the top of an ApiTree, read through the archive endpoint."""
    chunks = tree.engine.get_archive(tree.container, tree.path.rstrip("/") + "/.")
    return sorted({name.split(b"/")[0] for name, _member, _archive in members(chunks) if name})
