"""The resources with data that a deleted stack retains: table, bucket and user pool; and the key of the webhooks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.aws import webhook_master_key
from tools.stage.aws_clients import ClientFactory
from tools.stage.names import code_stack_name

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient


TABLE, BUCKET, USER_POOL = "table", "bucket", "user pool"
"""The kinds of these resources."""

_MAX_COUNTED = 10_000
"""How many objects are counted: each thousand is one request."""

_PAGE_OF_USERS = 60
"""The most that Cognito lists in one response (Cognito, ListUsers)."""


class Names(NamedTuple):
    """The names of the retained resources."""

    table: str
    bucket: str
    user_pool: str
    webhook_key: str
    """A parameter of AWS Systems Manager, which the API makes. No stack has it."""


def names(stage: str, client: ClientFactory) -> Names:
    """Return the names of a stage's resources, formed as in ``infra/resources.json``, whether they exist or not."""
    account = client("sts").get_caller_identity()["Account"]
    region = client("s3").meta.region_name
    name = code_stack_name(stage)
    return Names(
        table=name,
        bucket=f"{name}-{account}-{region}",
        user_pool=name,
        webhook_key=webhook_master_key.parameter_name(stage),
    )


class Content(NamedTuple):
    """What one of the resources holds."""

    kind: str
    """Table, bucket or user pool."""
    name: str
    total: int
    """The number of its records, objects or users."""
    exact: bool
    """Whether ``total`` is exact; if not, it is an estimate."""

    def __str__(self) -> str:
        return f"the {self.kind} {self.name}"


def contents(retained: Names, client: ClientFactory) -> list[Content]:
    """Return what those of the resources that exist hold. A total is 0 only if there is nothing."""
    return [
        *_table_content(client("dynamodb"), retained.table),
        *_bucket_content(client("s3"), retained.bucket),
        *_user_pool_content(client("cognito-idp"), retained.user_pool),
    ]


def with_data(retained: Names, client: ClientFactory) -> list[str]:
    """Return those of the resources that exist and hold data, each as text such as "the table vitrine-dev"."""
    return [str(content) for content in contents(retained, client) if content.total]


def delete(retained: Names, client: ClientFactory, report: Callable[[str], None], kept: Collection[str] = ()) -> None:
    """Delete those of the resources that exist, with their data, but not the kinds in ``kept``.

    Only the table can be restored (point-in-time).
    """
    if BUCKET not in kept and _delete_bucket(client("s3"), retained.bucket):
        report(f"Deleted the bucket {retained.bucket}")
    if TABLE not in kept and _delete_table(client("dynamodb"), retained.table):
        report(f"Deleted the table {retained.table}")
    # The webhooks are in the table. Without this key, nothing sent to them could be signed as their receivers expect.
    if TABLE not in kept and _delete_parameter(client("ssm"), retained.webhook_key):
        report(f"Deleted the parameter {retained.webhook_key}")
    if USER_POOL not in kept and _delete_user_pools(client("cognito-idp"), retained.user_pool):
        report(f"Deleted the user pool {retained.user_pool}")


def _table_content(dynamodb: DynamoDBClient, table: str) -> Iterator[Content]:
    """Count the records if they fit into one response (1 MB); else DynamoDB's own count is up to six hours old."""
    try:
        page = dynamodb.scan(TableName=table, Select="COUNT", ConsistentRead=True)
        counted, exact = page["Count"], "LastEvaluatedKey" not in page
        described = 0 if exact else dynamodb.describe_table(TableName=table)["Table"].get("ItemCount", 0)
    except ClientError as error:
        _false_if_absent(error)
        return
    yield Content(TABLE, table, max(counted, described), exact)


def _bucket_content(s3: S3Client, bucket: str) -> Iterator[Content]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"MaxItems": _MAX_COUNTED + 1})
    try:
        counted = sum(len(page.get("Contents", [])) for page in pages)
    except ClientError as error:
        _false_if_absent(error)
        return
    yield Content(BUCKET, bucket, min(counted, _MAX_COUNTED), counted <= _MAX_COUNTED)


def _user_pool_content(cognito: CognitoIdentityProviderClient, name: str) -> Iterator[Content]:
    """Count the users of a first page, or take Cognito's own estimate if that is higher."""
    for pool in _user_pools(cognito, name):
        listed = cognito.list_users(UserPoolId=pool, Limit=_PAGE_OF_USERS)
        counted, exact = len(listed["Users"]), not listed.get("PaginationToken")
        described = 0 if exact else cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["EstimatedNumberOfUsers"]
        yield Content(USER_POOL, name, max(counted, described), exact)


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


def _delete_parameter(ssm: SSMClient, name: str) -> bool:
    try:
        ssm.delete_parameter(Name=name)
    except ClientError as error:
        return _false_if_absent(error)
    return True


def _user_pools(cognito: CognitoIdentityProviderClient, name: str) -> Iterator[str]:
    """Yield the ids of the pools of that name, which in Cognito need not be unique."""
    for page in cognito.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 60}):
        yield from (pool["Id"] for pool in page["UserPools"] if pool["Name"] == name)


def _delete_user_pools(cognito: CognitoIdentityProviderClient, name: str) -> bool:
    pools = list(_user_pools(cognito, name))
    for pool in pools:
        cognito.update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
        cognito.delete_user_pool(UserPoolId=pool)
    return bool(pools)


def _false_if_absent(error: ClientError) -> bool:
    """Return False if the error says that the resource does not exist. Raise any other error again."""
    if error.response["Error"]["Code"] in ("NoSuchBucket", "ParameterNotFound", "ResourceNotFoundException"):
        return False
    raise error
