"""The query of a list, as its parameters say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.catalogue import search
from chalicelib.catalogue.search import Condition, Query
from chalicelib.http import list_queries, query_parameters
from chalicelib.http.schemas import ListQuery
from tests.builders import request


def parsed(query: str) -> Query:
    """Return the query in the query string of a list."""
    parameters = parse_qs(query, keep_blank_values=True)
    sent = query_parameters.parse(request(multiValueQueryStringParameters=parameters or None), ListQuery)
    return list_queries.parse(sent)


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,49}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=20)
single = st.builds(
    Condition, names, st.sampled_from([one for one in search.OPERATORS if one != "in"]), st.tuples(texts)
)
several = st.builds(
    Condition,
    names,
    st.just("in"),
    st.lists(texts.map(lambda text: text.replace(",", "")), min_size=1, max_size=20).map(tuple),
)


@given(st.lists(single | several, max_size=6, unique_by=lambda one: (one.field, one.operator)), st.booleans())
def test_any_filter_is_parsed_as_it_was_sent(conditions: list[Condition], explicit: bool) -> None:
    sent = [
        (
            f"filter[{one.field}]" + ("" if one.operator == "eq" and not explicit else f"[{one.operator}]"),
            ",".join(one.values),
        )
        for one in conditions
    ]

    assert parsed(urlencode(sent)).conditions == tuple(sorted(conditions))
    assert parsed(urlencode(sent, safe="[]")) == parsed(urlencode(sent))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Query()),
        ("order=desc", Query()),
        ("order=asc", Query(descending=False)),
        ("sort=createdAt", Query(descending=False)),
        ("sort=-createdAt", Query()),
        ("sort=-price", Query(sort="price")),
        ("sort=price&q=blue+va", Query(words="blue va", sort="price", descending=False)),
        ("filter[price]=5", Query((Condition("price", "eq", ("5",)),))),
        ("filter%5Bprice%5D%5Bgte%5D=5", Query((Condition("price", "gte", ("5",)),))),
        ("filter[tags][has]=a,b", Query((Condition("tags", "has", ("a,b",)),))),
        ("filter[title][in]=a,,b", Query((Condition("title", "in", ("a", "", "b")),))),
        ("createdAfter=2026-03-01T12:00:00Z", Query(after=datetime(2026, 3, 1, 12, tzinfo=UTC))),
    ],
)
def test_parameters_become_a_query(query: str, expected: Query) -> None:
    assert parsed(query) == expected


def test_order_of_filters_does_not_matter() -> None:
    assert parsed("filter[a]=1&filter[b]=2") == parsed("filter[b]=2&filter[a]=1")


FORM = "must be written filter[FIELD]=VALUE or filter[FIELD][OPERATOR]=VALUE"
OPERATORS = "has an unknown operator: it must be eq, gt, gte, lt, lte, prefix, in or has"


@pytest.mark.parametrize(
    ("query", "path", "message"),
    [
        ("filter=5", "$.filter", f"filter {FORM}"),
        ("filter[]=5", "$.filter[]", f"filter[] {FORM}"),
        ("filter[price=5", "$.filter[price", f"filter[price {FORM}"),
        ("filter[a][gte][x]=5", "$.filter[a][gte][x]", f"filter[a][gte][x] {FORM}"),
        ("filter[[a]]=5", "$.filter[[a]]", f"filter[[a]] {FORM}"),
        ("filter[a]b=5", "$.filter[a]b", f"filter[a]b {FORM}"),
        ("filter[a][GTE]=5", "$.filter[a][GTE]", f"filter[a][GTE] {OPERATORS}"),
        ("filter[a][ne]=5", "$.filter[a][ne]", f"filter[a][ne] {OPERATORS}"),
        ("filter[a]=5&filter[a]=6", "$.filter[a]", "filter[a] may be given once, not 2 times"),
        ("filter[a]=%EF%BF%BD", "$.filter[a]", "filter[a] must be UTF-8, percent-encoded"),
        (
            "filter[a]=5&filter[a][eq]=5",
            "$.filter[a][eq]",
            "filter[a] and filter[a][eq] are the same: send one of them",
        ),
        (
            "sort=price&order=asc",
            "$.order",
            "order cannot be sent with sort: send sort=createdAt for the oldest first, or sort=-createdAt",
        ),
        (
            "filter[updatedAt][gt]=2026-03-01T12:00:00+02:00",
            "$.filter[updatedAt][gt]",
            "The + in filter[updatedAt][gt] must be sent as %2B: in a query, + stands for a space",
        ),
        (f"q={'a' * 201}", "$.q", "q must be a string of at most 200 characters"),
    ],
)
def test_invalid_parameter_is_rejected(query: str, path: str, message: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        parsed(query)

    assert type(refused.value) is errors.InvalidRequestError
    assert refused.value.details == [{"path": path, "message": message}]
    assert refused.value.message == f"{message}."


@pytest.mark.parametrize("query", ["Filter[a]=5", "limit[a]=5", "filters[a]=5", "[a]=5", "q[]=a"])
def test_unknown_parameter_with_brackets_is_rejected(query: str) -> None:
    with pytest.raises(errors.UnknownParameterError):
        parsed(query)


def test_long_name_is_cut_in_the_error() -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        parsed(f"filter[{'a' * 5_000}][{'b' * 5_000}]=1")

    details: list[dict[str, Any]] = refused.value.details or []
    assert all(len(text) < 1_000 for text in (refused.value.message, *details[0].values()))


def test_percent_encoding_of_values_is_undone_once() -> None:
    assert parsed(f"filter[a]={quote('%41&=[')}").conditions == (Condition("a", "eq", ("%41&=[",)),)
