"""Process batches of queue messages. One message that fails does not affect the others.

``_HANDLERS`` maps the types of messages that take no long time to their functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from chalicelib import aws, errors, telemetry
from chalicelib.aws import queue
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import export_steps, import_chunks, item_pictures, items, messages, thumbnail_jobs, validation
from chalicelib.catalogue.messages import CreateItem, DeleteItem, ExportChunk, ImportChunk, Message, RenderImage
from chalicelib.config import settings
from chalicelib.values import exact_json, times

WORKERS = aws.CONNECTIONS
"""Messages that are processed at the same time. While one picture is decoded, others are read and written."""

MIN_RETRY_DELAY = 5
MAX_RETRY_DELAY = 80
"""Seconds until a failed message is delivered again. The delay starts at MIN and doubles each time, up to MAX.

With the queue's ``maxReceiveCount`` of 6 (``infra/resources.json``), a message survives an outage of two minutes.
"""

SUSPECT_RECEIVES = 3
"""From its third delivery on, a message is a suspect: it may have crashed the function twice.

Suspects are processed last, one by one.
"""

SUSPECT_SPACING = 10
"""If the function crashes, the waiting suspects are delivered one by one.

Each is delivered this many seconds, plus the function's remaining time, after the previous one.
"""

MIN_REMAINING_MS = 20_000
"""Start no message if the function has less time left, in milliseconds. The largest picture takes less."""

VISIBILITY_TIMEOUT = 360
"""Seconds until a message is delivered again if the function crashes: the queue's own (``infra/resources.json``)."""

KEY_PERIOD = timedelta(days=30)
"""How long the idempotency key of a message is remembered: longer than the message can be delivered again.

A message may wait 4 days in the queue, 14 days as a dead letter and, sent back, 4 days in the queue
(``infra/resources.json``). Each delivery starts the period again.
"""


class Delivery(NamedTuple):
    """One delivery of a message. ``receives`` counts its deliveries, including this one."""

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_at: datetime

    @staticmethod
    def from_event(record: Mapping[str, Any]) -> Delivery:
        """Return the delivery that a record of Lambda's event describes (AWS, "Using Lambda with Amazon SQS")."""
        attributes = record["attributes"]
        return Delivery(
            record["messageId"],
            record["receiptHandle"],
            record["body"],
            int(attributes["ApproximateReceiveCount"]),
            datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        )


class PartialBatchError(Exception):
    """Some messages of a batch were not processed. The others are deleted, so only these are delivered again."""


def process_batch(deliveries: Sequence[Delivery], context: Any) -> dict[str, Any] | None:
    """Process messages. Only those that failed or were not started are delivered again.

    If the event source mapping has the setting ``ReportBatchItemFailures``, return these messages (AWS, "Implementing
    partial batch responses"). ``infra/package.json`` sets it, and an environment variable that says so. Without the
    setting, Lambda would treat a returned response as full success. So delete the processed messages, and raise
    PartialBatchError for the others.

    Start no message if the Lambda ``context`` has too little time left.
    """
    batch = _Batch(deliveries, context.get_remaining_time_in_millis)
    batch.process()
    telemetry.add_count("MessagesFailed", len(batch.failed))
    telemetry.add_count("MessagesDeferred", len(batch.deferred))
    remaining = [delivery for delivery in deliveries if delivery not in batch.done]
    _set_visibility({delivery: _retry_delay(delivery) for delivery in remaining})
    if settings().report_batch_item_failures:
        return {"batchItemFailures": [{"itemIdentifier": delivery.message_id} for delivery in remaining]}
    if remaining:
        batch.delete_done()
        raise PartialBatchError(f"{len(remaining)} of {len(deliveries)} messages failed.")
    return None


def process_message(delivery: Delivery, has_time: Callable[[], bool] = lambda: True) -> None:
    """Process one message.

    Raise an ApiError with the reason if the message is invalid, and OutOfTimeError if not enough time is left.
    """
    message = messages.parse(delivery.body)
    telemetry.set_owner(_owner_of(message))
    if isinstance(message, RenderImage):
        thumbnail_jobs.run(message.key, has_time)
    elif isinstance(message, ImportChunk):
        if not import_chunks.process(message.owner, message.import_id, message.chunk, has_time):
            raise thumbnail_jobs.OutOfTimeError
    elif isinstance(message, ExportChunk):
        export_steps.process(message.owner, message.export_id, message.turn, has_time)
    else:
        _HANDLERS[type(message)](message, delivery)
    telemetry.logger.info("Message processed", message_id=delivery.message_id, type=message.__struct_config__.tag)


def _owner_of(message: Message) -> str | None:
    if not isinstance(message, RenderImage):
        return message.owner
    upload = Upload.from_key(message.key)
    return None if upload is None else upload.owner


