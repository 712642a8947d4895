"""The batches of messages that Lambda received from an SQS queue: which of the messages are delivered again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chalicelib import telemetry
from chalicelib.aws import queue
from chalicelib.config import Queue, settings

MIN_RETRY_DELAY = 5
MAX_RETRY_DELAY = 80
"""Seconds until a failed message is delivered again: MIN_RETRY_DELAY at first, then doubled each time up to this.

With the queue's ``maxReceiveCount`` of 6 (``infra/resources.json``), a message survives an outage of two minutes.
"""


class ReceivedMessage(NamedTuple):
    """One delivery of a message by its queue. ``receives`` counts its deliveries, including this one."""

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_at: datetime

    @staticmethod
    def from_event(record: Mapping[str, Any]) -> ReceivedMessage:
        """Return the message that a record of Lambda's event describes (AWS, "Using Lambda with Amazon SQS")."""
        attributes = record["attributes"]
        return ReceivedMessage(
            record["messageId"],
            record["receiptHandle"],
            record["body"],
            int(attributes["ApproximateReceiveCount"]),
            datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        )


class PartialBatchError(Exception):
    """Some messages of a batch were not processed. The others are deleted, so only these are delivered again."""


def retry_delay(message: ReceivedMessage) -> int:
    """Return the seconds until a failed message is delivered again: 5, 10, 20 and so on.

    The queue's own visibility timeout, six times the function's timeout, applies if the function crashes.
    """
    return min(MIN_RETRY_DELAY << (message.receives - 1), MAX_RETRY_DELAY)


def finish(
    received: Sequence[ReceivedMessage],
    delays: Mapping[ReceivedMessage, int],
    delete_done: Callable[[], object],
    of: Queue = "jobs",
) -> dict[str, Any] | None:
    """End a batch: the messages in ``delays`` are delivered again, each after its delay in seconds; the others are not.

    If the event source mapping has the setting ``ReportBatchItemFailures``, return the messages in ``delays`` (AWS,
    "Implementing partial batch responses"). ``infra/package.json`` sets it, and an environment variable that says so.
    Without the setting, Lambda would treat a returned response as full success. So call ``delete_done``, which deletes
    the others, and raise PartialBatchError.
    """
    set_visibility(delays, of)
    if settings().report_batch_item_failures:
        return {"batchItemFailures": [{"itemIdentifier": message.message_id} for message in delays]}
    if delays:
        delete_done()
        raise PartialBatchError(f"{len(delays)} of {len(received)} messages failed.")
    return None


def set_visibility(seconds: Mapping[ReceivedMessage, int], of: Queue = "jobs") -> None:
    """Set after how many seconds messages are delivered again. A failure is only logged."""
    try:
        queue.set_visibility({message.receipt_handle: delay for message, delay in seconds.items()}, of)
    except queue.FAILURES as error:
        telemetry.logger.warning("Changing the visibility timeout failed", error=str(error))


def delete(messages: Sequence[ReceivedMessage], of: Queue = "jobs") -> bool:
    """Delete messages from their queue. Return whether that succeeded; a failure is only logged."""
    try:
        queue.delete([message.receipt_handle for message in messages], of)
    except queue.FAILURES as error:
        telemetry.logger.warning("Deleting processed messages failed", error=str(error))
        return False
    return True
