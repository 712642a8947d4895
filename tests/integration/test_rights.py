"""What each function calls of AWS, beside what its policy grants: neither may have what the other has not.

That no call is made which its function's policy lacks is looked after by ``calls`` in conftest.py, in every test here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chalice.app import SQSEventConfig

import app
from chalicelib import aws
from chalicelib.catalogue import cleanup, items
from chalicelib.values import times
from tests.builders import fields, jpeg
from tests.integration.stage import OWNER, Stage, batch, context, run
from tests.rights import Called, Grant, Need, grants, needs
from tools import aws_calls
from tools.bundle import aws_operations
from tools.stage import policies

PROJECT = Path(__file__).parents[2]
# As they are in AWS: the stage local has what only the emulator asks for besides.
POLICIES = json.loads(json.dumps(policies.for_stage(PROJECT, "prod")).replace("vitrine-prod", "vitrine-local"))


def requests(stage: Stage) -> None:
    """Everything that the API is asked for."""
    stage("POST", "/items", fields(), idempotency_key="once")
    accepted = stage("POST", "/imports", {"items": [fields()]})
    stage("GET", accepted.headers["Location"])
    stage("DELETE", f"/items/{stage.item()['id']}")
    item = stage.item(expiresAt="2100-01-01T00:00:00Z")["id"]
    stage.picture(item, jpeg())
    stage.read(item)
    for path in ("/items", f"/items/{item}/image", f"/items/{item}/image?size=200"):
        stage("GET", path)
    stage("DELETE", f"/items/{item}/image")
    stage("DELETE", f"/items/{item}")


def uploads(stage: Stage) -> None:
    """To an item, to one that is gone, and to none."""
    item = stage.item()["id"]
    key = stage.put(stage.ticket(item), jpeg())
    aws.queue_url.cache_clear()  # as in a process that has just begun
    stage.notice(key)
    key = stage.put(stage.ticket(item), jpeg())
    items.delete(OWNER, item, times.now())
    stage.notice(key)
    stage.notice(stage.put("uploads/loose.jpg", jpeg()))


def messages(stage: Stage) -> None:
    """Of every kind, one of them no message at all."""
    uploads(stage)
    item = stage.item()["id"]
    stage.picture(item, jpeg())
    stage.picture(item, jpeg())
    stage("POST", "/imports", {"items": [fields()]})
    stage.send({"type": "item.create", "owner": OWNER, "item": fields()})
    for one in (item, stage.item()["id"]):
        stage.send({"type": "item.delete", "owner": OWNER, "id": one})
    stage.work()
    stage.send("nonsense", {"type": "item.create", "owner": OWNER, "item": fields()})
    failing = batch(stage.receive())
    aws.queue_url.cache_clear()  # as in a process that has just begun
    with pytest.raises(Exception, match="1 of 2 messages failed"):
        run("on_messages", failing)


def sweeps(stage: Stage) -> None:
    """With work due of every kind."""
    over = stage.item(expiresAt=times.format_time(times.now() + timedelta(minutes=30)))["id"]
    stage.picture(over, jpeg())
    stage("POST", "/imports", {"items": [fields()]})
    unused, lost, stuck = (stage.item()["id"] for _ in range(3))
    stage.ticket(unused)
    stage.put(stage.ticket(lost), jpeg())
    stage.upload(stuck, jpeg())
    gone = stage.item(expiresAt="2100-01-01T00:00:00Z")["id"]
    stage.ticket(gone)
    stage("DELETE", f"/items/{gone}")
    aws.queue_url.cache_clear()  # as in a process that has just begun
    for hours in range(1, 5):
        cleanup.run(times.now() + timedelta(hours=hours), context("clean_up"))


def tokens(stage: Stage) -> None:
    """That of somebody whom nobody knows; those that are good are in tests/integration/http/test_auth.py."""
    event = {"type": "TOKEN", "authorizationToken": "Bearer none", "methodArn": "arn:aws:execute-api:::1/api/GET/items"}
    assert app.authorize(event, context("authorize"))["principalId"] == "nobody"


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "api_handler": requests,
    "on_upload": uploads,
    "on_messages": messages,
    "clean_up": sweeps,
    "authorize": tokens,
}


@pytest.fixture(params=list(SCENARIOS))
def function(request: pytest.FixtureRequest, stage: Stage) -> str:
    """One of app.py's functions, which has done all that it does."""
    name: str = request.param
    SCENARIOS[name](stage)
    return name


