"""A dead letter: a queue message that a consumer failed on, or an event that a function failed on."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.catalogue import messages
from chalicelib.values import exact_json

_BATCH = "DDBStreamBatchInfo"
"""The field of Lambda's record of a failed batch."""


class FailedEvent(NamedTuple):
    """Lambda's record of an event that a function failed on (AWS, "Lambda asynchronous invocation records")."""

    function: str
    """The function's ARN."""
    event: Any
    error: str
    """The exception's name."""
    message: str


class FailedBatch(NamedTuple):
    """Lambda's record of a batch of a stream that it gave up on (AWS, "Retaining discarded batches" of DynamoDB).

    It names the batch's records by their numbers in the stream.
    """

    stream: str
    """The stream's ARN."""
    shard: str
    first: str
    last: str
    size: int
    reason: str
    """Such as ``RetryAttemptsExhausted``."""


class DeadLetter(NamedTuple):
    """A message in a dead-letter queue."""

    id: str
    queue: str
    """The queue's name."""
    sent_at: datetime
    receives: int
    """How often it was received, by the consumer and by these commands."""
    body: str
    attributes: dict[str, Any]
    """Its message attributes, in the form that SQS accepts."""

    @property
    def type(self) -> str | None:
        """Return the type of the message, or of the failed event, such as ``image.render`` or ``Object Created``."""
        content = self._content
        if _BATCH in content:
            return "Changes"
        event = content.get("requestPayload", content.get("event"))
        if not isinstance(event, dict):
            event = content
        type_ = event.get("detail-type", event.get("type", "Changes" if "Records" in event else None))
        return type_ if isinstance(type_, str) else None

    @property
    def message(self) -> messages.Message | None:
        """Return the consumer's message, or None if the body is not a valid one."""
        try:
            return messages.parse(self.body)
        except errors.ApiError:
            return None

    @property
    def failed_event(self) -> FailedEvent | None:
        """Return the failed event, or None if the body is not Lambda's record of one."""
        content = self._content
        context, response = content.get("requestContext"), content.get("responsePayload")
        if not isinstance(context, dict) or "functionArn" not in context or "requestPayload" not in content:
            return None
        response = response if isinstance(response, dict) else {}
        error = str(response.get("errorType") or context.get("condition") or "")
        return FailedEvent(
            context["functionArn"], content["requestPayload"], error, str(response.get("errorMessage") or "")
        )

    @property
    def failed_batch(self) -> FailedBatch | None:
        """Return the failed batch of a stream, or None if the body is not Lambda's record of one."""
        content = self._content
        batch, context = content.get(_BATCH), content.get("requestContext")
        if not isinstance(batch, dict) or not isinstance(context, dict):
            return None
        return FailedBatch(
            batch["streamArn"],
            batch["shardId"],
            batch["startSequenceNumber"],
            batch["endSequenceNumber"],
            batch["batchSize"],
            str(context.get("condition") or ""),
        )

    @property
    def redrive_body(self) -> str:
        """Return the body to send back.

        An ``item.create`` without a key is idempotent by its message id, and SQS gives a message that is sent again a
        new id. So it gets its old id as its key: then it creates one item, no matter how often it is sent back.
        """
        message = self.message
        if not isinstance(message, messages.CreateItem) or message.key is not None:
            return self.body
        return exact_json.to_json(msgspec.structs.replace(message, key=self.id)).decode()

    @property
    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}
