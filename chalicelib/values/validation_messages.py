"""Error messages for invalid values: which field is wrong, and what is allowed there.

msgspec's own messages name Python types. Only the path is taken from them; what is allowed follows from the model.
Import this module only when something is invalid: most requests never need it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as types


class InvalidValue(NamedTuple):
    """One invalid value: its JSONPath, and a sentence about it without the full stop."""

    path: str
    message: str


def describe(
    error: msgspec.ValidationError, type_: Any, root: str, value: Any = None, *, text: bool = False
) -> InvalidValue:
    """Return what msgspec reported when it validated ``value`` as ``type_``.

    ``root`` names the whole value in the message, such as "The body". Pass ``text=True`` if every value was sent as
    text, as in a query: then the message does not mention JSON types.
    """
    message, in_names, path = _split(error)
    cause = error.__cause__
    if isinstance(cause, ValueError) and str(cause):
        return InvalidValue(path, str(cause).rstrip("."))  # A model's own __post_init__ raised it.
    if cause:
        return invalid_value_at(path, "is not valid", root)
    if found := re.fullmatch("Object missing required field `(.*)`", message, re.DOTALL):
        return invalid_value_at(f"{path}.{found[1]}", "is required", root)
    if found := re.fullmatch("Object contains unknown field `(.*)`", message, re.DOTALL):
        return invalid_value_at(f"{path}.{found[1]}", _unknown_field(_types_at(type_, path, value)), root)
    subject = f"Each name in {_label(path, root)}" if in_names else _label(path, root)
    allowed = _types_at(type_, path, value, in_names=in_names)
    return InvalidValue(path, f"{subject} {_requirement(message, allowed, text or in_names)}")


def invalid_value_at(path: str, predicate: str, root: str) -> InvalidValue:
    """Return the invalid value at ``path``; ``predicate`` completes the sentence: "is required"."""
    return InvalidValue(path, f"{_label(path, root)} {predicate}")


def _label(path: str, root: str) -> str:
    """Return how a message names a value: ``items[3].price`` for the path ``$.items[3].price``."""
    inner = path.removeprefix("$").removeprefix(".")
    if inner.endswith("[...]"):
        return f"Each value in {_label(path[:-5], root)}"
    return inner.replace("[...]", "[…]") or root


# ---------------------------------------------------------------------------------------------------- msgspec's errors

_JSON_TYPES = {
    "int": "an integer",
    "float": "a decimal number",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


def _split(error: msgspec.ValidationError) -> tuple[str, bool, str]:
    """Return msgspec's message without the path, whether it is about the names in an object, and the path."""
    pattern = r"(.*?)(?: - at `(key` in `)?(\$[^`]*)`)?"
    text = str(error)
    cause = str(error.__cause__) if error.__cause__ else ""
    found = re.fullmatch(pattern, text.removeprefix(cause), re.DOTALL)
    message, in_names, path = found.groups() if found else (text, None, None)
    return cause or message, in_names is not None, path or "$"


def _requirement(message: str, allowed: list[types.Type], text: bool) -> str:
    choices = {choice: None for type_ in allowed for choice in _describe_type(type_)}
    null = ["null"] if "null" in choices and not text else []
    ordered = [choice for choice in choices if choice != "null"] + null
    if not ordered:
        return "is not valid"
    sent = re.search(r", got `(\w+)`$", message)
    is_not = f", not {_JSON_TYPES[sent[1]]}" if sent and sent[1] in _JSON_TYPES and not text else ""
    return f"must be {_or(ordered)}{is_not}"


def _unknown_field(allowed: list[types.Type]) -> str:
    names = [field for type_ in allowed for field in _fields(type_)]
    return f"is not an allowed field, such as {_or(names)}" if names else "is not allowed"


# ------------------------------------------------------------------------------------------- the types at a JSONPath


@functools.cache
def _type_info(type_: Any) -> types.Type:
    return types.type_info(type_)


def _types_at(type_: Any, path: str, value: Any, *, in_names: bool = False) -> list[types.Type]:
    """Return the types that are allowed at ``path``; of a union of models, those of the members that have the field.

    With ``in_names=True``, return the types of the names in the object there.
    """
    found, rest = [(_type_info(type_), value)], path.removeprefix("$")
    while rest and found:
        steps = [
            step for outer, held in found for member in _members(outer, held) for step in _steps(member, rest, held)
        ]
        longest = max((len(step.text) for step in steps), default=len(rest))
        found = [(step.type, step.value) for step in steps if len(step.text) == longest]
        rest = rest[longest:]
    members = [member for outer, held in found for member in _members(outer, held)]
    return [member.key_type for member in members if isinstance(member, _MAPS)] if in_names else members


_MAPS = (types.DictType, types.FrozenDictType)


def _members(type_: types.Type, value: Any) -> list[types.Type]:
    """Return the members of a union, or ``type_`` itself if it is none.

    If ``value`` has the tag of one of the members, return only that one.
    """
    if isinstance(type_, types.Metadata):
        return _members(type_.type, value)
    if not isinstance(type_, types.UnionType):
        return [type_]
    members = [member for one in type_.types for member in _members(one, value)]
    tagged = [member for member in members if isinstance(value, dict) and _has_tag(value, member)]
    return tagged or members


def _has_tag(value: dict[str, Any], type_: types.Type) -> bool:
    return (
        isinstance(type_, types.StructType) and type_.tag_field is not None and value.get(type_.tag_field) == type_.tag
    )


