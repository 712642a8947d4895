"""Lists: page by page, whatever is written meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from chalicelib.catalogue import items
from chalicelib.http import cursors
from chalicelib.values import times
from tests.builders import fields
from tests.integration.stage import OWNER, Stage, item_input, json_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def created(minute: float, owner: str = OWNER) -> str:
    """An item made so many minutes into the day; returns its id."""
    at = DAY + timedelta(minutes=minute)
    item, _ = items.create(owner, item_input(minute=int(minute)), at)
    return item.id


def minutes(page: dict[str, list[dict[str, int]]]) -> list[int]:
    return [int(item["minute"]) for item in page["items"]]


def walk(api: Stage, query: str) -> Iterator[dict[str, list[dict[str, int]]]]:
    """The pages of a list, each asked for when it is wanted."""
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


def test_all_that_is_wrong_with_a_query_is_said_at_once(api: Stage) -> None:
    answer = api("GET", "/items?limit=0&order=random&createdAfter=yesterday&createdBefore=2026-01-01T00:00:00Z")

    assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
    assert [detail["path"] for detail in json_of(answer)["details"]] == ["$.limit", "$.order", "$.createdAfter"]


def test_an_empty_list_ends_at_once(api: Stage) -> None:
    assert json_of(api("GET", "/items")) == {"items": [], "count": 0, "nextCursor": None}


def test_the_newest_come_first_unless_the_oldest_are_asked_for(api: Stage) -> None:
    for minute in (2, 0, 1):
        created(minute)

    assert minutes(json_of(api("GET", "/items"))) == [2, 1, 0]
    assert minutes(json_of(api("GET", "/items?order=desc"))) == [2, 1, 0]
    assert minutes(json_of(api("GET", "/items?order=asc"))) == [0, 1, 2]


def test_a_page_holds_25_unless_another_number_is_asked_for(api: Stage) -> None:
    for minute in range(26):
        created(minute)

    assert json_of(api("GET", "/items"))["count"] == 25
    assert json_of(api("GET", "/items?limit=1"))["count"] == 1
    assert json_of(api("GET", "/items?limit=100"))["count"] == 26


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_walking_shows_every_item_once_in_order(api: Stage, order: str, limit: int) -> None:
    for minute in range(7):
        created(minute)

    seen = [minute for page in walk(api, f"order={order}&limit={limit}") for minute in minutes(page)]

    assert seen == sorted(range(7), reverse=order == "desc")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_written_while_one_walks_makes_nothing_come_twice_or_not_at_all(api: Stage, order: str) -> None:
    for minute in range(10, 16):
        created(minute)

    seen = []
    for number, page in enumerate(walk(api, f"order={order}&limit=2")):
        seen += minutes(page)
        created(20 + number)  # behind the newest
        created(number)  # before the oldest

    assert [minute for minute in seen if 10 <= minute < 16] == sorted(range(10, 16), reverse=order == "desc")
    assert len(set(seen)) == len(seen)


def test_an_item_that_is_deleted_while_one_walks_stops_nothing(api: Stage) -> None:
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
    def test_a_range_holds_what_was_created_between_its_ends(
        self, api: Stage, query: str, seen: list[int], order: str
    ) -> None:
        for minute in range(5):
            created(minute)

        page = json_of(api("GET", f"/items?{query}&order={order}"))

        assert minutes(page) == (seen if order == "asc" else seen[::-1])

    def test_an_items_own_time_of_creation_leaves_it_out(self, api: Stage) -> None:
        item = api.item()

        at = quote(item["createdAt"])

        assert json_of(api("GET", f"/items?createdAfter={at}"))["items"] == []
        assert json_of(api("GET", f"/items?createdBefore={at}"))["items"] == []

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_a_range_is_walked_like_a_list(self, api: Stage, order: str) -> None:
        for minute in range(8):
            created(minute)

        query = f"createdAfter={when(0)}&createdBefore={when(7)}&order={order}&limit=4"

        seen = [minute for page in walk(api, query) for minute in minutes(page)]
        assert seen == sorted(range(1, 7), reverse=order == "desc")

    @pytest.mark.parametrize("other", ["order=asc", f"createdAfter={when(0)}", f"createdBefore={when(9)}"])
    def test_a_cursor_is_good_for_its_own_list_only(self, api: Stage, other: str) -> None:
        for minute in range(3):
            created(minute)
        cursor = json_of(api("GET", "/items?limit=1"))["nextCursor"]

        answer = api("GET", f"/items?limit=1&{other}&cursor={cursor}")

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_CURSOR")

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("minute", [0, 1, 3, 4])
    def test_a_forged_cursor_to_a_place_beyond_the_lists_bounds_is_refused(
        self, api: Stage, minute: int, order: str
    ) -> None:
        ids = [created(minute) for minute in range(5)]
        bounds = [DAY + timedelta(minutes=bound) for bound in (1, 3)]
        forged = cursors.encode(ids[minute], OWNER, order, *bounds)

        answer = api("GET", f"/items?order={order}&createdAfter={when(1)}&createdBefore={when(3)}&cursor={forged}")

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_CURSOR")

    def test_a_cursor_is_good_for_pages_of_another_length(self, api: Stage) -> None:
        for minute in range(4):
            created(minute)
        cursor = json_of(api("GET", "/items?limit=1"))["nextCursor"]

        assert minutes(json_of(api("GET", f"/items?limit=100&cursor={cursor}"))) == [2, 1, 0]


LAMBDA_LIMIT = 6 * 1024 * 1024


def encoded(answer: HTTPResponse) -> int:
    """The bytes of an answer as Lambda's runtime hands it over: its body is a string in another JSON document."""
    return len(json.dumps({"statusCode": answer.status_code, "headers": answer.headers, "body": answer.body.decode()}))


