"""Deploy the session's package unchanged into a second account, and compare both deployments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from chalicelib.config import LOCAL
from tests.builders import fields
from tests.e2e.pictures import drawing
from tests.e2e.system import System, copy_project
from tests.e2e.waiting import eventually
from tools.laptop import code_stack
from tools.laptop.emulator import ACCOUNT as FIRST
from tools.laptop.emulator import client_factory
from tools.stage import provision

SECOND = "222222222222"


class Account(NamedTuple):
    """The stage ``local`` in one account."""

    id: str
    client: Callable[[str], Any]
    functions: dict[str, str]
    table: str
    bucket: str
    queue_url: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Invoke the API function with an API Gateway event: the emulator serves no API URL for a second account."""
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": {"content-type": "application/json"},
            "multiValueHeaders": {"content-type": ["application/json"]},
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {"resourcePath": path, "httpMethod": method, "path": f"/api{path}", "requestId": "1"},
        }
        answer = self.client("lambda").invoke(
            FunctionName=self.functions["api_handler"], Payload=json.dumps(event).encode()
        )
        response = json.load(answer["Payload"])
        assert response["statusCode"] < 300, response
        return json.loads(response["body"])

    def titles(self) -> set[str]:
        return {item["title"] for item in self.ask("GET", "/items")["items"] if "title" in item}

    def objects(self, prefix: str) -> list[str]:
        found = self.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]


@pytest.fixture(scope="module")
def accounts(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Account]]:
    client = client_factory(system.emulator.url, system.emulator.root(SECOND))

    # This copy is used to create the resources only; the package comes from the first account.
    resources = provision.provision(LOCAL, client, copy_project(tmp_path_factory.mktemp("second") / "project"), print)
    artifacts = f"{code_stack.ARTIFACTS}-{SECOND}"
    client("s3").create_bucket(Bucket=artifacts)
    for key, data in package(system, artifacts).items():
        client("s3").put_object(Bucket=artifacts, Key=key, Body=data)
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName=code_stack.STACK,
        TemplateURL=f"{system.emulator.url}/{artifacts}/sam.json",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=code_stack.STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    deployment = code_stack.find(client)
    assert deployment is not None
    yield (
        Account(FIRST, system.client, system.functions, system.table, system.bucket, system.queue_url),
        Account(
            SECOND,
            client,
            deployment.functions,
            resources["TableName"],
            resources["BucketName"],
            resources["QueueUrl"],
        ),
    )
    for mapping in client("lambda").list_event_source_mappings()["EventSourceMappings"]:
        client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def package(system: System, artifacts: str) -> dict[str, bytes]:
    """Return the first account's zip and template by key, with ``artifacts`` as the bucket of the zip.

    ``aws cloudformation package`` also writes the bucket into the template: each account has its own.
    """
    s3 = system.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=code_stack.ARTIFACTS)["Contents"]]
    found = {key: s3.get_object(Bucket=code_stack.ARTIFACTS, Key=key)["Body"].read() for key in keys}
    found["sam.json"] = found["sam.json"].replace(
        json.dumps({"Bucket": code_stack.ARTIFACTS})[:-1].encode(), json.dumps({"Bucket": artifacts})[:-1].encode()
    )
    return found


def test_code_is_identical_in_both_accounts(accounts: tuple[Account, Account]) -> None:
    codes = [
        {
            name: one.client("lambda").get_function_configuration(FunctionName=function)["CodeSha256"]
            for name, function in one.functions.items()
        }
        for one in accounts
    ]
    assert codes[0] == codes[1]


def test_each_account_lists_only_its_own_items(accounts: tuple[Account, Account]) -> None:
    titles = [f"of {one.id}" for one in accounts]
    for one, title in zip(accounts, titles, strict=True):
        one.ask("POST", "/items", fields(title=title))

    for one, own, others in zip(accounts, titles, reversed(titles), strict=True):
        assert own in one.titles()
        assert others not in one.titles()


def test_each_account_processes_uploads_in_its_own_bucket(accounts: tuple[Account, Account]) -> None:
    for one in accounts:
        one.client("s3").put_object(Bucket=one.bucket, Key=f"uploads/of/{one.id}.png", Body=drawing(64, 48))

    for one in accounts:
        assert eventually(lambda one=one: one.objects("thumbnails/of/"), 90) == [f"thumbnails/of/{one.id}.png.jpg"]  # type: ignore[misc]


def test_each_account_processes_messages_in_its_own_queue(accounts: tuple[Account, Account]) -> None:
    titles = [f"by message to {one.id}" for one in accounts]
    for one, title in zip(accounts, titles, strict=True):
        body = json.dumps({"type": "item.create", "owner": "local", "item": fields(title=title)})
        one.client("sqs").send_message(QueueUrl=one.queue_url, MessageBody=body)

    for one, own, others in zip(accounts, titles, reversed(titles), strict=True):
        assert eventually(lambda one=one, own=own: own in one.titles(), 90)  # type: ignore[misc]
        assert others not in one.titles()
