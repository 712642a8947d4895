"""Find the items that the query parameters of a list ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from chalicelib.catalogue import items, search, search_index_keys, validation
from chalicelib.catalogue.items import Page
from chalicelib.catalogue.search import Condition, Query
from chalicelib.http import cursors, query_parameters
from chalicelib.http.schemas import ListQuery


def parse(parameters: ListQuery) -> Query:
    """Return the query in the parameters of a list. Raise InvalidRequestError if they contradict each other."""
    sort = parameters.sort
    if sort is None:
        sort = search.CREATED_AT if parameters.order == "asc" else f"-{search.CREATED_AT}"
    elif parameters.order is not None:
        problem = "order cannot be sent with sort: send sort=createdAt for the oldest first, or sort=-createdAt"
        raise validation.problems_at(("$.order", problem))
    wanted = tuple(sorted(conditions(parameters.filter)))
    for one in wanted:
        field = search_index_keys.current().findable.get(one.field)
        if field and field.kinds == "d":
            query_parameters.check_offset(one.path.removeprefix("$."), one.values[-1])
    return Query(
        wanted,
        parameters.q,
        sort.removeprefix("-"),
        sort.startswith("-"),
        parameters.created_after,
        parameters.created_before,
    )


def conditions(filters: Mapping[str, Mapping[str, str]]) -> Iterator[Condition]:
    """Yield the conditions in a filter: the value of each operator by field, such as ``{"price": {"gte": "5"}}``.

    Raise InvalidRequestError for an unknown operator. ``search`` checks the fields and values.
    """
    for field, values in filters.items():
        for operator, value in values.items():
            if operator not in search.OPERATORS:
                *others, last = search.OPERATORS
                path = f"filter[{field}][{operator}]"
                problem = f"{path} has an unknown operator: it must be {', '.join(others)} or {last}"
                raise validation.problems_at((f"$.{path}", problem))
            yield Condition(field, operator, tuple(value.split(",")) if operator == "in" else (value,))


def find_page(owner: str, query: Query, parameters: ListQuery, at: datetime) -> Page:
    """Return the page of a query that ``limit``, ``cursor`` and ``image`` ask for. Raise InvalidCursorError."""
    page = _find_page(owner, query, parameters, at)
    if parameters.image is None:
        return page
    return msgspec.structs.replace(page, items=[item.without_image() for item in page.items])


def _find_page(owner: str, query: Query, parameters: ListQuery, at: datetime) -> Page:
    start_after = None if parameters.cursor is None else cursors.decode(parameters.cursor, owner, *query)
    if query.conditions or query.words is not None or query.sort != search.CREATED_AT:
        return search.find_page(owner, query, parameters.limit, start_after, at)
    which = items.ListRange(query.descending, query.after, query.before)
    return items.list_page(owner, which, parameters.limit, start_after, at)
