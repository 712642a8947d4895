"""What an item must have to match a query: conditions on its fields, and words.

Each condition becomes ranges of index records, in which an item that meets it has a record, and a check on the item
itself. Both follow from the same keys, so the index and the check agree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from chalicelib import errors
from chalicelib.catalogue import items, search_index_keys
from chalicelib.catalogue.models import Item
from chalicelib.catalogue.search_index_keys import Declaration, Field
from chalicelib.values import dynamodb_limits, exact_json, sort_keys, words

CREATED_AT = "createdAt"

Operator = Literal["eq", "gt", "gte", "lt", "lte", "prefix", "in", "has"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

MAX_VALUES = 20
"""The most values of the operator ``in``."""

_LAST = chr(0x10FFFF)
"""The greatest character."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_KIND_NAMES = {"n": "a number", "b": "true or false", "d": "a date or a time", "s": "text"}


class Condition(NamedTuple):
    """A condition on a field. Its values are text as sent: one, or several for the operator ``in``."""

    field: str
    operator: Operator
    values: tuple[str, ...]

    @property
    def path(self) -> str:
        """The place of the condition in a query."""
        return f"$.filter[{self.field}]" + ("" if self.operator == "eq" else f"[{self.operator}]")


class Query(NamedTuple):
    """Which items to find, in which order. ``after`` and ``before`` limit their creation, exclusively."""

    conditions: tuple[Condition, ...] = ()
    words: str | None = None
    """Items are found that have each of these words; of the last word, they may have only the beginning."""
    sort: str = CREATED_AT
    descending: bool = True
    after: datetime | None = None
    before: datetime | None = None


class Range(NamedTuple):
    """The index records between two ids, inclusively. Of one key if ``is_single``: then they are sorted by item."""

    kind: Literal["FIND", "WORD"]
    low: str
    high: str
    is_single: bool = False

    @classmethod
    def of_key(cls, kind: Literal["FIND", "WORD"], text: str) -> Range:
        """Return the range of the records with one index key."""
        return cls(kind, f"{text}\t", f"{text}\t{_LAST}", is_single=True)


class Criterion(NamedTuple):
    """One requirement of a query: an item must have an index record in one of ``ranges``, and pass ``matches``."""

    field: str | None
    """The name of the findable field, or None for a word."""
    ranges: tuple[Range, ...]
    matches: Callable[[Item], bool]

    @property
    def is_exact(self) -> bool:
        """Whether each range has a single key."""
        return all(one.is_single for one in self.ranges)


class Criteria:
    """All requirements of a query.

    Raise FieldNotFindableError, and InvalidRequestError for a condition that is not valid for its field.
    """

    def __init__(self, query: Query, declaration: Declaration) -> None:
        self.low, self.high = items.id_range(query.after, query.before)
        self.sort = None if query.sort == CREATED_AT else _sort_field(query.sort, declaration)
        conditions = [(_field(one, declaration), one) for one in query.conditions]
        ordered = [(field, one) for field, one in conditions if one.operator in _ORDERED]
        self.all = [
            *(_exact(field, one) for field, one in conditions if one.operator not in _ORDERED),
            *_ranges(ordered),
            *(() if query.words is None else _words(query.words, declaration)),
        ]

    def match(self, item: Item) -> bool:
        """Return whether an item matches the query."""
        return self.low <= item.id <= self.high and all(one.matches(item) for one in self.all)


def value(item: Item, field: str) -> Any:
    """Return the value of a findable field, or None if the item has none."""
    return item.updated_at if field == search_index_keys.UPDATED_AT else item.fields.get(field)


def sort_key(item: Item, field: Field) -> str:
    """Return the sort key of the value of a findable field that is no list."""
    return _key(value(item, field.name), field)


# ----------------------------------------------------------------------------------------------------------- conditions


def _field(condition: Condition, declaration: Declaration) -> Field:
    field = declaration.findable.get(condition.field)
    if field is None:
        raise errors.FieldNotFindableError(
            used="filtered",
            field=condition.field[:100],
            findable=", ".join(declaration.findable),
            details=[{"path": condition.path[:200]}],
        )
    if field.is_list != (condition.operator == "has"):
        hint = "is a list: use filter[{0}][has]" if field.is_list else "is no list: use filter[{0}]"
        raise _invalid(condition, f"{field.name} {hint.format(field.name)}")
    return field


def _sort_field(name: str, declaration: Declaration) -> Field:
    field = declaration.findable.get(name)
    if field is None or field.is_list:
        sortable = [CREATED_AT, *(one.name for one in declaration.findable.values() if not one.is_list)]
        raise errors.FieldNotFindableError(
            used="sorted", field=name[:100], findable=", ".join(sortable), details=[{"path": "$.sort"}]
        )
    return field


def _invalid(condition: Condition, problem: str) -> errors.InvalidRequestError:
    details = [{"path": condition.path, "message": problem}]
    return errors.InvalidRequestError(problem=f"{problem}.", details=details)


