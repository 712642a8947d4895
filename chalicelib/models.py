"""What comes in, what is kept, what goes out: items and their pictures, and the queue's messages.

An item is the caller's own JSON object plus a few managed fields. :class:`ItemFields` is the one place where an
adopter requires and types fields of its own.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from chalicelib import errors, primitives

MAX_ITEM_BYTES = 350 * 1024
"""Of the caller's fields, as JSON and as DynamoDB counts. It takes 400 KB a record; the managed fields need some."""

_MAX_PATCH_BYTES = 3 * MAX_ITEM_BYTES
"""A patch that removes all fields of the largest item, ``"a":null`` for each ``"a":1``, and sets as many new ones."""

MAX_PROBLEMS = 20
"""That one answer names: whoever mends these asks again."""

MAX_QUOTED = 400
"""Characters of a path or a message: both may repeat what the caller sent, however long."""

_ITEM = "The item"
"""What the whole of it is called in sentences about what is wrong with it."""

MANAGED_FIELDS = ("id", "version", "createdAt", "updatedAt", "image")

_Model = TypeVar("_Model", bound=msgspec.Struct)

Fields = dict[str, Any]
"""The caller's own fields: JSON values, with numbers as int or Decimal so that each keeps its exact value."""


class ItemFields(msgspec.Struct, rename="camel"):
    """The fields that your items must or may have: declare them here, and requests are held to them.

    ``title: str`` requires a field, ``price: Decimal | None = None`` types one that may be left out. Fields that are
    not declared are kept as they come. What msgspec can check, this can: see
    https://jcristharif.com/msgspec/constraints.html. What it cannot, a ``__post_init__`` can: the sentence of a
    ValueError that it raises goes out as it is.
    """


# Made as the app starts, so that a field which cannot be declared stops that, and not a request.
_fields_decoder = msgspec.json.Decoder(ItemFields)


# -------------------------------------------------------------------------------------------------------------- items


class Thumbnail(msgspec.Struct, frozen=True, rename="camel"):
    """One thumbnail of a picture: ``size`` names it (its box, in pixels), ``key`` is where it lies in the bucket."""

    size: int
    width: int
    height: int
    key: str


class Problem(msgspec.Struct, frozen=True):
    """Why a picture or an imported item failed: a code for programs and a sentence for people."""

    error: str
    message: str


ImageStatus = Literal["pending", "processing", "ready", "failed"]


class Image(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The picture of an item, as kept. The head of ``images.py`` says which status follows which."""

    status: ImageStatus
    upload_id: str | None = None
    """Whose picture it is; while it is pending, the newest upload that a ticket was given for."""
    sequencer: str = ""
    """Which of the objects put at that upload's key it is: S3 gives a later one a greater text."""
    etag: str = ""
    """The entity tag of the bytes that were rendered, or refused."""
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    thumbnails: tuple[Thumbnail, ...] = ()
    error: Problem | None = None
    attempts: int = 0
    due_at: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An item as kept. Every write makes the next ``version``."""

    owner: str
    id: str
    version: int
    created_at: str
    updated_at: str
    fields: Fields
    expires_at: str | None = None
    image: Image | None = None
    ticket_until: str | None = None
    """When the last upload ticket is surely over: then the cleanup looks whether its upload went unnoticed."""
    last_upload: str | None = None
    """The newest upload that was noted, or whose ticket is void as its pending picture was removed.

    It is kept when the picture is removed, so that a late event cannot bring it back.
    """
    last_ticket: str | None = None
    """The newest upload that a ticket was given for: the next ticket's is greater, whatever the clock says."""

    @property
    def may_have_objects(self) -> bool:
        """Whether objects of it may be in the bucket, now or by an upload still to come."""
        return bool(self.image or self.ticket_until or self.last_upload)

    def over(self, at: datetime) -> bool:
        """Whether its time is up."""
        return _over(self.expires_at, at)

    @property
    def due_at(self) -> str | None:
        """When the cleanup has to look at this item next, or None."""
        times = (self.expires_at, self.ticket_until, self.image and self.image.due_at)
        return min((at for at in times if at), default=None)


class Draft(msgspec.Struct, frozen=True):
    """What a caller may say of an item: its own fields, and when it ends."""

    fields: Fields
    expires_at: str | None = None

    def over(self, at: datetime) -> bool:
        """Whether its time is up, so that nothing can be made of it any more."""
        return _over(self.expires_at, at)


def draft(body: dict[str, Any]) -> Draft:
    """A caller's JSON object, checked for all that does not depend on the time: what is right today is right for ever.

    Raises ReservedFieldError for a managed field, which :func:`parted` takes out of a body that may have some;
    InvalidExpiryError for an ``expiresAt`` that is no time, ItemTooLargeError above MAX_ITEM_BYTES, and
    InvalidRequestError, naming each path, for what DynamoDB cannot hold or ItemFields does not allow.
    """
    fields = {name: value for name, value in body.items() if name != "expiresAt"}
    managed, _ = parted(body)
    if managed:
        raise errors.ReservedFieldError(*managed)
    # By far the cheapest check comes first: the next one visits each value, seconds for a body of some megabytes.
    _limit_size(_size_as_json(fields))
    if any(primitives.unholdable(fields)):
        unholdable = primitives.unholdable(fields)
        raise invalid(ItemFields, _ITEM, *_misfits(ItemFields, fields), unholdable=unholdable, said=fields)
    _limit_size(primitives.size_in_table(fields))
    encoded = primitives.to_json(fields)
    try:
        _fields_decoder.decode(encoded)
    except msgspec.ValidationError as problem:
        raise invalid(ItemFields, _ITEM, *_misfits(ItemFields, fields), problem, said=fields) from None
    return Draft(fields, _expiry(body.get("expiresAt")))


def check_patch(changes: dict[str, Any]) -> None:
    """Raises for a merge patch as :func:`draft` does, where that can be said before it is applied."""
    _limit_patch(changes)
    if any(primitives.unholdable(changes)):
        raise invalid(ItemFields, _ITEM, unholdable=primitives.unholdable(changes))
    _expiry(changes.get("expiresAt"))


def _limit_patch(changes: dict[str, Any]) -> None:
    """Raise ItemTooLargeError for a patch of which more stays in the item than one holds, cheapest check first."""
    size = _size_as_json(changes)
    if size > _MAX_PATCH_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)
    if size > MAX_ITEM_BYTES:
        with contextlib.suppress(RecursionError):  # It nests too deep, which the next check finds and names.
            _limit_size(_size_as_json(primitives.merge_patch({}, changes)))


