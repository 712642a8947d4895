"""Create, read, list, change and delete items. A change is written only if it is based on the current version.

Each write of an item also writes and deletes its index records (``search_index_keys``) and, if it is or was public, its
public copy (``public_copies``) with the index records of that, in the same transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import queue, table
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import idempotency, models, public_catalogues, public_copies, search_index_keys, validation
from chalicelib.catalogue.messages import RenderImage
from chalicelib.catalogue.models import Item, ItemInput
from chalicelib.values import exact_json, ids, merge_patch, times

EXPOSURE_TIMEOUT = timedelta(minutes=30)
"""How long after an exposure began or ended the cleanup looks for public objects that are missing or left over."""

Check = Callable[[Item], None]
"""A condition for a write: a function that gets the current item, and raises an ApiError to prevent the write."""


def allow_write(_: Item) -> None:
    """Allow every write (the default)."""


class ListRange(msgspec.Struct, frozen=True):
    """Which of an owner's items to list, in which order. ``after`` and ``before`` limit their creation, exclusively."""

    newest_first: bool = True
    after: datetime | None = None
    before: datetime | None = None


class Page(msgspec.Struct, frozen=True):
    """One page of an owner's items."""

    items: list[Item]
    last: str | None
    """The position to continue after, or None on the last page."""
    positions: list[str]
    """The position of each item in the list: to continue after it, pass it as ``start_after``."""


def create(
    owner: str, new: ItemInput, at: datetime, key: str | None = None, key_period: timedelta = idempotency.PERIOD
) -> tuple[Item, bool]:
    """Create an item. Return it and False, or, if ``key`` was used for the same input before, that item and True.

    The key is remembered for ``key_period``. If that is longer than a day, each use of the key starts the period again.

    Raise IdempotencyKeyReusedError if the key was used for another input, InvalidExpiryError if a new item would have
    expired at ``at``, BusyError after eight attempts.
    """
    if key is None:
        return _create(_new_item(owner, new, at, ids.new_id(times.unix_ms(at)))), False
    asked = {"fields": new.sent, "expires_at": new.expires_at, "visibility": new.visibility}
    digest = exact_json.digest(asked)
    request = idempotency.KeyedRequest(table.Key(owner, "KEY", key), digest)
    for _ in table.write_attempts():
        with contextlib.suppress(table.WriteRejectedError):
            if record := idempotency.find(request, at):
                if key_period > idempotency.PERIOD:
                    idempotency.extend(request, record, at + key_period)
                return from_record(owner, record["id"], record), True
            item = _new_item(owner, new, at, ids.new_id(times.unix_ms(at)))
            # The item is stored at the top level of the record: one level deeper, its fields could nest too deep for
            # DynamoDB.
            result = {"id": item.id, **_to_values(item)}
            table.write_once(
                *_replace_writes(None, item), idempotency.prepare_record(request, result, at, at + key_period)
            )
            telemetry.add_count("ItemsCreated")
            return item, False
    raise errors.BusyError


def prepare_create(owner: str, id_: str, new: ItemInput, at: datetime) -> list[table.Write]:
    """Return the writes, for one transaction, that create an item with this id. They are refused if the id is taken.

    Raise InvalidExpiryError if the item would have expired at ``at``.
    """
    return _replace_writes(None, _new_item(owner, new, at, id_))


def prepare_patch(item: Item, changes: models.Fields, at: datetime) -> tuple[list[table.Write], Item]:
    """Return the writes that apply a JSON Merge Patch as :func:`patch` does, and the item after them.

    There are none if nothing changes. They are refused if ``item`` is not the current version. Call
    :func:`queue_exposure_jobs` afterwards.

    Raise the errors of :func:`replace`, and InvalidRequestError if a public item changes so much that one transaction
    has no room for it.
    """
    validation.validate_patch(changes)
    patched = _patched(item, changes, at)
    new = item if patched is item else _next_version(item, patched, at)
    writes = [] if new is item else _replace_writes(item, new)
    if len(writes) < table.MAX_TRANSACTION_WRITES:  # The import needs one more.
        return writes, new
    problem = "The item is public, and too many of its words and values change at once: make it private first"
    raise validation.problems_at(("$", problem))


