"""Sentences about what is wrong with what a caller sent, for the client's developer: the field, and what is allowed.

msgspec finds what is wrong, in words of its own for Python's types. Only the place is taken from them: what is allowed
there follows from the type. It is imported when something is wrong, because most requests never need it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as types


class Problem(NamedTuple):
    """What is wrong in one place: a JSONPath for programs, a sentence without its full stop for people."""

    path: str
    message: str


def problem(error: msgspec.ValidationError, type_: Any, root: str, value: Any = None, *, text: bool = False) -> Problem:
    """Return what msgspec found wrong in a ``value`` that should be a ``type_``.

    ``root`` is what the whole value is called, such as "The body". ``text``: it is text whatever it stands for, as in a
    query, so that only its form can be wrong.
    """
    message, in_names, path = _parted(error)
    cause = error.__cause__
    if isinstance(cause, ValueError) and str(cause):
        return Problem(path, str(cause).rstrip("."))  # What a model's own __post_init__ says, as it is.
    if cause:
        return about(path, "is not valid", root)
    if found := re.fullmatch("Object missing required field `(.*)`", message, re.DOTALL):
        return about(f"{path}.{found[1]}", "is required", root)
    if found := re.fullmatch("Object contains unknown field `(.*)`", message, re.DOTALL):
        return about(f"{path}.{found[1]}", _unknown(_at(type_, path, value)), root)
    named = f"Each name in {name(path, root)}" if in_names else name(path, root)
    return Problem(path, f"{named} {_must(message, _at(type_, path, value, in_names=in_names), text or in_names)}")


def about(path: str, what: str, root: str) -> Problem:
    """Return the problem that ``what`` is true of the value at ``path``."""
    return Problem(path, f"{name(path, root)} {what}")


def name(path: str, root: str) -> str:
    """Return what a value is called: ``items[3].price`` for the path ``$.items[3].price``."""
    inner = path.removeprefix("$").removeprefix(".")
    if inner.endswith("[...]"):
        return f"Each value in {name(path[:-5], root)}"
    return inner.replace("[...]", "[…]") or root


# ------------------------------------------------------------------------------------------------------- what is wrong

_JSON = {
    "int": "an integer",
    "float": "a decimal number",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


def _parted(error: msgspec.ValidationError) -> tuple[str, bool, str]:
    """Return msgspec's message, whether it is about the names in an object, and the path; the root's is left out."""
    pattern = r"(.*?)(?: - at `(key` in `)?(\$[^`]*)`)?"
    said = str(error)
    own = str(error.__cause__) if error.__cause__ else ""
    found = re.fullmatch(pattern, said.removeprefix(own), re.DOTALL)
    message, in_names, path = found.groups() if found else (said, None, None)
    return own or message, in_names is not None, path or "$"


def _must(message: str, allowed: list[types.Type], text: bool) -> str:
    words = {word: None for type_ in allowed for word in _words(type_)}
    null = ["null"] if "null" in words and not text else []
    choices = [word for word in words if word != "null"] + null
    if not choices:
        return "is not valid"
    wrong = re.search(r", got `(\w+)`$", message)
    is_not = f", not {_JSON[wrong[1]]}" if wrong and wrong[1] in _JSON and not text else ""
    return f"must be {_either(choices)}{is_not}"


def _unknown(allowed: list[types.Type]) -> str:
    names = [field for type_ in allowed for field in _fields(type_)]
    return f"is not an allowed field, such as {_either(names)}" if names else "is not allowed"


# ------------------------------------------------------------------------------------------------------ what is allowed


@functools.cache
def _whole(type_: Any) -> types.Type:
    return types.type_info(type_)


def _at(type_: Any, path: str, value: Any, *, in_names: bool = False) -> list[types.Type]:
    """Return the types that a value at ``path`` may have; of a union of models those that have the field."""
    found, rest = [(_whole(type_), value)], path.removeprefix("$")
    while rest and found:
        steps = [(step, part) for one, held in found for part in _alike(one, held) for step in _step(part, rest, held)]
        longest = max((len(step) for (step, _, _), _ in steps), default=len(rest))
        found = [(inner, held) for (step, inner, held), _ in steps if len(step) == longest]
        rest = rest[longest:]
    parts = [part for one, held in found for part in _alike(one, held)]
    return [part.key_type for part in parts if isinstance(part, _MAPS)] if in_names else parts


_MAPS = (types.DictType, types.FrozenDictType)


def _alike(type_: types.Type, value: Any) -> list[types.Type]:
    """Return the members of a union, but of models that a tag tells apart only the one that ``value`` says it is."""
    if isinstance(type_, types.Metadata):
        return _alike(type_.type, value)
    if not isinstance(type_, types.UnionType):
        return [type_]
    parts = [part for one in type_.types for part in _alike(one, value)]
    said = [part for part in parts if isinstance(value, dict) and _is_tagged(part, value)]
    return said or parts


def _is_tagged(type_: types.Type, value: dict[str, Any]) -> bool:
    return (
        isinstance(type_, types.StructType) and type_.tag_field is not None and value.get(type_.tag_field) == type_.tag
    )


def _step(type_: types.Type, rest: str, value: Any) -> Iterator[tuple[str, types.Type, Any]]:
    """Yield each way into ``type_`` that ``rest`` of a path may begin with: the step, the type there and the value."""
    for field, inner in _fields(type_).items():
        if re.match(rf"\.{re.escape(field)}(?![^.\[])", rest):
            yield f".{field}", inner, value.get(field) if isinstance(value, dict) else None
    if isinstance(type_, _MAPS) and rest.startswith("[...]"):
        yield "[...]", type_.value_type, None
    if found := re.match(r"\[(\d+)\]", rest):
        index = int(found[1])
        held = value[index] if isinstance(value, list) and index < len(value) else None
        for inner in _items(type_)[index : index + 1] or _items(type_)[-1:]:
            yield found[0], inner, held


def _fields(type_: types.Type) -> dict[str, types.Type]:
    if not isinstance(type_, types.StructType | types.DataclassType | types.TypedDictType):
        return {}
    fields = {field.encode_name: field.type for field in type_.fields}
    if isinstance(type_, types.StructType) and type_.tag_field is not None:
        return {type_.tag_field: types.LiteralType((type_.tag,)), **fields}
    return fields


def _items(type_: types.Type) -> tuple[types.Type, ...]:
    """Return the types of an array's first values; the last is that of all further ones too."""
    if isinstance(type_, types.CollectionType):
        return (type_.item_type,)
    if isinstance(type_, types.TupleType):
        return type_.item_types
    if isinstance(type_, types.NamedTupleType | types.StructType):
        return tuple(field.type for field in type_.fields)
    return ()


