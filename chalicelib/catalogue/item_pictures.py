"""Pictures of items: upload tickets, recorded uploads, states. ``thumbnail_jobs.py`` makes their thumbnails.

The states of an item's picture, and what changes them::

    (none)      ticket issued ──────────────► pending
    pending     ticket expired unused ──────► (none)
    any         newer upload recorded ──────► processing  (or another file with the ticket of the current upload)
    processing  thumbnails made ────────────► ready
    processing  refused, or retries used up ► failed
    processing  object not found ───────────► (none)
    failed      thumbnails made ────────────► ready       (after used-up retries: the dead letter was sent back)
    ready       focus changed ──────────────► ready       (with the old thumbnails until the new ones are made)
    any         deleted ────────────────────► (none)

An upload is newer than another if its ticket is; of two files with one ticket, S3's sequencer decides. Events may
arrive late, twice or out of order: only an upload newer than the last recorded one changes the state. Deleting a
pending picture counts as recording the uploads of all its tickets.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import bucket, queue
from chalicelib.aws.bucket import PresignedPost, Upload
from chalicelib.catalogue import items, public_catalogues, public_copies, share_links
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.messages import RenderImage
from chalicelib.catalogue.models import Focus, Image, Item, PictureFailure
from chalicelib.config import MAX_IMAGE_BYTES
from chalicelib.values import ids, times

TICKET_PERIOD = timedelta(minutes=15)

EVENT_TIMEOUT = timedelta(minutes=15)
"""How long after a ticket's expiry the cleanup waits for the upload's event before it looks for the upload itself."""

THUMBNAIL_JOB_TIMEOUT = timedelta(minutes=30)
"""How long a thumbnail job may take, redeliveries included, before the cleanup queues it again."""

MAX_THUMBNAIL_JOB_ATTEMPTS = 3


class Ticket(msgspec.Struct, frozen=True):
    """Permission to upload one picture until ``expires_at``."""

    post: PresignedPost
    expires_at: str


# ------------------------------------------------------------------------------------------------------------ requests


def create_ticket(owner: str, id_: str, content_type: str, at: datetime) -> Ticket:
    """Return a ticket to upload a picture of ``content_type`` to an item within 15 minutes.

    Raise ItemNotFoundError, and BusyError after eight attempts.
    """
    until = at + TICKET_PERIOD
    due_at = times.format_time(until + EVENT_TIMEOUT)

    def with_ticket(item: Item) -> Item:
        # Of two uploads, the one with the newer ticket becomes the picture. So the order of tickets must not depend on
        # the clock.
        image = item.image or Image(status="pending", content_type=content_type)
        newest = max(item.last_ticket or "", item.last_upload or "", image.upload_id or "")
        upload_id = ids.new_id_after(newest, times.unix_ms(at))
        if image.status == "pending":
            # Deleting a pending picture cancels the uploads of all its tickets, up to the newest one.
            image = msgspec.structs.replace(image, upload_id=upload_id)
        return msgspec.structs.replace(
            item,
            image=image,
            ticket_until=max(due_at, item.ticket_until or ""),
            last_ticket=upload_id,
            has_one_file=not (item.last_ticket or item.may_have_objects),
        )

    item = items.change(owner, id_, with_ticket, at, is_update=False)
    upload = Upload(owner, id_, item.last_ticket or "")
    post = bucket.presigned_post(upload.key, content_type, MAX_IMAGE_BYTES, TICKET_PERIOD)
    return Ticket(post, times.format_time(until))


def download_url(item: Item, size: int | None) -> str:
    """Return a URL, valid for at least two hours, of the thumbnail with ``size`` or, if that is None, of the original.

    Raise ImageNotFoundError if the item's picture is not ready, or has no such thumbnail.
    """
    image = item.image
    if image is None or image.status != "ready" or image.upload_id is None:
        raise errors.ImageNotFoundError(id=item.id)
    if size is None:
        return bucket.presigned_get(Upload(item.owner, item.id, image.upload_id).key, image.content_type)
    for thumbnail in image.thumbnails:
        if thumbnail.size == size:
            return bucket.presigned_get(thumbnail.key)
    raise errors.ImageNotFoundError(id=item.id)


def delete(owner: str, id_: str, at: datetime, check: Check = items.allow_write) -> None:
    """Delete an item's picture with its objects. If it is pending, cancel its tickets too.

    Raise ImageNotFoundError if the item has no picture, and the errors of :func:`items.change`.
    """

    def without_picture(item: Item) -> Item:
        if item.image is None:
            raise errors.ImageNotFoundError(id=id_)
        # Have the cleanup delete the objects, in case deleting them fails now.
        due = max(times.format_time(at), item.ticket_until or "")
        last = max(item.image.upload_id or "", item.last_upload or "") or None
        return msgspec.structs.replace(item, image=None, ticket_until=due, last_upload=last, has_one_file=False)

    delete_superseded_objects(items.change(owner, id_, without_picture, at, check))


def change_focus(owner: str, id_: str, focus: Focus | None, at: datetime, check: Check = items.allow_write) -> Item:
    """Set the focus of an item's picture, queue the job that makes its thumbnails again, and return the item.

    Raise ImageNotFoundError if the picture is not ready, and the errors of :func:`items.change`.
    """
    due = times.format_time(at + THUMBNAIL_JOB_TIMEOUT)

    def with_focus(item: Item) -> Item:
        image = item.image
        if image is None or image.status != "ready":
            raise errors.ImageNotFoundError(id=id_)
        if image.focus == focus:
            return item
        due_at, number = None if focus == image.thumbnails_focus else due, image.focus_changes + 1
        changed = msgspec.structs.replace(image, focus=focus, focus_changes=number, due_at=due_at, attempts=0)
        return msgspec.structs.replace(item, image=changed, has_one_file=False)

    item = items.change(owner, id_, with_focus, at, check)
    if item.image and item.image.upload_id and _needs_thumbnails(item.image):
        try:
            queue.send(RenderImage(Upload(owner, item.id, item.image.upload_id).key))
        except queue.FAILURES:
            telemetry.logger.exception("Queueing a thumbnail job failed; the cleanup will retry", item_id=item.id)
    return item


def delete_item(
    owner: str, id_: str, at: datetime, check: Check = items.allow_write, *, expired: bool | None = False
) -> None:
    """Delete an item with its objects and links. ``expired`` and the errors are those of :func:`items.delete`."""
    item = items.delete(owner, id_, at, check, expired=expired)
    share_links.delete_records(item.shares)
    if not item.may_have_objects:
        return
    delete_all_objects(owner, id_)
    # After a ticket, an upload may still follow, even if the ticket has expired by this clock: clocks differ.
    if item.ticket_until is None:
        items.delete_purge_record(owner, id_)


# ------------------------------------------------------------------------------------------------------------- uploads


def record_upload(key: str, at: datetime, sequencer: str = "", etag: str = "") -> None:
    """Record in its item that an object was put at ``key``, and queue its thumbnail job. Repeating it changes nothing.

    ``sequencer`` and ``etag`` are S3's for the object, or empty if no event named them. If the item does not exist,
    delete the object. A file uploaded outside items/ has no item: only queue its thumbnail job.
    """
    upload = Upload.from_key(key)
    if upload is None:
        queue.send(RenderImage(key))
        return
    telemetry.set_owner(upload.owner)

    def recorded(item: Item) -> Item:
        if not _is_newer(upload, sequencer, item):
            return item
        due = times.format_time(at + THUMBNAIL_JOB_TIMEOUT)
        image = Image(status="processing", upload_id=upload.id, sequencer=sequencer, etag=etag, due_at=due)
        is_only_file = item.has_one_file and bool(etag) and item.last_upload is None
        return msgspec.structs.replace(item, image=image, last_upload=upload.id, has_one_file=is_only_file)

    try:
        item = items.change(upload.owner, upload.item_id, recorded, at, is_update=False)
    except errors.ItemNotFoundError:
        if items.find(upload.owner, upload.item_id) is None:
            telemetry.logger.info("Upload deleted: its item does not exist", key=key)
            bucket.delete([key])
        else:
            # The item has expired by this function's clock. The cleanup deletes it with its objects, or, if it has not
            # expired by the cleanup's clock, finds this upload.
            telemetry.logger.info("Upload skipped: its item has expired", key=key)
        return
    # Queue the job whenever the event is delivered: the function may have failed before it queued the job last time.
    if needs_thumbnails(item, upload):
        queue.send(RenderImage(key))
    elif _is_superseded(item, key):
        bucket.delete([key])


def _is_newer(upload: Upload, sequencer: str, item: Item) -> bool:
    last = item.last_upload or ""
    if upload.id != last:
        return upload.id > last
    image = _image_of(item, upload.id)
    return image is not None and sequencer > image.sequencer


def needs_thumbnails(item: Item, upload: Upload) -> bool:
    """Return whether the item's picture is of this upload and has no thumbnails with its focus yet, but may get them.

    That includes a picture that failed because its retries were used up: its original still exists, and the cause may
    be fixed.
    """
    image = _image_of(item, upload.id)
    return image is not None and _needs_thumbnails(image)


def _needs_thumbnails(image: Image) -> bool:
    if image.status == "ready":
        return image.focus != image.thumbnails_focus
    return image.status == "processing" or (image.error is not None and image.error.error == errors.ImageLostError.code)


def without_new_focus(image: Image) -> Image:
    """Return a ready picture with the focus of its thumbnails, because it could not be rendered with a new one."""
    return msgspec.structs.replace(image, focus=image.thumbnails_focus, due_at=None, attempts=0)


def _image_of(item: Item, upload_id: str) -> Image | None:
    """Return the item's picture if it is of that upload, else None."""
    return item.image if item.image and item.image.upload_id == upload_id else None


