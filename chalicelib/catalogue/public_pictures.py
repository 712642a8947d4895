"""The public objects of exposed items: copies of their thumbnails that visitors may load. Originals are never copied.

An item is exposed while it is public or a link shows it. The function that makes thumbnails also makes and deletes
their copies. ``Image.exposure`` says that the copies exist; visitors see no picture before. A write that begins or ends
an exposure sets ``Item.exposure_due_at`` and queues a thumbnail job. The cleanup queues it again until the public
objects are as they should be.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import bucket
from chalicelib.catalogue import item_pictures, items, public_copies
from chalicelib.catalogue.models import Image, Item
from chalicelib.values import times


def copied(item: Item, image: Image) -> Image:
    """Copy the thumbnails of ``image`` to their public keys, if the item is exposed.

    Return the image, with its ``exposure`` set if they were copied. Repeating this changes nothing.
    """
    if not item.is_exposed or image.status != "ready":
        return image
    for one in image.thumbnails:
        try:
            bucket.copy(one.key, public_copies.public_key(item, one.key), one.type, bucket.IMMUTABLE_FOR_ALL)
        except bucket.ObjectNotFoundError:
            # Either the picture has just been replaced, or the owner cannot see this thumbnail either.
            telemetry.logger.warning("Public copy skipped: thumbnail not found", key=one.key)
    return msgspec.structs.replace(image, exposure=item.exposures)


def synchronize(item: Item, at: datetime) -> None:
    """Copy the thumbnails of an exposed item to public keys, and delete all public objects that it should not have."""
    image = copied(item, item.image) if item.image and item.needs_public_thumbnails else item.image
    item_pictures.delete_superseded_objects(item)

    def synchronized(now: Item) -> Item:
        if (now.image, now.exposures, now.is_exposed) != (item.image, item.exposures, item.is_exposed):
            return now  # A later job, or the cleanup, does what is due now.
        if now.exposure_due_at is None:
            return now  # Another job has ended at the same time.
        return msgspec.structs.replace(now, image=image, exposure_due_at=None)

    # An item that has expired is deleted by the cleanup, with its objects.
    with suppress(errors.ItemNotFoundError):
        items.change(item.owner, item.id, synchronized, at, is_update=False)


def do_work_due(item: Item, at: datetime) -> None:
    """Synchronize the public objects if that is due at ``at``. If thumbnails must be copied, queue a job for that."""
    if item.exposure_due_at is None or item.exposure_due_at > times.format_time(at):
        return
    if not item.needs_public_thumbnails:
        synchronize(item, at)
        return
    telemetry.logger.warning("Public pictures timeout: retrying", item_id=item.id)
    due_at = times.format_time(at + items.EXPOSURE_TIMEOUT)

    def retried(now: Item) -> Item:
        return msgspec.structs.replace(now, exposure_due_at=due_at) if now.exposure_due_at else now

    items.change(item.owner, item.id, retried, at, is_update=False)
