# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the test images from Debian packages and PyPI wheels; no container registry is needed.

Root file systems are made once and kept as zstd tarballs in the user's cache folder. Images are built again only
when what they are made of has changed, or when the engine does not have them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from recipes import BASES, IMAGES, PREFIX, Base, Image

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moodleclaude-backup"
MIRROR = os.environ.get("DEBIAN_MIRROR")  # mmdebstrap knows a default
LABEL = "org.moodleclaude.backup.recipe"
MTIME = 1_735_689_600  # every copied file gets this time, so that the same content gives the same layer

# Packages of which PyPI has no wheel; they are pure Python and built into one here.
SOURCE_ONLY = {"pgadmin4": ("jsonformatter~=0.3.4", "Flask-Principal==0.4.0")}


class BuildError(Exception):
    """An image cannot be built; the text says why and what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(command: list[str], **options) -> None:
    """Run a command quietly; on failure show the end of its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode:
        raise BuildError(f"{' '.join(command[:4])} … failed with exit code {done.returncode}:\n{done.stdout[-4000:]}")


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


# --- what an image is made of ---------------------------------------------------------------------------------------


def files_of(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def folder_digest(folder: Path) -> str:
    return digest(
        [
            (str(path.relative_to(folder)), os.access(path, os.X_OK), hashlib.sha256(path.read_bytes()).hexdigest())
            for path in files_of(folder)
        ]
    )


def base_digest(name: str) -> str:
    return digest(asdict(BASES[name]), platform.machine())


def recipe_of(name: str) -> str:
    """The hash of all that the image is made of, down to its base."""
    image = IMAGES[name]
    below = base_digest(image.base) if image.base else recipe_of(image.parent)
    return digest(below, image.args, [folder_digest(HERE / part) for part in (image.folder, *image.extra)])


# --- root file systems ----------------------------------------------------------------------------------------------


def tarball_of(base: str) -> Path:
    return CACHE / f"{base}-{base_digest(base)}.tar.zst"


@contextlib.contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary name that becomes `path` only when the work on it has succeeded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.rename(path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def pip(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]


def wheels_for_debian() -> list[str]:
    """The pip options that choose wheels for Debian 12's Python 3.11, whatever Python runs here."""
    options = ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]
    for abi in ("cp311", "abi3", "none"):
        options += ["--abi", abi]
    for tag in ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1"):
        options += ["--platform", f"{tag}_{platform.machine()}"]
    return options


def wheels_of(base: Base) -> Path:
    """A folder with the base's Python requirements and all that they need, as wheels."""
    folder = CACHE / f"wheels-{digest(base.wheels, platform.machine())}"
    if folder.is_dir():
        return folder
    with published(folder) as partial:
        partial.mkdir()
        for requirement in base.wheels:
            for source in SOURCE_ONLY.get(requirement.split("==")[0], ()):
                # Where the package `wheel` is not installed, older versions of pip fail without this option.
                run(pip("wheel", "--use-pep517", "--no-deps", "--wheel-dir", str(partial), source))
        run(pip("download", "--find-links", str(partial), *wheels_for_debian(), "--dest", str(partial), *base.wheels))
    return folder


def installation_of(base: Base) -> str:
    """The shell command, but for --target, that installs the base's wheels without network."""
    if not base.wheels:
        return ""
    options = ["--no-index", "--find-links", str(wheels_of(base)), "--no-compile", "--root-user-action=ignore"]
    return shlex.join(pip("install", *options, *wheels_for_debian(), *base.wheels))


def make_tarball(name: str) -> None:
    """Make the root file system unless the cache has it."""
    path = tarball_of(name)
    if path.exists():
        return
    for tool in ("mmdebstrap", "zstd"):
        if not shutil.which(tool):
            raise BuildError(f"{tool} is not installed; run: apt-get install mmdebstrap zstd")
    base = BASES[name]
    started = time.monotonic()
    command = ["mmdebstrap", "--quiet", f"--variant={base.variant}", f"--include={','.join(base.packages)}"]
    command += ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Retries "3"']
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in base.exclude]
    command += [f"--essential-hook={line}" for line in base.before]
    # The variant "extract" configures nothing and knows no later hook; its last step wants apt's folders.
    last = "extract" if base.variant == "extract" else "customize"
    command += [f"--{last}-hook={line}" for line in base.after]
    command += ["--skip=cleanup"] if base.variant == "extract" else []
    environment = {**os.environ, "PIP_INSTALL": installation_of(base), "LC_ALL": "C.UTF-8"}
    with published(path) as partial, tempfile.TemporaryDirectory() as work:
        plain = Path(work, "root.tar")
        mirror = [f"deb {MIRROR} {base.suite} main"] if MIRROR else []
        run([*command, base.suite, str(plain), *mirror], env=environment)
        run(["zstd", "--quiet", "-T0", "-3", str(plain), "-o", str(partial)])
    for old in CACHE.glob(f"{name}-*.tar.zst"):
        if old != path:
            old.unlink()
    say(f"base {name}: {path.stat().st_size >> 20} MB in {time.monotonic() - started:.0f} s")


