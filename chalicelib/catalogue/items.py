"""The items: create, read, list, change, remove. A write is only ever taken on top of the version it was made from."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import table
from chalicelib.catalogue import idempotency, models, validation
from chalicelib.catalogue.models import Draft, Item
from chalicelib.values import exact_json, ids, times

IDEMPOTENCY_PERIOD = timedelta(hours=24)
MAX_KEY_LENGTH = 255
"""Characters of an Idempotency-Key."""

_TRIES = 8

Check = Callable[[Item], None]
"""A condition for a write. It is called with the current item, and raises an ApiError to prevent the write."""


class Range(NamedTuple):
    """Which of an owner's items, and in which order: ``after`` and ``before`` bound their creation, both exclusive."""

    newest_first: bool = True
    after: datetime | None = None
    before: datetime | None = None


class Page(NamedTuple):
    """Some of an owner's items; ``last`` is the id to go on after, or None at the end."""

    items: list[Item]
    last: str | None


def accept_any(_: Item) -> None:
    """Prevent no write: the condition of a write without conditions."""


def is_key(text: str) -> bool:
    """Return whether ``text`` can be an Idempotency-Key, of HTTP or of a message."""
    return _KEY.fullmatch(text) is not None


# In a header, others would not arrive alike everywhere: bytes beyond ASCII have no agreed encoding (RFC 9110, section
# 5.5), and a comma may have joined two lines on their way (section 5.3).
KEY_RULE = f"1 to {MAX_KEY_LENGTH} visible ASCII characters without a comma"
KEY_PATTERN = rf"[!-+\--~]{{1,{MAX_KEY_LENGTH}}}"
_KEY = re.compile(KEY_PATTERN)


def create(
    owner: str, draft: Draft, at: datetime, key: str | None = None, remembered: timedelta = IDEMPOTENCY_PERIOD
) -> tuple[Item, bool]:
    """Return a new item and False, or what a create with the same ``key`` made before, and True.

    A key is remembered for the time ``remembered``. If that is longer than IDEMPOTENCY_PERIOD, it begins again with
    each use of the key.

    Raise IdempotencyKeyReusedError if the key came with something else before, InvalidExpiryError if a new item would
    have expired at ``at``, BusyError after eight tries.
    """
    if key is None:
        return _create(_new(owner, draft, at, ids.new_id(times.unix_ms(at)))), False
    said = exact_json.digest(msgspec.to_builtins(draft, builtin_types=(Decimal,)))
    place = table.Key(owner, "KEY", key)
    for _ in tries():
        with contextlib.suppress(table.WriteRejectedError):
            if record := idempotency.earlier(place, said, at):
                if remembered > IDEMPOTENCY_PERIOD:
                    idempotency.remember(place, record, at + remembered)
                return _item(owner, record["id"], record), True
            item = _new(owner, draft, at, ids.new_id(times.unix_ms(at)))
            # Fields have the same depth here as in the item: one level more may be more than DynamoDB takes.
            made = {"id": item.id, **_values(item)}
            table.write(_put(item, table.ABSENT), idempotency.claim(place, said, made, at, at + remembered))
            telemetry.add_count("ItemsCreated")
            return item, False
    raise errors.BusyError


def creation(owner: str, id_: str, draft: Draft, at: datetime) -> table.Put:
    """Return the write that creates an item under that id; it is refused if the id is taken.

    Raise InvalidExpiryError if the item would have expired at ``at``.
    """
    return _put(_new(owner, draft, at, id_), table.ABSENT)


def get(owner: str, id_: str, at: datetime) -> Item:
    """Raises ItemNotFoundError where there is none, or where its time is up at ``at``."""
    item = find(owner, id_)
    if item is None or item.over(at):
        raise errors.ItemNotFoundError(id=id_)
    return item


def find(owner: str, id_: str) -> Item | None:
    """The item, even where its time is up and only the cleanup has not come round yet."""
    record = table.get(table.Key(owner, "ITEM", id_)) if ids.is_id(id_) else None
    return _item(owner, id_, record) if record else None


def page(owner: str, which: Range, limit: int, start_after: str | None, at: datetime) -> Page:
    """Up to ``limit`` items in the order of their creation; a page may hold fewer although more follow.

    Raises InvalidCursorError where the list cannot have come to ``start_after``.
    """
    # The time stands first in an id: a millisecond's lowest id ends in zeros, its highest in ones.
    low = ids.new_id(times.unix_ms(which.after) + 1, 0) if which.after else ""
    high = ids.new_id(times.unix_ms(which.before) - 1, -1) if which.before else "~"
    if low > high:
        return Page([], None)
    if start_after is not None and not low <= start_after <= high:
        # DynamoDB refuses an ExclusiveStartKey beyond the bounds of the query.
        raise errors.InvalidCursorError
    records, more = table.query_page(
        owner, "ITEM", low, high, backwards=which.newest_first, limit=limit, start_after=start_after
    )
    found = [_item(owner, id_, record) for id_, record in records]
    return Page([item for item in found if not item.over(at)], found[-1].id if more else None)


