"""SQS in memory: standard queues with their dead-letter queues, and receivers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tests.simulation.calls import refusal


class QueueSettings(NamedTuple):
    """The settings of a queue, in seconds, as ``infra/resources.json`` has them."""

    visibility_timeout: float = 360
    max_receive_count: float = 6
    retention: float = 345_600
    dead_retention: float = 1_209_600


class Message:
    """A message, in a queue or among its dead letters."""

    def __init__(self, id_: str, body: str, sent_at: float) -> None:
        self.id = id_
        self.body = body
        self.sent_at = sent_at
        self.visible_at = sent_at
        self.receives = 0
        self.receipt = ""
        self.redriven = False
        """Whether it was a dead letter that was sent back: SQS counts that as a new message."""


class Queue:
    """A queue and its dead letters."""

    def __init__(self, clock: Callable[[], float], numbers: itertools.count[int], settings: QueueSettings) -> None:
        self._clock = clock
        self._numbers = numbers
        self.settings = settings
        self.messages: dict[str, Message] = {}
        self.dead: dict[str, Message] = {}
        self.expired: list[Message] = []

    def send(self, body: str, delay: float = 0) -> Message:
        """Add a message, which is visible after ``delay`` seconds."""
        message = Message(f"message-{next(self._numbers)}", body, self._clock())
        message.visible_at += delay
        self.messages[message.id] = message
        self.on_visible(message, delay)
        return message

    def delete(self, receipt: str) -> None:
        """Delete a message. An old receipt handle of a standard queue also deletes, as long as it is known."""
        self.messages.pop(receipt.partition("/")[0], None)

    def change_visibility(self, receipt: str, seconds: float) -> None:
        """Set when a received message is visible again."""
        message = self.messages.get(receipt.partition("/")[0])
        if message is None:
            raise refusal("change_message_visibility", "InvalidParameterValue", "The message does not exist.")
        if message.visible_at <= self._clock():
            raise refusal("change_message_visibility", "MessageNotInflight", "The message is not in flight.")
        message.visible_at = self._clock() + seconds
        self.on_visible(message, seconds)

    def visible(self) -> list[Message]:
        """Return the visible messages. Those that were received too often become dead letters."""
        now, found = self._clock(), []
        for message in list(self.messages.values()):
            if message.sent_at + self.settings.retention <= now:
                self.expired.append(self.messages.pop(message.id))
            elif message.visible_at <= now and message.receives >= self.settings.max_receive_count:
                self.dead[message.id] = self.messages.pop(message.id)
            elif message.visible_at <= now:
                found.append(message)
        return found

    def receive(self, message: Message) -> Message:
        """Deliver a message, and hide it for the visibility timeout."""
        message.receives += 1
        message.visible_at = self._clock() + self.settings.visibility_timeout
        message.receipt = f"{message.id}/{next(self._numbers)}"
        self.on_visible(message, self.settings.visibility_timeout)
        return message

    def redrive(self) -> list[Message]:
        """Send the dead letters back as new messages, as the operator does (AWS, "Dead-letter queue redrive")."""
        back, self.dead = list(self.dead.values()), {}
        again = []
        for old in back:
            if old.sent_at + self.settings.dead_retention <= self._clock():
                self.expired.append(old)
                continue
            again.append(self.send(old.body))
            again[-1].redriven = True
        return again

    def on_visible(self, message: Message, seconds: float) -> None:
        """Do nothing. The world replaces this method to learn in how many seconds a message becomes visible."""


class SQS:
    """The queues of a stage."""

    name = "sqs"
    refusals = ("RequestThrottled", "InternalError")

    def __init__(self, clock: Callable[[], float], settings: Mapping[str, QueueSettings]) -> None:
        numbers = itertools.count(1)
        self.queues = {name: Queue(clock, numbers, one) for name, one in settings.items()}

    # ---------------------------------------------------------------------------------------------------- operations

    def get_queue_url(self, *, QueueName: str) -> dict[str, Any]:  # noqa: N803
        if QueueName not in self.queues:
            raise refusal("get_queue_url", "AWS.SimpleQueueService.NonExistentQueue", "The queue does not exist.")
        return {"QueueUrl": f"https://sqs.invalid/{QueueName}"}

    def send_message(  # the group decides on the order in which messages are received, which is random here
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MessageBody: str,  # noqa: N803
        DelaySeconds: int = 0,  # noqa: N803
        MessageGroupId: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        message = self._queue(QueueUrl).send(MessageBody, DelaySeconds)
        return {"MessageId": message.id, "MD5OfMessageBody": _md5(MessageBody)}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        ids = [one["Id"] for one in Entries]
        if not ids:
            raise refusal("send_message_batch", "AWS.SimpleQueueService.EmptyBatchRequest", "No entries.")
        if len(ids) > 10:
            raise refusal("send_message_batch", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "More than 10.")
        if len(set(ids)) < len(ids):
            raise refusal("send_message_batch", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Ids repeat.")
        if sum(len(one["MessageBody"].encode()) for one in Entries) > MAX_BYTES:
            raise refusal("send_message_batch", "AWS.SimpleQueueService.BatchRequestTooLong", "Too many bytes.")
        sent = [self.send_message(QueueUrl=QueueUrl, **_parameters(one)) for one in Entries]
        return {"Successful": [{"Id": id_, **one} for id_, one in zip(ids, sent, strict=True)]}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1, **_: Any) -> dict[str, Any]:  # noqa: N803
        queue = self._queue(QueueUrl)
        found = [queue.receive(message) for message in queue.visible()[:MaxNumberOfMessages]]
        return {"Messages": [_told(message) for message in found]} if found else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:  # noqa: N803
        self._queue(QueueUrl).delete(ReceiptHandle)
        return {}

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return self._each(self.delete_message, QueueUrl, Entries)

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> dict[str, Any]:  # noqa: N803
        self._queue(QueueUrl).change_visibility(ReceiptHandle, VisibilityTimeout)
        return {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return self._each(self.change_message_visibility, QueueUrl, Entries)

    def _each(self, do: Callable[..., Any], url: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Call a function for each entry. Return the successful and the failed entries."""
        answer: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in entries:
            id_ = {"Id": entry["Id"]}
            try:
                do(QueueUrl=url, **_parameters(entry))
                answer["Successful"].append(id_)
            except ClientError as error:
                answer["Failed"].append({**id_, "Code": error.response["Error"]["Code"], "SenderFault": True})
        return {name: results for name, results in answer.items() if results}

    def _queue(self, url: str) -> Queue:
        return self.queues[url.rpartition("/")[2]]

    # ------------------------------------------------------------------------------------------------- for the world

    def half(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Apply only the first half of a batch. The response lists the other entries as failed."""
        entries = parameters["Entries"]
        taken, left = entries[: len(entries) // 2], entries[len(entries) // 2 :]
        answer = getattr(self, operation)(**{**parameters, "Entries": taken}) if taken else {"Successful": []}
        return {**answer, "Failed": [{"Id": one["Id"], "Code": "InternalError", "SenderFault": False} for one in left]}


MAX_BYTES = 1024 * 1024
"""The most bytes of the messages of one call (AWS, "Amazon SQS message quotas")."""


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "Id"}


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
