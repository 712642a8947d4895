"""The keys of an item's index records, which follow from its fields and the declaration of ItemFields.

An item has a record for each value of a findable field, and one for each word of its searchable fields::

    FIND#{field}#{sort key}<tab>{item id}
    WORD#{word}<tab>{item id}

``items`` writes them in the transaction of the item's own write. Each item stores the declaration that its records were
written with, as text, so that the next write knows which records to delete, even if ItemFields has changed. The
declaration also says which fields visitors see of a public item (``public_copies``).
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from chalicelib import errors
from chalicelib.catalogue import field_annotations, item_fields, models
from chalicelib.values import sort_keys, words

MAX_FINDABLE_FIELDS = 12

MAX_FIND_RECORDS = 18
"""The most FIND records of an item, ``updatedAt`` included.

A change may replace all index records: it deletes 48 and writes 48, of the 100 actions that a transaction may
have (AWS, "TransactWriteItems"). The others are for the item, an idempotency key and a purge record.
"""

MAX_WORD_RECORDS = 30

UPDATED_AT = "updatedAt"
"""The managed field that is always findable."""

_RULES_VERSION = 1
"""Increase it if the keys of the same fields change: then the index records of all items have to be written again."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_KINDS = {str: "s", int: "n", float: "n", Decimal: "n", bool: "b", datetime: "d", date: "d"}
_LISTS = (list, tuple, set, frozenset)

Kind = Literal["s", "n", "b", "d"]
"""What a value may be: text, a number, true or false, a date or a time."""


class IndexKey(msgspec.Struct, frozen=True):
    """The kind of an index record, and its id without the tab and the id of the item."""

    kind: Literal["FIND", "WORD"]
    text: str


class Field(msgspec.Struct, frozen=True):
    """A declared field, by its name in JSON: how it is indexed, and whether visitors see it."""

    name: str
    kinds: str
    """The first letters of its kinds (see Kind) in alphabetical order, or nothing if it is not findable."""
    is_list: bool
    is_searchable: bool
    is_public: bool = False
    """Whether visitors see the field of a public item."""

    @property
    def is_findable(self) -> bool:
        """Whether items can be filtered by the field, and sorted by it unless it is a list."""
        return bool(self.kinds)

    @property
    def letters(self) -> str:
        """The attributes besides the name, as letters in the text of a declaration."""
        return "l" * self.is_list + self.kinds + "w" * self.is_searchable + "p" * self.is_public


class Declaration(msgspec.Struct, frozen=True):
    """The fields that are indexed or public, in the order of ItemFields.

    Its text is, for example, ``1;title=swp;description=w;price=np;tags=lsw``: the version of the rules, and of each
    field the name and letters. ``l`` is a list, ``w`` is searched by words, ``p`` is public, the others are kinds. The
    name ``*`` stands for all undeclared fields.
    """

    fields: tuple[Field, ...]

    @property
    def text(self) -> str:
        """The declaration as items store it."""
        return ";".join((str(_RULES_VERSION), *(f"{one.name}={one.letters}" for one in self.fields)))

    @property
    def findable(self) -> dict[str, Field]:
        """The findable fields by name, ``updatedAt`` last."""
        return {one.name: one for one in (*self.fields, _UPDATED_AT) if one.is_findable}

    @property
    def import_keys(self) -> list[str]:
        """The fields that can be the key of an import: the id, and findable fields of ItemFields that are no lists."""
        return ["id", *(one.name for one in self.fields if one.is_findable and not one.is_list)]

    @property
    def public(self) -> Declaration:
        """The declaration of the fields that visitors see, by which they can find items."""
        return Declaration(tuple(one for one in self.fields if one.is_public))

    def shown(self, fields: models.Fields) -> models.Fields:
        """Return those of an item's own fields that visitors see if it is public."""
        are_public = {one.name: one.is_public for one in self.fields}
        others = are_public.get(_UNDECLARED, False)
        return {name: value for name, value in fields.items() if are_public.get(name, others)}


_UPDATED_AT = Field(UPDATED_AT, "d", is_list=False, is_searchable=False)

_UNDECLARED = "*"
"""Stands for the names of all undeclared fields."""


@functools.lru_cache(maxsize=16)
def parse(text: str) -> Declaration:
    """Return the declaration with this text."""
    parts = (part.partition("=") for part in text.split(";")[1:])
    return Declaration(
        tuple(
            Field(
                name, "".join(one for one in letters if one in "bdns"), "l" in letters, "w" in letters, "p" in letters
            )
            for name, _, letters in parts
        )
    )


@functools.cache
def current() -> Declaration:
    """Return the declaration of ItemFields."""
    return declaration_of(item_fields.ItemFields)


# ------------------------------------------------------------------------------------------------------ keys of an item


def keys(fields: models.Fields, updated_at: str, declaration: Declaration) -> frozenset[IndexKey]:
    """Return the keys of the index records of an item."""
    return frozenset(
        (
            *(IndexKey("FIND", text) for text in find_texts(fields, updated_at, declaration)),
            *(IndexKey("WORD", word) for word in indexed_words(fields, declaration)),
        )
    )


def find_texts(fields: models.Fields, updated_at: str, declaration: Declaration) -> list[str]:
    """Return ``{field}#{sort key}`` of each findable value of an item.

    Lists that have more values than :func:`check_lists` allows were stored before they were declared: the last values
    are left out.
    """
    texts = [find_text(UPDATED_AT, sort_keys.sort_key(updated_at, dates=True))]
    texts += (find_text(one.name, _sort_key(one, fields.get(one.name))) for one in _findable(declaration, lists=False))
    return list(dict.fromkeys((*texts, *_element_texts(fields, declaration))))[:MAX_FIND_RECORDS]


