"""What of a stage outlives its stack, as it holds data: table, bucket, user pool. Whether there is any, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

Client = Callable[[str], Any]


class Names(NamedTuple):
    """What they are called."""

    table: str
    bucket: str
    user_pool: str


def names(stage: str, client: Client) -> Names:
    """The names of a stage, formed as in ``infra/resources.json``, stack or no stack."""
    account = client("sts").get_caller_identity()["Account"]
    region = client("s3").meta.region_name
    return Names(f"vitrine-{stage}", f"vitrine-{stage}-{account}-{region}", f"vitrine-{stage}")


def holding_data(kept: Names, client: Client) -> list[str]:
    """Which of them exist and hold anything, each as words for a person."""
    full = []
    if _has_items(client("dynamodb"), kept.table):
        full.append(f"the table {kept.table}")
    if _has_objects(client("s3"), kept.bucket):
        full.append(f"the bucket {kept.bucket}")
    if _has_users(client("cognito-idp"), kept.user_pool):
        full.append(f"the user pool {kept.user_pool}")
    return full


def remove(kept: Names, client: Client, report: Callable[[str], None]) -> None:
    """Delete them with all that is in them, where they exist. There is no way back but a table's recovery."""
    if _remove_bucket(client("s3"), kept.bucket):
        report(f"Deleted the bucket {kept.bucket}")
    if _remove_table(client("dynamodb"), kept.table):
        report(f"Deleted the table {kept.table}")
    if _remove_user_pools(client("cognito-idp"), kept.user_pool):
        report(f"Deleted the user pool {kept.user_pool}")


def _has_items(dynamodb: DynamoDBClient, table: str) -> bool:
    try:
        return bool(dynamodb.scan(TableName=table, Limit=1, ConsistentRead=True)["Items"])
    except ClientError as error:
        return _absent(error)


def _has_objects(s3: S3Client, bucket: str) -> bool:
    try:
        return s3.list_objects_v2(Bucket=bucket, MaxKeys=1)["KeyCount"] > 0
    except ClientError as error:
        return _absent(error)


def _remove_bucket(s3: S3Client, bucket: str) -> bool:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": found["Key"]} for found in page.get("Contents", [])]:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})  # type: ignore[typeddict-item]
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        return _absent(error)
    return True


def _remove_table(dynamodb: DynamoDBClient, table: str) -> bool:
    try:
        if dynamodb.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            dynamodb.get_waiter("table_exists").wait(TableName=table)
        dynamodb.delete_table(TableName=table)
        dynamodb.get_waiter("table_not_exists").wait(TableName=table)
    except ClientError as error:
        return _absent(error)
    return True


def _user_pools(cognito: CognitoIdentityProviderClient, name: str) -> Iterator[str]:
    """The ids of the pools of that name: to Cognito it is no more than a label."""
    for page in cognito.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 60}):
        yield from (pool["Id"] for pool in page["UserPools"] if pool["Name"] == name)


def _has_users(cognito: CognitoIdentityProviderClient, name: str) -> bool:
    return any(cognito.list_users(UserPoolId=pool, Limit=1)["Users"] for pool in _user_pools(cognito, name))


def _remove_user_pools(cognito: CognitoIdentityProviderClient, name: str) -> bool:
    pools = list(_user_pools(cognito, name))
    for pool in pools:
        cognito.update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
        cognito.delete_user_pool(UserPoolId=pool)
    return bool(pools)


def _absent(error: ClientError) -> bool:
    """False, for a table or bucket that does not exist; any other error is raised again."""
    if error.response["Error"]["Code"] in ("NoSuchBucket", "ResourceNotFoundException"):
        return False
    raise error
