"""Events that nobody waits for, and that fail for good: they stay, with their error, where somebody finds them."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.system import System
from tests.e2e.waiting import eventually

FUNCTIONS = ["on_upload"]
EVENT = {"this": "is no event that it knows"}


def test_an_event_that_fails_each_time_is_put_away_with_its_error(system: System) -> None:
    for function in FUNCTIONS:
        system.client("lambda").invoke(
            FunctionName=system.functions[function],
            InvocationType="Event",
            Payload=json.dumps({**EVENT, "of": function}),
        )

    for function in FUNCTIONS:
        record = eventually(lambda function=function: put_away(system, function), 90)
        assert record["requestContext"]["approximateInvokeCount"] == 3
        assert record["responsePayload"]["errorMessage"] == "Not an event of this function: its fields are of, this"
        assert system.functions[function] in record["requestContext"]["functionArn"]


def put_away(system: System, function: str) -> Any:
    sqs = system.client("sqs")
    queue = sqs.get_queue_url(QueueName="vitrine-local-events-dead")["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", []):
        record = json.loads(message["Body"])
        if record["requestPayload"] == {**EVENT, "of": function}:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return record
    return None
