# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the test images are made of. Data only; build.py does the work."""

from __future__ import annotations

from dataclasses import dataclass, field

PREFIX = "moodleclaude-test/"


@dataclass(frozen=True)
class Base:
    """A root file system made by mmdebstrap. Every field is part of its cache key."""

    suite: str
    packages: tuple[str, ...]
    variant: str = "minbase"
    exclude: tuple[str, ...] = ()  # dpkg path-exclude patterns
    before: tuple[str, ...] = ()  # shell commands after the essential packages, run outside with the root as $1
    after: tuple[str, ...] = ()  # shell commands at the end, likewise
    wheels: tuple[str, ...] = ()  # Python requirements; "after" installs them without network by $PIP_INSTALL


@dataclass(frozen=True)
class Image:
    """A final image: a Dockerfile folder on top of a base or of another image."""

    folder: str
    base: str = ""  # key of BASES
    parent: str = ""  # key of IMAGES
    args: dict[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()  # further folders copied into the build context


_NO_DOCS = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/lintian/*")

# The just-in-time compiler of PostgreSQL is 150 MB of LLVM; without its library the server simply does not use it.
_NO_JIT = (
    "/usr/lib/*/libLLVM*",
    "/usr/lib/*/libz3*",
    "/usr/lib/postgresql/*/lib/llvmjit*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
)

_PHP = "pgsql xml mbstring curl zip gd intl soap opcache"


def _postgresql(suite: str, major: str) -> Base:
    return Base(
        suite=suite,
        packages=(f"postgresql-{major}", "zstd", "tzdata"),
        exclude=_NO_DOCS + _NO_JIT,
        before=(
            # The official image's numbers; Debian's package takes the next free ones otherwise.
            'echo "postgres:x:999:" >> "$1/etc/group"',
            'echo "postgres:x:999:999::/var/lib/postgresql:/bin/bash" >> "$1/etc/passwd"',
            'mkdir -p "$1/etc/postgresql-common"',
            'echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"',
        ),
        after=(
            "sed -i \"s/^#listen_addresses = .*/listen_addresses = '*'/\" "
            f'"$1/usr/share/postgresql/{major}/postgresql.conf.sample"',
            'chroot "$1" install -d -o postgres -g postgres -m 3777 /var/run/postgresql',
            'chroot "$1" install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data',
            'mkdir -p "$1/docker-entrypoint-initdb.d"',
        ),
    )


# A control node that is its own managed host: what the README names, and nothing of Ansible.
_CONTROL = ("python3", "python3-docker", "zstd")

