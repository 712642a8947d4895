"""Random edits of items: the index has exactly the records that follow from the items, and searches find all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import aws
from chalicelib.catalogue import items, search, search_index_keys, validation
from chalicelib.catalogue.models import Item, ItemInput
from chalicelib.catalogue.search import Query
from tests.simulation.calls import Client
from tests.simulation.dynamodb import DynamoDB
from tests.unit.catalogue.test_search import DECLARATION, FIELDS, NOW, QUERIES, scan

OWNER = "ann"
DECLARATIONS = [DECLARATION, search_index_keys.parse("1"), search_index_keys.parse("1;title=s;tags=lsw;text=w"), None]


class Edit(NamedTuple):
    """What is done to one of a few items. ``declared`` is the declaration of ItemFields at that time."""

    operation: str
    number: int
    fields: dict[str, Any]
    declared: search_index_keys.Declaration | None


EDITS = st.lists(
    st.builds(
        Edit,
        st.sampled_from(["create", "create with key", "replace", "patch", "delete", "write index", "touch"]),
        st.integers(0, 5),
        FIELDS,
        st.sampled_from(DECLARATIONS),
    ),
    max_size=25,
)


class Owner:
    """The items of one owner in a table in memory."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._database = DynamoDB(lambda: 0.0)
        self._patch = patch
        self.ids: list[str] = []
        patch.setattr(aws, "dynamodb", lambda: Client(self._database))
        # Whatever ItemFields requires: the declarations of the edits are others anyway.
        patch.setattr(validation, "validate_item", lambda body: ItemInput(body, body, None))

    def declare(self, declaration: search_index_keys.Declaration) -> None:
        self._patch.setattr(search_index_keys, "current", lambda: declaration)

    def apply(self, number: int, edit: Edit) -> None:
        self.declare(edit.declared or DECLARATION)
        at = NOW + timedelta(seconds=number)
        if edit.operation.startswith("create"):
            key = f"key{number}" if edit.operation == "create with key" else None
            self.ids.append(items.create(OWNER, validation.validate_item(edit.fields), at, key)[0].id)
        elif self.ids:
            self._change(self.ids[edit.number % len(self.ids)], edit, at)

    def _change(self, id_: str, edit: Edit, at: datetime) -> None:
        match edit.operation:
            case "replace":
                items.replace(OWNER, id_, edit.fields, at)
            case "patch":
                items.patch(OWNER, id_, {**edit.fields, "price": None}, at)
            case "delete":
                items.delete(OWNER, id_, at)
                self.ids.remove(id_)
            case "write index":
                items.write_index(OWNER, id_)
            case "touch":
                items.change(OWNER, id_, lambda item: msgspec.structs.replace(item, last_ticket="x"), at)

    def items(self) -> list[Item]:
        return [items.get(OWNER, id_, NOW) for id_ in self.ids]

    def index_records(self) -> set[str]:
        keys = [record["sk"]["S"] for record in self._database.records()]
        return {key for key in keys if key.startswith(("FIND#", "WORD#"))}


def expected_records(item: Item) -> set[str]:
    assert item.indexed is not None
    keys = search_index_keys.keys(item.fields, item.updated_at, search_index_keys.parse(item.indexed))
    return {f"{key.kind}#{key.text}\t{item.id}" for key in keys}


@settings(max_examples=100)
@given(EDITS, QUERIES, st.integers(1, 5))
def test_index_follows_random_edits(edits: list[Edit], query: Query, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        owner = Owner(patch)
        for number, edit in enumerate(edits):
            owner.apply(number, edit)
            assert owner.index_records() == set().union(*map(expected_records, owner.items()))

        owner.declare(DECLARATION)
        for id_ in owner.ids:
            items.write_index(OWNER, id_)
        assert [one.id for one in found(query, limit)] == [one.id for one in scan(owner.items(), query)]


def found(query: Query, limit: int) -> list[Item]:
    position: str | None = None
    all_found: list[Item] = []
    while True:
        page = search.find_page(OWNER, query, limit, position, NOW)
        all_found += page.items
        if page.last is None:
            return all_found
        position = page.last
