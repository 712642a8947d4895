"""The event source mappings of Lambda: they pass batches of messages and of stream records to functions.

Their settings are the deployed ones: those of ``infra/package.json``, or Chalice's if it deployed the app.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib import config
from tests.simulation.faults import Faults
from tests.simulation.functions import Lambda
from tests.simulation.sqs import Message, Queue
from tests.simulation.streams import Shard, Stream, StreamRecord
from tests.simulation.timeline import Process, Timeline

_merged = json.loads((Path(__file__).parents[2] / "infra" / "package.json").read_text())["Resources"]


def merged_settings(function: str) -> dict[str, Any]:
    """Return what ``infra/package.json`` sets for the event source of a function, by its id in the template."""
    [source] = _merged[function]["Properties"]["Events"].values()
    found: dict[str, Any] = source["Properties"]
    return found


class QueueMapping:
    """Passes batches from a queue to a function."""

    def __init__(self, timeline: Timeline, functions: Lambda, faults: Faults, queue: Queue, function: str) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._faults = faults
        self._queue = queue
        self._function = function
        id_ = "".join(part.title() for part in function.split("_"))
        self._concurrency = merged_settings(id_)["ScalingConfig"]["MaximumConcurrency"]
        self._running = 0
        queue.on_visible = self._on_visible  # type: ignore[method-assign]

    def _on_visible(self, message: Message, seconds: float) -> None:
        self._timeline.later(seconds + self._timeline.chance.uniform(0, 0.3), self._poll)

    def _poll(self) -> None:
        if self._running >= self._concurrency:
            return
        waiting = self._queue.visible()
        if not waiting:
            return
        self._timeline.chance.shuffle(waiting)
        batch = [self._queue.receive(message) for message in waiting[: self._timeline.chance.randint(1, 10)]]
        for message in batch:
            if self._faults.happens(self._faults.events_strange / 10):
                self._deliver_again(message)
        self._running += 1
        self._timeline.note("batch", *(message.id for message in batch))
        receipts = {message.id: message.receipt for message in batch}
        self._lambda.run(self._function, _queue_event(batch), lambda run: self._ended(run, receipts))
        if len(waiting) > len(batch):
            self._timeline.later(self._timeline.chance.uniform(0, 0.3), self._poll)

    def _ended(self, run: Process, receipts: dict[str, str]) -> None:
        self._running -= 1
        self._timeline.later(0.01, self._poll)
        if run.error is not None:
            self._timeline.note("batch failed", run.error)
            return
        failed = _reported(run)
        for id_, receipt in receipts.items():
            if id_ not in failed and not self._faults.happens(self._faults.rate / 10):
                self._queue.delete(receipt)

    def _deliver_again(self, message: Message) -> None:
        """Deliver a deleted message again: a standard queue may do that (AWS, "At-least-once delivery")."""

        def again() -> None:
            self._timeline.note("delivered again", message.id)
            self._queue.messages[message.id] = message
            message.visible_at = self._timeline.now
            self._on_visible(message, 0)

        if message.receives < self._queue.settings.max_receive_count:
            self._timeline.later(self._timeline.chance.choice((1, 30, 600)) * self._timeline.chance.random(), again)


def _queue_event(batch: list[Message]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": str(message.receives),
                    "SentTimestamp": str(int(message.sent_at * 1000)),
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
                "awsRegion": "us-east-1",
            }
            for message in batch
        ]
    }


def _reported(run: Process) -> set[str]:
    """Return the identifiers of the records that a function reports as failed, if the mapping asks for them."""
    if not config.settings().report_batch_item_failures or not run.value:
        return set()
    return {one["itemIdentifier"] for one in run.value["batchItemFailures"]}


class StreamSettings(NamedTuple):
    """What a mapping of a stream does with records that a function does not process."""

    patterns: Sequence[dict[str, Any]] = ()
    """Only records that match one of them are passed on. Without any, all are."""
    bisects: bool = False
    """Whether a batch with which the function fails is split in two."""
    most_retries: float = float("inf")
    max_age: float = float("inf")
    """The seconds after which a record is not passed on any more."""


PLAIN = StreamSettings()
"""The defaults, which Chalice leaves as they are (AWS, "Lambda parameters for DynamoDB event source mappings")."""


def packaged_settings(function: str) -> StreamSettings:
    """Return the settings of a packaged stage."""
    merged = merged_settings(function)
    retries, age = merged.get("MaximumRetryAttempts", -1), merged.get("MaximumRecordAgeInSeconds", -1)
    return StreamSettings(
        [json.loads(one["Pattern"]) for one in merged.get("FilterCriteria", {}).get("Filters", [])],
        merged.get("BisectBatchOnFunctionError", False),
        retries if retries >= 0 else PLAIN.most_retries,
        age if age >= 0 else PLAIN.max_age,
    )


def matches(pattern: Any, value: Any) -> bool:
    """Return whether a value matches a pattern (AWS, "Control which events Lambda sends to your function")."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(matches(inner, value.get(name)) for name, inner in pattern.items())
    return any(_matches_rule(rule, value) for rule in pattern)


