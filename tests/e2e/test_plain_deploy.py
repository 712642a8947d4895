"""``chalice deploy``: the deployed app works, a second deployment changes nothing, and no message is lost.

It deploys into a separate account, so that one emulator can hold the results of both ways to deploy. The emulator does
not import Chalice's routes: tests/integration/processes/test_swagger.py tests them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicelib.config import LOCAL
from tests.builders import fields
from tests.e2e.pictures import drawing
from tests.e2e.shell import at_the_emulator
from tests.e2e.subscriber import Subscriber
from tests.e2e.system import System, configure, copy_project, give_up_sooner
from tests.e2e.test_flows import SCHEDULED
from tests.e2e.waiting import eventually
from tools import processes
from tools.bundle import chalice_deployments
from tools.laptop.emulator import client_factory
from tools.stage import provision

ACCOUNT = "111111111111"
# The emulator has no PutRestApi, which updates the routes of an existing API. And its functions are ready long before
# the five seconds that botocore's waiter sleeps between two checks.
CHALICE = """
import time
from types import SimpleNamespace
from botocore import waiter
from chalice import awsclient, cli
waiter.time = SimpleNamespace(sleep=lambda seconds: time.sleep(0.2))
awsclient.TypedAWSClient.update_api_from_swagger = lambda client, rest_api_id, swagger_document: None
raise SystemExit(cli.main())
"""


class Deployed(NamedTuple):
    client: Callable[[str], Any]
    deploy: Callable[[], None]
    """Run ``chalice deploy`` again."""
    table: str
    bucket: str
    queue_url: str
    dead_letter_queue_url: str


@pytest.fixture(scope="module")
def deployed(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    project = copy_project(tmp_path_factory.mktemp("deploy") / "project")
    env = at_the_emulator(system.emulator, ACCOUNT)
    client = client_factory(system.emulator.url, system.emulator.root(ACCOUNT))

    resources = provision.provision(LOCAL, client, project, print)
    give_up_sooner(client("sqs"), resources["QueueUrl"])
    tell_functions_nothing_of_aws(project)
    # In other stages, tools/stage/provision.py writes it.
    configure(project / ".chalice" / "config.json", TABLE_STREAM_ARN=resources["TableStreamArn"])
    chalice_deployments.write_bundle(project, LOCAL, print)
    command = [sys.executable, "-c", CHALICE, "deploy", "--stage", LOCAL]

    def deploy() -> None:
        status, output = processes.run(command, env=processes.without_aws(os.environ) | env, cwd=project)
        assert status == 0, output
        assert "Reusing existing deployment package" in output  # the bundle

    deploy()
    yield Deployed(
        client=client,
        deploy=deploy,
        table=resources["TableName"],
        bucket=resources["BucketName"],
        queue_url=resources["QueueUrl"],
        dead_letter_queue_url=resources["DeadLetterQueueUrl"],
    )
    for mapping in client("lambda").list_event_source_mappings()["EventSourceMappings"]:
        client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def tell_functions_nothing_of_aws(project: Path) -> None:
    """Remove the endpoint and the keys from the configuration, as a deployed stage in AWS has none."""
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    variables = config["stages"][LOCAL]["environment_variables"]
    config["stages"][LOCAL]["environment_variables"] = {
        name: value for name, value in variables.items() if not name.startswith("AWS_")
    }
    path.write_text(json.dumps(config))


def test_only_the_bad_message_of_ten_is_retried(deployed: Deployed) -> None:
    mappings = deployed.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert [mapping.get("FunctionResponseTypes", []) for mapping in mappings] == [[]] * 3
    bodies = [json.dumps({"type": "item.create", "owner": "local", "item": fields(n=n)}) for n in range(9)]
    bodies.insert(4, "not even JSON")
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]

    deployed.client("sqs").send_message_batch(QueueUrl=deployed.queue_url, Entries=entries)

    assert eventually(lambda: items(deployed) == list(range(9)))
    eventually(lambda: waiting(deployed, deployed.queue_url) == 1)
    eventually(lambda: waiting(deployed, deployed.dead_letter_queue_url) == 1, 90)
    dead = deployed.client("sqs").receive_message(QueueUrl=deployed.dead_letter_queue_url)["Messages"]
    assert [message["Body"] for message in dead] == ["not even JSON"]
    assert waiting(deployed, deployed.queue_url) == 0
    assert items(deployed) == list(range(9))


def test_only_changes_of_items_are_events(deployed: Deployed) -> None:
    mappings = deployed.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert [mapping for mapping in mappings if "FilterCriteria" in mapping or "DestinationConfig" in mapping] == []
    table, bad = deployed.client("dynamodb"), {"pk": {"S": "OWNER#local"}, "sk": {"S": "ITEM#poison"}}
    new = json.dumps({"type": "item.create", "owner": "local", "item": fields(n=10)})

    with Subscriber(deployed.client) as subscriber:
        table.put_item(TableName=deployed.table, Item=bad)
        deployed.client("sqs").send_message(QueueUrl=deployed.queue_url, MessageBody=new)
        eventually(subscriber.events)

        assert [(one["type"], one["data"]["item"]["n"]) for one in subscriber.events()] == [("item.created", 10)]
    table.delete_item(TableName=deployed.table, Key=bad)


def test_picture_in_the_bucket_gets_its_thumbnail(deployed: Deployed) -> None:
    deployed.client("s3").put_object(Bucket=deployed.bucket, Key="uploads/holiday/b.png", Body=drawing(640, 480))

    def look() -> list[str]:
        found = deployed.client("s3").list_objects_v2(Bucket=deployed.bucket, Prefix="thumbnails/")
        return [one["Key"] for one in found.get("Contents", [])]

    assert eventually(look, 90) == ["thumbnails/holiday/b.png.jpg"]


def test_cleanup_works_and_is_scheduled_hourly(deployed: Deployed) -> None:
    answer = deployed.client("lambda").invoke(FunctionName="vitrine-local-clean_up", Payload=SCHEDULED)

    assert ("FunctionError" in answer, json.load(answer["Payload"])) == (False, {})
    assert called_by_rules(deployed, "ScheduleExpression")["vitrine-local-clean_up"] == "rate(1 hour)"
    pattern = json.loads(called_by_rules(deployed, "EventPattern")["vitrine-local-on_upload"])
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    events = deployed.client("s3").get_bucket_notification_configuration(Bucket=deployed.bucket)
    assert "EventBridgeConfiguration" in events


def test_only_its_event_source_may_call_a_function(deployed: Deployed) -> None:
    callers = {name: allowed_callers(deployed, name) for name in standing(deployed)["functions"]}

    assert callers == {
        "vitrine-local": {"apigateway.amazonaws.com"},
        "vitrine-local-authorize": {"apigateway.amazonaws.com"},
        "vitrine-local-clean_up": {"events.amazonaws.com"},
        "vitrine-local-on_change": set(),
        "vitrine-local-on_deliveries": set(),
        "vitrine-local-on_messages": set(),
        "vitrine-local-on_upload": {"events.amazonaws.com"},
    }


def test_second_deployment_changes_nothing(deployed: Deployed) -> None:
    before = standing(deployed)
    assert all(before.values())

    deployed.deploy()

    after = standing(deployed)
    assert after.keys() == before.keys()
    for kind, made in before.items():
        assert after[kind] == made, kind


def standing(deployed: Deployed) -> dict[str, Any]:
    """Return everything that Chalice creates, without the times of its last change."""
    functions = deployed.client("lambda").list_functions()["Functions"]
    mappings = deployed.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    events = deployed.client("events")
    rules = events.list_rules()["Rules"]
    notification = deployed.client("s3").get_bucket_notification_configuration(Bucket=deployed.bucket)
    return {
        "functions": {one["FunctionName"]: without(one, "LastModified", "RevisionId") for one in functions},
        "permissions": {one["FunctionName"]: statements(deployed, one["FunctionName"]) for one in functions},
        "mappings": [without(one, "LastModified", "LastProcessingResult") for one in mappings],
        "rules": {one["Name"]: (one, events.list_targets_by_rule(Rule=one["Name"])["Targets"]) for one in rules},
        "roles": {one["FunctionName"]: role(deployed, one["Role"]) for one in functions},
        "notification": without(notification, "ResponseMetadata"),
        "apis": [one["id"] for one in deployed.client("apigateway").get_rest_apis()["items"]],
    }


def without(described: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name not in names}


def statements(deployed: Deployed, function: str) -> list[dict[str, Any]]:
    """Return the policy statements that say who may call a function."""
    try:
        policy = deployed.client("lambda").get_policy(FunctionName=function)["Policy"]
    except deployed.client("lambda").exceptions.ResourceNotFoundException:
        return []
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


def allowed_callers(deployed: Deployed, function: str) -> set[str]:
    found = statements(deployed, function)
    assert all(one["Condition"] for one in found), "whoever may call must be one of ours"
    return {one["Principal"]["Service"] for one in found}


def role(deployed: Deployed, arn: str) -> dict[str, Any]:
    """Return the trust policy and the permission policies of a role."""
    iam, name = deployed.client("iam"), arn.rpartition("/")[2]
    inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {
        "name": name,
        "trust": iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"],
        "attached": iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
        "inline": {one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in inline},
    }


def called_by_rules(deployed: Deployed, by: str) -> dict[str, str]:
    """Return, for each function that a rule calls, the rule's schedule or event pattern."""
    events = deployed.client("events")
    return {
        target["Arn"].rpartition(":")[2]: rule[by]
        for rule in events.list_rules()["Rules"]
        if by in rule
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    }


def items(deployed: Deployed) -> list[int]:
    rows = deployed.client("dynamodb").scan(TableName=deployed.table)["Items"]
    return sorted(int(row["fields"]["M"]["n"]["N"]) for row in rows if row["sk"]["S"].startswith("ITEM#"))


def waiting(deployed: Deployed, queue_url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = deployed.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)
