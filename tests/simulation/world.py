"""The app on AWS in memory, in virtual time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from chalicelib import aws, config, telemetry
from chalicelib.aws import presigned_downloads, webhook_master_key
from chalicelib.catalogue import (
    export_steps,
    import_parsing,
    import_steps,
    item_pictures,
    job_queue_consumer,
    search_index_keys,
    thumbnail_jobs,
)
from chalicelib.events import delivery_queue_consumer, webhook_requests
from chalicelib.values import times
from tests.simulation import pictures, poison
from tests.simulation.calls import SimulatedClient
from tests.simulation.dynamodb import DynamoDB, Write
from tests.simulation.event_bus import EventBus
from tests.simulation.event_sources import PLAIN, QueueMapping, StreamMapping, packaged_settings
from tests.simulation.faults import Faults
from tests.simulation.functions import (
    DELIVERIES,
    EVENTS_DEAD,
    JOBS,
    QUEUES,
    TIMEOUTS,
    Answer,
    ApiGateway,
    Events,
    Lambda,
    Schedule,
    TimeToLive,
)
from tests.simulation.index_watch import IndexWatch
from tests.simulation.item_values import DECLARATIONS
from tests.simulation.parameters import Parameters
from tests.simulation.receivers import Receivers
from tests.simulation.s3 import S3
from tests.simulation.sqs import SQS, Message
from tests.simulation.streams import Stream, StreamRecord
from tests.simulation.timeline import Pool, Process, Timeline
from tools.ops import reindexing

if TYPE_CHECKING:
    from botocore.config import Config

CHUNK = 3
"""Entries of a chunk, fewer than in the app, so that small imports have several chunks."""

SMALL_STEPS = {
    "STEP_BYTES": 1_200,
    "STEP_PAGES": 1,
    "PAGE_ITEMS": 5,
    "PAGE_ITEMS_WITH_PICTURES": 3,
    "MAX_STEPS": 2,
    "MIN_PART_BYTES": 100,
    "FILE_BYTES": 1_000,
    "MAX_ARCHIVE_ENTRIES": 2,
}
"""Smaller limits of exports, so that small ones have several steps, parts and files."""

MOST_REINDEXES = 500
"""The operator gives up after so many runs of a reindex that have not finished."""

T = TypeVar("T")


class World:
    """A separate stage for each history."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.timeline = Timeline(self.chance)
        self.faults = Faults(self.chance)
        self.reports_failures = self.chance.random() < 0.7
        """Whether the mapping has ReportBatchItemFailures. If packaged it has; if deployed by Chalice it has not."""
        clock = self._clock
        self.dynamodb = DynamoDB(clock, self.chance)
        self.s3 = S3(clock, self.timeline.wall, self.chance)
        self.sqs = SQS(clock, QUEUES)
        self.jobs, self.deliveries = self.sqs.queues[JOBS], self.sqs.queues[DELIVERIES]
        self.bus = EventBus(clock, self.chance)
        self.parameters = Parameters()
        self.receivers = Receivers(self.timeline)
        functions = Lambda(self.timeline, self.faults)
        self.api = ApiGateway(self.timeline, functions, self.faults)
        self.events = Events(self.timeline, functions, self.faults)
        QueueMapping(self.timeline, functions, self.faults, self.jobs, "on_messages")
        QueueMapping(self.timeline, functions, self.faults, self.deliveries, "on_deliveries")
        self.schedule = Schedule(self.timeline, functions, self.dynamodb)
        self.stream = Stream(clock, self.chance.choice((1, 1, 3)))
        stream_settings = packaged_settings("OnChange") if self.reports_failures else PLAIN
        self.feed = StreamMapping(self.timeline, functions, self.faults, self.stream, "on_change", stream_settings)
        self.poisoned: list[tuple[Write, StreamRecord]] = []
        """Records that cannot become events on the bus, or not before the cause is removed."""
        self.was_calm = self.faults.calm
        self.was_strange = self.faults.events_strange > 0
        self.declaration = DECLARATIONS[0]
        """The declaration of the code that is deployed."""
        self.reindexes = 0
        self.reindexed = self.declaration
        """The declaration with which all items were indexed last."""
        self.dead_when_healed: list[str] = []
        self.sent_back: list[Message] = []
        self.exported: list[str] = []
        """Violations found in exports, before they expire."""
        self.aged: list[str] = []
        """Violations found while the retention of imports ended."""
        ttl = TimeToLive(self.timeline, self.dynamodb)
        self.index = IndexWatch(self.dynamodb)
        self._watchers = (ttl.watch, self.index.watch, self.stream.watch)
        self.s3.on_put = self.events.put  # type: ignore[method-assign]
        self.dynamodb.on_writes = self._watch  # type: ignore[method-assign]

    def _watch(self, writes: list[Write]) -> None:
        for watch in self._watchers:
            watch(writes)

    def _clock(self) -> float:
        return self.timeline.now

    def create_client(self, service: str, config: Config) -> SimulatedClient:
        """Return a client of a service of this world."""
        services = (self.dynamodb, self.s3, self.sqs, self.bus, self.parameters)
        [found] = [one for one in services if one.name == service]
        return SimulatedClient(found, config, self.timeline, self.faults)

    def run_until(self, moment: float) -> None:
        """Run all actions that are scheduled until this time."""
        while True:
            upcoming, sweep = self.timeline.next_at(), self.schedule.next_at()
            if sweep is not None and sweep <= moment and (upcoming is None or sweep <= upcoming):
                self.timeline.now = max(self.timeline.now, sweep)
                self.schedule.run()
            elif upcoming is not None and upcoming <= moment:
                self.timeline.step()
            else:
                self.timeline.now = max(self.timeline.now, moment)
                return

    def ask(self, owner: str, method: str, path: str) -> Answer:
        """Send a request after the history, to check something. It is left out of the trace."""
        return self._silently(lambda: self.api.ask(owner, method, path))

    def _silently(self, look: Callable[[], T]) -> T:
        self.timeline.silent = True
        looking = self.timeline.start("looking", look)
        while not looking.has_ended:
            self.timeline.step()
        self.timeline.silent = False
        if looking.error:
            raise RuntimeError(looking.error)
        found: T = looking.value
        return found

    def remember_dead_letters(self) -> None:
        """Remember which messages are dead letters now."""
        self.dead_when_healed = [message.body for message in self.jobs.dead.values()]

    def send_back(self) -> None:
        """Send back the dead letters and the failed events, as the operator does."""
        failed = self.sqs.queues[EVENTS_DEAD].messages
        waiting = (len(self.jobs.dead), len(self.deliveries.dead), len(self.events.failed), len(failed))
        self.timeline.note("dead letters sent back", *waiting)
        self.sent_back += self.jobs.redrive()
        self.deliveries.redrive()
        self.events.redrive()
        changes = [json.loads(message.body) for message in failed.values()]
        failed.clear()
        for one in changes:
            self.events.deliver("on_change", one["requestPayload"], 0)

    def poison(self) -> None:
        """Append a record to the stream that cannot become an event on the bus, or not yet."""
        write = poison.write(self.chance, self.timeline.now, len(self.poisoned))
        self.poisoned.append((write, self.stream.append(write)))
        self.timeline.note("poisoned", self.poisoned[-1][1].number, write.pk, write.sk)

    def dead_events(self) -> list[str]:
        """Return the messages in the queue of failed events."""
        return [message.body for message in self.sqs.queues[EVENTS_DEAD].messages.values()]

    def redeclare(self) -> None:
        """Deploy code with another declaration. When no old code runs any more, the operator starts a reindex."""
        self.timeline.note("other fields declared")
        self.declaration = DECLARATIONS[1]
        self.timeline.later(max(TIMEOUTS.values()), self._start_reindex)

    def _start_reindex(self) -> None:
        self.reindexes += 1
        self.timeline.start(f"reindex-{self.reindexes}", self._reindex, on_end=self._on_reindex)

    def _reindex(self) -> reindexing.Counts:
        self.timeline.pause(0)
        return reindexing.run(times.now(), lambda _: None, repair=True)

    def _on_reindex(self, run: Process) -> None:
        """Start it again if it has not finished, as the operator does."""
        if run.error is None and not run.value.failed:
            self.reindexed = self.declaration
            return
        self.timeline.note("reindex failed", run.error or run.value.failed)
        if self.reindexes < MOST_REINDEXES:
            self.timeline.later(60, self._start_reindex)

    def compare_index(self) -> reindexing.Counts:
        """Return what a reindex that changes nothing finds after the history. It is left out of the trace."""
        return self._silently(lambda: reindexing.run(times.now(), lambda _: None, repair=False))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Replace the app's clients, clock, random numbers and threads by those of this world."""
        state = random.getstate()
        try:
            with pytest.MonkeyPatch.context() as patch:
                self._put_in_place(patch)
                yield
        finally:
            random.setstate(state)
            forget()

    def _put_in_place(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("AUTH_MODE", "oidc")
        patch.setenv("REPORT_BATCH_ITEM_FAILURES", "true" if self.reports_failures else "")
        forget()
        patch.setattr(aws, "_client", functools.cache(self.create_client))
        wall = self.timeline.wall
        patch.setattr(time, "time", wall)
        patch.setattr(time, "time_ns", lambda: int(wall() * 1e9))
        patch.setattr(time, "monotonic", self._clock)
        patch.setattr(time, "perf_counter", self._clock)
        patch.setattr(time, "sleep", self.timeline.pause)
        patch.setattr(times, "now", lambda: datetime.fromtimestamp(wall(), UTC))
        patch.setattr(os, "urandom", self.chance.randbytes)
        patch.setattr(search_index_keys, "current", self._current_declaration)
        random.seed(self.chance.random())
        Pool.timeline = self.timeline
        patch.setattr(job_queue_consumer, "ThreadPoolExecutor", Pool)
        patch.setattr(concurrent.futures, "ThreadPoolExecutor", Pool)  # batches imports it when it needs it
        patch.setattr(thumbnail_jobs, "sandbox", pictures.FakeSandbox(self.timeline))
        patch.setattr(thumbnail_jobs, "MAX_IMAGE_BYTES", pictures.MAX_BYTES)
        patch.setattr(item_pictures, "MAX_IMAGE_BYTES", pictures.MAX_BYTES)
        patch.setattr(import_parsing, "CHUNK_ENTRIES", CHUNK)
        patch.setattr(import_steps, "MAX_PART_WRITES", 1)
        for name, value in SMALL_STEPS.items():
            patch.setattr(export_steps, name, value)
        patch.setattr(delivery_queue_consumer, "ThreadPoolExecutor", Pool)
        # Tasks cannot wait for a semaphore.
        patch.setattr(delivery_queue_consumer, "_table_calls", contextlib.nullcontext())
        patch.setattr(webhook_requests, "post", self.receivers.post)
        self._listen(patch)

    def _current_declaration(self) -> search_index_keys.Declaration:
        """Return the declaration of the running code. An invocation keeps the one that it was started with."""
        task = self.timeline.running
        if task is None:
            return search_index_keys.parse(self.declaration)
        if task.process.code is None:
            task.process.code = self.declaration
        return search_index_keys.parse(task.process.code)

    def _listen(self, patch: pytest.MonkeyPatch) -> None:
        """Add the app's log lines to the trace, and drop its metrics."""
        handler = _Trace(self.timeline)
        patch.setattr(telemetry.logger._logger, "handlers", [handler])
        patch.setattr(telemetry, "_add", lambda *_: None)
        patch.setattr(telemetry.logger._logger, "isEnabledFor", lambda level: level >= logging.WARNING)


class _Trace(logging.Handler):
    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline

    def emit(self, record: logging.LogRecord) -> None:
        message: Any = record.msg
        raised = record.exc_info and record.exc_info[1]
        self._timeline.note("log", record.levelname, str(message), repr(raised) if raised else "")


def forget() -> None:
    """Clear what a process caches, as for a new process."""
    config.settings.cache_clear()
    aws._client.cache_clear()
    aws.queue_url.cache_clear()
    aws.bucket_url.cache_clear()
    webhook_master_key.read.cache_clear()
    presigned_downloads._signer.cache_clear()