class _Batch:
    """The messages of one invocation. A message that crashes the function affects the others as little as possible.

    A picture can crash a decoder, or use up all memory or time. The queue then delivers the whole batch again. So
    delete what is processed before that can happen: the other messages before the first thumbnail job starts, and each
    thumbnail job when it ends. Process suspects (SUSPECT_RECEIVES) last, one by one.
    """

    def __init__(self, deliveries: Sequence[Delivery], time_left: Callable[[], int]) -> None:
        self.done: list[Delivery] = []
        self.failed: list[Delivery] = []
        self.deferred: list[Delivery] = []
        self._deliveries = deliveries
        self._time_left = time_left
        self._deleted: set[Delivery] = set()
        self._suspects = {delivery for delivery in deliveries if delivery.receives >= SUSPECT_RECEIVES}
        self._thumbnail_jobs = {delivery for delivery in deliveries if _is_thumbnail_job(delivery)}

    def process(self) -> None:
        """Process all messages for which there is enough time."""
        if self._thumbnail_jobs:
            thumbnail_jobs.sandbox.start()
        suspects = [delivery for delivery in self._deliveries if delivery in self._suspects]
        suspects.sort(key=lambda delivery: (delivery.receives, delivery in self._thumbnail_jobs))
        others = [delivery for delivery in self._deliveries if delivery not in self._suspects]
        jobs = [delivery for delivery in others if delivery in self._thumbnail_jobs]
        # Leave enough time for at least one suspect.
        needed_ms = MIN_REMAINING_MS * 2 if suspects else MIN_REMAINING_MS
        self._process_in_parallel([delivery for delivery in others if delivery not in self._thumbnail_jobs], needed_ms)
        if jobs or suspects:
            self.delete_done()
        self._process_in_parallel(jobs, needed_ms)
        self._process_one_by_one(suspects)

    def delete_done(self) -> None:
        """Delete the processed messages from the queue, so that they cannot be delivered again."""
        self._delete([delivery for delivery in self.done if delivery not in self._deleted])

    def _process_in_parallel(self, deliveries: Sequence[Delivery], needed_ms: int) -> None:
        if len(deliveries) < 2:
            for delivery in deliveries:
                self._process(delivery, needed_ms)
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda delivery: self._process(delivery, needed_ms), deliveries))

    def _process_one_by_one(self, suspects: Sequence[Delivery]) -> None:
        """Process suspects. One of these messages may have crashed the function twice, but it is unknown which.

        If the function crashes again, each waiting message is delivered at another time after the function's timeout,
        so that each is processed in a separate invocation.
        """
        spacing = self._time_left() // 1000 + SUSPECT_SPACING
        _set_visibility({delivery: spacing * position for position, delivery in enumerate(suspects) if position})
        for position, delivery in enumerate(suspects):
            if position:
                _set_visibility({delivery: VISIBILITY_TIMEOUT})
            self._process(delivery, MIN_REMAINING_MS)

    def _process(self, delivery: Delivery, needed_ms: int) -> None:
        def has_time() -> bool:
            return self._time_left() >= needed_ms

        try:
            if not has_time():
                raise thumbnail_jobs.OutOfTimeError
            process_message(delivery, has_time)
        except thumbnail_jobs.OutOfTimeError:
            telemetry.logger.warning("Message deferred: not enough time left", message_id=delivery.message_id)
            self.deferred.append(delivery)
        except Exception:  # noqa: BLE001 - see the comment below
            # An error must not fail the batch. The failed message is delivered again, and finally moves to the
            # dead-letter queue.
            telemetry.logger.exception("Message failed", message_id=delivery.message_id)
            self.failed.append(delivery)
        else:
            self.done.append(delivery)
            if len(self._deliveries) > 1 and delivery in self._suspects | self._thumbnail_jobs:
                self._delete([delivery])
        finally:
            telemetry.set_owner(None)  # This thread processes another message next.

    def _delete(self, deliveries: Sequence[Delivery]) -> None:
        try:
            queue.delete([delivery.receipt_handle for delivery in deliveries])
        except queue.FAILURES as error:
            telemetry.logger.warning("Deleting processed messages failed", error=str(error))
        else:
            self._deleted.update(deliveries)


def _is_thumbnail_job(delivery: Delivery) -> bool:
    """Return whether processing a message decodes a picture, which may crash the function."""
    try:
        return isinstance(messages.parse(delivery.body), RenderImage)
    except Exception:  # noqa: BLE001 - an invalid message fails later, alone, when it is processed
        return False


def _retry_delay(delivery: Delivery) -> int:
    """Return the seconds until a failed message is delivered again: 5, 10, 20 and so on.

    The queue's own visibility timeout, six times the function's timeout, applies if the function crashes.
    """
    return min(MIN_RETRY_DELAY << (delivery.receives - 1), MAX_RETRY_DELAY)


def _set_visibility(seconds: Mapping[Delivery, int]) -> None:
    try:
        queue.set_visibility({delivery.receipt_handle: delay for delivery, delay in seconds.items()})
    except queue.FAILURES as error:
        telemetry.logger.warning("Changing the visibility timeout failed", error=str(error))


def _create_item(message: CreateItem, delivery: Delivery) -> None:
    new = validation.validate_item(exact_json.object_from_json(message.item, "item"))
    try:
        items.create(message.owner, new, times.now(), message.key or delivery.message_id, KEY_PERIOD)
    except errors.InvalidExpiryError:
        if new.is_expired(delivery.sent_at):
            raise
        # The message was valid when it was sent. By now the item would already have expired.
        telemetry.logger.info("Message skipped: the item has expired since it was sent", message_id=delivery.message_id)


def _delete_item(message: DeleteItem, _: Delivery) -> None:
    try:
        # Delete an expired item too: if the clock were set back, it would be readable again.
        item_pictures.delete_item(message.owner, message.id, times.now(), expired=None)
    except errors.ItemNotFoundError:
        telemetry.logger.info("Message skipped: the item is already deleted", item_id=message.id)


_HANDLERS: dict[type[Any], Callable[[Any, Delivery], None]] = {
    CreateItem: _create_item,
    DeleteItem: _delete_item,
}