BASES = {
    "postgresql-15": _postgresql("bookworm", "15"),
    "postgresql-17": _postgresql("trixie", "17"),
    "php-apache": Base(
        suite="bookworm",
        packages=("apache2", "libapache2-mod-php8.2", "php8.2-cli") + tuple(f"php8.2-{name}" for name in _PHP.split()),
        exclude=_NO_DOCS + ("/usr/share/fonts/*",),
        after=(
            'rm -f "$1/var/www/html/index.html"',
            'chroot "$1" install -d -o www-data -g www-data -m 0770 /var/www/moodledata',
            'ln -sf /dev/stdout "$1/var/log/apache2/access.log"',
            'ln -sf /dev/stderr "$1/var/log/apache2/error.log"',
            'ln -sf /dev/null "$1/var/log/apache2/other_vhosts_access.log"',
        ),
    ),
    "pgadmin": Base(
        suite="bookworm",
        packages=("python3", "ca-certificates"),
        exclude=_NO_DOCS,
        wheels=("pgadmin4==9.18", "gunicorn==23.0.0"),
        before=('echo "pgadmin:x:5050:0::/var/lib/pgadmin:/bin/sh" >> "$1/etc/passwd"',),
        after=(
            '$PIP_INSTALL --target "$1/opt/pgadmin"',
            'rm -r "$1/opt/pgadmin/bin"',
            'cd "$1/opt/pgadmin" && '
            "find . -depth -type d \\( -name tests -o -name test -o -name docs \\) -exec rm -r {} +",
            # 100 MB of interfaces of cloud services.
            'rm -r "$1/opt/pgadmin/googleapiclient/discovery_cache/documents"',
            'find "$1/opt/pgadmin" \\( -name "*.map" -o -name "*.pyi" -o -name "*.po" -o -name "*.pyc" \\) -delete',
            'chroot "$1" install -d -o pgadmin -g root -m 0770 /var/lib/pgadmin',
        ),
    ),
    # A Docker host that runs its own schedule: systemd, cron, and Ansible to be called by them; or one that is worked
    # on over SSH, with a Docker daemon of its own.
    "host": Base(
        suite="bookworm",
        packages=("systemd", "cron", "python3", "python3-docker", "zstd", "docker.io", "iptables", "openssh-server",
                  "rsync", "sudo"),
        exclude=_NO_DOCS,
        wheels=("ansible-core==2.19.14",),
        after=(
            '$PIP_INSTALL --target "$1/usr/local/lib/python3.11/dist-packages"',
            'rm -r "$1/usr/local/lib/python3.11/dist-packages/bin"',
            "printf '#!/usr/bin/python3\\nfrom ansible.cli.playbook import main\\nmain()\\n' > "
            '"$1/usr/local/bin/ansible-playbook"',
            'chmod 755 "$1/usr/local/bin/ansible-playbook"',
        ),
    ),
    # Hosts with other engines than the one that the tests run on.
    "containerd": Base(
        suite="trixie",
        packages=("docker.io", "iptables", "python3", "python3-docker", "zstd"),
        exclude=_NO_DOCS,
    ),
    "podman": Base(
        suite="bookworm",
        packages=("podman", "runc", "netavark", "aardvark-dns", "iptables", "python3", "python3-docker", "zstd"),
        exclude=_NO_DOCS,
    ),
    # A host that nobody has prepared, and a repository of what the role prepare installs, with all that this needs.
    "bare": Base(
        suite="bookworm",
        packages=("python3",),
        exclude=_NO_DOCS,
        after=(
            'mkdir -p "$1/srv/packages/partial"',
            'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet --yes --download-only --no-install-recommends '
            '-o Dir::Cache::archives="$1/srv/packages" install python3-apt python3-docker rsync openssh-client zstd',
            'rm -r "$1/srv/packages/partial" "$1/srv/packages/lock"',
            'cd "$1/srv/packages" && for file in *.deb; do dpkg-deb --field "$file"; '
            'printf "Filename: ./%s\nSize: %s\nSHA256: %s\n\n" "$file" "$(stat -c %s "$file")" '
            '"$(sha256sum "$file" | cut -d" " -f1)"; done > Packages',
            'echo "deb [trusted=yes] file:/srv/packages ./" > "$1/etc/apt/sources.list"',
        ),
    ),
    "control-12": Base(suite="bookworm", packages=_CONTROL, exclude=_NO_DOCS),
    "control-13": Base(suite="trixie", packages=_CONTROL, exclude=_NO_DOCS),
    "tiny": Base(
        suite="bookworm",
        packages=("busybox-static",),
        variant="extract",
        after=(
            'rm -rf "$1/etc/apt" "$1/var" "$1/usr" "$1/etc/dpkg" && '
            'mkdir -p "$1/bin" "$1/usr/bin" "$1/etc" "$1/var" "$1/root"',
            'chroot "$1" /bin/busybox --install -s /bin',
            'mkdir -p "$1/tmp" && chmod 1777 "$1/tmp"',
            'test -L "$1/bin/tar"',
            'echo "root:x:0:0:root:/root:/bin/sh" > "$1/etc/passwd" && echo "root:x:0:" > "$1/etc/group"',
        ),
    ),
}

IMAGES = {
    "postgresql:15": Image(folder="postgresql", base="postgresql-15", args={"PG_MAJOR": "15"}),
    "tiny:latest": Image(folder="tiny", base="tiny"),
    "php-apache:latest": Image(folder="php-apache", base="php-apache"),
    "moodle:latest": Image(folder="moodle", parent="php-apache:latest", extra=("site",)),
    "postgresql:17": Image(folder="postgresql", base="postgresql-17", args={"PG_MAJOR": "17"}),
    "pgadmin:latest": Image(folder="pgadmin", base="pgadmin"),
    "host:latest": Image(folder="host", base="host"),
    "containerd:latest": Image(folder="containerd", base="containerd"),
    "podman:latest": Image(folder="podman", base="podman"),
    "bare:latest": Image(folder="bare", base="bare"),
    "control:12": Image(folder="control", base="control-12"),
    "control:13": Image(folder="control", base="control-13"),
}
