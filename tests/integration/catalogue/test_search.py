"""The index records of items are written with the items, so a search finds what was written before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import pytest

from chalicelib import aws, errors
from chalicelib.aws import table
from chalicelib.catalogue import items, search, search_index_keys, validation
from chalicelib.catalogue.field_annotations import FINDABLE, SEARCHABLE
from chalicelib.catalogue.models import Item
from chalicelib.catalogue.search import Condition, Query
from chalicelib.values import times
from tests.integration.stage import OWNER, Stage, fails, meanwhile

TAGS = 15


class Vase(msgspec.Struct):
    title: Annotated[str, FINDABLE, SEARCHABLE] | msgspec.UnsetType = msgspec.UNSET
    price: Annotated[int, FINDABLE] | msgspec.UnsetType = msgspec.UNSET
    tags: Annotated[list[str], FINDABLE] | msgspec.UnsetType = msgspec.UNSET


class Plate(msgspec.Struct):
    title: Annotated[str, SEARCHABLE] | msgspec.UnsetType = msgspec.UNSET
    colour: Annotated[str, FINDABLE] | msgspec.UnsetType = msgspec.UNSET


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, Vase)


def declare(monkeypatch: pytest.MonkeyPatch, model: Any) -> None:
    declaration = search_index_keys.declaration_of(model)
    monkeypatch.setattr(search_index_keys, "current", lambda: declaration)
    monkeypatch.setattr(validation, "_fields_decoder", msgspec.json.Decoder(model))  # ItemFields may require others.


def create(**own: Any) -> str:
    return items.create(OWNER, validation.validate_item(own), times.now())[0].id


def patch(id_: str, **own: Any) -> None:
    items.patch(OWNER, id_, own, times.now())


def found(*conditions: Condition, limit: int = 25, **query: Any) -> list[str]:
    return [item.id for item in pages(Query(conditions, **query), limit)]


def pages(query: Query, limit: int) -> Iterator[Item]:
    position: str | None = None
    while True:
        page = search.find_page(OWNER, query, limit, position, times.now())
        assert len(page.items) <= limit
        yield from page.items
        if page.last is None:
            return
        position = page.last


def price(operator: Any, value: str) -> Condition:
    return Condition("price", operator, (value,))


def index_records(api: Stage) -> set[str]:
    return {record["sk"]["S"] for kind in ("FIND", "WORD") for record in api.records(kind)}


def expected_records(*of: Item) -> set[str]:
    return {
        f"{key.kind}#{key.text}\t{item.id}"
        for item in of
        for key in search_index_keys.keys(item.fields, item.updated_at, search_index_keys.current())
    }


def test_new_item_is_found(api: Stage) -> None:
    id_ = create(title="Oak table", price=5, tags=["wood"])
    create(title="Elm chair", price=50, tags=[])

    assert found(price("eq", "5.0")) == [id_]
    assert found(price("lt", "50")) == [id_]
    assert found(Condition("tags", "has", ("wood",))) == [id_]
    assert found(Condition("title", "prefix", ("OAK",))) == [id_]
    assert found(words="TAB") == [id_]
    assert found(words="table oak") == [id_]
    assert found(words="oak chair") == []


def test_changed_item_is_found_by_its_new_value_only(api: Stage) -> None:
    id_ = create(title="Oak table", price=5)

    patch(id_, title="Elm chair", price=None)

    assert found(words="oak") == found(price("eq", "5")) == []
    assert found(words="elm") == found(Condition("title", "eq", ("Elm chair",))) == [id_]
    assert index_records(api) == expected_records(items.get(OWNER, id_, times.now()))


def test_deleted_item_leaves_no_index_records(api: Stage) -> None:
    id_ = create(title="Oak table", price=5)

    items.delete(OWNER, id_, times.now())

    assert api.records() == []


def test_rejected_write_leaves_the_index_unchanged(api: Stage) -> None:
    id_ = create(title="Oak table")
    before = index_records(api)
    fails(aws.dynamodb(), "TransactWriteItems", "ThrottlingException")

    with pytest.raises(table.FAILURES):
        patch(id_, title="Elm chair")

    assert index_records(api) == before


def test_sorted_items_without_a_value_come_last_in_both_directions(api: Stage) -> None:
    none, five, one = create(title="none"), create(price=5), create(price=1)

    assert found(sort="price", descending=False, limit=1) == [one, five, none]
    assert found(sort="price", descending=True, limit=1) == [five, one, none]


def test_item_changed_after_its_index_record_was_read_is_checked(api: Stage) -> None:
    id_ = create(price=5)
    meanwhile(aws.dynamodb(), "BatchGetItem", lambda: patch(id_, price=50))

    assert found(price("lt", "10")) == []


def test_item_deleted_after_its_index_record_was_read_is_skipped(api: Stage) -> None:
    id_, other = create(price=5), create(price=5)
    meanwhile(aws.dynamodb(), "BatchGetItem", lambda: items.delete(OWNER, id_, times.now()))

    assert found(price("eq", "5")) == [other]


def test_items_that_dynamodb_left_out_are_read_again(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [create(price=5), create(price=5)]
    database = aws.dynamodb()
    read = database.batch_get_item

    def leave_one_out(*, RequestItems: dict[str, Any]) -> Any:  # noqa: N803
        [(name, request)] = RequestItems.items()
        first, *others = request["Keys"]
        answer = read(RequestItems={name: {**request, "Keys": [first]}})
        return answer | {"UnprocessedKeys": {name: {**request, "Keys": others}} if others else {}}

    monkeypatch.setattr(database, "batch_get_item", leave_one_out)

    assert found(price("eq", "5")) == ids[::-1]


def test_expired_item_is_not_found(api: Stage) -> None:
    soon = times.now() + timedelta(minutes=1)
    items.create(OWNER, validation.validate_item({"price": 5, "expiresAt": times.format_time(soon)}), times.now())

    page = search.find_page(OWNER, Query((price("eq", "5"),)), 25, None, soon)

    assert page.items == []


def test_other_owners_items_are_not_found(api: Stage) -> None:
    items.create("somebody", validation.validate_item({"price": 5, "title": "Oak"}), times.now())

    assert found(price("eq", "5")) == found(words="oak") == found(sort="price") == []


def test_all_index_records_can_be_replaced_in_one_transaction(api: Stage) -> None:
    def full(number: int) -> dict[str, Any]:
        return {
            "title": " ".join(f"word{number}{index}" for index in range(40)),
            "price": number,
            "tags": [f"tag{number}{index}" for index in range(TAGS)],
        }

    id_ = create(**full(1))
    assert len(index_records(api)) == search_index_keys.MAX_FIND_RECORDS + search_index_keys.MAX_WORD_RECORDS

    patch(id_, **full(2))

    assert index_records(api) == expected_records(items.get(OWNER, id_, times.now()))


def test_more_list_values_than_can_be_indexed_are_refused(api: Stage) -> None:
    with pytest.raises(errors.InvalidRequestError, match=f"tags may have at most {TAGS} different values"):
        create(tags=[str(number) for number in range(TAGS + 1)])


def test_changed_declaration_leaves_no_records_of_the_previous_one(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, deleted = create(title="Oak", price=5, colour="red"), create(title="Elm", price=5)
    declare(monkeypatch, Plate)

    patch(changed, colour="blue")
    items.delete(OWNER, deleted, times.now())

    assert index_records(api) == expected_records(items.get(OWNER, changed, times.now()))
    assert found(Condition("colour", "eq", ("blue",))) == [changed]


class TestRefused:
    @pytest.mark.parametrize(
        ("condition", "path", "problem"),
        [
            (Condition("price", "gte", ("cheap",)), "$.filter[price][gte]", "price must be a number"),
            (Condition("price", "eq", ("1e999",)), "$.filter[price]", "at most 38 digits"),
            (Condition("price", "prefix", ("1",)), "$.filter[price][prefix]", "price is no text"),
            (Condition("tags", "eq", ("a",)), "$.filter[tags]", r"use filter\[tags\]\[has\]"),
            (Condition("title", "has", ("a",)), "$.filter[title][has]", r"use filter\[title\]"),
            (Condition("price", "in", ("1",) * 21), "$.filter[price][in]", "at most 20 values, not 21"),
        ],
    )
    def test_condition_is_explained(self, api: Stage, condition: Condition, path: str, problem: str) -> None:
        with pytest.raises(errors.InvalidRequestError, match=problem) as caught:
            found(condition)
        assert caught.value.details[0]["path"] == path

    @pytest.mark.parametrize(
        ("words", "problem"), [("!?", "a letter or a digit"), ("a " * 11, "10 words"), ("a" * 201, "200 characters")]
    )
    def test_words_are_explained(self, api: Stage, words: str, problem: str) -> None:
        with pytest.raises(errors.InvalidRequestError, match=problem):
            found(words=words)

    def test_other_field_names_the_findable_ones(self, api: Stage) -> None:
        with pytest.raises(
            errors.FieldNotFindableError, match="filtered by colour, only by title, price, tags, updatedAt"
        ):
            found(Condition("colour", "eq", ("red",)))
        with pytest.raises(
            errors.FieldNotFindableError, match="sorted by tags, only by createdAt, title, price, updatedAt"
        ):
            found(sort="tags")

    @pytest.mark.parametrize("position", ["n" * 2000, "", "~\t", "\t", "\x00", "\ue000"])
    def test_position_that_no_page_has_is_an_invalid_cursor(self, api: Stage, position: str) -> None:
        with pytest.raises(errors.InvalidCursorError):
            search.find_page(OWNER, Query(sort="price"), 25, position, times.now())

    @pytest.mark.parametrize("position", ["~", "~\t1", "b", "zz", "n2", "n2\t\U0010ffff~"])
    def test_forged_position_is_no_failure(self, api: Stage, position: str) -> None:
        create(price=5, tags=["a"])
        for query in (Query(sort="price"), Query((Condition("tags", "has", ("a",)),)), Query((price("gt", "1"),))):
            for descending in (True, False):
                search.find_page(OWNER, query._replace(descending=descending), 25, position, times.now())
