"""Imports with a key: an entry changes the item that has the same value in the key's field, or creates one.

The key is a findable field or ``id``. Two imports may create an item with the same value at the same time. So each
creation also writes a guard record for the value, on the condition that the guard has not changed since before the
search for items.

With ``id``, an entry may have the managed fields of an item, as an export writes them. An item that does not exist is
restored with its id, version and times. If the item exists, the managed fields in the entry are ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.catalogue import items, models, search_index_keys, validation
from chalicelib.catalogue.import_parsing import Entries, Entry
from chalicelib.catalogue.models import Import, Item
from chalicelib.catalogue.search_criteria import Range
from chalicelib.values import ids, sort_keys, times

ID = "id"
"""The key with which items are restored."""

GUARD_PERIOD = timedelta(days=1)
"""How long a guard record is kept: longer than a function runs."""

MAX_CANDIDATES = 100
"""The most items that are read for one value. They equal it in the first 100 characters, ignoring case."""

MAX_VERSION = 10**15

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Prepared(NamedTuple):
    """What is to be written for an entry: a new item, or a change of one."""

    writes: list[table.Write]
    change: tuple[Item, Item] | None = None
    """The item before and after the change, or None if the item is new."""


class _Restored(msgspec.Struct, rename="camel"):
    """The managed fields in an entry that restores an item."""

    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)] = 1
    created_at: _Moment | None = None
    updated_at: _Moment | None = None


# ------------------------------------------------------------------------------------------------------------ requests


def check_key(key: str) -> None:
    """Raise FieldNotFindableError if no item can be found by this field, InvalidRequestError if it is a list."""
    keys = search_index_keys.current().import_keys
    if key in keys:
        return
    if key in search_index_keys.current().findable and key != search_index_keys.UPDATED_AT:
        raise _invalid("key", f"key must be a field with one value, and {key} is a list")
    raise errors.FieldNotFindableError(
        used="imported", field=key[:100], findable=", ".join(keys), details=[{"path": "$.key"}]
    )


def mark_repeated(entries: Entries, key: str) -> Entries:
    """Return the entries. If one has the same value of ``key`` as an earlier one, its ``repeats`` names that one."""
    first: dict[str, int] = {}
    marked = []
    for index, entry in enumerate(entries.all):
        place = index if entry.line is None else entry.line
        value = _value_in(entry, entries.columns, key)
        repeats = None if value is None else first.setdefault(value, place)
        marked.append(entry if repeats in (None, place) else msgspec.structs.replace(entry, repeats=repeats))
    return Entries(marked, entries.columns)


def _value_in(entry: Entry, columns: tuple[str, ...], key: str) -> str | None:
    """Return the identity of an entry's value, or None if the entry fails for another reason."""
    try:
        return _identity(key, entry.fields(columns).get(key))
    except errors.ApiError:
        return None


# ------------------------------------------------------------------------------------------------------------- entries


def prepare(known: Import, new_id: str, entry: Entry) -> Prepared:
    """Return what is to be written for an entry. ``new_id`` is the id of an item that it creates.

    Raise InvalidRequestError if the entry has no value of the key, or one that an earlier entry or several items have.
    Raise the errors of :func:`items.create` and :func:`items.patch`, and those of :func:`check_key` if ItemFields has
    changed since the import was accepted.
    """
    key = str(known.key)
    check_key(key)
    fields = entry.fields(known.columns)
    own = fields if key != ID else {name: fields[name] for name in fields if name not in models.MANAGED_FIELDS}
    validation.validate_patch(own)
    value = fields.get(key)
    identity = _identity(key, value)
    if identity is None:
        rule = "a UUIDv7" if key == ID else "a text, a number, a boolean or a date"
        raise _invalid(key, f"{key} must be {rule}, because it is the key of the import")
    if entry.repeats is not None:
        earlier = f"entry {entry.repeats}" if entry.line is None else f"the row in line {entry.repeats}"
        raise _invalid(key, f"{key} is the same as in {earlier}, which is imported")
    if key == ID:
        return _prepare_by_id(known, identity, own, fields)
    guard = _guard(known.owner, key, identity)
    guarded = table.get(guard)
    found = _find(known.owner, key, value, times.now())
    if found is not None:
        return _prepare_patch(found, fields)
    new = validation.validate_item(fields)
    created_at = times.parse_time(known.created_at)
    return Prepared([*items.prepare_create(known.owner, new_id, new, created_at), _put_guard(guard, guarded, new_id)])


