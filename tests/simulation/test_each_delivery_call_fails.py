"""Each AWS call of a delivery to a webhook fails once, in each way: the event is delivered nevertheless."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.aws import queue
from chalicelib.catalogue import delivery_records, hourly_cleanup, webhooks
from chalicelib.catalogue.webhooks import DeliveryMessage
from chalicelib.events import webhook_requests
from chalicelib.events.webhook_requests import Response
from chalicelib.values import exact_json, ids, times
from tests.integration.stage import OWNER, Stage, batch, context, json_of, run
from tests.simulation.dynamodb import DynamoDB
from tests.simulation.failing_calls import Fault, HalvingClient, KilledError, KillingClient, RefusingClient
from tests.simulation.functions import DELIVERIES, QUEUES
from tests.simulation.parameters import Parameters
from tests.simulation.sqs import SQS
from tests.simulation.timeline import START
from tests.simulation.world import forget


class World:
    """A webhook, an event for it, and a receiver that answers the first requests with some statuses."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, client: type[RefusingClient], *statuses: int) -> None:
        self.now = START
        self.fault = Fault()
        self.answered: list[int] = []
        self._statuses = statuses
        sqs = SQS(self._clock, QUEUES)
        self._queue = sqs.queues[DELIVERIES]
        services = {"dynamodb": DynamoDB(self._clock), "ssm": Parameters(), "sqs": sqs}
        clients = {name: client(service, self.fault) for name, service in services.items()}
        patch.setattr(aws, "_client", lambda service, _: clients[service])
        patch.setattr(times, "now", lambda: datetime.fromtimestamp(self.now, UTC))
        patch.setattr(time, "sleep", lambda _: None)
        patch.setattr(webhook_requests, "post", self._post)
        made = Stage(folder)("POST", "/webhooks", {"url": "https://receiver.example.com/", "events": ["*"]})
        self.webhook, self.event = str(json_of(made)["id"]), ids.new_id(int(START * 1000))
        event = {"id": self.event, "type": "item.created", "data": {"owner": OWNER, "itemId": self.event}}
        queue.send(DeliveryMessage(OWNER, self.webhook, msgspec.Raw(exact_json.to_json(event))), to="deliveries")

    def _clock(self) -> float:
        return self.now

    def _post(self, *_: Any) -> Response:
        status = dict(enumerate(self._statuses)).get(len(self.answered), 204)
        self.answered.append(status)
        return Response(status, None, b"")

    def deliver(self) -> None:
        """Pass messages to the function, and run the cleanup each hour, until nothing is left to do."""
        for _ in range(100):
            waiting = self._queue.messages.values()
            if waiting:
                self.now = max(self.now, min(message.visible_at for message in waiting))
                self._pass_on()
            elif delivery_is_pending(self):
                self.now += 3600
                with self.fault.count(True), suppress(KilledError, ClientError):
                    hourly_cleanup.run(times.now(), context("clean_up", 60_000))
            else:
                return
        raise AssertionError("The delivery does not end.")

    def _pass_on(self) -> None:
        [message] = aws.sqs().receive_message(QueueUrl=aws.queue_url("deliveries"))["Messages"]
        with self.fault.count(True), suppress(Exception, KilledError):
            answer = run("on_deliveries", batch([message]))
            if not (answer and answer["batchItemFailures"]):
                self._queue.delete(message["ReceiptHandle"])


def delivery_is_pending(world: World) -> bool:
    with world.fault.count(False):
        found = delivery_records.find(OWNER, world.webhook, world.event)
    return found is not None and found.status == "pending"


@pytest.fixture(autouse=True)
def _nothing_is_cached() -> Iterator[None]:
    yield
    forget()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("client", [RefusingClient, KillingClient, HalvingClient])
@pytest.mark.parametrize(
    ("statuses", "reports"),
    [((500, 500), "true"), ((500, 500), ""), ((500,) * 6, "true")],
    ids=["twice", "twice, deployed by Chalice", "until the cleanup"],
)
def test_event_is_delivered_whichever_call_fails(
    tmp_path: Path, client: type[RefusingClient], statuses: tuple[int, ...], reports: str
) -> None:
    for call in itertools.count(1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REPORT_BATCH_ITEM_FAILURES", reports)
            forget()
            world = World(tmp_path, patch, client, *statuses)
            world.fault.call = call
            world.deliver()

            delivery = delivery_records.get(OWNER, world.webhook, world.event)
            webhook = webhooks.get(OWNER, world.webhook)
        assert (delivery.status, webhook.status) == ("succeeded", "active"), call
        # An attempt is repeated if its result was not recorded.
        assert len(statuses) < len(world.answered) <= len(statuses) + 2, call
        assert world.now - START < timedelta(hours=24).total_seconds(), call
        if world.fault.calls < call:
            break