def find_text(field: str, sort_key: str) -> str:
    """Return the text of the index key of a field with this sort key."""
    return f"{field}#{sort_key}"


def indexed_words(fields: models.Fields, declaration: Declaration) -> list[str]:
    """Return the words of an item that are indexed, at most MAX_WORD_RECORDS.

    If there are more, those of the first searchable field are kept, then the longest.
    """
    first_of: dict[str, int] = {}
    for index, field in enumerate(one for one in declaration.fields if one.is_searchable):
        for word in _words(fields.get(field.name)):
            first_of.setdefault(word, index)
    return sorted(first_of, key=lambda word: (first_of[word] > 0, -len(word)))[:MAX_WORD_RECORDS]


def check_lists(fields: models.Fields) -> None:
    """Raise InvalidRequestError if the findable lists of an item have more values than can be indexed."""
    declaration = current()
    allowed = MAX_FIND_RECORDS - 1 - len(_findable(declaration, lists=False))
    if len(set(_element_texts(fields, declaration))) <= allowed:
        return
    names = [one.name for one in _findable(declaration, lists=True) if fields.get(one.name)]
    together = " together" if names[1:] else ""
    problem = f"{' and '.join(names)} may have at most {allowed} different values{together}, so that items can be found"
    details = [{"path": f"$.{name}", "message": problem} for name in names]
    raise errors.InvalidRequestError(problem=f"{problem}.", details=details)


def _findable(declaration: Declaration, *, lists: bool) -> list[Field]:
    return [one for one in declaration.fields if one.is_findable and one.is_list == lists]


def _element_texts(fields: models.Fields, declaration: Declaration) -> Iterator[str]:
    for field in _findable(declaration, lists=True):
        elements = fields.get(field.name)
        for element in elements if isinstance(elements, list) else ():
            key = _sort_key(field, element)
            if key != sort_keys.NO_VALUE:
                yield find_text(field.name, key)


def _sort_key(field: Field, value: Any) -> str:
    return sort_keys.sort_key(value, dates="d" in field.kinds)


def _words(value: Any) -> Iterator[str]:
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str):
            yield from words.split(text)


# ----------------------------------------------------------------------------------------------- declaration of a class


def declaration_of(model: type[msgspec.Struct]) -> Declaration:
    """Return the declaration of a class: which of its fields are marked FINDABLE, SEARCHABLE or PUBLIC.

    Raise TypeError for a marked field whose name or type cannot be indexed, and for too many findable fields.
    """
    shows_undeclared = getattr(model, "UNDECLARED_ARE_PUBLIC", False)
    fields = [_declared(one) for one in msgspec.structs.fields(model) if shows_undeclared or _marks(one.type)]
    if shows_undeclared:
        fields.append(Field(_UNDECLARED, "", is_list=False, is_searchable=False, is_public=True))
    declaration = Declaration(tuple(fields))
    if sum(one.is_findable for one in declaration.fields) > MAX_FINDABLE_FIELDS:
        raise TypeError(f"ItemFields may mark at most {MAX_FINDABLE_FIELDS} fields FINDABLE")
    return declaration


def _declared(field: msgspec.structs.FieldInfo) -> Field:
    name, marks = field.encode_name, _marks(field.type)
    is_public = field_annotations.PUBLIC in marks
    if not _NAME.fullmatch(name):
        raise TypeError(f"The name of ItemFields.{field.name} in JSON must match {_NAME.pattern} to be marked: {name}")
    if field_annotations.FINDABLE not in marks and field_annotations.SEARCHABLE not in marks:
        return Field(name, "", is_list=False, is_searchable=False, is_public=is_public)
    types = list(_alternatives(field.type))
    lists = [one for one in types if get_origin(one) in _LISTS]
    elements = [inner for one in lists for argument in get_args(one) for inner in _alternatives(argument)]
    kinds = {_KINDS.get(one, "") for one in (elements if lists else types)}
    if not kinds or "" in kinds or len(lists) not in (0, len(types)):
        raise TypeError(
            f"ItemFields.{field.name} cannot be indexed: it must be text, a number, a boolean, a date or a time, or a "
            f"list of these, and is {field.type}"
        )
    if field_annotations.SEARCHABLE in marks and "s" not in kinds:
        raise TypeError(f"ItemFields.{field.name} is marked SEARCHABLE, but is not text")
    findable = "".join(sorted(kinds)) if field_annotations.FINDABLE in marks else ""
    return Field(name, findable, bool(lists), field_annotations.SEARCHABLE in marks, is_public)


def _marks(type_: Any) -> list[msgspec.Meta]:
    """Return which of the marks are in an annotation, at any depth."""
    own = getattr(type_, "__metadata__", ())
    marks = [one for one in own if one in field_annotations.MARKS]
    return marks + [mark for inner in get_args(type_) for mark in _marks(inner)]


def _alternatives(type_: Any) -> Iterable[Any]:
    """Yield the members of a union, and the types of the values of an enumeration. Null and UNSET are left out."""
    origin = get_origin(type_)
    if origin is Annotated:
        yield from _alternatives(type_.__origin__)
    elif origin in (Union, UnionType):
        for member in get_args(type_):
            yield from _alternatives(member)
    elif origin is Literal:
        yield from (type(value) for value in get_args(type_) if value is not None)
    elif isinstance(type_, type) and issubclass(type_, enum.Enum):
        yield from (type(member.value) for member in type_)
    elif type_ not in (NoneType, msgspec.UnsetType, Ellipsis):
        yield type_


current()  # An invalid declaration fails at the start and not in a request.
