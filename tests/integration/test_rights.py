"""Each function's policy grants exactly what the function's AWS calls need.

The fixture ``calls`` in conftest.py also checks in every integration test that the policy grants all calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from chalice.app import DynamoDBEventConfig, SQSEventConfig

import app
from chalicelib import aws
from chalicelib.aws import bucket, table, webhook_master_key
from chalicelib.catalogue import delivery_records, export_steps, hourly_cleanup, import_upserts, items, search, webhooks
from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.catalogue.models import Export
from chalicelib.values import ids, times
from tests.builders import fields, jpeg
from tests.change_records import record, record_of
from tests.function_operations import OPERATIONS, PRESIGNED_POST
from tests.integration.calls import RECORDER
from tests.integration.stage import OWNER, Stage, batch, context, item_input, run
from tests.rights import Called, Grant, Need, grants, needs
from tools.bundle import aws_operations
from tools.stage import policies

PROJECT = Path(__file__).parents[2]
# Those of a deployed stage: the stage local has additional rights, for the emulator.
POLICIES = json.loads(
    json.dumps(policies.for_stage(PROJECT, "prod"))
    .replace("vitrine-prod", "vitrine-local")
    .replace("vitrine/prod", "vitrine/local")
)


def requests(stage: Stage) -> None:
    """Send requests to every route."""
    stage("POST", "/items", fields(), idempotency_key="once")
    stage("POST", "/items/batch", {"operations": [{"op": "create", "body": fields()}]}, idempotency_key="once")
    accepted = stage("POST", "/imports", {"items": [fields()]})
    stage("GET", accepted.headers["Location"])
    accepted = stage("POST", "/exports", {"format": "ndjson"})
    stage.work()
    stage("GET", accepted.headers["Location"])
    stage("DELETE", f"/items/{stage.item()['id']}")
    item = stage.item(expiresAt="2100-01-01T00:00:00Z", visibility="public")["id"]
    stage.picture(item, jpeg())
    stage.read(item)
    stage("GET", f"/catalogues/{json.loads(stage('GET', '/catalogue').body)['id']}/items")
    for path in ("/items", "/items?sort=updatedAt", f"/items/{item}/image", f"/items/{item}/image?size=200"):
        stage("GET", path)
    with RECORDER.runs("api_handler"):
        search.find_page(OWNER, search.Query(sort="updatedAt"), 25, None, times.now())
    close_ticket(item)
    stage("DELETE", f"/items/{item}")
    stage("DELETE", f"/items/{stage.item()['id']}/image")
    webhook_master_key.read.cache_clear()  # as in a new process
    stage("POST", f"/webhooks/{stage.webhook()['id']}/test")


def close_ticket(item: str) -> None:
    """Have no more uploads expected, as the cleanup does later."""
    items.change(OWNER, item, lambda one: msgspec.structs.replace(one, ticket_until=None), times.now())


def uploads(stage: Stage) -> None:
    """Upload to an item, to one whose index is older than the declaration, to a deleted item, and a loose file."""
    item = stage.item()["id"]
    key = stage.put(stage.ticket(item), jpeg())
    aws.queue_url.cache_clear()  # as in a new process
    stage.notice(key)
    key = stage.put(stage.ticket(item), jpeg())
    index_with(item, "1;year=n")
    stage.notice(key)
    key = stage.put(stage.ticket(item), jpeg())
    items.delete(OWNER, item, times.now())
    stage.notice(key)
    stage.notice(stage.put("uploads/loose.jpg", jpeg()))


def index_with(item: str, declaration: str) -> None:
    """Write an item as if its class had been another one."""
    found = items.find(OWNER, item)
    assert found is not None
    values = items._to_values(msgspec.structs.replace(found, indexed=declaration))
    table.write(table.Put(items._key(found), values))


def messages(stage: Stage) -> None:
    """Send messages of every kind, and an invalid one."""
    uploads(stage)
    item = stage.item(visibility="public")["id"]
    stage.picture(item, jpeg())
    stage.picture(item, jpeg())
    close_ticket(item)
    stage("POST", "/imports", {"items": [fields()]})
    stage("POST", "/imports", {"items": ["invalid"]})
    with RECORDER.runs("on_messages"):
        list(import_upserts.similar_items(OWNER, "updatedAt", stage.item()["updatedAt"]))
    exports(stage)
    stage.send({"type": "item.create", "owner": OWNER, "item": fields()})
    for one in (item, stage.item()["id"]):
        stage.send({"type": "item.delete", "owner": OWNER, "id": one})
    stage.work()
    stage.send("nonsense", {"type": "item.create", "owner": OWNER, "item": fields()})
    failing = batch(stage.receive())
    aws.queue_url.cache_clear()  # as in a new process
    with pytest.raises(Exception, match="1 of 2 messages failed"):
        run("on_messages", failing)


def exports(stage: Stage) -> None:
    """Export pictures too. The files are small, so join two parts as a large file has them."""
    stage("POST", "/exports", {"format": "csv", "pictures": True})
    aws.queue_url.cache_clear()  # as in a new process
    keys = [bucket.export_key(OWNER, "e", name) for name in "ab"]
    with RECORDER.runs("on_messages"):
        for key in keys:
            bucket.write(key, b"x" * bucket.MIN_PART_BYTES, "text/plain")
        bucket.join(bucket.export_key(OWNER, "e", "ab"), keys, "text/plain")
        export_steps.exports.resend(Export(owner=OWNER, id=ids.new_id(), created_at="", format="csv"))


def changes(_: Stage) -> None:
    """Process a change that a webhook hears of, and one that cannot be read."""
    aws.events().create_event_bus(Name="vitrine-local")
    for name in ("deliveries", "events-dead"):
        aws.sqs().create_queue(QueueName=f"vitrine-local-{name}")
    webhooks.create(OWNER, "https://receiver.example/", ["*"], "", times.now())
    new = items.create(OWNER, item_input(), times.now())[0]
    bad = {"pk": {"S": f"OWNER#{OWNER}"}, "sk": {"S": "ITEM#1"}}
    run("on_change", {"Records": [record(None, new), record_of(bad, {"NewImage": bad})]})


def deliver(_: Stage) -> None:
    """Deliver events to a webhook whose receiver cannot be reached, and fail on a message that is not valid."""
    webhook, _secret = webhooks.create(OWNER, "http://127.0.0.1:9/", ["*"], "", times.now())
    webhook_master_key.read.cache_clear()  # as in a new process
    event = {"id": ids.new_id(), "type": "item.created", "data": {"itemId": ids.new_id()}}
    body = json.dumps({"owner": OWNER, "webhookId": webhook.id, "event": event})
    gone = json.dumps({"owner": OWNER, "webhookId": ids.new_id(), "event": event})
    for message in (body, gone):
        aws.sqs().send_message(QueueUrl=aws.queue_url("deliveries"), MessageBody=message)
    queue = aws.queue_url("deliveries")
    received = aws.sqs().receive_message(QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"])
    aws.queue_url.cache_clear()  # as in a new process
    with pytest.raises(Exception, match="1 of 2 messages failed"):
        run("on_deliveries", batch(received["Messages"]))


def cleanups(stage: Stage) -> None:
    """Run the cleanup with work due of every kind."""
    soon = times.format_time(times.now() + timedelta(minutes=30))
    expired = stage.item(expiresAt=soon, visibility="public")["id"]
    stage.picture(expired, jpeg())
    stage("POST", "/imports", {"items": [fields()]})
    stage("POST", "/exports", {"format": "csv"})
    unused, lost, stuck = (stage.item()["id"] for _ in range(3))
    stage.ticket(unused)
    stage.put(stage.ticket(lost), jpeg())
    stage.upload(stuck, jpeg())
    gone = stage.item(expiresAt="2100-01-01T00:00:00Z")["id"]
    stage.ticket(gone)
    stage("DELETE", f"/items/{gone}")
    waiting = DeliveryRecord(
        webhook_id=ids.new_id(),
        event_id=ids.new_id(),
        event_type="item.created",
        event="{}",
        created_at=soon,
        due_at=soon,
    )
    delivery_records.change(OWNER, waiting, lambda delivery: delivery, times.now())
    aws.queue_url.cache_clear()  # as in a new process
    for hours in range(1, 5):
        hourly_cleanup.run(times.now() + timedelta(hours=hours), context("clean_up"))


def tokens(stage: Stage) -> None:
    """Authorize an invalid token. tests/integration/http/test_auth.py has valid ones."""
    event = {"type": "TOKEN", "authorizationToken": "Bearer none", "methodArn": "arn:aws:execute-api:::1/api/GET/items"}
    assert app.authorize(event, context("authorize"))["principalId"] == "nobody"


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "api_handler": requests,
    "on_upload": uploads,
    "on_messages": messages,
    "on_deliveries": deliver,
    "on_change": changes,
    "clean_up": cleanups,
    "authorize": tokens,
}


@pytest.fixture(params=list(SCENARIOS))
def function(request: pytest.FixtureRequest, stage: Stage) -> str:
    """Return the name of a function of app.py after it has made all of its calls."""
    name: str = request.param
    SCENARIOS[name](stage)
    return name


def test_every_function_has_a_scenario() -> None:
    assert set(POLICIES) == set(OPERATIONS) == set(SCENARIOS)


def test_policy_grants_exactly_what_is_needed(function: str, calls: list[Called]) -> None:
    needed = {need for called in calls if called.function == function for need in needs(called)}
    needed |= set(needs_of_lambda(function))
    granted = grants(POLICIES[function])

    def is_superfluous(one: Grant) -> bool:
        others = [other for other in granted if other is not one]
        return all(any(other.covers(need) for other in others) for need in needed if one.covers(need))

    assert [need for need in needed if not any(grant.covers(need) for grant in granted)] == []
    assert [grant for grant in granted if is_superfluous(grant)] == []


def test_listed_operations_are_called(function: str, calls: list[Called]) -> None:
    called = {(one.service, one.operation) for one in calls if one.function == function}
    assert called == {(service, name) for service, names in OPERATIONS[function].items() for name in names}


def test_listed_operations_are_in_the_code() -> None:
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
        for services in OPERATIONS.values()
        for service, names in services.items()
        for name in names
        if name != PRESIGNED_POST  # not an operation of AWS
    }
    # Only chalice local calls DescribeTable, only the operator's command reindex calls Scan.
    assert written == listed | {"dynamodb.DescribeTable", "dynamodb.Scan"}


@pytest.mark.parametrize("function", ["clean_up"], indirect=True)
def test_cleanup_creates_no_item(function: str, calls: list[Called]) -> None:
    """IAM has one action for creating and changing a record, so the test checks the condition expressions."""
    written = [one for called in calls if called.function == function for one in items_written(called)]

    assert written
    conditions = {one["ConditionExpression"].partition(" AND attribute_not_exists(#hidden)")[0] for one in written}
    assert conditions == {"#version = :version AND #indexed = :indexed"}


def items_written(called: Called) -> Iterator[Mapping[str, Any]]:
    parts = [
        called.parameters,
        *(part for item in called.parameters.get("TransactItems", []) for part in item.values()),
    ]
    return (part for part in parts if part.get("Item", {}).get("sk", {}).get("S", "").startswith("ITEM#"))


def needs_of_lambda(function: str) -> Iterator[Need]:
    """Yield the permissions that Lambda itself needs in the role of a function.

    Lambda Developer Guide: "Capturing records of Lambda asynchronous invocations", "Sending Lambda function logs to
    CloudWatch Logs", "Visualize Lambda function invocations using AWS X-Ray".
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
    yield from needs_of_event_sources(function)
    resource = read("package.json", "infra")["Resources"].get(by_cloudformation, {})
    if "OnFailure" in resource.get("Properties", {}).get("EventInvokeConfig", {}).get("DestinationConfig", {}):
        yield Need("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:vitrine-local-events-dead")


def needs_of_event_sources(function: str) -> Iterator[Need]:
    """Yield the permissions that Lambda needs to read from the event source of a function.

    Lambda Developer Guide, "Execution role permissions" for SQS, and for DynamoDB.
    """
    for source in app.app.event_sources:
        if isinstance(source, SQSEventConfig) and source.name == function:
            queue = f"arn:aws:sqs:us-east-1:123456789012:{source.queue}"
            for one in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage"):
                yield Need(f"sqs:{one}", queue)
        if isinstance(source, DynamoDBEventConfig) and source.name == function:
            for one in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"):
                yield Need(f"dynamodb:{one}", "arn:aws:dynamodb:us-east-1:123456789012:table/vitrine-local/stream/1")


def read(name: str, folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PROJECT / folder / name).read_text(encoding="utf-8"))
    return content
