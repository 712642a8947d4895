"""The DynamoDB table. Nothing else knows how it is keyed, or speaks to it.

The partition is the owner, so nothing that one owner can say reaches another's records. The sort key says what a
record is::

    OWNER#{owner}   ITEM#{item id}            an item; ids sort by time: the partition read backwards is newest first
                    KEY#{idempotency key}     what a create with that key made
                    IMPORTKEY#{key}           the import that a request with that idempotency key began
                    PURGE#{item id}           an item is gone, and objects of it may still be in the bucket
                    IMPORT#{import id}        an import
                    CHUNK#{import id}#{n}     the result of one chunk of it

A record that has work due carries ``dueShard`` and ``dueAt``, and so stands in the sparse index ``due``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws
from chalicelib.config import settings
from chalicelib.values import dynamodb_limits, times

DUE_SHARDS = 4
"""Partitions of the index: each takes 1,000 writes a second (AWS, "DynamoDB burst and adaptive capacity")."""

Kind = Literal["ITEM", "KEY", "PURGE", "IMPORT", "IMPORTKEY", "CHUNK"]
Values = dict[str, Any]


class RefusedError(Exception):
    """A write was refused because of what others write: read again, then try again.

    ``unclear`` tells that the refused one was not the SDK's first attempt: an earlier one may have been carried out.
    """

    def __init__(self, unclear: bool) -> None:
        super().__init__()
        self.unclear = unclear


class ConditionError(RefusedError):
    """A record is not what the condition of a write demands."""


class ConflictError(RefusedError):
    """A transaction was in progress on the same record, so that nothing is known of what the record is.

    It may be cancelled yet: never conclude from this that a record was written.
    """


FAILURES = (BotoCoreError, ClientError)
"""What :func:`write` raises besides. The write may have been done all the same, and only its response been lost."""


class Key(NamedTuple):
    """Where a record stands."""

    owner: str
    kind: Kind
    id: str

    @property
    def attributes(self) -> Values:
        """The two attributes of the primary key, as DynamoDB has them."""
        return {"pk": {"S": f"OWNER#{self.owner}"}, "sk": {"S": f"{self.kind}#{self.id}"}}

    @staticmethod
    def of(record: Values) -> Key:
        """That of a record which was read."""
        kind, _, id_ = record["sk"]["S"].partition("#")
        return Key(record["pk"]["S"].removeprefix("OWNER#"), kind, id_)


class Condition(NamedTuple):
    """What has to hold of the record that is there now."""

    expression: str
    values: Values = {}  # noqa: RUF012 - never changed
    names: dict[str, str] = {}  # noqa: RUF012 - never changed

    @property
    def parameters(self) -> Values:
        """What a call of DynamoDB takes for it."""
        return (
            {"ConditionExpression": self.expression}
            | ({"ExpressionAttributeValues": self.values} if self.values else {})
            | ({"ExpressionAttributeNames": self.names} if self.names else {})
        )


ABSENT = Condition("attribute_not_exists(pk)")
PRESENT = Condition("attribute_exists(pk)")


def unchanged(version: int) -> Condition:
    """The record is the one that was read."""
    return Condition("version = :version", {":version": {"N": str(version)}})


def absent_or_over(at: datetime) -> Condition:
    """There is no record, or its time is up: TTL deletes late, within days (AWS, "Using time to live")."""
    now = {":now": {"N": str(int(at.timestamp()))}}
    return Condition("attribute_not_exists(pk) OR #ttl <= :now", now, {"#ttl": "ttl"})


def kept_until(ttl: Decimal) -> Condition:
    """The record is one whose time ends at ``ttl``, in Unix seconds."""
    return Condition("#ttl = :ttl", {":ttl": {"N": str(ttl)}}, {"#ttl": "ttl"})


class Put(NamedTuple):
    """A record to write: ``due_at`` brings it before the cleanup, ``until`` has DynamoDB delete it after that time."""

    key: Key
    values: Values
    condition: Condition | None = None
    due_at: str | None = None
    until: datetime | None = None

    @property
    def parameters(self) -> Values:
        """What a call of DynamoDB takes for it."""
        return {"Item": self._record(), **_named(self.condition)}

    def _record(self) -> Values:
        record = self.key.attributes | {name: attribute(value) for name, value in self.values.items()}
        if self.due_at:
            shard = zlib.crc32(self.key.id.encode()) % DUE_SHARDS
            record |= {"dueShard": {"S": str(shard)}, "dueAt": {"S": self.due_at}}
        if self.until:
            # The next whole second: the record must last through the one that ``until`` is in.
            record |= {"ttl": {"N": str(math.ceil(self.until.timestamp()))}}
        return record


class Delete(NamedTuple):
    """A record to delete."""

    key: Key
    condition: Condition | None = None

    @property
    def parameters(self) -> Values:
        """What a call of DynamoDB takes for it."""
        return {"Key": self.key.attributes, **_named(self.condition)}


def write(*writes: Put | Delete) -> None:
    """Write all of it or nothing: several in one transaction.

    Raise ConditionError, ConflictError, or one of FAILURES.
    """
    if len(writes) > 1:
        _transact(writes)
        return
    [one] = writes
    try:
        if isinstance(one, Put):
            aws.dynamodb().put_item(**one.parameters)
        else:
            aws.dynamodb().delete_item(**one.parameters)
    except ClientError as error:
        if refusal := _refusal(error, unclear=aws.was_retried(error)):
            raise refusal from error
        raise


def write_once(one: Put) -> None:
    """Write a record as :func:`write` does, at most once, at twice the price.

    The SDK repeats a PutItem if its response got lost. If the record was deleted in between, that would write it again.
    DynamoDB knows the SDK's second attempt at a transaction by its token (AWS, "TransactWriteItems": Idempotency).
    """
    _transact([one])


def _transact(writes: Sequence[Put | Delete]) -> None:
    try:
        aws.dynamodb().transact_write_items(TransactItems=[{type(one).__name__: one.parameters} for one in writes])  # type: ignore[misc]
    except ClientError as error:
        if refusal := _refusal(error, unclear=False):
            raise refusal from error
        raise


def get(key: Key) -> Values | None:
    """The record, as it is at this moment, or None."""
    answer = aws.dynamodb().get_item(TableName=settings().table, Key=key.attributes, ConsistentRead=True)
    return _plain(answer["Item"]) if "Item" in answer else None


def page(
    owner: str, kind: Kind, low: str, high: str, *, backwards: bool, limit: int, start_after: str | None
) -> tuple[list[tuple[str, Values]], bool]:
    """Up to ``limit`` records with ids from ``low`` to ``high``, each with its id, and whether more follow."""
    start: Any = {"ExclusiveStartKey": Key(owner, kind, start_after).attributes} if start_after else {}
    answer = aws.dynamodb().query(
        TableName=settings().table,
        KeyConditionExpression="pk = :owner AND sk BETWEEN :low AND :high",
        ExpressionAttributeValues={
            ":owner": Key(owner, kind, "").attributes["pk"],
            ":low": Key(owner, kind, low).attributes["sk"],
            ":high": Key(owner, kind, high).attributes["sk"],
        },
        ScanIndexForward=not backwards,
        Limit=limit,
        **start,
    )
    return [(Key.of(record).id, _plain(record)) for record in answer["Items"]], "LastEvaluatedKey" in answer


def every(owner: str, kind: Kind, prefix: str) -> Iterator[tuple[str, Values]]:
    """All records whose ids begin with ``prefix``, as they are at this moment, each with its id."""
    prefix_key = Key(owner, kind, prefix).attributes
    pages = (
        aws.dynamodb()
        .get_paginator("query")
        .paginate(
            TableName=settings().table,
            KeyConditionExpression="pk = :owner AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":owner": prefix_key["pk"], ":prefix": prefix_key["sk"]},
            ConsistentRead=True,
        )
    )
    for one in pages:
        for record in one["Items"]:
            yield Key.of(record).id, _plain(record)


def due(at: datetime) -> Iterator[Key]:
    """The records that have work due at ``at``, read page by page as they are taken.

    Of each shard, the longest overdue come first. Another shard comes first every hour, so that a backlog in one, which
    takes all of a sweep's time, does not hold up the others for good.
    """
    first = int(at.timestamp() // 3600)
    for shard in (number % DUE_SHARDS for number in range(first, first + DUE_SHARDS)):
        pages = (
            aws.dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=settings().table,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard AND dueAt <= :at",
                ExpressionAttributeValues={":shard": {"S": str(shard)}, ":at": {"S": times.format_time(at)}},
            )
        )
        for one in pages:
            yield from (Key.of(record) for record in one["Items"])


def _named(condition: Condition | None) -> Values:
    return {"TableName": settings().table} | (condition.parameters if condition else {})


def _refusal(error: ClientError, *, unclear: bool) -> RefusedError | None:
    """Return what a failed write means if others caused it, and None for any other failure."""
    cancelled = aws.code_of(error) == "TransactionCanceledException"
    codes = aws.reasons_of(error) - {"None"} if cancelled else {aws.code_of(error)}
    if not codes <= _CONDITION_CODES | _CONFLICT_CODES:
        return None
    return ConditionError(unclear) if codes and codes <= _CONDITION_CODES else ConflictError(unclear)


_CONDITION_CODES = {"ConditionalCheckFailed", "ConditionalCheckFailedException"}
_CONFLICT_CODES = {"TransactionConflict", "TransactionConflictException"}


def attribute(value: Any) -> Values:
    """A JSON value as DynamoDB has it (AWS, "AttributeValue"). Raises TypeError for a value that is none."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(dynamodb_limits.NUMBER_CONTEXT.create_decimal(value))}
        case str():
            return {"S": value}
        case list() | tuple():
            return {"L": [attribute(one) for one in value]}
        case dict():
            return {"M": {name: attribute(one) for name, one in value.items()}}
    raise TypeError(f"A record holds no {type(value).__name__}")


def value(attribute: Values) -> Any:
    """Return the JSON value of an attribute, with numbers as int or Decimal."""
    [(kind, held)] = attribute.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(held) if held.removeprefix("-").isdigit() else Decimal(held)
        case "L":
            return [value(one) for one in held]
        case "M":
            return _plain(held)
    return held


def _plain(record: Values) -> Values:
    return {name: value(held) for name, held in record.items()}