def _words(type_: types.Type) -> list[str]:
    """Return what a type allows, in words: several if it is one of several, none if it is not known."""
    if isinstance(type_, types.StructType) and type_.array_like:
        return ["an array"]
    say = next((say for kind, say in _SAID.items() if isinstance(type_, kind)), None)
    return say(type_) if say else []


def _either(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _number(kind: str) -> Callable[[Any], list[str]]:
    def say(type_: types.IntType | types.FloatType) -> list[str]:
        low, high = type_.ge, type_.le
        bounds = {
            f"from {low} to {high}": low is not None and high is not None,
            f"of at least {low}": low is not None and high is None,
            f"of at most {high}": low is None and high is not None,
            f"greater than {type_.gt}": type_.gt is not None,
            f"less than {type_.lt}": type_.lt is not None,
            f"divisible by {type_.multiple_of}": type_.multiple_of is not None,
        }
        return [f"{kind} {' and '.join(words for words, holds in bounds.items() if holds)}".rstrip()]

    return say


def _sized(kind: str, unit: str) -> Callable[[Any], list[str]]:
    def say(type_: Any) -> list[str]:
        least, most = type_.min_length, type_.max_length
        pattern = getattr(type_, "pattern", None)
        return [kind + _size(least, most, unit) + (f" that matches the pattern {pattern}" if pattern else "")]

    return say


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


_SAID: dict[type[types.Type], Callable[[Any], list[str]]] = {
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


# --------------------------------------------------------------------------------------------------------- what is JSON


def unreadable(data: bytes | str, error: Exception) -> str:
    """Return why ``data`` is not JSON, of which a decoder raised ``error``."""
    if isinstance(error, msgspec.ValidationError | ArithmeticError):
        return "it has a number of an impossible size"
    try:
        text = data.encode().decode() if isinstance(data, str) else data.decode()
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as wrong:
        return _misplaced(wrong.doc, wrong.pos)
    except UnicodeDecodeError as wrong:
        return f"the byte {_place(wrong.object[: wrong.start].decode())} is not UTF-8"
    except (UnicodeEncodeError, RecursionError, ValueError) as wrong:
        return str(wrong) if type(wrong) is ValueError else "it cannot be read"
    # Python's own decoder takes half a surrogate pair.
    return "it has an escape such as \\ud83d that is only half of a character"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def _misplaced(text: str, at: int) -> str:
    if not text.strip():
        return "it is empty"
    if at >= len(text.rstrip()):
        return "it ends too early"
    if text[at] == '"':
        return f"there is an unexpected or unfinished string {_place(text[:at])}"
    return f"there is an unexpected {json.dumps(text[at], ensure_ascii=False)} {_place(text[:at])}"


def _place(before: str) -> str:
    return f"at line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
