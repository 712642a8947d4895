"""The queue consumer: messages fail one by one, with and without ReportBatchItemFailures."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib import aws, errors
from chalicelib.catalogue import item_pictures, items, job_queue_consumer, messages, sqs_batches
from chalicelib.catalogue.models import Item
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.values import exact_json, ids, times
from tests.builders import as_json, fields, jpeg
from tests.integration.stage import OWNER, Stage, batch, fails, item_input, json_of, raises, run

BAD = [
    "",
    "nonsense",
    "{",
    "null",
    "[]",
    "{}",
    '{"type": "item.explode", "owner": "local"}',
    '{"type": "item.create"}',
    '{"type": "item.create", "owner": "local"}',
    '{"type": "item.create", "owner": 7, "item": {}}',
    '{"type": "item.create", "owner": "local", "item": []}',
    '{"type": "item.create", "owner": "local", "item": {"id": "x"}}',
    '{"type": "item.create", "owner": "local", "item": {"n": 1e999}}',
    '{"type": "item.create", "owner": "", "item": {}}',
    '{"type": "item.create", "owner": "Zo\u00eb", "item": {}}',
    '{"type": "item.create", "owner": "local", "item": {}, "key": ""}',
    '{"type": "item.delete", "owner": "local"}',
    '{"type": "item.delete", "owner": "local", "id": "no id at all"}',
    '{"type": "image.render"}',
    '{"type": "image.render", "key": null}',
    '{"type": "import.chunk", "owner": "local", "importId": "x", "chunk": "0"}',
]


def create(title: str, **also: Any) -> dict[str, Any]:
    return {"type": "item.create", "owner": OWNER, "item": fields(title=title), **also}


def ending(hours_ago: int) -> dict[str, Any]:
    """Return a message that creates an item that expired so many hours ago."""
    item = fields(title="milk", expiresAt=times.format_time(times.now() - timedelta(hours=hours_ago)))
    return {"type": "item.create", "owner": OWNER, "item": item}


def sent_two_hours_ago(message: dict[str, Any]) -> ReceivedMessage:
    return ReceivedMessage("1", "receipt", json.dumps(message), 1, times.now() - timedelta(hours=2))


def titles(api: Stage) -> set[str]:
    return {item["title"] for item in json_of(api("GET", "/items?limit=100"))["items"]}


@pytest.fixture
def reporting(configured: Callable[..., None]) -> None:
    """Configure the function for a mapping with ReportBatchItemFailures, as infra/package.json does."""
    configured(REPORT_BATCH_ITEM_FAILURES="true")


class TestWithReports:
    @pytest.mark.usefixtures("reporting")
    def test_no_failure_is_reported_if_all_succeed(self, api: Stage) -> None:
        api.send(create("a"), create("b"))

        assert run("on_messages", batch(api.receive())) == {"batchItemFailures": []}
        assert titles(api) == {"a", "b"}

    @pytest.mark.usefixtures("reporting")
    @pytest.mark.parametrize("bad", BAD)
    def test_only_the_invalid_message_is_reported(self, api: Stage, bad: str) -> None:
        api.send(create("a"), bad or " ", create("b"))
        messages = api.receive()

        answer = run("on_messages", batch(messages))

        failed = [message["MessageId"] for message in messages if message["Body"] == (bad or " ")]
        assert answer == {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
        assert len(failed) == 1
        assert titles(api) == {"a", "b"}
        assert api.on_queue() == 3  # the mapping deletes the messages that are not reported

    @pytest.mark.usefixtures("reporting")
    def test_every_failure_is_reported(self, api: Stage) -> None:
        api.send("one", create("a"), "two")
        messages = api.receive()

        answer = run("on_messages", batch(messages))

        reported = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        assert reported == {message["MessageId"] for message in messages if message["Body"] in ("one", "two")}


class TestWithoutReports:
    def test_nothing_is_returned_if_all_succeed(self, api: Stage) -> None:
        api.send(create("a"))

        assert run("on_messages", batch(api.receive())) is None
        assert titles(api) == {"a"}

    @pytest.mark.parametrize("bad", BAD[1:])
    def test_only_the_invalid_message_stays_on_the_queue(self, api: Stage, bad: str) -> None:
        api.send(create("a"), bad, create("b"))

        with pytest.raises(sqs_batches.PartialBatchError, match="1 of 3 messages failed"):
            run("on_messages", batch(api.receive()))

        assert titles(api) == {"a", "b"}
        assert api.on_queue() == 1

    def test_nine_of_ten_messages_are_processed(self, api: Stage) -> None:
        api.send(*(create(str(number)) for number in range(4)), "bad", *(create(str(number)) for number in range(4, 9)))

        with pytest.raises(sqs_batches.PartialBatchError):
            run("on_messages", batch(api.receive()))

        assert titles(api) == {str(number) for number in range(9)}
        assert api.on_queue() == 1

    def test_batch_of_invalid_messages_stays_on_the_queue(self, api: Stage) -> None:
        api.send("one", "two")

        with pytest.raises(sqs_batches.PartialBatchError, match="2 of 2"):
            run("on_messages", batch(api.receive()))

        assert api.on_queue() == 2

    def test_messages_with_the_same_body_are_distinguished(self, api: Stage) -> None:
        api.send(create("a", key="1"), create("a", key="1"), "bad")

        with pytest.raises(sqs_batches.PartialBatchError, match="1 of 3"):
            run("on_messages", batch(api.receive()))

        assert api.on_queue() == 1


def timeouts(parameters: dict[str, Any]) -> list[int]:
    return [entry["VisibilityTimeout"] for entry in parameters["Entries"]]


class TestRetryDelay:
    def waits(self, api: Stage, receives: int) -> list[int]:
        """Return the visibility timeouts that are set when a message fails with this number of receives."""
        seconds: list[int] = []
        events = aws.sqs().meta.events
        name = "provide-client-params.sqs.ChangeMessageVisibilityBatch"
        events.register(name, lambda params, **_: seconds.extend(timeouts(params)), unique_id="seconds")
        try:
            api.send("bad")
            (message,) = api.receive()
            message["Attributes"]["ApproximateReceiveCount"] = str(receives)
            with pytest.raises(sqs_batches.PartialBatchError):
                run("on_messages", batch([message]))
        finally:
            events.unregister(name, unique_id="seconds")
        return seconds

    @pytest.mark.parametrize(("receives", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 80), (50, 80)])
    def test_retry_delay_doubles(self, api: Stage, receives: int, seconds: int) -> None:
        assert self.waits(api, receives) == [seconds]

    def test_rejected_visibility_change_keeps_the_message(self, api: Stage) -> None:
        api.send("bad", create("a"))
        fails(aws.sqs(), "ChangeMessageVisibilityBatch", "AccessDenied")

        with pytest.raises(sqs_batches.PartialBatchError, match="1 of 2"):
            run("on_messages", batch(api.receive()))

        assert api.on_queue() == 1
        assert titles(api) == {"a"}

    @pytest.mark.usefixtures("reporting")
    def test_unreachable_queue_does_not_fail_the_batch(self, api: Stage) -> None:
        api.send("bad", create("a"))
        messages = api.receive()
        raises(
            aws.sqs(), "ChangeMessageVisibilityBatch", EndpointConnectionError(endpoint_url="https://sqs.aws.invalid")
        )

        answer = run("on_messages", batch(messages))

        failed = [message["MessageId"] for message in messages if message["Body"] == "bad"]
        assert answer == {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}

    def test_temporary_failure_succeeds_on_redelivery(self, api: Stage) -> None:
        api.send(create("a"))
        messages = api.receive()
        fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError", times=1)
        with pytest.raises(sqs_batches.PartialBatchError):
            run("on_messages", batch(messages))

        run("on_messages", batch(messages))

        assert titles(api) == {"a"}


class TestCreateItem:
    def test_redelivered_message_creates_one_item(self, api: Stage) -> None:
        api.send(create("a"))
        messages = api.receive()

        run("on_messages", batch(messages))
        run("on_messages", batch(messages))

        assert len(api.records("ITEM")) == 1

    def test_messages_with_the_same_key_create_one_item(self, api: Stage) -> None:
        api.send(create("a", key="k"), create("a", key="k"))

        api.work()

        assert len(api.records("ITEM")) == 1

    @pytest.mark.parametrize("key", [None, "k"])
    def test_dead_letter_sent_back_after_weeks_creates_nothing(
        self, api: Stage, monkeypatch: pytest.MonkeyPatch, key: str | None
    ) -> None:
        at = times.now()
        delivery = ReceivedMessage(
            "message-1", "receipt", json.dumps(create("a", **({"key": key} if key else {}))), 1, at
        )

        for days in (0, 22, 44, 66):
            monkeypatch.setattr(times, "now", lambda days=days: at + timedelta(days=days))
            job_queue_consumer.process_message(delivery)

        assert len(api.records("ITEM")) == 1

    def test_message_extends_a_key_used_over_http(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        at = times.now()
        api("POST", "/items", fields(title="a"), idempotency_key="k")
        delivery = ReceivedMessage("message-1", "receipt", json.dumps(create("a", key="k")), 1, at)

        for hours in (23, 25):
            monkeypatch.setattr(times, "now", lambda hours=hours: at + timedelta(hours=hours))
            job_queue_consumer.process_message(delivery)

        assert len(api.records("ITEM")) == 1

    def test_item_that_expired_on_the_queue_is_skipped(self, api: Stage) -> None:
        job_queue_consumer.process_message(sent_two_hours_ago(ending(hours_ago=1)))

        assert api.records() == []

    def test_item_that_had_expired_when_sent_fails(self, api: Stage) -> None:
        with pytest.raises(errors.InvalidExpiryError):
            job_queue_consumer.process_message(sent_two_hours_ago(ending(hours_ago=3)))

        assert api.records() == []

    def test_redelivery_after_expiry_succeeds(self, api: Stage) -> None:
        delivery = sent_two_hours_ago(ending(hours_ago=1))
        body = json.loads(delivery.body)["item"]
        items.create(OWNER, item_input(**body), delivery.sent_at, delivery.message_id)

        job_queue_consumer.process_message(delivery)

        assert len(api.records("ITEM")) == 1

    def test_messages_without_key_create_two_items(self, api: Stage) -> None:
        api.send(create("a"), create("a"))

        api.work()

        assert len(api.records("ITEM")) == 2

    def test_key_used_for_another_item_fails(self, api: Stage) -> None:
        api.send(create("a", key="k"), create("b", key="k"))

        with pytest.raises(sqs_batches.PartialBatchError, match="1 of 2"):
            run("on_messages", batch(api.receive()))

        assert len(api.records("ITEM")) == 1

    def test_key_is_shared_between_http_and_queue(self, api: Stage) -> None:
        first = api("POST", "/items", fields(title="a"), idempotency_key="k")
        api.send(create("a", key="k"))

        api.work()

        assert [item["id"] for item in json_of(api("GET", "/items"))["items"]] == [json_of(first)["id"]]

    def test_numbers_keep_their_exact_value(self, api: Stage) -> None:
        item = as_json('"n": 0.30000000000000000000000000000000000001').decode()
        api.send(f'{{"type": "item.create", "owner": "local", "item": {item}}}')

        api.work()

        assert b'"n":0.30000000000000000000000000000000000001' in api("GET", "/items").body


class TestDeleteItem:
    def test_item_is_deleted_with_its_picture(self, api: Stage) -> None:
        item = api.item()
        api.picture(item["id"], jpeg())
        api.send({"type": "item.delete", "owner": OWNER, "id": item["id"]})

        api.work()

        assert api("GET", f"/items/{item['id']}").status_code == 404
        assert api.objects() == []

    def test_deleting_a_deleted_item_succeeds(self, api: Stage) -> None:
        item = api.item()
        message = {"type": "item.delete", "owner": OWNER, "id": item["id"]}
        api.send(message, message, {**message, "id": ids.new_id()})

        api.work()

        assert api.on_queue() == 0

    def test_item_whose_expiry_is_removed_meanwhile_is_deleted(
        self, api: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clock of the function that removes it may be behind: there, the item has not expired yet."""
        earlier = times.now() - timedelta(hours=2)
        item, _ = items.create(OWNER, item_input(expiresAt=times.format_time(earlier + timedelta(hours=1))), earlier)
        find = items.find

        def find_before_a_change(owner: str, id_: str) -> Item | None:
            monkeypatch.setattr(items, "find", find)
            found = find(owner, id_)
            items.replace(owner, id_, fields(), earlier)
            return found

        monkeypatch.setattr(items, "find", find_before_a_change)
        api.send({"type": "item.delete", "owner": OWNER, "id": item.id})
        api.work()

        assert items.find(OWNER, item.id) is None

    def test_expired_item_is_deleted(self, api: Stage) -> None:
        earlier = times.now() - timedelta(hours=2)
        expired = item_input(expiresAt=times.format_time(earlier + timedelta(hours=1)))
        item, _ = items.create(OWNER, expired, earlier)
        api.send({"type": "item.delete", "owner": OWNER, "id": item.id})

        api.work()

        assert api.records("ITEM") == []

    def test_id_in_upper_case_names_the_same_item(self, api: Stage) -> None:
        item = api.item()
        api.send({"type": "item.delete", "owner": OWNER, "id": item["id"].upper()})

        api.work()

        assert api.records("ITEM") == []

    def test_item_of_another_owner_is_not_deleted(self, api: Stage) -> None:
        item = api.item(title="a")
        api.send({"type": "item.delete", "owner": "ann", "id": item["id"]})

        api.work()

        assert titles(api) == {"a"}


@pytest.mark.parametrize(
    "message",
    [
        messages.RenderImage("uploads/a b.png"),
        messages.DeleteItem("ann", ids.new_id(0, 0)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_sent_messages_are_valid(message: messages.Message) -> None:
    body = exact_json.to_json(message).decode()

    assert "." in json.loads(body)["type"]
    job_queue_consumer.process_message(ReceivedMessage("message-1", "receipt", body, 1, times.now()))


def test_unknown_fields_of_a_message_are_ignored(api: Stage) -> None:
    api.send(create("a", trace="abc", version=2))

    api.work()

    assert titles(api) == {"a"}


def test_temporary_render_failure_does_not_fail_the_batch(api: Stage) -> None:
    item = api.item(title="a")
    key = api.put(api.ticket(item["id"]), b"no picture")
    item_pictures.record_upload(key, times.now())
    api.send(create("b"))
    fails(aws.s3(), "GetObject", "InternalError", times=1)

    with pytest.raises(sqs_batches.PartialBatchError, match="1 of 2"):
        run("on_messages", batch(api.receive()))

    assert titles(api) == {"a", "b"}
