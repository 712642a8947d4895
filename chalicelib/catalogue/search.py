"""Find items by conditions on their fields and by words, sorted by a field.

A page is read from the index records of the owner (``search_index_keys``), consistently: what was written before is
found. MAX_ITEMS, MAX_BYTES and MAX_RECORDS limit its cost, for any number of items. How a page is read:

1. A criterion with few records (MAX_KNOWN) gives a known set of ids. Several are intersected. If at most MAX_ITEMS are
   left, or PUBLIC_AT_ONCE if visitors want them sorted by a field, these items are read, checked and sorted.
2. Else, if the items are sorted by a field, the records of that field are read in their order.
3. Else, the items are sorted by creation, and so are the records of each exact criterion. They are intersected.
4. If there is no exact criterion, all items are read in the order of creation.

The items that are found are checked against all criteria.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.catalogue import items, search_index_keys
from chalicelib.catalogue.items import Page
from chalicelib.catalogue.models import Item
from chalicelib.catalogue.search_criteria import (
    CREATED_AT,
    MAX_VALUES,
    OPERATORS,
    Condition,
    Criteria,
    Criterion,
    Query,
    Range,
    sort_key,
)
from chalicelib.catalogue.search_index_keys import Field
from chalicelib.values import dynamodb_limits, sort_keys

__all__ = [
    "CREATED_AT",
    "MAX_VALUES",
    "OPERATORS",
    "Condition",
    "Query",
    "find_page",
    "matcher",
]

MAX_ITEMS = 250
"""The most items that are read for a page. If fewer than ``limit`` of them are found, the page has fewer."""

MAX_BYTES = 4 * 1024**2
"""The bytes of items after which no more are read for a page. Larger items are read in smaller groups."""

MAX_PUBLIC_BYTES = 512 * 1024
"""The same for visitors, who can cause costs without signing in. A page is sent up to this size, too."""

MAX_RECORDS = 4_000
"""The index records after which no more are read for a page. A read unit covers about 40."""

MAX_KNOWN = 1_000
"""The most records of a criterion that are read to know all its items."""

_READ_AT_ONCE = 100
"""The most items of one request (AWS, "BatchGetItem"), and the records of one query if few of them may be needed."""

_LARGE_AT_ONCE = 25
"""The items of one request if they are large, or if it is the first: at most 9 MB, many times that as objects."""

_LARGE = 10_000
"""Items with more bytes are large."""

PUBLIC_AT_ONCE = 8
"""How many items one request reads for a visitor, of any size. So a page reads at most MAX_PUBLIC_BYTES and 8 items."""

_MAX_POSITION_BYTES = 900
"""More than any position has, and less than DynamoDB allows in a key."""

_LAST = chr(0x10FFFF)


def find_page(owner: str, query: Query, limit: int, start_after: str | None, at: datetime) -> Page:
    """Return up to ``limit`` items that the query finds, in its order. A page may have fewer although more follow.

    ``start_after`` is a position of an earlier page of the same query. The read is consistent. ``owner`` may also be
    the partition of a public catalogue: then only public fields can be used.

    Raise FieldNotFindableError, InvalidCursorError, and InvalidRequestError for a condition that is not valid for its
    field.
    """
    if start_after is not None and not _is_position(start_after):
        raise errors.InvalidCursorError
    declaration = search_index_keys.current()
    criteria = Criteria(query, declaration.public if table.is_public(owner) else declaration)
    reader = _Reader(owner, criteria, query.descending)
    candidates = _candidates(reader, start_after)
    found: list[Item] = []
    positions: list[str] = []
    position = start_after
    while batch := reader.next_items(candidates, limit - len(found)):
        for candidate, item in batch:
            position = candidate.position
            if item and not item.is_expired(at) and criteria.match(item) and candidate.is_of(item):
                found.append(item)
                positions.append(position)
    if reader.stopped_at is not None:
        position = reader.stopped_at
    elif next(candidates, None) is None and reader.stopped_at is None:
        position = None
    return Page(found, position, positions)


def matcher(query: Query) -> Callable[[Item], bool]:
    """Return a function that returns whether the query finds an item.

    Raise FieldNotFindableError, and InvalidRequestError for a condition that is not valid for its field.
    """
    return Criteria(query, search_index_keys.current()).match


class _Candidate(NamedTuple):
    """An item that may be found: its id, and its position in the order of the query.

    ``key`` is the sort key of its index record. ``item`` is known if it has been read already.
    """

    position: str
    id: str
    field: Field | None = None
    key: str = ""
    item: Item | None = None

    def is_of(self, item: Item) -> bool:
        """Return whether the item is still at this position. It may have been changed after its record was read."""
        return self.field is None or sort_key(item, self.field) == self.key


class _Reader:
    """Reads index records and items of an owner for one page, within the limits."""

    def __init__(self, owner: str, criteria: Criteria, descending: bool) -> None:
        self.criteria = criteria
        self.descending = descending
        self.stopped_at: str | None = None
        """Where the page ends because a limit is reached."""
        self.is_public = table.is_public(owner)
        self._owner = owner
        self._items_left = MAX_ITEMS
        self._bytes_left = MAX_PUBLIC_BYTES if self.is_public else MAX_BYTES
        self._records_left = MAX_RECORDS
        self._items_at_once = PUBLIC_AT_ONCE if self.is_public else _LARGE_AT_ONCE

    # -------------------------------------------------------------------------------------------------------- records

    def records(self, range_: Range, limit: int, start_after: str | None = None) -> tuple[list[str], bool]:
        """Return up to ``limit`` ids of index records in the order of the query, and whether more follow."""
        if range_.low > range_.high:
            return [], False  # DynamoDB would reject the query.
        found, more = table.query_page(
            self._owner,
            range_.kind,
            (range_.low, range_.high),
            backwards=self.descending,
            limit=limit,
            start_after=start_after,
            consistent=True,
        )
        self._records_left -= max(1, len(found))
        return [id_ for id_, _ in found], more

    def all_ids(self, criterion: Criterion) -> set[str] | None:
        """Return the ids of all items that have a record in the criterion's ranges, or None if they are too many."""
        found: set[str] = set()
        left = MAX_KNOWN
        for range_ in criterion.ranges:
            records, more = self.records(range_, left)
            if more:
                return None
            found.update(_item_id(record) for record in records)
            left -= len(records)
            if left <= 0:
                return None
        return {id_ for id_ in found if self.is_in_period(id_)}

    @property
    def has_read_half(self) -> bool:
        """Whether half of the index records for this page are read. The rest is for reading records in order."""
        return self._records_left <= MAX_RECORDS // 2

    @property
    def has_read_all(self) -> bool:
        """Whether no more index records may be read for this page."""
        return self._records_left <= 0

    def is_in_period(self, id_: str) -> bool:
        """Return whether an item with this id was created in the period of the query."""
        return self.criteria.low <= id_ <= self.criteria.high

    # ---------------------------------------------------------------------------------------------------------- items

    def next_items(self, candidates: Iterator[_Candidate], wanted: int) -> list[tuple[_Candidate, Item | None]]:
        """Return up to ``wanted`` next candidates, each with its item, or None if the item does not exist any more."""
        if self.stopped_at is not None:
            return []
        batch = list(itertools.islice(candidates, min(wanted, self._items_left, self._items_at_once)))
        # An item that has changed meanwhile may have had two records. BatchGetItem refuses to read it twice.
        missing = self.read_items(list({one.id: None for one in batch if one.item is None}))
        found = [(one, one.item or missing.get(one.id)) for one in batch]
        self._items_left -= len(batch)
        self._bytes_left -= sum(_size(item) for _, item in found if item)
        if self._items_left <= 0 or self._bytes_left <= 0:
            self.stopped_at = batch[-1].position
        return found

    def read_items(self, ids: Sequence[str]) -> dict[str, Item]:
        """Return those of the items that exist, by id."""
        records = table.get_all(self._owner, "ITEM", ids) if ids else {}
        found = {id_: items.from_record(self._owner, id_, record) for id_, record in records.items()}
        if found and not self.is_public:
            are_large = sum(map(_size, found.values())) > len(found) * _LARGE
            self._items_at_once = _LARGE_AT_ONCE if are_large else _READ_AT_ONCE
        return found

    def sorted_items(self, ids: Sequence[str], sort: Field) -> Iterator[_Candidate]:
        """Yield those of the items that exist, with their positions.

        Large ones are not kept, but read again later, except for visitors: then they are few.
        """
        first = 0
        while batch := ids[first : first + self._items_at_once]:
            first += len(batch)
            for id_, item in self.read_items(batch).items():
                key = sort_key(item, sort)
                is_kept = self.is_public or _size(item) <= _LARGE
                yield _Candidate(f"{key}\t{id_}", id_, sort, key, item if is_kept else None)

    def all_items(self, start_after: str | None) -> Iterator[_Candidate]:
        """Yield all items of the period, in the order of creation."""
        low, high = self.narrowed(self.criteria.low, self.criteria.high, start_after)
        last: str | None = None
        more = low <= high
        while more:
            found, more = table.query_page(
                self._owner,
                "ITEM",
                (low, high),
                backwards=self.descending,
                limit=_READ_AT_ONCE,
                start_after=last,
                consistent=True,
            )
            for id_, record in found:
                last = id_
                yield _Candidate(id_, id_, item=items.from_record(self._owner, id_, record))

    # ---------------------------------------------------------------------------------------------------------- order

    def narrowed(self, low: str, high: str, start_after: str | None) -> tuple[str, str]:
        """Return the limits of what follows a position, in the order of the query."""
        if start_after is None:
            return low, high
        if self.descending:
            return low, min(high, _just_below(start_after))
        return max(low, _just_above(start_after)), high

    def is_before(self, one: str, other: str) -> bool:
        """Return whether a text comes before another in the order of the query."""
        return one > other if self.descending else one < other

    def past(self, text: str) -> str:
        """Return a text that comes after ``text``, and before all others that come after it."""
        return _just_below(text) if self.descending else _just_above(text)


