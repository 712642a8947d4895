"""The stage's resources in moto, in this process, made anew for each test from ``infra/resources.json``'s own words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from chalice.test import Client
from moto import mock_aws

from chalicelib import aws, config

_TEMPLATE = Path(__file__).parents[2] / "infra" / "resources.json"


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    """Table, bucket and queues of the stage ``local``."""
    with mock_aws():
        aws._client.cache_clear()
        aws.queue_url.cache_clear()
        _make_table()
        boto3.client("s3").create_bucket(Bucket=str(config.settings().bucket))
        boto3.client("sqs").create_queue(QueueName=config.settings().queue)
        yield
    aws._client.cache_clear()
    aws.queue_url.cache_clear()


def _make_table() -> None:
    resources = json.loads(_TEMPLATE.read_text())["Resources"]
    table = next(one["Properties"] for one in resources.values() if one["Type"] == "AWS::DynamoDB::Table")
    boto3.client("dynamodb").create_table(
        TableName=config.settings().table,
        KeySchema=table["KeySchema"],
        AttributeDefinitions=table["AttributeDefinitions"],
        GlobalSecondaryIndexes=table["GlobalSecondaryIndexes"],
        BillingMode="PAY_PER_REQUEST",
    )


class Api:
    """The app as API Gateway calls it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "content-type" not in said:
            said["content-type"] = "application/json"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.http.request(method, path, headers=said, body=data)


@pytest.fixture
def api() -> Iterator[Api]:
    import app

    with Client(app.app) as client:
        yield Api(client)
