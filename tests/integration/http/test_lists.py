"""Lists: pages, ranges and cursors, also with writes between pages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from chalicelib.catalogue import items
from chalicelib.catalogue.search import Query
from chalicelib.http import cursors
from chalicelib.values import times
from tests.builders import fields, jpeg
from tests.integration.stage import OWNER, Stage, item_input, json_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def created(minute: float, owner: str = OWNER) -> str:
    """Create an item at this minute of the day, and return its id."""
    at = DAY + timedelta(minutes=minute)
    item, _ = items.create(owner, item_input(minute=int(minute)), at)
    return item.id


def minutes(page: dict[str, list[dict[str, int]]]) -> list[int]:
    return [int(item["minute"]) for item in page["items"]]


def walk(api: Stage, query: str) -> Iterator[dict[str, list[dict[str, int]]]]:
    """Yield the pages of a list; each is requested when it is needed."""
    cursor = ""
    while True:
        page = json_of(api("GET", f"/items?{query}{cursor}"))
        assert page["count"] == len(page["items"])
        yield page
        if page["nextCursor"] is None:
            return
        cursor = f"&cursor={page['nextCursor']}"


def when(minute: float) -> str:
    return quote(times.format_time(DAY + timedelta(minutes=minute)))


def test_all_problems_of_a_query_are_reported(api: Stage) -> None:
    response = api("GET", "/items?limit=0&order=random&createdAfter=yesterday&createdBefore=2026-01-01T00:00:00Z")

    assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
    assert [detail["path"] for detail in json_of(response)["details"]] == ["$.limit", "$.order", "$.createdAfter"]


def test_empty_list_has_no_next_page(api: Stage) -> None:
    assert json_of(api("GET", "/items")) == {"items": [], "count": 0, "nextCursor": None}


def test_order_is_newest_first_by_default(api: Stage) -> None:
    for minute in (2, 0, 1):
        created(minute)

    assert minutes(json_of(api("GET", "/items"))) == [2, 1, 0]
    assert minutes(json_of(api("GET", "/items?order=desc"))) == [2, 1, 0]
    assert minutes(json_of(api("GET", "/items?order=asc"))) == [0, 1, 2]


def test_page_has_25_items_by_default(api: Stage) -> None:
    for minute in range(26):
        created(minute)

    assert json_of(api("GET", "/items"))["count"] == 25
    assert json_of(api("GET", "/items?limit=1"))["count"] == 1
    assert json_of(api("GET", "/items?limit=100"))["count"] == 26


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_have_every_item_once_in_order(api: Stage, order: str, limit: int) -> None:
    for minute in range(7):
        created(minute)

    seen = [minute for page in walk(api, f"order={order}&limit={limit}") for minute in minutes(page)]

    assert seen == sorted(range(7), reverse=order == "desc")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_writes_between_pages_repeat_or_skip_no_item(api: Stage, order: str) -> None:
    for minute in range(10, 16):
        created(minute)

    seen = []
    for number, page in enumerate(walk(api, f"order={order}&limit=2")):
        seen += minutes(page)
        created(20 + number)  # after the newest
        created(number)  # before the oldest

    assert [minute for minute in seen if 10 <= minute < 16] == sorted(range(10, 16), reverse=order == "desc")
    assert len(set(seen)) == len(seen)


def test_list_continues_after_a_deleted_item(api: Stage) -> None:
    ids = [created(minute) for minute in range(4)]
    pages = walk(api, "order=asc&limit=2")
    assert minutes(next(pages)) == [0, 1]

    for id_ in ids[1:3]:
        api("DELETE", f"/items/{id_}")

    assert minutes(next(pages)) == [3]


class TestRanges:
    @pytest.mark.parametrize(
        ("query", "seen"),
        [
            (f"createdAfter={when(1)}", [2, 3, 4]),
            (f"createdBefore={when(3)}", [0, 1, 2]),
            (f"createdAfter={when(0)}&createdBefore={when(4)}", [1, 2, 3]),
            (f"createdAfter={when(0.5)}&createdBefore={when(1.5)}", [1]),
            (f"createdAfter={when(4)}", []),
            (f"createdBefore={when(0)}", []),
            (f"createdAfter={when(3)}&createdBefore={when(1)}", []),
            (f"createdAfter={when(2)}&createdBefore={when(2)}", []),
            ("createdAfter=2026-03-01T14:01:00%2B02:00", [2, 3, 4]),
        ],
    )
    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_range_has_items_created_between_its_ends(
        self, api: Stage, query: str, seen: list[int], order: str
    ) -> None:
        for minute in range(5):
            created(minute)

        page = json_of(api("GET", f"/items?{query}&order={order}"))

        assert minutes(page) == (seen if order == "asc" else seen[::-1])

    def test_range_excludes_its_ends(self, api: Stage) -> None:
        item = api.item()

        at = quote(item["createdAt"])

        assert json_of(api("GET", f"/items?createdAfter={at}"))["items"] == []
        assert json_of(api("GET", f"/items?createdBefore={at}"))["items"] == []

    def test_range_has_all_items_of_the_milliseconds_beside_its_ends(self, api: Stage) -> None:
        beside = timedelta(milliseconds=1)
        for at in [DAY - beside, DAY, DAY + beside]:
            for _ in range(8):  # Their ids differ in their random part.
                items.create(OWNER, item_input(), at)

        ends = [quote(times.format_time(at)) for at in (DAY - beside, DAY + beside)]
        page = json_of(api("GET", f"/items?createdAfter={ends[0]}&createdBefore={ends[1]}"))

        assert [item["createdAt"] for item in page["items"]] == [times.format_time(DAY)] * 8

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_range_has_pages(self, api: Stage, order: str) -> None:
        for minute in range(8):
            created(minute)

        query = f"createdAfter={when(0)}&createdBefore={when(7)}&order={order}&limit=4"

        seen = [minute for page in walk(api, query) for minute in minutes(page)]
        assert seen == sorted(range(1, 7), reverse=order == "desc")

    @pytest.mark.parametrize("other", ["order=asc", f"createdAfter={when(0)}", f"createdBefore={when(9)}"])
    def test_cursor_is_valid_for_its_own_list_only(self, api: Stage, other: str) -> None:
        for minute in range(3):
            created(minute)
        cursor = json_of(api("GET", "/items?limit=1"))["nextCursor"]

        response = api("GET", f"/items?limit=1&{other}&cursor={cursor}")

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_CURSOR")

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("minute", [0, 1, 3, 4])
    def test_cursor_outside_the_range_is_rejected(self, api: Stage, minute: int, order: str) -> None:
        ids = [created(minute) for minute in range(5)]
        after, before = (DAY + timedelta(minutes=bound) for bound in (1, 3))
        query = Query(descending=order == "desc", after=after, before=before)
        forged = cursors.encode(ids[minute], OWNER, *query)

        response = api("GET", f"/items?order={order}&createdAfter={when(1)}&createdBefore={when(3)}&cursor={forged}")

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_CURSOR")

    def test_cursor_is_valid_with_another_limit(self, api: Stage) -> None:
        for minute in range(4):
            created(minute)
        cursor = json_of(api("GET", "/items?limit=1"))["nextCursor"]

        assert minutes(json_of(api("GET", f"/items?limit=100&cursor={cursor}"))) == [2, 1, 0]


LAMBDA_LIMIT = 6 * 1024 * 1024


def encoded(response: HTTPResponse) -> int:
    """Return the size in bytes of a response that Lambda's runtime sends: the body is a string in another document."""
    body = response.body.decode()
    return len(json.dumps({"statusCode": response.status_code, "headers": response.headers, "body": body}))


