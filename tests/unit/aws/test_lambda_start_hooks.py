"""What a process does that Lambda starts before there is a request."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from chalicelib import aws, config, telemetry
from chalicelib.aws import lambda_start_hooks

TYPE = "AWS_LAMBDA_INITIALIZATION_TYPE"


@pytest.fixture(autouse=True)
def no_clients_yet() -> Iterator[None]:
    aws._client.cache_clear()
    yield
    aws._client.cache_clear()


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Return the hooks that are registered with the library of Lambda's runtime."""
    registered: list[Callable[[], None]] = []
    library = SimpleNamespace(register_after_restore=registered.append)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", library)  # type: ignore[arg-type]
    return registered


@pytest.mark.parametrize(
    ("kind", "early"), [(None, False), ("on-demand", False), ("snap-start", True), ("provisioned-concurrency", True)]
)
def test_only_two_kinds_of_start_are_early(monkeypatch: pytest.MonkeyPatch, kind: str | None, early: bool) -> None:
    monkeypatch.delenv(TYPE, raising=False)
    if kind is not None:
        monkeypatch.setenv(TYPE, kind)
    assert config.is_started_early() == early


def test_started_in_advance_with_a_client(monkeypatch: pytest.MonkeyPatch, hooks: list[Callable[[], None]]) -> None:
    monkeypatch.setenv(TYPE, "provisioned-concurrency")

    lambda_start_hooks.prepare()

    assert aws._client.cache_info().currsize == 1
    assert hooks == []  # it is not copied


def test_copy_gets_new_connections_and_random_numbers(
    monkeypatch: pytest.MonkeyPatch, hooks: list[Callable[[], None]]
) -> None:
    monkeypatch.setenv(TYPE, "snap-start")
    lambda_start_hooks.prepare()
    closed: list[object] = []
    for client in (aws.dynamodb(), aws.sqs()):
        monkeypatch.setattr(client, "close", functools.partial(closed.append, client))
    state = random.getstate()

    [renew] = hooks
    renew()

    assert {id(client) for client in closed} >= {id(aws.dynamodb()), id(aws.sqs())}
    assert random.getstate() != state


def test_start_succeeds_without_credentials(monkeypatch: pytest.MonkeyPatch, hooks: list[Callable[[], None]]) -> None:
    def fail() -> Any:
        raise NoCredentialsError

    monkeypatch.setenv(TYPE, "snap-start")
    monkeypatch.setattr(aws, "create_first_client", fail)
    logged: list[str] = []
    monkeypatch.setattr(telemetry.logger, "exception", logged.append)

    lambda_start_hooks.prepare()

    assert hooks == [lambda_start_hooks.renew]
    assert logged == ["Creating a client in advance failed"]
