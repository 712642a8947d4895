"""The app on AWS in memory, in virtual time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import logging
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import aws, config, telemetry
from chalicelib.catalogue import consumer, import_chunks, import_parsing, item_pictures, thumbnail_jobs
from chalicelib.values import times
from tests.simulation import pictures
from tests.simulation.calls import SimulatedClient
from tests.simulation.dynamodb import DynamoDB
from tests.simulation.faults import Faults
from tests.simulation.functions import QUEUE, Answer, ApiGateway, Events, Lambda, Mapping, Schedule, TimeToLive
from tests.simulation.s3 import S3
from tests.simulation.sqs import SQS, Message
from tests.simulation.timeline import Pool, Timeline

if TYPE_CHECKING:
    from botocore.config import Config

CHUNK = 3
"""Entries of a chunk, fewer than in the app, so that small imports have several chunks."""


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
        self.sqs = SQS(clock, **QUEUE)
        functions = Lambda(self.timeline, self.faults)
        self.api = ApiGateway(self.timeline, functions, self.faults)
        self.events = Events(self.timeline, functions, self.faults)
        self.mapping = Mapping(self.timeline, functions, self.faults, self.sqs)
        self.schedule = Schedule(self.timeline, functions, self.dynamodb)
        self.was_calm = self.faults.calm
        self.dead_when_healed: list[str] = []
        self.sent_back: list[Message] = []
        self.aged: list[str] = []
        """Violations found while the retention of imports ended."""
        ttl = TimeToLive(self.timeline, self.dynamodb)
        self.s3.on_put = self.events.put  # type: ignore[method-assign]
        self.dynamodb.on_writes = ttl.watch  # type: ignore[method-assign]

    def _clock(self) -> float:
        return self.timeline.now

    def create_client(self, service: str, config: Config) -> SimulatedClient:
        """Return a client of a service of this world."""
        return SimulatedClient(getattr(self, service), config, self.timeline, self.faults)

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
        answers: list[Answer] = []
        self.timeline.silent = True
        asking = self.timeline.start("looking", lambda: answers.append(self.api.ask(owner, method, path)))
        while not asking.over:
            self.timeline.step()
        self.timeline.silent = False
        return answers[0]

    def remember_dead_letters(self) -> None:
        """Remember which messages are dead letters now."""
        self.dead_when_healed = [message.body for message in self.sqs.dead.values()]

    def send_back(self) -> None:
        """Send back the dead letters and the failed events, as the operator does."""
        self.timeline.note("dead letters sent back", len(self.sqs.dead), len(self.events.failed))
        self.sent_back += self.sqs.redrive()
        self.events.redrive()

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
            _forget()

    def _put_in_place(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("AUTH_MODE", "oidc")
        patch.setenv("REPORT_BATCH_ITEM_FAILURES", "true" if self.reports_failures else "")
        _forget()
        patch.setattr(aws, "_client", functools.cache(self.create_client))
        wall = self.timeline.wall
        patch.setattr(time, "time", wall)
        patch.setattr(time, "time_ns", lambda: int(wall() * 1e9))
        patch.setattr(time, "monotonic", self._clock)
        patch.setattr(time, "perf_counter", self._clock)
        patch.setattr(time, "sleep", self.timeline.pause)
        patch.setattr(times, "now", lambda: datetime.fromtimestamp(wall(), UTC))
        patch.setattr(os, "urandom", self.chance.randbytes)
        random.seed(self.chance.random())
        Pool.timeline = self.timeline
        patch.setattr(consumer, "ThreadPoolExecutor", Pool)
        patch.setattr(concurrent.futures, "ThreadPoolExecutor", Pool)  # batches imports it when it needs it
        patch.setattr(thumbnail_jobs, "sandbox", pictures.FakeSandbox(self.timeline))
        patch.setattr(thumbnail_jobs, "MAX_IMAGE_BYTES", pictures.MAX_BYTES)
        patch.setattr(item_pictures, "MAX_IMAGE_BYTES", pictures.MAX_BYTES)
        patch.setattr(import_parsing, "CHUNK_ENTRIES", CHUNK)
        patch.setattr(import_chunks, "MAX_PART_WRITES", 1)
        self._listen(patch)

    def _listen(self, patch: pytest.MonkeyPatch) -> None:
        """Add the app's log lines to the trace, and drop its metrics."""
        handler = _Trace(self.timeline)
        patch.setattr(telemetry.logger._logger, "handlers", [handler])
        patch.setattr(telemetry, "_add", lambda *_: None)
        telemetry.logger.setLevel(logging.WARNING)


class _Trace(logging.Handler):
    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline

    def emit(self, record: logging.LogRecord) -> None:
        said: Any = record.msg
        raised = record.exc_info and record.exc_info[1]
        self._timeline.note("log", record.levelname, str(said), repr(raised) if raised else "")


def _forget() -> None:
    """Clear what a process caches, as for a new process."""
    config.settings.cache_clear()
    aws._client.cache_clear()
    aws.queue_url.cache_clear()
