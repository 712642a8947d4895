"""What a dead letter says: a job that the consumer could not do, or an event that a function could not deal with."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.catalogue import messages
from chalicelib.values import exact_json


class FailedEvent(NamedTuple):
    """An event for a function that Lambda gave up on (AWS, "Capturing records of Lambda asynchronous invocations")."""

    function: str
    """The function's ARN."""
    event: Any
    error: str
    """The exception's name."""
    sentence: str


class Letter(NamedTuple):
    """A message that nobody could deal with."""

    id: str
    queue: str
    """The name of the queue that it lies in."""
    sent_at: datetime
    receives: int
    """How often it was handed out: to the consumer, and to those who looked at it here."""
    body: str
    attributes: dict[str, Any]
    """What its sender gave along, as SQS takes it again."""

    @property
    def type(self) -> str | None:
        """Of a job, its type: ``image.render``; of an event, the same: ``Object Created``. None where it says none."""
        said = self._said
        event = said.get("requestPayload")
        named = event.get("detail-type") if isinstance(event, dict) else said.get("type")
        return named if isinstance(named, str) else None

    @property
    def job(self) -> messages.Message | None:
        """What it asks the consumer for, or None where that cannot be understood."""
        try:
            return messages.read(self.body)
        except errors.ApiError:
            return None

    @property
    def failed_event(self) -> FailedEvent | None:
        """The event that failed, where it is one."""
        said = self._said
        context, answer = said.get("requestContext"), said.get("responsePayload")
        if not isinstance(context, dict) or "functionArn" not in context or "requestPayload" not in said:
            return None
        answer = answer if isinstance(answer, dict) else {}
        error = str(answer.get("errorType") or context.get("condition") or "")
        return FailedEvent(context["functionArn"], said["requestPayload"], error, str(answer.get("errorMessage") or ""))

    @property
    def job_again(self) -> str:
        """The body that asks for the same once more, in a new message with a new id.

        An ``item.create`` without a key counts by its id (``chalicelib/catalogue/consumer.py``). So it takes the
        old one along as its key: it makes one item, even if it was done after all, or is sent back twice.
        """
        job = self.job
        if not isinstance(job, messages.CreateItem) or job.key is not None:
            return self.body
        return exact_json.to_json(msgspec.structs.replace(job, key=self.id)).decode()

    @property
    def _said(self) -> dict[str, Any]:
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}
