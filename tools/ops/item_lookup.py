"""Find what is stored about one item: its record, its purge record, its objects, and dead letters about it."""

from __future__ import annotations

from typing import Any, NamedTuple

from chalicelib.aws import bucket, table
from chalicelib.aws.bucket import Upload
from chalicelib.aws.table import Key
from chalicelib.catalogue import messages
from tools.ops import s3_objects
from tools.ops.dead_letter import DeadLetter
from tools.ops.deployed_stage import Stage
from tools.ops.s3_objects import S3Object


class ItemData(NamedTuple):
    """What is stored about an item, without its index records and public copies."""

    record: dict[str, Any] | None
    """Its record in the table, with exact numbers."""
    purge_due_at: str | None
    """When the cleanup deletes the objects that the deleted item may have left, if it is due."""
    objects: list[S3Object]
    dead_letters: list[DeadLetter]
    """The dead letters that name it."""

    @property
    def due(self) -> list[tuple[str, str]]:
        """Return when (``models.Item.due_at``) and why the item is due for cleanup, the earliest first."""
        record = self.record or {}
        times = [
            (record.get("expiresAt"), "the item expires"),
            (record.get("ticketUntil"), "its upload ticket expires"),
            (record.get("image", {}).get("dueAt"), "its thumbnail job is overdue"),
            (record.get("exposureDueAt"), "its public thumbnails are checked"),
            (record.get("hidden") and record["updatedAt"], "visitors do not see it yet: its public copy is missing"),
            *((share.get("expiresAt"), "a share link expires") for share in record.get("shares", ())),
        ]
        return sorted((at, reason) for at, reason in times if at)


def find(stage: Stage, owner: str, id_: str, dead_letters: list[DeadLetter]) -> ItemData:
    """Return what is in the table, in the bucket and among ``dead_letters`` about an item."""
    stage.set_environment()
    purge = table.get(Key(owner, "PURGE", id_))
    return ItemData(
        table.get(Key(owner, "ITEM", id_)),
        purge["dueAt"] if purge else None,
        _objects(stage, owner, id_),
        [letter for letter in dead_letters if is_about(letter, owner, id_)],
    )


def is_about(letter: DeadLetter, owner: str, id_: str) -> bool:
    """Return whether a message is about that item."""
    match letter.message:
        case messages.RenderImage(key=key):
            upload = Upload.from_key(key)
            return upload is not None and (upload.owner, upload.item_id) == (owner, id_)
        case messages.DeleteItem(owner=message_owner, id=message_id):
            return (message_owner, message_id) == (owner, id_)
        case _:
            return False


def _objects(stage: Stage, owner: str, id_: str) -> list[S3Object]:
    originals = Upload(owner, id_, "").key
    thumbnails = bucket.THUMBNAILS + originals.removeprefix(bucket.UPLOADS)
    return [one for prefix in (originals, thumbnails) for one in s3_objects.with_prefix(stage, prefix)]
