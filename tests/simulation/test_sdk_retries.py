"""The SDK repeats a call if its response is lost. Changes by other requests between the attempts are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.aws import table
from chalicelib.catalogue import items
from chalicelib.catalogue.models import Item
from chalicelib.values import ids
from tests.simulation import faults
from tests.simulation.faults import Fault
from tests.simulation.functions import Answer
from tests.simulation.timeline import HOUR
from tests.simulation.world import World

WRITES = ("put_item", "transact_write_items")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Yield a world without random faults."""
    world = World(0)
    world.faults.stop()
    with world.in_place():
        yield world


def lose_response_of_next_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_next(world, monkeypatch, (WRITES, faults.ANSWER_LOST))


def fail_next(world: World, monkeypatch: pytest.MonkeyPatch, *steps: tuple[tuple[str, ...], Fault]) -> None:
    """Let the next attempt of these operations fail in this way, then the next attempt of those, and so on."""
    left = list(steps)

    def at(_: str, operation: str, attempt: int, now: float) -> Fault | None:
        return left.pop(0)[1] if left and operation in left[0][0] else None

    monkeypatch.setattr(world.faults, "at", at)


def meanwhile(world: World, slow: Callable[[], Answer], quick: Callable[[], Answer]) -> tuple[Answer, Answer]:
    """Send ``slow``, and a second later ``quick``. Return both responses."""
    answers: dict[str, Answer] = {}

    def second() -> None:
        world.timeline.pause(1)
        answers["quick"] = quick()

    world.timeline.start("slow", lambda: answers.update(slow=slow()))
    world.timeline.start("quick", second)
    world.run_until(world.timeline.now + 60)
    return answers["slow"], answers["quick"]


def ask(world: World, method: str, path: str, body: Any = None, **headers: str) -> Callable[[], Answer]:
    return lambda: world.api.ask(
        "ann", method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
    )


def delete_the_only_item(world: World) -> Answer:
    (item,) = world.api.ask("ann", "GET", "/items").body["items"]
    return world.api.ask("ann", "DELETE", f"/items/{item['id']}")


@pytest.fixture
def item(world: World) -> str:
    created: list[Answer] = []
    world.timeline.start("setup", lambda: created.append(ask(world, "POST", "/items", {"title": "Vase"})()))
    world.run_until(world.timeline.now + 10)
    return f"/items/{created[0].body['id']}"


def test_repeated_create_does_not_restore_a_deleted_item(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_response_of_next_write(world, monkeypatch)

    create, delete = meanwhile(
        world, ask(world, "POST", "/items", {"title": "Vase"}), lambda: delete_the_only_item(world)
    )

    assert (create.status, delete.status) == (201, 200)
    assert world.ask("ann", "GET", "/items").body["items"] == []


@pytest.mark.parametrize("headers", [{}, {"if_match": '"1"'}])
def test_repeated_change_keeps_a_later_change(
    world: World, monkeypatch: pytest.MonkeyPatch, item: str, headers: dict[str, str]
) -> None:
    lose_response_of_next_write(world, monkeypatch)

    replaced, patched = meanwhile(
        world, ask(world, "PUT", item, {"title": "Bowl"}, **headers), ask(world, "PATCH", item, {"price": 1})
    )

    assert (replaced.status, patched.status) == (200, 200)
    found = world.ask("ann", "GET", item).body
    assert (found["title"], found["price"], found["version"]) == ("Bowl", 1, 3)


def test_repeated_ticket_keeps_what_was_restored(world: World, monkeypatch: pytest.MonkeyPatch, item: str) -> None:
    lose_response_of_next_write(world, monkeypatch)

    def restore() -> Answer:
        read, deleted = ask(world, "GET", item)().body, ask(world, "DELETE", item)()
        times = {"created_at": read["createdAt"], "updated_at": read["updatedAt"]}
        fields = {"title": "Restored"}
        restored = Item(owner="ann", id=read["id"], version=1, fields=fields, last_upload=ids.new_id(), **times)
        table.write_once(*items.prepare_restore(restored))
        return deleted

    ticket, deleted = meanwhile(world, ask(world, "POST", f"{item}/image", {"contentType": "image/png"}), restore)

    assert (ticket.status, deleted.status) == (201, 200)
    found = world.ask("ann", "GET", item).body
    assert (found["title"], found["version"]) == ("Restored", 2)


def test_repeated_change_succeeds_without_a_later_change(
    world: World, monkeypatch: pytest.MonkeyPatch, item: str
) -> None:
    lose_response_of_next_write(world, monkeypatch)

    replaced, _ = meanwhile(world, ask(world, "PUT", item, {"title": "Bowl"}), ask(world, "GET", item))

    assert (replaced.status, replaced.body["version"]) == (200, 2)


_LOST, _CONFLICT, _NO_READ = (WRITES, faults.ANSWER_LOST), (WRITES, faults.CONFLICT), (("get_item",), faults.REFUSED)


@pytest.mark.parametrize(
    "steps",
    [[_LOST, _CONFLICT, _NO_READ, _NO_READ, _NO_READ], [_LOST, _LOST, _LOST, _NO_READ, _NO_READ, _NO_READ]],
    ids=["conflict", "time-outs"],
)
def test_written_import_is_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[tuple[str, ...], Fault]]
) -> None:
    fail_next(world, monkeypatch, *steps)

    entries = {"items": [{"title": "Vase"}]}
    started, _ = meanwhile(world, ask(world, "POST", "/imports", entries), ask(world, "GET", "/items"))

    assert started.status == 202
    world.run_until(world.timeline.now + 2 * HOUR)
    assert world.ask("ann", "GET", f"/imports/{started.body['id']}").body["status"] == "done"


def test_import_replaced_by_a_void_record_never_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_next(world, monkeypatch, _CONFLICT, _NO_READ, _NO_READ, _NO_READ, _LOST, _LOST, _LOST)

    entries = {"items": [{"title": "Vase"}]}
    started, _ = meanwhile(world, ask(world, "POST", "/imports", entries), ask(world, "GET", "/health"))

    assert started.status == 503
    world.run_until(world.timeline.now + 2 * HOUR)
    assert world.ask("ann", "GET", "/items").body["items"] == []