def import_tarball(base: str, tag: str) -> None:
    with subprocess.Popen(["zstd", "-dcq", str(tarball_of(base))], stdout=subprocess.PIPE) as source:
        run(["docker", "import", "-", tag], stdin=source.stdout)
    if source.returncode:
        raise BuildError(f"the cached file {tarball_of(base)} is damaged; remove it and build again")


# --- images ---------------------------------------------------------------------------------------------------------


def inspect(names: list[str]) -> dict[str, dict]:
    """Those of the images that the engine has, as the engine describes them."""
    command = ["docker", "image", "inspect", *(PREFIX + name for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "no such image" not in done.stderr.lower():
        raise BuildError(f"the Docker engine does not answer: {done.stderr.strip()}")
    found = {tag: entry for entry in json.loads(done.stdout or "[]") for tag in entry["RepoTags"] or ()}
    return {name: found[PREFIX + name] for name in names if PREFIX + name in found}


def is_current(name: str, have: dict[str, dict]) -> bool:
    """True when the image is there, made from this recipe, and shares its parent's layers if that is there too."""
    if name not in have or (have[name]["Config"].get("Labels") or {}).get(LABEL) != recipe_of(name):
        return False
    parent = have.get(IMAGES[name].parent)
    layers = parent["RootFS"]["Layers"] if parent else []
    return have[name]["RootFS"]["Layers"][: len(layers)] == layers


def stage(image: Image, context: Path) -> None:
    """Copy what the Dockerfile needs, with modes and times that do not depend on this checkout."""
    for source, target in [(HERE / image.folder, context), *((HERE / part, context / part) for part in image.extra)]:
        for path in files_of(source):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
    for path in [context, *context.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (MTIME, MTIME))


def build_image(name: str, replaced: str = "") -> None:
    """Build one image; the one that it replaces, an image ID, goes if no container needs it."""
    image = IMAGES[name]
    started = time.monotonic()
    below = PREFIX + image.parent
    if image.base:
        below = f"{PREFIX}base:{image.base}-{os.getpid()}"
        import_tarball(image.base, below)
    command = ["docker", "build", "--quiet", "--force-rm", "--tag", PREFIX + name]
    command += ["--label", f"{LABEL}={recipe_of(name)}"]
    for key, value in {"BASE": below, **image.args}.items():
        command += ["--build-arg", f"{key}={value}"]
    try:
        with tempfile.TemporaryDirectory() as context:
            stage(image, Path(context))
            run([*command, context], env={**os.environ, "DOCKER_BUILDKIT": "0"})
    finally:
        if image.base:  # only the name goes: removing the image later then removes the base's layers, too
            run(["docker", "rmi", "--no-prune", below])
    if replaced:
        subprocess.run(["docker", "rmi", replaced], capture_output=True, check=False)
    say(f"image {PREFIX}{name}: {time.monotonic() - started:.0f} s")


def build(names: list[str]) -> int:
    """Build what is not current, bases two at a time; returns how many images were built."""
    wanted = [name for name in IMAGES if name in names or any(IMAGES[other].parent == name for other in names)]
    have = inspect(wanted)
    stale = [name for name in wanted if not is_current(name, have)]
    stale = [name for name in stale if name in names or any(IMAGES[other].parent == name for other in stale)]
    stale += [name for name in names if IMAGES[name].parent in stale and name not in stale]
    with ThreadPoolExecutor(max_workers=2) as pool:
        ready = {IMAGES[name].base: pool.submit(make_tarball, IMAGES[name].base) for name in stale if IMAGES[name].base}
        for name in stale:
            if IMAGES[name].base:
                ready[IMAGES[name].base].result()
            build_image(name, replaced=have.get(name, {}).get("Id", ""))
    return len(stale)


def full_name(name: str) -> str:
    """The key of IMAGES that the user means: with or without prefix and tag."""
    short = name.removeprefix(PREFIX)
    short = short if ":" in short else f"{short}:latest"
    if short not in IMAGES:
        raise BuildError(f"no image is called {name!r}; there are: {', '.join(IMAGES)}")
    return short


def main() -> int:
    parser = argparse.ArgumentParser(prog="build", description="Build the test images.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(IMAGES)}")
    parser.add_argument("--all", action="store_true", help="build all of them")
    parser.add_argument("--list", action="store_true", help="print the images' names and stop")
    options = parser.parse_args()
    if options.list:
        print("\n".join(PREFIX + name for name in IMAGES))
        return 0
    if not options.names and not options.all:
        parser.error("say which image, or --all")
    try:
        built = build(list(IMAGES) if options.all else [full_name(name) for name in options.names])
    except BuildError as error:
        say(f"build: {error}")
        return 1
    say(f"{built} image(s) built" if built else "all images are current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
