"""GET /items with filter, q and sort."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from chalicelib.catalogue import search_index_keys
from chalicelib.catalogue.field_annotations import FINDABLE, SEARCHABLE
from chalicelib.catalogue.search import Condition, Query
from chalicelib.http import cursors
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, json_of


class Declared(msgspec.Struct, rename="camel"):
    name: Annotated[str, FINDABLE, SEARCHABLE] | UnsetType = UNSET
    cost: Annotated[Decimal, FINDABLE] | UnsetType = UNSET
    labels: Annotated[list[str], FINDABLE, SEARCHABLE] | UnsetType = UNSET
    made_on: Annotated[dt.date, FINDABLE] | UnsetType = UNSET
    is_sold: Annotated[bool, FINDABLE] | UnsetType = UNSET


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fields of Declared be found instead of those of ItemFields."""
    declaration = search_index_keys.declaration_of(Declared)
    monkeypatch.setattr(search_index_keys, "current", lambda: declaration)


@pytest.fixture
def shelf(api: Stage) -> list[dict[str, Any]]:
    """Create five items, and return them in the order of their creation."""
    return [
        api.item(name="Blue vase", cost=5, labels=["glass", "old"], madeOn="1931-05-01", isSold=False),
        api.item(name="Red vase", cost=20, labels=["clay"], madeOn="1999-12-31", isSold=True),
        api.item(name="Cup, blue", cost=7.5, labels=["clay", "old"]),
        api.item(name="Été", cost=100),
        api.item(name="Lamp"),
    ]


def found(api: Stage, query: str) -> list[str]:
    """Return the names of the items on the first page of a list, which has no other page."""
    response = api("GET", f"/items?{query}")
    assert response.status_code == 200, response.body
    page = json_of(response)
    assert page["nextCursor"] is None
    assert page["count"] == len(page["items"])
    return [item["name"] for item in page["items"]]