def prepare_restore(item: Item) -> list[table.Write]:
    """Return the writes that create this item with its id, version and times. They are refused if the id is taken."""
    return _replace_writes(None, _first_version(item))


def get(owner: str, id_: str, at: datetime) -> Item:
    """Return an item. Raise ItemNotFoundError if it does not exist or has expired at ``at``."""
    item = find(owner, id_)
    if item is None or item.is_expired(at):
        raise errors.ItemNotFoundError(id=id_)
    return item


def find(owner: str, id_: str) -> Item | None:
    """Return an item, even one that has expired and is not deleted yet, or None if it does not exist."""
    record = table.get(table.Key(owner, "ITEM", id_)) if ids.is_id(id_) else None
    return from_record(owner, id_, record) if record else None


def list_page(owner: str, which: ListRange, limit: int, start_after: str | None, at: datetime) -> Page:
    """Return up to ``limit`` items in the order of creation. A page may have fewer items although more follow.

    ``start_after`` is ``last`` of the previous page. Raise InvalidCursorError if it is outside ``which``.

    ``owner`` may also be the partition of a public catalogue. Then the read is consistent, so that an item is gone as
    soon as it is private.
    """
    between = id_range(which.after, which.before)
    low, high = between
    if low > high:
        return Page([], None, [])
    if start_after is not None and not low <= start_after <= high:
        raise errors.InvalidCursorError
    records, more = table.query_page(
        owner,
        "ITEM",
        between,
        backwards=which.newest_first,
        limit=limit,
        start_after=start_after,
        consistent=table.is_public(owner),
    )
    found = [from_record(owner, id_, record) for id_, record in records]
    live = [item for item in found if not item.is_expired(at)]
    return Page(live, found[-1].id if more else None, [item.id for item in live])


def id_range(after: datetime | None, before: datetime | None) -> tuple[str, str]:
    """Return the lowest and the highest id of items that are created in a period, whose limits are exclusive.

    The lowest is greater than the highest if there can be none.
    """
    # An id starts with its time: the lowest id of a millisecond ends in zeros, the highest in ones.
    low = ids.new_id(times.unix_ms(after) + 1, 0) if after else ""
    high = ids.new_id(times.unix_ms(before) - 1, -1) if before else "~"
    return low, high


def change(
    owner: str,
    id_: str,
    transform: Callable[[Item], Item],
    at: datetime,
    check: Check = allow_write,
    *,
    is_update: bool = True,
) -> Item:
    """Replace an item by ``transform(item)`` with the next version, and return it.

    If another request changes the item in between, ``check`` and ``transform`` are called again. If ``transform``
    returns its argument, nothing is written, except a public copy that is missing. With ``is_update=False``,
    ``updatedAt`` stays, so its index record is not written, which would cost as much as writing the item itself.

    Raise ItemNotFoundError, what ``check`` and ``transform`` raise, and BusyError after eight attempts.
    """
    old: Item | None = None
    new: Item | None = None
    for _ in table.write_attempts():
        previous, old = old, get(owner, id_, at)
        if old == new:
            # The write was refused although an earlier attempt of the SDK had succeeded.
            queue_exposure_jobs([(previous, old)])
            return old
        check(old)
        transformed = transform(old)
        if transformed is old:
            if old.hidden:
                write_index(owner, id_)
            return old
        new = _next_version(old, transformed, at, is_update=is_update)
        try:
            _write_change(old, new)
        except table.WriteRejectedError:
            continue
        except table.FAILURES:
            if find(owner, id_) != new:
                raise
        queue_exposure_jobs([(old, new)])
        return new
    raise errors.BusyError


