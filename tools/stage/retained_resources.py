"""The resources with data that a deleted stack retains: table, bucket and user pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from tools.stage.aws_clients import ClientFactory
from tools.stage.names import code_stack_name

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


class Names(NamedTuple):
    """The names of the retained resources."""

    table: str
    bucket: str
    user_pool: str


def names(stage: str, client: ClientFactory) -> Names:
    """Return the names of a stage's resources, formed as in ``infra/resources.json``, whether they exist or not."""
    account = client("sts").get_caller_identity()["Account"]
    region = client("s3").meta.region_name
    name = code_stack_name(stage)
    return Names(table=name, bucket=f"{name}-{account}-{region}", user_pool=name)


def with_data(retained: Names, client: ClientFactory) -> list[str]:
    """Return those of the resources that exist and hold data, each as text such as "the table vitrine-dev"."""
    found = []
    if _has_items(client("dynamodb"), retained.table):
        found.append(f"the table {retained.table}")
    if _has_objects(client("s3"), retained.bucket):
        found.append(f"the bucket {retained.bucket}")
    if _has_users(client("cognito-idp"), retained.user_pool):
        found.append(f"the user pool {retained.user_pool}")
    return found


def delete(retained: Names, client: ClientFactory, report: Callable[[str], None]) -> None:
    """Delete those of the resources that exist, with their data. Only the table can be restored (point-in-time)."""
    if _delete_bucket(client("s3"), retained.bucket):
        report(f"Deleted the bucket {retained.bucket}")
    if _delete_table(client("dynamodb"), retained.table):
        report(f"Deleted the table {retained.table}")
    if _delete_user_pools(client("cognito-idp"), retained.user_pool):
        report(f"Deleted the user pool {retained.user_pool}")


def _has_items(dynamodb: DynamoDBClient, table: str) -> bool:
    try:
        return bool(dynamodb.scan(TableName=table, Limit=1, ConsistentRead=True)["Items"])
    except ClientError as error:
        return _false_if_absent(error)


def _has_objects(s3: S3Client, bucket: str) -> bool:
    try:
        return s3.list_objects_v2(Bucket=bucket, MaxKeys=1)["KeyCount"] > 0
    except ClientError as error:
        return _false_if_absent(error)


def _delete_bucket(s3: S3Client, bucket: str) -> bool:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": found["Key"]} for found in page.get("Contents", [])]:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})  # type: ignore[typeddict-item]
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        return _false_if_absent(error)
    return True


def _delete_table(dynamodb: DynamoDBClient, table: str) -> bool:
    try:
        if dynamodb.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            dynamodb.get_waiter("table_exists").wait(TableName=table)
        dynamodb.delete_table(TableName=table)
        dynamodb.get_waiter("table_not_exists").wait(TableName=table)
    except ClientError as error:
        return _false_if_absent(error)
    return True


def _user_pools(cognito: CognitoIdentityProviderClient, name: str) -> Iterator[str]:
    """Yield the ids of the pools of that name, which in Cognito need not be unique."""
    for page in cognito.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 60}):
        yield from (pool["Id"] for pool in page["UserPools"] if pool["Name"] == name)


def _has_users(cognito: CognitoIdentityProviderClient, name: str) -> bool:
    return any(cognito.list_users(UserPoolId=pool, Limit=1)["Users"] for pool in _user_pools(cognito, name))


def _delete_user_pools(cognito: CognitoIdentityProviderClient, name: str) -> bool:
    pools = list(_user_pools(cognito, name))
    for pool in pools:
        cognito.update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
        cognito.delete_user_pool(UserPoolId=pool)
    return bool(pools)


def _false_if_absent(error: ClientError) -> bool:
    """Return False if the error says that the table or bucket does not exist. Raise any other error again."""
    if error.response["Error"]["Code"] in ("NoSuchBucket", "ResourceNotFoundException"):
        return False
    raise error
