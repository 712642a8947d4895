"""The marks of declared fields, and what is stored for them: what was sent, with the defaults of those left out.

Numbers must be sent as numbers: msgspec accepts text for every Decimal, but this module only for a DecimalOrText.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from chalicelib import errors
from chalicelib.values import exact_json

OR_TEXT = "x-or-text"
"""A mark in the schema of a DecimalOrText."""

_OR_TEXT = msgspec.Meta(extra_json_schema={OR_TEXT: True})

DecimalOrText = Annotated[Decimal, _OR_TEXT]
"""A Decimal that may also be sent as text, such as ``"12.50"``. It is stored as a number."""


FINDABLE = msgspec.Meta(extra_json_schema={"x-findable": True})
"""Marks a field by which items can be filtered and sorted: ``price: Annotated[Decimal, FINDABLE]``.

It is text, a number, a boolean, a date or a time; or a list of these, which can be filtered by ``has``.
"""

SEARCHABLE = msgspec.Meta(extra_json_schema={"x-searchable": True})
"""Marks a text, or a list of texts, whose words are searched."""

PUBLIC = msgspec.Meta(extra_json_schema={"x-public": True})
"""Marks a field of public items that visitors see, and can find items by if it has the other marks too."""

MARKS = (FINDABLE, SEARCHABLE, PUBLIC)


class _Place(msgspec.Struct, frozen=True):
    """Where a value is: its JSONPath, and the declared field that contains it."""

    path: str = "$"
    model: Any = None
    field: str = ""


def complete(sent: Any, decoded: Any) -> Any:
    """Return the JSON value to store for ``sent``, which msgspec decoded as ``decoded``.

    It is what was sent, with the defaults of the fields that were left out, in nested models too. A model with
    ``omit_defaults=True`` adds none, and neither does a default of UNSET. The elements of a set stay as they were sent,
    because their order is lost.

    Raise msgspec.ValidationError for text in place of a number.
    """
    return _complete(sent, decoded, _Place())


def _complete(sent: Any, decoded: Any, place: _Place) -> Any:
    if isinstance(sent, str):
        return _number(sent, place) if isinstance(decoded, Decimal) else sent
    if isinstance(sent, list):
        return _complete_array(sent, decoded, place)
    if isinstance(sent, dict):
        return _complete_object(sent, decoded, place)
    return sent


def _complete_object(sent: dict[str, Any], decoded: Any, place: _Place) -> dict[str, Any]:
    if isinstance(decoded, dict):
        # Pair the values by position, because names may be decoded too, such as "2026-01-31" to a date. A TypedDict
        # lacks names that it does not declare: then pair them by name.
        values = decoded.values() if len(decoded) == len(sent) else [decoded.get(name) for name in sent]
        inner_place = msgspec.structs.replace(place, path=f"{place.path}[...]")
        pairs = zip(sent.items(), values, strict=True)
        return {name: _complete(inner, value, inner_place) for (name, inner), value in pairs}
    completed = dict(sent)
    for field, name in _fields(decoded):
        value = getattr(decoded, field)
        if name in sent:
            completed[name] = _complete(sent[name], value, _Place(f"{place.path}.{name}", type(decoded), field))
        elif value is not msgspec.UNSET and not _omits_defaults(decoded):
            completed[name] = _as_json_value(value)
    return completed


def _complete_array(sent: list[Any], decoded: Any, place: _Place) -> list[Any]:
    values = _elements(sent, decoded)
    pairs = enumerate(zip(sent, values, strict=False))
    completed = [
        _complete(one, value, msgspec.structs.replace(place, path=f"{place.path}[{index}]"))
        for index, (one, value) in pairs
    ]
    return completed + sent[len(values) :] + [_as_json_value(value) for value in values[len(sent) :]]


def _elements(sent: list[Any], decoded: Any) -> list[Any]:
    """Return what the elements of an array were decoded as, and the defaults after them."""
    if isinstance(decoded, list | tuple):
        return list(decoded)
    if isinstance(decoded, set | frozenset):
        # At most one member of a union is sent as text: if there is a Decimal, all texts are Decimals.
        decimals = any(isinstance(one, Decimal) for one in decoded)
        return [Decimal() if decimals and isinstance(one, str) else one for one in sent]
    fields = [getattr(decoded, field) for field, _ in _fields(decoded)]
    is_tagged = isinstance(decoded, msgspec.Struct) and decoded.__struct_config__.tag is not None
    return sent[:1] + fields if is_tagged else fields


def _fields(decoded: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a struct or a dataclass: the name of the attribute, and the name in JSON."""
    if isinstance(decoded, msgspec.Struct):
        yield from zip(decoded.__struct_fields__, decoded.__struct_encode_fields__, strict=True)
    else:
        yield from ((name, name) for name in getattr(decoded, "__dataclass_fields__", ()))


def _omits_defaults(decoded: Any) -> bool:
    return isinstance(decoded, msgspec.Struct) and decoded.__struct_config__.omit_defaults


def _as_json_value(value: Any) -> Any:
    return exact_json.from_json(exact_json.to_json(value))


def _number(text: str, place: _Place) -> Any:
    if place.model is None or not _has_or_text(_type_of(place.model, place.field)):
        raise msgspec.ValidationError(f"Expected `decimal`, got `str` - at `{place.path}`")
    try:
        return exact_json.from_json(text)
    except errors.InvalidJsonError:
        raise msgspec.ValidationError(f"Invalid decimal string - at `{place.path}`") from None


def _type_of(model: Any, field: str) -> Any:
    if issubclass(model, msgspec.Struct):
        return next(one.type for one in msgspec.structs.fields(model) if one.name == field)
    return get_type_hints(model, include_extras=True)[field]


def _has_or_text(type_: Any) -> bool:
    return type_ == _OR_TEXT or any(_has_or_text(inner) for inner in get_args(type_))
