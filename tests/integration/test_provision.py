"""Deletion of the resources that hold data. Creating them needs more of CloudFormation than moto has."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tools.ops import output
from tools.stage import provision, retained_resources
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

PROJECT = Path(__file__).resolve().parents[2]
TABLE = "vitrine-dev"
BUCKET = "vitrine-dev-123456789012-eu-west-1"
RETAINED = retained_resources.Names(TABLE, BUCKET, "vitrine-dev", "/vitrine/dev/webhook-key")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.Session("test", "test", region_name="eu-west-1")


@pytest.fixture
def dynamodb(session: boto3.Session) -> DynamoDBClient:
    client = session.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    return client


@pytest.fixture
def s3(session: boto3.Session) -> S3Client:
    client = session.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def cognito(session: boto3.Session) -> CognitoIdentityProviderClient:
    client = session.client("cognito-idp")
    for name in ("vitrine-dev", "vitrine-prod"):
        client.create_user_pool(PoolName=name, DeletionProtection="ACTIVE")
    return client


def test_names_contain_stage_account_and_region(session: boto3.Session) -> None:
    assert retained_resources.names("dev", session.client) == RETAINED


@pytest.mark.usefixtures("dynamodb", "s3", "cognito")
def test_empty_resources_hold_no_data(session: boto3.Session) -> None:
    assert retained_resources.with_data(RETAINED, session.client) == []


def test_missing_resources_hold_no_data(session: boto3.Session) -> None:
    assert retained_resources.with_data(RETAINED, session.client) == []


def test_one_item_object_or_user_is_data(
    session: boto3.Session, dynamodb: DynamoDBClient, s3: S3Client, cognito: CognitoIdentityProviderClient
) -> None:
    cognito.admin_create_user(UserPoolId=pools(cognito)["vitrine-dev"], Username="ann@example.com")
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}})
    s3.put_object(Bucket=BUCKET, Key="uploads/a", Body=b"")
    assert retained_resources.with_data(RETAINED, session.client) == [
        f"the table {TABLE}",
        f"the bucket {BUCKET}",
        "the user pool vitrine-dev",
    ]


def test_only_the_first_objects_are_counted(
    session: boto3.Session, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained_resources, "_MAX_COUNTED", 2)
    for key, exact in {"a": True, "b": True, "c": False}.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
        (content,) = retained_resources.contents(RETAINED, session.client)
        assert content.exact is exact
    assert content.total == 2
    assert output.content_text(content) == f"the bucket {BUCKET}: more than 2 objects"


def pools(cognito: CognitoIdentityProviderClient) -> dict[str, str]:
    return {pool["Name"]: pool["Id"] for pool in cognito.list_user_pools(MaxResults=60)["UserPools"]}


def test_protected_resources_are_deleted_with_content(
    session: boto3.Session, dynamodb: DynamoDBClient, s3: S3Client, cognito: CognitoIdentityProviderClient
) -> None:
    cognito.admin_create_user(UserPoolId=pools(cognito)["vitrine-dev"], Username="ann@example.com")
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}})
    s3.put_object(Bucket=BUCKET, Key="uploads/a", Body=b"")
    retained_resources.delete(RETAINED, session.client, print)
    assert TABLE not in dynamodb.list_tables()["TableNames"]
    assert BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert list(pools(cognito)) == ["vitrine-prod"]


def test_deleting_missing_resources_is_no_error(session: boto3.Session) -> None:
    lines: list[str] = []
    retained_resources.delete(RETAINED, session.client, lines.append)
    assert lines == []


class TestDeletingAStageWithoutStack:
    @pytest.fixture
    def client(self, session: boto3.Session) -> provision.Client:
        def client(service: str) -> Any:
            return _no_stack() if service == "cloudformation" else session.client(service)  # type: ignore[call-overload]

        return client

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        (tmp_path / ".chalice").mkdir()
        shutil.copy(PROJECT / ".chalice" / "config.json", tmp_path / ".chalice")
        return tmp_path

    def test_data_is_kept_by_default(
        self, client: provision.ClientFactory, project: Path, dynamodb: DynamoDBClient
    ) -> None:
        dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}})
        with pytest.raises(StageError, match="There is data in the table vitrine-dev, so nothing was deleted"):
            provision.delete("dev", client, project)
        assert dynamodb.scan(TableName=TABLE)["Count"] == 1

    def test_data_is_deleted_after_confirmation(
        self, client: provision.ClientFactory, project: Path, dynamodb: DynamoDBClient
    ) -> None:
        dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}})
        with pytest.raises(StageError, match="Nothing was deleted"):
            provision.delete("dev", client, project, confirm=lambda question: False, delete_data=True)
        provision.delete("dev", client, project, delete_data=True)
        assert TABLE not in dynamodb.list_tables()["TableNames"]

    def test_empty_resources_are_deleted(
        self, client: provision.ClientFactory, project: Path, dynamodb: DynamoDBClient, s3: S3Client
    ) -> None:
        provision.delete("dev", client, project)
        assert TABLE not in dynamodb.list_tables()["TableNames"]
        assert BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def _no_stack() -> Any:
    """A CloudFormation without the stage's stack."""

    def missing(**parameters: str) -> None:
        error = {"Code": "ValidationError", "Message": "Stack vitrine-dev-resources does not exist"}
        raise ClientError({"Error": error}, "DescribeStacks")

    meta = SimpleNamespace(endpoint_url="https://cloudformation.eu-west-1.amazonaws.com")
    return SimpleNamespace(meta=meta, describe_stacks=missing, list_imports=missing)
