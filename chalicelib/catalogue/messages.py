"""What comes by the queue, held to the same rules as what comes by HTTP.

A producer gets no answer. So what is wrong with a message is a sentence in the log, which ``tools.ops dead-letters``
shows beside the dead letter that the message becomes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, get_args

import msgspec

from chalicelib import errors
from chalicelib.aws import bucket
from chalicelib.catalogue import items, validation
from chalicelib.values import exact_json, ids

# _RULES says what is allowed in these.
Owner = Annotated[str, msgspec.Meta(title="Owner")]
Id = Annotated[str, msgspec.Meta(title="Id")]
IdempotencyKey = Annotated[str, msgspec.Meta(title="IdempotencyKey")]
UploadKey = Annotated[str, msgspec.Meta(title="UploadKey")]


class RenderImage(msgspec.Struct, frozen=True, tag_field="type", tag="image.render"):
    """Make the thumbnails of the object at ``key``."""

    key: UploadKey


class ImportChunk(msgspec.Struct, frozen=True, tag_field="type", tag="import.chunk", rename="camel"):
    """Create the items of one chunk of an import."""

    owner: Owner
    import_id: Id
    chunk: Annotated[int, msgspec.Meta(ge=0)]


class CreateItem(msgspec.Struct, frozen=True, tag_field="type", tag="item.create"):
    """Create an item from the JSON object ``item``; open to other producers. One ``key`` makes one item."""

    owner: Owner
    item: msgspec.Raw
    key: IdempotencyKey | None = None


class DeleteItem(msgspec.Struct, frozen=True, tag_field="type", tag="item.delete"):
    """Delete an item with its pictures; open to other producers."""

    owner: Owner
    id: Id


Message = RenderImage | ImportChunk | CreateItem | DeleteItem

MAX_OBJECT_KEY_BYTES = 1024
"""AWS, "Creating object key names"."""


class _Rule(NamedTuple):
    holds: Callable[[str], bool]
    allowed: str


_RULES: dict[Any, _Rule] = {
    Owner: _Rule(ids.is_owner, "1 to 255 printable ASCII characters"),
    Id: _Rule(lambda text: ids.canonical_id(text) is not None, "a UUID"),
    IdempotencyKey: _Rule(items.is_key, items.KEY_RULE),
    UploadKey: _Rule(
        lambda text: text.startswith(bucket.UPLOADS) and len(text.encode()) <= MAX_OBJECT_KEY_BYTES,
        f"the key of an object under {bucket.UPLOADS}, of at most {MAX_OBJECT_KEY_BYTES} bytes",
    ),
}

_TYPES: dict[str, type[msgspec.Struct]] = {str(one.__struct_config__.tag): one for one in get_args(Message)}


def read(body: str) -> Message:
    """Return the message, its ids in lower case. Raise an ApiError of status 400 that says what is wrong with it."""
    said = exact_json.object_from_json(body, "The message")
    type_ = said.get("type")
    if not isinstance(type_, str) or type_ not in _TYPES:
        raise errors.InvalidRequestError(problem=_unknown(said))
    message = validation.checked(_TYPES[type_], said, "The message")
    lower: dict[str, str | None] = {}
    for field in msgspec.structs.fields(message):
        value, rule = getattr(message, field.name), _rule(field.type)
        if rule and value is not None and not rule.holds(value):
            raise errors.InvalidRequestError(problem=f"{field.encode_name} must be {rule.allowed}.")
        if field.type == Id:
            lower[field.name] = ids.canonical_id(value)
    return msgspec.structs.replace(message, **lower)  # type: ignore[return-value]


def problem(body: str) -> str | None:
    """Return what is wrong with a message whatever is stored, or None if nothing is."""
    try:
        message = read(body)
        if isinstance(message, CreateItem):
            validation.draft(exact_json.object_from_json(message.item, "item"))
    except errors.ApiError as error:
        return error.message
    return None


def _rule(type_: Any) -> _Rule | None:
    return next((_RULES[one] for one in (type_, *get_args(type_)) if one in _RULES), None)


def _unknown(said: dict[str, Any]) -> str:
    """Return what is wrong with an object that is no message: others put what they deliver into envelopes."""
    if said.get("Type") == "Notification" and "TopicArn" in said:
        return "This is an SNS notification: enable raw message delivery for the subscription."
    if "detail-type" in said and "detail" in said:
        return "This is an EventBridge event: have the rule send the message alone, with InputPath or InputTransformer."
    if said.get("Event") == "s3:TestEvent" or _is_of_s3(said.get("Records")):
        return "This is an S3 notification: uploads are announced by EventBridge, not by this queue."
    return f"type must be one of: {', '.join(sorted(_TYPES))}."


def _is_of_s3(records: Any) -> bool:
    return isinstance(records, list) and any(
        isinstance(record, dict) and record.get("eventSource") == "aws:s3" for record in records
    )