def failed_image(image: Image, error: errors.ImageError, etag: str = "") -> Image:
    """Return the failed picture that replaces ``image`` because of ``error``. ``etag`` is its object's entity tag."""
    return Image(
        status="failed",
        upload_id=image.upload_id,
        sequencer=image.sequencer,
        etag=etag,
        error=PictureFailure(error.code, error.message),
    )


# ------------------------------------------------------------------------------------------------------------- objects


def delete_superseded_objects(item: Item) -> None:
    """Delete the objects of all uploads before the last recorded one; if that picture was deleted, its objects too.

    Keep those of newer uploads: they may become the item's picture. Of public objects, delete those of earlier
    exposures too, and all if the item is not exposed.
    """
    keys = [] if item.has_one_file else bucket.item_keys(item.owner, item.id)
    if item.public_seed:
        keys += bucket.public_keys(item.public_seed, item.id)
    bucket.delete(key for key in keys if _is_superseded(item, key))


def delete_all_objects(owner: str, id_: str) -> None:
    """Delete all objects of a deleted item."""
    reference = public_catalogues.find_reference(owner)
    public = bucket.public_keys(reference.seed(id_), id_) if reference else []
    bucket.delete([*bucket.item_keys(owner, id_), *public])


def _is_superseded(item: Item, key: str) -> bool:
    upload_id, last = bucket.upload_id(key), item.last_upload or ""
    if upload_id != last:
        return upload_id < last
    image = _image_of(item, upload_id)
    if image is None:
        return True
    thumbnails = [thumbnail.key for thumbnail in image.thumbnails]
    if key.startswith(bucket.PUBLIC):
        exposure = bucket.exposure(key)
        if exposure != item.exposures:
            return exposure < item.exposures
        thumbnails = [public_copies.public_key(item, thumbnail) for thumbnail in thumbnails]
        return not item.is_exposed or not _may_use(image, key, thumbnails)
    return key.startswith(bucket.THUMBNAILS) and not _may_use(image, key, thumbnails)


