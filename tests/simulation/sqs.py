"""SQS in memory: a standard queue with its dead-letter queue, and receivers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.simulation.calls import refusal


class Message:
    """A message, in either queue."""

    def __init__(self, number: int, body: str, sent_at: float) -> None:
        self.id = f"message-{number}"
        self.body = body
        self.sent_at = sent_at
        self.visible_at = sent_at
        self.receives = 0
        self.receipt = ""
        self.redriven = False
        """Whether it was a dead letter that was sent back: SQS counts that as a new message."""


class SQS:
    """A queue and its dead letters."""

    name = "sqs"
    refusals = ("RequestThrottled", "InternalError")

    def __init__(
        self,
        clock: Callable[[], float],
        visibility_timeout: float = 360,
        max_receive_count: float = 6,
        retention: float = 345_600,
        dead_retention: float = 1_209_600,
    ) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._receipts = itertools.count(1)
        self.visibility_timeout = visibility_timeout
        self.max_receive_count = max_receive_count
        self.retention = retention
        self.dead_retention = dead_retention
        self.messages: dict[str, Message] = {}
        self.dead: dict[str, Message] = {}
        self.expired: list[Message] = []

    # ---------------------------------------------------------------------------------------------------- operations

    def get_queue_url(self, *, QueueName: str) -> dict[str, Any]:  # noqa: N803
        return {"QueueUrl": f"https://sqs.invalid/{QueueName}"}

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> dict[str, Any]:  # noqa: N803
        message = Message(next(self._numbers), MessageBody, self._clock())
        self.messages[message.id] = message
        self.on_visible(message, 0)
        return {"MessageId": message.id, "MD5OfMessageBody": _md5(MessageBody)}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        ids = [one["Id"] for one in Entries]
        if not ids:
            raise refusal("send_message_batch", "AWS.SimpleQueueService.EmptyBatchRequest", "No entries.")
        if len(ids) > 10:
            raise refusal("send_message_batch", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "More than 10.")
        if len(set(ids)) < len(ids):
            raise refusal("send_message_batch", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Ids repeat.")
        sent = [self.send_message(QueueUrl=QueueUrl, MessageBody=one["MessageBody"]) for one in Entries]
        return {"Successful": [{"Id": id_, **one} for id_, one in zip(ids, sent, strict=True)]}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1, **_: Any) -> dict[str, Any]:  # noqa: N803
        found = [self.receive(message) for message in self.visible()[:MaxNumberOfMessages]]
        return {"Messages": [_told(message) for message in found]} if found else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:  # noqa: N803
        # An old receipt handle of a standard queue also deletes, as long as it is known.
        self.messages.pop(ReceiptHandle.partition("/")[0], None)
        return {}

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return self._each(self.delete_message, Entries)

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> dict[str, Any]:  # noqa: N803
        message = self.messages.get(ReceiptHandle.partition("/")[0])
        if message is None:
            raise refusal("change_message_visibility", "InvalidParameterValue", "The message does not exist.")
        if message.visible_at <= self._clock():
            raise refusal("change_message_visibility", "MessageNotInflight", "The message is not in flight.")
        message.visible_at = self._clock() + VisibilityTimeout
        self.on_visible(message, VisibilityTimeout)
        return {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return self._each(self.change_message_visibility, Entries)

    def _each(self, do: Callable[..., Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Call a function for each entry. Return the successful and the failed entries."""
        answer: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in entries:
            id_ = {"Id": entry["Id"]}
            try:
                do(QueueUrl="", **{name: value for name, value in entry.items() if name != "Id"})
                answer["Successful"].append(id_)
            except ClientError as error:
                answer["Failed"].append({**id_, "Code": error.response["Error"]["Code"], "SenderFault": True})
        return {name: told for name, told in answer.items() if told}

    # ------------------------------------------------------------------------------------------------- for the world

    def visible(self) -> list[Message]:
        """Return the visible messages. Those that were received too often become dead letters."""
        now, found = self._clock(), []
        for message in list(self.messages.values()):
            if message.sent_at + self.retention <= now:
                self.expired.append(self.messages.pop(message.id))
            elif message.visible_at <= now and message.receives >= self.max_receive_count:
                self.dead[message.id] = self.messages.pop(message.id)
            elif message.visible_at <= now:
                found.append(message)
        return found

    def receive(self, message: Message) -> Message:
        """Deliver a message, and hide it for the visibility timeout."""
        message.receives += 1
        message.visible_at = self._clock() + self.visibility_timeout
        message.receipt = f"{message.id}/{next(self._receipts)}"
        self.on_visible(message, self.visibility_timeout)
        return message

    def redrive(self) -> list[Message]:
        """Send the dead letters back as new messages, as the operator does (AWS, "Dead-letter queue redrive")."""
        back, self.dead = list(self.dead.values()), {}
        again = []
        for old in back:
            if old.sent_at + self.dead_retention <= self._clock():
                self.expired.append(old)
                continue
            self.send_message(QueueUrl="", MessageBody=old.body)
            again.append(next(reversed(self.messages.values())))
            again[-1].redriven = True
        return again

    def on_visible(self, message: Message, seconds: float) -> None:
        """Do nothing. The world replaces this method to learn in how many seconds a message becomes visible."""

    def half(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Apply only the first half of a batch. The response lists the other entries as failed."""
        entries = parameters["Entries"]
        taken, left = entries[: len(entries) // 2], entries[len(entries) // 2 :]
        answer = getattr(self, operation)(**{**parameters, "Entries": taken}) if taken else {"Successful": []}
        return {**answer, "Failed": [{"Id": one["Id"], "Code": "InternalError", "SenderFault": False} for one in left]}


def _told(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "MD5OfBody": _md5(message.body),
        "Attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(int(message.sent_at * 1000)),
        },
    }


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
