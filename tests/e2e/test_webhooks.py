"""From a change of an item to a receiver on this machine, in the packaged app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.e2e.receiver import Receiver
from tests.e2e.system import System
from tests.e2e.test_flows import create
from tests.e2e.waiting import eventually


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def queue(system: System) -> Iterator[str]:
    """Return the URL of the deliveries queue, whose messages become dead letters after two failures."""
    sqs = system.client("sqs")
    url: str = sqs.get_queue_url(QueueName="vitrine-local-deliveries")["QueueUrl"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    for count in (2, json.loads(policy)["maxReceiveCount"]):
        sooner = json.dumps(json.loads(policy) | {"maxReceiveCount": count})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": sooner})
        if count == 2:
            yield url


def test_events_are_delivered_whatever_other_receivers_do(system: System, receiver: Receiver, queue: str) -> None:
    sqs = system.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    good = webhook(system, f"{receiver.url}/good", "item.created", "item.updated")
    flaky, slow = (webhook(system, f"{receiver.url}/{path}", "item.created") for path in ("flaky", "drip"))
    item = create(system, title="Harbour", price=19.9)

    # The other receivers, and the message that is not valid, hold nothing up.
    [first] = eventually(lambda: receiver.at("/good"))
    event = verified(first, good["secret"])
    assert (event["type"], event["data"]["itemId"], event["data"]["version"]) == ("item.created", item, 1)
    assert event["data"]["item"]["title"] == "Harbour"
    assert len(receiver.at("/flaky")) == 1

    # A message that the queue delivers twice is sent once. The owner can have it sent again.
    message = {"owner": "local", "webhookId": good["id"], "event": json.loads(first.body)}
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    again = f"/webhooks/{good['id']}/deliveries/{event['id']}/redeliver"
    assert system.request("POST", again).status == 202
    _, second = eventually(lambda: receiver.at("/good")[1:] and receiver.at("/good"))
    assert (second.headers["webhook-id"], second.body) == (event["id"], first.body)

    # While the secret is replaced, both are valid.
    rotated = system.request("POST", f"/webhooks/{good['id']}/rotate").json()
    assert rotated["secret"] != good["secret"]
    system.request("PATCH", f"/items/{item}", {"title": "Port"})
    *_, third = eventually(lambda: receiver.at("/good")[2:] and receiver.at("/good"))
    for secret in (good["secret"], rotated["secret"]):
        assert verified(third, secret)["data"]["changed"] == ["title"]

    # What failed is tried again, after five seconds.
    failed, succeeded = eventually(lambda: receiver.at("/flaky")[1:] and receiver.at("/flaky"))
    assert failed.headers["webhook-id"] == succeeded.headers["webhook-id"] == event["id"]
    verified(succeeded, flaky["secret"])
    eventually(lambda: delivery(system, flaky, event)["status"] == "succeeded")
    assert delivery(system, flaky, event)["attempts"] == 2
    late = eventually(lambda: delivery(system, slow, event))
    assert late["error"] == "There was no complete response within 10 seconds."

    assert len(receiver.at("/good")) == 3
    dead = sqs.get_queue_url(QueueName="vitrine-local-deliveries-dead")["QueueUrl"]
    [letter] = eventually(lambda: sqs.receive_message(QueueUrl=dead).get("Messages"))
    assert letter["Body"] == "poison"
    for one in (good, flaky, slow):
        assert system.request("DELETE", f"/webhooks/{one['id']}").status == 200


def webhook(system: System, url: str, *events: str) -> dict[str, Any]:
    """Create a webhook, and return it with its secret."""
    made = system.request("POST", "/webhooks", {"url": url, "events": events})
    assert made.status == 201, made.body
    created: dict[str, Any] = made.json()
    return created


def verified(delivery: Any, secret: str) -> Any:
    """Return the event in a delivery. Raise WebhookVerificationError if the secret has not signed it."""
    return Verifier(secret).verify(delivery.body, delivery.headers)


def delivery(system: System, webhook: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a delivery, or an empty object if there is none."""
    listed = system.request("GET", f"/webhooks/{webhook['id']}/deliveries").json()["deliveries"]
    return next((one for one in listed if one["id"] == event["id"]), {})
