"""What a call to AWS needs of IAM, and what a policy grants."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tools.aws_calls import PRESIGNED_POST

_OTHER_NAMES = {
    "s3:HeadObject": "s3:GetObject",
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
    """An action on a resource, as IAM names them; ``prefix`` is the condition key ``s3:prefix`` of a listing."""

    action: str
    resource: str
    prefix: str | None = None


class Called(NamedTuple):
    """One call that a function made."""

    function: str
    service: str
    operation: str
    parameters: Mapping[str, Any]
    presigned: bool = False


def action(service: str, operation: str) -> str:
    """The IAM action that one call of an operation is allowed by, a transaction's aside.

    Most bear the operation's name. The others: AWS, Service Authorization Reference, "Actions, resources, and condition
    keys for Amazon S3" and "… for Amazon SQS"; S3 User Guide, "Required permissions for Amazon S3 API operations"; SQS
    Developer Guide, "Amazon SQS API permissions" (a batch goes by the single action).
    """
    name = f"{service}:{operation}"
    return _OTHER_NAMES.get(name, name)


def needs(called: Called) -> Iterator[Need]:
    """What IAM is asked about one call. A presigned one is made by whoever holds it, with the signer's rights.

    DynamoDB Developer Guide, "Using IAM with DynamoDB transactions": a transaction goes by the actions of its parts.
    S3 API Reference, "GetObject": a missing object answers 404 to those who may list the bucket, 403 to others, so
    reading what may be gone needs that, too; the listing is one of no prefix.
    """
    asked = called.parameters
    match called.service:
        case "dynamodb" if called.operation == "TransactWriteItems":
            parts = (part for item in asked["TransactItems"] for part in item.items())
            yield from (Need(_IN_TRANSACTION[kind], _table(part["TableName"])) for kind, part in parts)
        case "dynamodb":
            index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
            yield Need(action("dynamodb", called.operation), _table(asked["TableName"]) + index)
        case "s3" if called.operation == "ListObjectsV2":
            yield Need("s3:ListBucket", f"arn:aws:s3:::{asked['Bucket']}", asked.get("Prefix", ""))
        case "s3":
            yield Need(action("s3", called.operation), f"arn:aws:s3:::{asked['Bucket']}/{asked['Key']}")
            if called.operation in ("GetObject", "HeadObject") and not called.presigned:
                yield Need("s3:ListBucket", f"arn:aws:s3:::{asked['Bucket']}", "")
        case "sqs":
            queue = asked.get("QueueName") or asked["QueueUrl"].rpartition("/")[2]
            yield Need(action("sqs", called.operation), f"arn:aws:sqs:us-east-1:123456789012:{queue}")
        case _:
            raise AssertionError(f"Say here what {called.service} {called.operation} needs of IAM.")


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}"


class Grant(NamedTuple):
    """One action on one pattern of resources, as a policy's statement grants it."""

    sid: str
    action: str
    resource: str
    prefixes: tuple[str, ...] | None
    """The patterns that ``s3:prefix`` is held to; None where the statement has no such condition."""
    own_account: bool = False
    """Whether the resource must be of the role's own account."""

    def covers(self, need: Need) -> bool:
        return (
            self.action == need.action
            and _like(need.resource, self.resource)
            and (self.prefixes is None or any(_like(need.prefix or "", pattern) for pattern in self.prefixes))
        )


def grants(policy: Mapping[str, Any]) -> list[Grant]:
    """A policy, taken apart. It may hold only what is understood here: Allow, ``s3:prefix``, the role's own account."""
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
    """What a call needs that is not granted."""
    return [need for need in needs(called) if not any(grant.covers(need) for grant in granted)]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _like(value: str, pattern: str) -> bool:
    """IAM's StringLike and ArnLike: * is any characters, none included."""
    return _compiled(pattern).fullmatch(value) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)