class TestLongPages:
    @pytest.mark.parametrize("text", ["\x01" * 58_000, "\x7f" * 350_000], ids=["escaped", "DEL"])
    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_page_ends_before_it_outgrows_lambda(self, api: Stage, text: str, order: str) -> None:
        for minute in range(20):
            items.create(OWNER, item_input(minute=minute, text=text), DAY + timedelta(minutes=minute))
        seen, cursor = [], ""
        while cursor is not None:
            answer = api("GET", f"/items?limit=100&order={order}{cursor}")
            assert (answer.status_code, encoded(answer) < LAMBDA_LIMIT) == (200, True)
            page = json_of(answer)
            assert page["count"] == len(page["items"]) > 0
            seen += minutes(page)
            cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"

        assert seen == sorted(range(20), reverse=order == "desc")

    def test_short_items_share_a_page(self, api: Stage) -> None:
        for minute in range(100):
            items.create(OWNER, item_input(minute=minute, text="a" * 1_000), DAY + timedelta(minutes=minute))

        assert json_of(api("GET", "/items?limit=100"))["count"] == 100


def test_a_list_shows_its_owners_items_only(api: Stage) -> None:
    created(0)
    for owner in ("loca", "local2", "local#ITEM", "LOCAL"):
        created(1, owner)

    assert minutes(json_of(api("GET", "/items"))) == [0]


def test_imports_keys_and_other_records_are_no_items(api: Stage) -> None:
    api("POST", "/items", fields(minute=1), idempotency_key="k")
    api("POST", "/imports", {"items": [fields()]})

    assert minutes(json_of(api("GET", "/items"))) == [1]


def test_what_has_expired_is_passed_over_and_the_walk_goes_on(api: Stage) -> None:
    for minute in range(6):
        at = DAY + timedelta(minutes=minute)
        over = {"expiresAt": times.format_time(at + timedelta(minutes=1))} if minute < 4 else {}
        items.create(OWNER, item_input(minute=minute, **over), at)

    seen = [minute for page in walk(api, "order=asc&limit=2") for minute in minutes(page)]

    assert seen == [4, 5]