class TestLongPages:
    @pytest.mark.parametrize("text", ["\x01" * 58_000, "\x7f" * 350_000], ids=["escaped", "DEL"])
    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_page_ends_before_the_limit_of_lambda(self, api: Stage, text: str, order: str) -> None:
        for minute in range(20):
            items.create(OWNER, item_input(minute=minute, text=text), DAY + timedelta(minutes=minute))
        seen, cursor = [], ""
        while cursor is not None:
            response = api("GET", f"/items?limit=100&order={order}{cursor}")
            assert (response.status_code, encoded(response) < LAMBDA_LIMIT) == (200, True)
            page = json_of(response)
            assert page["count"] == len(page["items"]) > 0
            seen += minutes(page)
            cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"

        assert seen == sorted(range(20), reverse=order == "desc")

    def test_short_items_share_a_page(self, api: Stage) -> None:
        for minute in range(100):
            items.create(OWNER, item_input(minute=minute, text="a" * 1_000), DAY + timedelta(minutes=minute))

        assert json_of(api("GET", "/items?limit=100"))["count"] == 100


def test_list_has_only_items_of_its_owner(api: Stage) -> None:
    created(0)
    for owner in ("loca", "local2", "local#ITEM", "LOCAL"):
        created(1, owner)

    assert minutes(json_of(api("GET", "/items"))) == [0]


def test_other_records_are_not_listed(api: Stage) -> None:
    api("POST", "/items", fields(minute=1), idempotency_key="k")
    api("POST", "/imports", {"items": [fields()]})

    assert minutes(json_of(api("GET", "/items"))) == [1]


def test_expired_items_are_skipped(api: Stage) -> None:
    for minute in range(6):
        at = DAY + timedelta(minutes=minute)
        expiry = {"expiresAt": times.format_time(at + timedelta(minutes=1))} if minute < 4 else {}
        items.create(OWNER, item_input(minute=minute, **expiry), at)

    seen = [minute for page in walk(api, "order=asc&limit=2") for minute in minutes(page)]

    assert seen == [4, 5]


def test_pictures_are_left_out_on_request(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pictured, other = created(0), created(1)
    api.picture(pictured, jpeg(8, 8))
    with_pictures = json_of(api("GET", "/items?limit=1&order=asc"))

    pages = list(walk(api, "limit=1&order=asc&image=none"))
    single = api("GET", f"/items/{pictured}?image=none")

    assert "image" in with_pictures["items"][0]
    assert [item.keys() & {"image"} for page in pages for item in page["items"]] == [set(), set()]
    assert json_of(single) == pages[0]["items"][0]
    # A cursor continues the list, with pictures or without.
    assert json_of(api("GET", f"/items?order=asc&cursor={pages[0]['nextCursor']}"))["items"][0]["id"] == other
    # The tags do not change with the URLs.
    later = time.time() + 3600
    tags = {path: api("GET", path).headers["ETag"] for path in ("/items", "/items?image=none")}
    monkeypatch.setattr(time, "time", lambda: later)
    assert api("GET", f"/items/{pictured}?image=none", if_none_match=single.headers["ETag"]).status_code == 304
    assert [api("GET", path, if_none_match=tag).status_code for path, tag in tags.items()] == [200, 304]
    assert api("GET", f"/items/{pictured}?image=all").status_code == 400