def _size(item: Item) -> int:
    return dynamodb_limits.stored_size(item.fields)


def _item_id(record: str) -> str:
    return record.rpartition("\t")[2]


def _is_position(text: str) -> bool:
    """Return whether a text may be a position. It may be forged, but DynamoDB must not refuse it."""
    return " " < text[-1:] <= "~" and len(text.encode()) <= _MAX_POSITION_BYTES


# Positions end in the id of an item, so none is the beginning of another. None lies between a text and these results.
def _just_above(text: str) -> str:
    return f"{text}!"


def _just_below(text: str) -> str:
    return f"{text[:-1]}{chr(ord(text[-1]) - 1)}{_LAST}"


# ----------------------------------------------------------------------------------------------------------- candidates


def _candidates(reader: _Reader, start_after: str | None) -> Iterator[_Candidate]:
    """Yield the items that may be found, in the order of the query, after a position.

    If a limit is reached, end, with ``reader.stopped_at`` set.
    """
    criteria, sort = reader.criteria.all, reader.criteria.sort
    if not all(one.ranges for one in criteria):
        return
    exact = [one for one in criteria if one.is_exact]
    known = _known_ids(reader, [one for one in criteria if (one.field != sort.name if sort else not one.is_exact)])
    # To sort them by a field, all known items are read. For visitors, one request must be enough for that.
    most = PUBLIC_AT_ONCE if sort and reader.is_public else MAX_ITEMS
    if known is not None and len(known) <= most:
        yield from _of_known(reader, known, start_after)
    elif sort:
        yield from _by_field(reader, sort, known, start_after)
    elif known is not None or exact:
        yield from _by_id(reader, known, exact, start_after)
    else:
        yield from reader.all_items(start_after)


