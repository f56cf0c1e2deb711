# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree that is changed entry by entry, by the shell of a helper container: the operations of _place.DirectPlace.

Nothing but a POSIX shell and the usual small programs is needed there.
"""
from __future__ import annotations

import contextlib
import os

from ._errors import CommandError, EngineError
from ._paths import join, parent

_ERRORS = b"/moodle_backup_errors"
_BATCH = 500  # names in one call of mv; even the longest ones fit into a command line


def _quoted(word):
    # Standard input carries any bytes, so quotes are all that is needed.
    return b"'" + word.replace(b"'", b"'\\''") + b"'"


class Shell:
    """A shell in a container that runs one script after another: starting a program each time takes much longer.

    :param stream: ExecStream of "sh" with standard input.
    """

    def __init__(self, stream):
        self._stream = stream
        self._chunks = stream.chunks()
        self._mark = b"\n%s " % os.urandom(16).hex().encode("ascii")

    def run(self, code, words=()):
        """Run shell code. Return its standard output (bytes).

        :param words: list of bytes, of any content, that the code finds as "$1", "$2" …
        :raises: CommandError with the last lines of standard error if the code fails.
        """
        script = b"(set -e; set -- %s\n%s\n) </dev/null 2>%s; printf '\\n%s %%s\\n' $?\n" % (
            b" ".join(map(_quoted, words)), code.encode("ascii"), _ERRORS, self._mark.strip())
        self._stream.send(script)
        output, rc = self._answer()
        if rc != 0:
            message = self.run('tail -c 2000 "$1"', [_ERRORS]).decode("utf-8", "replace").strip()
            raise CommandError("%s failed (exit code %d): %s" % (self._stream.what, rc, message or "no message"), rc=rc)
        return output

    def _answer(self):
        data = b""
        while True:
            output, found, rest = data.partition(self._mark)
            if found and rest.endswith(b"\n"):
                return output, int(rest)
            chunk = next(self._chunks, None)
            if chunk is None:
                raise EngineError("%s: the connection to the engine was cut" % self._stream.what)
            data += chunk

    def close(self):
        self._stream.close_stdin()
        self._stream.abort()


class ShellPlace:
    """A tree in a running helper container.

    :param shell: Shell of the container. :param root: bytes, absolute path of the tree there.
    :param gnu_tar: bool, whether its tar is GNU tar; without it extended attributes of a folder are not copied.
    """

    def __init__(self, shell, root, gnu_tar):
        self._shell, self._root, self._gnu_tar = shell, root, gnu_tar

    def _at(self, path):
        return join(self._root.rstrip(b"/"), path) if path else self._root

    def _sh(self, code, words=()):
        return self._shell.run(code, words)

    def names(self, path):
        listing = self._sh(
            'cd -- "$1" 2>/dev/null || exit 0\n'
            'for n in * .[!.]* ..?*; do if [ -e "$n" ] || [ -L "$n" ]; then printf \'%s\\0\' "$n"; fi; done',
            [self._at(path)],
        )
        return sorted(listing.split(b"\0")[:-1])

    def _test(self, code, path):
        return self._sh("if %s; then echo yes; fi" % code, [self._at(path)]) == b"yes\n"

    def exists(self, path):
        return self._test('[ -e "$1" ] || [ -L "$1" ]', path)

    def is_folder(self, path):
        return self._test('[ -d "$1" ] && [ ! -L "$1" ]', path)

    def make(self, path):
        self._sh('mkdir -m 700 -- "$1"', [self._at(path)])

    def move(self, pairs):
        for target, names in self._batches(pairs):
            # What has the target's name would be overwritten or moved into, so look before.
            self._sh(
                'd=$1; shift\n'
                'for s do t=$d/${s##*/}; if [ -e "$t" ] || [ -L "$t" ]; then echo "$t exists" >&2; exit 3; fi; done\n'
                'mv -- "$@" "$d/"', [self._at(target), *map(self._at, names)],
            )
        for source, target in pairs:
            if os.path.basename(source) != os.path.basename(target):
                self._sh(
                    'if [ -e "$2" ] || [ -L "$2" ]; then echo "$2 exists" >&2; exit 3; fi; mv -- "$1" "$2"',
                    [self._at(source), self._at(target)],
                )

    @staticmethod
    def _batches(pairs):
        """Yield (folder, entries) of those moves that keep the name, many of one target folder at once."""
        folders = {}
        for source, target in pairs:
            if os.path.basename(source) == os.path.basename(target):
                folders.setdefault(parent(target), []).append(source)
        for folder, names in folders.items():
            for start in range(0, len(names), _BATCH):
                yield folder, names[start:start + _BATCH]

    def copy_attributes(self, source, target):
        if self._gnu_tar:
            options = "--numeric-owner --xattrs --xattrs-include='*' --acls"
            code = 'tar -c --format=posix --no-recursion %s -C "$1" . | tar -x -p %s -C "$2"' % (options, options)
        else:
            code = 'chown "$(stat -c %u:%g -- "$1")" "$2"; chmod "$(stat -c %a -- "$1")" "$2"; touch -r "$1" "$2"'
        self._sh(code, [self._at(source), self._at(target)])

    @contextlib.contextmanager
    def times_kept(self):
        self._sh('touch -r "$1" /moodle_backup_times', [self._root])
        yield
        self._sh('touch -r /moodle_backup_times "$1"', [self._root])

    def remove(self, path):
        self._sh('rm -rf -- "$1"', [self._at(path)])

    def remove_if_empty(self, path):
        self._sh('rmdir -- "$1" 2>/dev/null || :', [self._at(path)])

    def read(self, path):
        return self._sh('cat -- "$1"', [self._at(path)])

    def write(self, path, data):
        self._sh('printf %s "$2" > "$1"', [self._at(path), data])

    def sync(self):
        self._sh('sync -f "$1" 2>/dev/null || sync', [self._root])
