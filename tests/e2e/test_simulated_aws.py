"""The emulator passes the contract of the simulated services in memory: tests/simulation/contract.py."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.in_process import template_table
from tests.e2e.system import System
from tests.simulation.contract import *  # noqa: F403 - these are the tests
from tests.simulation.contract import Services


@pytest.fixture(scope="module")
def services(system: System) -> Iterator[Services]:
    dynamodb, s3, sqs, events, ssm = (system.client(name) for name in ("dynamodb", "s3", "sqs", "events", "ssm"))
    stream_settings = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    table = dynamodb.create_table(TableName="contract", **template_table(), StreamSpecification=stream_settings)[
        "TableDescription"
    ]
    s3.create_bucket(Bucket="contract")
    dead_url = sqs.create_queue(QueueName="contract-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    attributes = {"VisibilityTimeout": "30", "RedrivePolicy": redrive}
    queue_url = sqs.create_queue(QueueName="contract", Attributes=attributes)["QueueUrl"]

    def dead_bodies() -> list[str]:
        answer = sqs.receive_message(QueueUrl=dead_url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        return [message["Body"] for message in answer.get("Messages", [])]

    def stream() -> list[dict[str, Any]]:
        streams, arn = system.client("dynamodbstreams"), table["LatestStreamArn"]
        [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records: list[dict[str, Any]] = streams.get_records(ShardIterator=iterator)["Records"]
        return records

    yield Services(dynamodb, s3, sqs, events, ssm, "contract", "contract", queue_url, dead_bodies, posted, stream)
    dynamodb.delete_table(TableName="contract")


def posted(form: dict[str, Any], data: bytes) -> bool:
    """Send a form as a browser does. Return False if it is refused with a status below 500."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form["fields"].items()
    ]
    parts += [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode(),
        data,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(form["url"], b"".join(parts), headers), timeout=10):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code >= 500  # a server error is not a refusal
