"""``python -m tools.ops reindex`` on moto: what is missing or orphaned in the index, and what is repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.aws.table import Key
from chalicelib.catalogue import items, search_index_keys
from chalicelib.values import ids, times
from tests.builders import REQUIRED
from tests.integration.stage import OWNER, Stage
from tests.simulation import index_watch
from tools.ops import reindexing
from tools.ops.reindexing import Counts

ORIGINAL = "1;simTitle=sw;simPrice=n"
CHANGED = "1;simTitle=s;simTags=lsw"


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that changes the declaration. It is ORIGINAL at first."""

    def declare(text: str) -> None:
        monkeypatch.setattr(search_index_keys, "current", lambda: search_index_keys.parse(text))

    declare(ORIGINAL)
    return declare


Declare = Callable[[str], None]


def reindex() -> Counts:
    return reindexing.run(times.now(), lambda _: None, repair=True)


def check() -> Counts:
    return reindexing.run(times.now(), lambda _: None, repair=False)


def differences(api: Stage) -> list[str]:
    """Return how the index differs from the items, computed without the app's code."""
    return list(index_watch.differences(api.records()))


def index_keys_of(api: Stage) -> list[Key]:
    return [Key.from_attributes(one) for one in api.records() if one["sk"]["S"].startswith(("FIND#", "WORD#"))]


def without_index(owner: str = OWNER, **fields: Any) -> Key:
    """Store an item as it was before there was an index."""
    key, now = Key(owner, "ITEM", ids.new_id()), times.format_time(times.now())
    stored = {"version": 3, "createdAt": now, "updatedAt": now, "fields": REQUIRED | fields}
    table.write(table.Put(key, stored))
    return key