def queue_exposure_jobs(changes: Iterable[tuple[Item | None, Item]]) -> None:
    """Queue the jobs that make or delete public objects, for the changes that require them.

    A change is an item before, or None if it is new, and after. If queueing fails, the cleanup does it.
    """
    jobs = [
        RenderImage(Upload(new.owner, new.id, new.image.upload_id).key)
        for old, new in changes
        if new.exposure_due_at
        and (old is None or (old.exposure_due_at, old.is_exposed) != (new.exposure_due_at, new.is_exposed))
        and new.image
        and new.image.status == "ready"  # A job for a picture that failed would render it again.
        and new.image.upload_id
    ]
    try:
        queue.send(*jobs)
    except queue.FAILURES:
        telemetry.logger.exception("Queueing jobs for public pictures failed; the cleanup will retry")


def replace(owner: str, id_: str, body: models.Fields, at: datetime, check: Check = allow_write) -> Item:
    """Replace an item's own fields and settings by those in ``body``. If they are equal, return the item unchanged.

    Declared fields that are not in ``body`` get their defaults.

    Raise the errors of :func:`change` and :func:`validation.validate_item`, and InvalidExpiryError if the item would
    have expired at ``at``.
    """
    new = validation.validate_item(body)
    return change(owner, id_, lambda item: _with_input(item, new, at), at, check)


def patch(owner: str, id_: str, changes: models.Fields, at: datetime, check: Check = allow_write) -> Item:
    """Apply a JSON Merge Patch (RFC 7396) to an item's own fields and settings, and return the item.

    A declared field that the patch removes gets its default. If the patch changes nothing, nothing is written.

    Raise the errors of :func:`replace`.
    """
    validation.validate_patch(changes)
    return change(owner, id_, lambda item: _patched(item, changes, at), at, check)


def delete(owner: str, id_: str, at: datetime, check: Check = allow_write, *, expired: bool | None = False) -> Item:
    """Delete an item and return it.

    By default, an item that has expired at ``at`` is not found. With ``expired=True``, only such an item is deleted,
    with None any item.

    If the bucket may contain objects of the item, write a purge record in the same transaction. It is due when no
    upload can arrive any more. Call :func:`delete_purge_record` when the objects are deleted.

    Raise the errors of :func:`change`.
    """
    item: Item | None = None
    for _ in table.write_attempts():
        previous, item = item, find(owner, id_)
        if item is None and previous:
            return previous  # Another request has deleted it.
        if item is None or (expired is not None and item.is_expired(at) != expired):
            raise errors.ItemNotFoundError(id=id_)
        check(item)
        writes = _delete_writes(item)
        if item.may_have_objects:
            due_at = max(times.format_time(at), item.ticket_until or "")
            writes.append(table.Put(table.Key(owner, "PURGE", id_), {}, due_at=due_at))
        try:
            table.write_once(*writes)
        except table.WriteRejectedError:
            continue
        except table.FAILURES:
            if find(owner, id_) is not None:
                raise
        return item
    raise errors.BusyError


def delete_purge_record(owner: str, id_: str) -> None:
    """Delete the purge record of an item. Call this when no object of the item is left and none can arrive any more."""
    table.write(table.Delete(table.Key(owner, "PURGE", id_)))


def from_record(owner: str, id_: str, record: table.Record) -> Item:
    """Return the item that a record of the kind ITEM contains."""
    return msgspec.convert(record | {"owner": owner, "id": id_}, Item)


def write_index(owner: str, id_: str) -> None:
    """Write all index records of an item, and its public copy, as ItemFields declares them now. Its version stays.

    Index records that follow only from an earlier declaration are deleted. If the item does not exist, nothing is
    written. Raise BusyError after eight attempts.
    """
    for _ in table.write_attempts():
        old = find(owner, id_)
        if old is None:
            return
        with contextlib.suppress(table.WriteRejectedError):
            _write_change(old, _with_declaration(old), all_records=True)
            return
    raise errors.BusyError


def unchanged(item: Item | None) -> table.Condition:
    """Return the condition that the stored item is still ``item``, or that there is none if that is None."""
    return table.revision_is(item.version, item.indexed, hidden=item.hidden) if item else table.ABSENT