def _may_use(image: Image, key: str, thumbnails: list[str]) -> bool:
    """Return whether a picture uses the thumbnail at ``key``, or may use it when a thumbnail job ends.

    The picture may have changed since it was read: then newer thumbnails are those of the picture as it is now.
    """
    version, current = bucket.thumbnail_version(key), (image.sequencer, image.focus_changes)
    if version > current or key in thumbnails:
        return True
    return version == current and _needs_thumbnails(image)


def purge(owner: str, id_: str) -> None:
    """Delete all objects of a deleted item, and its purge record. No upload can arrive for this item any more.

    If the item exists again because it was restored, delete only its superseded objects.
    """
    item = items.find(owner, id_)
    if item is None:
        delete_all_objects(owner, id_)
    else:
        telemetry.logger.warning("Purge skipped: the deleted item exists again", item_id=id_)
        delete_superseded_objects(item)
    items.delete_purge_record(owner, id_)


# ------------------------------------------------------------------------------------------------------------ work due


def do_work_due(item: Item, at: datetime) -> None:
    """Do what is due on an item: retry its thumbnail job, or close its ticket and record an upload without an event."""
    time = times.format_time(at)
    if item.image and item.image.due_at and item.image.due_at <= time:
        _retry_thumbnail_job(item, item.image, at)
    if item.ticket_until and item.ticket_until <= time:
        _close_ticket(item, at)


