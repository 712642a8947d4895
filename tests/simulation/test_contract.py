"""The services in memory behave like AWS. tests/e2e/test_simulated_aws.py tests the emulator in the same way."""

from __future__ import annotations

import time

import pytest

from tests.simulation.calls import Client
from tests.simulation.contract import *  # noqa: F403 - these are the tests
from tests.simulation.contract import Services
from tests.simulation.dynamodb import DynamoDB
from tests.simulation.s3 import S3
from tests.simulation.sqs import SQS


@pytest.fixture
def services() -> Services:
    sqs = SQS(time.time, visibility_timeout=30, max_receive_count=2)
    s3 = S3(time.time, time.time)
    return Services(
        dynamodb=Client(DynamoDB(time.time)),
        s3=Client(s3),
        sqs=Client(sqs),
        table="table",
        bucket="bucket",
        queue_url="queue",
        dead_bodies=lambda: [message.body for message in sqs.dead.values()],
        post=lambda form, data: s3.post(form["fields"], data) is not None,
    )
