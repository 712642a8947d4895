"""The jobs queue, coming out: batches in, each message settled on its own.

What a producer may put there, and what is done for it, stands in the table ``_DO``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws, errors, images, imports, items, messages, models, primitives, renders, telemetry
from chalicelib.config import settings
from chalicelib.models import CreateItem, DeleteItem, ImportChunk, RenderImage

WORKERS = aws.CONNECTIONS
"""Messages that are done at once: while one picture keeps the processor busy, others come from S3 and go there."""

FIRST_WAIT = 5
LONGEST_WAIT = 80
"""Seconds until a message that failed is delivered again: the first wait, doubled each time, up to the longest.

With the queue's ``maxReceiveCount`` of 6 (``infra/resources.json``) a job outlasts two minutes without what it needs.
"""

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


def settle(records: Sequence[Record]) -> dict[str, Any] | None:
    """Does what each message asks for and sees to it that those that failed, and only those, are delivered again.

    Where the event source mapping has ``ReportBatchItemFailures`` (``infra/package.json`` sets it, and says so in the
    environment), the answer names them (AWS, "Implementing partial batch responses"). Lambda takes that very answer
    for full success where the mapping does not have it. So, without it, the messages that are done are deleted here,
    and PartialBatchError leaves the rest on the queue.
    """
    failed = [record for record, done in zip(records, _all_done(records), strict=True) if not done]
    telemetry.count("MessagesFailed", len(failed))
    reported = settings().report_batch_item_failures
    if failed and not reported:
        _delete([record for record in records if record not in failed])
    for record in failed:
        _try_again_soon(record)
    if reported:
        return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record in failed]}
    if failed:
        raise PartialBatchError(f"{len(failed)} of {len(records)} messages failed.")
    return None


def do(record: Record) -> None:
    """Do what one message asks for. Raise an ApiError that says what is wrong with an invalid one."""
    message = messages.read(record.body)
    _DO[type(message)](message, record)


def _all_done(records: Sequence[Record]) -> list[bool]:
    if len(records) < 2:
        return [_done(record) for record in records]
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(_done, records))


def _done(record: Record) -> bool:
    try:
        do(record)
    except Exception:  # noqa: BLE001 - see the comment
        # Nothing that one message does may take its batch along: it comes again, and then to the dead-letter queue.
        telemetry.logger.exception("A message failed", message_id=record.message_id)
        return False
    return True


def _try_again_soon(record: Record) -> None:
    """Brings a failed message back in seconds: 5, 10, 20 …

    The queue's visibility timeout, six times the function's own, is for a function that died, and far too long to wait
    for one that said it failed.
    """
    wait = min(FIRST_WAIT * 2 ** (record.receives - 1), LONGEST_WAIT)
    try:
        aws.sqs().change_message_visibility(
            QueueUrl=aws.queue_url(), ReceiptHandle=record.receipt_handle, VisibilityTimeout=wait
        )
    except (BotoCoreError, ClientError) as error:
        telemetry.logger.warning("A failed message keeps its visibility timeout", error=str(error))


def _delete(records: Sequence[Record]) -> None:
    for record in records:
        aws.sqs().delete_message(QueueUrl=aws.queue_url(), ReceiptHandle=record.receipt_handle)


def _create_item(message: CreateItem, record: Record) -> None:
    draft = models.draft(primitives.json_object(message.item))
    try:
        items.create(message.owner, draft, primitives.now(), message.key or record.message_id, REMEMBERED)
    except errors.InvalidExpiryError:
        if draft.over(record.sent_at):
            raise
        # It was right when it was sent. What it asks for would be gone again by now.
        telemetry.logger.info("An item's time was up before its turn came", message_id=record.message_id)


def _delete_item(message: DeleteItem, _: Record) -> None:
    try:
        images.remove_item(message.owner, message.id, primitives.now())
    except errors.ItemNotFoundError:
        telemetry.logger.info("This item was gone already", item_id=message.id)


_DO: dict[type[Any], Callable[[Any, Record], None]] = {
    RenderImage: lambda message, _: renders.render(message.key),
    ImportChunk: lambda message, _: imports.work_off(message.owner, message.import_id, message.chunk),
    CreateItem: _create_item,
    DeleteItem: _delete_item,
}
