"""The DynamoDB table: its keys, conditional writes and queries. No other module accesses it.

The partition key is the owner, so that no request can reach another owner's records. The sort key is the kind of the
record and its id::

    OWNER#{owner}   ITEM#{item id}            an item. Ids sort by time, so reading backwards lists the newest first
                    FIND#… and WORD#…         what an item is found by (see ``catalogue/search_index_keys.py``)
                    KEY#{idempotency key}     the item that a request with this idempotency key created
                    IMPORTKEY#{key}           the import that a request with this idempotency key started
                    BATCHKEY#{key}            the results of the batch that a request with this idempotency key ran
                    PURGE#{item id}           a deleted item whose objects may still be in the bucket
                    IMPORT#{import id}        an import
                    CHUNK#{import id}#{n}     the result of one chunk of an import
                    EXPORT#{export id}        an export
                    EXPORTKEY#{key}           the export that a request with this idempotency key started
                    EXPORTSLOT#{n}            which export has this slot: as many can run at once as there are slots
                    GUARD#{digest}            changed by each import that creates an item with this value in its key
                    CATALOGUE#                the id of the owner's public catalogue
                    WEBHOOKS#                 the owner's webhooks
                    DELIVERY#{webhook id}#{event id}    the result of delivering an event to a webhook
                    CHANGES#                  a number that grows when items of the owner change

    PUBLIC#{catalogue}
                    CATALOGUE#                the title and the text of a public catalogue, and whether it can be read
                    ITEM#{item id}            what visitors see of a public item
                    FIND#… and WORD#…         what a visitor finds it by

    SHARE#{hash}    SHARE#                    the item that a share link shows; the hash is of the link's token

    OWNER#          REINDEX#                  where an interrupted reindex of the whole table stopped

A record with work due has the attributes ``dueShard`` and ``dueAt``, which put it into the sparse index ``due``.
"""

from __future__ import annotations

import math
import random
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws, telemetry
from chalicelib.aws import dynamodb_json, failures
from chalicelib.aws.dynamodb_json import Attributes
from chalicelib.config import settings
from chalicelib.values import dynamodb_limits, times

MAX_TRANSACTION_WRITES = 100
"""Writes of one transaction (AWS, "TransactWriteItems")."""

MAX_TRANSACTION_BYTES = 4 * 1024**2
"""Bytes of the records of one transaction (AWS, "TransactWriteItems")."""

MAX_KEYS = 100
"""Records of one :func:`get_all` (AWS, "BatchGetItem")."""

_EXTRA_BYTES = 100
"""An upper bound for the bytes of ``dueShard``, ``dueAt`` and ``ttl`` together."""

_MAX_WRITE_ATTEMPTS = 8

DUE_SHARDS = 4
"""Deliveries have this many partitions of the index ``due``, and all other records have as many.

Millions may be due, and a partition takes 1,000 writes a second (AWS, "DynamoDB burst and adaptive capacity").
"""

Kind = Literal[
    "ITEM",
    "FIND",
    "WORD",
    "KEY",
    "PURGE",
    "IMPORT",
    "IMPORTKEY",
    "BATCHKEY",
    "CHUNK",
    "EXPORT",
    "EXPORTKEY",
    "EXPORTSLOT",
    "GUARD",
    "REINDEX",
    "CATALOGUE",
    "SHARE",
    "WEBHOOKS",
    "DELIVERY",
    "CHANGES",
]

Record = dict[str, Any]
"""The attributes of a record as Python values."""


class WriteRejectedError(Exception):
    """DynamoDB rejected a write because of another one. Read the record again before the next attempt.

    If ``may_be_applied``, the SDK had sent the write before, and that attempt may have succeeded.
    """

    def __init__(self, may_be_applied: bool) -> None:
        super().__init__()
        self.may_be_applied = may_be_applied


class ConditionFailedError(WriteRejectedError):
    """A record does not meet the condition of the write."""


class TransactionConflictError(WriteRejectedError):
    """Another transaction was in progress on the same record.

    That transaction may still be cancelled, so the state of the record is unknown.
    """


FAILURES = (BotoCoreError, ClientError)
"""The other exceptions of :func:`write`. The write may have been applied and only its response lost."""


def public_partition(catalogue: str) -> str:
    """Return the value that replaces the owner in the keys of a public catalogue's records.

    No owner is equal to it: a tab is not printable (``ids.is_owner``).
    """
    return f"PUBLIC\t{catalogue}"


def share_partition(token_hash: str) -> str:
    """Return the value that replaces the owner in the key of a share link's record."""
    return f"SHARE\t{token_hash}"


