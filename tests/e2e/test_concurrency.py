"""Send concurrent requests to the packaged app: no duplicates, no lost changes, no restored deletions."""

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
    """Call all ``acts`` at the same time, each in its own thread, and return their results in order."""
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
    """Return the records of the items whose client-defined field ``name`` is ``value``."""
    return [
        record
        for record in records(system)
        if record["sk"]["S"].startswith("ITEM#") and record["fields"]["M"].get(name) == {"S": value}
    ]


@pytest.fixture(scope="module", autouse=True)
def _workers(system: System) -> None:
    """Start ten instances of the API function: a cold start takes seconds and would make requests sequential."""
    for many in range(2, 11):
        at_once(*[partial(system.request, "GET", "/items?limit=100")] * many)


@pytest.fixture
def mark() -> str:
    """Return a unique value that marks the items of one test."""
    return str(uuid.uuid4())


class TestIdempotencyKeys:
    @pytest.mark.parametrize("many", [2, 10])
    def test_concurrent_requests_with_one_key_create_one_item(self, system: System, mark: str, many: int) -> None:
        ask = partial(system.request, "POST", "/items", fields(mark=mark, weight=12), Idempotency_Key=mark)

        answers = at_once(*[ask] * many)

        assert statuses(answers) == [201] * many
        assert len({answer.body for answer in answers}) == 1
        assert {answer.headers["Location"].rpartition("/")[2] for answer in answers} == {answers[0].json()["id"]}
        replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
        assert sorted(replayed, key=str) == [None, *["true"] * (many - 1)]
        assert len(items_with(system, "mark", mark)) == 1

    @pytest.mark.parametrize("many", [2, 10])
    def test_one_of_many_bodies_with_the_same_key_is_accepted(self, system: System, mark: str, many: int) -> None:
        bodies = [fields(mark=mark, n=number) for number in range(many)]

        answers = at_once(*(partial(system.request, "POST", "/items", body, Idempotency_Key=mark) for body in bodies))

        assert statuses(answers) == [201, *[422] * (many - 1)]
        refused = {answer.json()["error"] for answer in answers if answer.status == 422}
        assert refused == {"IDEMPOTENCY_KEY_REUSED"}
        (record,) = items_with(system, "mark", mark)
        (taken,) = (answer.json() for answer in answers if answer.status == 201)
        assert record["fields"]["M"]["n"] == {"N": str(taken["n"])}


class TestChanges:
    def test_ten_patches_of_different_fields_are_all_kept(self, system: System) -> None:
        path = f"/items/{create(system, title='Vase')['id']}"

        changes = [{f"field{number}": number} for number in range(10)]

        answers = at_once(*(partial(system.request, "PATCH", path, change) for change in changes))

        assert statuses(answers) == [200] * 10
        item = system.request("GET", path).json()
        assert item.items() >= {"title": "Vase", **{f"field{number}": number for number in range(10)}}.items()
        assert item["version"] == 11
        assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 12))

    def test_one_of_ten_patches_of_the_same_version_succeeds(self, system: System) -> None:
        item = create(system, title="Vase")
        path = f"/items/{item['id']}"

        changes = [{"by": number} for number in range(10)]

        answers = at_once(*(partial(system.request, "PATCH", path, change, If_Match='"1"') for change in changes))

        assert statuses(answers) == [200, *[412] * 9]
        (taken,) = (answer.json() for answer in answers if answer.status == 200)
        assert system.request("GET", path).json() == taken
        assert taken["version"] == 2

    def test_item_deleted_during_changes_stays_deleted(self, system: System) -> None:
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
    def test_paging_during_inserts_lists_existing_items_once(self, system: System, order: str) -> None:
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
                # The inserts do not stop, so the list may never end: stop when all expected items were listed.
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
    def test_chunks_delivered_twice_create_no_duplicates(self, system: System, mark: str) -> None:
        lines = [json.dumps(fields(mark=mark, n=number)) for number in range(250)]
        lines[7], lines[249] = "{", '{"id": "mine"}'
        bad = {7, 249}
        started = system.request("POST", "/imports", "\n".join(lines).encode(), content_type="application/x-ndjson")
        id_ = started.json()["id"]

        chunks = [{"type": "import.chunk", "owner": "local", "importId": id_, "chunk": chunk} for chunk in range(3)]
        deliver = partial(
            system.client("lambda").invoke, FunctionName=system.functions["on_messages"], Payload=delivery(chunks)
        )

        # The queue also delivers the chunks.
        delivered = at_once(deliver, deliver)

        assert [json.load(answer["Payload"]) for answer in delivered] == [{"batchItemFailures": []}] * 2
        done = eventually(lambda: done_import(system, id_))
        assert (done["total"], done["created"], done["failed"]) == (250, 248, 2)
        assert {failure["index"] for failure in done["errors"]} == bad
        made = sorted(int(record["fields"]["M"]["n"]["N"]) for record in items_with(system, "mark", mark))
        assert made == [number for number in range(250) if number not in bad]


def done_import(system: System, id_: str) -> dict[str, Any] | None:
    progress: dict[str, Any] = system.request("GET", f"/imports/{id_}").json()
    return progress if progress["status"] == "done" else None


def delivery(messages: list[dict[str, Any]]) -> bytes:
    """Return the Lambda event of SQS messages that are delivered for the second time."""
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
