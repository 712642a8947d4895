"""Calls that each function's role is denied, each with a similar call that the same credentials may make.

The roles are those of the deployed functions, and the emulator enforces their policies. The other e2e tests show that
each function has the permissions for its own work, because there it runs under the same role.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.config import LOCAL
from tests import rights
from tests.e2e.system import System, copy_project
from tools.laptop.emulator import REGION
from tools.stage import policies, provision

PROJECT = Path(__file__).parents[2]
SERVICES = ("dynamodb", "s3", "sqs", "ssm")
OTHER = "other"
PICTURE = "uploads/items/rights/picture"
LOOSE = "uploads/rights"
THUMBNAIL = "thumbnails/items/rights/200.jpg"
CHUNK = "imports/rights/00000.ndjson"
EXPORT = "exports/rights/00000/file"
# Not an item: on_change would keep what is not one as a dead letter.
RECORD = {"pk": {"S": "OWNER#rights"}, "sk": {"S": "KEY#rights"}}
HARMLESS = '{"type": "item.delete", "owner": "rights", "id": "019ca7b4-e400-7abc-8def-0123456789ab"}'


class Call(NamedTuple):
    """One AWS call on the resources of a stage."""

    service: str
    operation: str
    resource: str
    """A short description of the resource."""
    parameters: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.operation} {self.resource}"


def on_table(operation: str, stage: str = LOCAL, **parameters: Any) -> Call:
    return Call("dynamodb", operation, stage, {"TableName": f"vitrine-{stage}", **parameters})


def on_object(operation: str, key: str, stage: str = LOCAL, **parameters: Any) -> Call:
    bucket = f"vitrine-{stage}-000000000000-{REGION}"
    return Call("s3", operation, f"{stage} {key}", {"Bucket": bucket, "Key": key, **parameters})


def on_objects(prefix: str, stage: str = LOCAL) -> Call:
    bucket = f"vitrine-{stage}-000000000000-{REGION}"
    return Call("s3", "ListObjectsV2", f"{stage} {prefix}", {"Bucket": bucket, "Prefix": prefix})


def on_queue(operation: str, queue: str = f"vitrine-{LOCAL}-jobs", **parameters: Any) -> Call:
    named = {"QueueName": queue} if operation == "GetQueueUrl" else {"QueueUrl": queue}
    return Call("sqs", operation, queue, {**named, **parameters})


def query(stage: str = LOCAL) -> Call:
    return on_table(
        "Query", stage, KeyConditionExpression="pk = :owner", ExpressionAttributeValues={":owner": RECORD["pk"]}
    )


def query_due(stage: str = LOCAL) -> Call:
    query = {"KeyConditionExpression": "dueShard = :shard", "ExpressionAttributeValues": {":shard": {"S": "0"}}}
    return on_table("Query", stage, IndexName="due", **query)._replace(resource=f"{stage} due")


get_item = functools.partial(on_table, "GetItem", Key=RECORD)
put_item = functools.partial(on_table, "PutItem", Item=RECORD)
delete_item = functools.partial(on_table, "DeleteItem", Key=RECORD)
update_item = functools.partial(on_table, "UpdateItem", Key=RECORD)


def get_in_batch(stage: str = LOCAL) -> Call:
    return on_table("BatchGetItem", stage)._replace(
        parameters={"RequestItems": {f"vitrine-{stage}": {"Keys": [RECORD]}}}
    )


put_in_batch = on_table("BatchWriteItem")._replace(
    parameters={"RequestItems": {f"vitrine-{LOCAL}": [{"PutRequest": {"Item": RECORD}}]}}
)
read = functools.partial(on_object, "GetObject")
write = functools.partial(on_object, "PutObject", Body=b"")
delete = functools.partial(on_object, "DeleteObject")
send = functools.partial(on_queue, "SendMessage", MessageBody=HARMLESS)
receive = functools.partial(on_queue, "ReceiveMessage", WaitTimeSeconds=0)


def get_parameter(name: str) -> Call:
    return Call("ssm", "GetParameter", name, {"Name": name, "WithDecryption": True})


KEY_READ = get_parameter(f"/vitrine/{LOCAL}/webhook-key")
KEY_CHANGED = Call("ssm", "PutParameter", "the key", {"Name": KEY_READ.resource, "Value": "v", "Overwrite": True})
own_name = Call("sts", "GetCallerIdentity", "itself", {})
count_jobs = on_queue("GetQueueAttributes", AttributeNames=["QueueArn"])
DELIVERIES, DELIVERIES_DEAD = f"vitrine-{LOCAL}-deliveries", f"vitrine-{LOCAL}-deliveries-dead"
count_deliveries = on_queue("GetQueueAttributes", DELIVERIES, AttributeNames=["QueueArn"])
JOBS, DEAD, EVENTS, OTHERS = (
    f"vitrine-{name}" for name in (f"{LOCAL}-jobs", f"{LOCAL}-jobs-dead", f"{LOCAL}-events-dead", f"{OTHER}-jobs")
)
TAKING_JOBS = [
    receive(),
    on_queue("DeleteMessage", ReceiptHandle="none"),
    on_queue("ChangeMessageVisibility", ReceiptHandle="none", VisibilityTimeout=0),
    count_jobs,
]


class Row(NamedTuple):
    """``function`` is denied the call ``denied``, for the reason ``why``, and may make the call ``allowed``."""

    function: str
    denied: Call
    allowed: Call
    why: str


def rows(function: str, *cells: tuple[Call | list[Call], Call, str]) -> Iterator[Row]:
    for denied, allowed, why in cells:
        yield from (Row(function, one, allowed, why) for one in (denied if isinstance(denied, list) else [denied]))


TABLE = [
    *rows(
        "api_handler",
        (on_table("DeleteTable"), get_item(), "the table is the resource stack's"),
        (on_table("UpdateTable", DeletionProtectionEnabled=False), get_item(), "and so is its protection"),
        (on_table("Scan"), query(), "it answers one owner at a time"),
        (query_due(), query(), "what is due is the cleanup's"),
        ([update_item(), put_in_batch], put_item(), "items are written whole, each under its condition"),
        (get_item(OTHER), get_item(), "it is another stage's"),
        (get_in_batch(OTHER), get_in_batch(), "it is another stage's"),
        (put_item(OTHER), put_item(), "it is another stage's"),
        (read(PICTURE, OTHER), read(PICTURE), "it is another stage's"),
        (write(PICTURE, OTHER), write(PICTURE), "it is another stage's"),
        (on_objects("uploads/items/", OTHER), on_objects("uploads/items/"), "it is another stage's"),
        (send(OTHERS), send(), "it is another stage's"),
        (on_queue("GetQueueUrl", OTHERS), on_queue("GetQueueUrl"), "it is another stage's"),
        (read(CHUNK), read(PICTURE), "what is imported is read by the consumer"),
        ([write(EXPORT), delete(EXPORT)], read(EXPORT), "exports are made by the consumer"),
        ([read(LOOSE), delete(LOOSE)], read(PICTURE), "a loose file belongs to no item"),
        (write(LOOSE), write(PICTURE), "a ticket is for an item's picture"),
        (write(THUMBNAIL), write(PICTURE), "the consumer alone makes thumbnails"),
        (delete(CHUNK), delete(THUMBNAIL), "chunks go by lifecycle"),
        ([on_objects(""), on_objects("imports/")], on_objects("uploads/items/"), "it looks for an item's objects"),
        (TAKING_JOBS, send(), "jobs are the consumer's"),
        (on_queue("PurgeQueue"), send(), "jobs are the consumer's"),
        ([send(DEAD), send(EVENTS), receive(DEAD)], send(), "what failed is for a person to look at"),
    ),
    *rows(
        "on_upload",
        ([KEY_READ, KEY_CHANGED], get_item(), "secrets of webhooks are for the API and deliveries"),
        ([read(PICTURE), read(LOOSE)], delete(PICTURE), "all that it needs stands in the event"),
        ([write(PICTURE), write(THUMBNAIL)], delete(PICTURE), "it only takes note"),
        ([delete(THUMBNAIL), delete(LOOSE)], delete(PICTURE), "it removes uploads that no item wants"),
        (on_objects("uploads/items/"), delete(PICTURE), "all that it needs stands in the event"),
        ([query(), query_due(), get_in_batch(), on_table("Scan")], get_item(), "it knows which item it is about"),
        ([update_item(), put_in_batch], put_item(), "items are written whole, each under its condition"),
        (TAKING_JOBS, send(), "jobs are the consumer's"),
        (send(DEAD), send(), "jobs that failed are put there by their queue"),
        ([get_item(OTHER), put_item(OTHER)], get_item(), "it is another stage's"),
        (delete(PICTURE, OTHER), delete(PICTURE), "it is another stage's"),
        (send(OTHERS), send(), "it is another stage's"),
    ),
    *rows(
        "on_messages",
        ([KEY_READ, KEY_CHANGED], get_item(), "secrets of webhooks are for the API and deliveries"),
        ([write(PICTURE), write(LOOSE), write(CHUNK)], write(THUMBNAIL), "it writes thumbnails alone"),
        (read("thumbnails/rights.jpg"), read(THUMBNAIL), "the thumbnails of items alone are copied"),
        (delete(CHUNK), delete(THUMBNAIL), "chunks go by lifecycle"),
        ([delete(LOOSE), delete("thumbnails/rights.jpg")], delete(PICTURE), "a loose file is not its to remove"),
        ([query_due(), on_table("Scan")], query(), "it looks for the items of one owner"),
        ([update_item(), put_in_batch], put_item(), "items are written whole, each under its condition"),
        (send(DEAD), send(), "jobs that failed are put there by their queue"),
        (read(EXPORT, OTHER), read(EXPORT), "it is another stage's"),
        ([receive(DEAD), on_queue("PurgeQueue")], count_jobs, "what failed is for a person to look at"),
        ([get_item(OTHER), put_item(OTHER)], get_item(), "it is another stage's"),
        (read(PICTURE, OTHER), read(PICTURE), "it is another stage's"),
        (write(THUMBNAIL, OTHER), write(THUMBNAIL), "it is another stage's"),
        (on_objects("", OTHER), on_objects(""), "it is another stage's"),
        (receive(OTHERS), count_jobs, "it is another stage's"),
    ),
    *rows(
        "clean_up",
        ([KEY_READ, KEY_CHANGED], get_item(), "secrets of webhooks are for the API and deliveries"),
        ([put_in_batch, update_item()], put_item(), "items are written whole, each under its condition"),
        ([get_in_batch(), on_table("Scan")], query_due(), "it reads what is due, and no more"),
        ([read(PICTURE), read(THUMBNAIL), read(CHUNK), read(EXPORT)], delete(PICTURE), "it goes by names alone"),
        ([write(PICTURE), write(THUMBNAIL), write(CHUNK)], delete(PICTURE), "it only takes away"),
        ([delete(CHUNK), delete(LOOSE)], delete(THUMBNAIL), "these belong to no item"),
        ([on_objects(""), on_objects("imports/")], on_objects("uploads/items/"), "it looks for an item's objects"),
        (TAKING_JOBS, send(), "jobs are the consumer's"),
        (send(DEAD), send(), "jobs that failed are put there by their queue"),
        ([query_due(OTHER), delete_item(OTHER)], query_due(), "it is another stage's"),
        (delete(PICTURE, OTHER), delete(PICTURE), "it is another stage's"),
        (send(OTHERS), send(), "it is another stage's"),
    ),
    *rows(
        "on_change",
        ([put_item(), delete_item(), put_in_batch], update_item(), "it only counts changes"),
        ([query(), query_due(), get_in_batch(), on_table("Scan")], get_item(), "it reads the owner's webhooks"),
        ([read(PICTURE), write(PICTURE), delete(PICTURE)], get_item(), "an event has no file"),
        (on_objects("uploads/items/"), get_item(), "an event has no file"),
        ([send(), *TAKING_JOBS], on_queue("GetQueueUrl", DELIVERIES), "jobs are the consumer's"),
        ([KEY_READ, KEY_CHANGED], get_item(), "secrets of webhooks are for the API and deliveries"),
        ([get_item(OTHER), update_item(OTHER)], get_item(), "it is another stage's"),
    ),
    *rows(
        "on_deliveries",
        ([query(), query_due(), get_in_batch(), on_table("Scan")], get_item(), "it knows which records it is about"),
        ([delete_item(), update_item(), put_in_batch], put_item(), "it writes whole records, and removes none"),
        ([read(PICTURE), write(PICTURE), delete(PICTURE)], get_item(), "an event has no file"),
        (on_objects("uploads/items/"), get_item(), "an event has no file"),
        ([send(), *TAKING_JOBS], count_deliveries, "jobs are the consumer's"),
        ([send(DELIVERIES), receive(DELIVERIES_DEAD)], count_deliveries, "what failed is for a person to look at"),
        (KEY_CHANGED, KEY_READ, "the API makes the key of the secrets"),
        (get_parameter(f"/vitrine/{OTHER}/webhook-key"), KEY_READ, "it is another stage's"),
        ([get_item(OTHER), put_item(OTHER)], get_item(), "it is another stage's"),
        (receive(f"vitrine-{OTHER}-deliveries"), count_deliveries, "it is another stage's"),
    ),
    *rows(
        "authorize",
        ([get_item(), get_in_batch(), query(), query_due(), on_table("Scan")], own_name, "it reads tokens"),
        ([put_item(), update_item(), delete_item()], own_name, "it reads tokens"),
        ([read(PICTURE), write(PICTURE), delete(PICTURE), on_objects("uploads/items/")], own_name, "it reads tokens"),
        ([on_queue("GetQueueUrl"), send(), *TAKING_JOBS], own_name, "it reads tokens"),
        ([KEY_READ, KEY_CHANGED], own_name, "it reads tokens"),
    ),
]

Signed = Callable[[Call], str]
"""Make a call. Return the action that was not authorized, or the code of another error, or "" if it succeeded."""


@pytest.fixture(scope="module")
def stages_side_by_side(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Create a second stage and, in the first, the objects for the calls. Delete all of them after the tests."""
    project = copy_project(tmp_path_factory.mktemp("other") / "project")
    provision.provision(OTHER, system.client, project, print)
    s3 = system.client("s3")
    keys = (CHUNK, EXPORT, THUMBNAIL)  # not under uploads/, because the stage's own functions would process them
    for key in keys:
        s3.put_object(Bucket=system.bucket, Key=key, Body=b"")
    yield
    for key in keys:
        s3.delete_object(Bucket=system.bucket, Key=key)
    for key in (PICTURE, LOOSE):
        s3.delete_object(Bucket=system.bucket, Key=key)
    system.client("dynamodb").delete_item(TableName=system.table, Key=RECORD)
    provision.delete(OTHER, system.client, project, print, delete_data=True)