def is_public(owner: str) -> bool:
    """Return whether this stands for a public catalogue instead of an owner."""
    return owner.startswith("PUBLIC\t")


def is_of_owner(owner: str) -> bool:
    """Return whether this is an owner, not a value that replaces one in a key."""
    return "\t" not in owner


class Key(msgspec.Struct, frozen=True, order=True):
    """The primary key of a record. ``owner`` may also be a :func:`public_partition` or a :func:`share_partition`."""

    owner: str
    kind: Kind
    id: str

    @property
    def attributes(self) -> Attributes:
        """The partition key and the sort key."""
        name, tab, of = self.owner.partition("\t")
        return {"pk": {"S": f"{name}#{of}" if tab else f"OWNER#{name}"}, "sk": {"S": f"{self.kind}#{self.id}"}}

    @property
    def size(self) -> int:
        """The bytes that DynamoDB counts for the key."""
        return sum(len(name) + len(value["S"].encode()) for name, value in self.attributes.items())

    @staticmethod
    def from_attributes(attributes: Attributes) -> Key:
        """Return the key of a record that was read."""
        kind, _, id_ = attributes["sk"]["S"].partition("#")
        name, _, of = attributes["pk"]["S"].partition("#")
        return Key(of if name == "OWNER" else f"{name}\t{of}", kind, id_)


class Condition(msgspec.Struct, frozen=True):
    """A condition expression that the stored record must meet for a write to be applied."""

    expression: str
    values: Attributes = {}
    names: dict[str, str] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a DynamoDB call for this condition."""
        return (
            {"ConditionExpression": self.expression}
            | ({"ExpressionAttributeValues": self.values} if self.values else {})
            | ({"ExpressionAttributeNames": self.names} if self.names else {})
        )

    def and_(self, other: Condition) -> Condition:
        """Return the condition that both are met. They must be about different attributes."""
        expression = f"{self.expression} AND {other.expression}"
        return Condition(expression, {**self.values, **other.values}, {**self.names, **other.names})


ABSENT = Condition("attribute_not_exists(pk)")
PRESENT = Condition("attribute_exists(pk)")


def revision_is(version: int, indexed: str | None, *, hidden: bool) -> Condition:
    """Return the condition that an item has this version and these attributes, which describe its other records.

    ``indexed`` is the declaration of its index records, ``hidden`` is true if a public item has no public copy.
    """
    return attributes_are(version=version, indexed=indexed, hidden=hidden or None)


def attributes_are(**values: Any) -> Condition:
    """Return the condition that the record has these attributes, or, for None, that it has no such attribute."""
    present = {name: value for name, value in values.items() if value is not None}
    parts = [f"#{name} = :{name}" if name in present else f"attribute_not_exists(#{name})" for name in values]
    return Condition(
        " AND ".join(parts),
        {f":{name}": dynamodb_json.serialize(value) for name, value in present.items()},
        {f"#{name}": name for name in values},
    )


def absent_or_expired(at: datetime) -> Condition:
    """Return the condition that there is no record or that its ``ttl`` has passed.

    DynamoDB deletes expired records within a few days (AWS, "Using time to live (TTL) in DynamoDB").
    """
    now = {":now": {"N": str(int(at.timestamp()))}}
    return Condition("attribute_not_exists(pk) OR #ttl <= :now", now, {"#ttl": "ttl"})


def ttl_is(ttl: int) -> Condition:
    """Return the condition that the record has this ``ttl``, in Unix seconds."""
    return Condition("#ttl = :ttl", {":ttl": {"N": str(ttl)}}, {"#ttl": "ttl"})


class Put(msgspec.Struct, frozen=True):
    """A record to write.

    ``due_at`` puts it into the index ``due``. After ``delete_after``, DynamoDB deletes it.
    """

    key: Key
    record: Record
    condition: Condition | None = None
    due_at: str | None = None
    delete_after: datetime | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a DynamoDB call for this write."""
        return {"Item": self._attributes(), **_table_and(self.condition)}

    @property
    def size(self) -> int:
        """The bytes that DynamoDB counts for the record, at most."""
        return self.key.size + dynamodb_limits.stored_size(self.record) + _EXTRA_BYTES

    def _attributes(self) -> Attributes:
        attributes = self.key.attributes | {name: dynamodb_json.serialize(value) for name, value in self.record.items()}
        if self.due_at:
            shard = _due_shard(zlib.crc32(self.key.id.encode()), deliveries=self.key.kind == "DELIVERY")
            attributes |= {"dueShard": {"S": shard}, "dueAt": {"S": self.due_at}}
        if self.delete_after:
            # Rounded up: the attribute has whole seconds, and the record must exist until ``delete_after``.
            attributes |= {"ttl": {"N": str(math.ceil(self.delete_after.timestamp()))}}
        return attributes


