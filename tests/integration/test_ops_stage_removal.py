"""``remove`` of ``python -m tools.ops`` on moto. What Chalice deployed is deleted in tests/e2e/test_deploying.py."""

from __future__ import annotations

import functools
import io
import json
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration.stage import answers, fails, remove_faults
from tools.interruption import Interruption
from tools.ops import stage_removal
from tools.ops.stage_removal import Target
from tools.stage.errors import StageError

PROJECT = Path(__file__).resolve().parents[2]
BUCKET = "vitrine-dev-123456789012-us-east-1"
RESOURCES = {
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "vitrine-dev-jobs"}}},
    "Outputs": {"BucketName": {"Value": BUCKET, "Export": {"Name": "vitrine-dev-resources-BucketName"}}},
}
IMPORT = {"Fn::ImportValue": "vitrine-dev-resources-BucketName"}
CODE = {"Resources": {"Alarms": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": IMPORT}}}}

# Creating a client takes longer than a test.
client = functools.cache(boto3.client)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """Return the stage dev, deployed by CloudFormation, with a record, an object, a message and no user."""
    (tmp_path / ".chalice").mkdir()
    shutil.copy(PROJECT / ".chalice" / "config.json", tmp_path / ".chalice")
    for name, template in {"vitrine-dev-resources": RESOURCES, "vitrine-dev": CODE}.items():
        client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    for name in ("vitrine-dev", "vitrine-dev-OnUpload-1", "vitrine-dev2-OnUpload-1"):
        client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
    client("dynamodb").create_table(
        TableName="vitrine-dev",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    client("dynamodb").put_item(TableName="vitrine-dev", Item={"pk": {"S": "a"}})
    client("s3").create_bucket(Bucket=BUCKET)
    client("s3").put_object(Bucket=BUCKET, Key="uploads/a", Body=b"")
    client("ssm").put_parameter(Name="/vitrine/dev/webhook-key", Value="a", Type="SecureString")
    client("cognito-idp").create_user_pool(PoolName="vitrine-dev")
    url = client("sqs").get_queue_url(QueueName="vitrine-dev-jobs")["QueueUrl"]
    client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    imported_by("vitrine-dev")
    return Target("dev", client, tmp_path)


def imported_by(*stacks: str) -> None:
    """Make CloudFormation say that these stacks import the name of the bucket: moto cannot."""
    remove_faults()
    answers(client("cloudformation"), "ListImports", {"Imports": list(stacks)})


def remove(target: Target, **options: Any) -> int:
    chosen = Namespace(**{"json": False, "with_data": False, "yes": "dev", **options})
    with Interruption() as interruption:
        return stage_removal.remove(target, chosen, interruption)


def remains() -> dict[str, list[str]]:
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    return {
        "stacks": [one["StackName"] for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"],
        "queues": [url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])],
        "logs": [one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"]],
        "tables": sorted(client("dynamodb").list_tables()["TableNames"]),
        "buckets": sorted(one["Name"] for one in client("s3").list_buckets()["Buckets"]),
        "pools": [one["Name"] for one in client("cognito-idp").list_user_pools(MaxResults=9)["UserPools"]],
    }


OTHERS = {
    "stacks": [],
    "queues": ["vitrine-local-jobs", "vitrine-local-deliveries"],
    "logs": ["/aws/lambda/vitrine-dev2-OnUpload-1"],
    "tables": ["vitrine-local"],
    "buckets": ["vitrine-local-000000000000-us-east-1"],
    "pools": [],
}
"""What is not of the stage dev: the stage local is created for all tests of this folder."""


def test_data_is_kept_by_default_and_deleted_by_a_second_removal(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remove(target) == 0

    output = capsys.readouterr().out
    assert "  the API and 0 functions: the stack vitrine-dev\n" in output
    assert "  the logs of the functions: 2 log groups, 0.0 MB\n" in output
    assert "  the queue vitrine-dev-jobs: about 1 messages\n  the user pool vitrine-dev: 0 users\n" in output
    assert (
        f"To be kept (--with-data deletes it too):\n  the table vitrine-dev: 1 records\n  the bucket {BUCKET}" in output
    )
    assert "The stage cannot be created again before they are deleted" in output
    kept = {"tables": ["vitrine-dev", "vitrine-local"], "buckets": sorted([BUCKET, *OTHERS["buckets"]])}
    assert remains() == OTHERS | kept

    assert remove(target, with_data=True) == 0
    output = capsys.readouterr().out
    assert "Deleted the parameter /vitrine/dev/webhook-key\n" in output
    assert output.endswith("Removed the stage dev.\n")
    assert remains() == OTHERS


def test_data_that_came_after_the_list_is_kept(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    client("s3").delete_object(Bucket=BUCKET, Key="uploads/a")

    def answer(_: str) -> bool:
        client("s3").put_object(Bucket=BUCKET, Key="uploads/late", Body=b"")
        return True

    monkeypatch.setattr(stage_removal, "_ask_for_name", answer)
    assert remove(target, yes=None) == 0
    assert BUCKET in remains()["buckets"]


def test_interrupted_removal_is_continued(target: Target) -> None:
    fails(client("dynamodb"), "DeleteTable", "InternalError")
    with pytest.raises(Exception, match="provoked"):
        remove(target, with_data=True)
    imported_by()
    assert remains()["stacks"] == []

    assert remove(target, with_data=True) == 0
    assert remains() == OTHERS
    with pytest.raises(StageError, match=r"Nothing of a stage dev exists in this account and region\."):
        remove(target)


@pytest.mark.parametrize(("typed", "removed"), [("yes\n", False), ("dev\n", True)])
def test_name_of_the_stage_must_be_typed(
    target: Target, typed: str, removed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.StringIO(typed)
    stdin.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", stdin)
    before = remains()
    if removed:
        assert remove(target, yes=None) == 0
    else:
        with pytest.raises(StageError, match=r"Nothing was removed\."):
            remove(target, yes=None)
    assert (remains() == before) is not removed


def test_without_a_terminal_nothing_is_removed(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    before = remains()
    with pytest.raises(StageError, match=r"Nothing was removed\."):
        remove(target, yes=None)
    assert "There is no terminal to ask: use --yes dev." in capsys.readouterr().err
    assert remains() == before


def test_resources_that_another_stack_uses_are_kept(target: Target) -> None:
    imported_by("vitrine-dev", "report")
    with pytest.raises(StageError, match="report uses these resources: delete that stack first"):
        remove(target)
    assert "vitrine-dev" in remains()["stacks"]


def test_code_that_another_folder_deployed_is_an_error(target: Target) -> None:
    client("cloudformation").delete_stack(StackName="vitrine-dev")
    role = client("iam").create_role(RoleName="vitrine-dev", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="vitrine-dev-on_upload",
        Role=role,
        Runtime="python3.12",
        Handler="app.on_upload",
        Code={"ZipFile": b""},
    )
    with pytest.raises(StageError, match="vitrine-dev-on_upload: no stack has these functions"):
        remove(target, with_data=True)
    assert "vitrine-dev" in remains()["tables"]
