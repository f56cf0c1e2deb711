# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's stack: the stand-in site of the tests, brought to the size of a real one; its removal."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import filler

HERE = Path(__file__).resolve().parent
PREFIX = "mcb-bench"
WEB, DATABASE = f"{PREFIX}-web", f"{PREFIX}-db"
SOURCES = {"web": "moodleclaude-test/moodle:latest", "db": "moodleclaude-test/postgresql:15"}
IMAGES = {"web": f"{PREFIX}/web:1", "db": f"{PREFIX}/db:1"}
CODE, DATA = "/var/www/html", "/var/www/moodledata"
MB = 1_000_000
_RESTLESS = ("mdl_sessions",)  # a look at the login page begins one
NOISE_SHARE = 0.2  # of an image's filler; the whole image then compresses about as a real one does
# Settings of an image and how a Dockerfile says them.
_EACH = {"Env": "ENV", "ExposedPorts": "EXPOSE", "Volumes": "VOLUME"}
_LISTS = {"Cmd": "CMD", "Entrypoint": "ENTRYPOINT"}
_WORDS = {"WorkingDir": "WORKDIR", "StopSignal": "STOPSIGNAL", "User": "USER"}


class BenchmarkError(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclass(frozen=True)
class Size:
    """How large the site is. Images are never smaller than what they are made of."""

    code_mb: int = 400
    code_files: int = 29_000
    data_mb: int = 800
    data_files: int = 5_000
    log_rows: int = 1_200_000  # 195 MB as SQL
    users: int = 1_000
    web_image_mb: int = 935
    db_image_mb: int = 477

    def scaled(self, factor: float) -> Size:
        return Size(**{name: max(1, round(value * factor)) for name, value in asdict(self).items()})


def command(*words: str, text: str | None = None) -> str:
    """Run a program and return what it wrote to standard output."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(words[:5])} … failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def docker(*words: str, text: str | None = None) -> str:
    return command("docker", *words, text=text)


# --- images ---------------------------------------------------------------------------------------------------------


def build_images(size: Size, work: Path, removable: bool) -> None:
    """Build both images of the stack.

    :param removable: they share no layer with other images, so that removing them removes all of their layers.
    """
    pool = filler.text_pool("benchmark", min(filler.POOL_BYTES, 2 * size.web_image_mb * MB))
    context = work / "context"
    for kind, target_mb in (("web", size.web_image_mb), ("db", size.db_image_mb)):
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        base = base_name(kind) if removable else SOURCES[kind]
        steps = flatten(kind) if removable else [f"FROM {base}"]
        if kind == "web":
            files = filler.code_files("benchmark", pool, size.code_files, size.code_mb * MB)
            filler.write_tar(context / "code.tar", "filler", files, owner=33)
            steps += [f"ADD code.tar {CODE}/lib/", f"RUN chown www-data:www-data {CODE}"]
        have = int(docker("image", "inspect", "--format", "{{.Size}}", base))
        missing = max(0, target_mb * MB - have - (size.code_mb * MB if kind == "web" else 0))
        noise = int(missing * NOISE_SHARE)
        filler.write_tar(context / "text.tar", "filler", filler.text_files(kind, pool, missing - noise))
        filler.write_tar(context / "noise.tar", "filler", filler.noise_files(kind, noise))
        steps += ["ADD text.tar /opt/", "ADD noise.tar /opt/"]
        (context / "Dockerfile").write_text("\n".join(steps) + "\n")
        command("env", "DOCKER_BUILDKIT=0", "docker", "build", "--quiet", "--force-rm", "--tag", IMAGES[kind],
                str(context))
        if removable:  # only the name goes
            docker("rmi", "--no-prune", base)
    shutil.rmtree(context)


def base_name(kind: str) -> str:
    return f"{PREFIX}/base-{kind}:1"


def flatten(kind: str) -> list[str]:
    """Import an image's files as one new layer; return the Dockerfile's lines that begin with it, same settings."""
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", SOURCES[kind]))
    container = docker("create", "--name", f"{PREFIX}-source", SOURCES[kind]).strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as source:
            done = subprocess.run(["docker", "import", "-", base_name(kind)], stdin=source.stdout, capture_output=True,
                                  text=True, check=False)
        if source.returncode or done.returncode:
            raise BenchmarkError(f"image {SOURCES[kind]} could not be copied: {done.stderr.strip()}")
    finally:
        docker("rm", "--force", "--volumes", container)
    lines = [f"FROM {base_name(kind)}"]
    lines += [f"{word} {value}" for key, word in _EACH.items() for value in config.get(key) or ()]
    lines += [f"{word} {json.dumps(config[key])}" for key, word in _LISTS.items() if config.get(key)]
    return lines + [f"{word} {config[key]}" for key, word in _WORDS.items() if config.get(key)]


# --- the site -------------------------------------------------------------------------------------------------------


def set_up(size: Size, work: Path, removable: bool = True) -> Path:
    """Build the images, start the stack and fill it. Return the folder that describes it."""
    known = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    for name in SOURCES.values():
        if name not in known:
            raise BenchmarkError(f"image {name} is missing; run 'make images'")
    build_images(size, work, removable)
    folder = work / "stack"
    port = free_port()
    describe(folder, port)
    docker("volume", "create", f"{PREFIX}-data")
    docker("volume", "create", f"{PREFIX}-db")
    for part in ("db", "web"):
        command(str(folder / "stack.sh"), part)
    wait_for_database()
    install(folder, port)
    fill(size)
    return folder


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def describe(folder: Path, port: int) -> None:
    """Write what stack.sh needs."""
    folder.mkdir(mode=0o700)
    shutil.copy(HERE / "stack.sh", folder)
    settings = {"PREFIX": PREFIX, "PORT": port, "WEB_IMAGE": IMAGES["web"], "DB_IMAGE": IMAGES["db"]}
    account = {"POSTGRES_USER": "moodle", "POSTGRES_DB": "moodle", "POSTGRES_PASSWORD": secrets.token_hex(12)}
    for name, values in (("stack.env", settings), ("db.env", account)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text("".join(f"{key}={value}\n" for key, value in values.items()))


def wait_for_database() -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            docker("exec", DATABASE, "pg_isready", "-q", "-h", "127.0.0.1", "-U", "moodle")
            return
        except BenchmarkError:
            time.sleep(0.3)
    raise BenchmarkError(f"the database does not answer; see 'docker logs {DATABASE}'")


def install(folder: Path, port: int) -> None:
    """Install the site. Its password is made for this run and guards nothing else."""
    password = (folder / "db.env").read_text().split("POSTGRES_PASSWORD=")[1].strip()
    docker("exec", "--user", "root", WEB, "chown", "www-data:www-data", CODE, DATA)
    script = (
        f"exec php {CODE}/admin/cli/install.php --non-interactive --agree-license --dbtype=pgsql --dbhost=db"
        f' --dbname=moodle --dbuser=moodle --dbpass="$(cat)" --wwwroot=http://localhost:{port} --dataroot={DATA}'
        " --fullname=Benchmark --shortname=bench --adminpass=benchmark"
    )
    docker("exec", "--interactive", "--user", "www-data", WEB, "sh", "-c", script, text=password)


def fill(size: Size) -> None:
    _fill(1, users=size.users, files=size.data_files, **{"size-mb": size.data_mb * MB / 1048576}, rows=size.log_rows)
    query("UPDATE mdl_logstore_standard_log SET realuserid = NULL WHERE id % 3 = 0")  # real tables are not dense
    query("VACUUM (ANALYZE, PARALLEL 0)")  # several workers want more shared memory than a container has
    query("CHECKPOINT")


def _fill(seed: int, **options: float) -> None:
    docker("exec", "--interactive", "--user", "www-data", WEB, "php", f"{CODE}/local/moodleclaude/cli/fill.php",
           f"--seed={seed}", *(f"--{name}={value}" for name, value in options.items()), text="benchmark\n")


def change(size: Size) -> None:
    """Change the site as a day of use does: 1 % new stored files with their rows, 5 % new rows in the log.

    The same each time that it is done to the same site.
    """
    _fill(2, files=max(1, size.data_files // 100), **{"size-mb": size.data_mb / 100 * MB / 1048576},
          rows=max(1, size.log_rows // 20))
    query("CHECKPOINT")


def query(sql: str) -> str:
    return docker("exec", DATABASE, "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-U", "moodle", "-d", "moodle", "-c", sql)


# --- what it is -----------------------------------------------------------------------------------------------------


def measured() -> dict[str, int]:
    """How large the site really is, in bytes and numbers of files."""
    figures = {"database_bytes": int(query("SELECT pg_database_size('moodle')"))}
    for name, path in (("code", CODE), ("data", DATA)):
        figures[f"{name}_files"], figures[f"{name}_bytes"] = _files(path)
    for kind, name in IMAGES.items():
        figures[f"{kind}_image_bytes"] = int(docker("image", "inspect", "--format", "{{.Size}}", name))
    return figures


def stored() -> tuple[int, int]:
    """Number and bytes of the stored files."""
    return _files(f"{DATA}/filedir")


def sql_bytes() -> int:
    """Size of the whole database as SQL."""
    script = 'pg_dump -U "$POSTGRES_USER" "$POSTGRES_DB" | wc -c'
    return int(docker("exec", DATABASE, "sh", "-c", script))


def _files(path: str) -> tuple[int, int]:
    script = f"find {path} -type f -printf '%s\\n' | awk '{{ sum += $1 }} END {{ printf \"%d %.0f\", NR, sum }}'"
    files, total = docker("exec", "--user", "root", WEB, "sh", "-c", script).split()
    return int(files), int(total)


_COUNT_ROWS = """
SELECT relname, (xpath('/row/c/text()', query_to_xml('SELECT count(*) c FROM ' || oid::regclass, false, true, '')))[1]
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""


def fingerprint() -> dict[str, str]:
    """Short proofs of the site's content: the same before a backup and after its restore."""
    proofs = {}
    for line in query(_COUNT_ROWS).splitlines():
        table, count = line.split("|")
        if table not in _RESTLESS:
            proofs[f"rows of {table}"] = count
    for name, path in (("code", CODE), ("stored files", f"{DATA}/filedir")):
        script = f"cd {path} && find . -type f -printf '%P %s\\n' | LC_ALL=C sort | sha256sum"
        proofs[name] = docker("exec", "--user", "root", WEB, "sh", "-c", script)
    return proofs


def compare(expected: dict[str, str], found: dict[str, str], what: str) -> None:
    """Raise BenchmarkError with the differences of two fingerprints, if there are any."""
    different = [f"{name} ({expected.get(name)} → {found.get(name)})" for name in sorted(expected.keys() | found.keys())
                 if expected.get(name) != found.get(name)]
    if different:
        raise BenchmarkError(f"the site, {what}, differs in: {', '.join(different)}")


# --- removal --------------------------------------------------------------------------------------------------------


def empty_engine(images: bool = True) -> None:
    """Remove everything of the stack from the engine, and whatever a restore of it left."""
    _remove(("ps", "--all"), "{{.Names}}", ("rm", "--force", "--volumes"))
    for volume in ("data", "db"):  # a helper of a restore that was killed has a name of its own
        users = docker("ps", "--all", "--quiet", "--filter", f"volume={PREFIX}-{volume}").split()
        if users:
            docker("rm", "--force", "--volumes", *users)
    _remove(("volume", "ls"), "{{.Name}}", ("volume", "rm", "--force"))
    _remove(("network", "ls"), "{{.Name}}", ("network", "rm"))
    if images:
        _remove(("image", "ls"), "{{.Repository}}:{{.Tag}}", ("rmi", "--force"))


def _remove(listing: tuple[str, ...], form: str, removal: tuple[str, ...]) -> None:
    ours = (f"{PREFIX}-", f"{PREFIX}/")
    names = [name for name in docker(*listing, "--format", form).split() if name.startswith(ours)]
    if names:
        docker(*removal, *names)