class Delete(msgspec.Struct, frozen=True):
    """A record to delete."""

    key: Key
    condition: Condition | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a DynamoDB call for this deletion."""
        return {"Key": self.key.attributes, **_table_and(self.condition)}

    @property
    def size(self) -> int:
        """The bytes that DynamoDB counts for the key."""
        return self.key.size


class Check(msgspec.Struct, frozen=True):
    """A condition on a record that a transaction does not change."""

    key: Key
    condition: Condition

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a DynamoDB call for this condition."""
        return {"Key": self.key.attributes, **_table_and(self.condition)}

    @property
    def size(self) -> int:
        """The bytes that DynamoDB counts for the key."""
        return self.key.size


Write = Put | Delete | Check


_ACTIONS = {Put: "Put", Delete: "Delete", Check: "ConditionCheck"}


def write(*writes: Write) -> None:
    """Apply all writes or none. Several are sent as one transaction.

    Raise ConditionFailedError, TransactionConflictError, or one of FAILURES.
    """
    if len(writes) > 1:
        _transact(writes)
        return
    [single] = writes
    try:
        if isinstance(single, Put):
            aws.dynamodb().put_item(**single.parameters)
        else:
            aws.dynamodb().delete_item(**single.parameters)
    except ClientError as error:
        if rejection := _rejection(error, may_be_applied=failures.was_retried(error)):
            raise rejection from error
        raise


def write_once(*writes: Write) -> None:
    """Apply all writes or none as :func:`write` does, but never twice: a single one is sent as a transaction too.

    The SDK repeats a PutItem if its response is lost. If the record has been changed in between, the repetition writes
    it again. In a transaction, DynamoDB recognises it by its token (AWS, "TransactWriteItems": Idempotency). This costs
    twice as much.
    """
    _transact(writes)


def _transact(writes: Sequence[Write]) -> None:
    try:
        aws.dynamodb().transact_write_items(
            TransactItems=[{_ACTIONS[type(write)]: write.parameters} for write in writes]  # type: ignore[misc]
        )
    except ClientError as error:
        if rejection := _rejection(error, may_be_applied=False):
            raise rejection from error
        raise


def add(key: Key, name: str, amount: int) -> None:
    """Add ``amount`` to a number of a record, which is created if there is none. Raise one of FAILURES.

    If the response is lost, the SDK repeats the call: then the amount is added twice.
    """
    aws.dynamodb().update_item(
        TableName=settings().table,
        Key=key.attributes,
        UpdateExpression="ADD #name :amount",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":amount": {"N": str(amount)}},
    )


def write_attempts() -> Iterator[int]:
    """Yield the numbers of up to eight attempts at a conditional write, with a growing random pause between them.

    The last pause is at most 1.3 seconds long.
    """
    for attempt in range(_MAX_WRITE_ATTEMPTS):
        if attempt:
            telemetry.add_count("WriteRetries")
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - not used for security
        yield attempt


def get(key: Key) -> Record | None:
    """Return a record, read consistently, or None if there is none."""
    answer = aws.dynamodb().get_item(TableName=settings().table, Key=key.attributes, ConsistentRead=True)
    return dynamodb_json.deserialize_all(answer["Item"]) if "Item" in answer else None


def query_page(
    owner: str,
    kind: Kind,
    between: tuple[str, str],
    *,
    backwards: bool,
    limit: int,
    start_after: str | None = None,
    consistent: bool = False,
) -> tuple[list[tuple[str, Record]], bool]:
    """Return up to ``limit`` records, each with its id, and whether more follow.

    ``between`` are the lowest and the highest id. ``start_after`` is the id of the last record of the previous page; it
    must be between them, because DynamoDB rejects an ExclusiveStartKey outside the query's range. The read is
    eventually consistent unless ``consistent`` is true.
    """
    low, high = (Key(owner, kind, id_).attributes for id_ in between)
    start: Any = {"ExclusiveStartKey": Key(owner, kind, start_after).attributes} if start_after else {}
    answer = aws.dynamodb().query(
        TableName=settings().table,
        KeyConditionExpression="pk = :owner AND sk BETWEEN :low AND :high",
        ExpressionAttributeValues={":owner": low["pk"], ":low": low["sk"], ":high": high["sk"]},
        ScanIndexForward=not backwards,
        ConsistentRead=consistent,
        Limit=limit,
        **start,
    )
    records = [(Key.from_attributes(found).id, dynamodb_json.deserialize_all(found)) for found in answer["Items"]]
    return records, "LastEvaluatedKey" in answer


