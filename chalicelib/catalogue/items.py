"""Create, read, list, change and delete items. A change is written only if it is based on the current version."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import table
from chalicelib.catalogue import idempotency, models, validation
from chalicelib.catalogue.models import Item, ItemInput
from chalicelib.values import exact_json, ids, merge_patch, times

_MAX_WRITE_ATTEMPTS = 8

Check = Callable[[Item], None]
"""A condition for a write: a function that gets the current item, and raises an ApiError to prevent the write."""


def allow_write(_: Item) -> None:
    """Allow every write (the default)."""


class Range(NamedTuple):
    """Which of an owner's items to list, in which order. ``after`` and ``before`` limit their creation, exclusively."""

    newest_first: bool = True
    after: datetime | None = None
    before: datetime | None = None


class Page(NamedTuple):
    """One page of an owner's items. ``last`` is the id to continue after, or None on the last page."""

    items: list[Item]
    last: str | None


def create(
    owner: str, new: ItemInput, at: datetime, key: str | None = None, key_period: timedelta = idempotency.PERIOD
) -> tuple[Item, bool]:
    """Create an item. Return it and False; or, if ``key`` was used for the same input before, its result and True.

    The key is remembered for ``key_period``. If that is longer than a day, each use of the key starts the period again.

    Raise IdempotencyKeyReusedError if the key was used for another input, InvalidExpiryError if a new item would have
    expired at ``at``, BusyError after eight attempts.
    """
    if key is None:
        return _create(_new_item(owner, new, at, ids.new_id(times.unix_ms(at)))), False
    digest = exact_json.digest({"fields": new.sent, "expires_at": new.expires_at})
    request = idempotency.KeyedRequest(table.Key(owner, "KEY", key), digest)
    for _ in write_attempts():
        with contextlib.suppress(table.WriteRejectedError):
            if record := idempotency.find(request, at):
                if key_period > idempotency.PERIOD:
                    idempotency.extend(request, record, at + key_period)
                return _from_record(owner, record["id"], record), True
            item = _new_item(owner, new, at, ids.new_id(times.unix_ms(at)))
            # The item is stored at the top level of the record: one level deeper, its fields could nest too deep for
            # DynamoDB.
            result = {"id": item.id, **_to_values(item)}
            table.write(_put(item, table.ABSENT), idempotency.prepare_record(request, result, at, at + key_period))
            telemetry.add_count("ItemsCreated")
            return item, False
    raise errors.BusyError


def prepare_create(owner: str, id_: str, new: ItemInput, at: datetime) -> list[table.Write]:
    """Return the writes that create an item with this id. They are refused if the id is taken.

    Raise InvalidExpiryError if the item would have expired at ``at``.
    """
    return [_put(_new_item(owner, new, at, id_), table.ABSENT)]


def get(owner: str, id_: str, at: datetime) -> Item:
    """Return an item. Raise ItemNotFoundError if it does not exist or has expired at ``at``."""
    item = find(owner, id_)
    if item is None or item.is_expired(at):
        raise errors.ItemNotFoundError(id=id_)
    return item


def find(owner: str, id_: str) -> Item | None:
    """Return an item, even one that has expired and is not deleted yet, or None if it does not exist."""
    record = table.get(table.Key(owner, "ITEM", id_)) if ids.is_id(id_) else None
    return _from_record(owner, id_, record) if record else None


def list_page(owner: str, which: Range, limit: int, start_after: str | None, at: datetime) -> Page:
    """Return up to ``limit`` items in the order of creation. A page may have fewer items although more follow.

    ``start_after`` is ``last`` of the previous page. Raise InvalidCursorError if it is outside ``which``.
    """
    # An id starts with its time: the lowest id of a millisecond ends in zeros, the highest in ones.
    low = ids.new_id(times.unix_ms(which.after) + 1, 0) if which.after else ""
    high = ids.new_id(times.unix_ms(which.before) - 1, -1) if which.before else "~"
    if low > high:
        return Page([], None)
    if start_after is not None and not low <= start_after <= high:
        # DynamoDB rejects an ExclusiveStartKey outside the query's range.
        raise errors.InvalidCursorError
    records, more = table.query_page(
        owner, "ITEM", low, high, backwards=which.newest_first, limit=limit, start_after=start_after
    )
    found = [_from_record(owner, id_, record) for id_, record in records]
    return Page([item for item in found if not item.is_expired(at)], found[-1].id if more else None)


def change(owner: str, id_: str, transform: Callable[[Item], Item], at: datetime, check: Check = allow_write) -> Item:
    """Replace an item by ``transform(item)`` with the next version, and return it.

    If another request changes the item in between, ``check`` and ``transform`` are called again. If ``transform``
    returns its argument, nothing is written.

    Raise ItemNotFoundError, and what ``check`` raises. Raise BusyError after eight attempts; or if it is unknown
    whether the write succeeded, because others have changed the item since.
    """
    new: Item | None = None
    unclear = False
    for _ in write_attempts():
        old = get(owner, id_, at)
        if old == new:
            # The write was refused although it succeeded: the SDK repeated it because its response was lost.
            return old
        if new and unclear and old.version >= new.version:
            raise errors.BusyError
        check(old)
        transformed = transform(old)
        if transformed is old:
            return old
        # The clock may have been set back since the last write.
        updated_at = max(old.updated_at, times.format_time(at))
        new = msgspec.structs.replace(transformed, version=old.version + 1, updated_at=updated_at)
        try:
            table.write(_put(new, table.version_is(old.version)))
        except table.WriteRejectedError as refused:
            unclear = refused.may_be_applied
            continue
        except table.FAILURES:
            if find(owner, id_) != new:
                raise
        return new
    raise errors.BusyError


