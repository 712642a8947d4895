"""DynamoDB's limits on the numbers, nesting, names and sizes of what it stores."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, Inexact, Overflow, Subnormal
from typing import Any

MAX_DEPTH = 32
"""Levels of nesting (AWS, "Service quotas: Attributes: Nested attribute depth").

The outermost object is one level, and the innermost value is one too, even if it is a number.
"""

MAX_NAME_BYTES = 65_535
"""Bytes of a field's name (AWS, "DynamoDB naming rules": Attribute names)."""

NUMBER_CONTEXT = Context(prec=38, Emin=-130, Emax=125, traps=[Inexact, Overflow, Subnormal])
"""38 digits, 1E-130 to 9.99…E+125 (AWS, "Naming rules and data types: Number"). It raises for any other number."""


def violations(value: Any, path: str = "$", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield what DynamoDB cannot store in a JSON value: the path, and what is wrong there."""
    if depth > MAX_DEPTH:
        yield path, f"lies deeper than {MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for name in value:
            yield from _name_violations(name, path)
        for name, inner in value.items():
            yield from violations(inner, f"{path}.{name}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from violations(inner, f"{path}[{index}]", depth + 1)
    elif isinstance(value, int | Decimal) and not _is_exact(value):
        yield path, "has more than 38 digits, or is beyond 1E-130 to 1E+126"


def _name_violations(name: str, path: str) -> Iterator[tuple[str, str]]:
    if name == "":
        yield path, "has a field with an empty name"
    if len(name.encode()) > MAX_NAME_BYTES:
        yield path, f"has a field with a name of more than {MAX_NAME_BYTES} bytes"


def _is_exact(number: int | Decimal) -> bool:
    try:
        NUMBER_CONTEXT.create_decimal(number)
    except ArithmeticError:
        return False
    return True


def stored_size(value: Any) -> int:
    """Return the bytes that DynamoDB counts for a JSON value (AWS, "DynamoDB item sizes and formats").

    For many short values, this is more than the size of the JSON.
    """
    if isinstance(value, dict):
        return 3 + sum(1 + len(name.encode()) + stored_size(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return 3 + sum(1 + stored_size(inner) for inner in value)
    if isinstance(value, str):
        return len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    return 2 + (len(Decimal(value).as_tuple().digits) + 1) // 2