def walk(api: Stage, query: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of a list."""
    cursor = ""
    while True:
        response = api("GET", f"/items?{query}{cursor}")
        assert response.status_code == 200, response.body
        yield json_of(response)
        if json_of(response)["nextCursor"] is None:
            return
        cursor = f"&cursor={json_of(response)['nextCursor']}"


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("filter[name]=Lamp", ["Lamp"]),
        ("filter[name]=lamp", []),
        ("filter%5Bname%5D=Blue+vase", ["Blue vase"]),
        ("filter%5Bname%5D%5Bprefix%5D=blue%20V", ["Blue vase"]),
        ("filter[name][in]=Lamp,Red vase,None", ["Lamp", "Red vase"]),
        ("filter[cost][gte]=7.50&filter[cost][lt]=1e2", ["Cup, blue", "Red vase"]),
        ("filter[labels][has]=old", ["Cup, blue", "Blue vase"]),
        ("filter[labels][has]=clay&filter[cost][gt]=10", ["Red vase"]),
        ("filter[madeOn][lt]=1950-01-01", ["Blue vase"]),
        ("filter[isSold]=true", ["Red vase"]),
        ("q=blue", ["Cup, blue", "Blue vase"]),
        ("q=vase+bl", ["Blue vase"]),
        ("q=ETE", ["Été"]),
        ("q=old&filter[cost]=5.0", ["Blue vase"]),
        ("sort=name", ["Blue vase", "Cup, blue", "Été", "Lamp", "Red vase"]),
        ("sort=-cost", ["Été", "Red vase", "Cup, blue", "Blue vase", "Lamp"]),
        ("sort=cost&filter[name][prefix]=r", ["Red vase"]),
        ("sort=createdAt&q=vase", ["Blue vase", "Red vase"]),
        ("order=asc&q=vase", ["Blue vase", "Red vase"]),
        ("sort=-createdAt&limit=100", ["Lamp", "Été", "Cup, blue", "Red vase", "Blue vase"]),
    ],
)
def test_items_are_found(api: Stage, query: str, names: list[str]) -> None:
    assert found(api, query) == names


def test_range_of_creation_applies(api: Stage, shelf: list[dict[str, Any]]) -> None:
    middle = quote(shelf[2]["createdAt"])

    after, before = (found(api, f"sort=name&{end}={middle}") for end in ("createdAfter", "createdBefore"))

    others = [item for item in shelf if item["createdAt"] != shelf[2]["createdAt"]]
    assert sorted([*after, *before]) == sorted(item["name"] for item in others)


def test_items_are_those_of_a_read(api: Stage, shelf: list[dict[str, Any]]) -> None:
    api.picture(shelf[0]["id"], jpeg())

    [item] = json_of(api("GET", "/items?filter[cost]=5"))["items"]

    read = api.read(shelf[0]["id"])
    assert item["image"]["status"] == "ready"
    assert item.keys() == read.keys()
    assert {name: value for name, value in item.items() if name != "image"} == {
        name: value for name, value in read.items() if name != "image"
    }


def test_every_write_is_found_at_once(api: Stage, shelf: list[dict[str, Any]]) -> None:
    lamp = shelf[-1]["id"]

    api("PATCH", f"/items/{lamp}", {"name": "Mirror", "cost": 5})
    assert found(api, "filter[cost]=5") == ["Mirror", "Blue vase"]
    assert found(api, "q=lamp") == []
    assert found(api, "sort=-updatedAt")[0] == "Mirror"
    api("DELETE", f"/items/{lamp}")
    assert found(api, "filter[cost]=5") == ["Blue vase"]


def test_items_of_another_owner_are_not_found(api: Stage, shelf: list[dict[str, Any]], configured: Any) -> None:
    configured(AUTH_MODE="oidc")
    bob = api.signed_in("bob")

    for query in ("filter[name]=Lamp", "q=lamp", "sort=name", "sort=-updatedAt"):
        assert json_of(bob("GET", f"/items?{query}")) == {"items": [], "count": 0, "nextCursor": None}
        assert json_of(api.signed_in(OWNER)("GET", f"/items?{query}"))["count"] > 0


def test_unchanged_page_is_not_sent_again(api: Stage, shelf: list[dict[str, Any]]) -> None:
    first = api("GET", "/items?q=vase")

    again = api("GET", "/items?q=vase", if_none_match=first.headers["ETag"])
    api("PATCH", f"/items/{shelf[0]['id']}", {"cost": 6})
    changed = api("GET", "/items?q=vase", if_none_match=first.headers["ETag"])

    assert (again.status_code, changed.status_code) == (304, 200)


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    @pytest.mark.parametrize("query", ["sort=cost", "sort=-cost", "sort=name", "q=o", "filter[labels][has]=odd"])
    def test_pages_have_every_item_once(self, api: Stage, query: str, limit: int) -> None:
        for number in range(7):
            api.item(name=f"odd {number % 3}", labels=["odd"], **({"cost": number % 3} if number % 2 else {}))

        pages = list(walk(api, f"{query}&limit={limit}"))

        ids = [item["id"] for page in pages for item in page["items"]]
        assert all(page["count"] <= limit for page in pages)
        assert ids == [item["id"] for item in json_of(api("GET", f"/items?{query}"))["items"]]
        assert len(set(ids)) == 7

    @pytest.mark.parametrize("query", ["sort=cost", "q=long", "filter[labels][has]=long"])
    def test_page_of_large_items_goes_on_after_the_last_one(self, api: Stage, query: str) -> None:
        for number in range(20):
            api.item(name="long", labels=["long"], cost=number, text="\x01" * 58_000)

        pages = list(walk(api, f"{query}&limit=100"))

        ids = [item["id"] for page in pages for item in page["items"]]
        assert len(pages) > 1
        assert len(ids) == len(set(ids)) == 20

    @pytest.mark.parametrize(
        "other",
        [
            "",
            "sort=name",
            "sort=-cost",
            "sort=createdAt",
            "sort=cost&q=o",
            "sort=cost&filter[name]=odd",
            "sort=cost&createdAfter=2000-01-01T00:00:00Z",
        ],
    )
    @pytest.mark.usefixtures("shelf")
    def test_cursor_of_another_query_is_rejected(self, api: Stage, other: str) -> None:
        cursor = json_of(api("GET", "/items?sort=cost&limit=1"))["nextCursor"]
        assert api("GET", f"/items?sort=cost&limit=3&cursor={cursor}").status_code == 200

        response = api("GET", f"/items?{other}&cursor={cursor}")

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_CURSOR")

    @pytest.mark.usefixtures("shelf")
    def test_cursor_does_not_depend_on_the_order_of_parameters(self, api: Stage) -> None:
        query, same = "filter[cost][gte]=1&filter[cost][lt]=50", "filter[cost][lt]=50&filter[cost][gte]=1"
        cursor = json_of(api("GET", f"/items?{query}&limit=1"))["nextCursor"]

        assert api("GET", f"/items?{same}&limit=1&cursor={cursor}").status_code == 200

    @pytest.mark.usefixtures("shelf")
    @pytest.mark.parametrize("position", ["", "x", "\t", "019ca7b4-e400-7abc-8def-0123456789ab", "cost#n", "ü\t\0"])
    @pytest.mark.parametrize(
        ("query", "parsed"),
        [
            ("sort=cost", Query(sort="cost", descending=False)),
            ("sort=-cost", Query(sort="cost")),
            ("q=vase", Query(words="vase")),
            ("filter[name]=Lamp", Query((Condition("name", "eq", ("Lamp",)),))),
        ],
    )
    def test_forged_cursor_is_no_error_of_the_server(
        self, api: Stage, query: str, parsed: Query, position: str
    ) -> None:
        response = api("GET", f"/items?{query}&cursor={cursors.encode(position, OWNER, *parsed)}")

        assert response.status_code == 200 or json_of(response)["error"] == "INVALID_CURSOR"


class TestErrors:
    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("filter[colour]=red", "$.filter[colour]"),
            ("filter[colour][gte]=red", "$.filter[colour][gte]"),
            ("filter[createdAt]=red", "$.filter[createdAt]"),
            ("filter[ü]=red", "$.filter[ü]"),
            ("sort=colour", "$.sort"),
            ("sort=labels", "$.sort"),
            ("sort=", "$.sort"),
            ("sort=--cost", "$.sort"),
        ],
    )
    def test_field_that_is_not_findable_is_named(self, api: Stage, query: str, path: str) -> None:
        response = api("GET", f"/items?{query}")

        assert (response.status_code, json_of(response)["error"]) == (400, "FIELD_NOT_FINDABLE")
        assert "name, cost" in json_of(response)["message"]
        assert [detail["path"] for detail in json_of(response)["details"]] == [path]

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("filter[cost]=cheap", "$.filter[cost]"),
            ("filter[cost][gte]=cheap", "$.filter[cost][gte]"),
            ("filter[cost][in]=5,cheap", "$.filter[cost][in]"),
            ("filter[madeOn]=yesterday", "$.filter[madeOn]"),
            ("filter[isSold]=yes", "$.filter[isSold]"),
            ("filter[labels]=old", "$.filter[labels]"),
            ("filter[labels][gt]=old", "$.filter[labels][gt]"),
            ("filter[name][has]=old", "$.filter[name][has]"),
            ("filter[name][like]=old", "$.filter[name][like]"),
            (f"filter[name][in]={'a,' * 20}b", "$.filter[name][in]"),
            ("q=", "$.q"),
            ("q=%21%3F", "$.q"),
            ("q=a+b+c+d+e+f+g+h+i+j+k", "$.q"),
            (f"q={'a' * 201}", "$.q"),
            ("sort=cost&order=desc", "$.order"),
        ],
    )
    def test_invalid_value_is_rejected_by_its_path(self, api: Stage, query: str, path: str) -> None:
        response = api("GET", f"/items?{query}")

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
        assert [detail["path"] for detail in json_of(response)["details"]] == [path]
        assert all(detail["message"] for detail in json_of(response)["details"])
