"""Many at once, on the packaged app: nothing is made twice, nothing gets lost, nothing comes back."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from tests.builders import fields
from tests.e2e.system import Answer, System
from tests.e2e.waiting import eventually

_Result = TypeVar("_Result")


def at_once(*acts: Callable[[], _Result]) -> list[_Result]:
    """What each of ``acts`` comes back with, all begun in the same moment."""
    start = threading.Barrier(len(acts))

    def begin(act: Callable[[], _Result]) -> _Result:
        start.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(begin, acts))


def create(system: System, **own: Any) -> dict[str, Any]:
    answer = system.request("POST", "/items", fields(**own))
    assert answer.status == 201, answer.body
    return dict(answer.json())


def statuses(answers: list[Answer]) -> list[int]:
    return sorted(answer.status for answer in answers)


def records(system: System) -> Iterator[dict[str, Any]]:
    for page in system.client("dynamodb").get_paginator("scan").paginate(TableName=system.table, ConsistentRead=True):
        yield from page["Items"]


def items_with(system: System, name: str, value: str) -> list[dict[str, Any]]:
    """The records of the items whose own field ``name`` is ``value``."""
    return [
        record
        for record in records(system)
        if record["sk"]["S"].startswith("ITEM#") and record["fields"]["M"].get(name) == {"S": value}
    ]


@pytest.fixture(scope="module", autouse=True)
def _workers(system: System) -> None:
    """Ten of the API's functions are awake: each takes seconds to start, and whoever waits for that comes too late."""
    for many in range(2, 11):
        at_once(*[partial(system.request, "GET", "/items?limit=100")] * many)


@pytest.fixture
def mark() -> str:
    """A value that no other test's items have."""
    return str(uuid.uuid4())


class TestIdempotencyKeys:
    @pytest.mark.parametrize("many", [2, 10])
    def test_who_asks_many_times_at_once_gets_one_item_and_each_time_that_one(
        self, system: System, mark: str, many: int
    ) -> None:
        ask = partial(system.request, "POST", "/items", fields(mark=mark, weight=12), Idempotency_Key=mark)

        answers = at_once(*[ask] * many)

        assert statuses(answers) == [201] * many
        assert len({answer.body for answer in answers}) == 1
        assert {answer.headers["Location"].rpartition("/")[2] for answer in answers} == {answers[0].json()["id"]}
        replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
        assert sorted(replayed, key=str) == [None, *["true"] * (many - 1)]
        assert len(items_with(system, "mark", mark)) == 1

    @pytest.mark.parametrize("many", [2, 10])
    def test_of_many_bodies_with_one_key_one_is_taken_and_the_others_are_refused(
        self, system: System, mark: str, many: int
    ) -> None:
        bodies = [fields(mark=mark, n=number) for number in range(many)]

        answers = at_once(*(partial(system.request, "POST", "/items", body, Idempotency_Key=mark) for body in bodies))

        assert statuses(answers) == [201, *[422] * (many - 1)]
        refused = {answer.json()["error"] for answer in answers if answer.status == 422}
        assert refused == {"IDEMPOTENCY_KEY_REUSED"}
        (record,) = items_with(system, "mark", mark)
        (taken,) = (answer.json() for answer in answers if answer.status == 201)
        assert record["fields"]["M"]["n"] == {"N": str(taken["n"])}


