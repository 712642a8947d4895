"""The messages of the queue: their models, and validation by the same rules as HTTP requests.

A producer gets no response. The consumer logs why a message is invalid, and ``tools.ops dead-letters`` shows it
with the dead letter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, get_args

import msgspec

from chalicelib import errors
from chalicelib.aws import bucket
from chalicelib.catalogue import idempotency, validation
from chalicelib.values import exact_json, ids

# _RULES has a rule for each of these types.
Owner = Annotated[str, msgspec.Meta(title="Owner")]
Id = Annotated[str, msgspec.Meta(title="Id")]
IdempotencyKey = Annotated[str, msgspec.Meta(title="IdempotencyKey")]
UploadKey = Annotated[str, msgspec.Meta(title="UploadKey")]


class RenderImage(msgspec.Struct, frozen=True, tag_field="type", tag="image.render"):
    """Make the thumbnails of the object at ``key``: the message of a thumbnail job."""

    key: UploadKey


class ImportChunk(msgspec.Struct, frozen=True, tag_field="type", tag="import.chunk", rename="camel"):
    """Create the items of one chunk of an import."""

    owner: Owner
    import_id: Id
    chunk: Annotated[int, msgspec.Meta(ge=0)]


class ExportChunk(msgspec.Struct, frozen=True, tag_field="type", tag="export.chunk", rename="camel"):
    """Continue an export. ``turn`` numbers the messages of an export."""

    owner: Owner
    export_id: Id
    turn: Annotated[int, msgspec.Meta(ge=0)] = 0


class CreateItem(msgspec.Struct, frozen=True, tag_field="type", tag="item.create"):
    """Create an item from the JSON object ``item``, but only one for each ``key``. Other programs may send this."""

    owner: Owner
    item: msgspec.Raw
    key: IdempotencyKey | None = None


class DeleteItem(msgspec.Struct, frozen=True, tag_field="type", tag="item.delete"):
    """Delete an item with its picture. Other programs may send this."""

    owner: Owner
    id: Id


Message = RenderImage | ImportChunk | ExportChunk | CreateItem | DeleteItem

MAX_OBJECT_KEY_BYTES = 1024
"""The limit of S3 (AWS, "Creating object key names")."""


class _Rule(msgspec.Struct, frozen=True):
    is_valid: Callable[[str], bool]
    allowed: str


_RULES: dict[Any, _Rule] = {
    Owner: _Rule(ids.is_owner, "1 to 255 printable ASCII characters"),
    Id: _Rule(lambda text: ids.canonical_id(text) is not None, "a UUID"),
    IdempotencyKey: _Rule(idempotency.is_key, idempotency.KEY_RULE),
    UploadKey: _Rule(
        lambda text: text.startswith(bucket.UPLOADS) and len(text.encode()) <= MAX_OBJECT_KEY_BYTES,
        f"the key of an object under {bucket.UPLOADS}, of at most {MAX_OBJECT_KEY_BYTES} bytes",
    ),
}

_TYPES: dict[str, type[msgspec.Struct]] = {str(one.__struct_config__.tag): one for one in get_args(Message)}


def parse(body: str) -> Message:
    """Return the message in ``body``, with ids in lower case.

    Raise an ApiError of status 400 with the reason if it is invalid.
    """
    value = exact_json.object_from_json(body, "The message")
    type_ = value.get("type")
    if not isinstance(type_, str) or type_ not in _TYPES:
        raise errors.InvalidRequestError(problem=_unknown_type(value))
    message = validation.validate(_TYPES[type_], value, "The message")
    canonical: dict[str, str | None] = {}
    for field in msgspec.structs.fields(message):
        text, rule = getattr(message, field.name), _rule(field.type)
        if rule and text is not None and not rule.is_valid(text):
            raise errors.InvalidRequestError(problem=f"{field.encode_name} must be {rule.allowed}.")
        if field.type == Id:
            canonical[field.name] = ids.canonical_id(text)
    return msgspec.structs.replace(message, **canonical)  # type: ignore[return-value]


def find_problem(body: str) -> str | None:
    """Return why a message is invalid, or None if it is valid. This reads no stored data."""
    try:
        message = parse(body)
        if isinstance(message, CreateItem):
            validation.validate_item(exact_json.object_from_json(message.item, "item"))
    except errors.ApiError as error:
        return error.message
    return None


def _rule(type_: Any) -> _Rule | None:
    return next((_RULES[one] for one in (type_, *get_args(type_)) if one in _RULES), None)


def _unknown_type(value: dict[str, Any]) -> str:
    """Return the error message for an object of no known type, with advice if an AWS service wrapped it."""
    if value.get("Type") == "Notification" and "TopicArn" in value:
        return "This is an SNS notification: enable raw message delivery for the subscription."
    if "detail-type" in value and "detail" in value:
        return "This is an EventBridge event: have the rule send the message alone, with InputPath or InputTransformer."
    if value.get("Event") == "s3:TestEvent" or _is_s3_event(value.get("Records")):
        return "This is an S3 notification: uploads are announced by EventBridge, not by this queue."
    return f"type must be one of: {', '.join(sorted(_TYPES))}."


def _is_s3_event(records: Any) -> bool:
    return isinstance(records, list) and any(
        isinstance(record, dict) and record.get("eventSource") == "aws:s3" for record in records
    )
