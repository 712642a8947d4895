"""Uploads to thumbnails: reads an original, has :mod:`chalicelib.pictures.thumbnails` render it, keeps what came of it.

Only the queue's consumer imports this, and with it Pillow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import bucket
from chalicelib.aws.bucket import Object, Upload
from chalicelib.catalogue import item_pictures, items
from chalicelib.catalogue.models import Image, Item, Thumbnail
from chalicelib.config import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, Size, settings
from chalicelib.pictures import thumbnails
from chalicelib.pictures.thumbnails import Rendered
from chalicelib.values import times


class Room:
    """Room for so many pixels: how many pictures are decoded at once depends on how large they are."""

    def __init__(self, pixels: int) -> None:
        self._pixels = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for ``pixels``, and keeps it; one picture that fills all of it is let in alone."""
        needed = min(pixels, self._pixels)
        with self._changed:
            self._changed.wait_for(lambda: needed <= self._free)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify_all()


_ROOM = Room(MAX_IMAGE_PIXELS)

MAX_FILES = 3
"""Files at the key of a loose one that are rendered for one message, each because it replaced the one before it."""


class OutOfTimeError(Exception):
    """There is not enough time left to begin."""


def render(key: str, has_time: Callable[[], bool] = lambda: True) -> None:
    """Make the thumbnails of the object at ``key``. Doing it again changes nothing, and costs little.

    Raise OutOfTimeError if there ``has_time`` no more when the picture could be decoded.
    """
    upload = Upload.from_key(key)
    if upload is None:
        _render_loose(key, has_time)
    else:
        _render_for_item(upload, has_time)


def _render_loose(key: str, has_time: Callable[[], bool]) -> None:
    """Make the thumbnail of a loose file: of the last one put there, however long renders of earlier ones take.

    Raise BusyError if other files keep coming there: the message is tried again later.
    """
    with suppress(errors.ImageError, bucket.ObjectNotFoundError), _told(key):
        original = bucket.read(key, MAX_IMAGE_BYTES)
        for _ in range(MAX_FILES):
            rendered = _rendered(original, settings().thumbnail_sizes[:1], has_time)
            newer = bucket.read_if_changed(key, original.etag, MAX_IMAGE_BYTES)
            if newer is None:
                bucket.write(bucket.loose_thumbnail_key(key), rendered.thumbnails[0].data, thumbnails.CONTENT_TYPE)
                # Another file, and its thumbnail, may have been put there just before this one was.
                newer = bucket.read_if_changed(key, original.etag, MAX_IMAGE_BYTES)
            if newer is None:
                return
            original = newer
        raise errors.BusyError


def _render_for_item(upload: Upload, has_time: Callable[[], bool]) -> None:
    item = items.find(upload.owner, upload.item_id)
    if item and item.image and item_pictures.awaits(item, upload):
        item = _settled(upload, item.image, _outcome(upload, item.image, has_time))
    else:
        telemetry.logger.info("Nothing to render: done already, or overtaken, or the item is gone", key=upload.key)
    # Also where there was nothing to render: the delivery before may have failed right here.
    if item:
        item_pictures.prune(item)
    else:
        bucket.delete(bucket.item_keys(upload.owner, upload.item_id))


def _settled(upload: Upload, awaited: Image, image: Image | None) -> Item | None:
    """Return the item with its picture settled, unless a newer one is awaited by now. None if it does not exist."""

    def settled(now: Item) -> Item:
        same = now.image is not None and now.image.sequencer == awaited.sequencer
        return msgspec.structs.replace(now, image=image) if same and item_pictures.awaits(now, upload) else now

    try:
        return items.change(upload.owner, upload.item_id, settled, times.now())
    except errors.ItemNotFoundError:
        # If it has only expired, by this function's clock, its objects stay until the cleanup deletes it.
        return items.find(upload.owner, upload.item_id)


def _outcome(upload: Upload, awaited: Image, has_time: Callable[[], bool]) -> Image | None:
    """What has become of an upload: a picture that is ready or failed, or None where its object is gone."""
    try:
        with _told(upload.key):
            original = bucket.read(upload.key, MAX_IMAGE_BYTES)
    except bucket.ObjectNotFoundError:
        return None
    try:
        with _told(upload.key):
            rendered = _rendered(original, settings().thumbnail_sizes, has_time)
    except errors.ImageError as error:
        return item_pictures.failed(awaited, error, original.etag)
    return Image(
        status="ready",
        upload_id=upload.id,
        sequencer=awaited.sequencer,
        etag=original.etag,
        content_type=rendered.content_type,
        width=rendered.width,
        height=rendered.height,
        bytes=original.size,
        thumbnails=tuple(_kept(upload, awaited, original.etag, made) for made in rendered.thumbnails),
    )


def _kept(upload: Upload, awaited: Image, etag: str, made: thumbnails.Thumbnail) -> Thumbnail:
    key = upload.thumbnail_key(made.size.pixels, awaited.sequencer, etag)
    bucket.write(key, made.data, thumbnails.CONTENT_TYPE)
    return Thumbnail(made.size.pixels, made.width, made.height, key)


@contextmanager
def _told(key: str) -> Iterator[None]:
    """Say in log and metrics why an object is not rendered."""
    try:
        yield
    except bucket.ObjectNotFoundError:
        telemetry.logger.info("The object is gone", key=key)
        raise
    except errors.ImageError as error:
        telemetry.add_count(f"RenderFailed.{error.code}")
        telemetry.logger.warning("A picture was refused", key=key, error=error.code)
        raise


def _rendered(original: Object, sizes: tuple[Size, ...], has_time: Callable[[], bool]) -> Rendered:
    if original.size > MAX_IMAGE_BYTES:
        raise errors.ImageTooLargeError(limit=MAX_IMAGE_BYTES, size=original.size)
    with _ROOM.taken(thumbnails.pixels_in_memory(original.data, sizes)):
        if not has_time():  # Others may have had the room for long.
            raise OutOfTimeError
        started = time.perf_counter()
        rendered = thumbnails.render(original.data, sizes)
    telemetry.add_count("Renders")
    telemetry.add_milliseconds("RenderTime", telemetry.milliseconds_since(started))
    telemetry.add_bytes("RenderBytes", original.size)
    return rendered