def _create(item: Item) -> Item:
    for _ in table.write_attempts():
        try:
            table.write_once(*_replace_writes(None, item))
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
    item = Item(owner=owner, id=id_, version=1, created_at=created, updated_at=created, fields={})
    return _first_version(with_input(item, new))


def _patched(item: Item, changes: models.Fields, at: datetime) -> Item:
    settings = {"expiresAt": item.expires_at, "visibility": item.visibility}
    body = item.fields | {name: value for name, value in settings.items() if value is not None}
    return _with_input(item, validation.validate_item(merge_patch.apply(body, changes)), at)


def _first_version(item: Item) -> Item:
    return _with_publication(None, _with_declaration(msgspec.structs.replace(item, exposures=int(item.is_exposed))))


def _next_version(old: Item, changed: Item, at: datetime, *, is_update: bool = True) -> Item:
    """Return the next version of an item, changed at ``at``. With ``is_update=False``, its ``updatedAt`` stays."""
    # The clock may have been set back since the last write.
    updated_at = max(old.updated_at, times.format_time(at)) if is_update else old.updated_at
    new = msgspec.structs.replace(changed, version=old.version + 1, updated_at=updated_at)
    return _with_publication(old, _with_declaration(_with_exposure(old, new, at)), is_update=is_update)


def _with_exposure(old: Item, new: Item, at: datetime) -> Item:
    """Return ``new`` with its exposures counted. Set ``exposure_due_at`` if public objects must be made or deleted."""
    begins, ends = new.is_exposed and not old.is_exposed, old.is_exposed and not new.is_exposed
    new = msgspec.structs.replace(new, exposures=old.exposures + begins)
    # While a picture is processing, its job makes and deletes the public objects.
    is_due = new.needs_public_thumbnails or (ends and new.image is not None and new.image.status in ("ready", "failed"))
    if not is_due or new.exposure_due_at:
        return new
    return msgspec.structs.replace(new, exposure_due_at=times.format_time(at + EXPOSURE_TIMEOUT))


def _with_publication(old: Item | None, new: Item, *, is_update: bool = True) -> Item:
    return msgspec.structs.replace(new, published=public_copies.last_publication(old, new, is_update=is_update))


def _with_input(item: Item, new: ItemInput, at: datetime) -> Item:
    """Return the item with what the caller sets, or ``item`` itself if nothing differs.

    An unnecessary new version would cause a 412 for everybody who is editing the item. So an item that is sent back
    unchanged does not get defaults that were declared after it was stored.
    """
    _check_expiry(new, at)
    has_same_settings = (new.expires_at, new.visibility) == (item.expires_at, item.visibility)
    if has_same_settings and any(exact_json.equal(own, item.fields) for own in (new.sent, new.fields)):
        return item
    return with_input(item, new)


def with_input(item: Item, new: ItemInput) -> Item:
    """Return the item with what the caller sets. If it becomes public, the owner gets a public catalogue."""
    if new.visibility:
        item = make_exposable(item)
    return msgspec.structs.replace(item, fields=new.fields, expires_at=new.expires_at, visibility=new.visibility)


def make_exposable(item: Item) -> Item:
    """Return the item with ``catalogue`` and ``public_seed``, which an exposed item needs.

    The owner's public catalogue is created if there is none. Raise BusyError.
    """
    if item.public_seed:
        return item
    reference = public_catalogues.get_or_create_reference(item.owner)
    return msgspec.structs.replace(item, catalogue=reference.catalogue, public_seed=reference.seed(item.id))


def _check_expiry(new: ItemInput, at: datetime) -> None:
    # Validation does not check this, so that a repeated request with the same Idempotency-Key succeeds after expiry.
    if new.is_expired(at):
        raise errors.InvalidExpiryError


def _with_declaration(item: Item) -> Item:
    """Return the item as it is after all its other records are written as ItemFields declares them now."""
    return msgspec.structs.replace(item, indexed=search_index_keys.current().text, hidden=False)