@pytest.fixture(scope="module")
def as_role_of(system: System, stages_side_by_side: None) -> Callable[[str], Signed]:
    """Return a function that makes calls with the credentials of a function's role, which the root user can assume."""

    @functools.cache
    def signed(function: str) -> Signed:
        role = system.client("lambda").get_function_configuration(FunctionName=system.functions[function])["Role"]
        given = system.client("sts").assume_role(RoleArn=role, RoleSessionName=function)["Credentials"]
        session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)
        return functools.partial(make, session.client, system.emulator.url)

    return signed


def make(client: Callable[..., Any], url: str, call: Call) -> str:
    parameters = call.parameters
    if "QueueUrl" in parameters:
        parameters = {**parameters, "QueueUrl": f"{url}/000000000000/{parameters['QueueUrl']}"}
    try:
        client(call.service, endpoint_url=url)._make_api_call(call.operation, parameters)
    except ClientError as error:
        refused = re.search(r"not authorized to perform: \S+", error.response["Error"]["Message"])
        return refused[0].lower() if refused else error.response["Error"]["Code"]
    return ""


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.function}: {row.denied}")
def test_function_is_denied_calls_it_does_not_need(as_role_of: Callable[[str], Signed], row: Row) -> None:
    signed = as_role_of(row.function)

    allowed, denied = signed(row.allowed), signed(row.denied)

    assert allowed in ("", "NoSuchKey", "ParameterNotFound")
    action = rights.action(row.denied.service, row.denied.operation)
    # The case of an action does not matter in IAM, nor in the emulator.
    assert denied == f"not authorized to perform: {action.lower()}", f"{row.denied} should be denied: {row.why}"


def test_each_missing_permission_has_a_denied_call() -> None:
    """Require a denied call for each action that another function's policy grants and this one's does not.

    Lambda reads the table's stream in the name of on_change. No function calls these actions.
    """
    granted = {
        function: {
            grant.action
            for grant in rights.grants(policy)
            if grant.action.partition(":")[0] in SERVICES and "/stream/" not in grant.resource
        }
        for function, policy in policies.for_stage(PROJECT, "dev").items()
    }
    denied = {function: set[str]() for function in granted}
    for row in TABLE:
        denied[row.function].add(rights.action(row.denied.service, row.denied.operation))
    for function, actions in granted.items():
        assert set().union(*granted.values()) - actions <= denied[function], function
