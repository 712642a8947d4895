"""Check that events that fail on every attempt are kept with their error, and that unexpected events are handled."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.system import System
from tests.e2e.waiting import eventually

FUNCTIONS = ["on_upload"]
EVENT = {"this": "is no event that it knows"}


def test_failed_event_is_kept_with_its_error(system: System) -> None:
    for function in FUNCTIONS:
        system.client("lambda").invoke(
            FunctionName=system.functions[function],
            InvocationType="Event",
            Payload=json.dumps({**EVENT, "of": function}),
        )

    for function in FUNCTIONS:
        record = eventually(lambda function=function: put_away(system, {**EVENT, "of": function}), 90)
        assert record["requestContext"]["approximateInvokeCount"] == 3
        assert record["responsePayload"]["errorMessage"] == "Not an event of this function: its fields are of, this"
        assert system.functions[function] in record["requestContext"]["functionArn"]


def test_failed_rule_event_is_kept(system: System) -> None:
    events, on_upload = system.client("events"), system.functions["on_upload"]
    arn = system.client("lambda").get_function(FunctionName=on_upload)["Configuration"]["FunctionArn"]
    events.put_rule(Name="failing", EventPattern=json.dumps({"source": ["test"]}))
    events.put_targets(Rule="failing", Targets=[{"Id": "on-upload", "Arn": arn}])

    events.put_events(Entries=[{"Source": "test", "DetailType": "Nothing", "Detail": json.dumps({"of": "a rule"})}])

    record = eventually(lambda: put_away(system, {"detail": {"of": "a rule"}}), 90)
    assert record["requestContext"]["functionArn"] == arn


def put_away(system: System, payload: dict[str, Any]) -> Any:
    sqs = system.client("sqs")
    queue = sqs.get_queue_url(QueueName="vitrine-local-events-dead")["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", []):
        record = json.loads(message["Body"])
        if record["requestPayload"].items() >= payload.items():
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return record
    return None


def test_cleanup_accepts_an_empty_event(system: System) -> None:
    answer = invoke(system, system.functions["clean_up"], {})

    assert "FunctionError" not in answer


def test_non_http_event_returns_the_api_error_format(system: System) -> None:
    listed = system.client("lambda").list_functions()["Functions"]
    (api_handler,) = [one["FunctionName"] for one in listed if one["Handler"] == "app.app"]

    answer = invoke(system, api_handler, {"key1": "value1"})

    response = json.load(answer["Payload"])
    body = json.loads(response["body"])
    assert (response["statusCode"], body["error"]) == (500, "INTERNAL_ERROR")
    assert body["requestId"] == response["headers"]["X-Request-Id"]


def invoke(system: System, function: str, event: dict[str, Any]) -> Any:
    return system.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