def _write_change(old: Item, new: Item, *, all_records: bool = False) -> None:
    """Replace ``old`` by ``new``, with those index records that differ, or with all of them.

    Raise the exceptions of :func:`table.write`: WriteRejectedError if the stored item is not ``old``.

    A transaction has room for any change of a private item, but not for every change of a public one. If there is no
    room, visitors do not see the item until the last of three transactions has written its public copy again. If the
    last one fails, the next write or the cleanup writes the copy.
    """
    writes = _replace_writes(old, new, all_records=all_records)
    if len(writes) == 1:
        _write_alone(old, new)
        return
    if len(writes) <= table.MAX_TRANSACTION_WRITES:
        table.write_once(*writes)
        return
    before, after = (msgspec.structs.replace(item, hidden=True) for item in (old, new))
    if before != old:
        table.write_once(*_replace_writes(old, before))
    table.write_once(*_replace_writes(before, after, all_records=all_records))
    if after != new:
        _show(after, new)


def _show(hidden: Item, shown: Item) -> None:
    """Write the public copy of an item that is stored without it. Raise BusyError after eight conflicts.

    The item itself is stored already. If another request has changed it since then, that request writes the public
    copy, so nothing is left to do here.
    """
    for _ in table.write_attempts():
        try:
            table.write_once(*_replace_writes(hidden, shown))
        except table.TransactionConflictError:
            continue
        except table.ConditionFailedError:
            pass
        return
    raise errors.BusyError


def _replace_writes(old: Item | None, new: Item, *, all_records: bool = False) -> list[table.Write]:
    """Return the writes that replace ``old``, if there is one, by ``new``, with those other records that differ.

    With ``all_records``, also write those that do not differ. The writes are refused if the stored item is not ``old``.
    """
    copies = public_copies.of(old), public_copies.of(new)
    return [
        table.Put(_key(new), _to_values(new), unchanged(old), due_at=new.due_at),
        *_index_writes(old, new, all_records=all_records),
        *(_copy_writes(*copies) if all_records or copies[0] != copies[1] else ()),
        *_index_writes(*copies, all_records=all_records),
    ]


def _write_alone(old: Item, new: Item) -> None:
    """Replace ``old`` by ``new``, which has the same other records, for half the price of a transaction.

    If the SDK repeats the write, the repetition is refused: ``old`` is never stored again. Only a restored item can
    have the same version, and it has another ``last_upload``.
    """
    same = unchanged(old).and_(table.attributes_are(lastUpload=old.last_upload, lastTicket=old.last_ticket))
    table.write(table.Put(_key(new), _to_values(new), same, due_at=new.due_at))


def _delete_writes(item: Item) -> list[table.Write]:
    """Return the writes that delete an item and its other records. They are refused if the stored item is another."""
    copy = public_copies.of(item)
    return [
        table.Delete(_key(item), unchanged(item)),
        *_index_writes(item, None),
        *_copy_writes(copy, None),
        *_index_writes(copy, None),
    ]


def _index_writes(old: Item | None, new: Item | None, *, all_records: bool = False) -> Iterator[table.Write]:
    before, after = index_records(old), index_records(new)
    yield from (table.Delete(key) for key in sorted(before - after))
    yield from (table.Put(key, {}) for key in sorted(after if all_records else after - before))


def _copy_writes(old: Item | None, new: Item | None) -> Iterator[table.Write]:
    """Yield the write that replaces one public copy by another."""
    if new:
        yield table.Put(_key(new), _to_values(new))
    elif old:
        yield table.Delete(_key(old))


def _key(item: Item) -> table.Key:
    return table.Key(item.owner, "ITEM", item.id)


def index_records(item: Item | None) -> set[table.Key]:
    """Return the keys of the index records that an item has."""
    if item is None or item.indexed is None:
        return set()
    found = search_index_keys.keys(item.fields, item.updated_at, search_index_keys.parse(item.indexed))
    return {table.Key(item.owner, key.kind, f"{key.text}\t{item.id}") for key in found}


def _to_values(item: Item) -> table.Record:
    values: table.Record = msgspec.to_builtins(item, builtin_types=(Decimal,))
    return {name: value for name, value in values.items() if name not in ("owner", "id")}
