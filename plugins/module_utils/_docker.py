# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker Engine; with _docker_exec the only file that knows the Docker SDK for Python.

Everything is the low-level API: plain dicts as the engine returns them. Every error is an EngineError, NotFoundError or
CommandError that names the thing.
"""
from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import threading

from . import _endpoint, _lock, _podman
from ._client import connect
from ._docker_exec import ExecStream, require_version, translated
from ._errors import BackupError, CommandError, EngineError, NotFoundError

HELPER_LABEL = "org.moodleclaude.backup.helper"
_OUTPUT_LIMIT = 64 * 1024 * 1024  # bytes; what run() keeps in memory at the most


class Engine:
    """One Docker Engine, connected to when something is asked of it for the first time.

    :param params: dict with the keys of _module.DOCKER_OPTIONS.
    """

    def __init__(self, params):
        self.url, self._params = params["docker_host"], params
        self._info = None

    @functools.cached_property
    def api(self):
        """The connection (docker.APIClient)."""
        _endpoint.check(self._params)
        require_version()
        try:
            with translated("Connecting to %s" % self.url):
                client = connect(self._params)
        except EngineError as error:
            raise EngineError(error.message, _endpoint.advice(self.url, error.message)) from error
        _endpoint.check_server(self.url, client.server)
        return client

    @functools.cached_property
    def podman(self):
        """True if the engine is Podman."""
        return _podman.is_podman(self.api.server)

    def ensure_reachable(self):
        """Connect now, so that an engine that cannot be reached is an EngineError here, before anything is begun."""
        self.version()

    # --- the engine ---------------------------------------------------------------------------------------------

    def info(self):
        """Return what 'docker info' knows (dict)."""
        if self._info is None:
            with translated("Asking the engine about itself"):
                self._info = self.api.info()
        return self._info

    def version(self):
        """Return what 'docker version' knows of the server (dict)."""
        return self.api.server

    def direct_possible(self):
        """True if this process can reach the engine's files itself: root, unix socket, same host, not rootless."""
        return self.direct_problem() is None

    def direct_problem(self):
        """Return why this process cannot reach the engine's files itself (str), or None if it can.

        With user namespaces (userns-remap) the files' owners are not those that containers see, so then neither.
        """
        if not _endpoint.is_local(self.url):
            return "the engine is reached over the network"
        if os.geteuid() != 0:
            return "this does not run as root"
        options = self.info().get("SecurityOptions") or []
        if any(option.startswith("name=rootless") for option in options):
            return "the engine runs without root"
        if any(option.startswith("name=userns") for option in options):
            return "the engine's containers have other numbers for users (userns-remap)"
        root = self.info().get("DockerRootDir") or ""
        if not os.path.isdir(os.path.join(root, "volumes")):
            return "the engine's folder %s is not on this host" % root
        return "the engine runs in a container, with files of its own" if _endpoint.is_contained(self.url) else None

    def same_host(self):
        """True if paths of the engine's host are paths of this host, as far as can be seen."""
        if not _endpoint.is_local(self.url) or _endpoint.is_contained(self.url):
            return False
        return os.path.isdir(self.info().get("DockerRootDir") or "")

    # --- containers ---------------------------------------------------------------------------------------------

    def containers(self, all=True, filters=None):  # pylint: disable=redefined-builtin
        """Return short descriptions of containers (list of dict as GET /containers/json gives)."""
        with translated("Listing containers"):
            found = self.api.containers(all=all, filters=filters)
        if not self.podman:
            return found
        described = ((entry, self.find_container(entry["Id"])) for entry in found)
        return [_podman.listed(entry, inspect) for entry, inspect in described if inspect is not None]

    def container(self, name):
        """Return the description of a container (dict as 'docker inspect' gives); NotFoundError if there is none."""
        with translated("Container '%s'" % name):
            inspect = self.api.inspect_container(name)
        return _podman.container(inspect) if self.podman else inspect

    def find_container(self, name):
        """Return the description of a container, or None."""
        try:
            return self.container(name)
        except NotFoundError:
            return None

    def create_container(self, name, config):
        """Create a container from a raw configuration (dict for POST /containers/create). Return its ID."""
        if self.podman:
            config = _podman.to_create(config, self.image(config["Image"]))
        with translated("Creating container '%s'" % name):
            return self.api.create_container_from_config(config, name)["Id"]

    def start(self, name):
        with translated("Starting container '%s'" % name):
            self.api.start(name)

    def stop(self, name, timeout=30):
        """Stop a container; after timeout seconds it is killed by the engine."""
        with translated("Stopping container '%s'" % name):
            self.api.stop(name, timeout=timeout)

    def rename(self, name, new_name):
        with translated("Renaming container '%s' to '%s'" % (name, new_name)):
            self.api.rename(name, new_name)

    def set_restart_policy(self, name, policy):
        """Change a container's restart policy (dict with Name and MaximumRetryCount).

        Podman cannot. It does not need it where this is done, for it starts nothing that was stopped on purpose.
        """
        if self.podman:
            return
        with translated("Changing the restart policy of container '%s'" % name):
            self.api.update_container(name, restart_policy=policy)

    def remove_container(self, name, volumes=False):
        """Remove a container, running or not; volumes: also its anonymous volumes. No error if it is gone."""
        with contextlib.suppress(NotFoundError), translated("Removing container '%s'" % name):
            self.api.remove_container(name, force=True, v=volumes)

    def changes(self, name):
        """Return what differs from the image (list of {"Path": str, "Kind": 0 changed, 1 added, 2 deleted})."""
        with translated("Listing the changes of container '%s'" % name):
            return self.api.diff(name) or []

    # --- networks and volumes -----------------------------------------------------------------------------------

    def network(self, name):
        """Return the description of the network with exactly this name or ID, or None."""
        with translated("Network '%s'" % name):
            for found in self.api.networks(names=[name]):
                if name in (found["Name"], found["Id"]):
                    return self._network(self.api.inspect_network(found["Id"]))
        return None

    def _network(self, inspect):
        return _podman.network(inspect) if self.podman else inspect

    def networks(self):
        """Return the descriptions of all networks (list of dict)."""
        with translated("Listing networks"):
            return [self._network(inspect) for inspect in self.api.networks()]

    def create_network(self, body):
        """Create a network from a raw body (dict for POST /networks/create). Return its ID."""
        with translated("Creating network '%s'" % body.get("Name")):
            response = self.api._post_json(self.api._url("/networks/create"), data=body)
            return self.api._result(response, json=True)["Id"]

    def connect(self, network, container, endpoint):
        """Connect a container to a network with a raw endpoint configuration (dict)."""
        with translated("Connecting container '%s' to network '%s'" % (container, network)):
            body = {"Container": container, "EndpointConfig": endpoint}
            response = self.api._post_json(self.api._url("/networks/{0}/connect", network), data=body)
            self.api._raise_for_status(response)

    def disconnect(self, network, container):
        with translated("Disconnecting container '%s' from network '%s'" % (container, network)):
            self.api.disconnect_container_from_network(container, network, force=True)

    def remove_network(self, name):
        with contextlib.suppress(NotFoundError), translated("Removing network '%s'" % name):
            self.api.remove_network(name)

    def volume(self, name):
        """Return the description of a volume (dict), or None."""
        try:
            with translated("Volume '%s'" % name):
                return self.api.inspect_volume(name)
        except NotFoundError:
            return None

    def volumes(self, filters=None):
        """Return the descriptions of all volumes, or of those that fit the filters (list of dict)."""
        with translated("Listing volumes"):
            return self.api.volumes(filters)["Volumes"] or []

    def create_volume(self, name, driver="local", options=None, labels=None):
        with translated("Creating volume '%s'" % name):
            return self.api.create_volume(name=name, driver=driver, driver_opts=options or None, labels=labels or None)

    def settle_volumes(self, names, images):
        """Mount volumes (list of str) that were just created for a moment, if the engine is Podman.

        When it mounts a volume for the first time, Podman gives it the owner, the mode and the time of the mount point,
        whatever is in it by then.

        :param images: names or IDs of images that have sh (list of str); the first one that is there is taken.
        """
        image = next(filter(self.image, images), None) if self.podman else None
        if image is not None and names:
            mounts = [{"Type": "volume", "Source": name, "Target": "/moodle_backup/%d" % number}
                      for number, name in enumerate(names)]
            with self.helper(image, mounts=mounts):
                pass

    def remove_volume(self, name):
        with contextlib.suppress(NotFoundError), translated("Removing volume '%s'" % name):
            self.api.remove_volume(name)

    # --- images -------------------------------------------------------------------------------------------------

    def image(self, name):
        """Return the description of an image by name or ID (dict), or None."""
        try:
            with translated("Image '%s'" % name):
                inspect = self.api.inspect_image(name)
        except NotFoundError:
            return None
        return _podman.image(inspect) if self.podman else inspect

    def image_ids(self):
        """Return the IDs of all images (list of str)."""
        with translated("Listing images"):
            return [_podman.identifier(image["Id"]) for image in self.api.images()]

    def tag(self, image, name):
        """Give an image (name or ID) one more name, "repository:tag"."""
        repository, _colon, tag = name.rpartition(":")
        with translated("Tagging image '%s' as '%s'" % (image, name)):
            self.api.tag(image, repository, tag, force=True)

    def save_images(self, names):
        """Yield the tar stream (bytes) of 'docker save' with these names or IDs.

        The first chunk is fetched before this returns, so that a refusal is an error here and not in mid-file.
        """
        what = "Saving image %s" % ", ".join(names)
        with translated(what):
            url = self.api._url("/images/get")
            response = self.api._get(url, params={"names": list(names)}, stream=True)
            self.api._raise_for_status(response)
        return self._prefetched(response.iter_content(1024 * 1024), what, response.close)

    def load_images(self, chunks):
        """Feed a tar stream to 'docker load'. Return the engine's messages (list of str)."""
        messages = []
        with translated("Loading images"):
            for line in self.api.load_image(_without_empty(chunks), quiet=True):
                # The SDK does not look at the status code; a refusal of the whole request is a "message".
                refusal = line.get("error") or line.get("message")
                if refusal:
                    raise EngineError("Loading images: %s" % refusal)
                messages.append(line.get("stream", "").strip())
        return messages

    def remove_image(self, name, force=False):
        with contextlib.suppress(NotFoundError), translated("Removing image '%s'" % name):
            self.api.remove_image(name, force=force)

    # --- files of containers ------------------------------------------------------------------------------------

    def stat(self, container, path):
        """Return what a path of a container is: {"name", "size", "mode" (Go's FileMode), "mtime", "linkTarget"}."""
        with translated("Path '%s' of container '%s'" % (path, container)):
            # A HEAD request: a GET that is not read to its end keeps the container locked.
            response = self.api.head(self._archive_url(container), params={"path": path}, timeout=self.api.timeout)
            if response.status_code == 404:
                # An answer to HEAD has no body, so the engine's own words are not there.
                raise NotFoundError("There is no '%s' in container '%s'" % (path, container))
            self.api._raise_for_status(response)
        return json.loads(base64.b64decode(response.headers["x-docker-container-path-stat"]))

    def find_path(self, container, path):
        """Return what stat() returns, or None if there is nothing at the path."""
        try:
            return self.stat(container, path)
        except NotFoundError:
            return None

    def get_archive(self, container, path):
        """Return an iterator over the tar stream (bytes) of a path of a container, running or not."""
        what = "Reading '%s' of container '%s'" % (path, container)
        with translated(what):
            response = self.api._get(self._archive_url(container), params={"path": path}, stream=True)
            self.api._raise_for_status(response)
        return self._prefetched(response.iter_content(1024 * 1024), what, response.close)

    def _archive_url(self, container):
        return self.api._url("/containers/{0}/archive", container)

    def put_archive(self, container, path, chunks):
        """Unpack a tar stream (bytes or iterator of bytes) into a folder of a container, running or not."""
        try:
            with translated("Writing to '%s' of container '%s'" % (path, container)):
                self.api.put_archive(container, path, _without_empty(chunks))
        except BaseException:
            # The engine may still be unpacking what it got. It holds the container's lock until it has ended.
            with contextlib.suppress(BackupError):
                self.find_path(container, "/")
            raise

    @staticmethod
    def _prefetched(iterator, what, close):
        with translated(what):
            first = next(iterator, b"")

        def chunks():
            try:
                with translated(what):
                    yield first
                    yield from iterator
            finally:
                close()

        return chunks()

    # --- programs in containers ---------------------------------------------------------------------------------

    def exec_stream(self, container, argv, environment=None, user="", stdin=False, workdir=None):
        """Start a program in a running container. Return an ExecStream."""
        program = argv[0]
        if self.podman:
            argv, environment = _podman.to_exec(argv, environment)
        return ExecStream(self.api, container, argv, environment, user, stdin, workdir, program)

    def run(self, container, argv, environment=None, user="", stdin=b"", workdir=None, check=True):
        """Run a program in a container to its end.

        :param environment: dict of str; the way to hand over a password.
        :param stdin: bytes for its standard input.
        :returns: (rc, stdout as bytes, stderr as str). :raises: CommandError if check is true and rc is not 0.
        """
        stream = self.exec_stream(container, argv, environment, user, bool(stdin), workdir)
        try:
            feeder = None
            if stdin:
                feeder = threading.Thread(target=stream.feed, args=([stdin],), daemon=True)
                feeder.start()
            kept, size = [], 0
            for chunk in stream.chunks():
                kept.append(chunk)
                size += len(chunk)
                if size > _OUTPUT_LIMIT:
                    raise CommandError("%s in container '%s' wrote too much" % (argv[0], container))
            if feeder:
                feeder.join()
            rc = stream.wait()
        finally:
            stream.abort()
        if check and rc != 0:
            raise stream.failure(rc, kept[0] if kept else b"")
        return rc, b"".join(kept), stream.stderr_tail()

    @contextlib.contextmanager
    def helper(self, image, binds=None, volumes_from=None, mounts=None):
        """Give the ID of a running container that does nothing, with these mounts; it is removed afterwards.

        Its label names the lock of the run, so that remove_helpers() finds it when this process was killed.

        :param image: str, an image on this engine that has sh. :param binds: list of "source:destination[:ro]".
        :param mounts: list of dict as HostConfig.Mounts takes them; unlike with binds, a source must exist.
        """
        config = {
            "Image": image,
            "Entrypoint": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"],
            "Cmd": [],
            "User": "0",
            "WorkingDir": "/",
            "Labels": {HELPER_LABEL: os.environ.get(_lock.ENVIRONMENT, "")},
            "HostConfig": {
                "Binds": binds or [], "VolumesFrom": volumes_from or [], "Mounts": mounts or [], "NetworkMode": "none",
            },
            "Healthcheck": {"Test": ["NONE"]},
        }
        name = "moodle_backup_helper_%s" % os.urandom(6).hex()
        identifier = self.create_container(name, config)
        try:
            self.start(identifier)
            yield identifier
        finally:
            self.remove_container(identifier, volumes=True)

    def remove_helpers(self, lock):
        """Remove the helpers that a dead run with this lock (path, str) left behind. Return how many (int)."""
        found = self.containers(filters={"label": "%s=%s" % (HELPER_LABEL, lock)})
        for container in found:
            self.remove_container(container["Id"], volumes=True)
        return len(found)


def _without_empty(body):
    """Return a body to send, bytes or an iterator of bytes; requests before 2.30 end it at a chunk that is empty."""
    return body if isinstance(body, bytes) else (chunk for chunk in body if chunk)
