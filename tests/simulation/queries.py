"""Random queries for items, each with the plainest way to tell whether an item matches."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from tests.simulation import expected_index
from tests.simulation.expected_index import folded, sort_key

Record = dict[str, Any]
"""The attributes of an item's record."""
Matches = Callable[[Record], bool]


class Query(NamedTuple):
    """A query of ``GET /items``."""

    parameters: tuple[str, ...]
    matches: Matches
    sort: str

    @property
    def text(self) -> str:
        """Return the query string."""
        return "&".join((*self.parameters, f"sort={self.sort}"))

    def is_sorted(self, found: list[Record]) -> bool:
        """Return whether items, as they are returned, are in the order of the query. Those without a value are last."""
        field = self.sort.removeprefix("-")
        values = [_sort_value(item, field) for item in found]
        known = [value for value in values if value != "~"]
        return values == sorted(known, reverse=self.sort.startswith("-")) + ["~"] * (len(values) - len(known))


def some_query(chance: random.Random) -> Query:
    """Return a query with a condition or another order than that of creation: the list alone may be stale."""
    sort = chance.choice(("createdAt", "-createdAt", "simPrice", "-simPrice", "simTitle", "updatedAt", "-updatedAt"))
    count = chance.choice((1, 1, 1, 2, 3) if "createdAt" in sort else (0, 0, 1, 1, 2))
    chosen = [make(chance) for make in chance.sample(_CONDITIONS, count)]
    return Query(
        tuple(parameter for parameter, _ in chosen), lambda item: all(matches(item) for _, matches in chosen), sort
    )


def _price(chance: random.Random) -> tuple[str, Matches]:
    number = chance.choice((0, 1, 12, 12, -1, Decimal("12.5"), Decimal("-1.5"), 10**20))
    operator = chance.choice(("eq", "gt", "gte", "lt", "lte"))
    return f"filter[simPrice][{operator}]={number}", lambda item: _compare(item, "simPrice", operator, number)


def _prices(chance: random.Random) -> tuple[str, Matches]:
    numbers = chance.sample((0, 1, 12, -1, 7), 3)
    joined = ",".join(map(str, numbers))
    return f"filter[simPrice][in]={joined}", lambda item: any(
        _compare(item, "simPrice", "eq", number) for number in numbers
    )


def _title(chance: random.Random) -> tuple[str, Matches]:
    text = chance.choice(("Red vase", "Red vase", "Straße", "STRASSE"))
    operator = chance.choice(("eq", "gt", "gte", "lt", "lte"))
    return f"filter[simTitle][{operator}]={text}", lambda item: _compare(item, "simTitle", operator, text)


def _beginning(chance: random.Random) -> tuple[str, Matches]:
    text = chance.choice(("red", "Réd V", "VAS", "stras", "東"))
    return f"filter[simTitle][prefix]={text}", lambda item: sort_key(item["fields"].get("simTitle")).startswith(
        f"s{folded(text)}"
    )


def _tag(chance: random.Random) -> tuple[str, Matches]:
    tag = chance.choice(("red", "Red", "blue", "1"))
    return (
        f"filter[simTags][has]={tag}",
        lambda item: isinstance(item["fields"].get("simTags"), list) and tag in item["fields"]["simTags"],
    )


def _words(chance: random.Random) -> tuple[str, Matches]:
    text = chance.choice(("red", "red va", "VASE réd", "blu", "東京 red", "word3 word4", "cup", "w", "a"))
    *whole, beginning = expected_index.words(text)

    def matches(item: Record) -> bool:
        _, words = expected_index.keys_of(item["fields"], item["updatedAt"], item["indexed"])
        return words.issuperset(whole) and any(word.startswith(beginning) for word in words)

    return f"q={text}", matches


_CONDITIONS = (_price, _prices, _title, _beginning, _tag, _words)


def _compare(item: Record, field: str, operator: str, value: Any) -> bool:
    """Return whether a field has this value, exactly, or one on that side of it in the order of sort keys."""
    stored = item["fields"].get(field)
    if operator == "eq":
        return type(stored) is not bool and stored is not None and stored == value
    key, limit = sort_key(stored), sort_key(value)
    if key[0] != limit[0]:
        return False
    return {"gt": key > limit, "gte": key >= limit, "lt": key < limit, "lte": key <= limit}[operator]


def _sort_value(item: Record, field: str) -> str:
    if field in ("createdAt", "updatedAt"):
        return str(item[field])
    return sort_key(item["fields"].get(field))
