"""Imports with a key: entries change the items that have the same value, or restore items by their id."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import aws
from chalicelib.catalogue import (
    import_parsing,
    import_steps,
    import_upserts,
    item_fields,
    item_pictures,
    items,
    search_index_keys,
    validation,
)
from chalicelib.catalogue.field_annotations import FINDABLE
from chalicelib.http import serializers
from chalicelib.values import exact_json, ids, times
from tests.builders import as_json, jpeg
from tests.integration.stage import OWNER, Stage, json_of, meanwhile
from tests.json_values import objects

LATER = "2100-01-01T00:00:00.000Z"


class Vase(msgspec.Struct, rename="camel"):
    """The declared fields of these tests."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    sku: Annotated[str | int | None, FINDABLE] = None
    price: Annotated[Decimal | None, FINDABLE] = None
    made_on: Annotated[dt.datetime | None, FINDABLE] = None
    tags: Annotated[list[str] | None, FINDABLE] = None


@pytest.fixture(autouse=True)
def vases(declare: Callable[[type[msgspec.Struct]], None]) -> None:
    declare(Vase)


def begin(api: Stage, *entries: Any, key: str = "sku") -> str:
    body = b'{"items": %b}' % exact_json.to_json(entries)
    answer = api("POST", f"/imports?key={key}", body)
    assert answer.status_code == 202, answer.body
    id_: str = json_of(answer)["id"]
    return id_


def progress(api: Stage, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = json_of(api("GET", f"/imports/{id_}"))
    return found


def counts(api: Stage, id_: str) -> tuple[str, int, int, int]:
    """Return the status, and the numbers of entries that created, changed and failed."""
    found = progress(api, id_)
    return found["status"], found["created"], found["updated"], found["failed"]


def messages(api: Stage, id_: str) -> list[str]:
    return [one["message"] for one in progress(api, id_)["errors"]]


def all_items(api: Stage) -> list[dict[str, Any]]:
    """Return all items, the oldest first."""
    found: list[dict[str, Any]] = json_of(api("GET", "/items?order=asc&limit=100"))["items"]
    return found


def fields_of(api: Stage, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(item.get(name) for name in names) for item in all_items(api)]


def test_entry_changes_the_item_with_the_same_value(api: Stage) -> None:
    api.item(title="Vase", sku="a1", price=1, expiresAt=LATER)
    api.item(title="Lamp", sku="A1")

    id_ = begin(api, {"sku": "a1", "price": 2, "expiresAt": None}, {"sku": "b2", "title": "New"})
    api.work()

    assert counts(api, id_) == ("done", 1, 1, 0)
    assert fields_of(api, "title", "sku", "price", "version", "expiresAt") == [
        ("Vase", "a1", 2, 2, None),
        ("Lamp", "A1", None, 1, None),
        ("New", "b2", None, 1, None),
    ]


@pytest.mark.parametrize(
    ("stored", "sent", "key"),
    [
        (7, Decimal("7.0"), "price"),
        (1.5, Decimal("1.50"), "price"),
        ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "madeOn"),
        ("x" * 200, "x" * 200, "sku"),
    ],
)
def test_equal_values_are_written_differently(api: Stage, stored: Any, sent: Any, key: str) -> None:
    api.item(title="Vase", **{key: stored})

    id_ = begin(api, {key: sent, "title": "Changed"}, key=key)
    api.work()

    assert counts(api, id_) == ("done", 0, 1, 0)
    assert fields_of(api, "title") == [("Changed",)]


@pytest.mark.parametrize(("stored", "sent"), [(7, "7"), ("a", "A"), ("é", "e"), ("x" * 100 + "a", "x" * 100 + "b")])
def test_similar_values_are_different(api: Stage, stored: Any, sent: Any) -> None:
    api.item(sku=stored)

    id_ = begin(api, {"sku": sent})
    api.work()

    assert counts(api, id_) == ("done", 1, 0, 0)


def test_entry_that_changes_nothing_writes_nothing(api: Stage) -> None:
    api.item(title="Vase", sku="a1")

    id_ = begin(api, {"sku": "a1", "title": "Vase"})
    api.work()

    assert counts(api, id_) == ("done", 0, 1, 0)
    assert fields_of(api, "version") == [(1,)]


@pytest.mark.parametrize("value", [{}, {"sku": None}])
def test_entry_without_a_value_fails(api: Stage, value: dict[str, Any]) -> None:
    id_ = begin(api, {"title": "Vase"} | value)
    api.work()

    assert counts(api, id_) == ("done", 0, 0, 1)
    assert messages(api, id_) == [
        "sku must be a text, a number, a boolean or a date, because it is the key of the import."
    ]


