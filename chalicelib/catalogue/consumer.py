"""Process batches of queue messages. One message that fails does not affect the others.

``_HANDLERS`` maps each type of message to its function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from chalicelib import aws, errors, telemetry
from chalicelib.aws import queue
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import bulk_imports, item_pictures, items, messages, thumbnail_jobs, validation
from chalicelib.catalogue.messages import CreateItem, DeleteItem, ImportChunk, Message, RenderImage
from chalicelib.config import settings
from chalicelib.values import exact_json, times

WORKERS = aws.CONNECTIONS
"""Messages that are processed at the same time: while one picture is decoded, others are read and written."""

MIN_RETRY_DELAY = 5
MAX_RETRY_DELAY = 80
"""Seconds until a failed message is delivered again: the first delay, then doubled each time, up to the maximum.

With the queue's ``maxReceiveCount`` of 6 (``infra/resources.json``), a message survives an outage of two minutes.
"""

SUSPECT_RECEIVES = 3
"""From this delivery on, process a message alone and last: it may be what ended the function twice."""

SUSPECT_SPACING = 10
"""Seconds, besides the function's remaining time, between two suspects that are delivered again."""

MIN_REMAINING_MS = 20_000
"""Start no message with less of the function's time left, in milliseconds. The largest picture takes less."""

VISIBILITY_TIMEOUT = 360
"""Seconds until a message is delivered again if the function ends: the queue's setting (``infra/resources.json``)."""

KEY_PERIOD = timedelta(days=30)
"""How long the idempotency key of a message is remembered: longer than the message can be delivered again.

A message may wait 4 days in the queue, 14 days as a dead letter and, sent back, 4 days in the queue
(``infra/resources.json``). Each delivery starts the period again.
"""


class Record(NamedTuple):
    """One delivery of a message."""

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_at: datetime

    @staticmethod
    def from_event(record: Mapping[str, Any]) -> Record:
        """Return a record of the event that Lambda passes to a consumer."""
        attributes = record["attributes"]
        return Record(
            record["messageId"],
            record["receiptHandle"],
            record["body"],
            int(attributes["ApproximateReceiveCount"]),
            datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        )


class PartialBatchError(Exception):
    """Some messages of a batch failed. The others are deleted, so only the failed ones are delivered again."""


def process_batch(records: Sequence[Record], context: Any) -> dict[str, Any] | None:
    """Process messages, and have only those that failed delivered again.

    If the event source mapping has ``ReportBatchItemFailures`` (``infra/package.json`` sets it, and an environment
    variable says so), return the failed messages (AWS, "Implementing partial batch responses"). Without it, Lambda
    would treat this response as full success. So delete the processed messages and raise PartialBatchError.

    Start no message if the Lambda ``context`` has too little time left.
    """
    batch = _Batch(records, context.get_remaining_time_in_millis)
    batch.process()
    telemetry.add_count("MessagesFailed", len(batch.failed))
    telemetry.add_count("MessagesDeferred", len(batch.deferred))
    remaining = [record for record in records if record not in batch.done]
    _set_visibility({record: _retry_delay(record) for record in remaining})
    if settings().report_batch_item_failures:
        return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record in remaining]}
    if remaining:
        batch.delete_done()
        raise PartialBatchError(f"{len(remaining)} of {len(records)} messages failed.")
    return None


def process_message(record: Record, has_time: Callable[[], bool] = lambda: True) -> None:
    """Process one message.

    Raise an ApiError with the reason if the message is invalid, and OutOfTimeError if not enough time is left.
    """
    message = messages.parse(record.body)
    telemetry.set_owner(_owner_of(message))
    if isinstance(message, RenderImage):
        thumbnail_jobs.render(message.key, has_time)
    else:
        _HANDLERS[type(message)](message, record)
    telemetry.logger.info("Message processed", message_id=record.message_id, type=message.__struct_config__.tag)


def _owner_of(message: Message) -> str | None:
    if not isinstance(message, RenderImage):
        return message.owner
    upload = Upload.from_key(message.key)
    return None if upload is None else upload.owner


