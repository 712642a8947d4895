"""Declared defaults over HTTP, in imports and in messages: what is stored for a field that was left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from chalicelib.catalogue import validation
from tests.integration.stage import OWNER, Stage, json_of

MANAGED = ("id", "version", "createdAt", "updatedAt")


class Undeclared(msgspec.Struct):
    """An item without declared fields."""


class Size(msgspec.Struct):
    height: int
    unit: str = "cm"


_numbers = itertools.count(1)


class Vase(msgspec.Struct, rename="camel"):
    title: str
    in_stock: int = 1
    price: Decimal = Decimal("9.90")
    size: Size | None = None


class Counted(Vase, rename="camel"):
    number: int = msgspec.field(default_factory=lambda: next(_numbers))


DEFAULTS = {"inStock": 1, "price": Decimal("9.90"), "size": None}
BLUE = {"title": "Blue", **DEFAULTS}


@pytest.fixture
def vases(api: Stage, declare: Callable[[type[msgspec.Struct]], None]) -> Stage:
    declare(Vase)
    return api


def own(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in MANAGED}


def create(api: Stage, **fields: Any) -> dict[str, Any]:
    answer = api("POST", "/items", fields)
    assert answer.status_code == 201, answer.body
    item: dict[str, Any] = json_of(answer)
    return item


def test_created_item_has_the_defaults(vases: Stage) -> None:
    item = create(vases, title="Blue", glaze="matt")

    assert own(item) == {**BLUE, "glaze": "matt"}
    assert vases.read(item["id"]) == item


def test_replaced_item_has_the_defaults(vases: Stage) -> None:
    item = create(vases, title="Blue", inStock=5, size={"height": 3})

    replaced = json_of(vases("PUT", f"/items/{item['id']}", {"title": "Red", "size": {"height": 4}}))

    assert own(replaced) == {**DEFAULTS, "title": "Red", "size": {"height": 4, "unit": "cm"}}


def test_imported_items_have_the_defaults(vases: Stage) -> None:
    vases("POST", "/imports", {"items": [{"title": "Blue"}]})
    vases.work()

    assert [own(item) for item in json_of(vases("GET", "/items"))["items"]] == [BLUE]


def test_item_from_a_message_has_the_defaults(vases: Stage) -> None:
    vases.send({"type": "item.create", "owner": OWNER, "item": {"title": "Blue"}})
    vases.work()

    assert [own(item) for item in json_of(vases("GET", "/items"))["items"]] == [BLUE]


def test_removed_field_gets_its_default(vases: Stage) -> None:
    item = create(vases, title="Blue", inStock=5, size={"height": 3, "unit": "m"})

    patched = json_of(vases("PATCH", f"/items/{item['id']}", {"inStock": None, "size": {"unit": None}}))

    assert own(patched) == {**BLUE, "size": {"height": 3, "unit": "cm"}}
    assert patched["version"] == 2


@pytest.mark.parametrize("changes", [{}, {"inStock": None}, {"price": None, "size": None}, {"title": "Blue"}])
def test_patch_that_leaves_the_defaults_writes_nothing(vases: Stage, changes: dict[str, Any]) -> None:
    item = create(vases, title="Blue")

    assert json_of(vases("PATCH", f"/items/{item['id']}", changes)) == item


def test_item_can_be_sent_back(vases: Stage) -> None:
    item = create(vases, title="Blue")

    body = vases("GET", f"/items/{item['id']}").body

    assert json_of(vases("PUT", f"/items/{item['id']}", body)) == item
    assert json_of(vases("PUT", f"/items/{item['id']}", {"title": "Blue"})) == item


def test_older_item_gets_the_defaults_with_its_next_change(
    api: Stage, declare: Callable[[type[msgspec.Struct]], None]
) -> None:
    declare(Undeclared)
    item = create(api, title="Blue")
    declare(Vase)
    path = f"/items/{item['id']}"

    assert api.read(item["id"]) == item
    assert json_of(api("PUT", path, item)) == item
    assert json_of(api("PATCH", path, {"title": "Blue", "inStock": None})) == item
    assert own(json_of(api("PATCH", path, {"glaze": "matt"}))) == {**own(item), **BLUE, "glaze": "matt"}


def test_text_is_refused_for_a_decimal(vases: Stage) -> None:
    answer = vases("POST", "/items", {"title": "Blue", "price": "5"})

    assert answer.status_code == 400
    assert json_of(answer)["details"] == [
        {"path": "$.price", "message": "price must be a decimal number, not a string"}
    ]


def test_limits_include_the_defaults(vases: Stage) -> None:
    room = validation.MAX_ITEM_BYTES - len('{"title":"Blue","a":"","inStock":1,"price":9.90,"size":null}')

    assert vases("POST", "/items", {"title": "Blue", "a": "x" * room}).status_code == 201
    refused = vases("POST", "/items", {"title": "Blue", "a": "x" * (room + 1)})
    assert json_of(refused)["error"] == "ITEM_TOO_LARGE"


def test_computed_default_does_not_affect_idempotency(
    api: Stage, declare: Callable[[type[msgspec.Struct]], None]
) -> None:
    declare(Counted)
    first = api("POST", "/items", {"title": "Blue"}, idempotency_key="a")
    again = api("POST", "/items", {"title": "Blue"}, idempotency_key="a")

    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert json_of(again) == json_of(first)
    explicit = api("POST", "/items", {"title": "Blue", "inStock": 1}, idempotency_key="a")
    assert json_of(explicit)["error"] == "IDEMPOTENCY_KEY_REUSED"


def test_computed_default_is_kept_by_a_patch(api: Stage, declare: Callable[[type[msgspec.Struct]], None]) -> None:
    declare(Counted)
    item = create(api, title="Blue")

    assert json_of(api("PATCH", f"/items/{item['id']}", {"title": "Red"}))["number"] == item["number"]