class TestRepair:
    def test_items_without_index_are_indexed(self, api: Stage) -> None:
        keys = [without_index(owner, simTitle=f"Vase {owner}") for owner in ("ann", "bob")]

        assert check() == Counts(items=2, outdated=2)
        assert reindex() == Counts(items=2, outdated=2)

        assert check() == Counts(items=2)
        assert differences(api) == []
        assert all(table.Key(key.owner, "WORD", f"vase\t{key.id}") in index_keys_of(api) for key in keys)

    def test_version_and_time_stay(self, api: Stage) -> None:
        key = without_index(simTitle="Vase", simPrice=7)
        before = items.find(key.owner, key.id)

        reindex()

        after = items.find(key.owner, key.id)
        assert before
        assert after
        assert after.indexed == ORIGINAL
        assert (after.version, after.updated_at, after.fields) == (before.version, before.updated_at, before.fields)

    def test_changed_declaration_replaces_index_records(self, api: Stage, declared: Declare) -> None:
        id_ = api.item(simTitle="Vase", simPrice=7, simTags=["Glass"])["id"]
        declared(CHANGED)

        assert reindex() == Counts(items=1, outdated=1)

        assert differences(api) == []
        kinds = sorted(key.id.partition("#")[0].partition("\t")[0] for key in index_keys_of(api))
        assert kinds == ["glass", "simTags", "simTitle", "updatedAt"]
        assert all(key.id.endswith(f"\t{id_}") for key in index_keys_of(api))

    def test_missing_record_is_written(self, api: Stage) -> None:
        api.item(simTitle="Vase", simPrice=7)
        api.item(simTitle="Bowl")
        table.write(table.Delete(index_keys_of(api)[0]))

        assert check() == Counts(items=2, missing=1)
        assert reindex() == Counts(items=2, missing=1)
        assert differences(api) == []

    def test_orphaned_records_are_deleted(self, api: Stage) -> None:
        id_ = api.item(simTitle="Vase")["id"]
        for text, item in (("vases", id_), ("gone", ids.new_id()), ("no item at all", "")):
            table.write(table.Put(Key(OWNER, "WORD", f"{text}\t{item}"), {}))

        assert check() == Counts(items=1, orphaned=3)
        assert reindex() == Counts(items=1, orphaned=3)
        assert differences(api) == []

    def test_index_that_is_complete_is_not_written(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        api.item(simTitle="Vase")
        monkeypatch.setattr(table, "write_once", None)

        assert reindex() == Counts(items=1)

    def test_list_with_too_many_elements_is_indexed_in_part(self, api: Stage, declared: Declare) -> None:
        declared("1")
        api.item(simTags=[str(number) for number in range(40)])
        declared(CHANGED)

        assert reindex() == Counts(items=1, outdated=1)
        assert differences(api) == []
        assert check() == Counts(items=1)

    def test_unreadable_item_is_reported_and_the_others_are_indexed(self, api: Stage) -> None:
        broken = Key(OWNER, "ITEM", ids.new_id())
        table.write(table.Put(broken, {"version": "three"}))
        without_index(simTitle="Vase")

        counts = reindex()

        assert counts.outdated == 1
        assert list(counts.failed) == [f"{OWNER} {broken.id}"]

    def test_item_that_others_change_all_the_time_is_reported(
        self, api: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = without_index(simTitle="Vase")

        def busy(*_: str) -> None:
            raise errors.BusyError

        monkeypatch.setattr(items, "write_index", busy)

        assert list(reindex().failed) == [f"{key.owner} {key.id}"]


class TestRaces:
    def test_change_during_the_repair_of_an_orphan_is_kept(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """The item gets the word of an orphaned record just before that is deleted."""
        id_ = api.item(simTitle="Vase")["id"]
        table.write(table.Put(Key(OWNER, "WORD", f"bowl\t{id_}"), {}))
        once_before_a_write(monkeypatch, lambda: api("PATCH", f"/items/{id_}", {"simTitle": "Bowl"}))

        assert reindex() == Counts(items=1)
        assert differences(api) == []

    def test_change_during_indexing_is_kept(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        key = without_index(simTitle="Vase")
        once_before_a_write(monkeypatch, lambda: api("PATCH", f"/items/{key.id}", {"simTitle": "Bowl"}))

        reindex()

        assert differences(api) == []
        assert api.read(key.id)["simTitle"] == "Bowl"
        assert api.read(key.id)["version"] == 4

    def test_deletion_during_indexing_leaves_nothing(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        key = without_index(simTitle="Vase")
        once_before_a_write(monkeypatch, lambda: api("DELETE", f"/items/{key.id}"))

        reindex()

        assert api.records("ITEM") == []
        assert index_keys_of(api) == []


def once_before_a_write(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call ``act`` before the first transaction."""
    write_once = table.write_once

    def step(*writes: table.Write) -> None:
        monkeypatch.setattr(table, "write_once", write_once)
        act()
        write_once(*writes)

    monkeypatch.setattr(table, "write_once", step)


class TestContinuing:
    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reindexing, "_PAGE", 2)

    def interrupted(self, after: int) -> None:
        """Run a reindex that fails after so many pages."""
        pages = 0

        def fail(_: Counts) -> None:
            nonlocal pages
            pages += 1
            if pages > after:
                raise ClientError({"Error": {"Code": "InternalError", "Message": "provoked"}}, "Scan")

        with pytest.raises(ClientError):
            reindexing.run(times.now(), fail, repair=True)

    def test_interrupted_run_continues_where_it_stopped(self, api: Stage) -> None:
        for _ in range(6):
            without_index(simTitle="Vase")
        self.interrupted(after=1)
        done = sum("indexed" in record for record in api.records("ITEM"))

        rest = reindex()

        assert 0 < done < 6
        assert 0 < rest.items < 6
        assert differences(api) == []
        assert all("indexed" in record for record in api.records("ITEM"))
        assert api.records("REINDEX") == []

    def test_position_of_another_declaration_is_not_used(self, api: Stage, declared: Declare) -> None:
        for _ in range(6):
            without_index(simTitle="Vase")
        self.interrupted(after=2)
        declared(CHANGED)

        reindex()

        assert {record["indexed"]["S"] for record in api.records("ITEM")} == {CHANGED}
        assert differences(api) == []

    def test_position_is_kept_for_a_day(self, api: Stage) -> None:
        without_index(simTitle="Vase")
        without_index(simTitle="Bowl")
        without_index(simTitle="Cup")
        self.interrupted(after=1)
        [position] = api.records("REINDEX")
        assert position["pk"]["S"] == "OWNER#"
        assert not ids.is_owner("")
        until = int(position["ttl"]["N"]) - times.now().timestamp()
        assert 86_000 < until <= 86_401

    def test_check_keeps_no_position(self, api: Stage) -> None:
        for _ in range(3):
            without_index(simTitle="Vase")

        check()

        assert api.records("REINDEX") == []


def test_scan_has_all_records(api: Stage) -> None:
    for number in range(5):
        table.write(table.Put(Key(f"owner{number}", "ITEM", ids.new_id()), {}))
    found: list[Key] = []
    position: Key | None = None

    while True:
        page, position = table.scan_page(2, position)
        found += [key for key, _ in page]
        if position is None:
            break

    assert len(found) == 5
    assert set(found) == {Key.from_attributes(one) for one in api.records()}