def _identity(key: str, value: Any) -> str | None:
    """Return a text that only equal values of the key have in common, or None if no item can be found by the value."""
    if key == ID:
        id_ = ids.canonical_id(value) if isinstance(value, str) else None
        return id_ if id_ and ids.is_uuid7(id_) else None
    try:
        sort_key = _sort_key(key, value)
    except ArithmeticError:
        return None  # a number that cannot be stored
    if sort_key == sort_keys.NO_VALUE:
        return None
    return f"s{value}" if sort_key.startswith("s") else sort_key


def _sort_key(key: str, value: Any) -> str:
    return sort_keys.sort_key(value, dates="d" in search_index_keys.current().findable[key].kinds)


def _invalid(field: str, problem: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": f"$.{field}", "message": problem}])


# ------------------------------------------------------------------------------------------------------------- by field


def _find(owner: str, key: str, value: Any, at: datetime) -> Item | None:
    """Return the item with this value. Raise InvalidRequestError if there are several."""
    identity = _identity(key, value)
    equal = [
        item
        for item in similar_items(owner, key, value)
        if not item.is_expired(at) and _identity(key, item.fields.get(key)) == identity
    ]
    if len(equal) > 1:
        raise _invalid(key, f"{len(equal)} items have this {key}, so it is not known which one to change")
    return equal[0] if equal else None


def similar_items(owner: str, key: str, value: Any) -> Iterator[Item]:
    """Yield the items whose value has the same sort key. Raise InvalidRequestError if there are too many."""
    range_ = Range.of_key("FIND", search_index_keys.find_text(key, _sort_key(key, value)))
    records, more = table.query_page(
        owner, range_.kind, (range_.low, range_.high), backwards=False, limit=MAX_CANDIDATES, consistent=True
    )
    if more:
        raise _invalid(key, f"more than {MAX_CANDIDATES} items have a similar {key}, so it cannot be the key")
    found = [id_.rpartition("\t")[2] for id_, _ in records]
    for id_, record in (table.get_all(owner, "ITEM", found) if found else {}).items():
        yield items.from_record(owner, id_, record)


def _guard(owner: str, key: str, identity: str) -> table.Key:
    return table.Key(owner, "GUARD", hashlib.sha256(f"{key}#{identity}".encode()).hexdigest())


def _put_guard(guard: table.Key, before: table.Record | None, item_id: str) -> table.Put:
    unchanged = table.attributes_are(item=before["item"]) if before else table.ABSENT
    return table.Put(guard, {"item": item_id}, unchanged, delete_after=times.now() + GUARD_PERIOD)


# ---------------------------------------------------------------------------------------------------------------- by id


def _prepare_by_id(known: Import, id_: str, own: models.Fields, fields: models.Fields) -> Prepared:
    now = times.now()
    existing = items.find(known.owner, id_)
    if existing is None:
        return Prepared(items.prepare_restore(_restored(known, id_, fields, validation.validate_item(own), now)))
    if existing.is_expired(now):
        raise _invalid(ID, f"Item {id_} has expired and is being deleted: import it again in an hour")
    return _prepare_patch(existing, own)


def _prepare_patch(item: Item, changes: models.Fields) -> Prepared:
    writes, changed = items.prepare_patch(item, changes, times.now())
    return Prepared(writes, (item, changed))


def _restored(known: Import, id_: str, fields: models.Fields, new: models.ItemInput, now: datetime) -> Item:
    """Return the item that an entry describes. Raise InvalidRequestError for an impossible id, version or time."""
    managed = validation.validate(
        _Restored, {name: fields[name] for name in ("version", "createdAt", "updatedAt") if name in fields}, "The entry"
    )
    created_ms = ids.id_time_ms(id_)
    if created_ms > times.unix_ms(now):
        raise _invalid(ID, "id must not contain a time in the future")
    created_at = managed.created_at or times.from_unix_ms(created_ms)
    if abs(times.unix_ms(created_at) - created_ms) > 1:
        raise _invalid("createdAt", "createdAt must be the time that the id contains")
    updated_at = managed.updated_at or created_at
    if not created_at <= updated_at <= now:
        raise _invalid("updatedAt", "updatedAt must be between createdAt and the present")
    if new.is_expired(now):
        raise errors.InvalidExpiryError
    item = Item(
        owner=known.owner,
        id=id_,
        version=managed.version,
        created_at=times.format_time(created_at),
        updated_at=times.format_time(updated_at),
        fields={},
        # Files uploaded to the item before it was deleted are superseded, even if they are not deleted yet.
        last_upload=ids.new_id(times.unix_ms(now)),
    )
    return items.with_input(item, new)