def _matches_rule(rule: Any, value: Any) -> bool:
    if not isinstance(rule, dict):
        return bool(rule == value)
    if rule.keys() != {"prefix"}:
        raise NotImplementedError(f"a pattern with {rule}")
    return isinstance(value, str) and value.startswith(rule["prefix"])


class StreamMapping:
    """Passes batches from each shard of a stream to a function, in order: the next one when one is processed."""

    def __init__(
        self,
        timeline: Timeline,
        functions: Lambda,
        faults: Faults,
        stream: Stream,
        function: str,
        settings: StreamSettings,
        batch_size: int = 100,
    ) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._faults = faults
        self._stream = stream
        self._function = function
        self._settings = settings
        self._batch_size = batch_size
        self._lag = timeline.chance.choice((1, 30, 600))
        """How many seconds it is behind. The more, the more records are in a batch."""
        self.discarded: list[list[StreamRecord]] = []
        """Batches that were given up: those that Lambda would report to the on-failure destination."""
        self._reading: dict[Shard, _Reading] = {shard: _Reading() for shard in stream.shards}
        stream.on_record = self._on_record  # type: ignore[method-assign]

    def waiting(self) -> list[StreamRecord]:
        """Return the records that are not processed yet."""
        return [
            record
            for shard, reading in self._reading.items()
            for record in [*itertools.chain(*reading.batches), *shard.records[reading.position :]]
            if self._is_passed_on(record)
        ]

    def _on_record(self, shard: Shard) -> None:
        reading = self._reading[shard]
        if not reading.is_scheduled:
            self._poll_later(shard, self._lag * self._timeline.chance.uniform(0.5, 1))

    def _poll_later(self, shard: Shard, seconds: float) -> None:
        self._reading[shard].is_scheduled = True
        self._timeline.later(seconds, lambda: self._poll(shard))

    def _poll(self, shard: Shard) -> None:
        reading = self._reading[shard]
        while not reading.batches:
            records = shard.read(reading.position, self._timeline.chance.randint(1, self._batch_size))
            if not records:
                reading.is_scheduled = False
                return
            reading.position += len(records)
            chosen = [record for record in records if self._is_passed_on(record)]
            reading.batches = [chosen] if chosen else []
        batch = reading.batches[0]
        oldest = self._timeline.now - self._settings.max_age
        if batch[0].at < min(oldest, self._stream.oldest()) or reading.retries > self._settings.most_retries:
            self._give_up(shard, batch)
            return
        self._timeline.note("stream batch", shard.id, *(record.number for record in batch))
        event = {"Records": [record.event for record in batch]}
        self._lambda.run(self._function, event, lambda run: self._ended(shard, batch, run))

    def _is_passed_on(self, record: StreamRecord) -> bool:
        patterns = self._settings.patterns
        return not patterns or any(matches(pattern, record.event) for pattern in patterns)

    def _give_up(self, shard: Shard, batch: list[StreamRecord]) -> None:
        self._timeline.note("stream batch discarded", *(record.number for record in batch))
        self.discarded.append(batch)
        self._go_on(shard)

    def _go_on(self, shard: Shard) -> None:
        reading = self._reading[shard]
        reading.batches.pop(0)
        reading.retries = 0
        self._poll_later(shard, 0)

    def _ended(self, shard: Shard, batch: list[StreamRecord], run: Process) -> None:
        reading = self._reading[shard]
        if run.error is not None:
            self._timeline.note("stream batch failed", run.error)
            if self._settings.bisects and len(batch) > 1:
                # Splitting a batch does not count as a retry.
                middle = len(batch) // 2
                reading.batches[:1] = [batch[:middle], batch[middle:]]
                self._poll_later(shard, 0)
                return
            self._retry(shard, batch)
            return
        failed = _reported(run)
        first = next((place for place, record in enumerate(batch) if record.number in failed), len(batch))
        if failed and first == len(batch):
            raise AssertionError(f"The function reports records that are not in its batch: {failed}")
        if first < len(batch):
            self._retry(shard, batch[first:])
        elif self._faults.happens(self._faults.events_strange / 10):
            # The position was not saved: some records are read again.
            self._timeline.note("stream read again", shard.id)
            reading.position = max(0, reading.position - self._timeline.chance.randint(1, 20))
            self._go_on(shard)
        else:
            self._go_on(shard)

    def _retry(self, shard: Shard, batch: list[StreamRecord]) -> None:
        reading = self._reading[shard]
        reading.batches[0] = batch
        reading.retries += 1
        self._poll_later(shard, min(60, 0.1 * 2**reading.retries) * self._timeline.chance.uniform(0.5, 1))


class _Reading:
    """How far the mapping has read a shard."""

    def __init__(self) -> None:
        self.position = 0
        self.is_scheduled = False
        """Whether it is going to look for records, or the function is running."""
        self.batches: list[list[StreamRecord]] = []
        """What it has read and the function has not processed."""
        self.retries = 0
        """How often the first of these batches was retried."""
