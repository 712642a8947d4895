"""The jobs queue, coming out: batches in, each message settled on its own.

What a producer may put there, and what is done for it, stands in the table ``_DO``.
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
"""Messages that are done at once: while one picture keeps the processor busy, others come from S3 and go there."""

FIRST_WAIT = 5
LONGEST_WAIT = 80
"""Seconds until a message that failed is delivered again: the first wait, doubled each time, up to the longest.

With the queue's ``maxReceiveCount`` of 6 (``infra/resources.json``) a job outlasts two minutes without what it needs.
"""

SUSPECT = 3
"""The delivery from which on a message is done alone and last: it may be what ended the function twice."""

APART = 10
"""Seconds, besides the time that a function may take, between such messages that come back: none meets the next."""

TIME_NEEDED = 20_000
"""Milliseconds of the function's time without which no message is begun: more than the largest picture takes."""

VISIBILITY = 360
"""Seconds until a message comes back after the function died: the queue's (``infra/resources.json``)."""

REMEMBERED = timedelta(days=30)
"""How long the key of a message is remembered: longer than the message can come again.

It may wait in the queue for 4 days, then 14 days as a dead letter, and when it is sent back 4 days more
(``infra/resources.json``). If it comes again, its key is remembered for that long again.
"""


class Record(NamedTuple):
    """One delivery of a message."""

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_at: datetime

    @staticmethod
    def of(record: Mapping[str, Any]) -> Record:
        """From a record as Lambda hands it over."""
        attributes = record["attributes"]
        return Record(
            record["messageId"],
            record["receiptHandle"],
            record["body"],
            int(attributes["ApproximateReceiveCount"]),
            datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        )


class PartialBatchError(Exception):
    """Some messages of a batch failed. The others are deleted already, so that only the failed ones come again."""


def settle(records: Sequence[Record], context: Any) -> dict[str, Any] | None:
    """Do what each message asks for, and see to it that those that failed, and only those, are delivered again.

    If the event source mapping has ``ReportBatchItemFailures`` (``infra/package.json`` sets it, and says so in the
    environment), the response names them (AWS, "Implementing partial batch responses"). Without it, Lambda takes the
    same response for full success. So the messages that are done are deleted here then, and PartialBatchError leaves
    the rest on the queue.

    No message is begun for which the Lambda ``context`` has too little time.
    """
    batch = _Batch(records, context.get_remaining_time_in_millis)
    batch.work()
    telemetry.add_count("MessagesFailed", len(batch.failed))
    telemetry.add_count("MessagesPutOff", len(batch.put_off))
    again = [record for record in records if record not in batch.done]
    _set_visibility({record: _wait(record) for record in again})
    if settings().report_batch_item_failures:
        return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record in again]}
    if again:
        batch.delete_done()
        raise PartialBatchError(f"{len(again)} of {len(records)} messages failed.")
    return None


def do(record: Record, has_time: Callable[[], bool] = lambda: True) -> None:
    """Do what one message asks for.

    Raise an ApiError that says what is wrong with an invalid one, or OutOfTimeError if there is not enough time.
    """
    message = messages.read(record.body)
    telemetry.set_owner(_owner_of(message))
    if isinstance(message, RenderImage):
        thumbnail_jobs.render(message.key, has_time)
    else:
        _DO[type(message)](message, record)
    telemetry.logger.info("A message was processed", message_id=record.message_id, type=message.__struct_config__.tag)


def _owner_of(message: Message) -> str | None:
    if not isinstance(message, RenderImage):
        return message.owner
    upload = Upload.from_key(message.key)
    return None if upload is None else upload.owner


