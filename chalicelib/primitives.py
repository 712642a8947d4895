"""What everything is made of: JSON with exact numbers, ids that sort by time, times as text."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, Overflow, Subnormal
from typing import Any, TypeVar

import msgspec

from chalicelib import errors

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What Windows' programs begin a text in UTF-8 with. RFC 8259, section 8.1: a parser may ignore it."""

# ---------------------------------------------------------------------------------------------------------- JSON, exact

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
    from chalicelib import sentences  # noqa: PLC0415 - most requests never need it

    if isinstance(problem, RecursionError):
        return errors.InvalidJsonError(root=root, problem=f"it nests deeper than {MAX_DEPTH} levels")
    text = bytes(data) if isinstance(data, msgspec.Raw) else data
    return errors.InvalidJsonError(root=root, problem=sentences.unreadable(text, problem))


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
        return f"number {Decimal(value).normalize(EXACT)}"
    return value


def shortened(text: str, most: int) -> str:
    """Return ``text``, or its first ``most`` characters and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}…"


# -------------------------------------------------------------------------------------------------- what DynamoDB holds

MAX_DEPTH = 32
"""Levels of nesting that it holds (AWS, "Service quotas: Attributes: Nested attribute depth").

The outermost object is one of them, and so is whatever lies innermost, be it a mere number.
"""

MAX_NAME_BYTES = 65_535
"""Of a field's name (AWS, "DynamoDB naming rules": Attribute names)."""

# Its number type: 38 digits, 1E-130 to 9.99…E+125 (AWS, "Naming rules and data types: Number").
EXACT = Context(prec=38, Emin=-130, Emax=125, traps=[Inexact, Overflow, Subnormal])


def unholdable(value: Any, path: str = "$", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield what it cannot hold in a JSON value: the path, and what is true of the value there and may not be."""
    if depth > MAX_DEPTH:
        yield path, f"lies deeper than {MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for name in value:
            yield from _unholdable_name(name, path)
        for name, inner in value.items():
            yield from unholdable(inner, f"{path}.{name}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unholdable(inner, f"{path}[{index}]", depth + 1)
    elif isinstance(value, int | Decimal) and not _is_exact(value):
        yield path, "has more than 38 digits, or is beyond 1E-130 to 1E+126"


def _unholdable_name(name: str, path: str) -> Iterator[tuple[str, str]]:
    if name == "":
        yield path, "has a field with an empty name"
    if len(name.encode()) > MAX_NAME_BYTES:
        yield path, f"has a field with a name of more than {MAX_NAME_BYTES} bytes"


def _is_exact(number: int | Decimal) -> bool:
    try:
        EXACT.create_decimal(number)
    except ArithmeticError:
        return False
    return True


def size_in_table(value: Any) -> int:
    """The bytes that it counts (AWS, "DynamoDB item sizes and formats"): of many short values, more than JSON."""
    if isinstance(value, dict):
        return 3 + sum(1 + len(name.encode()) + size_in_table(inner) for name, inner in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + size_in_table(inner) for inner in value)
    if isinstance(value, str):
        return len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    return 2 + (len(Decimal(value).as_tuple().digits) + 1) // 2


# ------------------------------------------------------------------------------------------------------ ids and times


def new_id(at_ms: int | None = None, tail: int | None = None) -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 of chance, so that ids sort by time.

    ``tail`` replaces the chance, for ids that have to come out the same when the work is done twice.
    """
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    tail = int.from_bytes(os.urandom(10)) if tail is None else tail
    tail &= (1 << 74) - 1
    bits = at_ms << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_id_after(floor: str, at_ms: int) -> str:
    """Return a new id of the time ``at_ms`` that sorts after ``floor``, even if the clock was set back since then."""
    id_ = new_id(at_ms)
    return id_ if id_ > floor else new_id(id_time_ms(floor) + 1)


def is_id(text: str) -> bool:
    """Whether ``text`` is written as :func:`new_id` writes ids."""
    return len(text) == 36 and [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12] and set(text) <= _ID_LETTERS


_ID_LETTERS = frozenset("0123456789abcdef-")


def canonical_id(text: str) -> str | None:
    """Return an id as it is stored, or None if ``text`` is no id. Case does not count (RFC 9562, section 4)."""
    lower = text.lower()
    return lower if is_id(lower) else None


def is_owner(text: str) -> bool:
    """Return whether ``text`` can name an owner: a subject (OpenID Connect Core 1.0, section 2, ``sub``)."""
    return _OWNER.fullmatch(text) is not None


_OWNER = re.compile(r"[\x20-\x7e]{1,255}")


def id_time_ms(id_: str) -> int:
    """The Unix milliseconds that an id carries."""
    return int(id_.replace("-", "")[:12], 16)


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, always 24 characters, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def unix_ms(at: datetime) -> int:
    """Return ``at`` as Unix milliseconds."""
    return int(at.timestamp() * 1000)


def parse_time(text: str) -> datetime:
    """A point in time from ISO 8601 with its offset (RFC 3339). Raises ValueError for anything else."""
    try:
        at = msgspec.convert(text, datetime)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time that is beyond the calendar in UTC") from None


# ---------------------------------------------------------------------------------------------------- JSON Merge Patch


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