def _retry_thumbnail_job(item: Item, image: Image, at: datetime) -> None:
    upload = Upload(item.owner, item.id, image.upload_id or "")
    attempts = image.attempts + 1
    if attempts >= MAX_THUMBNAIL_JOB_ATTEMPTS:
        telemetry.logger.warning("Thumbnail job timeout: picture failed", key=upload.key, attempts=attempts)
        is_ready = image.status == "ready"
        next_image = without_new_focus(image) if is_ready else failed_image(image, errors.ImageLostError())
    else:
        telemetry.logger.warning("Thumbnail job timeout: retrying", key=upload.key, attempts=attempts)
        due_at = times.format_time(at + THUMBNAIL_JOB_TIMEOUT)
        next_image = msgspec.structs.replace(image, attempts=attempts, due_at=due_at)
        # Send first: if the queue fails, the attempt must not be counted.
        queue.send(RenderImage(upload.key))

    def retried(now: Item) -> Item:
        return msgspec.structs.replace(now, image=next_image) if now.image == image else now

    # Callers see that the picture failed, or has its previous focus again. They do not see that its job is queued
    # again, so that is no update.
    is_update = attempts >= MAX_THUMBNAIL_JOB_ATTEMPTS
    # A job that failed may have stored thumbnails with a focus that the picture no longer has.
    delete_superseded_objects(items.change(item.owner, item.id, retried, at, is_update=is_update))


def _close_ticket(item: Item, at: datetime) -> None:
    originals = bucket.original_etags(item.owner, item.id)
    newest = max(originals, default="")
    if newest and bucket.upload_id(newest) > (item.last_upload or ""):
        telemetry.logger.warning("Upload event lost: recording the upload", key=newest)
        record_upload(newest, at)
    elif newest and (later := _later_sequencer(item, bucket.upload_id(newest), originals[newest])):
        telemetry.logger.warning("Upload event lost: recording another file with the same ticket", key=newest)
        record_upload(newest, at, later)
    # Delete before closing the ticket, so that a failure is retried.
    delete_superseded_objects(items.get(item.owner, item.id, at))

    def closed(now: Item) -> Item:
        if now.ticket_until != item.ticket_until:
            return now
        image = None if now.image and now.image.status == "pending" else now.image
        return msgspec.structs.replace(now, image=image, ticket_until=None)

    items.change(item.owner, item.id, closed, at, is_update=False)


def _later_sequencer(item: Item, upload_id: str, etag: str) -> str | None:
    """Return a sequencer for the object with this ``etag``, or None if the item's picture was made from that object.

    S3's sequencers are hexadecimal digits. The returned one is greater than the picture's, and less than any later one.
    """
    image = _image_of(item, upload_id)
    return f"{image.sequencer}z" if image and image.etag not in ("", etag) else None
