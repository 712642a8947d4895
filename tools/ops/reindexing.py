"""Build or repair the search index of a stage's items, while the app continues to write.

The index records of an item must be those that follow from its fields and from the declaration of ItemFields
(``chalicelib/catalogue/search_index_keys.py``), and so must the public copy of a public item. All records of the
table are read once, in pages. Each item is compared with its index records and its copy, and each of these with its
item. Differences are corrected in a transaction that is refused if the item has changed in between.
"""

from __future__ import annotations

import contextlib
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.aws.table import Key, Kind, Record
from chalicelib.catalogue import items, public_copies, search_index_keys
from chalicelib.catalogue.models import Item

_PAGE = 1000
"""The records of a page."""

_POSITION = Key("", "REINDEX", "")
"""The key of the record with the position at which an interrupted run stopped. No owner's name is empty."""

_POSITION_KEPT = timedelta(days=1)

Report = Callable[["Counts"], None]
"""A function that is called after each page, with the counts so far."""


class Counts(msgspec.Struct):
    """What a run found and did."""

    items: int = 0
    """The items that were read."""
    outdated: int = 0
    """The items whose index records were written with another declaration, or not at all."""
    missing: int = 0
    """The items that lacked some of their index records, or whose public copy was missing or different."""
    orphaned: int = 0
    """The index records and public copies that do not follow from an item."""
    failed: dict[str, str] = {}
    """Why an item could not be indexed, by owner and id."""

    @property
    def wrong(self) -> int:
        """The number of items and of index records that are not as they must be."""
        return self.outdated + self.missing + self.orphaned + len(self.failed)


class _Page(NamedTuple):
    """Records that were read together."""

    items: dict[Key, Record]
    index_records: list[Key]


def run(at: datetime, report: Report, *, repair: bool) -> Counts:
    """Compare all items with their index records, and return what was found; with ``repair``, correct it.

    A run that corrects continues where an interrupted one stopped, if that began less than a day ago with the same
    declaration. Raise the errors of AWS.
    """
    _owner_of_catalogue.cache_clear()
    counts = Counts()
    position = _saved_position(at) if repair else None
    while True:
        records, position = table.scan_page(_PAGE, position)
        _check_page(_page(records), counts, repair=repair)
        report(counts)
        if position is None:
            break
        if repair:
            _save_position(position, at)
    if repair:
        table.write(table.Delete(_POSITION))
    return counts


def _page(records: Iterable[tuple[Key, Record]]) -> _Page:
    page = _Page({}, [])
    for key, record in records:
        if key.kind == "ITEM":
            page.items[key] = record
        elif key.kind in ("FIND", "WORD"):
            page.index_records.append(key)
    return page


def _check_page(page: _Page, counts: Counts, *, repair: bool) -> None:
    counts.items += sum(not table.is_public(key.owner) for key in page.items)
    current = _check_declarations(page, counts, repair=repair)
    for key in _suspected_incomplete(current, set(page.index_records)):
        with _failures(key, counts):
            if _is_incomplete(key):
                counts.missing += 1
                if repair:
                    of = _key_of_item(key)
                    items.write_index(of.owner, of.id)
    for key in sorted(_suspected_copies(current)):
        with _failures(key, counts):
            _check_copy(key, counts, repair=repair)
    for key in _suspected_orphans(page, counts):
        with _failures(key, counts):
            counts.orphaned += _check_orphan(key, repair=repair)


def _check_declarations(page: _Page, counts: Counts, *, repair: bool) -> list[Item]:
    """Count the items with index records of another declaration; with ``repair``, write their index records again.

    Return the other items. A public copy is written together with its item, so it is not counted here.
    """
    current: list[Item] = []
    for key, record in page.items.items():
        with _failures(key, counts):
            item = items.from_record(key.owner, key.id, record)
            if table.is_public(key.owner) or item.indexed == search_index_keys.current().text:
                current.append(item)
                continue
            counts.outdated += 1
            if repair:
                items.write_index(key.owner, key.id)
    return current


@contextlib.contextmanager
def _failures(key: Key, counts: Counts) -> Iterator[None]:
    """Count an item as failed if it cannot be read, or if other requests change it all the time."""
    try:
        yield
    except (errors.ApiError, msgspec.ValidationError) as error:
        counts.failed[f"{key.owner} {_item_key(key).id}"] = str(error)


# --------------------------------------------------------------------------------------------- missing index records


def _suspected_incomplete(found: list[Item], read: set[Key]) -> list[Key]:
    """Return the keys of those items whose index records are neither among those ``read`` nor in the table."""
    expected = {_key(item): items.index_records(item) - read for item in found}
    stored = _stored(key for keys in expected.values() for key in keys)
    return [key for key, keys in expected.items() if keys - stored.keys()]


def _is_incomplete(key: Key) -> bool:
    """Return whether an item lacks an index record. Raise BusyError if other requests change it all the time."""
    for _ in table.write_attempts():
        item = items.find(key.owner, key.id)
        if item is None:
            return False
        expected = items.index_records(item)
        if not expected - _stored(expected).keys():
            return False
        if items.find(key.owner, key.id) == item:
            return True
    raise errors.BusyError


# -------------------------------------------------------------------------------------------------- public copies


