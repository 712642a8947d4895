"""Deliveries to webhooks in virtual time: attempts and waits, failing receivers, and the end of a batch."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from chalicelib import aws, errors
from chalicelib.aws import table
from chalicelib.catalogue import delivery_records, hourly_cleanup, sqs_batches, webhook_secrets, webhooks
from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.catalogue.webhooks import DeliveryMessage, Webhook
from chalicelib.events import delivery_queue_consumer, webhook_requests
from chalicelib.events.webhook_requests import RequestFailedError, Response
from chalicelib.values import ids, times
from tests.integration.stage import context

OWNER = "owner-1"
START = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUEUE = "deliveries"
OK = Response(204, None, b"")
ERROR = Response(500, None, b"broken")


class World:
    """A receiver, the deliveries queue and the hourly cleanup, in virtual time."""

    def __init__(self) -> None:
        self.now = START
        self.respond: Callable[[datetime], Response] = lambda at: OK
        self.attempts: list[tuple[timedelta, str]] = []
        """When which event was sent, since START."""
        self.sent: list[tuple[dict[str, str], bytes]] = []
        """The headers and bodies of the requests."""
        self._queue: list[tuple[datetime, int, str]] = []
        self._received = 0
        self._next_cleanup = START + HOUR

    def post(self, url: str, headers: dict[str, str], body: bytes) -> Response:
        self.attempts.append((self.now - START, headers["webhook-id"]))
        self.sent.append((headers, body))
        return self.respond(self.now)

    def send(self, body: str, after: int = 0) -> None:
        self._received += 1
        heapq.heappush(self._queue, (self.now + timedelta(seconds=after), self._received, body))

    def run(self, duration: timedelta) -> None:
        """Process what is due in this time, in order."""
        end = self.now + duration
        while (due := min(self._next_cleanup, *(at for at, *_ in self._queue[:1]), end)) < end:
            self.now = due
            if due == self._next_cleanup:
                self._next_cleanup += HOUR
                if hourly_cleanup.run(due, context("clean_up"))["deliveries"]:
                    for body in _sent_by_the_cleanup():
                        self.send(body)
                continue
            _, _, body = heapq.heappop(self._queue)
            wait = delivery_queue_consumer.process_message(body)
            if wait is not None:
                self.send(body, wait)
        self.now = end


def _sent_by_the_cleanup() -> Iterator[str]:
    queue = aws.queue_url(QUEUE)
    while found := aws.sqs().receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for one in found:
            aws.sqs().delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
            yield one["Body"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(times, "now", lambda: world.now)
    monkeypatch.setattr(webhook_requests, "post", world.post)
    return world


@pytest.fixture
def webhook(world: World) -> Webhook:
    created, _ = webhooks.create(OWNER, "https://hooks.example/", ["*"], "", START)
    return created


def event(at: datetime = START, **data: Any) -> dict[str, Any]:
    return {"id": ids.new_id(times.unix_ms(at)), "type": "item.created", "schema": 1, "data": {"itemId": "i", **data}}


def message(webhook: Webhook, event: dict[str, Any], **more: Any) -> str:
    return json.dumps({"owner": OWNER, "webhookId": webhook.id, "event": event, **more})


def stored(webhook: Webhook, event: dict[str, Any]) -> DeliveryRecord:
    return delivery_records.get(OWNER, webhook.id, event["id"])


def change(webhook: Webhook, **fields: Any) -> None:
    webhooks.change(OWNER, webhook.id, lambda current: msgspec.structs.replace(current, **fields))


def state(webhook: Webhook) -> Webhook:
    return webhooks.get(OWNER, webhook.id)


class TestOneDelivery:
    def test_success_is_recorded(self, world: World, webhook: Webhook) -> None:
        created = event(name="Käse", price=19.5)

        assert delivery_queue_consumer.process_message(message(webhook, created)) is None

        record = stored(webhook, created)
        assert (record.status, record.attempts, record.response_status) == ("succeeded", 1, 204)
        assert (record.event_type, record.item_id) == ("item.created", "i")
        assert (record.created_at, record.last_attempt_at) == ("2026-11-27T12:30:00.000Z",) * 2
        assert (record.next_attempt_at, record.due_at, record.error) == (None, None, "")
        assert json.loads(record.event) == created

    def test_event_is_sent_byte_for_byte(self, world: World, webhook: Webhook) -> None:
        sent = f'{{ "id": "{ids.new_id()}", "type": "item.created", "data": {{"price": 0.10, "n": 1E400}} }}'

        delivery_queue_consumer.process_message(f'{{"owner": "{OWNER}", "webhookId": "{webhook.id}", "event": {sent}}}')

        assert world.sent[0][1].decode() == sent

    def test_attempts_and_waits(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        created = event()
        world.send(message(webhook, created))

        world.run(timedelta(minutes=20))
        record = stored(webhook, created)
        assert [at.total_seconds() for at, _ in world.attempts] == [0, 5, 35, 155, 755]
        assert (record.status, record.attempts, record.response) == ("pending", 5, "broken")
        assert record.error == "The receiver responded with 500, not with 2xx."
        assert record.due_at == record.next_attempt_at == "2026-11-27T13:42:35.000Z"

        world.run(2 * DAY)
        # The cleanup runs at half past each hour.
        assert [at / HOUR for at, _ in world.attempts[5:]] == [2, 5, 11, 23]
        record = stored(webhook, created)
        assert (record.status, record.attempts, record.next_attempt_at) == ("failed", 9, None)
        assert not list(table.due_keys(world.now + 9 * DAY, deliveries=True))

    @pytest.mark.parametrize(
        ("retry_after", "seconds"),
        [
            ("120", 120),
            ("1", 5),
            ("1800", None),
            ("99999999999", None),
            ("Fri, 27 Nov 2026 12:32:00 GMT", 120),
            ("Fri, 27 Nov 2026 12:20:00 GMT", 5),
            ("soon", 5),
            (f"Fri, 27 Nov {'9' * 20} 12:32:00 GMT", 5),
            ("-1", 5),
        ],
    )
    def test_retry_after_is_respected(
        self, world: World, webhook: Webhook, retry_after: str, seconds: int | None
    ) -> None:
        world.respond = lambda at: Response(503, retry_after, b"")
        created = event()

        assert delivery_queue_consumer.process_message(message(webhook, created)) == seconds
        due = times.parse_time(stored(webhook, created).next_attempt_at or "")
        assert due <= START + HOUR

    @pytest.mark.parametrize("status", [100, 199, 301, 304, 400, 404, 429, 500])
    def test_only_2xx_is_success(self, world: World, webhook: Webhook, status: int) -> None:
        world.respond = lambda at: Response(status, None, b"")

        assert delivery_queue_consumer.process_message(message(webhook, event())) == 5

    @pytest.mark.parametrize("status", [300, 302, 399])
    def test_redirect_is_the_reason(self, world: World, webhook: Webhook, status: int) -> None:
        world.respond = lambda at: Response(status, None, b"")
        created = event()

        delivery_queue_consumer.process_message(message(webhook, created))

        reason = f"The receiver responded with {status}, not with 2xx: redirects are not followed."
        assert stored(webhook, created).error == reason

    def test_duration_is_in_milliseconds(self, world: World, webhook: Webhook) -> None:
        def respond(_: datetime) -> Response:
            time.sleep(0.02)
            return OK

        world.respond = respond
        created = event()

        delivery_queue_consumer.process_message(message(webhook, created))

        assert 20 <= (stored(webhook, created).duration_ms or 0) < 10_000

    def test_no_response_is_a_failure(self, world: World, webhook: Webhook) -> None:
        def fail(_: datetime) -> Response:
            raise RequestFailedError("The host's name could not be resolved.")

        world.respond = fail
        created = event()

        assert delivery_queue_consumer.process_message(message(webhook, created)) == 5
        record = stored(webhook, created)
        assert (record.response_status, record.error) == (None, "The host's name could not be resolved.")

    def test_response_is_stored_in_part(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: Response(200, None, b"\xff\x00" + b"x" * 4000)
        created = event()
        delivery_queue_consumer.process_message(message(webhook, created))

        assert stored(webhook, created).response == "\ufffd\x00" + "x" * 498

    def test_delivered_event_is_not_sent_again(self, world: World, webhook: Webhook) -> None:
        body = message(webhook, event())

        assert [delivery_queue_consumer.process_message(body) for _ in range(3)] == [None] * 3
        assert len(world.attempts) == 1

    def test_several_messages_make_no_early_attempts(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        body = message(webhook, event())

        assert [delivery_queue_consumer.process_message(body) for _ in range(4)] == [5, 30, 30, 30]
        assert len(world.attempts) == 2

    def test_lost_message_is_sent_by_the_cleanup(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        sent = event()
        assert delivery_queue_consumer.process_message(message(webhook, sent)) == 5
        world.respond = lambda at: OK

        world.run(3 * HOUR)

        assert (stored(webhook, sent).status, len(world.attempts)) == ("succeeded", 2)

    @pytest.mark.parametrize("is_off", [False, True])
    def test_failure_keeps_a_success_at_the_same_time(self, world: World, webhook: Webhook, is_off: bool) -> None:
        """Two messages for one delivery are processed at once. What comes of the second one must not start it again."""
        sent = event()

        def respond(_: datetime) -> Response:
            if len(world.attempts) > 1:
                return OK
            delivery_queue_consumer.process_message(message(webhook, sent))
            if is_off:
                change(webhook, enabled=False)
            return Response(429, "3600", b"")

        world.respond = respond
        delivery_queue_consumer.process_message(message(webhook, sent))
        world.run(DAY)

        assert len(world.attempts) == 2
        assert (stored(webhook, sent).status, stored(webhook, sent).due_at) == ("succeeded", None)

    def test_both_secrets_sign_while_rotating(self, world: World, webhook: Webhook) -> None:
        old = webhook_secrets.of(OWNER, webhook)
        _, new = webhooks.rotate_secret(OWNER, webhook.id, START)
        # The library compares the timestamp with the clock of the machine.
        world.now = datetime.now(UTC)
        webhooks.rotate_secret(OWNER, webhook.id, world.now)
        newest = webhook_secrets.of(OWNER, state(webhook))

        delivery_queue_consumer.process_message(message(webhook, event()))

        [(headers, body)] = world.sent
        for secret in (new, newest):
            Receiver(secret).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Receiver(old).verify(body, headers)


class TestOwnersWishes:
    @pytest.mark.parametrize("stays", [True, False])
    def test_deleted_webhook_gets_nothing(self, world: World, webhook: Webhook, stays: bool) -> None:
        world.respond = lambda at: ERROR
        created = event()
        world.send(message(webhook, created))
        world.run(timedelta(seconds=1) if stays else timedelta())
        webhooks.delete(OWNER, webhook.id)

        world.run(DAY)

        assert len(world.attempts) == int(stays)
        record = delivery_records.find(OWNER, webhook.id, created["id"])
        assert (record and (record.status, record.error)) == (("failed", "The webhook was deleted.") if stays else None)

    def test_switched_off_webhook_gets_nothing(self, world: World, webhook: Webhook) -> None:
        change(webhook, enabled=False)
        created = event()

        assert delivery_queue_consumer.process_message(message(webhook, created)) is None
        assert (stored(webhook, created).status, stored(webhook, created).attempts) == ("failed", 0)
        assert world.attempts == []

    @pytest.mark.parametrize("status", [500, 410])
    def test_failure_after_its_owner_switched_it_off_is_no_reason(
        self, world: World, webhook: Webhook, status: int
    ) -> None:
        def respond(_: datetime) -> Response:
            change(webhook, enabled=False)
            return Response(status, None, b"")

        world.respond = respond
        delivery_queue_consumer.process_message(message(webhook, event()))

        assert (state(webhook).status, state(webhook).problem) == ("off", "")

    def test_delivery_can_be_repeated_by_hand(self, world: World, webhook: Webhook) -> None:
        created = event()
        for manual in (False, True, True):
            world.send(message(webhook, created, manual=manual))
        world.run(HOUR)

        assert len(world.attempts) == 3
        assert (stored(webhook, created).status, stored(webhook, created).attempts) == ("succeeded", 3)

    def test_manual_delivery_is_attempted_once(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        change(webhook, enabled=False)
        created = event()
        world.send(message(webhook, created, manual=True))
        world.run(DAY)

        assert len(world.attempts) == 1
        assert stored(webhook, created).status == "failed"
        assert state(webhook).consecutive_failures == 0

    def test_waiting_delivery_still_waits_after_a_manual_attempt(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        created = event()
        world.send(message(webhook, created))
        world.run(timedelta(minutes=20))
        due_at = stored(webhook, created).due_at

        delivery_queue_consumer.process_message(message(webhook, created, manual=True))
        assert (stored(webhook, created).status, stored(webhook, created).due_at) == ("pending", due_at)

        world.respond = lambda at: OK
        delivery_queue_consumer.process_message(message(webhook, created, manual=True))
        assert (stored(webhook, created).status, stored(webhook, created).due_at) == ("succeeded", None)
        assert state(webhook) == webhook


class TestFailingReceiver:
    def test_few_attempts_are_made(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        for second in range(100):
            world.send(message(webhook, event(START + timedelta(seconds=second))), 8 * second)

        world.run(timedelta(minutes=14))

        assert state(webhook).status == "failing"
        assert state(webhook).failing_since == "2026-11-27T12:30:00.000Z"
        # Five attempts within a minute, then one every five minutes.
        assert len(world.attempts) == 5 + 2
        waiting = delivery_records.find_newest(OWNER, webhook.id)
        assert {record.status for record in waiting} == {"pending"}
        assert len(waiting) == 100

    def test_recovered_receiver_gets_everything(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR if at < START + 5 * HOUR else OK
        events = [event(START + timedelta(minutes=minute)) for minute in range(0, 360, 30)]
        for position, created in enumerate(events):
            world.send(message(webhook, created), position * 1800)

        world.run(DAY)

        delivered = {id_ for at, id_ in world.attempts if at >= 5 * HOUR}
        assert delivered == {created["id"] for created in events}
        assert {record.status for record in delivery_records.find_newest(OWNER, webhook.id)} == {"succeeded"}
        assert state(webhook) == webhook

    def test_receiver_is_switched_off_after_three_days(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: ERROR
        failing_since = times.format_time(START - 3 * DAY + HOUR)
        change(webhook, consecutive_failures=5, failing_since=failing_since, probe_at=times.format_time(START))
        for minutes in (0, 1, 20, 90, 91):
            world.send(message(webhook, event(START + timedelta(minutes=minutes))), minutes * 60)

        world.run(HOUR - timedelta(seconds=1))
        assert state(webhook).status == "failing"
        assert [at.total_seconds() for at, _ in world.attempts] == [0, 20 * 60]

        world.run(4 * HOUR)
        assert state(webhook).status == "off"
        assert state(webhook).problem == (
            "Every attempt failed for 3 days. The last one: The receiver responded with 500, not with 2xx."
        )
        assert len(world.attempts) == 3
        found = delivery_records.find_newest(OWNER, webhook.id)
        assert [record.status for record in found] == ["failed"] * 5

    def test_gone_receiver_is_switched_off(self, world: World, webhook: Webhook) -> None:
        world.respond = lambda at: Response(410, None, b"")
        created = event()

        assert delivery_queue_consumer.process_message(message(webhook, created)) is None
        assert stored(webhook, created).status == "failed"
        assert state(webhook).status == "off"
        assert state(webhook).problem == "The receiver responded with 410 Gone: it wants no more events."

    def test_success_in_between_counts_from_zero(self, world: World, webhook: Webhook) -> None:
        for number in range(12):
            world.respond = (lambda at: OK) if number % 4 == 3 else (lambda at: ERROR)
            delivery_queue_consumer.process_message(message(webhook, event(START + number * HOUR)))

        assert state(webhook).status == "active"

    def test_success_counts_although_others_failed_meanwhile(self, world: World, webhook: Webhook) -> None:
        def respond(_: datetime) -> Response:
            if len(world.attempts) > 1:
                return ERROR
            for number in range(1, webhooks.FAILING_AFTER):
                delivery_queue_consumer.process_message(message(webhook, event(START + number * HOUR)))
            assert state(webhook).consecutive_failures == webhooks.FAILING_AFTER - 1
            return OK

        world.respond = respond
        delivery_queue_consumer.process_message(message(webhook, event()))

        assert state(webhook).consecutive_failures == 0

    def test_event_is_delivered_once_if_counting_fails(
        self, world: World, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def busy(*_: Any) -> Webhook:
            raise errors.BusyError

        monkeypatch.setattr(webhooks, "change", busy)
        created = event()

        delivery_queue_consumer.process_message(message(webhook, created))
        delivery_queue_consumer.process_message(message(webhook, created))

        assert (stored(webhook, created).status, len(world.attempts)) == ("succeeded", 1)

    def test_former_receiver_does_not_count(self, world: World, webhook: Webhook) -> None:
        """The owner changes the URL during an attempt."""

        def respond(_: datetime) -> Response:
            change(webhook, url="https://other.example/")
            return Response(410, None, b"")

        world.respond = respond
        delivery_queue_consumer.process_message(message(webhook, event()))

        assert state(webhook).status == "active"

    def test_attempt_is_not_counted_for_a_changed_webhook(self, world: World, webhook: Webhook) -> None:
        """Another delivery fails at the same time: none of the two counts is lost."""
        nested = [message(webhook, event(START + HOUR))]

        def fail(_: datetime) -> Response:
            if nested:
                delivery_queue_consumer.process_message(nested.pop())
            return ERROR

        world.respond = fail
        delivery_queue_consumer.process_message(message(webhook, event()))

        assert state(webhook).consecutive_failures == 2


def test_messages_of_a_webhook_are_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(aws.sqs(), "send_message_batch", lambda **call: sent.extend(call["Entries"]) or {})
    messages = [DeliveryMessage("o", f"webhook-{number // 8}", msgspec.Raw(b"{}")) for number in range(16)]

    webhooks.send(*messages)

    assert [one["MessageGroupId"] for one in sent] == [message.webhook_id for message in messages]


class TestBatch:
    def received(self, *bodies: str) -> list[ReceivedMessage]:
        return [ReceivedMessage(f"m{number}", f"r{number}", body, 1, START) for number, body in enumerate(bodies)]

    def test_each_message_is_on_its_own(
        self, world: World, webhook: Webhook, configured: Callable[..., None], logged: Callable[[], str]
    ) -> None:
        configured(REPORT_BATCH_ITEM_FAILURES="true")
        failing = event(START + HOUR)
        world.respond = lambda at: OK
        batch = self.received(
            message(webhook, event()),
            "not JSON",
            json.dumps({"owner": OWNER, "webhookId": "x\r\ny", "event": event()}),
            json.dumps({"owner": OWNER, "webhookId": webhook.id, "event": {"id": "1", "type": "t", "data": {}}}),
            json.dumps({"owner": "owner-2", "webhookId": webhook.id, "event": failing}),
            message(webhook, event(START + 2 * HOUR)),
        )

        answer = delivery_queue_consumer.process_batch(batch)

        assert answer == {"batchItemFailures": [{"itemIdentifier": f"m{number}"} for number in (1, 2, 3)]}
        assert len(world.attempts) == 2
        assert logged().count('"message":"Message failed"') == 3

    def test_without_partial_batches_the_rest_is_deleted(
        self, world: World, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deleted: list[ReceivedMessage] = []
        monkeypatch.setattr(sqs_batches, "delete", lambda done, of: deleted.extend(done) if of == QUEUE else None)
        world.respond = lambda at: ERROR
        batch = self.received(
            message(webhook, event()), json.dumps({"owner": "o", "webhookId": webhook.id, "event": event()})
        )

        with pytest.raises(sqs_batches.PartialBatchError, match="1 of 2"):
            delivery_queue_consumer.process_batch(batch)

        assert deleted == [batch[1]]