def test_every_function_is_here() -> None:
    assert set(POLICIES) == set(aws_calls.CALLS) == set(SCENARIOS)


def test_every_action_that_is_granted_is_needed_and_every_one_that_is_needed_is_granted(
    function: str, calls: list[Called]
) -> None:
    needed = {need for called in calls if called.function == function for need in needs(called)}
    needed |= set(needs_of_lambda(function))
    granted = grants(POLICIES[function])

    def may_do_without(one: Grant) -> bool:
        others = [other for other in granted if other is not one]
        return all(any(other.covers(need) for other in others) for need in needed if one.covers(need))

    assert [need for need in needed if not any(grant.covers(need) for grant in granted)] == []
    assert [grant for grant in granted if may_do_without(grant)] == []


def test_operations_listed_for_a_function_are_those_it_calls(function: str, calls: list[Called]) -> None:
    called = {(one.service, one.operation) for one in calls if one.function == function}
    assert called == {(service, name) for service, names in aws_calls.CALLS[function].items() for name in names}


def test_operations_listed_are_those_that_stand_in_the_code() -> None:
    sources = {
        path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8")
        for path in (PROJECT / "chalicelib").rglob("*.py")
    }
    written = {
        f"{one.service}.{getattr(aws, one.service)().meta.method_to_api_mapping[one.method]}"
        for one in aws_operations.find(sources)
    }
    listed = {
        f"{service}.{name}"
        for services in aws_calls.CALLS.values()
        for service, names in services.items()
        for name in names
        if name != aws_calls.PRESIGNED_POST  # no operation of AWS's
    }
    assert written == listed | {"dynamodb.DescribeTable"}  # by chalice local alone


@pytest.mark.parametrize("function", ["clean_up"], indirect=True)
def test_the_cleanup_makes_no_item(function: str, calls: list[Called]) -> None:
    """IAM has one action for making a record and for changing it, so it is the condition that says which."""
    written = [one for called in calls if called.function == function for one in items_written(called)]

    assert written
    assert {one.get("ConditionExpression") for one in written} == {"version = :version"}


def items_written(called: Called) -> Iterator[Mapping[str, Any]]:
    parts = [
        called.parameters,
        *(part for item in called.parameters.get("TransactItems", []) for part in item.values()),
    ]
    return (part for part in parts if part.get("Item", {}).get("sk", {}).get("S", "").startswith("ITEM#"))


def needs_of_lambda(function: str) -> Iterator[Need]:
    """What Lambda itself does in a function's name.

    Lambda Developer Guide: "Execution role permissions" for an SQS event source, "Capturing records of Lambda
    asynchronous invocations", "Sending Lambda function logs to CloudWatch Logs", "Visualize Lambda function
    invocations using AWS X-Ray".
    """
    api = function == "api_handler"
    by_cloudformation = "APIHandler" if api else "".join(word.capitalize() for word in function.split("_"))
    by_chalice = "" if api else f"-{function}"
    for name in (f"-{by_cloudformation}-1", by_chalice):
        group = f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/vitrine-local{name}"
        yield Need("logs:CreateLogGroup", f"{group}:*")
        yield from (Need(f"logs:{one}", f"{group}:log-stream:1") for one in ("CreateLogStream", "PutLogEvents"))
    if read("config.json", ".chalice")["xray"]:
        yield from (Need(f"xray:{one}", "*") for one in ("PutTelemetryRecords", "PutTraceSegments"))
    for source in app.app.event_sources:
        if isinstance(source, SQSEventConfig) and source.name == function:
            queue = f"arn:aws:sqs:us-east-1:123456789012:{source.queue}"
            for one in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage"):
                yield Need(f"sqs:{one}", queue)
    resource = read("package.json", "infra")["Resources"].get(by_cloudformation, {})
    if "OnFailure" in resource.get("Properties", {}).get("EventInvokeConfig", {}).get("DestinationConfig", {}):
        yield Need("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:vitrine-local-events-dead")


def read(name: str, folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PROJECT / folder / name).read_text(encoding="utf-8"))
    return content
