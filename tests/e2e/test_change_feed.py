"""From a write through HTTP to an event on the bus, in the packaged app."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.builders import fields
from tests.e2e.pictures import photograph
from tests.e2e.subscriber import Subscriber
from tests.e2e.system import System
from tests.e2e.test_flows import SCHEDULED, create, post, processed_image, ticket
from tests.e2e.waiting import eventually


@pytest.fixture(scope="module")
def subscriber(system: System) -> Iterator[Subscriber]:
    with Subscriber(system.client) as subscriber:
        yield subscriber


def test_changes_of_an_item_are_events_in_order(system: System, subscriber: Subscriber) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    expiring = create(system, expiresAt=soon.isoformat())
    item = create(system, title="Harbour")
    post(ticket(system, item), photograph(400, 300))
    processed_image(system, item)
    system.request("PATCH", f"/items/{item}", {"visibility": "public", "weight": 3})
    system.request("DELETE", f"/items/{item}")

    types = ["item.created", "picture.ready", "item.updated", "item.published", "item.deleted", "item.unpublished"]
    assert eventually(lambda: len(subscriber.of(item)) >= len(types))
    assert subscriber.types(item) == types
    events = {event["type"]: event["data"] for event in subscriber.of(item)}
    assert events["item.updated"]["changed"] == ["visibility", "weight"]
    assert events["item.deleted"]["reason"] == "asked"
    image = events["picture.ready"]["item"]["image"]
    assert (image["status"], image["width"], [one["size"] for one in image["thumbnails"]]) == ("ready", 400, [200, 800])
    counted = system.client("dynamodb").get_item(
        TableName=system.table, Key={"pk": {"S": "OWNER#local"}, "sk": {"S": "CHANGES#"}}
    )
    assert int(counted["Item"]["number"]["N"]) >= 1

    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.1)
    system.client("lambda").invoke(FunctionName=system.functions["clean_up"], Payload=SCHEDULED)
    assert eventually(lambda: subscriber.types(expiring) == ["item.created", "item.deleted"])
    assert subscriber.of(expiring)[-1]["data"]["reason"] == "expired"


def test_record_that_cannot_be_read_blocks_nothing(system: System, subscriber: Subscriber) -> None:
    bad = {"pk": {"S": "OWNER#local"}, "sk": {"S": "ITEM#poison"}, "version": {"S": "not a number"}}
    system.client("dynamodb").put_item(TableName=system.table, Item=bad)
    item = create(system, **fields())

    assert eventually(lambda: subscriber.types(item) == ["item.created"])
    record = eventually(lambda: kept(system, "poison"))
    assert system.functions["on_change"] in record["requestContext"]["functionArn"]
    assert record["responsePayload"]["errorType"] == "ValidationError"
    system.client("dynamodb").delete_item(TableName=system.table, Key={name: bad[name] for name in ("pk", "sk")})
    assert eventually(lambda: kept(system, "poison"))  # its deletion cannot be read either


def kept(system: System, item: str) -> Any:
    """Return the record of a change of an item that failed, and delete it from the queue of failed events."""
    sqs = system.client("sqs")
    queue = sqs.get_queue_url(QueueName="vitrine-local-events-dead")["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", []):
        record = json.loads(message["Body"])
        if f"ITEM#{item}" in message["Body"]:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return record
    return None
