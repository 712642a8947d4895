"""Validate what a caller sent: items, patches, and values of any model."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

from chalicelib import errors
from chalicelib.catalogue import field_annotations, item_fields, models, search_index_keys
from chalicelib.values import dynamodb_limits, exact_json, merge_patch, times, truncation

MAX_ITEM_BYTES = 350 * 1024
"""The most bytes of an item's own fields, both as JSON and as DynamoDB counts them.

DynamoDB allows 400 KB in a record; the managed fields need some of them.
"""

_MAX_PATCH_BYTES = 3 * MAX_ITEM_BYTES
"""Enough for a patch that removes every field of the largest item (``"a":null`` for ``"a":1``) and sets new ones."""

MAX_PROBLEMS = 20
"""The most problems that one response lists."""

MAX_TEXT_LENGTH = 400
"""The most characters of a path or a message in a response. Both may repeat what the caller sent."""

_ROOT = "The item"
"""What error messages call an item as a whole."""

_Model = TypeVar("_Model", bound=msgspec.Struct)


# Made at import, so that an invalid declaration fails at the start and not in a request.
_fields_decoder = msgspec.json.Decoder(item_fields.ItemFields)

if _taken := {*models.MANAGED_FIELDS, *models.SETTINGS}.intersection(item_fields.ItemFields.__struct_encode_fields__):
    raise TypeError(f"ItemFields must not declare {', '.join(sorted(_taken))}: every item has a field of that name")


# --------------------------------------------------------------------------------------------------------------- items


def validate_item(body: dict[str, Any]) -> models.ItemInput:
    """Return a caller's JSON object as the input for an item.

    Fields that are left out get the defaults that ItemFields declares. The limits apply to the result. An
    ``expiresAt`` in the past is accepted here.

    Raise ReservedFieldError for a managed field, InvalidExpiryError for an ``expiresAt`` that is not a time,
    ItemTooLargeError above MAX_ITEM_BYTES, and InvalidRequestError with each path for what DynamoDB cannot store, what
    ItemFields does not allow, or lists that cannot be indexed.
    """
    fields = {name: value for name, value in body.items() if name not in models.SETTINGS}
    managed = [name for name in models.MANAGED_FIELDS if name in body]
    if managed:
        raise errors.ReservedFieldError(*managed)
    _check_limits(fields)
    try:
        completed = field_annotations.complete(fields, _fields_decoder.decode(exact_json.to_json(fields)))
    except msgspec.ValidationError as problem:
        raise _invalid_item(fields, problem) from None
    if completed != fields:
        _check_limits(completed)
    search_index_keys.check_lists(completed)
    return models.ItemInput(
        completed, fields, parse_expiry(body.get("expiresAt")), _parse_visibility(body.get("visibility"))
    )


def _check_limits(fields: models.Fields) -> None:
    # The cheapest check comes first: the next one visits each value, which takes seconds for some megabytes.
    _check_size(_json_size(fields))
    if any(dynamodb_limits.violations(fields)):
        raise _invalid_item(fields, violations=dynamodb_limits.violations(fields))
    _check_size(dynamodb_limits.stored_size(fields))


def _invalid_item(
    fields: models.Fields, *problems: msgspec.ValidationError, violations: Iterable[tuple[str, str]] = ()
) -> errors.InvalidRequestError:
    model = item_fields.ItemFields
    return invalid_request(
        model, _ROOT, *_field_problems(model, fields), *problems, violations=violations, value=fields
    )


def validate_patch(changes: dict[str, Any]) -> None:
    """Raise the errors of :func:`validate_item` that a merge patch would cause in every item."""
    _check_patch_size(changes)
    if any(dynamodb_limits.violations(changes)):
        raise invalid_request(item_fields.ItemFields, _ROOT, violations=dynamodb_limits.violations(changes))
    parse_expiry(changes.get("expiresAt"))
    _parse_visibility(changes.get("visibility"))


def can_be_stored(value: Any) -> bool:
    """Return whether an item may contain this JSON value: it is neither too large nor impossible in DynamoDB."""
    return _json_size(value) <= MAX_ITEM_BYTES and not any(dynamodb_limits.violations(value))


def _check_patch_size(changes: dict[str, Any]) -> None:
    """Raise ItemTooLargeError for a patch that adds more than an item may have. The cheapest check comes first."""
    size = _json_size(changes)
    if size > _MAX_PATCH_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)
    if size > MAX_ITEM_BYTES:
        with contextlib.suppress(RecursionError):  # The patch nests too deep: the next check reports that.
            _check_size(_json_size(merge_patch.apply({}, changes)))


def _check_size(size: int) -> None:
    if size > MAX_ITEM_BYTES:
        raise errors.ItemTooLargeError(limit=MAX_ITEM_BYTES, size=size)


def _json_size(value: Any) -> int:
    try:
        return len(exact_json.to_json(value))
    except RecursionError:
        return 0  # The value nests too deep: the next check reports that.


def parse_expiry(value: Any) -> str | None:
    """Return ``expiresAt`` as it is stored, or None if there is none. Raise InvalidExpiryError if it is not a time."""
    if value is None:
        return None
    try:
        return times.format_time(times.parse_time(value))
    except ValueError:
        raise errors.InvalidExpiryError from None


def _parse_visibility(value: Any) -> Literal["public"] | None:
    if value in ("public", "private", None):
        return "public" if value == "public" else None
    raise problems_at(("$.visibility", "visibility must be private or public"))


# -------------------------------------------------------------------------------------------------------------- models


def validate(model: type[_Model], value: dict[str, Any], root: str = "The body", *, text: bool = False) -> _Model:
    """Return a caller's JSON object as a ``model``.

    Raise InvalidRequestError with the path of each invalid field and what is allowed there. ``root`` names the object
    in its message. Pass ``text=True`` if all values were sent as text, as in a query.
    """
    try:
        return _convert(model, value)
    except msgspec.ValidationError as problem:
        # Pass `problem` too: it may concern no single field, such as an error of the model's __post_init__.
        raise invalid_request(model, root, *_field_problems(model, value), problem, value=value, text=text) from None


def invalid_request(
    model: type[msgspec.Struct],
    root: str,
    *problems: msgspec.ValidationError,
    violations: Iterable[tuple[str, str]] = (),
    value: models.Fields | None = None,
    text: bool = False,
) -> errors.InvalidRequestError:
    """Return the error for a value that is not a valid ``model``.

    ``problems`` are what msgspec reported, ``violations`` what DynamoDB cannot store; ``root``, ``value`` and ``text``
    are those of :func:`validate`.
    """
    from chalicelib.values import validation_messages  # noqa: PLC0415 - only invalid requests need it

    found = itertools.chain(
        (validation_messages.invalid_value_at(path, predicate, root) for path, predicate in violations),
        (validation_messages.describe(problem, model, root, value, text=text) for problem in problems),
    )
    return problems_at(*dict.fromkeys(itertools.islice(found, MAX_PROBLEMS)))


def problems_at(*problems: tuple[str, str]) -> errors.InvalidRequestError:
    """Return the error for problems, each with its path and its message without the full stop.

    The message of the error is that of the first one. At most MAX_PROBLEMS are listed.
    """
    details = [
        {"path": truncation.truncate(path, MAX_TEXT_LENGTH), "message": truncation.truncate(message, MAX_TEXT_LENGTH)}
        for path, message in problems[:MAX_PROBLEMS]
    ]
    first, others = details[0]["message"], " There are other problems too: see details." if details[1:] else ""
    stop = "" if first.endswith(("!", "?", "…")) else "."
    return errors.InvalidRequestError(problem=f"{first}{stop}{others}", details=details)


def _field_problems(model: type[msgspec.Struct], value: dict[str, Any]) -> Iterator[msgspec.ValidationError]:
    """Yield the first problem of each field. msgspec itself stops at the first invalid field."""
    parts = _one_field_models(model)
    for name, (required, part) in parts.items():
        try:
            if required or name in value:
                _convert(part, {name: value[name]} if name in value else {})
        except msgspec.ValidationError as problem:
            yield problem
    if model.__struct_config__.forbid_unknown_fields:
        for name in [name for name in value if name not in parts]:
            yield msgspec.ValidationError(f"Object contains unknown field `{name}`")


def _convert(model: type[_Model], value: dict[str, Any]) -> _Model:
    try:
        decoded = msgspec.json.decode(exact_json.to_json(value), type=model)
        field_annotations.complete(value, decoded)  # It raises for text in place of a number.
        return decoded
    except RecursionError:
        # The body could be decoded before, but the stack is deeper here.
        raise msgspec.ValidationError from ValueError(f"This nests deeper than {dynamodb_limits.MAX_DEPTH} levels")


@functools.cache
def _one_field_models(model: type[msgspec.Struct]) -> dict[str, tuple[bool, type[msgspec.Struct]]]:
    """Return for each field, by its name in JSON, whether it is required, and a model that has only this field."""
    return {
        field.encode_name: (
            field.required,
            msgspec.defstruct(model.__name__, [(field.name, field.type, msgspec.field(name=field.encode_name))]),
        )
        for field in msgspec.structs.fields(model)
    }
