"""The index keys of an item, and which fields a class may mark."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.catalogue import search_index_keys
from chalicelib.catalogue.field_annotations import FINDABLE, SEARCHABLE
from chalicelib.catalogue.search_index_keys import IndexKey
from tests.json_values import objects

AT = "2026-01-31T10:00:00.000Z"
UPDATED = IndexKey("FIND", "updatedAt#d2026-01-31T10:00:00.000000Z")


class Colour(enum.Enum):
    RED = "red"


class Vase(msgspec.Struct, rename="camel"):
    title: Annotated[str, FINDABLE, SEARCHABLE, msgspec.Meta(max_length=80)]
    description: Annotated[str, SEARCHABLE] | msgspec.UnsetType = msgspec.UNSET
    price_in_euros: Annotated[Decimal | None, FINDABLE] = None
    tags: Annotated[list[str], FINDABLE, SEARCHABLE] | msgspec.UnsetType = msgspec.UNSET
    sold: Annotated[bool, FINDABLE] = False
    made: Annotated[date, FINDABLE] | None = None
    plain: str = ""


VASE = search_index_keys.declaration_of(Vase)


def keys(fields: dict[str, Any], declaration: search_index_keys.Declaration = VASE) -> set[IndexKey]:
    return set(search_index_keys.keys(fields, AT, declaration))


def model(annotation: Any, name: str = "field") -> Any:
    return msgspec.defstruct("ItemFields", [(name, annotation)])


class TestDeclaration:
    def test_text_lists_the_marked_fields(self) -> None:
        assert VASE.text == "1;title=sw;description=w;priceInEuros=n;tags=lsw;sold=b;made=d"

    def test_findable_fields_include_updated_at(self) -> None:
        assert list(VASE.findable) == ["title", "priceInEuros", "tags", "sold", "made", "updatedAt"]

    def test_class_without_marks_declares_nothing(self) -> None:
        assert search_index_keys.declaration_of(model(str)).text == "1"

    @pytest.mark.parametrize(
        ("annotation", "letters"),
        [
            (Annotated[str, FINDABLE], "s"),
            (Annotated[int, FINDABLE], "n"),
            (Annotated[float, FINDABLE], "n"),
            (Annotated[bool | None, FINDABLE], "b"),
            (Annotated[datetime, FINDABLE], "d"),
            (Annotated[str, FINDABLE] | int | None, "ns"),
            (Annotated[Literal["a", 1], FINDABLE], "ns"),
            (Annotated[Colour, FINDABLE], "s"),
            (Annotated[set[date], FINDABLE], "ld"),
            (Annotated[tuple[Decimal, ...], FINDABLE], "ln"),
            (Annotated[tuple[str, int], FINDABLE], "lns"),
            (list[Annotated[str, SEARCHABLE]], "lw"),
        ],
    )
    def test_letters_of_a_type(self, annotation: Any, letters: str) -> None:
        declaration = search_index_keys.declaration_of(model(annotation))

        assert declaration.text == f"1;field={letters}"
        assert search_index_keys.parse(declaration.text) == declaration

    @pytest.mark.parametrize(
        "annotation",
        [
            Annotated[dict[str, str], FINDABLE],
            Annotated[Any, FINDABLE],
            Annotated[Vase, FINDABLE],
            Annotated[list[Vase], FINDABLE],
            Annotated[list, FINDABLE],
            Annotated[str | list[str], FINDABLE],
            Annotated[None, FINDABLE],
            Annotated[int, SEARCHABLE],
            Annotated[dict[str, str], SEARCHABLE],
        ],
    )
    def test_type_that_cannot_be_indexed_is_refused(self, annotation: Any) -> None:
        with pytest.raises(TypeError, match=r"ItemFields\.field (cannot be indexed|is marked SEARCHABLE)"):
            search_index_keys.declaration_of(model(annotation))

    def test_name_that_cannot_be_indexed_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"must match .* to be marked: _field"):
            search_index_keys.declaration_of(model(Annotated[str, FINDABLE], "_field"))

    def test_at_most_12_fields_are_findable(self) -> None:
        def declare(count: int) -> search_index_keys.Declaration:
            fields = [(f"f{number}", Annotated[str, FINDABLE]) for number in range(count)]
            return search_index_keys.declaration_of(msgspec.defstruct("ItemFields", fields))

        assert len(declare(12).fields) == 12
        with pytest.raises(TypeError, match="at most 12 fields FINDABLE"):
            declare(13)


class TestKeys:
    def test_keys_of_an_item(self) -> None:
        fields = {"title": "Blue Vase", "priceInEuros": Decimal("12.50"), "tags": ["Old", "blue"], "made": "1910-05-01"}

        assert keys({**fields, "sold": True, "other": "x"}) == {
            UPDATED,
            IndexKey("FIND", "title#sblue vase"),
            IndexKey("FIND", "priceInEuros#n2501125"),
            IndexKey("FIND", "tags#sold"),
            IndexKey("FIND", "tags#sblue"),
            IndexKey("FIND", "sold#b1"),
            IndexKey("FIND", "made#d1910-05-01"),
            *(IndexKey("WORD", word) for word in ("blue", "vase", "old")),
        }

    @pytest.mark.parametrize("fields", [{}, {"title": None, "sold": {}, "tags": [None, [], {}], "made": [1]}])
    def test_field_without_value_is_indexed_unless_it_is_a_list(self, fields: dict[str, Any]) -> None:
        names = ("title", "priceInEuros", "sold", "made")
        assert keys(fields) == {UPDATED, *(IndexKey("FIND", f"{name}#~") for name in names)}

    def test_equal_elements_have_one_key(self) -> None:
        declaration = search_index_keys.parse("1;tags=lns")

        assert keys({"tags": ["A", "a", "ä", 1, Decimal("1.0")]}, declaration) == {
            UPDATED,
            IndexKey("FIND", "tags#sa"),
            IndexKey("FIND", "tags#n25001"),
        }

    @given(objects, st.sampled_from([VASE, search_index_keys.parse("1"), search_index_keys.parse("1;a=lw;b=s")]))
    def test_number_of_keys_is_limited(
        self, fields: dict[str, Any], declaration: search_index_keys.Declaration
    ) -> None:
        found = keys(fields | {"tags": [*range(100)], "description": " ".join(map(str, range(100)))}, declaration)

        assert sum(key.kind == "FIND" for key in found) <= search_index_keys.MAX_FIND_RECORDS
        assert sum(key.kind == "WORD" for key in found) <= search_index_keys.MAX_WORD_RECORDS
        assert all(len(f"{key.kind}#{key.text}\t".encode()) + 36 <= 1024 for key in found)


class TestLists:
    def test_list_with_too_many_values_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search_index_keys, "current", lambda: VASE)
        allowed = search_index_keys.MAX_FIND_RECORDS - 5
        tags = [str(number) for number in range(allowed)]

        search_index_keys.check_lists({"tags": [*tags, "0", "1"]})
        with pytest.raises(errors.InvalidRequestError) as refused:
            search_index_keys.check_lists({"tags": [*tags, "x"]})

        assert refused.value.message == "tags may have at most 13 different values, so that items can be found."
        assert refused.value.details == [{"path": "$.tags", "message": refused.value.message.removesuffix(".")}]

    def test_lists_share_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search_index_keys, "current", lambda: search_index_keys.parse("1;a=ln;b=ln;c=ln"))

        with pytest.raises(errors.InvalidRequestError, match="a and c may have at most 17 different values together"):
            search_index_keys.check_lists({"a": [*range(9)], "c": [*range(9)]})

    def test_values_beyond_the_limit_are_left_out(self) -> None:
        found = search_index_keys.find_texts(
            {"tags": [*range(30)], "title": "x"}, AT, search_index_keys.parse("1;tags=ln;title=s")
        )

        assert len(found) == search_index_keys.MAX_FIND_RECORDS
        assert "title#sx" in found
        assert "tags#n1" in found
        assert "tags#n2501129" not in found


class TestWords:
    def test_longest_words_are_kept(self) -> None:
        texts = " ".join("x" * length for length in range(1, 41))

        found = search_index_keys.indexed_words({"description": texts}, VASE)

        assert sorted(map(len, found)) == list(range(11, 41))

    def test_words_of_the_first_field_are_kept(self) -> None:
        longer = " ".join(f"longer{number}" for number in range(40))

        found = search_index_keys.indexed_words({"title": "a b", "description": longer}, VASE)

        assert found[:2] == ["a", "b"]
        assert found[2:] == [f"longer{number}" for number in range(10, 38)]

    def test_first_words_of_equal_length_are_kept(self) -> None:
        texts = " ".join(f"w{number}" for number in range(100, 140))

        assert search_index_keys.indexed_words({"description": texts}, VASE) == [
            f"w{number}" for number in range(100, 130)
        ]
