"""The pictures of items: tickets, recorded uploads, states. :mod:`chalicelib.catalogue.thumbnail_jobs` renders them.

The states of an item's picture, and what moves it from one to the next::

    (none)      ticket ─────────────────► pending
    pending     ticket lapsed unused ───► (none)
    any         newer upload ───────────► processing  (or another file by the ticket of the one that is there)
    processing  rendered ───────────────► ready
    processing  refused, or given up ───► failed
    processing  object gone ────────────► (none)
    failed      rendered after all ─────► ready       (one that was given up: its letter was sent back)
    any         removed ────────────────► (none)

An upload is newer than another when its ticket is; of two files by one ticket, S3's sequencer says which is. Events may
come late, twice or out of order; only an upload newer than the last one noted moves anything. Removing a pending
picture counts as noting all that its tickets are for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import bucket, queue
from chalicelib.aws.bucket import PresignedPost, Upload
from chalicelib.catalogue import items
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.messages import RenderImage
from chalicelib.catalogue.models import Image, Item, Problem
from chalicelib.config import MAX_IMAGE_BYTES
from chalicelib.values import ids, times

TICKET_PERIOD = timedelta(minutes=15)

NOTICE_PERIOD = timedelta(minutes=15)
"""How long after a ticket's end an upload's event may take before the cleanup goes and looks for the upload itself."""

RENDER_PERIOD = timedelta(minutes=30)
"""How long a render may take, redeliveries included, before the cleanup queues it again."""

MAX_ATTEMPTS = 3


class Ticket(NamedTuple):
    """Leave to upload one picture, until ``expires_at``."""

    post: PresignedPost
    expires_at: str


# ------------------------------------------------------------------------------------------------------- what users do


def ticket(owner: str, id_: str, content_type: str, at: datetime) -> Ticket:
    """Leave to upload a picture of ``content_type`` to an item within 15 minutes. Raises ItemNotFoundError."""
    until = at + TICKET_PERIOD
    lapses = times.format_time(until + NOTICE_PERIOD)

    def with_ticket(item: Item) -> Item:
        # The order of tickets decides which picture wins, so it must not depend on the clock.
        image = item.image or Image(status="pending", content_type=content_type)
        newest = max(item.last_ticket or "", item.last_upload or "", image.upload_id or "")
        upload_id = ids.new_id_after(newest, times.unix_ms(at))
        if image.status == "pending":
            # Removing it voids all tickets up to the newest one.
            image = msgspec.structs.replace(image, upload_id=upload_id)
        ticket_until = max(lapses, item.ticket_until or "")
        return msgspec.structs.replace(item, image=image, ticket_until=ticket_until, last_ticket=upload_id)

    item = items.change(owner, id_, with_ticket, at)
    upload = Upload(owner, id_, item.last_ticket or "")
    post = bucket.presigned_post(upload.key, content_type, MAX_IMAGE_BYTES, TICKET_PERIOD)
    return Ticket(post, times.format_time(until))


def url(item: Item, size: int | None) -> str:
    """Where the thumbnail of ``size``, or the original, can be downloaded for two hours. Raises ImageNotFoundError."""
    image = item.image
    if image is None or image.status != "ready" or image.upload_id is None:
        raise errors.ImageNotFoundError(id=item.id)
    if size is None:
        return bucket.presigned_get(Upload(item.owner, item.id, image.upload_id).key, image.content_type)
    for thumbnail in image.thumbnails:
        if thumbnail.size == size:
            return bucket.presigned_get(thumbnail.key)
    raise errors.ImageNotFoundError(id=item.id)


def remove(owner: str, id_: str, at: datetime, check: Check = items.accept_any) -> None:
    """Removes an item's picture, with its objects; one that is pending, with the tickets given for it.

    Raises ImageNotFoundError, and as items.change does.
    """

    def without(item: Item) -> Item:
        if item.image is None:
            raise errors.ImageNotFoundError(id=id_)
        # Due at once: should the objects not go now, the cleanup finds that they have to.
        due = max(times.format_time(at), item.ticket_until or "")
        last = max(item.image.upload_id or "", item.last_upload or "") or None
        return msgspec.structs.replace(item, image=None, ticket_until=due, last_upload=last)

    prune(items.change(owner, id_, without, at, check))


def remove_item(owner: str, id_: str, at: datetime, check: Check = items.accept_any, *, over: bool = False) -> None:
    """Removes an item with its objects; ``over``: one whose time is up. Raises as items.remove does."""
    item = items.remove(owner, id_, at, check, over=over)
    if not item.may_have_objects:
        return
    bucket.delete(bucket.item_keys(owner, id_))
    # With a ticket, even one that has expired by this clock, an upload may follow: the clocks of two functions differ.
    if item.ticket_until is None:
        items.purged(owner, id_)


def prune(item: Item) -> None:
    """Deletes the objects of uploads that are over: older than the last one noted, and it too where it was removed.

    One that is newer is on its way to being the item's picture, and stays.
    """
    bucket.delete(key for key in bucket.item_keys(item.owner, item.id) if _over(item, key))


def _over(item: Item, key: str) -> bool:
    upload_id, last = bucket.upload_id(key), item.last_upload or ""
    if upload_id != last:
        return upload_id < last
    image = _image_of(item, upload_id)
    if image is None:
        return True
    return key.startswith(bucket.THUMBNAILS) and not _may_show(image, key)


def _may_show(image: Image, key: str) -> bool:
    """Whether a picture shows the thumbnail at ``key``, or may when its render ends."""
    sequencer = bucket.thumbnail_sequencer(key)
    if sequencer == image.sequencer and not _is_awaited(image):
        return any(key == thumbnail.key for thumbnail in image.thumbnails)
    return sequencer >= image.sequencer


def _image_of(item: Item, upload_id: str) -> Image | None:
    """The item's picture, if it is of that upload."""
    return item.image if item.image and item.image.upload_id == upload_id else None


