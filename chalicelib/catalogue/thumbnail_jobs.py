"""The thumbnail jobs: read an upload, have its thumbnails made by ``pictures/sandbox.py``, store the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import bucket
from chalicelib.aws.bucket import Object, Upload
from chalicelib.catalogue import item_pictures, items, public_pictures
from chalicelib.catalogue.models import Focus, Image, Item, Thumbnail
from chalicelib.config import MAX_DECODING_BYTES, MAX_IMAGE_BYTES, Size, settings
from chalicelib.pictures import protocol
from chalicelib.pictures.protocol import Rendered
from chalicelib.pictures.sandbox import Sandbox
from chalicelib.values import times


class MemoryBudget:
    """Limit the memory of the pictures that are decoded at the same time: many small ones, or few large ones."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until ``size`` bytes are free, and keep them. A picture that needs more than all is decoded alone."""
        needed = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: needed <= self._free)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify_all()


sandbox = Sandbox()

_BUDGET = MemoryBudget(MAX_DECODING_BYTES)

MAX_LOOSE_RENDERS = 3
"""How often one job may render a loose file, which is a file uploaded outside items/.

It renders again if another file was put at the same key in the meantime.
"""


class OutOfTimeError(Exception):
    """The function has too little time left to start this job."""


def run(key: str, has_time: Callable[[], bool] = lambda: True) -> None:
    """Make the thumbnails of the object at ``key``. Repeating it changes nothing. An item's picture is decoded once.

    Raise OutOfTimeError if ``has_time()`` is false when decoding the picture could start, and BusyError if the item or
    the loose file is changed during each attempt.
    """
    upload = Upload.from_key(key)
    if upload is None:
        _make_loose_thumbnail(key, has_time)
    else:
        _make_item_thumbnails(upload, has_time)


def _make_loose_thumbnail(key: str, has_time: Callable[[], bool]) -> None:
    """Make the thumbnail of the last file that was put at ``key``, even if jobs for earlier ones end later.

    Raise BusyError if the file was replaced each time: the message is retried later.
    """
    with suppress(errors.ImageError, bucket.ObjectNotFoundError), _log_failures(key):
        original = bucket.read(key, MAX_IMAGE_BYTES)
        size = msgspec.structs.replace(settings().thumbnail_sizes[0], format="jpeg")  # as the key says
        for _ in range(MAX_LOOSE_RENDERS):
            rendered = _render(original, (size,), has_time)
            newer = bucket.read_if_changed(key, original.etag, MAX_IMAGE_BYTES)
            if newer is None:
                bucket.write(bucket.loose_thumbnail_key(key), rendered.thumbnails[0].data, size.content_type)
                # Another job may have stored the thumbnail of a newer file before this one overwrote it.
                newer = bucket.read_if_changed(key, original.etag, MAX_IMAGE_BYTES)
            if newer is None:
                return
            original = newer
        raise errors.BusyError


def _make_item_thumbnails(upload: Upload, has_time: Callable[[], bool]) -> None:
    item = items.find(upload.owner, upload.item_id)
    if item and item.image and item_pictures.needs_thumbnails(item, upload):
        result = _make_thumbnails(upload, item.image, has_time)
        item = _save_result(upload, item.image, result and public_pictures.copied(item, result))
    elif item is None or item.exposure_due_at is None:
        telemetry.logger.info("Thumbnail job skipped: picture already done, superseded or deleted", key=upload.key)
    # Delete objects even if the job was skipped: a previous delivery of its message may have failed at this point.
    if item is None:
        item_pictures.delete_all_objects(upload.owner, upload.item_id)
    elif item.exposure_due_at:
        public_pictures.synchronize(item, times.now())
    else:
        item_pictures.delete_superseded_objects(item)