def _known_ids(reader: _Reader, criteria: Sequence[Criterion]) -> set[str] | None:
    """Return the ids that meet all criteria with few records, or None if there is no such criterion."""
    known: set[str] | None = None
    for criterion in sorted(criteria, key=lambda one: not one.is_exact):
        if reader.has_read_half or (known is not None and len(known) <= _READ_AT_ONCE):
            break  # Reading these few items costs no more than reading another criterion.
        ids = reader.all_ids(criterion)
        if ids is not None:
            known = ids if known is None else known & ids
    return known


def _of_known(reader: _Reader, ids: set[str], start_after: str | None) -> Iterator[_Candidate]:
    """Yield the items with these ids. If they are sorted by a field, all are read first."""
    sort = reader.criteria.sort
    candidates = reader.sorted_items(sorted(ids), sort) if sort else (_Candidate(id_, id_) for id_ in ids)
    in_order = sorted(candidates, key=lambda one: one.position, reverse=reader.descending)
    # Those without a value come last, in both directions. The sort is stable.
    for candidate in sorted(in_order, key=lambda one: _has_no_value(one.position)):
        if start_after is None or _comes_after(reader, candidate.position, start_after):
            yield candidate


def _has_no_value(position: str) -> bool:
    return position.startswith(f"{sort_keys.NO_VALUE}\t")


def _comes_after(reader: _Reader, position: str, other: str) -> bool:
    if _has_no_value(position) != _has_no_value(other):
        return _has_no_value(position)
    return reader.is_before(other, position)