class _Step(NamedTuple):
    text: str
    type: types.Type
    value: Any


def _steps(type_: types.Type, rest: str, value: Any) -> Iterator[_Step]:
    """Yield each step into ``type_`` that the rest of a path can start with."""
    for field, inner in _fields(type_).items():
        if re.match(rf"\.{re.escape(field)}(?![^.\[])", rest):
            yield _Step(f".{field}", inner, value.get(field) if isinstance(value, dict) else None)
    if isinstance(type_, _MAPS) and rest.startswith("[...]"):
        yield _Step("[...]", type_.value_type, None)
    if found := re.match(r"\[(\d+)\]", rest):
        index = int(found[1])
        held = value[index] if isinstance(value, list) and index < len(value) else None
        for inner in _element_types(type_)[index : index + 1] or _element_types(type_)[-1:]:
            yield _Step(found[0], inner, held)


def _fields(type_: types.Type) -> dict[str, types.Type]:
    if not isinstance(type_, types.StructType | types.DataclassType | types.TypedDictType):
        return {}
    fields = {field.encode_name: field.type for field in type_.fields}
    if isinstance(type_, types.StructType) and type_.tag_field is not None:
        return {type_.tag_field: types.LiteralType((type_.tag,)), **fields}
    return fields


def _element_types(type_: types.Type) -> tuple[types.Type, ...]:
    """Return the types of an array's first elements; the last one applies to all further elements."""
    if isinstance(type_, types.CollectionType):
        return (type_.item_type,)
    if isinstance(type_, types.TupleType):
        return type_.item_types
    if isinstance(type_, types.NamedTupleType | types.StructType):
        return tuple(field.type for field in type_.fields)
    return ()


# --------------------------------------------------------------------------------------------- types in plain English


def _describe_type(type_: types.Type) -> list[str]:
    """Return descriptions of the values that a type allows: one, several for an enumeration, none if it is unknown."""
    if isinstance(type_, types.StructType) and type_.array_like:
        return ["an array"]
    describe = next((describe for kind, describe in _DESCRIPTIONS.items() if isinstance(type_, kind)), None)
    return describe(type_) if describe else []


def _or(choices: list[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def _number(kind: str) -> Callable[[Any], list[str]]:
    def describe(type_: types.IntType | types.FloatType) -> list[str]:
        low, high = type_.ge, type_.le
        bounds = {
            f"from {low} to {high}": low is not None and high is not None,
            f"of at least {low}": low is not None and high is None,
            f"of at most {high}": low is None and high is not None,
            f"greater than {type_.gt}": type_.gt is not None,
            f"less than {type_.lt}": type_.lt is not None,
            f"divisible by {type_.multiple_of}": type_.multiple_of is not None,
        }
        return [f"{kind} {' and '.join(bound for bound, applies in bounds.items() if applies)}".rstrip()]

    return describe


def _sized(kind: str, unit: str) -> Callable[[Any], list[str]]:
    def describe(type_: Any) -> list[str]:
        least, most = type_.min_length, type_.max_length
        pattern = getattr(type_, "pattern", None)
        return [kind + _size(least, most, unit) + (f" that matches the pattern {pattern}" if pattern else "")]

    return describe


def _size(least: int | None, most: int | None, unit: str) -> str:
    if least is None and most is None:
        return ""
    units = unit.removesuffix("s") if (least if most is None else most) == 1 else unit
    if least is None:
        return f" of at most {most} {units}"
    if most is None:
        return f" of at least {least} {units}"
    return f" of {least} {units}" if least == most else f" of {least} to {most} {units}"


def _time(type_: types.DateTimeType) -> list[str]:
    offset = {True: " with its offset", False: " without an offset", None: ""}[type_.tz]
    return [f"a time in ISO 8601{offset} (such as 2030-01-31T12:00:00{'' if type_.tz is False else 'Z'})"]


def _values(values: Any) -> list[str]:
    return [one if isinstance(one, str) and one else json.dumps(one) for one in values]


_DESCRIPTIONS: dict[type[types.Type], Callable[[Any], list[str]]] = {
    types.NoneType: lambda _: ["null"],
    types.BoolType: lambda _: ["true", "false"],
    types.IntType: _number("an integer"),
    types.FloatType: _number("a number"),
    types.DecimalType: lambda _: ["a decimal number"],
    types.StrType: _sized("a string", "characters"),
    types.BytesType: _sized("a string in base64", "bytes"),
    types.ByteArrayType: _sized("a string in base64", "bytes"),
    types.DateTimeType: _time,
    types.DateType: lambda _: ["a date (such as 2030-01-31)"],
    types.TimeType: lambda _: ["a time of day (such as 12:30:00)"],
    types.TimeDeltaType: lambda _: ["a duration in ISO 8601 (such as P1DT12H)"],
    types.UUIDType: lambda _: ["a UUID"],
    types.EnumType: lambda type_: _values(one.value for one in type_.cls),
    types.LiteralType: lambda type_: _values(type_.values),
    types.TupleType: lambda type_: [f"an array of {len(type_.item_types)} values"],
    types.CollectionType: _sized("an array", "values"),
    types.NamedTupleType: lambda _: ["an array"],
    types.DictType: _sized("an object", "fields"),
    types.FrozenDictType: _sized("an object", "fields"),
    types.StructType: lambda _: ["an object"],
    types.DataclassType: lambda _: ["an object"],
    types.TypedDictType: lambda _: ["an object"],
}
