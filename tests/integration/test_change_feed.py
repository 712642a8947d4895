"""The change feed, from records of the stream to the bus, the queue of deliveries and the number of changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from chalicelib import aws
from chalicelib.aws import table
from chalicelib.catalogue import change_counter, webhooks
from chalicelib.catalogue.models import Item
from chalicelib.config import Queue
from chalicelib.events import change_feed
from chalicelib.events.change_feed import ChangesDeferredError
from chalicelib.values import ids, times
from tests.change_records import record, record_of
from tests.integration.calls import RECORDER
from tests.integration.stage import fails, provoke, run

Records = list[dict[str, Any]]

LONG = 60_000
SHORT = change_feed.MIN_REMAINING_MS + 300
"""Milliseconds: the function has time for some attempts, and then no more."""


class Bus:
    """The event bus: keeps the entries that it accepts. ``answer`` returns the error code for an entry, if any."""

    def __init__(self) -> None:
        self.accepted: list[list[dict[str, Any]]] = []
        """The events of each call."""
        self.answer: Callable[[dict[str, Any]], str | None] = lambda _: None
        self.errors: list[str] = []
        """The codes of the errors with which the next calls fail as a whole."""

    @property
    def types(self) -> list[str]:
        return [event["type"] for call in self.accepted for event in call]

    def put_events(self, params: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        if self.errors:
            return self._response(400, {"Error": {"Code": self.errors.pop(0), "Message": "provoked"}})
        entries = json.loads(params["body"])["Entries"]
        details = [json.loads(entry["Detail"]) for entry in entries]
        for entry, event in zip(entries, details, strict=True):
            assert (entry["EventBusName"], entry["Source"]) == ("vitrine-local", "vitrine")
            assert entry["DetailType"] == event["type"]
        codes = [self.answer(event) for event in details]
        self.accepted.append([event for event, code in zip(details, codes, strict=True) if code is None])
        answers = [{"ErrorCode": code, "ErrorMessage": "provoked"} if code else {"EventId": "1"} for code in codes]
        return self._response(200, {"Entries": answers, "FailedEntryCount": len(codes) - len(self.accepted[-1])})

    @staticmethod
    def _response(status: int, parsed: dict[str, Any]) -> tuple[AWSResponse, dict[str, Any]]:
        meta = {"HTTPStatusCode": status, "RequestId": "1", "HTTPHeaders": {}, "RetryAttempts": 0}
        return AWSResponse("https://aws.invalid", status, {}, None), parsed | {"ResponseMetadata": meta}


@pytest.fixture
def bus() -> Bus:
    made = Bus()
    provoke(aws.events(), "PutEvents", made.put_events, "before-call")
    for name in ("deliveries", "events-dead"):
        aws.sqs().create_queue(QueueName=f"vitrine-local-{name}")
    return made


@pytest.fixture(params=[True, False], ids=["reports", "raises"])
def report(request: pytest.FixtureRequest, configured: Callable[..., None]) -> bool:
    """Return whether the mapping reads which records failed. Without it, the function has to raise."""
    configured(REPORT_BATCH_ITEM_FAILURES="true" if request.param else None)
    return bool(request.param)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    sleep = time.sleep

    def wait(seconds: float) -> None:
        waits.append(seconds)
        sleep(0.02)

    monkeypatch.setattr(time, "sleep", wait)
    return waits


def new(id_: str | None = None, owner: str = "ann", **values: Any) -> Item:
    at = "2026-11-27T12:00:00.000Z"
    settings: dict[str, Any] = {"version": 1, "fields": {}, "created_at": at, "updated_at": at}
    return Item(owner=owner, id=id_ or ids.new_id(), **settings | values)


def feed(*records: dict[str, Any], milliseconds: int = LONG) -> Any:
    return run("on_change", {"Records": list(records)}, milliseconds)


def received(queue: Queue) -> list[dict[str, Any]]:
    url = aws.queue_url(queue)
    answer = aws.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def id_of(one: dict[str, Any]) -> str:
    """Return the id of the item that a record is about."""
    return str(one["dynamodb"]["Keys"]["sk"]["S"].removeprefix("ITEM#"))


def subscribe(owner: str, *types: webhooks.EventType) -> str:
    """Make a webhook for events of these types, or of all, and return its id."""
    with RECORDER.paused():
        return webhooks.create(owner, "https://receiver.example/", list(types) or ["*"], "", times.now())[0].id


def poisoned() -> dict[str, Any]:
    key = table.Key("ann", "ITEM", ids.new_id()).attributes
    return record_of(key, {"NewImage": key | {"version": {"S": "not a number"}}})


def test_changes_are_on_the_bus_and_counted(bus: Bus, report: bool) -> None:
    records = [record(None, new(owner=owner)) for owner in ("ann", "bob", "ann")]

    answer = feed(*records)

    assert answer == ({"batchItemFailures": []} if report else None)
    assert [[event["data"]["owner"] for event in call] for call in bus.accepted] == [["ann", "bob", "ann"]]
    assert [change_counter.read(owner) for owner in ("ann", "bob", "eve")] == [1, 1, 0]
    assert received("deliveries") == []


def test_other_records_make_no_call(bus: Bus) -> None:
    key = table.Key(table.public_partition("c"), "ITEM", "1").attributes
    # `chalice deploy` makes a mapping without a filter.
    feed(record_of(key, {"NewImage": key}), milliseconds=0)
    assert bus.accepted == []


def test_two_changes_of_an_item_are_not_in_one_call(bus: Bus) -> None:
    first, other = new(), new()
    later = [new(first.id, version=version, fields={"n": version}) for version in (2, 3)]
    feed(record(None, first), record(None, other), record(first, later[0]), record(later[0], later[1]))
    assert [[event["data"]["version"] for event in call] for call in bus.accepted] == [[1, 1], [2], [3]]


def test_calls_are_not_too_large(bus: Bus) -> None:
    texts = [{"text": "x" * 120_000}] * 3 + [{}] * 12
    feed(*(record(None, new(fields=fields)) for fields in texts))
    assert [len(call) for call in bus.accepted] == [2, 10, 3]


def test_throttled_event_is_sent_again_before_later_ones(bus: Bus, no_waiting: list[float]) -> None:
    throttled = new()
    refusals = iter(["ThrottlingException", "InternalFailure"])
    bus.answer = lambda event: next(refusals, None) if event["data"]["itemId"] == throttled.id else None
    feed(record(None, new()), record(None, throttled), record(throttled, new(throttled.id, fields={"n": 1})))
    assert [[event["type"] for event in call] for call in bus.accepted] == [
        ["item.created"],
        [],
        ["item.created"],
        ["item.updated"],
    ]
    assert no_waiting == [0.25, 0.5]


def test_failure_defers_the_rest_of_the_batch(bus: Bus, report: bool) -> None:
    records = [record(None, new(fields={"text": "x" * 150_000})) for _ in range(3)]
    bus.answer = lambda event: "InternalFailure" if event["data"]["itemId"] == id_of(records[1]) else None
    if report:
        first = records[1]["dynamodb"]["SequenceNumber"]
        assert feed(*records, milliseconds=SHORT) == {"batchItemFailures": [{"itemIdentifier": first}]}
    else:
        with pytest.raises(ChangesDeferredError, match="2 of 3 changes failed: InternalFailure: provoked"):
            feed(*records, milliseconds=SHORT)
    assert [event["data"]["itemId"] for call in bus.accepted for event in call] == [id_of(records[0])]
    assert change_counter.read("ann") == 1


@pytest.mark.parametrize("service", ["events", "dynamodb", "sqs"])
def test_failing_service_defers_the_change(bus: Bus, configured: Callable[..., None], service: str) -> None:
    subscribe("ann")
    configured(REPORT_BATCH_ITEM_FAILURES="true")

    def fail(times: int) -> None:
        match service:
            case "events":
                bus.errors = ["AccessDeniedException"] * times
            case "dynamodb":
                fails(aws.dynamodb(), "GetItem", "AccessDeniedException", times)
            case _:
                fails(aws.sqs(), "SendMessageBatch", "AccessDenied", times)

    change = record(None, new())
    fail(1)
    assert feed(change) == {"batchItemFailures": []}
    assert [one["event"]["type"] for one in received("deliveries")] == ["item.created"]
    fail(1000)
    assert feed(change, milliseconds=SHORT) != {"batchItemFailures": []}
    assert received("deliveries") == []


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument"])
def test_refused_event_blocks_nothing(bus: Bus, report: bool, code: str) -> None:
    subscribe("ann")
    records = [record(None, new()) for _ in range(3)]
    bus.answer = lambda event: code if event["data"]["itemId"] == id_of(records[1]) else None

    answer = feed(*records)

    assert answer == ({"batchItemFailures": []} if report else None)
    [failed] = received("events-dead")
    assert failed["requestPayload"] == {"Records": [{**records[1], "setAside": True}]}
    assert failed["requestContext"]["condition"] == "ChangeFailed"
    assert failed["responsePayload"] == {"errorType": "RefusedEventError", "errorMessage": f"{code}: provoked"}
    delivered = {one["event"]["data"]["itemId"] for one in received("deliveries")}
    assert delivered == {id_of(records[0]), id_of(records[2])}


def test_call_that_is_refused_is_split(bus: Bus) -> None:
    bus.errors = ["ValidationException"] * 2
    records = [record(None, new()) for _ in range(2)]
    assert feed(*records) is None
    # The call of both is refused, then that of the first alone.
    assert [event["data"]["itemId"] for call in bus.accepted for event in call] == [id_of(records[1])]
    assert [one["requestPayload"]["Records"] for one in received("events-dead")] == [[{**records[0], "setAside": True}]]


def test_record_that_cannot_be_read_blocks_nothing(bus: Bus, logged: Callable[[], str]) -> None:
    bad = poisoned()
    assert feed(record(None, new()), bad, record(None, new())) is None
    assert bus.types == ["item.created"] * 2
    [failed] = received("events-dead")
    assert failed["requestPayload"] == {"Records": [{**bad, "setAside": True}]}
    assert failed["responsePayload"]["errorType"] == "ValidationError"
    assert '"message":"Change failed"' in logged()


def test_large_record_is_kept_without_the_item(bus: Bus) -> None:
    bad = poisoned()
    bad["dynamodb"]["NewImage"]["text"] = {"S": "x" * 1_000_000}
    assert feed(bad) is None
    [failed] = received("events-dead")
    [kept] = failed["requestPayload"]["Records"]
    assert kept["dynamodb"].keys() == bad["dynamodb"].keys() - {"NewImage"}


def test_record_that_cannot_be_kept_is_deferred(bus: Bus, configured: Callable[..., None]) -> None:
    configured(REPORT_BATCH_ITEM_FAILURES="true")
    bad = poisoned()
    fails(aws.sqs(), "SendMessageBatch", "InternalError")
    first = bad["dynamodb"]["SequenceNumber"]
    assert feed(bad, milliseconds=SHORT) == {"batchItemFailures": [{"itemIdentifier": first}]}


def test_invalid_webhooks_of_an_owner_block_nobody(bus: Bus) -> None:
    """As after a rollback of code that knew another type of events."""
    subscribe("bob")
    written = {"createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z"}
    webhook = {"id": "1", "url": "https://receiver.example/", "events": ["item.unknown"], **written}
    with RECORDER.paused():
        table.write(table.Put(table.Key("ann", "WEBHOOKS", ""), {"webhooks": [webhook]}))
    records = [record(None, new(owner=owner)) for owner in ("ann", "bob")]

    assert feed(*records) is None

    assert len(bus.types) == 2
    assert [one["owner"] for one in received("deliveries")] == ["bob"]
    [failed] = received("events-dead")
    assert failed["requestPayload"] == {"Records": [{**records[0], "setAside": True}]}


def test_record_that_is_sent_back_fails_by_an_exception(bus: Bus, configured: Callable[..., None]) -> None:
    """Lambda repeats an operator's invocation only after an exception."""
    configured(REPORT_BATCH_ITEM_FAILURES="true")
    feed(poisoned())
    [failed] = received("events-dead")
    fails(aws.sqs(), "SendMessageBatch", "InternalError")
    with pytest.raises(ChangesDeferredError):
        feed(*failed["requestPayload"]["Records"], milliseconds=SHORT)


def test_each_webhook_gets_the_events_that_it_asked_for(bus: Bus) -> None:
    everything = subscribe("ann")
    deletions = subscribe("ann", "item.deleted")
    subscribe("bob")
    item = new()
    feed(record(None, item), record(item, None), record(None, new(owner="eve")))
    sent = [(one["webhookId"], one["event"]["type"]) for one in received("deliveries")]
    assert sorted(sent) == sorted(
        [(everything, "item.created"), (everything, "item.deleted"), (deletions, "item.deleted")]
    )


def test_change_that_cannot_be_counted_is_done(bus: Bus, logged: Callable[[], str]) -> None:
    fails(aws.dynamodb(), "UpdateItem", "InternalServerError")
    assert feed(record(None, new())) is None
    assert bus.types == ["item.created"]
    assert "Counting changes failed" in logged()