def _exact(field: Field, condition: Condition) -> Criterion:
    """Return the criterion that a value of the field is one of those of the condition."""
    if len(condition.values) > MAX_VALUES:
        raise _invalid(condition, f"in may have at most {MAX_VALUES} values, not {len(condition.values)}")
    wanted = [one for text in condition.values for one in _interpretations(text, field, condition)]
    keys = {_key(one, field) for one in wanted}
    texts = {one for one in wanted if isinstance(one, str)}

    def is_wanted(stored: Any) -> bool:
        key = _key(stored, field)
        return key in keys and (not key.startswith("s") or stored in texts)

    def matches(item: Item) -> bool:
        stored = value(item, field.name)
        if field.is_list:
            return isinstance(stored, list) and any(map(is_wanted, stored))
        return is_wanted(stored)

    ranges = (Range.of_key("FIND", search_index_keys.find_text(field.name, key)) for key in sorted(keys))
    return Criterion(field.name, tuple(ranges), matches)


def _ranges(conditions: Iterable[tuple[Field, Condition]]) -> Iterator[Criterion]:
    """Yield a criterion for each field: that its sort key is in the ranges of all conditions on it."""
    limits: dict[Field, tuple[str, str]] = {}
    for field, condition in conditions:
        low, high = limits.get(field, ("", _LAST))
        next_low, next_high = _ORDERED[condition.operator](_ordered_key(field, condition))
        limits[field] = max(low, next_low), min(high, next_high)
    for field, (low, high) in limits.items():
        yield _range_criterion(field, low, high)


def _range_criterion(field: Field, low: str, high: str) -> Criterion:
    def matches(item: Item) -> bool:
        return low <= f"{sort_key(item, field)}\t{item.id}" <= high

    range_ = Range("FIND", search_index_keys.find_text(field.name, low), search_index_keys.find_text(field.name, high))
    return Criterion(field.name, (range_,) if low <= high else (), matches)


def _next_kind(key: str) -> str:
    return chr(ord(key[0]) + 1)


# The lowest and the highest ``{sort key}<tab>{item id}``. A comparison stays within the kind of its value.
_ORDERED: dict[str, Callable[[str], tuple[str, str]]] = {
    "gt": lambda key: (f"{key}\t{_LAST}", _next_kind(key)),
    "gte": lambda key: (f"{key}\t", _next_kind(key)),
    "lt": lambda key: (key[0], f"{key}\t"),
    "lte": lambda key: (key[0], f"{key}\t{_LAST}"),
    "prefix": lambda key: (key, f"{key}{_LAST}"),
}


def _ordered_key(field: Field, condition: Condition) -> str:
    (text,) = condition.values
    if condition.operator == "prefix":
        if "s" not in field.kinds:
            raise _invalid(condition, f"{field.name} is no text, so it has no prefix")
        return sort_keys.sort_key(text)
    return _key(next(iter(_interpretations(text, field, condition))), field)


def _interpretations(text: str, field: Field, condition: Condition) -> list[Any]:
    """Return the values that the text of a condition may stand for: a number, true or false, text.

    Text may also be a date: its sort key decides.
    """
    found: list[Any] = []
    if "n" in field.kinds and _NUMBER.fullmatch(text):
        number = exact_json.from_json(text)
        if any(dynamodb_limits.violations(number)):
            raise _invalid(condition, f"{field.name} must be a number of at most 38 digits")
        found.append(number)
    if "b" in field.kinds and text in ("true", "false"):
        found.append(text == "true")
    if "s" in field.kinds or ("d" in field.kinds and sort_keys.date_key(text)):
        found.append(text)
    if not found:
        allowed = " or ".join(_KIND_NAMES[kind] for kind in field.kinds)
        raise _invalid(condition, f"{field.name} must be {allowed}")
    return found


def _key(stored: Any, field: Field) -> str:
    return sort_keys.sort_key(stored, dates="d" in field.kinds)


# ---------------------------------------------------------------------------------------------------------------- words


def _words(text: str, declaration: Declaration) -> Iterator[Criterion]:
    """Yield a criterion for each word."""
    if not any(one.is_searchable for one in declaration.fields):
        problem = "q cannot be used: no field is searchable"
        raise errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": "$.q", "message": problem}])
    *whole, last = _split(text)
    words_of = _words_of_each(declaration)
    for word in dict.fromkeys(whole):
        yield Criterion(None, (Range.of_key("WORD", word),), functools.partial(_has_word, words_of, word))
    yield Criterion(None, (Range("WORD", last, f"{last}{_LAST}"),), functools.partial(_has_beginning, words_of, last))


def _split(text: str) -> list[str]:
    found = words.split(text)
    if len(text) > words.MAX_QUERY_LENGTH:
        problem = f"q may have at most {words.MAX_QUERY_LENGTH} characters"
    elif len(found) > words.MAX_IN_QUERY:
        problem = f"q may have at most {words.MAX_IN_QUERY} words"
    elif not found:
        problem = "q must contain a letter or a digit"
    else:
        return found
    raise errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": "$.q", "message": problem}])


def _words_of_each(declaration: Declaration) -> Callable[[Item], frozenset[str]]:
    """Return a function that returns the indexed words of an item. It keeps those of the last item."""
    last: Item | None = None
    found: frozenset[str] = frozenset()

    def words_of(item: Item) -> frozenset[str]:
        nonlocal last, found
        if item is not last:
            last, found = item, frozenset(search_index_keys.indexed_words(item.fields, declaration))
        return found

    return words_of


def _has_word(words_of: Callable[[Item], frozenset[str]], word: str, item: Item) -> bool:
    return word in words_of(item)


def _has_beginning(words_of: Callable[[Item], frozenset[str]], beginning: str, item: Item) -> bool:
    return any(word.startswith(beginning) for word in words_of(item))
