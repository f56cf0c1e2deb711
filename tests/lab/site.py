# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small stand-in site in containers, made as a description says, and removed without a trace."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

import docker
import docker.errors
import docker.types
import yaml

from . import texts
from .browser import Browser, prove, stored_files
from .leaks import in_backup, in_history
from .postgres import Postgres
from .state import capture

ROOT = Path(__file__).resolve().parents[2]
_TINY = "moodleclaude-test/tiny"
_PARTS = ("code", "moodledata", "settings", "project")  # folders on the host that belong to a site


@dataclass
class Site:
    """What a site is like. The name begins the name of everything that is made for it."""

    name: str
    code: str = "image"  # or volume, bind, links (a volume behind symbolic links, as bitnami's images have it)
    data: str = "volume"  # or bind
    config: str = "plain"  # or getenv: config.php takes its values from the environment
    own_images: bool = False  # images with IDs of their own, so that removing them hurts nobody
    postgresql: str = "15"
    dbname: str = "moodle"
    dbuser: str = "moodle"
    dbpass: str = "moodle-database-password"
    superuser: str = ""  # of the server, if it is another than the site's own user
    prefix: str = "mdl_"
    companion: bool = False
    odd_names: bool = False
    project: str = ""  # labels as Compose sets them
    project_in_code: bool = False  # the compose file is in the folder that is mounted as the code
    fill: dict = field(default_factory=lambda: {"users": 3, "files": 12, "size-mb": 1, "rows": 300})

    @classmethod
    def load(cls, path: str) -> Site:
        """Read a description from a YAML file."""
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        unknown = set(values) - {item.name for item in fields(cls)}
        if unknown:
            raise SystemExit("%s: unknown: %s" % (path, ", ".join(sorted(unknown))))
        return cls(**values)

    def __post_init__(self):
        self.engine = docker.from_env(timeout=120)
        self.folder = Path("/var/tmp") / self.name
        self.backups = self.folder / "backups"
        self.project_folder = self.folder / ("code" if self.project_in_code else "project")
        self.web, self.db, self.network = ("%s-%s" % (self.name, part) for part in ("web", "db", "net"))
        # All secrets are this site's alone, so that another site on the host cannot be mistaken for a leak.
        self.admin_password = "Adm1n & 'co' $PATH of %s" % self.name
        self.reader_password = "reader's password of %s" % self.name
        self.salt = "salt of %s & 'more'" % self.name
        self.token = "token of %s" % self.name
        self.code_path = "/opt/bitnami/moodle" if self.code == "links" else "/var/www/html"
        self.data_path = "/srv/moodledata" if self.code == "links" else "/var/www/moodledata"

    # --- making it ---------------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the site from nothing and fill it."""
        self.empty()
        self.folder.mkdir(mode=0o755, exist_ok=True)
        self._folders()
        images = self._images()
        self.engine.networks.create(self.network, driver="bridge", labels={"mcb.kind": "site"},
                                    options={"com.docker.network.bridge.enable_icc": "true"})
        self._database(images["postgresql"])
        self._web(images["moodle"])
        if self.companion:
            self._companion()
        self.wait()
        if self.superuser:
            server = Postgres(self.engine, self.db)
            server.sql("CREATE ROLE %s LOGIN PASSWORD %s" % (texts.quoted(self.dbuser, '"'), texts.quoted(self.dbpass, "'")))
            server.sql("CREATE DATABASE %s OWNER %s" % (texts.quoted(self.dbname, '"'), texts.quoted(self.dbuser, '"')))
        self._settings()
        self.php("admin/cli/install_database.php", "--agree-license", "--adminpass=%s" % self.admin_password,
                 "--adminemail=admin@example.com", "--fullname=Site & \"%s\"" % self.name, "--shortname=lab")
        self.content()
        self.visit()

    def _folders(self) -> None:
        for name in _PARTS:
            (self.folder / name).mkdir(exist_ok=True)
        if self.project:
            (self.project_folder / "compose.yml").write_text("services: {}\n")
            secret = self.project_folder / ".env"
            secret.write_text("DB_PASSWORD=%s\n" % self.dbpass)
            secret.chmod(0o600)
        os.chown(self.folder / "moodledata", 33, 33)

    def _images(self) -> dict[str, str]:
        names = {"moodle": "moodleclaude-test/moodle", "postgresql": "moodleclaude-test/postgresql:%s" % self.postgresql}
        if self.code == "links":
            return dict(names, moodle=self._build("moodle", names["moodle"], texts.LINKS % {"name": self.name}))
        if self.own_images:
            return {kind: self._build(kind, parent, "COPY marker /etc/mcb-marker\n") for kind, parent in names.items()}
        return names

    def _build(self, kind: str, parent: str, lines: str) -> str:
        """Put a layer of its own on an image, and return its name."""
        tag = "%s/%s:1" % (self.name, kind)
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for name, text in (("Dockerfile", "FROM %s\n%s" % (parent, lines)), ("marker", "%s %s\n" % (self.name, kind))):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        context.seek(0)
        self.engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
        return tag

    def _labels(self, service: str) -> dict[str, str]:
        if not self.project:
            return {"mcb.site": self.name}
        return {"com.docker.compose.project": self.project, "com.docker.compose.service": service,
                "com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False",
                "com.docker.compose.project.working_dir": str(self.project_folder),
                "com.docker.compose.project.config_files": str(self.project_folder / "compose.yml")}

    def _volume(self, part: str) -> str:
        name = "%s-%s" % (self.name, part)
        self.engine.volumes.create(name, labels={"mcb.site": self.name})
        return name

    def _database(self, image: str) -> None:
        self._run(image, self.db, alias="db", volumes=["%s:/var/lib/postgresql/data" % self._volume("dbdata")], environment={
            "POSTGRES_DB": "postgres" if self.superuser else self.dbname, "POSTGRES_USER": self.superuser or self.dbuser,
            "POSTGRES_PASSWORD": "password of the superuser" if self.superuser else self.dbpass})

    def _web(self, image: str) -> None:
        data = str(self.folder / "moodledata") if self.data == "bind" else self._volume("data")
        mounts = ["%s:%s" % (data, "/etc/%s" % self.name if self.code == "links" else self.data_path)]
        if self.code == "volume":
            mounts.append("%s:/var/www/html" % self._volume("code"))
        elif self.code == "links":
            mounts += ["%s:/bitnami/moodle" % self._volume("code"), "%s:/bitnami/settings" % self._volume("settings")]
        elif self.code == "bind":
            self._copy_out(image, "/var/www/html", self.folder / "code")
            (self.folder / "settings" / "config.php").write_text("<?php\n")
            mounts += ["%s:/var/www/html" % (self.folder / "code"),
                       "%s:/var/www/html/config.php" % (self.folder / "settings" / "config.php")]
        port = _free_port()
        environment = {"MOODLE_URL": "http://127.0.0.1:%d" % port}
        if self.config == "getenv":
            environment.update(DB_NAME=self.dbname, DB_USER=self.dbuser, DB_PASSWORD=self.dbpass)
        self._run(image, self.web, alias="moodle", volumes=mounts, environment=environment, ports={"80/tcp": ("127.0.0.1", port)},
                  restart_policy={"Name": "unless-stopped"}, mem_limit="512m", stop_signal="SIGKILL",
                  log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}))

    def _companion(self) -> None:
        """A container of another kind with a volume of its own and many settings."""
        self._run(_TINY, "%s-tools" % self.name, alias="tools", command=["sleep", "100000"], hostname="tools.example",
                  volumes=["%s:/srv" % self._volume("tools")], environment={"ODD": "two  spaces 'and' \"quotes\" $HOME"},
                  user="65534", cap_drop=["ALL"], tmpfs={"/scratch": "size=1m"}, extra_hosts={"example.test": "192.0.2.7"}, init=True,
                  ulimits=[docker.types.Ulimit(name="nofile", soft=512, hard=1024)], stop_signal="SIGKILL", read_only=True,
                  healthcheck={"test": ["CMD", "true"], "interval": 30 * 10**9, "retries": 2})

    def _run(self, image: str, name: str, alias: str, **options) -> None:
        item = self.engine.containers.create(image, name=name, network=self.network, labels=self._labels(alias), **options)
        network = self.engine.networks.get(self.network)
        network.disconnect(item)
        network.connect(item, aliases=[alias])
        item.start()

    def _copy_out(self, image: str, path: str, target: Path) -> None:
        item = self.engine.containers.create(image, name="%s-copy" % self.name)
        try:
            with subprocess.Popen(["tar", "-x", "--numeric-owner", "--strip-components=1", "-C", str(target)],
                                  stdin=subprocess.PIPE) as process:
                for chunk in item.get_archive(path)[0]:
                    process.stdin.write(chunk)
        finally:
            item.remove()

    def _settings(self) -> None:
        """Write config.php where the layout has it."""
        url = self.engine.containers.get(self.web).attrs["Config"]["Env"]
        wwwroot = next(entry.partition("=")[2] for entry in url if entry.startswith("MOODLE_URL="))
        values = {"dbtype": "pgsql", "dblibrary": "native", "dbhost": "db", "prefix": self.prefix, "wwwroot": wwwroot,
                  "dataroot": self.data_path, "admin": "admin", "passwordsaltmain": self.salt}
        names = {}
        if self.config == "getenv":
            names = {"dbname": "DB_NAME", "dbuser": "DB_USER", "dbpass": "DB_PASSWORD"}
        else:
            values.update(dbname=self.dbname, dbuser=self.dbuser, dbpass=self.dbpass)
        text = texts.config_php(values, names, self.code_path)
        if self.code == "bind":
            path = self.folder / "settings" / "config.php"
            path.write_text(text)
            os.chown(path, 0, 33)
            path.chmod(0o640)
            return
        self.write("/bitnami/settings/config.php" if self.code == "links" else "/var/www/html/config.php", text)
        if self.code == "links":
            self.sh("ln -s ../settings/config.php /bitnami/moodle/config.php")

    def content(self) -> None:
        """Fill the site, whoever has made it; afterwards no session and no cache is there that a state would show."""
        options = ["--%s=%s" % item for item in self.fill.items()] + (["--odd-names"] if self.odd_names else [])
        self.php("local/moodleclaude/cli/fill.php", *options, user="0", stdin=self.admin_password)
        self.php("local/moodleclaude/cli/token.php", "--set", stdin=self.token)
        self.sh("cd %s\n%s" % (self.code_path, texts.OWN_PLUGIN))
        self.sql(texts.ODD_ROWS % {"prefix": self.prefix, "user": texts.quoted(self.dbuser, '"'),
                                   "password": texts.quoted(self.reader_password, "'")})
        if self.odd_names:
            data = self.engine.containers.get(self.web).attrs["State"]["Pid"]
            os.setxattr("/proc/%d/root%s/odd/attributes" % (data, self.data_path), "user.comment", b"kept \0 bytes")

    # --- using it ----------------------------------------------------------------------------------------------------

    def wait(self, seconds: float = 60) -> None:
        """Wait until the database accepts connections over the network."""
        deadline = time.monotonic() + seconds
        while True:
            code, output = self.engine.containers.get(self.db).exec_run(
                ["pg_isready", "-q", "-h", "127.0.0.1"], environment={"PGUSER": "postgres"})
            if code == 0:
                return
            if time.monotonic() > deadline:
                raise RuntimeError("the database of %s does not start: %s" % (self.name, output.decode()))
            time.sleep(0.2)

    def php(self, script: str, *arguments: str, user: str = "www-data", stdin: str = "") -> str:
        """Run a script of the site."""
        command = ["docker", "exec", "-i", "-u", user, self.web, "php", "%s/%s" % (self.code_path, script), *arguments]
        return _checked(command, stdin)

    def sh(self, script: str, user: str = "0") -> str:
        return _checked(["docker", "exec", "-i", "-u", user, self.web, "sh", "-e"], script)

    def sql(self, statement: str) -> str:
        return Postgres(self.engine, self.db).sql(statement, database=self.dbname)

    def write(self, path: str, text: str, mode: int = 0o640) -> None:
        """Write a file of root and the web server's group in the web container."""
        _checked(["docker", "exec", "-i", self.web, "sh", "-ec",
                  'cat > "$1"; chown root:www-data "$1"; chmod %04o "$1"' % mode, "sh", path], text)

    def change(self) -> None:
        """Change the site in every way that a restore has to undo."""
        self.sql(texts.CHANGED_ROWS % {"prefix": self.prefix})
        self.sh("cd %s\n%s" % (self.data_path, texts.CHANGED_DATA))
        self.sh("cd %s\n%s" % (self.code_path, texts.CHANGED_CODE))

    def state(self) -> dict:
        """Describe the site completely; see lab.state."""
        return capture(self.web, self.code_path, self.data_path, self.db)

    def visit(self) -> str:
        """Log in through the web and fetch a stored file; raise if anything is not as it should be."""
        rows = stored_files(self.web, "%s/config.php" % self.code_path, 2)
        seen = prove(Browser(self.address()), "admin", self.admin_password, rows)
        return "logged in, saw \"%(title)s\", downloaded %(files)d files with the right SHA-1" % seen

    def secrets(self) -> dict[str, str]:
        """Return what must not show anywhere but where it belongs."""
        return {"database password": self.dbpass, "salt": self.salt, "administrator's password": self.admin_password,
                "reader's password": self.reader_password, "token": self.token}

    def leaks(self) -> str:
        """Look for secrets and open modes below the backup root; raise if there is anything."""
        problems = in_backup(self.backups, self.secrets())
        if problems:
            raise SystemExit("\n".join(problems))
        return "no secret is where it does not belong"

    def history(self) -> str:
        """Look for secrets in all that the site's git repositories hold; raise if there is anything."""
        secrets = dict(self.secrets(), compose="another secret")
        problems = [problem for name in ("tree", "remote.git", "clone") for problem in in_history(self.folder / name, secrets)]
        if problems:
            raise SystemExit("\n".join(problems))
        return "no secret is in any history"

    def address(self) -> str:
        bound = self.engine.containers.get(self.web).attrs["HostConfig"]["PortBindings"]["80/tcp"][0]
        return "http://%s:%s" % (bound["HostIp"], bound["HostPort"])

    # --- removing it -------------------------------------------------------------------------------------------------

    def empty(self) -> None:
        """Remove everything that the engine has of the site, and what is in its bind mounts.

        Backups stay, and so do images, unless they are the site's own.
        """
        for item in self.engine.containers.list(all=True, ignore_removed=True):
            if item.name.startswith("%s-" % self.name):
                item.remove(force=True, v=True)
        for item in self.engine.volumes.list():
            if item.name.startswith("%s-" % self.name):
                item.remove(force=True)
        for item in self.engine.networks.list():
            if item.name == self.name or item.name.startswith("%s-" % self.name):  # the playbook setup's has no ending
                item.remove()
        if self.own_images:
            self._remove_images()
        for part in _PARTS:
            with contextlib.suppress(FileNotFoundError):
                _remove_content(self.folder / part)

    def _remove_images(self) -> None:
        # Not images.list(), which looks at each and fails when somebody removes one meanwhile.
        for item in self.engine.api.images():
            for tag in item["RepoTags"] or ():
                if tag.startswith("%s/" % self.name):
                    self.engine.images.remove(tag)

    def destroy(self) -> None:
        """Remove everything of the site and its backups."""
        self.empty()
        self._remove_images()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_content(folder: Path) -> None:
    """Empty a folder, which may be a mount point."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _checked(command: list[str], stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("%s failed:\n%s%s" % (" ".join(command[:8]), done.stdout[-2000:], done.stderr[-2000:]))
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
