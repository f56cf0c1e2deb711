# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes an archive of images: out of the engine's storage where that can be read, else as 'docker save' gives it."""
from __future__ import annotations

from ._errors import IntegrityError, UsageError
from ._image_archive import Reader
from ._image_layers import LayerArchive, LayerError, supported
from ._stream import store


def write(engine, images, params):
    """Write images into the file params["dest"].

    :param images: list of dict with id, name, tags, fingerprint. :param params: dict with dest, compression,
        compression_level, processes, transport.
    :returns: what store() returns, with transport ("direct" or "api") and warnings (list of str).
    :raises: UsageError or LayerError if transport is "direct" and that is not possible.
    """
    references = _references(engine, images)
    warnings = []
    if _direct(engine, params["transport"]):
        tags = {identifier: [name for name in names if name != identifier] for identifier, names in references.items()}
        try:
            archive = LayerArchive(engine.info()["DockerRootDir"], tags)
            return dict(_store(images, archive.chunks(), params), transport="direct", warnings=warnings)
        except LayerError as error:
            if params["transport"] == "direct":
                raise
            warnings.append("The images are saved by the engine, because its storage is not as expected: %s"
                            % error.message)
    stream = engine.save_images(sorted({name for names in references.values() for name in names}))
    return dict(_store(images, stream, params), transport="api", warnings=warnings)


def _references(engine, images):
    """Return by which names each image is asked for (dict of ID to sorted list of str).

    These are the tags that mean it on this engine; an image without any is asked for by its ID.
    """
    references = {}
    for image in images:
        tags = [tag for tag in image["tags"] if (engine.image(tag) or {}).get("Id") == image["id"]]
        references.setdefault(image["id"], set()).update(tags)
    return {identifier: sorted(tags) or [identifier] for identifier, tags in references.items()}


def _direct(engine, transport):
    """True if the images are read out of the engine's storage. :raises: UsageError if that is wanted and impossible."""
    if transport == "api":
        return False
    possible = engine.direct_possible() and supported(engine.info())
    if transport == "direct" and not possible:
        raise UsageError("transport=direct is not possible: the engine's storage is not one of overlay2 that can be"
                         " read from here as root", "Use transport=auto.")
    return possible


def _store(images, stream, params):
    return store(_Watched(images, stream), params["dest"], params["compression"], params["compression_level"],
                 params["processes"], overwrite=True)


class _Watched:
    """An archive of images as a source for store(), watched so that it holds what was asked for.

    :param stream: generator of bytes.
    """

    def __init__(self, images, stream):
        self._images, self._stream = images, stream
        self._reader = Reader()
        self._ended = False

    def chunks(self):
        try:
            for chunk in self._stream:
                if self._ended:
                    return
                self._reader.feed(chunk)
                yield chunk
        finally:
            self._stream.close()

    def finish(self):
        inside = self._reader.images()
        digests = self._reader.manifest_digests() | {image["id"] for image in inside}
        prints = {image["fingerprint"] for image in inside}
        for image in self._images:
            if image["id"] not in digests and image["fingerprint"] not in prints:
                raise IntegrityError(
                    "The engine's archive does not hold image '%s' (%s)" % (image["name"], image["id"]),
                    "Its name may have moved to another image meanwhile; run the export again.",
                )

    def abort(self):
        # Another thread may be inside the generator; it leaves at its next chunk.
        self._ended = True