def _save_result(upload: Upload, rendered: Image, result: Image | None) -> Item | None:
    """Store ``result`` in the item, unless its picture is no longer the one that was ``rendered``.

    Return the item, or None if it does not exist.
    """

    def with_result(now: Item) -> Item:
        if now.image is None or _version(now.image) != _version(rendered):
            return now
        if not item_pictures.needs_thumbnails(now, upload):
            return now
        # If the event named another file, there may be thumbnails of that too.
        has_one_file = now.has_one_file and result is not None and result.etag == rendered.etag
        return msgspec.structs.replace(now, image=result, has_one_file=has_one_file)

    try:
        return items.change(upload.owner, upload.item_id, with_result, times.now())
    except errors.ItemNotFoundError:
        # The item may have expired by this function's clock alone. Then its objects stay until the cleanup deletes it.
        return items.find(upload.owner, upload.item_id)


def _version(image: Image) -> tuple[str, Focus | None, int]:
    """Return what thumbnails are made of: the file and the focus, which may be the same again after two changes."""
    return image.sequencer, image.focus, image.focus_changes


def _make_thumbnails(upload: Upload, image: Image, has_time: Callable[[], bool]) -> Image | None:
    """Render and store the thumbnails of an upload. Return the ready or failed picture, or None if it was deleted."""
    try:
        with _log_failures(upload.key):
            original = bucket.read(upload.key, MAX_IMAGE_BYTES)
    except bucket.ObjectNotFoundError:
        return None
    try:
        with _log_failures(upload.key):
            rendered = _render(original, _sizes(image), has_time)
    except errors.ImageError as error:
        if image.status == "ready":
            return item_pictures.without_new_focus(image)
        return item_pictures.failed_image(image, error, original.etag)
    return Image(
        status="ready",
        upload_id=upload.id,
        sequencer=image.sequencer,
        etag=original.etag,
        content_type=rendered.content_type,
        width=rendered.width,
        height=rendered.height,
        bytes=original.size,
        placeholder=rendered.placeholder,
        focus=image.focus,
        focus_changes=image.focus_changes,
        thumbnails_focus=image.focus,
        thumbnails=tuple(_store(one, upload, image, original.etag) for one in rendered.thumbnails),
        warnings=tuple(rendered.warnings),
    )


def _sizes(image: Image) -> tuple[Size, ...]:
    """Return the sizes that are set in THUMBNAIL_SIZES, with the focus of the picture."""
    if image.focus is None:
        return settings().thumbnail_sizes
    focus = float(image.focus.x), float(image.focus.y)
    return tuple(msgspec.structs.replace(size, focus=focus) for size in settings().thumbnail_sizes)


def _store(rendered: protocol.Thumbnail, upload: Upload, image: Image, etag: str) -> Thumbnail:
    size = rendered.size
    key = upload.thumbnail_key(size, image.sequencer, etag, image.focus_changes)
    bucket.write(key, rendered.data, size.content_type, bucket.IMMUTABLE)
    return Thumbnail(size.pixels, rendered.width, rendered.height, key, size.content_type)


@contextmanager
def _log_failures(key: str) -> Iterator[None]:
    """Log and count the errors because of which an object gets no thumbnails, and raise them again."""
    try:
        yield
    except bucket.ObjectNotFoundError:
        telemetry.logger.info("Thumbnail job skipped: object deleted", key=key)
        raise
    except errors.ImageError as error:
        telemetry.add_count(f"RenderFailed.{error.code}")
        telemetry.logger.warning("Thumbnail job failed", key=key, error=error.code)
        raise


def _render(original: Object, sizes: tuple[Size, ...], has_time: Callable[[], bool]) -> Rendered:
    if original.size > MAX_IMAGE_BYTES:
        raise errors.ImageTooLargeError(limit=MAX_IMAGE_BYTES, size=original.size)
    memory = sandbox.memory_needed(original.data, sizes)
    with _BUDGET.reserve(memory):
        if not has_time():  # Waiting for the budget may have taken long.
            raise OutOfTimeError
        started = time.perf_counter()
        rendered = sandbox.render(original.data, sizes, memory)
    telemetry.add_count("Renders")
    telemetry.add_milliseconds("RenderTime", telemetry.milliseconds_since(started))
    telemetry.add_bytes("RenderBytes", original.size)
    return rendered
