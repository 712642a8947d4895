"""Parse the query parameters of a request into a model."""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable
from datetime import datetime
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from chalice.app import MultiDict, Request

from chalicelib import errors
from chalicelib.catalogue import validation
from chalicelib.values import truncation

_Model = TypeVar("_Model", bound=msgspec.Struct)


def parse(request: Request, model: type[_Model], *, ignore_unknown: bool = False) -> _Model:
    """Return the query parameters as a ``model``.

    A field that is a dictionary of dictionaries has parameters with brackets: ``filter[price]=5`` and
    ``filter[price][gte]=5`` become ``{"price": {"eq": "5", "gte": "5"}}``. This extends the style deepObject of OpenAPI
    (3.1, "Style Values"), which has one pair of brackets.

    Raise UnknownParameterError for a parameter that ``model`` does not have, unless ``ignore_unknown`` is true;
    InvalidRequestError for a repeated or invalid one.
    """
    names = model.__struct_encode_fields__  # msgspec.structs.fields would evaluate all annotations for each request
    sent = request.query_params or MultiDict({})
    with_brackets = _fields_of_type(dict, model)
    unknown = [name for name in sent if name not in names and name.partition("[")[0] not in with_brackets]
    if unknown and not ignore_unknown:
        raise errors.UnknownParameterError(
            unknown=truncation.truncate(" or ".join(unknown), 100),
            known=", ".join(names) or "none",
            details=[{"path": truncation.truncate(f"$.{name}", 100)} for name in unknown[:10]],
        )
    values: dict[str, Any] = {}
    for name in (name for name in sent if name not in unknown):
        value = _value(name, sent.getlist(name), model)
        if name.partition("[")[0] in with_brackets:
            _add_in_brackets(values, name, value)
        else:
            values[name] = value
    return validation.validate(model, values, "The query", text=True)


def _add_in_brackets(values: dict[str, Any], name: str, value: str | int) -> None:
    """Add the value of a parameter with brackets, such as ``filter[price][gte]``."""
    found = re.fullmatch(r"(\w+)\[([^\[\]]+)\](?:\[([^\[\]]+)\])?", name)
    root = name.partition("[")[0]
    if found is None:
        _raise_invalid(name, f"{name} must be written {root}[FIELD]=VALUE or {root}[FIELD][OPERATOR]=VALUE")
    field, operator = found[2], found[3] or "eq"
    of_field = values.setdefault(root, {}).setdefault(field, {})
    if operator in of_field:
        _raise_invalid(name, f"{root}[{field}] and {root}[{field}][{operator}] are the same: send one of them")
    of_field[operator] = value


def _value(name: str, values: list[str], model: type[msgspec.Struct]) -> str | int:
    """Return the value of a parameter, as a number if ``model`` has an integer there and the value is one."""
    value = values[0]
    if len(values) > 1:
        _raise_invalid(name, f"{name} may be given once, not {len(values)} times")
    if "\ufffd" in value:
        _raise_invalid(name, f"{name} must be UTF-8, percent-encoded")
    if name in _fields_of_type(datetime, model):
        check_offset(name, value)
    if name in _fields_of_type(int, model) and re.fullmatch("-?[0-9]{1,4000}", value):
        return int(value)
    return value


def check_offset(name: str, value: str) -> None:
    """Raise InvalidRequestError if the value of a parameter is a time whose offset was sent with a plain +."""
    if re.search(r"\d \d\d:?\d\d$", value):
        _raise_invalid(name, f"The + in {name} must be sent as %2B: in a query, + stands for a space")


def _raise_invalid(name: str, problem: str) -> NoReturn:
    raise validation.problems_at((f"$.{name}", problem))


@functools.cache
def _fields_of_type(type_: Hashable, model: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names in JSON of the fields of ``model`` that have ``type_``, or a union or a generic type of it."""
    hints = get_type_hints(model)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(model)}
    return frozenset(names[name] for name, hint in hints.items() if type_ in (hint, get_origin(hint), *get_args(hint)))
