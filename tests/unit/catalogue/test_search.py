"""Finding items: each query finds what a scan with the same rules finds, in the same order, on pages of any size."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.aws import table
from chalicelib.catalogue import items, search, search_index_keys
from chalicelib.catalogue.field_annotations import FINDABLE, PUBLIC, SEARCHABLE
from chalicelib.catalogue.models import Item
from chalicelib.catalogue.search import Condition, Query
from chalicelib.values import ids, sort_keys, times, words

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CATALOGUE = table.public_partition("a catalogue")


class Vase(msgspec.Struct):
    title: Annotated[str, FINDABLE, SEARCHABLE, PUBLIC] | msgspec.UnsetType = msgspec.UNSET
    text: Annotated[str, SEARCHABLE, PUBLIC] | msgspec.UnsetType = msgspec.UNSET
    price: Annotated[Decimal, FINDABLE, PUBLIC] | msgspec.UnsetType = msgspec.UNSET
    tags: Annotated[list[str], FINDABLE, PUBLIC] | msgspec.UnsetType = msgspec.UNSET
    made: Annotated[datetime, FINDABLE, PUBLIC] | msgspec.UnsetType = msgspec.UNSET
    code: Annotated[str | int | bool, FINDABLE, PUBLIC] | msgspec.UnsetType = msgspec.UNSET


DECLARATION = search_index_keys.declaration_of(Vase)


class Records:
    """The records of one owner, or of a public catalogue, in place of the table."""

    def __init__(self, stored: list[Item]) -> None:
        self.items = {item.id: item for item in stored}
        self.ids: dict[str, list[str]] = {"ITEM": sorted(self.items), "FIND": [], "WORD": []}
        self.index_records_read = 0
        self.items_read = 0
        for item in stored:
            for key in search_index_keys.keys(item.fields, item.updated_at, DECLARATION):
                self.ids[key.kind].append(f"{key.text}\t{item.id}")
        for found in self.ids.values():
            found.sort()

    def query_page(
        self,
        _owner: str,
        kind: table.Kind,
        between: tuple[str, str],
        *,
        backwards: bool,
        limit: int,
        start_after: str | None = None,
        consistent: bool = False,
    ) -> tuple[list[tuple[str, table.Record]], bool]:
        low, high = between
        assert low <= high, "DynamoDB rejects this range"
        assert limit > 0
        assert consistent
        found = [id_ for id_ in self.ids[kind] if low <= id_ <= high]
        if backwards:
            found.reverse()
        if start_after is not None:
            assert low <= start_after <= high, "DynamoDB rejects this start"
            found = [id_ for id_ in found if (id_ < start_after if backwards else id_ > start_after)]
        page = found[:limit]
        if kind == "ITEM":
            self.items_read += len(page)
        else:
            self.index_records_read += len(page)
        return [(id_, {"id": id_}) for id_ in page], len(found) > limit

    def get_all(self, _owner: str, _kind: str, wanted: list[str]) -> dict[str, table.Record]:
        assert len(wanted) <= 100
        assert len(set(wanted)) == len(wanted)
        self.items_read += len(wanted)
        return {id_: {"id": id_} for id_ in wanted if id_ in self.items}


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index_keys, "current", lambda: DECLARATION)


def stored_in(records: Records) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    patch.setattr(table, "query_page", records.query_page)
    patch.setattr(table, "get_all", records.get_all)
    patch.setattr(items, "from_record", lambda _owner, id_, _record: records.items[id_])
    return patch


def item(number: int, fields: dict[str, Any], **others: Any) -> Item:
    created = NOW - timedelta(minutes=number // 2)
    at = times.format_time(created)
    id_ = ids.new_id(times.unix_ms(created), number)
    return Item(owner="ann", id=id_, version=1, created_at=at, updated_at=at, fields=fields, **others)


def pages(records: Records, query: Query, limit: int, owner: str = "ann") -> Iterator[items.Page]:
    position: str | None = None
    patch = stored_in(records)
    try:
        while True:
            page = search.find_page(owner, query, limit, position, NOW)
            yield page
            if page.last is None:
                return
            assert page.last != position, "A page must make progress"
            position = page.last
    finally:
        patch.undo()


def find(stored: list[Item], query: Query, limit: int = 25, owner: str = "ann") -> list[Item]:
    return [found for page in pages(Records(stored), query, limit, owner) for found in page.items]


def titles(stored: list[Item], query: Query, limit: int = 25) -> list[str]:
    return [found.fields["title"] for found in find(stored, query, limit)]


# ------------------------------------------------------------------------------------------------------------ by a scan

WORDS = ["oak", "oaken", "Élan", "elm", "東京", "a", "lamp-shade"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
NUMBERS = st.sampled_from([Decimal("-1.5"), -1, 0, Decimal("0.1"), 5, Decimal("5.00"), 50, 10**30])
CODES = st.sampled_from(["5", "x", "X", 5, True, False, None, "true"])
TIMES = st.sampled_from(["2026-01-31T10:00:00Z", "2026-01-31T11:00:00+01:00", "2026-02-01T00:00:00Z", "no time"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXTS,
        "text": TEXTS,
        "price": NUMBERS,
        "tags": st.lists(st.sampled_from(WORDS), max_size=3),
        "made": TIMES,
        "code": CODES,
    },
)
STORED = st.lists(FIELDS, max_size=12).map(lambda all_: [item(number, one) for number, one in enumerate(all_)])

_ORDERED = st.sampled_from(["gt", "gte", "lt", "lte"])
CONDITIONS = st.one_of(
    st.builds(Condition, st.just("title"), st.just("eq"), st.tuples(TEXTS)),
    st.builds(Condition, st.just("title"), st.just("prefix"), st.tuples(st.sampled_from(["o", "OAK", "é", ""]))),
    st.builds(Condition, st.just("title"), _ORDERED, st.tuples(TEXTS)),
    st.builds(Condition, st.just("price"), st.just("eq"), st.tuples(NUMBERS.map(str))),
    st.builds(
        Condition, st.just("price"), st.just("in"), st.lists(NUMBERS.map(str), min_size=1, max_size=3).map(tuple)
    ),
    st.builds(Condition, st.just("price"), _ORDERED, st.tuples(NUMBERS.map(str))),
    st.builds(Condition, st.just("tags"), st.just("has"), st.tuples(st.sampled_from(WORDS))),
    st.builds(Condition, st.just("made"), _ORDERED, st.tuples(TIMES.filter(lambda text: text != "no time"))),
    st.builds(Condition, st.just("code"), st.just("in"), st.lists(CODES.map(str), min_size=1, max_size=3).map(tuple)),
    st.builds(Condition, st.just("code"), _ORDERED, st.tuples(CODES.map(str))),
    st.builds(Condition, st.just("updatedAt"), _ORDERED, st.just(("2026-05-31T23:58:00Z",))),
)
MOMENTS = st.none() | st.integers(0, 8).map(lambda minutes: NOW - timedelta(minutes=minutes))
QUERIES = st.builds(
    Query,
    st.lists(CONDITIONS, max_size=3).map(tuple),
    st.none() | st.lists(st.sampled_from([*WORDS, "o", "lam"]), min_size=1, max_size=3).map(" ".join),
    st.sampled_from(["createdAt", "updatedAt", "title", "price", "made", "code"]),
    st.booleans(),
    MOMENTS,
    MOMENTS,
)


def scan(stored: list[Item], query: Query) -> list[Item]:
    """Return what a query finds, by looking at each item. Written without the code of the index."""
    found = [one for one in stored if _is_found(one, query)]
    found.sort(key=lambda one: (_sorted_by(one, query.sort), one.id), reverse=query.descending)
    if query.sort != "createdAt":
        found.sort(key=lambda one: _sorted_by(one, query.sort) == (9,))
    return found


def _is_found(one: Item, query: Query) -> bool:
    low, high = items.id_range(query.after, query.before)
    return low <= one.id <= high and all(_meets(one, each) for each in query.conditions) and _has_words(one, query)


def _has_words(one: Item, query: Query) -> bool:
    if query.words is None:
        return True
    own = {word for name in ("title", "text") for word in words.split(one.fields.get(name, ""))}
    *whole, last = words.split(query.words)
    return set(whole) <= own and any(word.startswith(last) for word in own)


def _rank(value: Any, *, is_time: bool = False) -> tuple[Any, ...]:
    match value:
        case bool():
            return 0, value
        case str() if is_time and value.startswith("2026"):
            return 1, datetime.fromisoformat(value)
        case int() | Decimal():
            return 2, value
        case str():
            return 3, sort_keys.fold(value)
    return (9,)


def _sorted_by(one: Item, field: str) -> tuple[Any, ...]:
    if field == "createdAt":
        return ()
    return _rank(
        one.updated_at if field == "updatedAt" else one.fields.get(field), is_time=field in ("made", "updatedAt")
    )


def _meanings(field: str, text: str) -> list[Any]:
    if field == "price":
        return [Decimal(text)]
    if field == "code":
        numbers = [int(text)] if text.isdigit() else []
        return [*numbers, *([text == "true"] if text in ("true", "false") else []), text]
    return [text]


def _meets(one: Item, condition: Condition) -> bool:
    field, operator = condition.field, condition.operator
    stored = one.fields.get(field)
    if operator == "has":
        return condition.values[0] in (stored or [])
    if operator in ("eq", "in"):
        wanted = [meaning for text in condition.values for meaning in _meanings(field, text)]
        return any(isinstance(stored, bool) == isinstance(each, bool) and stored == each for each in wanted)
    own = _sorted_by(one, field)
    if operator == "prefix":
        return own[0] == 3 and own[1].startswith(sort_keys.fold(condition.values[0]))
    is_time = field in ("made", "updatedAt")
    limit = _rank(_meanings(field, condition.values[0])[0], is_time=is_time)
    if own[0] != limit[0]:
        return False
    return {"gt": own > limit, "gte": own >= limit, "lt": own < limit, "lte": own <= limit}[operator]


LIMITS = st.fixed_dictionaries(
    {
        "MAX_ITEMS": st.sampled_from([2, 5, 250]),
        "MAX_RECORDS": st.sampled_from([6, 20, 4000]),
        "MAX_KNOWN": st.sampled_from([1, 3, 1000]),
        "MAX_BYTES": st.sampled_from([1, 4 * 1024**2]),
        "MAX_PUBLIC_BYTES": st.sampled_from([1, 4 * 1024**2]),
        "PUBLIC_AT_ONCE": st.sampled_from([1, 3]),
        "_READ_AT_ONCE": st.sampled_from([1, 3, 100]),
        "_LARGE_AT_ONCE": st.sampled_from([1, 25]),
        "_LARGE": st.sampled_from([0, 10_000]),
    }
)


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORED, QUERIES, st.integers(1, 5), LIMITS, st.sampled_from(["ann", CATALOGUE]))
def test_index_finds_what_a_scan_finds(
    stored: list[Item], query: Query, limit: int, limits: dict[str, int], owner: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, number in limits.items():
            patch.setattr(search, name, number)
        found = find(stored, query, limit, owner)

    assert [one.id for one in found] == [one.id for one in scan(stored, query)]
    is_found = search.matcher(query)
    assert {one.id for one in stored if is_found(one)} == {one.id for one in found}


# --------------------------------------------------------------------------------------------------------------- limits


def reads(records: Records, query: Query, limit: int = 25, owner: str = "ann") -> list[tuple[int, int]]:
    """Return the numbers of index records and items that each page reads."""
    counts: list[tuple[int, int]] = []
    for _ in pages(records, query, limit, owner):
        counts.append((records.index_records_read, records.items_read))
        records.index_records_read = records.items_read = 0
    return counts


def any_of(field: str, values: range) -> Condition:
    return Condition(field, "in", tuple(map(str, values)))


@pytest.mark.parametrize("descending", [True, False])
def test_page_of_many_values_is_limited_and_makes_progress(monkeypatch: pytest.MonkeyPatch, descending: bool) -> None:
    monkeypatch.setattr(search, "MAX_RECORDS", 80)
    # No item has both values that are wanted.
    stored = [item(number, {"code": number % 40, "title": str(number % 20 + 20)}) for number in range(400)]
    query = Query((any_of("code", range(20)), any_of("title", range(20, 40))), descending=descending)

    counts = reads(Records(stored), query)

    found = find(stored, query)
    assert [one.id for one in found] == [one.id for one in scan(stored, query)]
    assert all(0 < index_records <= 2 * search.MAX_RECORDS for index_records, _ in counts[:-1])
    assert len(counts) < 50


def test_page_of_one_value_reads_what_it_shows() -> None:
    few, many = (Records([item(number, {"price": number % 2}) for number in range(count)]) for count in (200, 2_000))
    query = Query((Condition("price", "eq", ("1",)),))

    first_pages = [reads_of_first_page(records, query) for records in (few, many)]

    assert first_pages == [(100, 25), (100, 25)]


def reads_of_first_page(records: Records, query: Query) -> tuple[int, int]:
    next(pages(records, query, 25))
    return records.index_records_read, records.items_read


def test_large_items_end_a_page_early() -> None:
    stored = [item(number, {"price": 1, "other": "x" * 300_000}) for number in range(60)]
    records = Records(stored)
    query = Query((Condition("price", "eq", ("1",)),))

    counts = reads(records, query, limit=100)

    assert [read for _, read in counts] == [25, 25, 10]
    assert len(find(stored, query, limit=100)) == 60


@pytest.mark.parametrize(
    "query",
    [
        Query(sort="price"),
        Query(words="oak"),
        Query(words="oak", sort="price"),
        Query((Condition("title", "eq", ("oak",)),)),
        Query((Condition("price", "gte", ("0",)),), sort="title"),
    ],
)
def test_visitors_make_few_large_items_be_read(query: Query) -> None:
    stored = [item(number, {"price": number, "title": "oak", "x": "x" * 300_000}) for number in range(30)]

    counts = reads(Records(stored), query, 100, CATALOGUE)

    assert max(read for _, read in counts) <= search.PUBLIC_AT_ONCE


def test_words_of_an_item_are_split_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    split = words.split
    monkeypatch.setattr(words, "split", lambda text: calls.append(text) or split(text))
    is_found = search.matcher(Query(words="a b c d"))
    calls.clear()

    assert is_found(item(1, {"title": "d c b a", "text": "e"}))
    assert calls == ["d c b a", "e"]