def replace(owner: str, id_: str, body: models.Fields, at: datetime, check: Check = allow_write) -> Item:
    """Replace an item's own fields and its expiry by those in ``body``. If they are equal, return the item unchanged.

    Declared fields that are not in ``body`` get their defaults.

    Raise the errors of :func:`change` and :func:`validation.validate_item`, and InvalidExpiryError if the item would
    have expired at ``at``.
    """
    new = validation.validate_item(body)
    return change(owner, id_, lambda item: _with_input(item, new, at), at, check)


def patch(owner: str, id_: str, changes: models.Fields, at: datetime, check: Check = allow_write) -> Item:
    """Apply a JSON Merge Patch (RFC 7396) to an item's own fields and its expiry, and return the item.

    A declared field that the patch removes gets its default. If the patch changes nothing, nothing is written.

    Raise the errors of :func:`replace`.
    """
    validation.validate_patch(changes)

    def patched(item: Item) -> Item:
        body = item.fields if item.expires_at is None else {**item.fields, "expiresAt": item.expires_at}
        return _with_input(item, validation.validate_item(merge_patch.apply(body, changes)), at)

    return change(owner, id_, patched, at, check)


def delete(owner: str, id_: str, at: datetime, check: Check = allow_write, *, expired: bool = False) -> Item:
    """Delete an item and return it. With ``expired=True``, delete only an item that has expired at ``at``.

    If the bucket may contain objects of the item, write a purge record in the same transaction. It is due when no
    upload can arrive any more. Call :func:`delete_purge_record` when the objects are deleted.

    Raise the errors of :func:`change`.
    """
    item: Item | None = None
    for _ in write_attempts():
        previous, item = item, find(owner, id_)
        if item is None and previous:
            # The write was refused, but the item is gone: another request deleted it, or this write did, and the SDK
            # repeated it because its response was lost.
            return previous
        if item is None or item.is_expired(at) != expired:
            raise errors.ItemNotFoundError(id=id_)
        check(item)
        writes: list[table.Write] = [_delete(item)]
        if item.may_have_objects:
            due_at = max(times.format_time(at), item.ticket_until or "")
            writes.append(table.Put(table.Key(owner, "PURGE", id_), {}, due_at=due_at))
        try:
            table.write(*writes)
        except table.WriteRejectedError:
            continue
        except table.FAILURES:
            if find(owner, id_) is not None:
                raise
        return item
    raise errors.BusyError


def delete_purge_record(owner: str, id_: str) -> None:
    """Delete the purge record of an item. No object of the item may be left, and none may arrive any more."""
    table.write(table.Delete(table.Key(owner, "PURGE", id_)))


def write_attempts() -> Iterator[int]:
    """Yield the numbers of up to eight attempts at a conditional write, with a growing random pause between them.

    The last pause is at most 1.3 seconds long.
    """
    for attempt in range(_MAX_WRITE_ATTEMPTS):
        if attempt:
            telemetry.add_count("WriteRetries")
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - not used for security
        yield attempt


def _create(item: Item) -> Item:
    for _ in write_attempts():
        try:
            table.write_once(_put(item, table.ABSENT))
        except table.TransactionConflictError:
            continue
        except table.ConditionFailedError:
            pass  # The id is new. So this item was written by an earlier attempt, whose response was lost.
        except table.FAILURES:
            if find(item.owner, item.id) is None:
                raise
        telemetry.add_count("ItemsCreated")
        return item
    raise errors.BusyError


def _new_item(owner: str, new: ItemInput, at: datetime, id_: str) -> Item:
    _check_expiry(new, at)
    created = times.format_time(at)
    return Item(
        owner=owner,
        id=id_,
        version=1,
        created_at=created,
        updated_at=created,
        fields=new.fields,
        expires_at=new.expires_at,
    )


def _with_input(item: Item, new: ItemInput, at: datetime) -> Item:
    """Return the item with the fields and the expiry of ``new``, or ``item`` itself if nothing differs.

    An unnecessary new version would cause a 412 for everybody who is editing the item. So an item that was stored
    before its class had some default does not get it if it is sent back unchanged.
    """
    _check_expiry(new, at)
    if new.expires_at == item.expires_at and any(exact_json.equal(own, item.fields) for own in (new.sent, new.fields)):
        return item
    return msgspec.structs.replace(item, fields=new.fields, expires_at=new.expires_at)


def _check_expiry(new: ItemInput, at: datetime) -> None:
    # Validation does not check this, so that a repeated request with the same Idempotency-Key succeeds after expiry.
    if new.is_expired(at):
        raise errors.InvalidExpiryError


def _put(item: Item, condition: table.Condition) -> table.Put:
    return table.Put(table.Key(item.owner, "ITEM", item.id), _to_values(item), condition, due_at=item.due_at)


def _delete(item: Item) -> table.Delete:
    return table.Delete(table.Key(item.owner, "ITEM", item.id), table.version_is(item.version))


def _to_values(item: Item) -> table.Record:
    values: table.Record = msgspec.to_builtins(item, builtin_types=(Decimal,))
    return {name: value for name, value in values.items() if name not in ("owner", "id")}


def _from_record(owner: str, id_: str, record: table.Record) -> Item:
    return msgspec.convert(record | {"owner": owner, "id": id_}, Item)