def _limit_size(size: int) -> None:
    if size > MAX_ITEM_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)


def _size_as_json(value: Any) -> int:
    try:
        return len(primitives.to_json(value))
    except RecursionError:
        return 0  # It nests too deep, which the next check finds and names.


def parted(body: dict[str, Any]) -> tuple[Fields, Fields]:
    """Return the managed fields in a caller's JSON object, and the other fields."""
    managed = {name: body[name] for name in MANAGED_FIELDS if name in body}
    return managed, {name: value for name, value in body.items() if name not in managed}


def check_managed(item: Item, managed: Fields) -> None:
    """Raise ReservedFieldError for the fields in ``managed`` that differ from those of ``item``.

    So a client can read an item, change it, and send all of it back. A value is the same in another spelling: an id in
    upper case, a time with another offset, a number with a decimal point. The URLs in ``image`` are not compared,
    because they change with time. Null is the same as absent.
    """
    differing = [name for name, value in managed.items() if not _is_stored(item, name, value)]
    if differing:
        raise errors.ReservedFieldError(*differing, stored=True)


def _is_stored(item: Item, name: str, value: Any) -> bool:
    # What no item can hold equals nothing in one. It may be too large or too deep to be compared.
    if _size_as_json(value) > MAX_ITEM_BYTES or any(primitives.unholdable(value)):
        return False
    if name == "id":
        return isinstance(value, str) and primitives.canonical_id(value) == item.id
    if name == "version":
        return _equal(value, item.version)
    if name == "image":
        return _equal(_without_urls(value), item.image and facts(item.image))
    stored = {"createdAt": item.created_at, "updatedAt": item.updated_at}[name]
    try:
        return primitives.timestamp(primitives.parse_time(value)) == stored
    except ValueError:
        return False


def _equal(sent: Any, stored: Any) -> bool:
    return primitives.digest(sent) == primitives.digest(stored)


def _without_urls(image: Any) -> Any:
    if isinstance(image, list):
        return [_without_urls(one) for one in image]
    if not isinstance(image, dict):
        return image
    return {
        name: _without_urls(value) if name == "thumbnails" else value for name, value in image.items() if name != "url"
    }


def facts(image: Image) -> Fields:
    """Return what callers see of a picture, except its URLs."""
    known = {
        "status": image.status,
        "contentType": image.content_type,
        "width": image.width,
        "height": image.height,
        "bytes": image.bytes,
        "error": image.error and msgspec.to_builtins(image.error),
    }
    shown = {name: value for name, value in known.items() if value is not None}
    if image.status == "ready":
        shown["thumbnails"] = [{"size": one.size, "width": one.width, "height": one.height} for one in image.thumbnails]
    return shown