def get_all(owner: str, kind: Kind, ids: Sequence[str]) -> dict[str, Record]:
    """Return those of up to 100 records that exist, by id. The read is consistent.

    What DynamoDB leaves out, because it exceeds 16 MB or is throttled, is read again (AWS, "BatchGetItem").
    """
    found: dict[str, Record] = {}
    request: Any = {"Keys": [Key(owner, kind, id_).attributes for id_ in ids], "ConsistentRead": True}
    while request:
        answer = aws.dynamodb().batch_get_item(RequestItems={settings().table: request})
        for attributes in answer["Responses"][settings().table]:
            found[Key.from_attributes(attributes).id] = dynamodb_json.deserialize_all(attributes)
        request = answer.get("UnprocessedKeys", {}).get(settings().table)
    return found


def query_prefix(owner: str, kind: Kind, prefix: str) -> Iterator[tuple[str, Record]]:
    """Yield all records whose ids begin with ``prefix``, each with its id. The read is consistent."""
    for page in _prefix_pages(owner, kind, prefix, ConsistentRead=True):
        for found in page["Items"]:
            yield Key.from_attributes(found).id, dynamodb_json.deserialize_all(found)


def count(owner: str, kind: Kind, prefix: str) -> int:
    """Return the number of records whose ids begin with ``prefix``. The read is eventually consistent."""
    return sum(page["Count"] for page in _prefix_pages(owner, kind, prefix, Select="COUNT"))


def _prefix_pages(owner: str, kind: Kind, prefix: str, **options: Any) -> Iterator[Any]:
    prefix_key = Key(owner, kind, prefix).attributes
    yield from (
        aws.dynamodb()
        .get_paginator("query")
        .paginate(
            TableName=settings().table,
            KeyConditionExpression="pk = :owner AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":owner": prefix_key["pk"], ":prefix": prefix_key["sk"]},
            **options,
        )
    )


def scan_page(
    limit: int, start_after: Key | None, kind: Kind | None = None
) -> tuple[list[tuple[Key, Record]], Key | None]:
    """Read up to ``limit`` records of all owners. Return them, or those of a ``kind``, and the key to continue after.

    The key is None if no more follow. The read is eventually consistent. No function may do this, only an operator.
    """
    options: Any = {"ExclusiveStartKey": start_after.attributes} if start_after else {}
    if kind:
        options["FilterExpression"] = "begins_with(sk, :kind)"
        options["ExpressionAttributeValues"] = {":kind": {"S": f"{kind}#"}}
    answer = aws.dynamodb().scan(TableName=settings().table, Limit=limit, **options)
    records = [(Key.from_attributes(found), dynamodb_json.deserialize_all(found)) for found in answer["Items"]]
    last: Any = answer.get("LastEvaluatedKey")
    return records, Key.from_attributes(last) if last else None


def due_keys(at: datetime, *, deliveries: bool = False) -> Iterator[Key]:
    """Yield the keys of the deliveries, or of all other records, whose work is due at ``at``.

    The next page is read when it is needed. The most overdue records of a shard come first. Another shard comes first
    every hour, because a backlog in one shard may use up all the time of a cleanup.
    """
    first = int(at.timestamp() // 3600)
    for number in range(first, first + DUE_SHARDS):
        shard = _due_shard(number, deliveries=deliveries)
        pages = (
            aws.dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=settings().table,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard AND dueAt <= :at",
                ExpressionAttributeValues={":shard": {"S": shard}, ":at": {"S": times.format_time(at)}},
            )
        )
        for page in pages:
            yield from (Key.from_attributes(found) for found in page["Items"])


def _due_shard(number: int, *, deliveries: bool) -> str:
    return f"{'DELIVERY-' if deliveries else ''}{number % DUE_SHARDS}"


def _table_and(condition: Condition | None) -> dict[str, Any]:
    return {"TableName": settings().table} | (condition.parameters if condition else {})


def _rejection(error: ClientError, *, may_be_applied: bool) -> WriteRejectedError | None:
    """Return the exception for a write that failed because of another one, or None if it failed otherwise."""
    cancelled = failures.error_code(error) == "TransactionCanceledException"
    codes = failures.cancellation_codes(error) - {"None"} if cancelled else {failures.error_code(error)}
    if not codes <= _CONDITION_CODES | _CONFLICT_CODES:
        return None
    if codes and codes <= _CONDITION_CODES:
        return ConditionFailedError(may_be_applied)
    return TransactionConflictError(may_be_applied)


_CONDITION_CODES = {"ConditionalCheckFailed", "ConditionalCheckFailedException"}
_CONFLICT_CODES = {"TransactionConflict", "TransactionConflictException"}
