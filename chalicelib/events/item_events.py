"""The events of a change of an item, made from a record of the table's stream.

An event is JSON in the form that the Standard Webhooks specification recommends for a payload: type, timestamp, data.
Only what owners see of their items makes events. Index records, public copies, share links, upload tickets and the
progress of thumbnails make none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib.aws import dynamodb_json, table
from chalicelib.aws.table import Key
from chalicelib.catalogue import items
from chalicelib.catalogue.models import Fields, Image, Item
from chalicelib.config import ContentType
from chalicelib.http import schemas, serializers
from chalicelib.values import exact_json, ids, times

MAX_EVENT_BYTES = 200_000
"""The most bytes of an event as JSON. EventBridge and SQS accept at least 256 KB with what is added to it."""

_Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Thumbnail(Struct):
    """A smaller copy of the picture. `GET /items/{item_id}` has its URL."""

    size: Annotated[
        int, Meta(ge=1, description="Its name: the side, in pixels, of the square that it fills or fits into.")
    ]
    width: Annotated[int, Meta(ge=1, description="In pixels.")]
    height: Annotated[int, Meta(ge=1, description="In pixels.")]
    type: Annotated[Literal["image/jpeg", "image/webp"], Meta(description="Its content type.")]


class ImageReady(Struct, rename="camel", tag_field="status", tag="ready"):
    """A picture and its thumbnails, without URLs."""

    content_type: Annotated[ContentType, Meta(description="The type of the picture.")]
    width: Annotated[int, Meta(ge=1, description="The width of the upright picture, in pixels.")]
    height: Annotated[int, Meta(ge=1, description="The height of the upright picture, in pixels.")]
    bytes: Annotated[int, Meta(ge=1, description="The size of the uploaded file.")]
    thumbnails: Annotated[list[Thumbnail], Meta(description="One in each size that the stage is configured to make.")]
    focus: Annotated[schemas.Focus | UnsetType, Meta(description="Absent unless it was set.")] = UNSET
    placeholder: Annotated[str | UnsetType, Meta(description="A ThumbHash in base64.")] = UNSET
    warnings: Annotated[list[Literal["TRUNCATED"]] | UnsetType, Meta(description="As in `GET /items/{item_id}`.")] = (
        UNSET
    )


class ManagedFields(Struct, rename="camel"):
    """The managed fields of an item in an event. The JSON also contains its own fields."""

    id: _Id
    version: Annotated[int, Meta(ge=1)]
    created_at: _Time
    updated_at: _Time
    expires_at: _Time | UnsetType = UNSET
    visibility: Literal["public"] | UnsetType = UNSET
    image: schemas.ImagePending | schemas.ImageProcessing | ImageReady | schemas.ImageFailed | UnsetType = UNSET


class ItemData(Struct, rename="camel", kw_only=True):
    """Which item changed, and the item after the change."""

    owner: Annotated[str, Meta(description="The owner of the item: the subject of their tokens.")]
    item_id: Annotated[_Id, Meta(description="The item's id.")]
    version: Annotated[
        int,
        Meta(
            ge=1, description="The item's version. Events may arrive in any order: the greatest version is the latest."
        ),
    ]
    item: Annotated[
        Any,
        Meta(description="The item as `GET /items/{item_id}` shows it, without URLs. Absent if `itemOmitted` is true."),
    ] = UNSET
    item_omitted: Annotated[
        Literal[True] | UnsetType,
        Meta(
            description="True, in place of `item`, if the event would have more than 200,000 bytes. Then read the item."
        ),
    ] = UNSET


class UpdateData(ItemData, rename="camel", kw_only=True):
    """Which item changed, which of its fields, and the item after the change."""

    changed: Annotated[
        list[str] | UnsetType,
        Meta(
            description="The names of the fields that were added, changed or removed; `image` is the picture. Absent "
            "only if the event would have more than 200,000 bytes even without the item."
        ),
    ] = UNSET


class DeletionData(ItemData, rename="camel", kw_only=True):
    """Which item was deleted, and the item before that."""

    reason: Annotated[
        Literal["asked", "expired"],
        Meta(description="`expired` if its `expiresAt` had passed, else `asked`."),
    ]


class _Event(Struct, tag_field="type", kw_only=True):
    id: Annotated[
        _Id, Meta(description="The same whenever this event is sent again. Ids sort by the time of the change.")
    ]
    timestamp: Annotated[_Time, Meta(description="When the change was made, to the second.")]
    schema: Annotated[Literal[1], Meta(description="The version of the format of events.")] = 1
    data: ItemData


class ItemCreated(_Event, tag="item.created"):
    """An item was created."""


class ItemUpdated(_Event, tag="item.updated"):
    """Fields of an item, its expiry, its visibility or the focus of its picture changed, or its picture was removed."""

    data: UpdateData


class ItemDeleted(_Event, tag="item.deleted"):
    """An item was deleted, by its owner or because it expired. `data.item` is the item before that."""

    data: DeletionData


class PictureReady(_Event, tag="picture.ready"):
    """The thumbnails of a new picture of an item are made."""


class PictureFailed(_Event, tag="picture.failed"):
    """No thumbnails can be made from the picture that was uploaded for an item."""


class ItemPublished(_Event, tag="item.published"):
    """An item became public: visitors see it. An `item.created` or `item.updated` is sent too."""


class ItemUnpublished(_Event, tag="item.unpublished"):
    """A public item became private, or was deleted. An `item.updated` or `item.deleted` is sent too."""


Event = ItemCreated | ItemUpdated | ItemDeleted | PictureReady | PictureFailed | ItemPublished | ItemUnpublished
EVENTS: tuple[type[Event], ...] = (
    ItemCreated,
    ItemUpdated,
    ItemDeleted,
    PictureReady,
    PictureFailed,
    ItemPublished,
    ItemUnpublished,
)


class Encoded(NamedTuple):
    """An event as JSON, and those of its fields that decide where it goes."""

    type: str
    owner: str
    item_id: str
    at: datetime
    json: bytes


def from_record(record: Mapping[str, Any]) -> list[Encoded]:
    """Return the events of a record of the table's stream (AWS, "DynamoDB Streams low-level API: Record").

    Most changes of an item make one event or none. Raise an exception of any kind if this version of the code does not
    understand the record.
    """
    key = item_key(record)
    if key is None:
        return []
    change = record["dynamodb"]
    old, new = (_item(key, change.get(name)) for name in ("OldImage", "NewImage"))
    if old is None and new is None:
        raise ValueError("The record has neither the old item nor the new one.")
    at = datetime.fromtimestamp(int(change["ApproximateCreationDateTime"]), UTC)
    return [_encoded(kind, item, extra, record["eventID"], at) for kind, item, extra in _events(old, new, at)]


def item_key(record: Mapping[str, Any]) -> Key | None:
    """Return the key of the item that changed, or None if the record is a public copy or of another kind."""
    key = Key.from_attributes(record["dynamodb"]["Keys"])
    return key if key.kind == "ITEM" and table.is_of_owner(key.owner) else None


def _item(key: Key, image: Any) -> Item | None:
    return items.from_record(key.owner, key.id, dynamodb_json.deserialize_all(image)) if image else None


_Fields = dict[str, Any]


def _events(old: Item | None, new: Item | None, at: datetime) -> Iterator[tuple[type[Event], Item, _Fields]]:
    """Yield the kinds of the events, each with the item that it shows and with the fields that only its data has."""
    if old and new:
        if changed := _changed(old, new):
            yield ItemUpdated, new, {"changed": changed}
    elif new:
        yield ItemCreated, new, {}
    elif old:
        yield ItemDeleted, old, {"reason": _reason(old, at)}
    was_public, is_public = (item is not None and item.visibility == "public" for item in (old, new))
    if was_public != is_public and (item := new or old):
        yield ItemPublished if is_public else ItemUnpublished, item, {}
    if old and new and new.image and _is_new_result(old.image, new.image):
        yield PictureReady if new.image.status == "ready" else PictureFailed, new, {}


def _changed(old: Item, new: Item) -> list[str]:
    """Return the names of what the owner changed, sorted: own fields, settings, and ``image``."""
    names = old.fields.keys() | new.fields.keys()
    changed = {name for name in names if not _is_same_field(old.fields, new.fields, name)}
    if old.expires_at != new.expires_at:
        changed.add("expiresAt")
    if old.visibility != new.visibility:
        changed.add("visibility")
    if old.image and _is_removed_or_refocused(old.image, new.image):
        changed.add("image")
    return sorted(changed)


def _is_removed_or_refocused(old: Image, new: Image | None) -> bool:
    """Return whether the owner no longer sees a picture, or sees it with another focus.

    The focus also changes if the picture could not be rendered with a new one: then it has the previous one again.
    """
    if new is None:
        return old.status != "pending"  # A picture that is pending made no event, so its removal makes none.
    is_same = (old.upload_id, old.sequencer, old.status) == (new.upload_id, new.sequencer, new.status)
    return is_same and old.focus != new.focus


def _is_same_field(old: Fields, new: Fields, name: str) -> bool:
    return name in old and name in new and exact_json.equal(old[name], new[name])


def _is_new_result(old: Image | None, new: Image) -> bool:
    """Return whether the picture has become ready or failed, and not merely had its thumbnails made again."""
    if new.status not in ("ready", "failed"):
        return False
    return old is None or (old.status, old.upload_id, old.sequencer) != (new.status, new.upload_id, new.sequencer)


def _reason(deleted: Item, at: datetime) -> Literal["asked", "expired"]:
    # The stream's times have whole seconds, rounded down (DynamoDB API Reference, "StreamRecord").
    return "expired" if deleted.is_expired(at + timedelta(milliseconds=999)) else "asked"


_DATA: dict[type[Event], type[ItemData]] = {ItemUpdated: UpdateData, ItemDeleted: DeletionData}
"""The data of events, if they have other fields than ItemData."""


def _encoded(kind: type[Event], item: Item, extra: _Fields, stream_id: str, at: datetime) -> Encoded:
    type_ = str(kind.__struct_config__.tag)
    tail = int.from_bytes(hashlib.sha256(f"{stream_id} {type_}".encode()).digest()[:10])
    data = {"owner": item.owner, "item_id": item.id, "version": item.version, **extra}

    def encode(**more: Any) -> bytes:
        complete: Any = _DATA.get(kind, ItemData)(**data | more)
        event = kind(id=ids.new_id(times.unix_ms(at), tail), timestamp=times.format_time(at), data=complete)
        return exact_json.to_json(event)

    encoded = encode(item=msgspec.Raw(_item_json(item)))
    if len(encoded) > MAX_EVENT_BYTES:
        encoded = encode(item_omitted=True)
    if len(encoded) > MAX_EVENT_BYTES:
        encoded = encode(item_omitted=True, changed=UNSET)
    return Encoded(type_, item.owner, item.id, at, encoded)


def _item_json(item: Item) -> bytes:
    shown = serializers.managed_fields(item, lambda *_: "")
    managed = ManagedFields(
        shown.id, shown.version, shown.created_at, shown.updated_at, shown.expires_at, shown.visibility
    )
    managed.image = _without_urls(shown.image) if isinstance(shown.image, schemas.ImageReady) else shown.image
    return serializers.joined(exact_json.to_json(managed), exact_json.to_json(item.fields))


def _without_urls(image: schemas.ImageReady) -> ImageReady:
    return ImageReady(
        image.content_type,
        image.width,
        image.height,
        image.bytes,
        [Thumbnail(one.size, one.width, one.height, one.type) for one in image.thumbnails],
        image.focus,
        image.placeholder,
        image.warnings,
    )