class _Batch:
    """The messages of one invocation, done in an order in which a message that ends the function harms no other.

    A picture can crash a decoder, take all memory or all time. Lambda then delivers the whole batch again, so whatever
    is done is deleted from the queue before that can happen: messages without a picture before the first render begins,
    each render as it ends. Messages that come for the third time are done last, one by one.
    """

    def __init__(self, records: Sequence[Record], time_left: Callable[[], int]) -> None:
        self.done: list[Record] = []
        self.failed: list[Record] = []
        self.put_off: list[Record] = []
        self._records = records
        self._time_left = time_left
        self._deleted: set[Record] = set()
        self._suspects = {record for record in records if record.receives >= SUSPECT}
        self._risky = {record for record in records if _decodes(record)}

    def work(self) -> None:
        """Do all of them, as far as there is time."""
        suspects = [record for record in self._records if record in self._suspects]
        suspects.sort(key=lambda record: (record.receives, record in self._risky))
        others = [record for record in self._records if record not in self._suspects]
        risky = [record for record in others if record in self._risky]
        # One of those that are done last must still have its time.
        needed = TIME_NEEDED * 2 if suspects else TIME_NEEDED
        self._at_once([record for record in others if record not in self._risky], needed)
        if risky or suspects:
            self.delete_done()
        self._at_once(risky, needed)
        self._one_by_one(suspects)

    def delete_done(self) -> None:
        """Delete the messages that are done, so that they cannot come again whatever happens from here on."""
        self._delete([record for record in self.done if record not in self._deleted])

    def _at_once(self, records: Sequence[Record], needed: int) -> None:
        if len(records) < 2:
            for record in records:
                self._do(record, needed)
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda record: self._do(record, needed), records))

    def _one_by_one(self, suspects: Sequence[Record]) -> None:
        """Do messages one of which may have ended the function twice; it is not known which.

        If the function ends now, those that wait come back once it surely has ended, and one after the other: each
        has a function of its own then, whatever the others do to theirs.
        """
        wait = self._time_left() // 1000 + APART
        _set_visibility({record: wait * position for position, record in enumerate(suspects) if position})
        for position, record in enumerate(suspects):
            if position:
                _set_visibility({record: VISIBILITY})
            self._do(record, TIME_NEEDED)

    def _do(self, record: Record, needed: int) -> None:
        def has_time() -> bool:
            return self._time_left() >= needed

        try:
            if not has_time():
                raise thumbnail_jobs.OutOfTimeError
            do(record, has_time)
        except thumbnail_jobs.OutOfTimeError:
            telemetry.logger.warning("A message was put off: too little time is left", message_id=record.message_id)
            self.put_off.append(record)
        except Exception:  # noqa: BLE001 - see the comment
            # Nothing that one message does may take its batch along: it comes again, and then to the dead-letter queue.
            telemetry.logger.exception("A message failed", message_id=record.message_id)
            self.failed.append(record)
        else:
            self.done.append(record)
            if len(self._records) > 1 and record in self._suspects | self._risky:
                self._delete([record])
        finally:
            telemetry.set_owner(None)  # this thread does another message next

    def _delete(self, records: Sequence[Record]) -> None:
        try:
            queue.delete([record.receipt_handle for record in records])
        except queue.FAILURES as error:
            telemetry.logger.warning("Messages that are done could not be deleted", error=str(error))
        else:
            self._deleted.update(records)


def _decodes(record: Record) -> bool:
    """Whether a message has a picture decoded, which may end the function."""
    try:
        return isinstance(messages.read(record.body), RenderImage)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it fails when its turn comes, and its batch does not
        return False


def _wait(record: Record) -> int:
    """Return the seconds until a message that failed is delivered again: 5, 10, 20 …

    The queue's visibility timeout, six times the function's own, is for a function that died, and far too long to wait
    for one that said it failed.
    """
    return min(FIRST_WAIT << (record.receives - 1), LONGEST_WAIT)


def _set_visibility(seconds: Mapping[Record, int]) -> None:
    try:
        queue.set_visibility({record.receipt_handle: wait for record, wait in seconds.items()})
    except queue.FAILURES as error:
        telemetry.logger.warning("Messages keep their visibility timeout", error=str(error))


def _create_item(message: CreateItem, record: Record) -> None:
    draft = validation.draft(exact_json.object_from_json(message.item, "item"))
    try:
        items.create(message.owner, draft, times.now(), message.key or record.message_id, REMEMBERED)
    except errors.InvalidExpiryError:
        if draft.over(record.sent_at):
            raise
        # It was right when it was sent. What it asks for would be gone again by now.
        telemetry.logger.info("An item's time was up before its turn came", message_id=record.message_id)


def _delete_item(message: DeleteItem, _: Record) -> None:
    # An expired item, too: nobody can read it now, but if the clock is set back it would be there again.
    for expired in (False, True):
        with contextlib.suppress(errors.ItemNotFoundError):
            item_pictures.remove_item(message.owner, message.id, times.now(), over=expired)
            return
    telemetry.logger.info("This item was deleted already", item_id=message.id)


_DO: dict[type[Any], Callable[[Any, Record], None]] = {
    ImportChunk: lambda message, _: bulk_imports.work_off(message.owner, message.import_id, message.chunk),
    CreateItem: _create_item,
    DeleteItem: _delete_item,
}
