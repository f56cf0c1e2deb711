# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that brings the stand-in site to the size of a real one. The same seed gives the same bytes.

The text compresses like Moodle's own code (gzip about 5 : 1), the noise not at all.
"""

from __future__ import annotations

import io
import itertools
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

MTIME = 1_735_689_600
POOL_BYTES = 48 << 20  # far more than a compressor looks back, so that a second use of a passage gains nothing
_SYLLABLES = """
    get set is has add user course context mod quiz grade forum file page block theme admin local output render data
    record table query param string array value config cache event task log role name id type list item count time
    start end check load save update delete create
"""
_MARKS = ("$this->", "(", ");\n        ", "]", "['", "']", " = ", "->", "::", " . ", ", ", "if (", ") {\n            ",
          "}\n\n    ", "return ", "// ", ";\n    ")


def text_pool(seed: str, size: int = POOL_BYTES) -> bytes:
    """Text that looks to a compressor like program code.

    :param size: in bytes.
    """
    rng, syllables = random.Random(seed), _SYLLABLES.split()
    names = sorted({"_".join(rng.choices(syllables, k=rng.randint(1, 3))) for unused in range(6000)})
    rng.shuffle(names)
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(names))))
    habits = [_phrase(rng, names, weights, 12) for unused in range(3000)]  # what programmers write again and again
    parts, length = [], 0
    while length < size:
        for _unused in range(2000):
            part = rng.choice(habits) if rng.random() < 0.12 else _phrase(rng, names, weights, 25)
            parts.append(part)
            length += len(part)
    return "".join(parts).encode()[:size]


def _phrase(rng: random.Random, names: list[str], weights: list[float], count: int) -> str:
    pairs = zip(rng.choices(names, cum_weights=weights, k=count), rng.choices(_MARKS, k=count))
    return "".join(itertools.chain.from_iterable(pairs))


def passages(rng: random.Random, pool: bytes, size: int) -> bytes:
    """Text of this size in bytes, put together from passages of the pool."""
    parts = []
    while size > 0:
        length = min(size, rng.randint(2000, 6000))
        start = rng.randrange(max(1, len(pool) - length))
        parts.append(pool[start : start + length])
        size -= len(parts[-1])
    return b"".join(parts)


def sizes(rng: random.Random, count: int, total: int) -> list[int]:
    """Sizes in bytes that differ by a factor of up to a thousand and add up to the total."""
    weights = [1 << rng.randrange(11) for unused in range(count)]
    found = [total * weight // sum(weights) for weight in weights]
    found[-1] += total - sum(found)
    return found


def code_files(seed: str, pool: bytes, count: int, total: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of PHP files that do nothing."""
    rng = random.Random(f"{seed}/code")
    head, tail = b"<?php\n// Filler of the benchmark.\n/*\n", b"\n*/\n"
    for index, size in enumerate(sizes(rng, count, total) if count else ()):
        body = passages(rng, pool, max(0, size - len(head) - len(tail)))
        yield f"{index // 900:02d}/{index // 30 % 30:02d}/file{index:05d}.php", head + body + tail


def text_files(seed: str, pool: bytes, total: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of compressible files."""
    rng = random.Random(f"{seed}/text")
    for index, size in enumerate(_blocks(total, 1 << 20)):
        yield f"text{index:04d}", passages(rng, pool, size)


def noise_files(seed: str, total: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of incompressible files."""
    rng = random.Random(f"{seed}/noise")
    for index, size in enumerate(_blocks(total, 4 << 20)):
        yield f"noise{index:04d}", rng.randbytes(size)


def _blocks(total: int, block: int) -> Iterator[int]:
    while total > 0:
        yield min(block, total)
        total -= block


def write_tar(path: Path, prefix: str, files: Iterator[tuple[str, bytes]], owner: int = 0) -> int:
    """Write a tar archive with the files below a folder named prefix. Return the size of their contents in bytes."""
    written = 0
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files:
            member = tarfile.TarInfo(f"{prefix}/{name}")
            member.size, member.mtime, member.mode, member.uid, member.gid = len(content), MTIME, 0o644, owner, owner
            archive.addfile(member, io.BytesIO(content))
            written += len(content)
    return written
