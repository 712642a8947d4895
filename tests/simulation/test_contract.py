"""The services in memory behave like AWS. tests/e2e/test_simulated_aws.py tests the emulator in the same way."""

from __future__ import annotations

import time

import pytest

from tests.simulation.calls import Client
from tests.simulation.contract import *  # noqa: F403 - these are the tests
from tests.simulation.contract import Services
from tests.simulation.dynamodb import DynamoDB
from tests.simulation.event_bus import EventBus
from tests.simulation.parameters import Parameters
from tests.simulation.s3 import S3
from tests.simulation.sqs import SQS, QueueSettings
from tests.simulation.streams import Stream


@pytest.fixture
def services() -> Services:
    sqs = SQS(time.time, {"queue": QueueSettings(visibility_timeout=30, max_receive_count=2)})
    s3 = S3(time.time, time.time)
    dynamodb, stream = DynamoDB(time.time), Stream(time.time, 1)
    dynamodb.on_writes = stream.watch  # type: ignore[method-assign]
    return Services(
        dynamodb=Client(dynamodb),
        s3=Client(s3),
        sqs=Client(sqs),
        events=Client(EventBus(time.time)),
        ssm=Client(Parameters()),
        table="table",
        bucket="bucket",
        queue_url="queue",
        dead_bodies=lambda: [message.body for message in sqs.queues["queue"].dead.values()],
        post=lambda form, data: s3.post(form["fields"], data) is not None,
        stream=lambda: [record.event for shard in stream.shards for record in shard.records],
    )
