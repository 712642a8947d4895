"""Each AWS call of the change feed fails once, in each way: the bus gets all events, and those of an item in order."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chalicelib import aws, config
from chalicelib.values.exact_json import from_json
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, run
from tests.simulation.dynamodb import DynamoDB, Write
from tests.simulation.event_bus import EventBus
from tests.simulation.failing_calls import Fault, HalvingClient, KilledError, KillingClient, RefusingClient
from tests.simulation.functions import DELIVERIES, EVENTS_DEAD, QUEUES
from tests.simulation.parameters import Parameters
from tests.simulation.s3 import S3
from tests.simulation.sqs import SQS
from tests.simulation.streams import Stream, StreamRecord
from tests.simulation.world import forget

URL = "https://receiver.example.com/"

EVENTS = [
    ("item.created", 1),
    ("item.updated", 2),
    ("item.published", 2),
    ("picture.ready", 5),
    ("item.updated", 6),
    ("item.updated", 8),
    ("item.unpublished", 8),
    ("item.deleted", 8),
]


class World:
    """An item that had all kinds of changes, whose stream records are passed to on_change."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, client: type[RefusingClient]) -> None:
        self.fault = Fault()
        self._dynamodb = DynamoDB(time.time)
        self._stream = Stream(time.time, 1)
        self._dynamodb.on_writes = self._stream.watch  # type: ignore[method-assign]
        self._services: dict[str, Any] = {
            "dynamodb": self._dynamodb,
            "s3": S3(time.time, time.time),
            "ssm": Parameters(),
        }
        patch.setattr(aws, "_client", lambda service, _: client(self._services[service], self.fault))
        patch.setattr(time, "sleep", lambda _: None)
        self.empty()
        stage = Stage(folder)
        assert stage("POST", "/webhooks", {"url": URL, "events": ["*"]}).status_code == 201
        self._live(stage)

    def _live(self, stage: Stage) -> None:
        """Create an item, and change it in all ways, with a record in between that cannot be processed."""
        item = f"/items/{stage.item(title='Vase')['id']}"
        stage("PATCH", item, {"visibility": "public"})
        self.poisoned = self._stream.append(Write(time.time(), f"OWNER#{OWNER}", "ITEM#poisoned", None, {}))
        stage.picture(item.rpartition("/")[2], jpeg(64, 48))
        stage("PATCH", f"{item}/image", {"focus": {"x": 0, "y": 0}})
        stage.work()
        stage("PATCH", item, {"visibility": "private"})
        stage("DELETE", item)

    def empty(self) -> None:
        """Replace the bus and the queues by empty ones."""
        self.bus = self._services["events"] = EventBus(time.time)
        self._services["sqs"] = SQS(time.time, QUEUES)
        aws.queue_url.cache_clear()

    def process(self) -> None:
        """Pass all records to the function, and again those that it did not process, as the mapping does."""
        [shard] = self._stream.shards
        left = shard.records
        for _ in range(3):
            with self.fault.count(True), suppress(Exception, KilledError):
                left = self._not_processed(left, run("on_change", {"Records": [record.event for record in left]}))
            if not left:
                return
        raise AssertionError("The function fails again and again.")

    def _not_processed(self, records: list[StreamRecord], response: Any) -> list[StreamRecord]:
        failed = {one["itemIdentifier"] for one in response["batchItemFailures"]} if response else set()
        return [*itertools.dropwhile(lambda record: record.number not in failed, records)]

    def bodies(self, queue: str) -> list[str]:
        """Return the messages in a queue."""
        return [message.body for message in self._services["sqs"].queues[queue].messages.values()]

    def counted(self) -> Any:
        return self._dynamodb.partition(f"OWNER#{OWNER}").get("CHANGES#")


@pytest.fixture(autouse=True)
def _nothing_is_cached() -> Iterator[None]:
    yield
    forget()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("client", [RefusingClient, KillingClient, HalvingClient])
@pytest.mark.parametrize("reports", ["true", ""], ids=["packaged", "deployed by Chalice"])
def test_bus_gets_all_events_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: type[RefusingClient], reports: str
) -> None:
    world = World(tmp_path, monkeypatch, client)
    monkeypatch.setenv("REPORT_BATCH_ITEM_FAILURES", reports)
    config.settings.cache_clear()

    for call in itertools.count(1):
        world.empty()
        world.fault.calls, world.fault.call = 0, call
        world.process()

        published = [(one.type, one.detail["data"]["version"]) for one in world.bus.log]
        assert list(dict.fromkeys(published)) == EVENTS, call
        delivered = Counter(one["event"]["id"] for one in map(from_json, world.bodies(DELIVERIES)))
        assert delivered.keys() == {one.detail["id"] for one in world.bus.log}, call
        assert all(world.poisoned.event["eventID"] in body for body in world.bodies(EVENTS_DEAD)), call
        assert world.bodies(EVENTS_DEAD), call
        if world.fault.calls < call:
            break

    assert call > 3
    assert world.counted()
