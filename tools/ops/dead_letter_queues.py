"""The dead-letter queues of a stage: list their messages and send them back.

SQS shows a message only to a program that receives it, which hides it from others for a while. So a listing receives
all messages, in batches of ten, and makes them visible again at the end.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chalicelib.events import failed_changes
from tools.interruption import Interruption
from tools.ops import stream_records
from tools.ops.dead_letter import DeadLetter, FailedBatch
from tools.ops.deployed_stage import Stage
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

Report = Callable[[int], None]
"""A function that reports the progress, given how many messages are processed so far."""

VISIBILITY_TIMEOUT = 300
"""Seconds until a message is visible again if this program is killed."""

WAIT_TIME = 1
"""Seconds to wait for messages.

Any wait makes SQS query all its servers; without one it queries some ("Amazon SQS short and long polling").
"""

_BATCH_SIZE = 10  # the most that SQS returns or takes in one call


class DeadLetterQueue:
    """One dead-letter queue."""

    def __init__(
        self, sqs: SQSClient, url: str, interruption: Interruption, send_back: Callable[[DeadLetter], None]
    ) -> None:
        self._sqs = sqs
        self._interruption = interruption
        self._send_back = send_back
        self._receipt_handles: dict[str, str] = {}  # of the messages that this program hides, by message id
        self.url = url
        self.name = url.rpartition("/")[2]

    def count_in_flight(self) -> int:
        """Return about how many messages another program has received, which hides them from this one."""
        response = self._sqs.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
        )
        return int(response["Attributes"]["ApproximateNumberOfMessagesNotVisible"])

    def list_all(self) -> list[DeadLetter]:
        """Return all visible messages, the oldest first, and leave them in the queue."""
        with contextlib.closing(self._receive_all()) as letters:
            return sorted(letters, key=lambda letter: (letter.sent_at, letter.id))

    def redrive(self, ids: Collection[str], done: list[str], report: Report) -> None:
        """Send the messages with these ``ids`` back, and append the id of each that was found to ``done``.

        Each is sent before it is deleted, and an interruption waits until both are done, so that none is lost.
        """
        remaining = set(ids)
        with contextlib.closing(self._receive_all()) as letters:
            while remaining and (letter := next(letters, None)):
                if letter.id not in remaining:
                    continue
                with self._interruption.deferred():
                    self._send_back(letter)
                    self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=self._receipt_handles.pop(letter.id))
                    done.append(letter.id)
                remaining.remove(letter.id)
                report(len(done))

    def _receive_all(self) -> Generator[DeadLetter]:
        """Yield each message once, and make those that were not deleted visible again at the end."""
        seen: set[str] = set()
        try:
            while messages := self._receive():
                # A message that was hidden for longer than its visibility timeout is received again.
                new = [message for message in messages if message["MessageId"] not in seen]
                seen.update(message["MessageId"] for message in new)
                yield from (self._dead_letter(message) for message in new)
        finally:
            with self._interruption.deferred():
                self._make_visible()

    def _receive(self) -> list[MessageTypeDef]:
        with self._interruption.deferred():
            response = self._sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=_BATCH_SIZE,
                VisibilityTimeout=VISIBILITY_TIMEOUT,
                WaitTimeSeconds=WAIT_TIME,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
            messages = response.get("Messages", [])
            self._receipt_handles |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        return messages

    def _make_visible(self) -> None:
        handles = list(self._receipt_handles.values())
        self._receipt_handles.clear()
        for start in range(0, len(handles), _BATCH_SIZE):
            # The response lists messages that are gone by now as failed. Nothing has to be done about them.
            self._sqs.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for position, handle in enumerate(handles[start : start + _BATCH_SIZE])
                ],
            )

    def _dead_letter(self, message: MessageTypeDef) -> DeadLetter:
        system_attributes = message["Attributes"]
        return DeadLetter(
            id=message["MessageId"],
            queue=self.name,
            sent_at=datetime.fromtimestamp(int(system_attributes["SentTimestamp"]) / 1000, UTC),
            receives=int(system_attributes["ApproximateReceiveCount"]),
            body=message["Body"],
            attributes={
                name: {part: value[part] for part in ("DataType", "StringValue", "BinaryValue") if part in value}
                for name, value in message.get("MessageAttributes", {}).items()
            },
        )


def of_stage(stage: Stage, interruption: Interruption) -> list[DeadLetterQueue]:
    """Return the dead-letter queue of jobs, and those of deliveries and of failed events if the stage has them."""
    queues = [_of_messages(stage, interruption, stage.queue_url, stage.dead_letter_queue_url)]
    if stage.delivery_queue_url and stage.delivery_dead_letter_queue_url:
        queues.append(_of_messages(stage, interruption, stage.delivery_queue_url, stage.delivery_dead_letter_queue_url))
    if stage.failed_event_queue_url is not None:
        queues.append(_of_failed_events(stage, stage.failed_event_queue_url, interruption))
    return queues


def _of_messages(stage: Stage, interruption: Interruption, source_url: str, url: str) -> DeadLetterQueue:
    sqs: SQSClient = stage.client("sqs")

    def send_back(letter: DeadLetter) -> None:
        sqs.send_message(QueueUrl=source_url, MessageBody=letter.redrive_body, MessageAttributes=letter.attributes)

    return DeadLetterQueue(sqs, url, interruption, send_back)


def _of_failed_events(stage: Stage, url: str, interruption: Interruption) -> DeadLetterQueue:
    def send_back(letter: DeadLetter) -> None:
        if batch := letter.failed_batch:
            _send_changes(stage, letter, batch)
            return
        failed = letter.failed_event
        if failed is None:
            raise StageError(
                f"{letter.id} in {letter.queue} cannot be sent back: it is not the record of a failed event."
            )
        stage.client("lambda").invoke(
            FunctionName=failed.function, InvocationType="Event", Payload=json.dumps(failed.event)
        )

    return DeadLetterQueue(stage.client("sqs"), url, interruption, send_back)


def _send_changes(stage: Stage, letter: DeadLetter, batch: FailedBatch) -> None:
    """Send the changes of a batch to on_change. Raise StageError if the stream no longer has them all."""
    try:
        records = stream_records.records_of(stage, batch)
    except StageError as error:
        raise StageError(f"{letter.id} in {letter.queue} cannot be sent back: {error}.") from error
    function = stage.function("on_change").name
    # Each change is in an event of its own, so that one that is too large fails alone.
    for record in records:
        event = {"Records": [{**record, failed_changes.SET_ASIDE: True}]}
        stage.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
