"""Imports: every entry becomes exactly one item or one failure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib import aws, config, errors
from chalicelib.aws import bucket, queue, table
from chalicelib.catalogue import (
    bulk_imports,
    hourly_cleanup,
    import_parsing,
    import_steps,
    items,
    job_queue_consumer,
    messages,
    models,
    sqs_batches,
)
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.http import responses, schemas
from chalicelib.values import exact_json, ids, times
from tests.builders import as_json, fields
from tests.integration.stage import (
    OWNER,
    Stage,
    answers,
    batch,
    context,
    fails,
    json_of,
    meanwhile,
    provoke,
    remove_faults,
)
from tests.rights import Called

if TYPE_CHECKING:
    from chalice.test import HTTPResponse


def start(api: Stage, *entries: Any) -> str:
    answer = api("POST", "/imports", {"items": list(entries)})
    assert answer.status_code == 202, answer.body
    id_: str = json_of(answer)["id"]
    return id_


class KilledError(BaseException):
    """The function's process has ended."""


@contextmanager
def fault(client: Any, operation: str, event: str) -> Iterator[None]:
    """End the function at the next call of ``operation``, before it is sent or after it is done."""

    def die(**_: Any) -> None:
        raise KilledError

    name = f"{event}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(name, die, unique_id="die")
    try:
        yield
    finally:
        client.meta.events.unregister(name, unique_id="die")


def progress(api: Stage, id_: str) -> dict[str, Any]:
    answer = api("GET", f"/imports/{id_}")
    assert answer.status_code == 200
    response: dict[str, Any] = json_of(answer)
    msgspec.json.decode(answer.body, type=schemas.Import)
    return response


def counts(api: Stage, id_: str) -> tuple[str, int, int, int]:
    response = progress(api, id_)
    return response["status"], response["total"], response["created"], response["failed"]


