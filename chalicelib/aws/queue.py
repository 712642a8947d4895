"""The jobs queue: how messages are sent and settled. :mod:`chalicelib.catalogue.consumer` processes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws
from chalicelib.values import exact_json

if TYPE_CHECKING:
    import msgspec
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

_BATCH = 10
"""Entries that SQS takes in one call (AWS, "SendMessageBatch")."""


class NotSentError(Exception):
    """The queue took some messages, and not all."""


class NotSettledError(Exception):
    """The queue settled some messages, and not all."""


FAILURES = (NotSentError, NotSettledError, BotoCoreError, ClientError)
"""What functions here raise if the queue does only some of what is asked, or nothing, or does not answer."""


def send(*messages: msgspec.Struct) -> None:
    """Queues messages. Raises one of FAILURES; some of the messages may have been taken all the same."""
    bodies = [exact_json.to_json(message).decode() for message in messages]
    for start in range(0, len(bodies), _BATCH):
        batch = bodies[start : start + _BATCH]
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": body} for position, body in enumerate(batch)
        ]
        answer = aws.sqs().send_message_batch(QueueUrl=aws.queue_url(), Entries=entries)
        if refused := answer.get("Failed"):
            raise NotSentError(f"{len(refused)} of {len(entries)} messages were not taken: {refused[0].get('Code')}")


def delete(handles: Sequence[str]) -> None:
    """Delete up to ten messages that were received, by their receipt handles. Raise one of FAILURES."""
    if not handles:
        return
    entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
        {"Id": str(position), "ReceiptHandle": handle} for position, handle in enumerate(handles)
    ]
    answer = aws.sqs().delete_message_batch(QueueUrl=aws.queue_url(), Entries=entries)
    if refused := answer.get("Failed"):
        raise NotSettledError(f"{len(refused)} of {len(entries)} messages were not deleted: {refused[0].get('Code')}")


def set_visibility(seconds: Mapping[str, int]) -> None:
    """Have up to ten messages that were received come again after so many seconds, by their receipt handles.

    Raise one of FAILURES.
    """
    if not seconds:
        return
    entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
        {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": wait}
        for position, (handle, wait) in enumerate(seconds.items())
    ]
    answer = aws.sqs().change_message_visibility_batch(QueueUrl=aws.queue_url(), Entries=entries)
    if refused := answer.get("Failed"):
        raise NotSettledError(f"{len(refused)} of {len(entries)} messages were not changed: {refused[0].get('Code')}")