def purge(owner: str, id_: str) -> None:
    """Delete every object of an item that is gone and that no upload can come to any more.

    If the item exists again, because somebody restored it, delete only what :func:`prune` deletes.
    """
    item = items.find(owner, id_)
    if item is None:
        bucket.delete(bucket.item_keys(owner, id_))
    else:
        telemetry.logger.warning("An item that was deleted is there again", item_id=id_)
        prune(item)
    items.purged(owner, id_)


# ------------------------------------------------------------------------------------------------ what uploads set off


def note(key: str, at: datetime, sequencer: str = "") -> None:
    """An object was put at ``key``: notes it on its item and queues its render. Doing it again changes nothing.

    Of two objects put there, the later has the greater ``sequencer``; it is empty where no event told of the object.
    """
    upload = Upload.from_key(key)
    if upload is None:
        queue.send(RenderImage(key))
        return
    telemetry.set_owner(upload.owner)

    def noted(item: Item) -> Item:
        if not _newer(item, upload, sequencer):
            return item
        due = times.format_time(at + RENDER_PERIOD)
        image = Image(status="processing", upload_id=upload.id, sequencer=sequencer, due_at=due)
        return msgspec.structs.replace(item, image=image, last_upload=upload.id)

    try:
        item = items.change(upload.owner, upload.item_id, noted, at)
    except errors.ItemNotFoundError:
        if items.find(upload.owner, upload.item_id) is None:
            telemetry.logger.info("Upload deleted: its item does not exist", key=key)
            bucket.delete([key])
        else:
            # Only by this function's clock: the cleanup deletes the item with its objects, or finds this upload.
            telemetry.logger.info("Upload skipped: its item has expired", key=key)
        return
    # Queued on every delivery of the event, for the first may have failed between the note and the queue.
    if awaits(item, upload):
        queue.send(RenderImage(key))
    elif _over(item, key):
        bucket.delete([key])


def _newer(item: Item, upload: Upload, sequencer: str) -> bool:
    last = item.last_upload or ""
    if upload.id != last:
        return upload.id > last
    image = _image_of(item, upload.id)
    return image is not None and sequencer > image.sequencer


def awaits(item: Item, upload: Upload) -> bool:
    """Whether it is this upload's thumbnails that an item waits for, if only because they were given up.

    The original of one that was given up is still there, and what kept it from being rendered may be mended by now.
    """
    image = _image_of(item, upload.id)
    return image is not None and _is_awaited(image)


def _is_awaited(image: Image) -> bool:
    return image.status == "processing" or (image.error is not None and image.error.error == errors.ImageLostError.code)


def failed(awaited: Image, error: errors.ImageError, etag: str = "") -> Image:
    """What becomes of a picture that was awaited, and that no thumbnails can be made of."""
    return Image(
        status="failed",
        upload_id=awaited.upload_id,
        sequencer=awaited.sequencer,
        etag=etag,
        error=Problem(error.code, error.message),
    )


# ------------------------------------------------------------------------------------------------------ what falls due


def settle(item: Item, at: datetime) -> None:
    """Does what is due on an item's picture: a stuck render, an upload that went unnoticed, a ticket that lapsed."""
    time = times.format_time(at)
    if item.image and item.image.due_at and item.image.due_at <= time:
        _retry(item, item.image, at)
    if item.ticket_until and item.ticket_until <= time:
        _close_ticket(item, at)


def _retry(item: Item, stuck: Image, at: datetime) -> None:
    upload = Upload(item.owner, item.id, stuck.upload_id or "")
    attempts = stuck.attempts + 1
    telemetry.logger.warning("A render was stuck", key=upload.key, attempts=attempts)
    if attempts >= MAX_ATTEMPTS:
        image = failed(stuck, errors.ImageLostError())
    else:
        image = msgspec.structs.replace(stuck, attempts=attempts, due_at=times.format_time(at + RENDER_PERIOD))
        # Before it is counted: what the queue did not take was no attempt.
        queue.send(RenderImage(upload.key))

    def retried(now: Item) -> Item:
        return msgspec.structs.replace(now, image=image) if now.image == stuck else now

    items.change(item.owner, item.id, retried, at)


def _close_ticket(item: Item, at: datetime) -> None:
    originals = bucket.original_etags(item.owner, item.id)
    newest = max(originals, default="")
    if newest and bucket.upload_id(newest) > (item.last_upload or ""):
        telemetry.logger.warning("An upload had gone unnoticed", key=newest)
        note(newest, at)
    elif newest and (later := _later_sequencer(item, bucket.upload_id(newest), originals[newest])):
        telemetry.logger.warning("Another file with the same ticket had gone unnoticed", key=newest)
        note(newest, at, later)
    # Before the ticket is closed: if this fails, it is due again.
    prune(items.get(item.owner, item.id, at))

    def closed(now: Item) -> Item:
        if now.ticket_until != item.ticket_until:
            return now
        image = None if now.image and now.image.status == "pending" else now.image
        return msgspec.structs.replace(now, image=image, ticket_until=None)

    items.change(item.owner, item.id, closed, at)


def _later_sequencer(item: Item, upload_id: str, etag: str) -> str | None:
    """Return a sequencer for the object with that entity tag if the item's picture was made of another one before it.

    S3's sequencers are hexadecimal digits: this one is greater than the picture's, and less than any later one.
    """
    image = _image_of(item, upload_id)
    return f"{image.sequencer}z" if image and image.etag not in ("", etag) else None
