"""The IAM permissions that AWS calls need, and those that a policy grants."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.function_operations import PRESIGNED_POST

_OTHER_NAMES = {
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:UploadPartCopy": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    f"s3:{PRESIGNED_POST}": "s3:PutObject",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
_IN_TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Delete": "dynamodb:DeleteItem",
    "Update": "dynamodb:UpdateItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


class Need(NamedTuple):
    """An IAM action on a resource. ``prefix`` is the condition key ``s3:prefix`` of a listing."""

    action: str
    resource: str
    prefix: str | None = None


class Called(NamedTuple):
    """An AWS call of a function."""

    function: str
    service: str
    operation: str
    parameters: Mapping[str, Any]
    presigned: bool = False


def action(service: str, operation: str) -> str:
    """Return the IAM action for an operation, except TransactWriteItems.

    Most have the name of the operation. For the others, see the AWS Service Authorization Reference, "Actions,
    resources, and condition keys for Amazon S3" and "… for Amazon SQS"; S3 User Guide, "Required permissions for Amazon
    S3 API operations"; SQS Developer Guide, "Amazon SQS API permissions" (a batch needs the single action).
    """
    name = f"{service}:{operation}"
    return _OTHER_NAMES.get(name, name)


def needs(called: Called) -> Iterator[Need]:
    """Yield the permissions that a call needs. A presigned call uses those of the function that signed it.

    A transaction needs the actions of its parts (DynamoDB Developer Guide, "Using IAM with DynamoDB transactions").
    For a missing object, GetObject responds with 404 only with the permission to list the bucket, otherwise with 403
    (S3 API Reference, "GetObject"). So each read needs it too, with an empty prefix.
    """
    parameters = called.parameters
    match called.service:
        case "dynamodb" if called.operation == "TransactWriteItems":
            parts = (part for item in parameters["TransactItems"] for part in item.items())
            yield from (Need(_IN_TRANSACTION[kind], _table(part["TableName"])) for kind, part in parts)
        case "dynamodb" if called.operation == "BatchGetItem":
            yield from (Need("dynamodb:BatchGetItem", _table(name)) for name in parameters["RequestItems"])
        case "dynamodb":
            index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
            yield Need(action("dynamodb", called.operation), _table(parameters["TableName"]) + index)
        case "s3" if called.operation == "ListObjectsV2":
            yield Need("s3:ListBucket", f"arn:aws:s3:::{parameters['Bucket']}", parameters.get("Prefix", ""))
        case "s3":
            yield from _of_object(called)
        case "events" | "sqs" | "ssm":
            yield Need(action(called.service, called.operation), _arn(called))
        case _:
            raise AssertionError(
                f"The IAM permissions of {called.service} {called.operation} are unknown: add them here."
            )


def _arn(called: Called) -> str:
    """Return the ARN of the event bus, queue or parameter of a call."""
    parameters = called.parameters
    match called.service:
        case "events":
            [bus] = {entry["EventBusName"] for entry in parameters["Entries"]}
            name = f"event-bus/{bus}"
        case "sqs":
            name = parameters.get("QueueName") or parameters["QueueUrl"].rpartition("/")[2]
        case _:
            name = f"parameter{parameters['Name']}"
    return f"arn:aws:{called.service}:us-east-1:123456789012:{name}"


def _of_object(called: Called) -> Iterator[Need]:
    parameters = called.parameters
    yield Need(action("s3", called.operation), f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}")
    if called.operation in ("GetObject", "HeadObject") and not called.presigned:
        yield Need("s3:ListBucket", f"arn:aws:s3:::{parameters['Bucket']}", "")
    if called.operation in ("CopyObject", "UploadPartCopy"):
        # S3 User Guide, "Copying an object using multipart upload".
        yield Need(
            "s3:GetObject", f"arn:aws:s3:::{parameters['CopySource']['Bucket']}/{parameters['CopySource']['Key']}"
        )


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}"


class Grant(NamedTuple):
    """An action on a pattern of resources that a statement of a policy grants."""

    sid: str
    action: str
    resource: str
    prefixes: tuple[str, ...] | None
    """The allowed patterns of ``s3:prefix``, or None if the statement has no such condition."""
    own_account: bool = False
    """Whether the resource must be in the account of the role."""

    def covers(self, need: Need) -> bool:
        return (
            self.action == need.action
            and _like(need.resource, self.resource)
            and (self.prefixes is None or any(_like(need.prefix or "", pattern) for pattern in self.prefixes))
        )


def grants(policy: Mapping[str, Any]) -> list[Grant]:
    """Return the grants of a policy. It may have no statements but Allow, and no conditions but these two."""
    found = []
    for statement in policy["Statement"]:
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        condition = dict(statement.get("Condition", {}))
        own_account = condition.pop("StringEquals", None)
        assert own_account in (None, {"aws:ResourceAccount": "${aws:PrincipalAccount}"})
        prefixes = condition.pop("StringLike", {"s3:prefix": None})["s3:prefix"]
        assert not condition
        for one in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                patterns = None if prefixes is None else tuple(_listed(prefixes))
                found.append(Grant(statement["Sid"], one, resource, patterns, own_account is not None))
    return found


def missing(granted: list[Grant], called: Called) -> list[Need]:
    """Return the permissions that a call needs and that are not granted."""
    return [need for need in needs(called) if not any(grant.covers(need) for grant in granted)]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _like(value: str, pattern: str) -> bool:
    """Return whether StringLike or ArnLike of IAM matches: * matches any number of characters, including none."""
    return _compiled(pattern).fullmatch(value) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)
