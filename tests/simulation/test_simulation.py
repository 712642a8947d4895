"""Random histories violate no invariant, and each can be repeated by its seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chalicelib.aws import event_bus, table
from chalicelib.catalogue import items
from chalicelib.catalogue.models import Item
from chalicelib.events import delivery_schedule
from tests.simulation import dynamodb, history

HISTORIES = 300
_SHARE = 25

_DIGESTS = """
import json
from tests import conftest
from tests.simulation import history
print(json.dumps([history.run(seed).digest for seed in range(8)]))
"""


@pytest.mark.parametrize("first", range(0, HISTORIES, _SHARE))
def test_no_history_violates_an_invariant(first: int) -> None:
    broken = [outcome.report() for outcome in map(history.run, range(first, first + _SHARE)) if outcome.problems]

    assert not broken, "\n\n".join(broken)


def test_seed_determines_the_history() -> None:
    runs = [_digests(hash_seed) for hash_seed in ("1", "2")]

    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0])


def _digests(hash_seed: str) -> list[str]:
    """Return the digests of a few histories in another process, in which sets have another order."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    digests: list[str] = json.loads(done.stdout)
    return digests


def finds(*invariants: str, first: int = 0, most: int = 1000) -> bool:
    """Return whether one of many histories violates each of these invariants. A mistake shows in one of many.

    ``first`` is their first seed. A later one than 0 only saves time.
    """
    missing = {*invariants}
    for seed in range(first, first + most):
        missing -= {name for name in missing for problem in history.run(seed).problems if problem.startswith(name)}
        if not missing:
            return True
    return False


def test_lost_update_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the condition on the version, one of two concurrent edits is lost."""
    monkeypatch.setattr(table, "revision_is", lambda *_, **__: table.Condition("attribute_exists(pk)"))

    assert finds("each_change_is_one_write_to_the_previous_version", "versions_increase_by_one", first=33)


def test_index_record_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_writes = items._replace_writes

    def without_deletions(old: Item | None, new: Item, **options: bool) -> list[table.Write]:
        return [write for write in replace_writes(old, new, **options) if not isinstance(write, table.Delete)]

    monkeypatch.setattr(items, "_replace_writes", without_deletions)

    problems = " ".join(problem for seed in range(5) for problem in history.run(seed).problems)

    assert "index_has_exactly_what_follows_from_the_items" in problems


def test_public_copy_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its deletion, visitors go on seeing an item that is private again."""
    copy_writes = items._copy_writes

    def without_deletions(old: Item | None, new: Item | None) -> list[table.Write]:
        return [write for write in copy_writes(old, new) if not isinstance(write, table.Delete)]

    monkeypatch.setattr(items, "_copy_writes", without_deletions)

    problems = " ".join(problem for seed in range(5) for problem in history.run(seed).problems)

    assert "and its public copy" in problems


def test_stale_search_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With eventually consistent reads, a search misses what was written just before."""
    query_page = table.query_page

    def query_eventually(*which: Any, **options: Any) -> Any:
        return query_page(*which, **{**options, "consistent": False})

    monkeypatch.setattr(table, "query_page", query_eventually)
    monkeypatch.setattr(dynamodb, "STALE_READS", 1)

    assert finds("finds_return_all_items_that_match")


def test_lost_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that the bus did not accept must be sent again."""
    send = event_bus.send
    monkeypatch.setattr(event_bus, "send", lambda entries: [event_bus.Outcome("sent") for _ in send(entries)])

    assert finds("each_change_is_on_the_bus")


def test_lost_delivery_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery to a webhook that is failing must be due again."""
    deferred = delivery_schedule.deferred
    monkeypatch.setattr(
        delivery_schedule, "deferred", lambda one, at: msgspec.structs.replace(deferred(one, at), due_at=None)
    )

    assert finds("each_event_is_delivered_or_has_failed")


def test_report_has_the_command_to_run_the_history_again(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = history.Outcome(7, ["no_message_is_left: message-1 is on the queue"], [(0.0, "world", "all faults stop")])

    report = outcome.report()

    assert "no_message_is_left: message-1 is on the queue" in report
    assert "all faults stop" in report
    assert "make simulate SEED=7 HISTORIES=1 TRACE=all" in report
