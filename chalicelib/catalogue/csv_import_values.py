"""The JSON values that the cells of a CSV file stand for.

A column that ItemFields declares has the types that are declared. In other columns, numbers and booleans are guessed.

================  ==================================================================================
type              cell
================  ==================================================================================
number            a number as JSON has it: ``12.50``, not ``12,50``, ``+49`` or ``007``
boolean           ``true`` or ``false``, in upper or lower case
text, date, time  any text
list              a JSON array, or elements separated by ``|``, such as ``red|blue``
object            a JSON object
not declared      a number without exponent and of at most 38 digits, or a boolean; otherwise text
================  ==================================================================================

A cell that is none of these is text, so that validation reports what is allowed there. An empty cell stands for no
value.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.catalogue import item_fields
from chalicelib.values import dynamodb_limits, exact_json

ELEMENT_SEPARATOR = "|"

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}

_Schema = dict[str, Any]


class _Type(NamedTuple):
    """What a value may be: names of JSON Schema's types, or none if anything is allowed. An array has ``elements``."""

    names: frozenset[str] = frozenset()
    elements: _Type | None = None


_ANY = _Type()


def fields(columns: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """Return the fields of an item that a row of cells stands for. Empty cells are left out."""
    return {column: value(column, cell) for column, cell in zip(columns, cells, strict=False) if cell}


def value(column: str, cell: str) -> Any:
    """Return the JSON value that a cell of this column stands for."""
    return _value(cell, _types(item_fields.ItemFields).get(column, _ANY))


def _value(cell: str, type_: _Type) -> Any:
    if not type_.names:
        return _guess(cell)
    for name in _ORDER:
        if name in type_.names:
            found = _READERS[name](cell.strip(), type_)
            if found is not None:
                return found
    return cell


def _guess(cell: str) -> Any:
    """Return a number or a boolean if the cell is written like one, otherwise its text.

    A number with an exponent stays text, because codes look like that: 12E3. So does one that could not be stored.
    """
    text = cell.strip()
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    found = _NUMBER.fullmatch(text)
    if found is None or found["exponent"]:
        return cell
    number = exact_json.from_json(text)
    return cell if any(dynamodb_limits.violations(number)) else number


# ------------------------------------------------------------------------------------------------------ declared types


def _read_number(text: str, _: _Type) -> Any:
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return exact_json.from_json(text)
    except errors.InvalidJsonError:
        return None  # its exponent is beyond what a Decimal can have


def _read_boolean(text: str, _: _Type) -> bool | None:
    return _BOOLEANS.get(text.lower())


def _read_array(text: str, type_: _Type) -> list[Any] | None:
    if text.startswith("["):
        array: list[Any] | None = _read_json(text, list)
        return array
    if "string" in type_.names:
        return None
    elements = (element.strip() for element in text.split(ELEMENT_SEPARATOR))
    return [_value(element, type_.elements or _ANY) for element in elements if element]


def _read_object(text: str, _: _Type) -> dict[str, Any] | None:
    found: dict[str, Any] | None = _read_json(text, dict) if text.startswith("{") else None
    return found


def _read_json(text: str, type_: type[Any]) -> Any:
    try:
        found = exact_json.from_json(text)
    except errors.InvalidJsonError:
        return None
    return found if isinstance(found, type_) else None


_READERS = {"number": _read_number, "boolean": _read_boolean, "object": _read_object, "array": _read_array}
_ORDER = tuple(_READERS)


@functools.cache
def _types(model: type[msgspec.Struct]) -> Mapping[str, _Type]:
    """Return the types of the fields that a model declares, by their names in JSON."""
    schema = msgspec.json.schema(model)
    definitions = schema.get("$defs", {})
    declared = _resolve(schema, definitions)["properties"]
    return {name: _type(one, definitions) for name, one in declared.items()}


def _type(schema: _Schema, definitions: _Schema) -> _Type:
    alternatives = list(_alternatives(schema, definitions))
    names = [_type_names(one) for one in alternatives]
    if not all(names):
        return _ANY
    elements = [one["items"] for one in alternatives if isinstance(one.get("items"), dict)]
    return _Type(frozenset(itertools.chain(*names)), _type(elements[0], definitions) if elements else None)


def _resolve(schema: _Schema, definitions: _Schema) -> _Schema:
    resolved: _Schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return resolved


def _alternatives(schema: _Schema, definitions: _Schema) -> Iterator[_Schema]:
    resolved = _resolve(schema, definitions)
    if "anyOf" not in resolved:
        yield resolved
    for one in resolved.get("anyOf", ()):
        yield from _alternatives(one, definitions)


def _type_names(schema: _Schema) -> list[str]:
    """Return the names of the types in a schema of msgspec's, which has decimals as text."""
    if schema.get("format") == "decimal":
        return ["number"]
    if "enum" in schema:
        return [_name_of(one) for one in schema["enum"]]
    types = schema.get("type", [])
    return ["number" if one == "integer" else one for one in (types if isinstance(types, list) else [types])]


def _name_of(constant: Any) -> str:
    if isinstance(constant, str):
        return "string"
    return "null" if constant is None else "number"
