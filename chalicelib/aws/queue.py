"""The queues: send, delete and delay messages.

:mod:`chalicelib.catalogue.job_queue_consumer` processes the messages of the jobs queue, and
:mod:`chalicelib.events.delivery_queue_consumer` those of the deliveries queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws
from chalicelib.config import Queue
from chalicelib.values import exact_json

if TYPE_CHECKING:
    import msgspec
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

_MAX_BATCH = 10
"""Entries that SQS accepts in one call (AWS, "SendMessageBatch")."""

_MAX_BATCH_BYTES = 256 * 1024
"""Bytes of the messages of one call. AWS allows 1 MB; other implementations may still allow only 256 KB."""


class QueueError(Exception):
    """SQS rejected some entries of a batch and accepted the others."""


FAILURES = (QueueError, BotoCoreError, ClientError)
"""The exceptions of this module's functions if SQS rejects a call or some of its entries, or does not respond."""


def send(*messages: msgspec.Struct, to: Queue = "jobs", group: Callable[[Any], str] | None = None) -> None:
    """Send messages. Raise one of FAILURES; some of the messages may have been sent nevertheless.

    ``group`` returns the group of a message. If a group has many messages, they wait for those of the other groups
    (AWS, "Amazon SQS fair queues").
    """
    for batch in _batches([exact_json.to_json(message) for message in messages]):
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": body.decode()} for position, body in batch
        ]
        if group:
            for entry in entries:
                entry["MessageGroupId"] = group(messages[int(entry["Id"])])
        answer = aws.sqs().send_message_batch(QueueUrl=aws.queue_url(to), Entries=entries)
        _require_all(answer.get("Failed"), len(entries), "sent")


def _batches(bodies: Sequence[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the batch of each call: bodies, each with its index in ``bodies``.

    A body that is too large for a call with others has a batch of its own.
    """
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, body in enumerate(bodies):
        if batch and (len(batch) == _MAX_BATCH or size + len(body) > _MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((number, body))
        size += len(body)
    if batch:
        yield batch


def delete(handles: Sequence[str], of: Queue = "jobs") -> None:
    """Delete up to 10 received messages, given their receipt handles. Raise one of FAILURES."""
    if not handles:
        return
    entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
        {"Id": str(position), "ReceiptHandle": handle} for position, handle in enumerate(handles)
    ]
    answer = aws.sqs().delete_message_batch(QueueUrl=aws.queue_url(of), Entries=entries)
    _require_all(answer.get("Failed"), len(entries), "deleted")


def set_visibility(seconds: Mapping[str, int], of: Queue = "jobs") -> None:
    """Set the visibility timeouts of up to 10 received messages, in seconds from now, by receipt handle.

    SQS delivers a message again when its timeout ends. Raise one of FAILURES.
    """
    if not seconds:
        return
    entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
        {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": timeout}
        for position, (handle, timeout) in enumerate(seconds.items())
    ]
    answer = aws.sqs().change_message_visibility_batch(QueueUrl=aws.queue_url(of), Entries=entries)
    _require_all(answer.get("Failed"), len(entries), "changed")


def _require_all(rejected: Sequence[BatchResultErrorEntryTypeDef] | None, count: int, done: str) -> None:
    if rejected:
        raise QueueError(f"{len(rejected)} of {count} messages were not {done}: {rejected[0].get('Code')}")
