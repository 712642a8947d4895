"""The table and the bucket of a stage, which outlive their stack: whether they hold data, and their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

Client = Callable[[str], Any]


def names(stage: str, client: Client) -> tuple[str, str]:
    """The names of the stage's table and bucket, formed as in ``infra/resources.json``, stack or no stack."""
    account = client("sts").get_caller_identity()["Account"]
    region = client("s3").meta.region_name
    return f"vitrine-{stage}", f"vitrine-{stage}-{account}-{region}"


def holding_data(table: str, bucket: str, client: Client) -> list[str]:
    """Which of the two exist and hold anything, each as words for a person."""
    full = []
    if _has_items(client("dynamodb"), table):
        full.append(f"the table {table}")
    if _has_objects(client("s3"), bucket):
        full.append(f"the bucket {bucket}")
    return full


def remove(table: str, bucket: str, client: Client, report: Callable[[str], None]) -> None:
    """Delete both with all that is in them, where they exist. There is no way back but a table's recovery."""
    if _remove_bucket(client("s3"), bucket):
        report(f"Deleted the bucket {bucket}")
    if _remove_table(client("dynamodb"), table):
        report(f"Deleted the table {table}")


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


def _absent(error: ClientError) -> bool:
    """False, for a table or bucket that does not exist; any other error is raised again."""
    if error.response["Error"]["Code"] in ("NoSuchBucket", "ResourceNotFoundException"):
        return False
    raise error