def test_repeated_value_fails_in_any_chunk(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_parsing, "CHUNK_ENTRIES", 5)
    entries = [{"sku": str(number)} for number in range(12)]
    id_ = begin(api, *entries, {"sku": "3"}, {"sku": "11", "title": "Vase"}, {"sku": 3})
    api.work()

    assert counts(api, id_) == ("done", 13, 0, 2)
    assert messages(api, id_) == [
        "sku is the same as in entry 3, which is imported.",
        "sku is the same as in entry 11, which is imported.",
    ]


def test_value_of_several_items_fails(api: Stage) -> None:
    api.item(sku="a1")
    api.item(sku="a1")

    id_ = begin(api, {"sku": "a1", "colour": "blue"})
    api.work()

    assert messages(api, id_) == ["2 items have this sku, so it is not known which one to change."]
    assert fields_of(api, "colour") == [(None,), (None,)]


def test_too_many_similar_values_fail(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_upserts, "MAX_CANDIDATES", 2)
    for value in ("a", "A", "á"):
        api.item(sku=value)

    id_ = begin(api, {"sku": "a"})
    api.work()

    assert messages(api, id_) == ["more than 2 items have a similar sku, so it cannot be the key."]


def test_expired_item_is_not_changed(api: Stage) -> None:
    item = api.item(sku="a1", expiresAt=times.format_time(times.now() + timedelta(seconds=1)))
    id_ = begin(api, {"sku": "a1", "title": "Vase"})
    later = times.now() + timedelta(seconds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(times, "now", lambda: later)
        api.work()

        assert counts(api, id_) == ("done", 1, 0, 0)
        assert [one["id"] for one in all_items(api)] != [item["id"]]


def test_invalid_change_fails_alone(api: Stage) -> None:
    api.item(sku="a1", price=1)
    id_ = begin(api, {"sku": "a1", "price": "x"}, {"sku": "b", "version": 1}, {"sku": 10**40 + 1}, [], {"sku": "c"})
    api.work()

    assert counts(api, id_) == ("done", 1, 0, 4)
    assert [one["error"] for one in progress(api, id_)["errors"]] == [
        "INVALID_REQUEST",
        "RESERVED_FIELD",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
    ]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "text/csv"])
def test_key_works_in_every_format(api: Stage, content_type: str) -> None:
    api.item(title="Vase", sku="a1", price=3)
    ndjson = b'{"sku": "a1", "title": "A"}\n{\n{"sku": "a1"}\n{"title": "B"}\n'
    csv = b'sku,title\na1,A\nb,"B\nC"\na1,\n,B\n'

    answer = api("POST", "/imports?key=sku", ndjson if "json" in content_type else csv, content_type=content_type)
    api.work()

    id_ = json_of(answer)["id"]
    assert fields_of(api, "title", "price")[0] == ("A", 3)
    if "json" in content_type:
        assert counts(api, id_) == ("done", 0, 1, 3)
        assert messages(api, id_)[1] == "sku is the same as in entry 0, which is imported."
    else:
        assert counts(api, id_) == ("done", 1, 1, 2)
        assert [message.partition(",")[0] for message in messages(api, id_)] == [
            "Line 5",
            "Line 6",
        ]
        assert (
            messages(api, id_)[0] == 'Line 5, column "sku": sku is the same as in the row in line 2, which is imported.'
        )


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("title", "FIELD_NOT_FINDABLE", "Items cannot be imported by title, only by id, sku, price, madeOn."),
        ("updatedAt", "FIELD_NOT_FINDABLE", "Items cannot be imported by updatedAt"),
        ("tags", "INVALID_REQUEST", "key must be a field with one value, and tags is a list."),
    ],
)
def test_other_keys_are_refused(api: Stage, key: str, code: str, message: str) -> None:
    answer = api("POST", f"/imports?key={key}", {"items": [{"title": "A"}]})

    assert (answer.status_code, json_of(answer)["error"]) == (400, code)
    assert json_of(answer)["message"].startswith(message)
    assert [detail["path"] for detail in json_of(answer)["details"]] == ["$.key"]
    assert api.on_queue() == 0


def test_missing_column_of_the_key_is_refused(api: Stage) -> None:
    answer = api("POST", "/imports?key=sku", b"title\nA\n", content_type="text/csv")

    assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
    assert "there is no column of that name" in json_of(answer)["message"]


def test_other_key_is_another_request(api: Stage) -> None:
    entries = {"items": [{"sku": "a", "price": 1}]}
    first = api("POST", "/imports?key=sku", entries, idempotency_key="k")

    assert api("POST", "/imports?key=sku", entries, idempotency_key="k").body == first.body
    assert api("POST", "/imports?key=price", entries, idempotency_key="k").status_code == 422
    assert api("POST", "/imports", entries, idempotency_key="k").status_code == 422