def _expiry(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return primitives.timestamp(primitives.parse_time(value))
    except ValueError:
        raise errors.InvalidExpiryError from None


def _over(expires_at: str | None, at: datetime) -> bool:
    return expires_at is not None and expires_at <= primitives.timestamp(at)


# --------------------------------------------------------------------------------------- callers' words, held to models


def checked(model: type[_Model], said: dict[str, Any], root: str = "The body", *, text: bool = False) -> _Model:
    """A caller's JSON object as a ``model``; ``root`` is what it is called, ``text`` that its values are text.

    Raises InvalidRequestError with the path of each field that does not fit, and what is allowed there.
    """
    try:
        return _decoded(model, said)
    except msgspec.ValidationError as problem:
        # What is no single field's problem, such as what a model's __post_init__ says, the first alone tells.
        raise invalid(model, root, *_misfits(model, said), problem, said=said, text=text) from None


def invalid(
    model: type[msgspec.Struct],
    root: str,
    *misfits: msgspec.ValidationError,
    unholdable: Iterable[tuple[str, str]] = (),
    said: Fields | None = None,
    text: bool = False,
) -> errors.InvalidRequestError:
    """Return what to raise for what msgspec found, and what the table cannot hold, in what should be a ``model``."""
    from chalicelib import sentences  # noqa: PLC0415 - most requests never need it

    problems = itertools.chain(
        (sentences.about(path, what, root) for path, what in unholdable),
        (sentences.problem(misfit, model, root, said, text=text) for misfit in misfits),
    )
    named = dict.fromkeys(itertools.islice(problems, MAX_PROBLEMS))
    details = [
        {"path": primitives.shortened(path, MAX_QUOTED), "message": primitives.shortened(message, MAX_QUOTED)}
        for path, message in named
    ]
    first, others = details[0]["message"], " There are other problems too: see details." if details[1:] else ""
    stop = "" if first.endswith(("!", "?", "…")) else "."
    return errors.InvalidRequestError(problem=f"{first}{stop}{others}", details=details)


def _misfits(model: type[msgspec.Struct], said: dict[str, Any]) -> Iterator[msgspec.ValidationError]:
    """Yield each field's first problem: msgspec stops at the first of them all."""
    alone = _each_alone(model)
    for name, (required, part) in alone.items():
        try:
            if required or name in said:
                _decoded(part, {name: said[name]} if name in said else {})
        except msgspec.ValidationError as problem:
            yield problem
    if model.__struct_config__.forbid_unknown_fields:
        for name in [name for name in said if name not in alone]:
            yield msgspec.ValidationError(f"Object contains unknown field `{name}`")


def _decoded(model: type[_Model], said: dict[str, Any]) -> _Model:
    try:
        return msgspec.json.decode(primitives.to_json(said), type=model)
    except RecursionError:
        # What could just be read, fewer calls deep, need not be writable here.
        raise msgspec.ValidationError from ValueError(f"This nests deeper than {primitives.MAX_DEPTH} levels")


@functools.cache
def _each_alone(model: type[msgspec.Struct]) -> dict[str, tuple[bool, type[msgspec.Struct]]]:
    """By its name in JSON, whether a field of ``model`` is required, and a model that has this field only."""
    return {
        field.encode_name: (
            field.required,
            msgspec.defstruct(model.__name__, [(field.name, field.type, msgspec.field(name=field.encode_name))]),
        )
        for field in msgspec.structs.fields(model)
    }


# ------------------------------------------------------------------------------------------------------- bulk imports


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A part of an import that is created at once: ``entries`` of them, ``size`` bytes of its object."""

    first: int
    """The number of its first entry in the import."""
    entries: int
    start: int
    size: int


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """An import as kept: what came, cut into chunks that the queue works off."""

    owner: str
    id: str
    created_at: str
    total: int
    chunks: tuple[Chunk, ...]


class Failure(msgspec.Struct, frozen=True):
    """An entry of an import that made no item."""

    index: int
    error: str
    message: str


class ChunkResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one chunk of an import."""

    created: int
    failures: tuple[Failure, ...] = ()
    given_up: bool = False
    """Nobody worked it off in time: how many of its items were created is not known, and counts as none."""


# ------------------------------------------------------------------------------------------------------ queue messages


# What is allowed in these is in messages.py, which reads a message.
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