def change(owner: str, id_: str, step: Callable[[Item], Item], at: datetime, check: Check = accept_any) -> Item:
    """Reads an item, puts what ``step`` makes of it in its place, and returns that.

    ``step`` may run several times; where it returns its own argument, nothing is written.

    Raises ItemNotFoundError; what ``check`` raises; BusyError
    after eight tries, or if it cannot be told whether the write was done, because others have changed the item since.
    """
    new: Item | None = None
    unclear = False
    for _ in tries():
        old = get(owner, id_, at)
        if old == new:
            # Refused, and yet there: the SDK wrote it twice, as the first answer got lost.
            return old
        if new and unclear and old.version >= new.version:
            raise errors.BusyError
        check(old)
        stepped = step(old)
        if stepped is old:
            return old
        # The clock may have been set back since the last write.
        updated_at = max(old.updated_at, times.format_time(at))
        new = msgspec.structs.replace(stepped, version=old.version + 1, updated_at=updated_at)
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


def replace(owner: str, id_: str, body: models.Fields, at: datetime, check: Check = accept_any) -> Item:
    """Replace the fields of an item by those in ``body``; if they are the same, return the item as it is.

    Raise as :func:`change` and :func:`validation.draft` do, and InvalidExpiryError if the item would have expired at
    ``at``.
    """
    draft = validation.draft(body)

    def replaced(item: Item) -> Item:
        return _with(item, draft, at)

    return change(owner, id_, replaced, at, check)


def patch(owner: str, id_: str, changes: models.Fields, at: datetime, check: Check = accept_any) -> Item:
    """Apply a JSON Merge Patch (RFC 7396) to a caller's fields; if it changes nothing, return the item as it is.

    Raise as :func:`replace` does.
    """
    validation.check_patch(changes)

    def merged(item: Item) -> Item:
        body = item.fields if item.expires_at is None else {**item.fields, "expiresAt": item.expires_at}
        return _with(item, validation.draft(exact_json.merge_patch(body, changes)), at)

    return change(owner, id_, merged, at, check)


def remove(owner: str, id_: str, at: datetime, check: Check = accept_any, *, over: bool = False) -> Item:
    """Deletes an item and returns what it was; ``over``: one whose time is up, and only such a one.

    Where objects of it may be in the bucket, a PURGE record stays, due once no upload can follow any more, until
    :func:`purged` says that they are gone. Raises as :func:`change` does.
    """
    item: Item | None = None
    for _ in tries():
        tried, item = item, find(owner, id_)
        if item is None and tried:
            # Refused, and yet gone: by somebody else, or by the SDK, which deletes twice where an answer gets lost.
            return tried
        if item is None or item.over(at) != over:
            raise errors.ItemNotFoundError(id=id_)
        check(item)
        writes: list[table.Put | table.Delete] = [_delete(item)]
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


def purged(owner: str, id_: str) -> None:
    """No object of that item is left, and none can follow: forgets it for good."""
    table.write(table.Delete(table.Key(owner, "PURGE", id_)))


def _create(item: Item) -> Item:
    for _ in tries():
        try:
            table.write_once(_put(item, table.ABSENT))
        except table.TransactionConflictError:
            continue
        except table.ConditionFailedError:
            pass  # Nobody else has this id: an earlier try wrote the item, and its response got lost.
        except table.FAILURES:
            if find(item.owner, item.id) is None:
                raise
        telemetry.add_count("ItemsCreated")
        return item
    raise errors.BusyError


def _new(owner: str, draft: Draft, at: datetime, id_: str) -> Item:
    created = times.format_time(at)
    return Item(
        owner=owner,
        id=id_,
        version=1,
        created_at=created,
        updated_at=created,
        fields=draft.fields,
        expires_at=_end(draft, at),
    )


def _with(item: Item, draft: Draft, at: datetime) -> Item:
    """Return the item with the fields of ``draft``, or ``item`` itself if it has them already.

    What changes nothing is no write: a new version of the same would be a 412 to everybody who is editing it.
    """
    expires_at = _end(draft, at)
    if expires_at == item.expires_at and exact_json.equal(draft.fields, item.fields):
        return item
    return msgspec.structs.replace(item, fields=draft.fields, expires_at=expires_at)


def _end(draft: Draft, at: datetime) -> str | None:
    """When an item of ``draft`` ends. Raises InvalidExpiryError where that is over at ``at``.

    Only here does it matter: who asks again with the same Idempotency-Key is answered even after that time.
    """
    if draft.over(at):
        raise errors.InvalidExpiryError
    return draft.expires_at


def tries() -> Iterator[int]:
    """Count the tries of a conditional write; wait a random while between them, longer each time, at most 1.3 s."""
    for attempt in range(_TRIES):
        if attempt:
            telemetry.add_count("WriteRetries")
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - no secret hangs on it
        yield attempt


def _put(item: Item, condition: table.Condition) -> table.Put:
    return table.Put(table.Key(item.owner, "ITEM", item.id), _values(item), condition, due_at=item.due_at)


def _delete(item: Item) -> table.Delete:
    return table.Delete(table.Key(item.owner, "ITEM", item.id), table.version_is(item.version))


def _values(item: Item) -> table.Record:
    values: table.Record = msgspec.to_builtins(item, builtin_types=(Decimal,))
    return {name: value for name, value in values.items() if name not in ("owner", "id")}


def _item(owner: str, id_: str, record: table.Record) -> Item:
    return msgspec.convert(record | {"owner": owner, "id": id_}, Item)
