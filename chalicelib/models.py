"""What comes in, what is kept, what goes out: items and their pictures, and the queue's messages.

An item is the caller's own JSON object plus a few managed fields. :class:`ItemFields` is the one place where an
adopter requires and types fields of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from chalicelib import errors, primitives

MAX_ITEM_BYTES = 350 * 1024
"""Of the caller's fields, as JSON and as DynamoDB counts. It takes 400 KB a record; the managed fields need some."""

MAX_NAME_BYTES = 65_535
"""Of a field's name (AWS, "DynamoDB naming rules": Attribute names)."""

MAX_PROBLEMS = 20
"""That one answer names: whoever mends these asks again."""

MANAGED_FIELDS = ("id", "version", "createdAt", "updatedAt", "image")

Fields = dict[str, Any]
"""The caller's own fields: JSON values, with numbers as int or Decimal so that each keeps its exact value."""


class ItemFields(msgspec.Struct, rename="camel"):
    """The fields that your items must or may have: declare them here, and requests are held to them.

    ``title: str`` requires a field, ``price: Decimal | None = None`` types one that may be left out. Fields that are
    not declared are kept as they come. What msgspec can check, this can: see
    https://jcristharif.com/msgspec/constraints.html.
    """


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
    """The newest upload that was noted, kept when the picture is removed, so that a late event cannot bring it back."""

    @property
    def may_have_objects(self) -> bool:
        """Whether objects of it may be in the bucket, now or by an upload still to come."""
        return bool(self.image or self.ticket_until or self.last_upload)

    def over(self, at: datetime) -> bool:
        """Whether its time is up."""
        return self.expires_at is not None and self.expires_at <= primitives.timestamp(at)

    @property
    def due_at(self) -> str | None:
        """When the cleanup has to look at this item next, or None."""
        times = (self.expires_at, self.ticket_until, self.image and self.image.due_at)
        return min((at for at in times if at), default=None)


class Draft(msgspec.Struct, frozen=True):
    """What a caller may say of an item: its own fields, and when it ends."""

    fields: Fields
    expires_at: str | None = None


def draft(body: dict[str, Any], at: datetime) -> Draft:
    """A caller's JSON object, checked.

    Raises ReservedFieldError for a managed field, InvalidExpiryError for an ``expiresAt`` that is no time after
    ``at``, ItemTooLargeError above MAX_ITEM_BYTES, and InvalidRequestError, naming the path, for what DynamoDB cannot
    hold or ItemFields does not allow.
    """
    fields = {name: value for name, value in body.items() if name != "expiresAt"}
    _refuse_managed(body)
    _refuse_unholdable(fields)
    encoded = primitives.to_json(fields)
    size = max(len(encoded), _size_in_table(fields))
    if size > MAX_ITEM_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)
    try:
        _fields_decoder.decode(encoded)
    except msgspec.ValidationError as problem:
        raise invalid(problem) from None
    return Draft(fields, _expiry(body.get("expiresAt"), at))


def check_patch(changes: dict[str, Any]) -> None:
    """Raises for a merge patch as :func:`draft` does, where that can be said before it is applied."""
    _refuse_managed(changes)
    _refuse_unholdable(changes)


def _refuse_managed(body: dict[str, Any]) -> None:
    named = [name for name in MANAGED_FIELDS if name in body]
    if named:
        raise errors.ReservedFieldError(field=" and ".join(named), details=[{"path": f"$.{name}"} for name in named])


def _refuse_unholdable(fields: Fields) -> None:
    problems = list(itertools.islice(_unholdable(fields, "$", 1), MAX_PROBLEMS))
    if problems:
        raise errors.InvalidRequestError(problem=f"{problems[0]['message']} ({problems[0]['path']}).", details=problems)


def invalid(problem: msgspec.ValidationError) -> errors.InvalidRequestError:
    """msgspec's own sentence about what did not fit, with the path taken out of it for programs."""
    message, _, path = str(problem).partition(" - at `")
    path = path.rstrip("`") or "$"
    return errors.InvalidRequestError(problem=f"{message} ({path}).", details=[{"path": path, "message": message}])


def _unholdable(value: Any, path: str, depth: int) -> Iterator[dict[str, str]]:
    """Yields what DynamoDB cannot hold in ``value``, each with its path."""
    if isinstance(value, dict | list) and depth > primitives.MAX_DEPTH:
        yield _problem(path, f"Nesting goes deeper than {primitives.MAX_DEPTH} levels")
    elif isinstance(value, dict):
        for name in value:
            yield from _unholdable_name(name, path)
        for name, inner in value.items():
            yield from _unholdable(inner, f"{path}.{name}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unholdable(inner, f"{path}[{index}]", depth + 1)
    elif isinstance(value, int | Decimal) and not _is_exact(value):
        yield _problem(path, "A number has more than 38 digits or is beyond 1E-130 to 1E+126")


def _unholdable_name(name: str, path: str) -> Iterator[dict[str, str]]:
    if name == "":
        yield _problem(path, "A field has an empty name")
    if len(name.encode()) > MAX_NAME_BYTES:
        yield _problem(path, f"A field has a name of more than {MAX_NAME_BYTES} bytes")


def _problem(path: str, message: str) -> dict[str, str]:
    return {"path": path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…", "message": message}


_LONGEST_PATH = 400


def _size_in_table(value: Any) -> int:
    """The bytes that DynamoDB counts (AWS, "DynamoDB item sizes and formats"): of many short values, more than JSON."""
    if isinstance(value, dict):
        return 3 + sum(1 + len(name.encode()) + _size_in_table(inner) for name, inner in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + _size_in_table(inner) for inner in value)
    if isinstance(value, str):
        return len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    return 2 + (len(Decimal(value).as_tuple().digits) + 1) // 2


def _is_exact(number: int | Decimal) -> bool:
    try:
        primitives.EXACT.create_decimal(number)
    except ArithmeticError:
        return False
    return True


def _expiry(value: Any, at: datetime) -> str | None:
    if value is None:
        return None
    try:
        until = primitives.parse_time(value)
    except ValueError:
        raise errors.InvalidExpiryError from None
    if until <= at:
        raise errors.InvalidExpiryError
    return primitives.timestamp(until)


# ------------------------------------------------------------------------------------------------------- bulk imports


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """An import as kept: what came, cut into chunks that the queue works off."""

    owner: str
    id: str
    created_at: str
    total: int
    chunks: int


class Failure(msgspec.Struct, frozen=True):
    """An entry of an import that made no item."""

    index: int
    error: str
    message: str


class ChunkResult(msgspec.Struct, frozen=True):
    """What became of one chunk of an import."""

    created: int
    failures: tuple[Failure, ...] = ()


# ------------------------------------------------------------------------------------------------------ queue messages


class RenderImage(msgspec.Struct, frozen=True, tag_field="type", tag="image.render"):
    """Make the thumbnails of the object at ``key``."""

    key: str


class ImportChunk(msgspec.Struct, frozen=True, tag_field="type", tag="import.chunk", rename="camel"):
    """Create the items of one chunk of an import."""

    owner: str
    import_id: str
    chunk: int


class CreateItem(msgspec.Struct, frozen=True, tag_field="type", tag="item.create"):
    """Create an item from the JSON object ``item``; open to other producers. In 24 hours one ``key`` makes one item."""

    owner: str
    item: msgspec.Raw
    key: str | None = None


class DeleteItem(msgspec.Struct, frozen=True, tag_field="type", tag="item.delete"):
    """Delete an item with its pictures; open to other producers."""

    owner: str
    id: str


Message = RenderImage | ImportChunk | CreateItem | DeleteItem
