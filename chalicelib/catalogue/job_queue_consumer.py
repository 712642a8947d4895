"""Process batches of queue messages. One message that fails does not affect the others.

``_HANDLERS`` maps the types of messages that are processed quickly to their functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from chalicelib import aws, errors, telemetry
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import (
    item_pictures,
    items,
    messages,
    sqs_batches,
    thumbnail_jobs,
    validation,
)
from chalicelib.catalogue.messages import CreateItem, DeleteItem, ExportChunk, ImportChunk, Message, RenderImage
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.values import exact_json, times

WORKERS = aws.CONNECTIONS
"""Messages that are processed at the same time. While one picture is decoded, others are read and written."""

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
"""Seconds until a message of a crashed function is delivered again: the queue's timeout (``infra/resources.json``)."""

KEY_PERIOD = timedelta(days=30)
"""How long the idempotency key of a message is remembered: longer than the message can be delivered again.

A message may wait 4 days in the queue, 14 days as a dead letter and, sent back, 4 days in the queue
(``infra/resources.json``). Each delivery starts the period again.
"""


def process_batch(received: Sequence[ReceivedMessage], context: Any) -> dict[str, Any] | None:
    """Process messages. Only those that failed or were not started are delivered again.

    Start no message if the Lambda ``context`` has too little time left. Return and raise what
    :func:`sqs_batches.finish` does.
    """
    batch = _Batch(received, context.get_remaining_time_in_millis)
    batch.process()
    telemetry.add_count("MessagesFailed", len(batch.failed))
    telemetry.add_count("MessagesDeferred", len(batch.deferred))
    remaining = [one for one in received if one not in batch.done]
    delays = {one: sqs_batches.retry_delay(one) for one in remaining}
    return sqs_batches.finish(received, delays, batch.delete_done)


def process_message(received: ReceivedMessage, has_time: Callable[[], bool] = lambda: True) -> None:
    """Process one message.

    Raise an ApiError with the reason if the message is invalid, and OutOfTimeError if not enough time is left.
    """
    message = messages.parse(received.body)
    telemetry.set_owner(_owner_of(message))
    if isinstance(message, RenderImage):
        thumbnail_jobs.run(message.key, has_time)
    elif isinstance(message, ImportChunk):
        from chalicelib.catalogue import import_steps  # noqa: PLC0415 - few messages need it

        if not import_steps.process(message.owner, message.import_id, message.chunk, has_time):
            raise thumbnail_jobs.OutOfTimeError
    elif isinstance(message, ExportChunk):
        from chalicelib.catalogue import export_steps  # noqa: PLC0415 - few messages need it

        export_steps.process(message.owner, message.export_id, message.turn, has_time)
    else:
        _HANDLERS[type(message)](message, received)
    telemetry.logger.info("Message processed", message_id=received.message_id, type=message.__struct_config__.tag)


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

    def __init__(self, received: Sequence[ReceivedMessage], time_left: Callable[[], int]) -> None:
        self.done: list[ReceivedMessage] = []
        self.failed: list[ReceivedMessage] = []
        self.deferred: list[ReceivedMessage] = []
        self._received = received
        self._time_left = time_left
        self._deleted: set[ReceivedMessage] = set()
        self._suspects = {one for one in received if one.receives >= SUSPECT_RECEIVES}
        self._thumbnail_jobs = {one for one in received if _is_thumbnail_job(one)}

    def process(self) -> None:
        """Process all messages for which there is enough time."""
        if self._thumbnail_jobs:
            thumbnail_jobs.sandbox.start()
        suspects = [one for one in self._received if one in self._suspects]
        suspects.sort(key=lambda one: (one.receives, one in self._thumbnail_jobs))
        others = [one for one in self._received if one not in self._suspects]
        jobs = [one for one in others if one in self._thumbnail_jobs]
        # Leave enough time for at least one suspect.
        needed_ms = MIN_REMAINING_MS * 2 if suspects else MIN_REMAINING_MS
        self._process_in_parallel([one for one in others if one not in self._thumbnail_jobs], needed_ms)
        if jobs or suspects:
            self.delete_done()
        self._process_in_parallel(jobs, needed_ms)
        self._process_one_by_one(suspects)

    def delete_done(self) -> None:
        """Delete the processed messages from the queue, so that they cannot be delivered again."""
        self._delete([one for one in self.done if one not in self._deleted])

    def _process_in_parallel(self, received: Sequence[ReceivedMessage], needed_ms: int) -> None:
        if len(received) < 2:
            for one in received:
                self._process(one, needed_ms)
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda one: self._process(one, needed_ms), received))

    def _process_one_by_one(self, suspects: Sequence[ReceivedMessage]) -> None:
        """Process suspects. One of these messages may have crashed the function twice, but it is unknown which.

        If the function crashes again, each waiting message is delivered at another time after the function's timeout,
        so that each is processed in a separate invocation.
        """
        spacing = self._time_left() // 1000 + SUSPECT_SPACING
        sqs_batches.set_visibility({one: spacing * position for position, one in enumerate(suspects) if position})
        for position, one in enumerate(suspects):
            if position:
                sqs_batches.set_visibility({one: VISIBILITY_TIMEOUT})
            self._process(one, MIN_REMAINING_MS)

    def _process(self, received: ReceivedMessage, needed_ms: int) -> None:
        def has_time() -> bool:
            return self._time_left() >= needed_ms

        try:
            if not has_time():
                raise thumbnail_jobs.OutOfTimeError
            process_message(received, has_time)
        except thumbnail_jobs.OutOfTimeError:
            telemetry.logger.warning("Message deferred: not enough time left", message_id=received.message_id)
            self.deferred.append(received)
        except Exception:  # noqa: BLE001 - see the comment below
            # An error must not fail the batch. The failed message is delivered again, and finally moves to the
            # dead-letter queue.
            telemetry.logger.exception("Message failed", message_id=received.message_id)
            self.failed.append(received)
        else:
            self.done.append(received)
            if len(self._received) > 1 and received in self._suspects | self._thumbnail_jobs:
                self._delete([received])
        finally:
            telemetry.set_owner(None)  # This thread processes another message next.

    def _delete(self, received: Sequence[ReceivedMessage]) -> None:
        if sqs_batches.delete(received):
            self._deleted.update(received)


def _is_thumbnail_job(received: ReceivedMessage) -> bool:
    """Return whether processing a message decodes a picture, which may crash the function."""
    try:
        return isinstance(messages.parse(received.body), RenderImage)
    except Exception:  # noqa: BLE001 - an invalid message fails later, alone, when it is processed
        return False


def _create_item(message: CreateItem, received: ReceivedMessage) -> None:
    new = validation.validate_item(exact_json.object_from_json(message.item, "item"))
    try:
        items.create(message.owner, new, times.now(), message.key or received.message_id, KEY_PERIOD)
    except errors.InvalidExpiryError:
        if new.is_expired(received.sent_at):
            raise
        # The message was valid when it was sent. By now the item would already have expired.
        telemetry.logger.info("Message skipped: the item has expired since it was sent", message_id=received.message_id)


def _delete_item(message: DeleteItem, _: ReceivedMessage) -> None:
    try:
        # Delete an expired item too: if the clock were set back, it would be readable again.
        item_pictures.delete_item(message.owner, message.id, times.now(), expired=None)
    except errors.ItemNotFoundError:
        telemetry.logger.info("Message skipped: the item is already deleted", item_id=message.id)


_HANDLERS: dict[type[Any], Callable[[Any, ReceivedMessage], None]] = {
    CreateItem: _create_item,
    DeleteItem: _delete_item,
}
