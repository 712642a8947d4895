"""The dead-letter queues of a stage: what lies in them, tried again or deleted, and nothing lost on the way.

SQS has no way to look at a queue: who wants to see a message receives it, and it is hidden from others until it is let
go. So a look takes every message in hand, which also shows all of them rather than ten, and lets all go at its end.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Generator, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools.interruption import Interruption
from tools.ops.letters import Letter
from tools.ops.stage import Stage
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ListMessageMoveTasksResultEntryTypeDef, MessageTypeDef

Report = Callable[[int], None]
"""Takes how many letters are done by now."""
Act = Callable[[Letter], None]

HELD = 300
"""Seconds until a letter shows itself again, should this program be killed with it in hand."""

WAIT = 1
"""Seconds until an empty queue is said to be empty.

A wait, however short, has SQS ask all its servers: without one it asks some ("Amazon SQS short and long polling").
"""

_BATCH = 10  # that SQS gives, and takes, at once
_EVERY = 1.0  # seconds between two looks at a move


class Queue:
    """One dead-letter queue."""

    def __init__(self, sqs: SQSClient, url: str, interruption: Interruption, again: Act) -> None:
        """``again`` has what a letter asks for done once more, elsewhere: then the letter can go."""
        self._sqs = sqs
        self._interruption = interruption
        self._again = again
        self._in_hand: dict[str, str] = {}  # SQS's handle of each letter that is hidden from others, by its id
        self.url = url
        self.name = url.rpartition("/")[2]

    def held_elsewhere(self) -> int:
        """About how many letters are in somebody else's hands at this moment, and so cannot be seen."""
        return int(self._attribute("ApproximateNumberOfMessagesNotVisible"))

    def look(self) -> list[Letter]:
        """All letters, the oldest first. They lie there afterwards as they did before."""
        with contextlib.closing(self._take()) as letters:
            return sorted(letters, key=lambda letter: (letter.sent_at, letter.id))

    def try_again(self, ids: Collection[str], done: list[str], report: Report) -> None:
        """Send the letters called ``ids`` back, one by one; ``done`` gets each that is there.

        Each is sent before it is deleted, and no interruption comes in between: whatever happens, it is not lost.
        """

        def move(letter: Letter) -> None:
            self._again(letter)
            self._remove(letter)

        self._each(ids, move, done, report)

    def delete(self, ids: Collection[str], done: list[str], report: Report) -> None:
        """Delete the letters called ``ids`` for good; ``done`` gets each that is gone."""
        self._each(ids, self._remove, done, report)

    def move_all(self, report: Report) -> int | None:
        """Let SQS move all letters to the queue they came from; how many it moved, or None where it cannot do that.

        An interruption stops the move: what was moved stays so, and the rest lies where it lay.
        Raises StageError with the reason where the move fails.
        """
        arn = self._attribute("QueueArn")
        try:
            with self._interruption.held():
                handle = self._sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidAction":
                raise
            return None  # the emulator knows no such thing
        try:
            return self._follow_move(arn, report)
        except BaseException:
            with contextlib.suppress(ClientError):  # it may be over
                self._sqs.cancel_message_move_task(TaskHandle=handle)
            raise

    def _each(self, ids: Collection[str], act: Act, done: list[str], report: Report) -> None:
        left = set(ids)
        with contextlib.closing(self._take()) as letters:
            while left and (letter := next(letters, None)):
                if letter.id not in left:
                    continue
                with self._interruption.held():
                    act(letter)
                    done.append(letter.id)
                left.remove(letter.id)
                report(len(done))

    def _take(self) -> Generator[Letter]:
        """Yields each letter once, hidden from everybody else; lets those that are still there go at the end."""
        seen: set[str] = set()
        try:
            while messages := self._receive():
                # One that was in hand for too long shows itself again.
                fresh = [message for message in messages if message["MessageId"] not in seen]
                seen.update(message["MessageId"] for message in fresh)
                yield from (self._letter(message) for message in fresh)
        finally:
            with self._interruption.held():
                self._let_go()

    def _receive(self) -> list[MessageTypeDef]:
        with self._interruption.held():
            answer = self._sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=HELD,
                WaitTimeSeconds=WAIT,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            self._in_hand |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        return messages

    def _remove(self, letter: Letter) -> None:
        self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=self._in_hand[letter.id])
        del self._in_hand[letter.id]

    def _let_go(self) -> None:
        handles = list(self._in_hand.values())
        self._in_hand.clear()
        for start in range(0, len(handles), _BATCH):
            # One that is gone by now is named among the failed ones, and that is all.
            self._sqs.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for position, handle in enumerate(handles[start : start + _BATCH])
                ],
            )

    def _follow_move(self, arn: str, report: Report) -> int:
        while True:
            task = self._latest_move(arn)
            moved = task.get("ApproximateNumberOfMessagesMoved", 0)
            report(moved)
            if task["Status"] == "COMPLETED":
                return moved
            if task["Status"] not in ("RUNNING", "CANCELLING"):
                reason = task.get("FailureReason") or task["Status"]
                raise StageError(f"SQS moved {moved} letters of {self.name} and stopped: {reason}")
            time.sleep(_EVERY)

    def _latest_move(self, arn: str) -> ListMessageMoveTasksResultEntryTypeDef:
        return self._sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]

    def _attribute(self, name: Any) -> str:
        return self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])["Attributes"][name]

    def _letter(self, message: MessageTypeDef) -> Letter:
        attributes = message["Attributes"]
        return Letter(
            id=message["MessageId"],
            queue=self.name,
            sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
            receives=int(attributes["ApproximateReceiveCount"]),
            body=message["Body"],
            attributes={
                name: {part: given[part] for part in ("DataType", "StringValue", "BinaryValue") if part in given}
                for name, given in message.get("MessageAttributes", {}).items()
            },
        )


def of_jobs(stage: Stage, interruption: Interruption) -> Queue:
    """Where jobs end that the consumer could not do: sent back, they go to the queue of jobs."""
    sqs: SQSClient = stage.client("sqs")

    def again(letter: Letter) -> None:
        sqs.send_message(QueueUrl=stage.queue_url, MessageBody=letter.job_again, MessageAttributes=letter.attributes)

    return Queue(sqs, stage.dead_letter_queue_url, interruption, again)


def of_events(stage: Stage, interruption: Interruption) -> Queue | None:
    """Where events end that a function could not deal with: sent back, they go to the function. None: there is none."""
    if stage.failed_event_queue_url is None:
        return None

    def again(letter: Letter) -> None:
        failed = letter.failed_event
        if failed is None:
            raise StageError(f"{letter.queue}: {letter.id} is no record of a failed event, and cannot be sent back.")
        stage.client("lambda").invoke(
            FunctionName=failed.function, InvocationType="Event", Payload=json.dumps(failed.event)
        )

    return Queue(stage.client("sqs"), stage.failed_event_queue_url, interruption, again)


def of(stage: Stage, interruption: Interruption) -> Iterator[Queue]:
    """All that the stage has."""
    yield of_jobs(stage, interruption)
    if events := of_events(stage, interruption):
        yield events
