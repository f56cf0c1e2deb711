# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small backups without a site, made the way that backups are made."""

from __future__ import annotations

import hashlib
import os

SECRET = b"dbpass = 'database-password-in-a-backup'"


def make(root, name, blobs=(), stack="school", archive=b"archive", share=None, **metadata):
    """Make a backup and return its folder (str).

    :param root: _backup_set.Root. :param blobs: contents (bytes) of stored files. :param share: name of an earlier backup whose
        archive is linked.
    """
    # pytest-ansible makes the collection importable after this file has been read.
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _hash_list, _pool

    begun = _backup_set.begin(root, stack, name, "test")
    folder, dest = begun["folder"], os.path.join(begun["folder"], "application.tar")
    if share:
        os.link(os.path.join(root.folder(share), "application.tar"), dest)
    else:
        with open(dest, "wb") as handle:
            handle.write(archive)
    with open(os.path.join(folder, "config.php"), "wb") as handle:
        handle.write(SECRET)
    digests = {hashlib.sha1(content).hexdigest(): content for content in blobs}
    if blobs:
        pool = _pool.Pool(root.pool(stack))
        with pool.writer() as writer:
            for sha1, content in digests.items():
                if not pool.has(sha1):
                    writer.add(sha1, [content])
        path = os.path.join(folder, _hash_list.FILENAME)
        with open(path, "w", encoding="ascii") as handle:
            handle.writelines(_hash_list.render(sha1, _hash_list.pool_prefix(pool.path, path)) for sha1 in sorted(digests))
    with open(dest, "rb") as handle:
        artefact = {"file": "application.tar", "sha256": hashlib.sha256(handle.read()).hexdigest()}
    metadata.setdefault("artefacts", [artefact])
    return _backup_set.publish(root, stack, begun["name"], "test", metadata)["folder"]


def blob_path(root, content, stack="school"):
    """Return where a blob is below a root or a copy (str). :param root: its path. :param content: bytes."""
    sha1 = hashlib.sha1(content).hexdigest()
    return os.path.join(str(root), "pools", stack, "filedir", sha1[:2], sha1[2:4], sha1)


def flip(path, position=0):
    """Flip a bit of a file without changing its times or its mode."""
    found = os.stat(path)
    with open(path, "r+b") as handle:
        handle.seek(position)
        byte = handle.read(1)[0]
        handle.seek(position)
        handle.write(bytes([byte ^ 1]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def contents(folder):
    """Return {relative path: content} of all files below a folder."""
    found = {}
    for base, _folders, files in os.walk(folder):
        for name in files:
            path = os.path.join(base, name)
            with open(path, "rb") as handle:
                found[os.path.relpath(path, folder)] = handle.read()
    return found
