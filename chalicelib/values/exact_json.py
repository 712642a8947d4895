"""JSON whose numbers keep their exact value, digests of JSON values, and JSON Merge Patch."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from chalicelib import errors
from chalicelib.values import dynamodb_limits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What Windows' programs begin a text in UTF-8 with. RFC 8259, section 8.1: a parser may ignore it."""


_encoder = msgspec.json.Encoder(decimal_format="number")
_sorted_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_decoder = msgspec.json.Decoder(float_hook=lambda text: Decimal(text) or 0)


def to_json(value: Any) -> bytes:
    """JSON with every number as exact as it is in ``value``."""
    return _encoder.encode(value)


def from_json(data: bytes | str | msgspec.Raw, root: str = "The body") -> Any:
    """The JSON value in ``data``, numbers as int or Decimal. Raises InvalidJsonError, which calls ``data`` ``root``."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, ArithmeticError, RecursionError) as problem:
        raise unreadable(data, problem, root) from None


def unreadable(data: bytes | str | msgspec.Raw, problem: Exception, root: str) -> errors.InvalidJsonError:
    """Return what to raise for ``data`` of which a decoder raised ``problem``."""
    from chalicelib.values import validation_messages  # noqa: PLC0415 - most requests never need it

    if isinstance(problem, RecursionError):
        return errors.InvalidJsonError(root=root, problem=f"it nests deeper than {dynamodb_limits.MAX_DEPTH} levels")
    text = bytes(data) if isinstance(data, msgspec.Raw) else data
    return errors.InvalidJsonError(root=root, problem=validation_messages.unreadable(text, problem))


_Type = TypeVar("_Type")


def typed(value: Any, type_: type[_Type]) -> _Type:
    """A value that came from the table, as the model it was made from: its Decimals become what the model says."""
    return msgspec.json.decode(to_json(value), type=type_)


def json_object(data: bytes | str | msgspec.Raw, root: str = "The body") -> dict[str, Any]:
    """Like :func:`from_json`, for a body that has to be an object. Raises InvalidRequestError where it is not."""
    value = from_json(data, root)
    if not isinstance(value, dict):
        problem = f"{root} must be a JSON object"
        raise errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": "$", "message": problem}])
    return value


def digest(value: Any) -> str:
    """The same for two JSON values that say the same, in whatever order and spelling."""
    return hashlib.sha256(_sorted_encoder.encode(_spelled_alike(value))).hexdigest()


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: ``1`` and ``1.0`` are, as the table stores both alike; ``true`` is not.

    Python's own comparison takes true for 1, so that it only finds the values that are certainly different.
    """
    return bool(one == other) and digest(one) == digest(other)


def _spelled_alike(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spelled_alike(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spelled_alike(inner) for inner in value]
    if isinstance(value, str):
        return f"text {value}"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"number {Decimal(value).normalize(dynamodb_limits.EXACT)}"
    return value


def shortened(text: str, most: int) -> str:
    """Return ``text``, or its first ``most`` characters and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}…"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2: ``patch`` applied to ``target``; null removes."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
