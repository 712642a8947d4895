"""The jobs queue, going in: what is sent here, :mod:`chalicelib.jobs` works off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws, primitives
from chalicelib.models import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_BATCH = 10
"""Entries that SQS takes in one call (AWS, "SendMessageBatch")."""


class NotSentError(Exception):
    """The queue took some messages, and not all."""


FAILURES = (NotSentError, BotoCoreError, ClientError)
"""What :func:`send` raises when the queue takes only some of the messages, or none, or does not answer."""


def send(*messages: Message) -> None:
    """Queues messages. Raises one of FAILURES; some of the messages may have been taken all the same."""
    bodies = [primitives.to_json(message).decode() for message in messages]
    for start in range(0, len(bodies), _BATCH):
        batch = bodies[start : start + _BATCH]
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": body} for position, body in enumerate(batch)
        ]
        answer = aws.sqs().send_message_batch(QueueUrl=aws.queue_url(), Entries=entries)
        if refused := answer.get("Failed"):
            raise NotSentError(f"{len(refused)} of {len(entries)} messages were not taken: {refused[0].get('Code')}")
