# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree with everything that a file system allows."""

from __future__ import annotations

import os
import socket
import struct

ODD_NAMES = [
    b"with space", b"new\nline", b"quote'", b'double"', b"-leading-dash", b"--checkpoint-action=exec=false",
    b"\xff\xfe", b"\xc3\xa4\xc3\xb6", b"back\\slash\\n", b"star*", b"[set]", b"$HOME", b"`id`", b"%s%d", b"~", b"#",
    b"a" * 255, b"trailing newline\n", b"...", b" ",
]
_ANY = 0xFFFFFFFF
# user::rwx, user:33:r-x, group::r-x, mask::rwx, other::---
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, who)
    for tag, rights, who in ((1, 7, _ANY), (2, 5, 33), (4, 5, _ANY), (16, 7, _ANY), (32, 0, _ANY))
)
TIME = 1_700_000_000_123_456_789


def make_odd_tree(path, nodes=True, sparse=64 << 20):
    """Make the tree in an existing folder. nodes: also devices, which only root can make. sparse: bytes of one hole."""
    root = os.fsencode(path)

    def at(*parts):
        return os.path.join(root, *parts)

    def write(name, data=b"content", mode=0o644):
        with open(name, "wb") as handle:
            handle.write(data)
        os.chmod(name, mode)

    for number, name in enumerate(ODD_NAMES):
        write(at(name), b"%d" % number)
    os.mkdir(at(b"odd folders"))
    for name in ODD_NAMES:
        os.mkdir(at(b"odd folders", name))
    deep = at(b"deep")
    for _level in range(12):
        os.mkdir(deep)
        deep = os.path.join(deep, b"d" * 60)
    os.mkdir(at(b"empty"))
    os.mkdir(at(b"cache"))
    os.mkdir(at(b"cache", b"inner"))
    write(at(b"cache", b"inner", b"file"))
    write(at(b"secret.key"), b"\0\xffkey", 0o400)
    write(at(b"none"), b"", 0o000)
    write(at(b"setuid"), b"x", 0o4755)
    os.chmod(at(b"empty"), 0o2770)
    write(at(b"owned"))
    os.chown(at(b"owned"), 33, 4_000_000)
    os.symlink(b"/etc/passwd", at(b"absolute"))
    os.symlink(b"../../../../../../etc", at(b"climbing"))
    os.symlink(b"nowhere\n\xff", at(b"dangling"))
    os.lchown(at(b"dangling"), 33, 33)
    os.symlink(b"cache", at(b"to folder"))
    write(at(b"hard one"), b"shared")
    os.link(at(b"hard one"), at(b"cache", b"hard two"))
    os.link(at(b"hard one"), at(b"odd folders", b"hard three"))
    write(at(b"attributes"))
    os.setxattr(at(b"attributes"), "user.odd", b"\0\xff\n=value")
    os.setxattr(at(b"attributes"), "system.posix_acl_access", ACL)
    os.setxattr(at(b"empty"), "user.folder", b"1")
    os.setxattr(at(b"empty"), "system.posix_acl_default", ACL)
    with open(at(b"sparse"), "wb") as handle:
        handle.truncate(sparse)
        handle.seek(sparse // 2)
        handle.write(b"island")
    os.mkfifo(at(b"fifo"), 0o640)
    if nodes:
        os.mknod(at(b"device"), 0o020600, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(root, os.O_RDONLY)
        listener.bind("/proc/self/fd/%d/socket" % folder)
        os.close(folder)
    os.chown(root, 33, 33)
    os.chmod(root, 0o2750)
    os.setxattr(root, "user.root", b"r")
    _set_times(root)


def _set_times(root):
    for folder, folders, files in os.walk(root, topdown=False):
        for number, name in enumerate(sorted([*folders, *files])):
            os.utime(os.path.join(folder, name), ns=(TIME, TIME + number * 1_000_000_007), follow_symlinks=False)
    os.utime(root, ns=(TIME, TIME))
