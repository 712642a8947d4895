"""Query parameters that are not valid."""

from __future__ import annotations

import pytest

from tests.integration.stage import Stage, json_of


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "$.limit"),
        ("limit=101", "$.limit"),
        ("limit=-1", "$.limit"),
        ("limit=ten", "$.limit"),
        ("limit=1.5", "$.limit"),
        ("limit=", "$.limit"),
        ("order=random", "$.order"),
        ("order=DESC", "$.order"),
        ("createdAfter=yesterday", "$.createdAfter"),
        ("createdAfter=2026-01-01", "$.createdAfter"),
        ("createdBefore=2026-01-01T00:00:00", "$.createdBefore"),
        ("createdBefore=2026-13-01T00:00:00Z", "$.createdBefore"),
    ],
)
def test_invalid_parameter_is_rejected_by_name(api: Stage, query: str, path: str) -> None:
    response = api("GET", f"/items?{query}")

    assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
    assert [detail["path"] for detail in json_of(response)["details"]] == [path]


@pytest.mark.parametrize(
    "query",
    [
        "createdAfter=0001-01-01T00:00:00%2B23:00",
        "createdAfter=1960-01-01T00:00:00Z&createdBefore=1950-01-01T00:00:00Z",
        "createdBefore=1970-01-01T00:00:00Z",
        "createdAfter=9999-12-31T23:59:59.999-23:00",
        "createdBefore=9999-12-31T23:59:59.999-23:00",
    ],
)
def test_any_valid_time_is_accepted(api: Stage, query: str) -> None:
    assert api("GET", f"/items?{query}").status_code == 200


@pytest.mark.parametrize("cursor", ["", "x", "a" * 40, "%C3%BC", "null0", "a" * 5_000])
def test_made_up_cursor_is_rejected(api: Stage, cursor: str) -> None:
    response = api("GET", f"/items?cursor={cursor}")

    assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_CURSOR")
