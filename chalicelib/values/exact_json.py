"""JSON with exact numbers, and digests and comparison of JSON values."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from chalicelib import errors
from chalicelib.values import dynamodb_limits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Programs on Windows write it at the start of UTF-8 text. A parser may ignore it (RFC 8259, section 8.1)."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_sorted_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_decoder = msgspec.json.Decoder(float_hook=lambda text: Decimal(text) or 0)


def to_json(value: Any) -> bytes:
    """Return ``value`` as JSON. Numbers keep all their digits."""
    return _encoder.encode(value)


def from_json(data: bytes | str | msgspec.Raw, root: str = "The body") -> Any:
    """Return the JSON value in ``data``, with numbers as int or Decimal.

    Raise InvalidJsonError if it is not JSON; its message calls ``data`` by the name ``root``.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, ArithmeticError, RecursionError) as problem:
        raise invalid_json(data, problem, root) from None


def invalid_json(data: bytes | str | msgspec.Raw, problem: Exception, root: str) -> errors.InvalidJsonError:
    """Return the error for ``data`` that a JSON decoder rejected with the exception ``problem``."""
    from chalicelib.values import json_syntax_messages  # noqa: PLC0415 - only invalid requests need it

    if isinstance(problem, RecursionError):
        return errors.InvalidJsonError(root=root, problem=f"it nests deeper than {dynamodb_limits.MAX_DEPTH} levels")
    text = bytes(data) if isinstance(data, msgspec.Raw) else data
    return errors.InvalidJsonError(root=root, problem=json_syntax_messages.describe(text, problem))


def object_from_json(data: bytes | str | msgspec.Raw, root: str = "The body") -> dict[str, Any]:
    """Return the JSON object in ``data``, as :func:`from_json` does. Raise InvalidRequestError for another value."""
    value = from_json(data, root)
    if not isinstance(value, dict):
        problem = f"{root} must be a JSON object"
        raise errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": "$", "message": problem}])
    return value


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in a canonical form: neither field order nor number notation changes it."""
    return hashlib.sha256(_sorted_encoder.encode(_canonical(value))).hexdigest()


def equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal. ``1`` equals ``1.0``, which DynamoDB stores alike, but not ``true``."""
    # In Python, True == 1. So == can only rule values out, and the digests decide.
    return bool(one == other) and digest(one) == digest(other)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _canonical(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    if isinstance(value, str):
        return f"text {value}"
    if isinstance(value, float):
        value = Decimal(str(value))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"number {Decimal(value).normalize(dynamodb_limits.NUMBER_CONTEXT)}"
    return value
