"""A queue that gets every event of the bus by a rule, as an adopter would add one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self

BUS = "vitrine-local"
_RULE = "everything"


class Subscriber:
    """Receives the events of the stage ``local`` from now on, until the block is left."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._sqs, self._events = client("sqs"), client("events")
        self._received: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._url = self._sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._events.put_rule(Name=_RULE, EventBusName=BUS, EventPattern=json.dumps({"source": ["vitrine"]}))
        self._events.put_targets(Rule=_RULE, EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])
        return self

    def __exit__(self, *_: object) -> None:
        self._events.remove_targets(Rule=_RULE, EventBusName=BUS, Ids=["queue"])
        self._events.delete_rule(Name=_RULE, EventBusName=BUS)
        self._sqs.delete_queue(QueueUrl=self._url)

    def events(self) -> list[dict[str, Any]]:
        """Return all events so far."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                envelope = json.loads(message["Body"])
                assert envelope["detail-type"] == envelope["detail"]["type"]
                self._received.append(envelope["detail"])
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self._received

    def of(self, item: str) -> list[dict[str, Any]]:
        """Return the events about an item so far."""
        return [event for event in self.events() if event["data"]["itemId"] == item]

    def types(self, item: str) -> list[str]:
        """Return the types of the events about an item so far."""
        return [event["type"] for event in self.of(item)]
