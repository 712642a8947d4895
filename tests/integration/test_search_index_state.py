"""The tags of a stage's table that say whether its search index was built with the declared fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from chalicelib.catalogue import search_index_keys
from tools.stage import search_index_state

PROJECT = Path(__file__).resolve().parents[2]
STAGE = "local"

Declare = Callable[[str], None]


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Return a function that changes the declaration."""

    def declare(text: str) -> None:
        monkeypatch.setattr(search_index_keys, "current", lambda: search_index_keys.parse(text))

    declare("1;title=s")
    return declare


def deployed(*, created: bool = False) -> str | None:
    return search_index_state.record_deployment(STAGE, boto3.client, created=created)


def test_index_of_a_new_table_is_complete(declared: Declare) -> None:
    assert deployed(created=True) is None
    assert deployed() is None


def test_changed_declaration_is_reported_until_the_index_is_built(declared: Declare) -> None:
    deployed(created=True)
    declared("1;title=sw")

    for _ in range(2):
        assert "run .venv/bin/python -m tools.ops --stage local reindex" in str(deployed())
    search_index_state.record_built(STAGE, boto3.client)

    assert deployed() is None


def test_return_to_the_old_declaration_is_reported(declared: Declare) -> None:
    """Items that were written in between are not indexed with it."""
    deployed(created=True)
    declared("1;title=sw")
    deployed()
    declared("1;title=s")

    assert deployed()


def test_table_without_tags_is_reported(declared: Declare) -> None:
    assert deployed()


def test_state_has_both_digests(declared: Declare) -> None:
    assert search_index_state.state(STAGE, boto3.client) == (None, None)

    deployed(created=True)

    assert search_index_state.state(STAGE, boto3.client) == (search_index_state.declared(),) * 2
    assert re.fullmatch(r"[0-9a-f]{16}", search_index_state.declared())


def test_script_of_the_pipeline_says_the_same() -> None:
    script = (PROJECT / ".ci" / "deploy").read_text(encoding="utf-8")
    text = " ".join(re.sub(r'" \\\n\s*"', " ", script).split())

    assert search_index_state.describe_missing("$stage") in text
    assert search_index_state.DEPLOYED in script
    assert search_index_state.BUILT in script
