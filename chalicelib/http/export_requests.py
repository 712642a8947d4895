"""Read the body of a request for an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from chalicelib.catalogue import exports, search_index_keys, validation
from chalicelib.catalogue.models import Fields
from chalicelib.catalogue.search import Query
from chalicelib.http import list_queries, schemas
from chalicelib.values import exact_json, ids


def parse(sent: Fields) -> exports.Options:
    """Return the options in the body. Raise InvalidRequestError if it is not a valid ExportRequest."""
    given = validation.validate(schemas.ExportRequest, sent)
    # The numbers of ``sent`` are exact, those of the model are floats.
    conditions = sorted(list_queries.conditions(dict(_filters(sent.get("filter") or {}))))
    return exports.Options(given.format, Query(tuple(conditions), given.q), _ids(given.ids), given.pictures)


def _ids(sent: list[str] | None) -> tuple[str, ...] | None:
    if sent is None:
        return None
    found = {index: ids.canonical_id(text) for index, text in enumerate(sent)}
    if problems := [(f"$.ids[{index}]", f"ids[{index}] must be a UUID") for index, id_ in found.items() if id_ is None]:
        raise validation.problems_at(*problems)
    return tuple(id_ for id_ in found.values() if id_)


def _filters(sent: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the fields of a filter, each with its operators and their values as text."""
    for field, value in sent.items():
        operators = value if isinstance(value, dict) else {"eq": value}
        if not operators:
            path = f"filter[{field}]"
            raise validation.problems_at((f"$.{path}", f"{path} must be a value, or an object with an operator"))
        yield field, {name: _text(field, name, one) for name, one in operators.items()}


def _text(field: str, operator: str, value: Any) -> str:
    """Return a value as it is written in the query of ``GET /items``.

    Raise InvalidRequestError unless it is text, or a number or a boolean that ``field`` may contain.
    """
    if isinstance(value, str):
        return value
    known = search_index_keys.current().findable.get(field)
    kind = "b" if isinstance(value, bool) else "n"
    if isinstance(value, bool | int | Decimal) and (known is None or kind in known.kinds) and operator != "in":
        return exact_json.to_json(value).decode()
    path = f"filter[{field}][{operator}]"
    raise validation.problems_at(
        (f"$.{path}", f"{path} must be text, or a number or a boolean if the field may be one")
    )