class _Batch:
    """The messages of one invocation, processed so that one that ends the function does not affect the others.

    A picture can crash a decoder, or use up all memory or time. Lambda then delivers the whole batch again. So delete
    what is processed before that can happen: messages without a picture before the first render starts, each render
    when it ends. Process messages that are delivered for the third time (suspects) last, one by one.
    """

    def __init__(self, records: Sequence[Record], time_left: Callable[[], int]) -> None:
        self.done: list[Record] = []
        self.failed: list[Record] = []
        self.deferred: list[Record] = []
        self._records = records
        self._time_left = time_left
        self._deleted: set[Record] = set()
        self._suspects = {record for record in records if record.receives >= SUSPECT_RECEIVES}
        self._renders = {record for record in records if _is_render(record)}

    def process(self) -> None:
        """Process all messages for which there is enough time."""
        suspects = [record for record in self._records if record in self._suspects]
        suspects.sort(key=lambda record: (record.receives, record in self._renders))
        others = [record for record in self._records if record not in self._suspects]
        renders = [record for record in others if record in self._renders]
        # Leave enough time for at least one suspect.
        needed_ms = MIN_REMAINING_MS * 2 if suspects else MIN_REMAINING_MS
        self._process_in_parallel([record for record in others if record not in self._renders], needed_ms)
        if renders or suspects:
            self.delete_done()
        self._process_in_parallel(renders, needed_ms)
        self._process_one_by_one(suspects)

    def delete_done(self) -> None:
        """Delete the processed messages from the queue, so that they cannot be delivered again."""
        self._delete([record for record in self.done if record not in self._deleted])

    def _process_in_parallel(self, records: Sequence[Record], needed_ms: int) -> None:
        if len(records) < 2:
            for record in records:
                self._process(record, needed_ms)
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda record: self._process(record, needed_ms), records))

    def _process_one_by_one(self, suspects: Sequence[Record]) -> None:
        """Process messages one of which may have ended the function twice; it is unknown which.

        If the function ends again, those still waiting are delivered after its timeout and one after the other. So
        each gets a function of its own.
        """
        spacing = self._time_left() // 1000 + SUSPECT_SPACING
        _set_visibility({record: spacing * position for position, record in enumerate(suspects) if position})
        for position, record in enumerate(suspects):
            if position:
                _set_visibility({record: VISIBILITY_TIMEOUT})
            self._process(record, MIN_REMAINING_MS)

    def _process(self, record: Record, needed_ms: int) -> None:
        def has_time() -> bool:
            return self._time_left() >= needed_ms

        try:
            if not has_time():
                raise thumbnail_jobs.OutOfTimeError
            process_message(record, has_time)
        except thumbnail_jobs.OutOfTimeError:
            telemetry.logger.warning("Message deferred: not enough time left", message_id=record.message_id)
            self.deferred.append(record)
        except Exception:  # noqa: BLE001 - see the comment
            # No error of one message may fail its batch: it is delivered again, and at last to the dead-letter queue.
            telemetry.logger.exception("Message failed", message_id=record.message_id)
            self.failed.append(record)
        else:
            self.done.append(record)
            if len(self._records) > 1 and record in self._suspects | self._renders:
                self._delete([record])
        finally:
            telemetry.set_owner(None)  # This thread processes another message next.

    def _delete(self, records: Sequence[Record]) -> None:
        try:
            queue.delete([record.receipt_handle for record in records])
        except queue.FAILURES as error:
            telemetry.logger.warning("Deleting processed messages failed", error=str(error))
        else:
            self._deleted.update(records)


def _is_render(record: Record) -> bool:
    """Return whether processing a message decodes a picture, which may end the function."""
    try:
        return isinstance(messages.parse(record.body), RenderImage)
    except Exception:  # noqa: BLE001 - an invalid message fails later, when it is processed, without its batch
        return False


def _retry_delay(record: Record) -> int:
    """Return the seconds until a failed message is delivered again: 5, 10, 20 and so on.

    The queue's visibility timeout, six times the function's timeout, is for a function that ended without a response.
    """
    return min(MIN_RETRY_DELAY << (record.receives - 1), MAX_RETRY_DELAY)


def _set_visibility(seconds: Mapping[Record, int]) -> None:
    try:
        queue.set_visibility({record.receipt_handle: delay for record, delay in seconds.items()})
    except queue.FAILURES as error:
        telemetry.logger.warning("Changing the visibility timeout failed", error=str(error))


def _create_item(message: CreateItem, record: Record) -> None:
    new = validation.validate_item(exact_json.object_from_json(message.item, "item"))
    try:
        items.create(message.owner, new, times.now(), message.key or record.message_id, KEY_PERIOD)
    except errors.InvalidExpiryError:
        if new.is_expired(record.sent_at):
            raise
        # It was valid when it was sent. The item would be deleted again by now.
        telemetry.logger.info("Message skipped: the item has expired since it was sent", message_id=record.message_id)


def _delete_item(message: DeleteItem, _: Record) -> None:
    # An expired item too: if the clock were set back, it would be readable again.
    for expired in (False, True):
        with contextlib.suppress(errors.ItemNotFoundError):
            item_pictures.delete_item(message.owner, message.id, times.now(), expired=expired)
            return
    telemetry.logger.info("Message skipped: the item is already deleted", item_id=message.id)


_HANDLERS: dict[type[Any], Callable[[Any, Record], None]] = {
    ImportChunk: lambda message, _: bulk_imports.process_chunk(message.owner, message.import_id, message.chunk),
    CreateItem: _create_item,
    DeleteItem: _delete_item,
}