def _suspected_copies(found: list[Item]) -> set[Key]:
    """Return the keys of the public copies that are not what follows from their items.

    ``found`` are the items and public copies of a page. A copy that is returned is only suspected, because it may have
    been changed while it was read.
    """
    items_of = {_key(item): _key_of_item(_key(item)) for item in found if table.is_public(item.owner)}
    stored = {key: items.from_record(key.owner, key.id, record) for key, record in _stored(items_of.values()).items()}
    copies = {_key(item): item for item in found}
    suspected = {key for key, of in items_of.items() if public_copies.of(stored.get(of)) != copies[key]}
    expected = {_key(copy): copy for copy in map(public_copies.of, found) if copy}
    read = {key: items.from_record(key.owner, key.id, record) for key, record in _stored(expected).items()}
    return suspected | {key for key, copy in expected.items() if read.get(key) != copy}


def _check_copy(key: Key, counts: Counts, *, repair: bool) -> None:
    """Count a public copy that is not what follows from its item; with ``repair``, correct it.

    ``key`` is that of the copy. Raise BusyError if other requests change the item all the time.
    """
    of = _key_of_item(key)
    for _ in table.write_attempts():
        item, copy = items.find(of.owner, of.id), items.find(key.owner, key.id)
        expected = public_copies.of(item)
        if copy == expected:
            return
        if items.find(of.owner, of.id) != item:
            continue
        if repair:
            try:
                _correct_copy(of, item, copy, expected)
            except table.WriteRejectedError:
                continue
        counts.missing += expected is not None
        counts.orphaned += expected is None
        return
    raise errors.BusyError


def _correct_copy(of: Key, item: Item | None, copy: Item | None, expected: Item | None) -> None:
    if expected:
        items.write_index(of.owner, of.id)
    elif copy:
        table.write_once(table.Check(of, items.unchanged(item)), table.Delete(_key(copy), items.unchanged(copy)))
        for key in items.index_records(copy):
            _check_orphan(key, repair=True)


# -------------------------------------------------------------------------------------------- orphaned index records


def _suspected_orphans(page: _Page, counts: Counts) -> list[Key]:
    """Return the keys of those index records of a page that do not follow from their items."""
    of = {key: _item_key(key) for key in page.index_records}
    stored = _stored({key for key in of.values() if key not in page.items}) | page.items
    expected: dict[Key, set[Key]] = {}
    for key in dict.fromkeys(of.values()):
        with _failures(key, counts):
            record = stored.get(key)
            expected[key] = items.index_records(items.from_record(key.owner, key.id, record)) if record else set()
    return [key for key, item in of.items() if item in expected and key not in expected[item]]


def _check_orphan(key: Key, *, repair: bool) -> bool:
    """Return whether an index record does not follow from its item; with ``repair``, delete it.

    Raise BusyError if other requests change the item all the time.
    """
    item_key = _item_key(key)
    for _ in table.write_attempts():
        item = items.find(item_key.owner, item_key.id)
        if (item and key in items.index_records(item)) or table.get(key) is None:
            return False
        if not repair:
            if items.find(item_key.owner, item_key.id) == item:
                return True
            continue
        with contextlib.suppress(table.WriteRejectedError):
            table.write_once(table.Check(item_key, items.unchanged(item)), table.Delete(key))
            return True
    raise errors.BusyError


# ---------------------------------------------------------------------------------------------------- keys and records


def _key(item: Item) -> Key:
    return Key(item.owner, "ITEM", item.id)


def _key_of_item(key: Key) -> Key:
    """Return the key of the owner's item that a public copy belongs to, or ``key`` if it is not of a public copy."""
    if not table.is_public(key.owner):
        return key
    return Key(_owner_of_catalogue(key.owner), "ITEM", key.id)


@functools.lru_cache(maxsize=1000)
def _owner_of_catalogue(partition: str) -> str:
    record = table.get(Key(partition, "CATALOGUE", ""))
    return str(record["owner"]) if record else ""


def _item_key(key: Key) -> Key:
    """Return the key of the item that an index record leads to, or ``key`` if it is an item's."""
    return Key(key.owner, "ITEM", key.id.rpartition("\t")[2])


def _stored(keys: Iterable[Key]) -> dict[Key, Record]:
    """Return those of the records that exist."""
    grouped: dict[tuple[str, Kind], list[str]] = defaultdict(list)
    for key in sorted(keys):  # The order of a set differs between runs, and a history of the simulation must not.
        grouped[key.owner, key.kind].append(key.id)
    found: dict[Key, Record] = {}
    for (owner, kind), ids in grouped.items():
        for start in range(0, len(ids), table.MAX_KEYS):
            records = table.get_all(owner, kind, ids[start : start + table.MAX_KEYS])
            found |= {Key(owner, kind, id_): record for id_, record in records.items()}
    return found


def _saved_position(at: datetime) -> Key | None:
    saved = table.get(_POSITION)
    if saved is None or saved["ttl"] <= at.timestamp() or saved["declaration"] != search_index_keys.current().text:
        return None
    return Key(saved["owner"], saved["kind"], saved["id"])


def _save_position(position: Key, at: datetime) -> None:
    record = {**msgspec.structs.asdict(position), "declaration": search_index_keys.current().text}
    table.write(table.Put(_POSITION, record, delete_after=at + _POSITION_KEPT))
