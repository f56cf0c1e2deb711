# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command lines of GNU tar (lists of bytes). Pure.

Members are "./", "./a", "./a/b"; a tree that is a single file is one member without "./".
"""
from __future__ import annotations

from ._paths import ancestors, is_within, parent, remaining_pattern

# Names are compared bytewise, and nobody's settings add options.
ENVIRONMENT = {"LC_ALL": "C", "TAR_OPTIONS": ""}
CREATE = [
    b"--create", b"--file=-", b"--format=posix", b"--numeric-owner", b"--xattrs", b"--xattrs-include=*", b"--acls",
    b"--sparse", b"--sort=name", b"--pax-option=delete=atime,delete=ctime,exthdr.name=./PaxHeaders/%f",
    b"--no-unquote", b"--anchored", b"--wildcards", b"--no-wildcards-match-slash",
]
EXTRACT = [
    b"--extract", b"--file=-", b"--preserve-permissions", b"--same-owner", b"--numeric-owner", b"--xattrs",
    b"--xattrs-include=*", b"--acls", b"--delay-directory-restore",
    b"--no-unquote", b"--anchored", b"--wildcards", b"--no-wildcards-match-slash",
]


def is_gnu(version):
    """True if this is the output (bytes) of GNU tar's --version."""
    return b"GNU tar" in version


def create_tree(folder, excludes):
    """Return the arguments that archive a folder.

    :param folder: bytes, where tar finds it. :param excludes: patterns relative to it.
    """
    return CREATE + [b"--exclude=./" + pattern for pattern in excludes] + [b"--directory=" + folder, b"./"]


def create_file(folder, name):
    """Return the arguments that archive one file of a folder."""
    return CREATE + [b"--directory=" + folder, b"--add-file=" + name]


def create_parts(folders, paths, excludes):
    """Return the arguments that archive parts of a tree, with the entries of the folders above them.

    Each part is reached through the open folder that holds it, so that no link above it is followed, whatever happens
    in the tree meanwhile; --transform gives the members their names in the tree.

    :param folders: dict of relative path to where tar finds that folder (bytes, absolute): the root (b"") and every
        folder above a part. :param paths: relative paths. :param excludes: patterns relative to the tree.
    """
    argv, members = list(CREATE), []
    for folder, place in sorted(folders.items()):
        seen = place.lstrip(b"/") + b"/"
        named = b"./" + folder + b"/" if folder else b"./"
        argv.append(b"--transform=s,^%s,%s,S" % (_regex(seen), _replacement(named)))
        for pattern in excludes:
            rest = remaining_pattern(pattern, folder)
            if rest:
                argv.append(b"--exclude=" + literal(seen) + rest)
    above = sorted({folder for path in paths for folder in ancestors(path)})
    for folder in above:
        members.append(folders[parent(folder)].lstrip(b"/") + b"/" + folder.rpartition(b"/")[2])
    argv += [b"--no-recursion", b"--directory=" + folders[b""], b"./", b"--directory=/"]
    argv += [b"--add-file=" + member for member in members] + [b"--recursion"]
    return argv + [b"--add-file=" + folders[parent(path)].lstrip(b"/") + b"/" + path.rpartition(b"/")[2]
                   for path in outermost(paths)]


def create_named_parts(folder, paths, excludes):
    """Return the arguments that archive parts of a tree by their names: the links above them are the caller's care."""
    argv = CREATE + [b"--exclude=./" + pattern for pattern in excludes]
    argv += [b"--no-recursion", b"--directory=" + folder, b"./"]
    argv += [b"--add-file=./" + path for path in sorted({above for path in paths for above in ancestors(path)})]
    return argv + [b"--recursion"] + [b"--add-file=./" + path for path in outermost(paths)]


def outermost(paths):
    """Return the paths (sorted list) that are not inside another one of them."""
    unique = sorted(set(paths))
    return [path for path in unique if not any(path != other and is_within(path, other) for other in unique)]


def extract_tree(folder, excludes, paths=None):
    """Return the arguments that unpack an archive into a folder.

    :param excludes: patterns of what is left out. :param paths: relative paths, the only ones that are unpacked (with
        the entries of the folders above them); None for all.
    """
    argv = EXTRACT + [b"--exclude=./" + pattern for pattern in excludes] + [b"--directory=" + folder]
    if paths is None:
        return argv
    above = sorted({folder for path in paths for folder in ancestors(path)})
    argv += [b"--no-wildcards", b"--no-recursion", b"./"]
    argv += [b"./" + path for path in above] + [b"--recursion"]
    return argv + [b"./" + path for path in outermost(paths)]


def extract_file(folder, name):
    """Return the arguments that unpack the only member of an archive under this name."""
    return EXTRACT + [b"--directory=" + folder, b"--transform=s,^.*$,%s," % _replacement(name)]


def left_out(path, excludes):
    """True if a pattern leaves out a relative path itself or a folder above it."""
    return any(remaining_pattern(pattern, path) == b"" for pattern in excludes)


def portable(argv):
    """Return a command (list of str) that runs argv (list of bytes), as the engine takes it.

    The engine's interface is JSON and cannot carry bytes that are not UTF-8; then the shell puts them together.
    """
    try:
        return [word.decode("utf-8") for word in argv]
    except UnicodeDecodeError:
        return ["sh", "-c", shell_words(argv) + '"$@"']


def shell_words(words):
    """Return shell code (ASCII str) that makes words (list of bytes, of any content) the shell's arguments."""
    lines = ["set --\n"]
    for word in words:
        # $() drops newlines at the end, hence the point that is cut off again.
        lines.append("w=$(printf '%s.'); set -- \"$@\" \"${w%%.}\"\n" % "".join("\\%03o" % byte for byte in word))
    return "".join(lines)


def _regex(text):
    return _escaped(text, b".*[]^$\\,")


def _replacement(text):
    return _escaped(text, b"\\&,")


def literal(text):
    """Return a pattern (bytes) that matches just this path."""
    return _escaped(text, b"*?[]\\")


def _escaped(text, special):
    return b"".join(b"\\" + bytes([byte]) if byte in special else bytes([byte]) for byte in text)
