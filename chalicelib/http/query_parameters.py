"""Parse the query parameters of a request into a model."""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable
from datetime import datetime
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

import msgspec
from chalice.app import MultiDict, Request

from chalicelib import errors
from chalicelib.catalogue import validation
from chalicelib.values import truncation

_Model = TypeVar("_Model", bound=msgspec.Struct)


def parse(request: Request, model: type[_Model]) -> _Model:
    """Return the query parameters as a ``model``.

    Raise UnknownParameterError for a parameter that ``model`` does not have, InvalidRequestError for a repeated or
    invalid one.
    """
    names = model.__struct_encode_fields__  # msgspec.structs.fields would evaluate all annotations for each request
    sent = request.query_params or MultiDict({})
    unknown = [name for name in sent if name not in names]
    if unknown:
        raise errors.UnknownParameterError(
            unknown=truncation.truncate(" or ".join(unknown), 100),
            known=", ".join(names) or "none",
            details=[{"path": truncation.truncate(f"$.{name}", 100)} for name in unknown[:10]],
        )
    values: dict[str, Any] = {name: _value(name, sent.getlist(name), model) for name in sent}
    return validation.validate(model, values, "The query", text=True)


def _value(name: str, values: list[str], model: type[msgspec.Struct]) -> str | int:
    """Return the value of a parameter, as a number if ``model`` has an integer there and the value is one."""
    value = values[0]
    if len(values) > 1:
        _raise_invalid(name, f"{name} may be given once, not {len(values)} times")
    if "\ufffd" in value:
        _raise_invalid(name, f"{name} must be UTF-8, percent-encoded")
    if name in _fields_of_type(datetime, model) and re.search(r"\d \d\d:?\d\d$", value):
        _raise_invalid(name, f"The + in {name} must be sent as %2B: in a query, + stands for a space")
    if name in _fields_of_type(int, model) and re.fullmatch("-?[0-9]{1,4000}", value):
        return int(value)
    return value


def _raise_invalid(name: str, problem: str) -> NoReturn:
    raise errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": f"$.{name}", "message": problem}])


@functools.cache
def _fields_of_type(type_: Hashable, model: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names in JSON of the fields of ``model`` that have ``type_``, or a union with it."""
    hints = get_type_hints(model)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(model)}
    return frozenset(names[name] for name, hint in hints.items() if type_ in (hint, *get_args(hint)))