def test_field_that_is_no_longer_findable_fails_its_entries(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = begin(api, {"sku": "a1"})
    monkeypatch.setattr(item_fields, "ItemFields", msgspec.defstruct("Undeclared", []))
    search_index_keys.current.cache_clear()

    api.work()

    assert [one["error"] for one in progress(api, id_)["errors"]] == ["FIELD_NOT_FINDABLE"]


class TestRaces:
    def test_change_in_between_is_kept(self, api: Stage) -> None:
        item = api.item(sku="a1", price=1)
        id_ = begin(api, {"sku": "a1", "title": "Vase"})
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: api("PATCH", f"/items/{item['id']}", {"price": 2}))

        import_steps.process(OWNER, id_, 0)

        assert counts(api, id_) == ("done", 0, 1, 0)
        assert fields_of(api, "title", "price", "version") == [("Vase", 2, 3)]

    def test_item_deleted_in_between_is_created_again(self, api: Stage) -> None:
        item = api.item(sku="a1", price=1)
        id_ = begin(api, {"sku": "a1", "title": "Vase"})
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: api("DELETE", f"/items/{item['id']}"))

        import_steps.process(OWNER, id_, 0)

        assert counts(api, id_) == ("done", 1, 0, 0)
        assert fields_of(api, "title", "price") == [("Vase", None)]

    def test_two_imports_create_an_item_once(self, api: Stage) -> None:
        first, second = (begin(api, {"sku": "a1", name: 1}) for name in ("one", "two"))
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: import_steps.process(OWNER, second, 0))

        import_steps.process(OWNER, first, 0)

        assert (counts(api, first), counts(api, second)) == (("done", 0, 1, 0), ("done", 1, 0, 0))
        assert fields_of(api, "sku", "one", "two") == [("a1", 1, 1)]

    def test_redelivered_chunk_changes_nothing(self, api: Stage) -> None:
        item = api.item(sku="a1", price=1)
        id_ = begin(api, {"sku": "a1", "price": 2}, {"sku": "b"})
        import_steps.process(OWNER, id_, 0)
        api("PATCH", f"/items/{item['id']}", {"price": 3})

        import_steps.process(OWNER, id_, 0)
        api.work()

        assert counts(api, id_) == ("done", 1, 1, 0)
        assert fields_of(api, "price") == [(3,), (None,)]

    def test_interrupted_chunk_continues(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(import_steps, "MAX_PART_WRITES", 1)
        api.item(sku="a", price=1)
        id_ = begin(api, {"sku": "a", "price": 2}, {"sku": "b"}, {"sku": "c"})
        has_time = iter([True, True, False])

        assert not import_steps.process(OWNER, id_, 0, lambda: next(has_time))
        assert counts(api, id_) == ("running", 1, 1, 0)
        api.work()

        assert counts(api, id_) == ("done", 2, 1, 0)
        assert fields_of(api, "sku", "version") == [("a", 2), ("b", 1), ("c", 1)]


class TestRestore:
    """The key ``id``."""

    def export(self, api: Stage) -> list[dict[str, Any]]:
        """Return all items as an export writes them."""
        return [
            {**item, "image": {"status": "ready", "file": "1.jpg"}} if "image" in item else item
            for item in all_items(api)
        ]

    def test_deleted_items_are_restored(self, api: Stage) -> None:
        one = api.item(title="Vase", sku="a1", price=1, expiresAt=LATER)
        api("POST", "/items", as_json('"title": "Lamp", "n": 0.30000000000000000000000000000000000001'))
        api("PATCH", f"/items/{one['id']}", {"price": 2})
        before = self.export(api)
        for item in before:
            api("DELETE", f"/items/{item['id']}")

        body = b"\n".join(exact_json.to_json(item) for item in before)
        id_ = json_of(api("POST", "/imports?key=id", body, content_type="application/x-ndjson"))["id"]
        api.work()

        assert counts(api, id_) == ("done", 2, 0, 0)
        assert self.export(api) == before

    @given(st.lists(objects, min_size=4, max_size=4))
    @settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_any_item_is_restored_exactly(self, api: Stage, own: list[dict[str, Any]]) -> None:
        at = times.now()
        stored = [items.create(OWNER, validation.validate_item(fields), at)[0] for fields in own]
        exported = [serializers.item(item) for item in stored]
        for item in stored:
            items.delete(OWNER, item.id, at)

        id_ = json_of(api("POST", "/imports?key=id", b"\n".join(exported), content_type="application/x-ndjson"))["id"]
        api.work()

        assert counts(api, id_) == ("done", len(own), 0, 0)
        assert [serializers.item(items.get(OWNER, item.id, at)) for item in stored] == exported

    def test_existing_items_are_changed(self, api: Stage) -> None:
        item = api.item(title="Vase", price=1)
        exported = self.export(api)[0]
        api("PATCH", f"/items/{item['id']}", {"title": "Changed", "shelf": 7})

        id_ = begin(api, exported, key="id")
        api.work()

        assert counts(api, id_) == ("done", 0, 1, 0)
        assert fields_of(api, "title", "price", "shelf", "version", "createdAt") == [
            ("Vase", 1, 7, 3, item["createdAt"])
        ]

    def test_csv_is_restored(self, api: Stage) -> None:
        item = api.item(title="Vase", price=1)
        api("DELETE", f"/items/{item['id']}")
        names = ["id", "version", "createdAt", "updatedAt", "title", "price"]
        csv = f"{','.join(names)},image\n{','.join(str(item[name]) for name in names)},\n"

        id_ = json_of(api("POST", "/imports?key=id", csv.encode(), content_type="text/csv"))["id"]
        api.work()

        assert counts(api, id_) == ("done", 1, 0, 0)
        assert all_items(api) == [item]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"id": "x"}, "id must be a UUIDv7, because it is the key of the import."),
            ({"id": "01a21d0e-6229-4459-b87f-a6db36f63c8e"}, "id must be a UUIDv7"),
            ({"id": None}, "id must be a UUIDv7"),
            ({"id": ids.new_id(4_102_444_800_000)}, "id must not contain a time in the future."),
            ({"createdAt": "2001-01-01T00:00:00Z"}, "createdAt must be the time that the id contains."),
            ({"createdAt": "soon"}, "createdAt must be"),
            ({"updatedAt": "2001-01-01T00:00:00Z"}, "updatedAt must be between createdAt and the present."),
            ({"updatedAt": "2100-01-01T00:00:00Z"}, "updatedAt must be between createdAt and the present."),
            ({"version": 0}, "version must be"),
            ({"version": "1"}, "version must be"),
            ({"expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt must be"),
            ({"price": "x"}, "price must be"),
        ],
    )
    def test_impossible_item_is_refused(self, api: Stage, change: dict[str, Any], message: str) -> None:
        item = api.item(title="Vase")
        api("DELETE", f"/items/{item['id']}")

        id_ = begin(api, item | change, key="id")
        api.work()

        assert counts(api, id_) == ("done", 0, 0, 1)
        assert messages(api, id_)[0].startswith(message)

    def test_id_alone_is_enough(self, api: Stage) -> None:
        item_id = ids.new_id(1_700_000_000_000)

        begin(api, {"id": item_id.upper(), "title": "Vase"}, key="id")
        api.work()

        time = "2023-11-14T22:13:20.000Z"
        assert fields_of(api, "id", "version", "createdAt", "updatedAt") == [(item_id, 1, time, time)]

    def test_item_of_another_owner_is_not_touched(self, api: Stage) -> None:
        item = api.item(title="Vase")
        items.create("bob", validation.validate_item({"title": "Bob's"}), times.now())
        bobs = items.list_page("bob", items.ListRange(), 10, None, times.now()).items[0]

        begin(api, {"id": bobs.id, "title": "Mine"}, key="id")
        api.work()

        assert sorted(title for (title,) in fields_of(api, "title")) == ["Mine", item["title"]]
        assert items.get("bob", bobs.id, times.now()) == bobs

    def test_restored_twice_at_once(self, api: Stage) -> None:
        item = api.item(title="Vase")
        api("DELETE", f"/items/{item['id']}")
        first, second = (begin(api, item | {name: 1}, key="id") for name in ("one", "two"))
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: import_steps.process(OWNER, second, 0))

        import_steps.process(OWNER, first, 0)

        assert (counts(api, first), counts(api, second)) == (("done", 0, 1, 0), ("done", 1, 0, 0))
        assert fields_of(api, "id", "one", "two", "version") == [(item["id"], 1, 1, 2)]

    def test_expired_item_is_imported_later(self, api: Stage) -> None:
        soon = times.now() + timedelta(seconds=1)
        item = api.item(title="Vase", expiresAt=times.format_time(soon))
        id_ = begin(api, item | {"expiresAt": LATER}, key="id")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(times, "now", lambda: soon + timedelta(seconds=1))
            api.work()

            assert "has expired and is being deleted" in messages(api, id_)[0]

    def test_old_pictures_are_deleted_and_new_ones_stay(self, api: Stage) -> None:
        item = api.item(title="Vase")
        api.picture(item["id"], jpeg())
        old = api.objects("uploads/") + api.objects("thumbnails/")
        at = times.now()
        items.delete(OWNER, item["id"], at)

        begin(api, api_fields(item), key="id")
        api.work()
        api.picture(item["id"], jpeg())
        item_pictures.purge(OWNER, item["id"])

        left = api.objects("uploads/") + api.objects("thumbnails/")
        assert left
        assert not set(left) & set(old)
        assert all_items(api)[0]["image"]["status"] == "ready"


def api_fields(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "image"}