def titles(api: Stage) -> list[str]:
    """Return the titles of all items, the oldest first."""
    return [item["title"] for item in json_of(api("GET", "/items?order=asc&limit=100"))["items"]]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have chunks of 5 entries: each transaction in moto copies the table."""
    monkeypatch.setattr(import_parsing, "CHUNK_ENTRIES", 5)


def test_import_is_accepted_with_a_location(api: Stage) -> None:
    answer = api("POST", "/imports", {"items": [fields(title="Vase"), fields(title="Lamp")]})

    assert answer.status_code == 202
    id_ = json_of(answer)["id"]
    assert answer.headers["Location"] == f"/imports/{id_}"
    queued = {"id": id_, "status": "queued", "total": 2, "created": 0, "updated": 0, "failed": 0, "errors": []}
    assert json_of(answer) == queued
    assert progress(api, id_) == queued


def test_items_have_the_order_of_the_entries(api: Stage) -> None:
    id_ = start(api, *(fields(title=f"{number:03d}") for number in range(30)))

    api.work()

    assert counts(api, id_) == ("done", 30, 30, 0)
    assert titles(api) == [f"{number:03d}" for number in range(30)]


def test_imported_item_equals_a_created_one(api: Stage) -> None:
    start(api, fields(title="Vase", n=12, expiresAt="2100-01-01T00:00:00Z"))

    api.work()

    (item,) = json_of(api("GET", "/items"))["items"]
    assert (item["version"], item["n"], item["expiresAt"]) == (1, 12, "2100-01-01T00:00:00.000Z")
    assert api("PATCH", f"/items/{item['id']}", {"n": 1}, if_match='"1"').status_code == 200


def test_numbers_keep_their_exact_value(api: Stage) -> None:
    entry = as_json('"n": 0.30000000000000000000000000000000000001')
    api("POST", "/imports", b'{"items": [' + entry + b"]}")

    api.work()

    assert b'"n":0.30000000000000000000000000000000000001' in api("GET", "/items").body


@pytest.mark.usefixtures("small_chunks")
def test_import_is_processed_in_chunks(api: Stage) -> None:
    id_ = start(api, *(fields(title=str(number)) for number in range(12)))
    assert api.on_queue() == 3

    import_steps.process(OWNER, id_, 1)
    assert counts(api, id_) == ("running", 12, 5, 0)
    api.work()

    assert counts(api, id_) == ("done", 12, 12, 0)


def test_chunk_has_at_most_one_megabyte(api: Stage) -> None:
    large = fields(text="x" * 300_000)
    id_ = start(api, *[large] * 7)
    assert api.on_queue() == 3

    api.work()

    assert counts(api, id_) == ("done", 7, 7, 0)


def test_too_large_entry_fails_alone(api: Stage) -> None:
    id_ = start(api, fields(title="a"), fields(title="x" * import_parsing.CHUNK_BYTES), fields(title="b"))

    api.work()

    assert counts(api, id_) == ("done", 3, 2, 1)
    assert [failure["error"] for failure in progress(api, id_)["errors"]] == ["ITEM_TOO_LARGE"]
    assert titles(api) == ["a", "b"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_json_with_line_breaks_is_accepted(api: Stage, newline: str) -> None:
    body = json.dumps({"items": [fields(title="a\nb\r"), fields(title="c", marks=["x", "y"])]}, indent=2)

    answer = api("POST", "/imports", body.replace("\n", newline).encode())
    api.work()

    assert counts(api, json_of(answer)["id"]) == ("done", 2, 2, 0)
    assert titles(api) == ["a\nb\r", "c"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_ndjson_is_accepted(api: Stage, newline: str, end: str) -> None:
    a, b, c = (as_json(f'"title": "{title}"').decode() for title in ("a", "b\\n\u2028c", "d"))
    body = newline.join([a, "", f"  {b}  ", "   ", c]) + end

    answer = api("POST", "/imports", body.encode(), content_type="application/x-ndjson; charset=utf-8")
    api.work()

    assert counts(api, json_of(answer)["id"]) == ("done", 3, 3, 0)
    assert titles(api) == ["a", "b\n\u2028c", "d"]


def test_invalid_entry_fails_alone_with_its_reason(api: Stage) -> None:
    lines = [
        as_json('"title": "a"'),
        b"{",
        b'{"id": "x"}',
        b"[]",
        b'{"n": 1e999}',
        b'{"n": 1e-140}',
        b'{"title": "a" "b"}',
        b'{"title": "' + b"x" * 358_400 + b'"}',
        as_json('"expiresAt": "2001-01-01T00:00:00Z"'),
        b'{"": 1}',
        b'{"n": [' + b",".join([b"1"] * 170_000) + b"]}",
        as_json('"title": "b"'),
    ]

    answer = api("POST", "/imports", b"\n".join(lines), content_type="application/x-ndjson")
    api.work()

    response = progress(api, json_of(answer)["id"])
    assert (response["status"], response["total"], response["created"], response["failed"]) == ("done", 12, 2, 10)
    assert titles(api) == ["a", "b"]
    assert [(failure["index"], failure["error"]) for failure in response["errors"]] == [
        (1, "INVALID_JSON"),
        (2, "RESERVED_FIELD"),
        (3, "INVALID_REQUEST"),
        (4, "INVALID_REQUEST"),
        (5, "INVALID_REQUEST"),
        (6, "INVALID_JSON"),
        (7, "ITEM_TOO_LARGE"),
        (8, "INVALID_EXPIRY"),
        (9, "INVALID_REQUEST"),
        (10, "ITEM_TOO_LARGE"),
    ]
    assert all(failure["message"] for failure in response["errors"])


def test_stored_failures_have_a_maximum_size(api: Stage) -> None:
    # DynamoDB allows 400 KB in a record, and the result of a chunk is one record.
    name = "x" * 40_000
    id_ = start(api, *({name: 10**40 + 1} for _ in range(import_parsing.CHUNK_ENTRIES - 25)))

    api.work()

    assert counts(api, id_) == ("done", 25, 0, 25)
    (record,) = api.records("CHUNK")
    assert len(json.dumps(record)) < 100_000


@pytest.mark.usefixtures("small_chunks")
def test_index_counts_through_all_chunks(api: Stage) -> None:
    entries: list[dict[str, Any]] = [fields() for _ in range(22)]
    entries[9] = entries[10] = entries[21] = {"id": "x"}

    id_ = start(api, *entries)
    api.work()

    assert [failure["index"] for failure in progress(api, id_)["errors"]] == [9, 10, 21]


def test_first_thousand_failures_are_listed(api: Stage) -> None:
    id_ = start(api, *({"id": "x"} for _ in range(1_001)))

    api.work()

    response = progress(api, id_)
    assert (response["failed"], len(response["errors"])) == (1_001, 1_000)
    assert [failure["index"] for failure in response["errors"]] == list(range(1_000))


class TestLimits:
    def test_ten_thousand_entries_are_accepted(self, api: Stage) -> None:
        answer = api("POST", "/imports", b'{"items":[' + b",".join([b"{}"] * 10_000) + b"]}")

        assert (answer.status_code, json_of(answer)["total"]) == (202, 10_000)
        assert api.on_queue() == 200

    def test_accepting_an_import_takes_few_calls(self, api: Stage, calls: list[Called]) -> None:
        api("POST", "/imports", b'{"items":[' + b",".join([b"{}"] * 10_000) + b"]}")

        assert Counter(called.operation for called in calls) == {
            "GetQueueUrl": 1,
            "PutObject": 1,
            "PutItem": 1,
            "SendMessageBatch": 20,
        }

    @pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
    def test_one_more_entry_is_refused(self, api: Stage, content_type: str) -> None:
        entries = [b"{}"] * 10_001
        body = b"\n".join(entries) if "nd" in content_type else b'{"items":[' + b",".join(entries) + b"]}"

        answer = api("POST", "/imports", body, content_type=content_type)

        assert (answer.status_code, json_of(answer)["error"]) == (413, "IMPORT_TOO_LARGE")
        assert "10000 items" in json_of(answer)["message"]
        assert (api.on_queue(), api.objects(), api.records()) == (0, [], [])

    @pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
    def test_body_of_more_than_five_megabytes_is_refused(self, api: Stage, content_type: str) -> None:
        body = b'{"items":[{}]}' if content_type == "application/json" else b"{}"
        full = body + b" " * (5 * 1024 * 1024 - len(body))

        assert api("POST", "/imports", full, content_type=content_type).status_code == 202
        answer = api("POST", "/imports", full + b" ", content_type=content_type)

        assert (answer.status_code, json_of(answer)["error"]) == (413, "IMPORT_TOO_LARGE")
        assert "5 MB" in json_of(answer)["message"]

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b'{"items": []}', "application/json"),
            (b"", "application/x-ndjson"),
            (b"\n \r\n", "application/x-ndjson"),
        ],
    )
    def test_empty_import_is_refused(self, api: Stage, body: bytes, content_type: str) -> None:
        answer = api("POST", "/imports", body, content_type=content_type)

        assert (answer.status_code, json_of(answer)["message"]) == (
            400,
            "There is nothing to import: send at least one item.",
        )

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{}", "INVALID_REQUEST"),
            (b"[{}]", "INVALID_REQUEST"),
            (b'{"items": {}}', "INVALID_REQUEST"),
            (b'{"items": null}', "INVALID_REQUEST"),
            (b'{"items": [{}', "INVALID_JSON"),
            (b'{"items": [{]}', "INVALID_JSON"),
            (b"\xff", "INVALID_JSON"),
            (b'{"items": ' + b"[" * 100_000, "INVALID_JSON"),
        ],
    )
    def test_invalid_body_is_refused(self, api: Stage, body: bytes, code: str) -> None:
        answer = api("POST", "/imports", body)

        assert (answer.status_code, json_of(answer)["error"]) == (400, code)
        assert api.on_queue() == 0


class TestRedelivery:
    def test_redelivered_chunk_creates_its_items_once(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"), {"id": "x"}, fields(title="b"))

        import_steps.process(OWNER, id_, 0)
        import_steps.process(OWNER, id_, 0)
        api.work()

        assert counts(api, id_) == ("done", 3, 2, 1)
        assert titles(api) == ["a", "b"]

    def test_interrupted_chunk_creates_all_items_or_none(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"), fields(title="b"), fields(title="c"))
        with fault(aws.dynamodb(), "TransactWriteItems", "before-call"), pytest.raises(KilledError):
            import_steps.process(OWNER, id_, 0)
        assert (counts(api, id_), titles(api)) == (("queued", 3, 0, 0), [])

        api.work()

        assert counts(api, id_) == ("done", 3, 3, 0)
        assert titles(api) == ["a", "b", "c"]

    def test_deleted_item_of_an_interrupted_chunk_stays_deleted(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"), fields(title="b"))
        with fault(aws.dynamodb(), "TransactWriteItems", "after-call"), pytest.raises(KilledError):
            import_steps.process(OWNER, id_, 0)
        for item in json_of(api("GET", "/items"))["items"]:
            api("DELETE", f"/items/{item['id']}")

        api.work()

        assert titles(api) == []
        assert counts(api, id_) == ("done", 2, 2, 0)

    def test_deleted_item_of_a_redelivered_chunk_stays_deleted(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"))
        import_steps.process(OWNER, id_, 0)
        (item,) = json_of(api("GET", "/items"))["items"]
        api("DELETE", f"/items/{item['id']}")

        api.work()

        assert titles(api) == []

    def test_repeated_request_without_key_is_another_import(self, api: Stage) -> None:
        start(api, fields(title="a"))
        start(api, fields(title="a"))

        api.work()

        assert titles(api) == ["a", "a"]


class TestSeveralTransactions:
    """The entries of a chunk do not fit into one transaction."""

    @pytest.fixture(autouse=True)
    def small_transactions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(import_steps, "MAX_PART_WRITES", 1)

    def killed_at_second_transaction(self, id_: str, event: str) -> None:
        """Process the chunk until its second transaction is to be sent, or is done."""
        second = False

        def die(**_: Any) -> None:
            nonlocal second
            if second:
                raise KilledError
            second = True

        provoke(aws.dynamodb(), "TransactWriteItems", die, event)
        with pytest.raises(KilledError):
            import_steps.process(OWNER, id_, 0)
        remove_faults()

    @pytest.mark.parametrize(("event", "created"), [("before-call", 1), ("after-call", 2)])
    def test_interrupted_chunk_continues(self, api: Stage, event: str, created: int) -> None:
        id_ = start(api, *(fields(title=title) for title in "abcd"))
        self.killed_at_second_transaction(id_, event)
        assert counts(api, id_) == ("running", 4, created, 0)
        assert len(titles(api)) == created

        api.work()

        assert counts(api, id_) == ("done", 4, 4, 0)
        assert titles(api) == ["a", "b", "c", "d"]

    def test_deleted_item_of_an_interrupted_chunk_stays_deleted(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abc"))
        self.killed_at_second_transaction(id_, "after-call")
        for item in json_of(api("GET", "/items"))["items"]:
            api("DELETE", f"/items/{item['id']}")

        api.work()

        assert titles(api) == ["c"]
        assert counts(api, id_) == ("done", 3, 3, 0)

    def test_failures_are_kept_between_transactions(self, api: Stage) -> None:
        id_ = start(api, {"id": "x"}, fields(title="a"), {"id": "x"}, fields(title="b"), {"id": "x"})
        self.killed_at_second_transaction(id_, "after-call")
        api.work()

        assert counts(api, id_) == ("done", 5, 2, 3)
        assert [failure["index"] for failure in progress(api, id_)["errors"]] == [0, 2, 4]

    def test_two_functions_share_a_chunk(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abcd"))
        has_time = iter([True, True, False])
        meanwhile(
            aws.dynamodb(),
            "TransactWriteItems",
            lambda: import_steps.process(OWNER, id_, 0, lambda: next(has_time)),
        )
        assert import_steps.process(OWNER, id_, 0)

        assert counts(api, id_) == ("done", 4, 4, 0)
        assert titles(api) == ["a", "b", "c", "d"]

    def test_lost_response_of_a_transaction_is_noticed(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abc"))
        unclear("TransactWriteItems", done=True, times=2)

        assert import_steps.process(OWNER, id_, 0)

        assert counts(api, id_) == ("done", 3, 3, 0)
        assert titles(api) == ["a", "b", "c"]

    def test_chunk_stops_when_no_time_is_left(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abc"))
        has_time = iter([True, False])

        assert not import_steps.process(OWNER, id_, 0, lambda: next(has_time))

        assert counts(api, id_) == ("running", 3, 1, 0)

    def test_message_of_a_chunk_without_time_stays_on_the_queue(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abc"))
        received = api.receive()
        left = iter([60_000, 60_000, 60_000])
        function = context("on_messages")
        function.get_remaining_time_in_millis = lambda: next(left, 0)  # type: ignore[method-assign]

        delivery = [ReceivedMessage.from_event(record) for record in batch(received)["Records"]]
        with pytest.raises(sqs_batches.PartialBatchError):
            job_queue_consumer.process_batch(delivery, function)

        status, _, created, _ = counts(api, id_)
        assert (status, 0 < created < 3) == ("running", True)

    def test_partly_processed_chunk_is_queued_again(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abc"))
        self.killed_at_second_transaction(id_, "before-call")
        api.drop()

        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=1))
        api.work()

        assert counts(api, id_) == ("done", 3, 3, 0)

    def given_up(self, api: Stage) -> str:
        """Return the id of an import of 4 entries, of which one failed, one was created and two were given up."""
        id_ = start(api, {"id": "x"}, *(fields(title=title) for title in "abc"))
        self.killed_at_second_transaction(id_, "before-call")
        api.drop()
        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=25))
        return id_

    def test_rest_of_a_given_up_chunk_counts_as_failed(self, api: Stage) -> None:
        id_ = self.given_up(api)

        assert counts(api, id_) == ("done", 4, 1, 3)
        assert [(one["index"], one["error"]) for one in progress(api, id_)["errors"]] == [
            (0, "RESERVED_FIELD"),
            (2, "INTERNAL_ERROR"),
            (3, "INTERNAL_ERROR"),
        ]
        assert "dueAt" not in api.records("IMPORT")[0]

    def test_dead_letter_of_a_given_up_chunk_processes_its_rest(self, api: Stage) -> None:
        id_ = self.given_up(api)
        has_time = iter([True, False])

        assert not import_steps.process(OWNER, id_, 0, lambda: next(has_time))
        assert counts(api, id_) == ("done", 4, 2, 2)
        assert import_steps.process(OWNER, id_, 0)

        assert counts(api, id_) == ("done", 4, 3, 1)
        assert titles(api) == ["a", "b", "c"]

    def test_chunk_that_progresses_is_given_up_later(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=title) for title in "abc"))
        has_time = iter([True, False])
        meanwhile(
            aws.dynamodb(),
            "PutItem",
            lambda: import_steps.process(OWNER, id_, 0, lambda: next(has_time)),
        )

        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=25))
        assert counts(api, id_) == ("running", 3, 1, 0)
        assert "dueAt" in api.records("IMPORT")[0]
        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=26))

        assert counts(api, id_) == ("done", 3, 1, 2)


def test_large_entries_are_written_in_several_transactions(
    api: Stage, monkeypatch: pytest.MonkeyPatch, calls: list[Called]
) -> None:
    monkeypatch.setattr(import_steps, "MAX_PART_BYTES", 150_000)
    id_ = start(api, *(fields(text="x" * size) for size in (60_000, 60_000, 60_000, 300_000, 1)))
    calls.clear()

    api.work()

    assert counts(api, id_) == ("done", 5, 5, 0)
    assert Counter(called.operation for called in calls)["TransactWriteItems"] == 4


class TestQueueing:
    def test_cleanup_queues_an_import_that_could_not_be_queued(self, api: Stage, logged: Callable[[], str]) -> None:
        fails(aws.sqs(), "SendMessageBatch", "ServiceUnavailable", times=1)

        id_ = start(api, fields(title="a"), fields(title="b"))
        assert counts(api, id_) == ("queued", 2, 0, 0)
        assert api.on_queue() == 0
        assert "Queueing an import failed" in logged()

        hourly_cleanup.run(times.now() + timedelta(hours=1), context("clean_up"))
        api.work()
        assert counts(api, id_) == ("done", 2, 2, 0)
        assert titles(api) == ["a", "b"]

    @pytest.mark.usefixtures("small_chunks")
    def test_partly_queued_import_creates_each_item_once(self, api: Stage) -> None:
        refused = {"Failed": [{"Id": "1", "SenderFault": False, "Code": "InternalError"}], "Successful": []}
        answers(aws.sqs(), "SendMessageBatch", refused)
        id_ = start(api, *(fields(title=f"{number:03d}") for number in range(20)))
        remove_faults()
        import_steps.process(OWNER, id_, 0)

        hourly_cleanup.run(times.now() + timedelta(hours=1), context("clean_up"))
        api.work()

        assert counts(api, id_) == ("done", 20, 20, 0)
        assert len(api.records("ITEM#")) == 20

    def test_import_that_cannot_be_stored_creates_nothing(self, api: Stage) -> None:
        fails(aws.dynamodb(), "PutItem", "ThrottlingException")

        answer = api("POST", "/imports", {"items": [fields(title="a")]})

        assert answer.status_code == 503
        assert (api.records(), api.on_queue()) == ([], 0)

    def test_chunk_of_an_unknown_import_fails(self) -> None:
        with pytest.raises(errors.ImportNotFoundError):
            import_steps.process(OWNER, ids.new_id(), 0)

    def test_rejected_message_raises_an_error(self) -> None:
        answers(aws.sqs(), "SendMessageBatch", {"Failed": [{"Id": "0", "SenderFault": True, "Code": "Nope"}]})

        with pytest.raises(queue.QueueError, match="1 of 1 messages were not sent: Nope"):
            queue.send(messages.RenderImage("uploads/vase.png"))


@pytest.mark.usefixtures("small_chunks")
class TestLostChunks:
    def test_lost_chunks_are_queued_again_after_an_hour(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=str(number)) for number in range(12)))
        import_steps.process(OWNER, id_, 1)
        api.drop()

        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=1))

        assert sorted(message["chunk"] for message in api.drop()) == [0, 2]

    def test_finished_import_has_no_work_due(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"))
        api.work()

        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=1))

        assert api.on_queue() == 0
        assert "dueAt" not in api.records("IMPORT")[0]
        assert counts(api, id_) == ("done", 1, 1, 0)

    def test_unfinished_import_is_resumed_hourly_for_a_day(self, api: Stage) -> None:
        id_, at = start(api, fields(title="a")), times.now()

        bulk_imports.resume(OWNER, id_, at + timedelta(hours=1))
        (record,) = api.records("IMPORT")
        assert record["dueAt"]["S"] == times.format_time(at + timedelta(hours=2))
        api.drop()
        bulk_imports.resume(OWNER, id_, at + timedelta(hours=25))

        assert api.on_queue() == 0
        assert "dueAt" not in api.records("IMPORT")[0]

    def given_up(self, api: Stage) -> str:
        """Return the id of an import of 8 entries whose second chunk was lost."""
        id_ = start(api, *(fields(title=f"{number:03d}") for number in range(8)))
        import_steps.process(OWNER, id_, 0)
        api.drop()
        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=25))
        return id_

    def test_given_up_import_lists_its_lost_entries(self, api: Stage, logged: Callable[[], str]) -> None:
        id_ = self.given_up(api)

        assert counts(api, id_) == ("done", 8, 5, 3)
        lost = progress(api, id_)["errors"]
        assert [one["index"] for one in lost] == [5, 6, 7]
        assert lost[0]["error"] == "INTERNAL_ERROR"
        assert "not processed within a day" in lost[0]["message"]
        lines = logged()
        assert '"level":"ERROR"' in lines
        assert "Import failed: chunks not processed within a day" in lines
        assert '"ImportsGivenUp":[1.0]' in lines

    def test_giving_up_twice_changes_nothing(self, api: Stage) -> None:
        id_ = self.given_up(api)
        before = progress(api, id_)

        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=25))

        assert progress(api, id_) == before

    def test_dead_letter_of_a_given_up_chunk_creates_its_items(self, api: Stage) -> None:
        id_ = self.given_up(api)

        for _ in range(2):
            api.send({"type": "import.chunk", "owner": OWNER, "importId": id_, "chunk": 1})
            api.work()

        assert counts(api, id_) == ("done", 8, 8, 0)
        assert len(api.records("ITEM#")) == 8

    def test_chunk_processed_while_given_up_counts_as_processed(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"))
        meanwhile(aws.dynamodb(), "PutItem", lambda: import_steps.process(OWNER, id_, 0))

        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=25))

        assert counts(api, id_) == ("done", 1, 1, 0)

    def test_chunk_without_stored_entries_fails(self, api: Stage) -> None:
        id_ = start(api, fields(title="a"))
        bucket.delete(api.objects("imports/"))

        with pytest.raises(bucket.ObjectNotFoundError):
            import_steps.process(OWNER, id_, 0)


def test_throttled_table_does_not_fail_an_entry(api: Stage) -> None:
    id_ = start(api, fields(title="a"))
    fails(aws.dynamodb(), "TransactWriteItems", "ThrottlingException", times=2)

    import_steps.process(OWNER, id_, 0)

    assert counts(api, id_) == ("done", 1, 1, 0)


@pytest.mark.parametrize(
    ("code", "error"), [("ThrottlingException", errors.BusyError), ("AccessDeniedException", ClientError)]
)
def test_unreachable_table_fails_the_message(api: Stage, code: str, error: type[Exception]) -> None:
    id_ = start(api, fields(title="a"))
    fails(aws.dynamodb(), "TransactWriteItems", code)

    with pytest.raises(error):
        import_steps.process(OWNER, id_, 0)

    assert counts(api, id_) == ("queued", 1, 0, 0)


def test_throttled_chunk_is_tried_while_there_is_time(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    id_ = start(api, fields(title="a"))
    fails(aws.dynamodb(), "TransactWriteItems", "ThrottlingException", times=20)
    has_time = iter([True, True, False])

    assert not import_steps.process(OWNER, id_, 0, lambda: next(has_time))
    assert import_steps.process(OWNER, id_, 0, lambda: True)

    assert counts(api, id_) == ("done", 1, 1, 0)


class TestIdempotencyKey:
    def ask(self, api: Stage, *titles: str, key: str = "k") -> HTTPResponse:
        return api("POST", "/imports", {"items": [fields(title=title) for title in titles]}, idempotency_key=key)

    def test_same_key_and_body_replay_the_response(self, api: Stage) -> None:
        first = self.ask(api, "a", "b")
        api.work()

        second = self.ask(api, "a", "b")
        api.work()

        assert (second.status_code, second.body) == (first.status_code, first.body)
        assert second.headers["Location"] == first.headers["Location"]
        assert [answer.headers.get("Idempotency-Replayed") for answer in (first, second)] == [None, "true"]
        assert titles(api) == ["a", "b"]
        assert len(api.objects()) == 1

    def test_another_body_is_refused(self, api: Stage) -> None:
        self.ask(api, "a")

        answer = self.ask(api, "b")

        assert (answer.status_code, json_of(answer)["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert (api.on_queue(), len(api.objects())) == (1, 1)

    def test_item_and_import_may_have_the_same_key(self, api: Stage) -> None:
        api("POST", "/items", fields(title="a"), idempotency_key="k")

        assert self.ask(api, "a").status_code == 202
        assert api("POST", "/items", fields(title="a"), idempotency_key="k").headers["Idempotency-Replayed"] == "true"

    def test_key_expires_after_a_day(self, api: Stage) -> None:
        at = times.now()
        first = bulk_imports.start(OWNER, import_parsing.Entries([import_parsing.Entry("{}")]), at, "k")

        within = bulk_imports.start(
            OWNER, import_parsing.Entries([import_parsing.Entry("{}")]), at + timedelta(hours=23, minutes=59), "k"
        )
        after = bulk_imports.start(
            OWNER, import_parsing.Entries([import_parsing.Entry("{}")]), at + timedelta(hours=24, seconds=1), "k"
        )

        assert within == first._replace(replayed=True)
        assert (after.replayed, after.id != first.id) == (False, True)

    def test_concurrent_request_with_the_same_key_is_replayed(self, api: Stage) -> None:
        faster: list[HTTPResponse] = []
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: faster.append(self.ask(api, "a")))

        slower = self.ask(api, "a")
        api.work()

        assert (slower.status_code, slower.body) == (202, faster[0].body)
        assert slower.headers["Idempotency-Replayed"] == "true"
        assert titles(api) == ["a"]

    def test_failed_request_can_be_repeated(self, api: Stage) -> None:
        fails(aws.dynamodb(), "TransactWriteItems", "ThrottlingException", times=1)
        assert self.ask(api, "a").status_code == 503

        assert self.ask(api, "a").status_code == 202
        api.work()

        assert titles(api) == ["a"]

    @pytest.mark.parametrize("key", ["", "x" * 256])
    def test_invalid_key_is_refused(self, api: Stage, key: str) -> None:
        assert self.ask(api, "a", key=key).status_code == 400
        assert (api.objects(), api.records()) == ([], [])


LOST = ReadTimeoutError(endpoint_url="https://dynamodb.aws.invalid")


def unclear(operation: str, *, done: bool, times: int = 1) -> None:
    """Let the next calls of ``operation`` time out, after they were done or without effect."""
    left = times

    def time_out(**_: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise LOST

    provoke(aws.dynamodb(), operation, time_out, "after-call" if done else "before-call")


class TestUnclearWrites:
    """The write of the record times out. The response says whether the import was accepted."""

    @pytest.mark.parametrize("key", [None, "k"])
    def test_import_with_a_lost_response_is_accepted(self, api: Stage, key: str | None) -> None:
        unclear("PutItem" if key is None else "TransactWriteItems", done=True)

        answer = api("POST", "/imports", {"items": [fields(title="a")]}, **({"idempotency_key": key} if key else {}))
        api.work()

        assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (202, None)
        assert counts(api, json_of(answer)["id"]) == ("done", 1, 1, 0)

    @pytest.mark.parametrize("key", [None, "k"])
    def test_refused_import_never_starts(self, api: Stage, key: str | None) -> None:
        late: list[dict[str, Any]] = []
        operation = "put_item" if key is None else "transact_write_items"
        name = "PutItem" if key is None else "TransactWriteItems"

        def delay(params: dict[str, Any], **_: Any) -> None:
            if not late:
                late.append(json.loads(params["body"]))
                raise LOST

        provoke(aws.dynamodb(), name, delay, "before-call")
        answer = api("POST", "/imports", {"items": [fields(title="a")]}, **({"idempotency_key": key} if key else {}))
        # The request that timed out reaches DynamoDB later.
        with pytest.raises(ClientError, match=r"Conditional|conditional"):
            getattr(aws.dynamodb(), operation)(**late[0])
        hourly_cleanup.run(times.now() + timedelta(hours=1), context("clean_up"))
        api.work()

        assert answer.status_code == 503
        assert titles(api) == []

    @pytest.mark.parametrize("done", [True, False])
    def test_refused_import_never_starts_if_the_check_fails_once(self, api: Stage, done: bool) -> None:
        unclear("PutItem", done=False)
        unclear("PutItem", done=done)

        answer = api("POST", "/imports", {"items": [fields(title="a")]})
        hourly_cleanup.run(times.now() + timedelta(hours=1), context("clean_up"))
        api.work()

        assert answer.status_code == 503
        assert titles(api) == []

    def test_refused_import_is_not_found(self, api: Stage) -> None:
        unclear("PutItem", done=False)
        assert api("POST", "/imports", {"items": [fields(title="a")]}).status_code == 503
        (record,) = api.records("IMPORT#")

        assert api("GET", f"/imports/{record['sk']['S'].removeprefix('IMPORT#')}").status_code == 404


def test_giving_up_waits_for_a_transaction_in_progress(api: Stage) -> None:
    id_ = start(api, fields(title="a"))
    api.drop()
    fails(aws.dynamodb(), "PutItem", "TransactionConflictException", times=1)

    with pytest.raises(table.TransactionConflictError):
        bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=25))
    assert counts(api, id_) == ("queued", 1, 0, 0)
    bulk_imports.resume(OWNER, id_, times.now() + timedelta(hours=26))

    assert counts(api, id_) == ("done", 1, 0, 1)


def test_import_is_not_found_after_its_retention(api: Stage) -> None:
    id_ = start(api, fields(title="a"))
    api.work()
    ttls = {int(record["ttl"]["N"]) for record in api.records("CHUNK")}
    deleted = datetime.fromtimestamp(min(ttls), UTC)

    assert bulk_imports.progress(OWNER, id_, deleted - timedelta(seconds=1)).status == "done"
    with pytest.raises(errors.ImportNotFoundError):
        bulk_imports.progress(OWNER, id_, deleted)


def test_failures_fit_into_a_lambda_response() -> None:
    failures = [models.Failure(index, "INVALID_REQUEST", "\U0001f600" * 800) for index in range(1_000)]

    answer = responses.import_response("id", bulk_imports.Progress("done", 2_000, 0, 0, 2_000, failures))

    response = exact_json.from_json(answer.body)
    assert len(json.dumps(answer.body)) < 6 * 1024 * 1024
    assert response["failed"] == 2_000
    assert [one["index"] for one in response["errors"]] == list(range(len(response["errors"])))
    assert len(response["errors"]) > 600


def test_records_of_an_import_have_a_ttl_of_30_days(api: Stage) -> None:
    at = times.now()
    start(api, fields(title="a"))
    api.work()

    for record in api.records("IMPORT") + api.records("CHUNK"):
        assert abs(int(record["ttl"]["N"]) - (at + timedelta(days=30)).timestamp()) < 5


def test_entries_are_stored_as_ndjson(api: Stage) -> None:
    id_ = start(api, fields(title="a"), fields(title="b"))

    (key,) = api.objects()

    assert key == f"imports/{OWNER}/{id_}.ndjson"
    stored = aws.s3().get_object(Bucket=str(config.settings().bucket), Key=key)
    assert stored["ContentType"] == "application/x-ndjson"
    assert [json.loads(line) for line in stored["Body"].read().split(b"\n")] == [fields(title="a"), fields(title="b")]


def test_items_have_the_time_of_their_import(api: Stage) -> None:
    id_ = start(api, fields(title="a"))
    api.work()

    (item,) = items.list_page(OWNER, items.ListRange(), 10, None, times.now()).items

    assert ids.id_time_ms(item.id) == ids.id_time_ms(id_)
