"""DynamoDB in memory: the operations that the app uses, and a log of every write for the invariants.

An unknown expression raises an error, so that no condition is ignored.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import operator
import random
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tests.simulation.calls import refusal

STALE_READS = 0.1
"""How many of the eventually consistent reads return what was there a little earlier."""

Record = dict[str, Any]
_Holds = Callable[[Record, Record], bool]


MAX_KEYS = 100
"""The most keys of a BatchGetItem, and the most actions of a transaction (AWS, "Quotas in Amazon DynamoDB")."""


class Write(NamedTuple):
    """A change of one record. ``old`` is None if it did not exist, ``new`` is None if it was deleted."""

    at: float
    pk: str
    sk: str
    old: Record | None
    new: Record | None


class DynamoDB:
    """One table with one index."""

    name = "dynamodb"
    refusals = ("ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError")

    def __init__(self, clock: Callable[[], float], chance: random.Random | None = None) -> None:
        self._clock = clock
        self._chance = chance
        self._partitions: dict[str, dict[str, Record]] = {}
        self._tokens: dict[str, float] = {}
        self.log: list[Write] = []
        self._indexed: dict[tuple[str, str], Record] = {}
        """The records of the index ``due`` by primary key."""

    # ---------------------------------------------------------------------------------------------------- operations

    def get_item(self, *, TableName: str, Key: Record, ConsistentRead: bool = False) -> dict[str, Any]:  # noqa: N803
        found = self._partitions.get(Key["pk"]["S"], {}).get(Key["sk"]["S"])
        return {} if found is None else {"Item": dict(found)}

    def batch_get_item(self, *, RequestItems: dict[str, dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Return the records in any order. Some keys may be left unprocessed (AWS, "BatchGetItem")."""
        [(table, request)] = RequestItems.items()
        if request.keys() - {"Keys", "ConsistentRead"}:
            raise NotImplementedError(f"batch_get_item with {request.keys()}")
        keys = [(key["pk"]["S"], key["sk"]["S"]) for key in request["Keys"]]
        if not 0 < len(keys) <= MAX_KEYS or len(set(keys)) < len(keys):
            raise refusal("batch_get_item", "ValidationException", "Too many keys, none, or one twice")
        done = len(keys)
        if self._chance:
            self._chance.shuffle(keys)
            done = self._chance.choice((done, done, done, self._chance.randint(1, done)))
        found = (self._partitions.get(pk, {}).get(sk) for pk, sk in keys[:done])
        left = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys[done:]]
        return {
            "Responses": {table: [dict(record) for record in found if record is not None]},
            "UnprocessedKeys": {table: {**request, "Keys": left}} if left else {},
        }

    def put_item(self, *, TableName: str, Item: Record, **condition: Any) -> dict[str, Any]:  # noqa: N803
        self._check("put_item", Item, condition)
        self._apply([(Item, Item)])
        return {}

    def delete_item(self, *, TableName: str, Key: Record, **condition: Any) -> dict[str, Any]:  # noqa: N803
        self._check("delete_item", Key, condition)
        self._apply([(Key, None)])
        return {}

    def update_item(self, *, TableName: str, Key: Record, UpdateExpression: str, **names: Any) -> dict[str, Any]:  # noqa: N803
        """Add to a number of a record, which is created if there is none."""
        added = re.fullmatch(r"ADD (#\w+) (:\w+)", UpdateExpression)
        if not added or names.keys() != {"ExpressionAttributeNames", "ExpressionAttributeValues"}:
            raise NotImplementedError(f"{UpdateExpression} with {names.keys()}")
        name, amount = names["ExpressionAttributeNames"][added[1]], names["ExpressionAttributeValues"][added[2]]
        old = self._partitions.get(Key["pk"]["S"], {}).get(Key["sk"]["S"], Key)
        number = Decimal(old.get(name, {"N": "0"})["N"]) + Decimal(amount["N"])
        self._apply([(Key, {**old, name: {"N": str(number)}})])
        return {}

    def transact_write_items(
        self,
        *,
        TransactItems: list[dict[str, Any]],  # noqa: N803
        ClientRequestToken: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        if self.knows(ClientRequestToken):
            return {}
        writes = [next(iter(one.items())) for one in TransactItems]
        keys = [one.get("Item") or one["Key"] for _, one in writes]
        if len(writes) > MAX_KEYS or len({(key["pk"]["S"], key["sk"]["S"]) for key in keys}) < len(writes):
            raise refusal("transact_write_items", "ValidationException", "Too many actions, or two on one record")
        reasons = [{"Code": "None" if self._allows(kind, one) else "ConditionalCheckFailed"} for kind, one in writes]
        if any(reason["Code"] != "None" for reason in reasons):
            raise refusal(
                "transact_write_items", "TransactionCanceledException", "Cancelled", CancellationReasons=reasons
            )
        self._apply([(key, one.get("Item")) for key, (kind, one) in zip(keys, writes, strict=True) if kind in _CHANGES])
        if ClientRequestToken:
            self._tokens[ClientRequestToken] = self._clock()
        return {}

    def query(
        self,
        *,
        TableName: str,  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Record,  # noqa: N803
        IndexName: str | None = None,  # noqa: N803
        ConsistentRead: bool = False,  # noqa: N803
        ScanIndexForward: bool = True,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
        ExclusiveStartKey: Record | None = None,  # noqa: N803
        Select: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        order = ("dueShard", "dueAt", "pk", "sk") if IndexName else ("pk", "sk")
        holds = _compiled(KeyConditionExpression)
        source = list(self._indexed.values()) if IndexName else self._partition(ExpressionAttributeValues)
        if not ConsistentRead:
            source = self._stale(source, IndexName, ExpressionAttributeValues)
        found = [record for record in source if holds(record, ExpressionAttributeValues)]
        found.sort(key=lambda record: [record[name]["S"] for name in order], reverse=not ScanIndexForward)
        if ExclusiveStartKey:
            start = [ExclusiveStartKey[name]["S"] for name in order]
            found = [
                record for record in found if _beyond([record[name]["S"] for name in order], start, ScanIndexForward)
            ]
        page = self._page(found, Limit, order, keys_only=IndexName is not None)
        return page if Select is None else {**page, "Items": [], "Count": len(page["Items"])}

    def scan(
        self,
        *,
        TableName: str,  # noqa: N803
        ConsistentRead: bool = False,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
        ExclusiveStartKey: Record | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        """Return a page of all records: partitions in the order of a hash, the records of each in that of ``sk``."""
        start = _place(ExclusiveStartKey) if ExclusiveStartKey else (b"", "")
        found = sorted((record for record in self.records() if _place(record) > start), key=_place)
        return self._page(found, Limit, ("pk", "sk"), most=40)

    def _page(
        self,
        found: list[Record],
        limit: int | None,
        order: tuple[str, ...],
        *,
        keys_only: bool = False,
        most: int = 9,
    ) -> dict[str, Any]:
        """Return the first of ``found``. A page may end anywhere (AWS, "Paginating table query results")."""
        size = min(limit or len(found), self._chance.randint(1, most) if self._chance else len(found))
        page = [{name: record[name] for name in order} if keys_only else dict(record) for record in found[:size]]
        more = page and (len(found) > size or len(page) == limit)
        return {
            "Items": page,
            "Count": len(page),
            **({"LastEvaluatedKey": {name: page[-1][name] for name in order}} if more else {}),
        }

    # ------------------------------------------------------------------------------------------------- for the world

    def records(self) -> list[Record]:
        """Return all records."""
        return [record for partition in self._partitions.values() for record in partition.values()]

    def first_due(self) -> float | None:
        """Return when the earliest work is due, in Unix seconds of the wall clock."""
        due = min((record["dueAt"]["S"] for record in self._indexed.values()), default=None)
        return None if due is None else datetime.fromisoformat(due).timestamp()

    def knows(self, token: str | None) -> bool:
        """Return whether a transaction had this token in the last ten minutes (AWS, "TransactWriteItems")."""
        return token is not None and self._clock() - self._tokens.get(token, 0) < 600

    def expire(self, pk: str, sk: str, wall: float) -> None:
        """Delete an expired record, as TTL does."""
        found = self._partitions.get(pk, {}).get(sk)
        if found and "ttl" in found and float(found["ttl"]["N"]) <= wall:
            self._apply([(found, None)])

    def partition(self, pk: str) -> dict[str, Record]:
        """Return the records of a partition by ``sk``."""
        return self._partitions.get(pk, {})

    def on_writes(self, writes: list[Write]) -> None:
        """Do nothing. The world replaces this method to observe what one call wrote."""

    # ------------------------------------------------------------------------------------------------------ within it

    def _partition(self, values: Record) -> list[Record]:
        partitions = (self._partitions.get(value["S"], {}) for value in values.values() if "S" in value)
        return next((list(one.values()) for one in partitions if one), [])

    def _stale(self, source: list[Record], index: str | None, values: Record) -> list[Record]:
        """Return the record as it was a little earlier, which a read may return (AWS, "DynamoDB read consistency")."""
        if self._chance is None or self._chance.random() > STALE_READS:
            return source
        seen_at = self._clock() - self._chance.random() * 2
        partitions = {value["S"] for value in values.values() if "S" in value}
        found = {(record["pk"]["S"], record["sk"]["S"]): record for record in source}
        for write in itertools.takewhile(lambda write: write.at > seen_at, reversed(self.log)):
            found.pop((write.pk, write.sk), None)
            if write.old and (index is None or "dueShard" in write.old) and (index or write.pk in partitions):
                found[write.pk, write.sk] = write.old
        return list(found.values())

    def _allows(self, kind: str, one: dict[str, Any]) -> bool:
        key = one.get("Item") or one["Key"]
        now = self._partitions.get(key["pk"]["S"], {}).get(key["sk"]["S"], {})
        expression = one.get("ConditionExpression")
        if expression is None:
            return True
        for alias, name in one.get("ExpressionAttributeNames", {}).items():
            expression = expression.replace(alias, name)
        return _compiled(expression)(now, one.get("ExpressionAttributeValues", {}))

    def _check(self, operation: str, key: Record, condition: dict[str, Any]) -> None:
        unknown = condition.keys() - {"ConditionExpression", "ExpressionAttributeValues", "ExpressionAttributeNames"}
        if unknown:
            raise NotImplementedError(f"{operation} with {unknown}")
        if not self._allows(operation, {"Key": key, **condition}):
            raise refusal(operation, "ConditionalCheckFailedException", "The conditional request failed")

    def _apply(self, changes: list[tuple[Record, Record | None]]) -> None:
        """Write or delete records: pairs of a key and a record, or None."""
        writes = [write for key, record in changes if (write := self._set(key["pk"]["S"], key["sk"]["S"], record))]
        self.log += writes
        if writes:
            self.on_writes(writes)

    def _set(self, pk: str, sk: str, record: Record | None) -> Write | None:
        partition = self._partitions.setdefault(pk, {})
        old = partition.pop(sk, None)
        self._indexed.pop((pk, sk), None)
        if record is not None:
            new = partition[sk] = dict(record)
            if "dueShard" in new and "dueAt" in new:
                self._indexed[pk, sk] = new
        return None if old is None and record is None else Write(self._clock(), pk, sk, old, partition.get(sk))


_CHANGES = ("Put", "Delete")


def _place(record: Record) -> tuple[bytes, str]:
    """Return where a scan finds a record."""
    return _digest(record["pk"]["S"]), record["sk"]["S"]


@functools.cache
def _digest(pk: str) -> bytes:
    return hashlib.sha256(pk.encode()).digest()


def _beyond(place: list[str], start: list[str], forward: bool) -> bool:
    return place > start if forward else place < start


# ------------------------------------------------------------------------------------------------------- expressions

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),]|:?#?[A-Za-z_][A-Za-z0-9_]*)")


@functools.cache
def _compiled(expression: str) -> _Holds:
    """Return a condition as a function of the record and the values (AWS, "Condition and filter expressions")."""
    tokens = [found.group(1) for found in _TOKEN.finditer(expression)]
    if "".join(tokens) != re.sub(r"\s+", "", expression):
        raise NotImplementedError(expression)
    holds, rest = _either(tokens)
    if rest:
        raise NotImplementedError(expression)
    return holds


def _either(tokens: list[str]) -> tuple[_Holds, list[str]]:
    left, tokens = _both(tokens)
    while tokens and tokens[0] == "OR":
        right, tokens = _both(tokens[1:])
        left = functools.partial(lambda a, b, record, values: a(record, values) or b(record, values), left, right)
    return left, tokens


def _both(tokens: list[str]) -> tuple[_Holds, list[str]]:
    left, tokens = _one(tokens)
    while tokens and tokens[0] == "AND":
        right, tokens = _one(tokens[1:])
        left = functools.partial(lambda a, b, record, values: a(record, values) and b(record, values), left, right)
    return left, tokens


def _one(tokens: list[str]) -> tuple[_Holds, list[str]]:
    match tokens:
        case ["NOT", *rest]:
            inner, rest = _one(rest)
            return (lambda record, values: not inner(record, values)), rest
        case ["(", *rest]:
            inner, rest = _either(rest)
            return inner, rest[1:]
        case [("attribute_not_exists" | "attribute_exists") as function, "(", name, ")", *rest]:
            return (lambda record, values: (name in record) == (function == "attribute_exists")), rest
        case ["begins_with", "(", name, ",", text, ")", *rest]:
            return (lambda record, values: record[name]["S"].startswith(values[text]["S"])), rest
        case [name, "BETWEEN", low, "AND", high, *rest]:
            return (lambda record, values: values[low]["S"] <= record[name]["S"] <= values[high]["S"]), rest
        case [left, ("=" | "<>" | "<" | "<=" | ">" | ">=") as sign, right, *rest]:
            return (
                lambda record, values: _compare(_operand(left, record, values), sign, _operand(right, record, values))
            ), rest
    raise NotImplementedError(" ".join(tokens))


def _operand(name: str, record: Record, values: Record) -> Any:
    held = values[name] if name.startswith(":") else record.get(name)
    return None if held is None else _comparable(held)


def _comparable(held: Record) -> Any:
    [(kind, value)] = held.items()
    return Decimal(value) if kind == "N" else value


def _compare(left: Any, sign: str, right: Any) -> bool:
    if left is None or right is None or type(left) is not type(right):
        return sign == "<>" and left is not right
    return bool(_SIGNS[sign](left, right))


_SIGNS = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