def _by_field(reader: _Reader, sort: Field, known: set[str] | None, start_after: str | None) -> Iterator[_Candidate]:
    """Yield the items, or only the known ones, in the order of the index records of the field ``sort``."""
    prefix = search_index_keys.find_text(sort.name, "")
    position = start_after
    limit = _READ_AT_ONCE if known is None else MAX_KNOWN
    for range_ in _ranges_by_field(reader, sort, prefix, start_after):
        last: str | None = None
        more = True
        while more:
            if reader.has_read_all and position != start_after:
                reader.stopped_at = position
                return
            records, more = reader.records(range_, limit, last)
            for last in records:
                position = last.removeprefix(prefix)
                key, _, id_ = position.rpartition("\t")
                if reader.is_in_period(id_) and (known is None or id_ in known):
                    yield _Candidate(position, id_, sort, key)


def _ranges_by_field(reader: _Reader, sort: Field, prefix: str, start_after: str | None) -> Iterator[Range]:
    """Yield the ranges of the field's records after a position. The range of items without a value is the last."""
    own = [one.ranges for one in reader.criteria.all if one.field == sort.name]
    low = max((min(one.low for one in ranges) for ranges in own), default=prefix)
    high = min((max(one.high for one in ranges) for ranges in own), default=f"{prefix}{sort_keys.NO_VALUE}")
    if start_after is None or not _has_no_value(start_after):
        yield Range("FIND", *reader.narrowed(low, high, start_after and prefix + start_after))
        start_after = None
    if not own:
        empty = Range.of_key("FIND", prefix + sort_keys.NO_VALUE)
        yield Range("FIND", *reader.narrowed(empty.low, empty.high, start_after and prefix + start_after))


def _by_id(
    reader: _Reader, known: set[str] | None, exact: Sequence[Criterion], start_after: str | None
) -> Iterator[_Candidate]:
    """Yield the items that are known and meet all exact criteria, in the order of their ids.

    The sources are asked in turn for an id. If one has only a later id, that id is asked for next, until all sources
    have the same.
    """
    sources: list[_Ids] = [_KnownIds(reader, known)] if known is not None else []
    ranges = [range_ for one in exact for range_ in one.ranges]
    at_once = max(1, min(_READ_AT_ONCE, MAX_RECORDS // 2 // max(1, len(ranges))))
    sources += (_UnitedIds(reader, [_RecordIds(reader, range_, at_once) for range_ in one.ranges]) for one in exact)
    first = reader.criteria.high if reader.descending else reader.criteria.low
    wanted = first if start_after is None else reader.past(start_after)
    passed = start_after
    agreeing = 0
    # Pass at least one id on each page, even if that takes more records than allowed.
    while not reader.has_read_all or passed == start_after:
        found = sources[0].seek(wanted)
        if found is None:
            return
        if found != wanted and agreeing:
            passed, agreeing = wanted, 0  # This source does not have what others have.
        wanted = found
        agreeing += 1
        sources.append(sources.pop(0))
        if agreeing == len(sources):
            yield _Candidate(found, found)
            passed, wanted, agreeing = found, reader.past(found), 0
    reader.stopped_at = passed


class _Ids(Protocol):
    """Ids in the order of the query."""

    def seek(self, wanted: str) -> str | None:
        """Return the first id that does not come before ``wanted``, or None. Never go back."""


class _KnownIds:
    def __init__(self, reader: _Reader, ids: set[str]) -> None:
        self._sorted = sorted(ids)
        self._reader = reader

    def seek(self, wanted: str) -> str | None:
        if self._reader.descending:
            index = bisect.bisect_right(self._sorted, wanted) - 1
        else:
            index = bisect.bisect_left(self._sorted, wanted)
        return self._sorted[index] if 0 <= index < len(self._sorted) else None


class _UnitedIds:
    """The ids of the records of any of several index keys."""

    def __init__(self, reader: _Reader, parts: Sequence[_RecordIds]) -> None:
        self._first = max if reader.descending else min
        self._parts = parts

    def seek(self, wanted: str) -> str | None:
        found = [id_ for part in self._parts if (id_ := part.seek(wanted)) is not None]
        return self._first(found, default=None)


class _RecordIds:
    """The ids of the records of one index key, read as they are needed."""

    def __init__(self, reader: _Reader, range_: Range, at_once: int) -> None:
        self._reader = reader
        self._range = range_
        self._at_once = at_once
        self._read: list[str] = []
        self._more = True

    def seek(self, wanted: str) -> str | None:
        reader = self._reader
        while self._read and reader.is_before(self._read[-1], wanted):
            self._read.pop()
        if not self._read and self._more:
            low, high = (reader.criteria.low, wanted) if reader.descending else (wanted, reader.criteria.high)
            key = self._range.low
            records, self._more = reader.records(Range(self._range.kind, key + low, key + high), self._at_once)
            self._read = [_item_id(record) for record in reversed(records)]
        return self._read[-1] if self._read else None