class TestChanges:
    def test_ten_patches_of_different_fields_all_survive(self, system: System) -> None:
        path = f"/items/{create(system, title='Vase')['id']}"

        changes = [{f"field{number}": number} for number in range(10)]

        answers = at_once(*(partial(system.request, "PATCH", path, change) for change in changes))

        assert statuses(answers) == [200] * 10
        item = system.request("GET", path).json()
        assert item.items() >= {"title": "Vase", **{f"field{number}": number for number in range(10)}}.items()
        assert item["version"] == 11
        assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 12))

    def test_of_ten_who_read_the_same_version_one_writes_and_the_others_are_told(self, system: System) -> None:
        item = create(system, title="Vase")
        path = f"/items/{item['id']}"

        changes = [{"by": number} for number in range(10)]

        answers = at_once(*(partial(system.request, "PATCH", path, change, If_Match='"1"') for change in changes))

        assert statuses(answers) == [200, *[412] * 9]
        (taken,) = (answer.json() for answer in answers if answer.status == 200)
        assert system.request("GET", path).json() == taken
        assert taken["version"] == 2

    def test_an_item_that_is_deleted_and_changed_at_once_never_comes_back(self, system: System) -> None:
        ids = [create(system, title="Vase")["id"] for _ in range(10)]

        for path in (f"/items/{id_}" for id_ in ids):
            patched, deleted, replaced = at_once(
                partial(system.request, "PATCH", path, {"by": "ann"}),
                partial(system.request, "DELETE", path),
                partial(system.request, "PUT", path, fields(by="bob")),
            )

            assert deleted.status == 200, deleted.body
            assert {patched.status, replaced.status} <= {200, 404}
            assert system.request("GET", path).status == 404
        assert not {f"ITEM#{id_}" for id_ in ids} & {record["sk"]["S"] for record in records(system)}


class TestLists:
    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_a_walk_shows_once_each_whatever_was_there_when_it_began(self, system: System, order: str) -> None:
        after = quote(create(system)["createdAt"])
        there = [create(system, n=number)["id"] for number in range(40)]
        stop = threading.Event()

        def insert() -> int:
            made = 0
            while not stop.is_set():
                create(system, late=True)
                made += 1
            return made

        def walk() -> list[str]:
            seen, cursor = [], ""
            while True:
                page = system.request("GET", f"/items?limit=3&order={order}&createdAfter={after}{cursor}").json()
                seen += [item["id"] for item in page["items"]]
                # Those who insert have no end in sight: the walk ends once it has seen what it looks for.
                if page["nextCursor"] is None or set(there) <= set(seen):
                    return seen
                cursor = f"&cursor={page['nextCursor']}"

        with ThreadPoolExecutor(2) as threads:
            inserting = [threads.submit(insert) for _ in range(2)]
            try:
                seen = walk()
            finally:
                stop.set()
        assert all(inserted.result() > 0 for inserted in inserting)

        assert len(set(seen)) == len(seen)
        assert [id_ for id_ in seen if id_ in there] == (there if order == "asc" else there[::-1])


class TestImports:
    def test_chunks_that_are_delivered_twice_at_once_create_nothing_twice(self, system: System, mark: str) -> None:
        lines = [json.dumps(fields(mark=mark, n=number)) for number in range(250)]
        lines[7], lines[249] = "{", '{"id": "mine"}'
        bad = {7, 249}
        started = system.request("POST", "/imports", "\n".join(lines).encode(), content_type="application/x-ndjson")
        id_ = started.json()["id"]

        chunks = [{"type": "import.chunk", "owner": "local", "importId": id_, "chunk": chunk} for chunk in range(3)]
        deliver = partial(
            system.client("lambda").invoke, FunctionName=system.functions["on_messages"], Payload=delivery(chunks)
        )

        # The queue delivers them as well.
        delivered = at_once(deliver, deliver)

        assert [json.load(answer["Payload"]) for answer in delivered] == [{"batchItemFailures": []}] * 2
        done = eventually(lambda: done_import(system, id_))
        assert (done["total"], done["created"], done["failed"]) == (250, 248, 2)
        assert {failure["index"] for failure in done["errors"]} == bad
        made = sorted(int(record["fields"]["M"]["n"]["N"]) for record in items_with(system, "mark", mark))
        assert made == [number for number in range(250) if number not in bad]


def done_import(system: System, id_: str) -> dict[str, Any] | None:
    shown: dict[str, Any] = system.request("GET", f"/imports/{id_}").json()
    return shown if shown["status"] == "done" else None


def delivery(messages: list[dict[str, Any]]) -> bytes:
    """The event that Lambda makes of messages, which have been delivered before."""
    records = [
        {
            "messageId": str(uuid.uuid4()),
            "receiptHandle": "of another delivery",
            "body": json.dumps(message),
            "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1767225600000"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:vitrine-local-jobs",
            "awsRegion": "us-east-1",
        }
        for message in messages
    ]
    return json.dumps({"Records": records}).encode()
