# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts that run where a copy is, for sh, GNU coreutils and findutils. Pure.

"$1" is the folder that holds backups and pools, each script says what the others are. In a copy, besides:
backups/.partial_copy_<stack>@<name>/ (being copied), backups/.removed_<name>/ (being removed),
pools/<stack>/.incoming/ (blobs that are not checked yet), locks/<stack>.copy (one run at a time).
"""
from __future__ import annotations

# What is there: of each backup the checksum of its manifest, what retention needs of its metadata, and its site.
LIST = r"""
cd "$1/backups" 2>/dev/null || { [ ! -e "$1/backups" ] && echo end && exit 0; exit 1; }
find . -mindepth 2 -maxdepth 2 -type f -name backup_manifest.txt ! -path './.*' -exec sha256sum {} +
find . -mindepth 2 -maxdepth 2 -type f -name backup.json ! -path './.*' \
    -exec sh -c 'grep -EH "^( \"(complete|created|format|name|stack)\"|  \"siteidentifier\"): " "$@" /dev/null ||
        [ $? = 1 ]' sh {} +
echo end
"""

# $2 stack, $3 name of its lock: makes what is missing.
PREPARE = r"""
mkdir -p "$1/backups" "$1/locks" "$1/pools/$2/filedir"
: >>"$1/locks/$3"
"""

# $2 stack, $3 a partial folder that stays: removes the others that dead runs left.
CLEAN = r"""
cd "$1/backups"
for entry in ".partial_copy_$2@"* .removed_*; do
    [ "$entry" = "$3" ] || [ ! -d "$entry" ] || rm -rf -- "$entry"
done
"""

# $2 stack: "<sha1> <bytes> <seconds>" of each blob, sorted.
POOL = r"""
cd "$1/pools/$2/filedir" 2>/dev/null || { [ ! -e "$1/pools/$2/filedir" ] && exit 0; exit 1; }
{ find . -mindepth 3 -maxdepth 3 -type f -printf '%f %s %T@\n' || echo failed; } | sort
"""

# $2 folder of a backup: its manifest's checksum, what differs from it, "--", the manifest, "--", the files that there
# are.
CHECK = r"""
cd "$1/backups/$2"
sha256sum <backup_manifest.txt
sha256sum --strict --quiet --check backup_manifest.txt 2>/dev/null || [ $? = 1 ]
echo --
cat backup_manifest.txt
echo --
find . ! -type d -printf '%P\n'
"""

# $2 stack: the blobs that are known to be damaged, see _pool.
DAMAGED = r"""
[ ! -e "$1/pools/$2/damaged.json" ] || cat "$1/pools/$2/damaged.json"
"""

MANIFEST_SUM = r"""
sha256sum <"$1/backups/$2/backup_manifest.txt"
"""

# $2 stack: checks the blobs that have come in. Prints those that are not what their names say, and removes them.
CHECK_BLOBS = r"""
cd "$1/pools/$2"
rm -f .incoming.sha1 .incoming.bad
[ -d .incoming ] || { echo checked; exit 0; }
cd .incoming
find . -type f ! -name '????????????????????????????????????????' -delete
find . -type f -printf '%f  %p\n' >../.incoming.sha1
if [ -s ../.incoming.sha1 ] && ! sha1sum --strict --quiet --check ../.incoming.sha1 >../.incoming.bad 2>/dev/null; then
    [ -s ../.incoming.bad ]
    while IFS= read -r line; do
        path=${line%%: FAILED*}
        rm -f -- "$path"
        printf '%s\n' "${path##*/}"
    done <../.incoming.bad
fi
rm -f ../.incoming.sha1 ../.incoming.bad
echo checked
"""

# $2 stack: gives the blobs that have come in their names, after all of them are on disk.
TAKE_BLOBS = r"""
cd "$1/pools/$2"
[ -d .incoming ] || exit 0
sync -f .incoming
cp -rlf .incoming/. filedir/
rm -rf .incoming
"""

DROP_INCOMING = r"""
cd "$1/pools/$2"
rm -rf .incoming .incoming.sha1 .incoming.bad
"""

# $2 partial folder, $3 name: makes a checked folder a backup.
PUBLISH = r"""
cd "$1/backups"
sync -f "$2"
mv -T "$2" "$3"
sync -f .
"""

DROP = r"""
rm -rf "$1/backups/$2"
"""

# $2 name: removes a backup; whoever looks sees all of it or nothing.
REMOVE = r"""
cd "$1/backups"
rm -rf ".removed_$2"
mv -T "$2" ".removed_$2"
rm -rf ".removed_$2"
"""

# $2 stack: removes the blobs that no folder in the copy lists, whatever its state and stack. Prints how many.
SWEEP = r"""
cd "$1/pools/$2"
work=$(mktemp -d ./.sweep.XXXXXX)
trap 'rm -rf "$work"' EXIT
: >"$work/all"
for folder in ../../backups/* ../../backups/.partial_copy_*; do
    [ -d "$folder" ] || continue
    if [ -f "$folder/filedir.sha1" ]; then
        cut -c 1-40 "$folder/filedir.sha1" >>"$work/all"
    elif [ -f "$folder/backup_manifest.txt" ] && grep -q '  filedir[.]sha1$' "$folder/backup_manifest.txt"; then
        echo "$folder has lost its list of stored files, so none is removed" >&2
        exit 1
    fi
done
sort -u "$work/all" >"$work/needed"
find filedir -mindepth 3 -maxdepth 3 -type f -name '????????????????????????????????????????' \
    -printf '%f\n' >"$work/found"
sort "$work/found" >"$work/there"
comm -13 "$work/needed" "$work/there" >"$work/gone"
sed 's#^\(..\)\(..\)\(.*\)#filedir/\1/\2/\1\2\3#' "$work/gone" >"$work/paths"
xargs -r rm -f -- <"$work/paths"
wc -l <"$work/gone"
"""
