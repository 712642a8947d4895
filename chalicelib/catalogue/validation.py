"""Check what a caller sent against the models, and what an item may contain."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from chalicelib import errors
from chalicelib.catalogue import item_fields, models
from chalicelib.values import dynamodb_limits, exact_json, texts, times

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

_Model = TypeVar("_Model", bound=msgspec.Struct)


# Made as the app starts, so that a field which cannot be declared stops that, and not a request.
_fields_decoder = msgspec.json.Decoder(item_fields.ItemFields)


def draft(body: dict[str, Any]) -> models.Draft:
    """A caller's JSON object, checked for all that does not depend on the time: what is right today is right for ever.

    Raises ReservedFieldError for a managed field, InvalidExpiryError for an ``expiresAt`` that is no time,
    ItemTooLargeError above MAX_ITEM_BYTES, and InvalidRequestError, naming each path, for what DynamoDB cannot hold or
    ItemFields does not allow.
    """
    fields = {name: value for name, value in body.items() if name != "expiresAt"}
    managed = [name for name in models.MANAGED_FIELDS if name in body]
    if managed:
        raise errors.ReservedFieldError(*managed)
    # By far the cheapest check comes first: the next one visits each value, seconds for a body of some megabytes.
    _limit_size(_size_as_json(fields))
    if any(dynamodb_limits.violations(fields)):
        unholdable = dynamodb_limits.violations(fields)
        raise invalid(
            item_fields.ItemFields, _ITEM, *_misfits(item_fields.ItemFields, fields), unholdable=unholdable, said=fields
        )
    _limit_size(dynamodb_limits.stored_size(fields))
    encoded = exact_json.to_json(fields)
    try:
        _fields_decoder.decode(encoded)
    except msgspec.ValidationError as problem:
        raise invalid(
            item_fields.ItemFields, _ITEM, *_misfits(item_fields.ItemFields, fields), problem, said=fields
        ) from None
    return models.Draft(fields, _expiry(body.get("expiresAt")))


def check_patch(changes: dict[str, Any]) -> None:
    """Raises for a merge patch as :func:`draft` does, where that can be said before it is applied."""
    _limit_patch(changes)
    if any(dynamodb_limits.violations(changes)):
        raise invalid(item_fields.ItemFields, _ITEM, unholdable=dynamodb_limits.violations(changes))
    _expiry(changes.get("expiresAt"))


def _limit_patch(changes: dict[str, Any]) -> None:
    """Raise ItemTooLargeError for a patch of which more stays in the item than one holds, cheapest check first."""
    size = _size_as_json(changes)
    if size > _MAX_PATCH_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)
    if size > MAX_ITEM_BYTES:
        with contextlib.suppress(RecursionError):  # It nests too deep, which the next check finds and names.
            _limit_size(_size_as_json(exact_json.merge_patch({}, changes)))


def _limit_size(size: int) -> None:
    if size > MAX_ITEM_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)


def _size_as_json(value: Any) -> int:
    try:
        return len(exact_json.to_json(value))
    except RecursionError:
        return 0  # It nests too deep, which the next check finds and names.


def can_be_stored(value: Any) -> bool:
    """Return whether an item may contain this JSON value: it is neither too large nor impossible in DynamoDB."""
    return _size_as_json(value) <= MAX_ITEM_BYTES and not any(dynamodb_limits.violations(value))


def _expiry(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return times.format_time(times.parse_time(value))
    except ValueError:
        raise errors.InvalidExpiryError from None


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
    said: models.Fields | None = None,
    text: bool = False,
) -> errors.InvalidRequestError:
    """Return what to raise for what msgspec found, and what the table cannot hold, in what should be a ``model``."""
    from chalicelib.values import validation_messages  # noqa: PLC0415 - most requests never need it

    problems = itertools.chain(
        (validation_messages.problem_at(path, what, root) for path, what in unholdable),
        (validation_messages.describe(misfit, model, root, said, text=text) for misfit in misfits),
    )
    named = dict.fromkeys(itertools.islice(problems, MAX_PROBLEMS))
    details = [
        {"path": texts.truncate(path, MAX_QUOTED), "message": texts.truncate(message, MAX_QUOTED)}
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
        return msgspec.json.decode(exact_json.to_json(said), type=model)
    except RecursionError:
        # What could just be read, fewer calls deep, need not be writable here.
        raise msgspec.ValidationError from ValueError(f"This nests deeper than {dynamodb_limits.MAX_DEPTH} levels")


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
