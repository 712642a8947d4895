"""The AWS clients: their creation, timeouts, retries and connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import handlers

from chalicelib import aws
from chalicelib.catalogue import consumer
from tools.aws_calls import CALLS

PROJECT = Path(__file__).parents[3]
CLIENTS: dict[str, Callable[[], Any]] = {"dynamodb": aws.dynamodb, "s3": aws.s3, "sqs": aws.sqs}

of_every_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


@pytest.fixture(autouse=True)
def no_clients_yet() -> Iterator[None]:
    _clear_caches()
    yield
    _clear_caches()


def _clear_caches() -> None:
    aws._client.cache_clear()
    aws._session.cache_clear()


@of_every_client
def test_threads_share_one_client(client: Callable[[], Any]) -> None:
    assert aws._client.cache_info().currsize == 0

    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: client(), range(32)))

    assert len({id(client) for client in clients}) == 1
    assert aws._client.cache_info().currsize == 1


@of_every_client
def test_connections_time_out_early_and_are_kept(client: Callable[[], Any]) -> None:
    config = client().meta.config

    assert config.connect_timeout == 1
    assert config.tcp_keepalive is True
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


@of_every_client
def test_every_consumer_thread_has_a_connection(client: Callable[[], Any]) -> None:
    assert client().meta.config.max_pool_connections == consumer.WORKERS


@pytest.mark.parametrize(
    ("function", "service"), [(function, service) for function, services in CALLS.items() for service in services]
)
def test_all_attempts_of_a_call_fit_into_the_function_timeout(function: str, service: str) -> None:
    config = CLIENTS[service]().meta.config
    attempts = config.retries["total_max_attempts"]
    waits = sum(2**attempt for attempt in range(attempts - 1))  # the most that ExponentialBackoff waits

    longest = attempts * (config.connect_timeout + config.read_timeout) + waits

    functions = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["lambda_functions"]
    assert longest < functions[function]["lambda_timeout"]


class RecordingEvents:
    """The parts of botocore's event hooks that register handlers."""

    def __init__(self) -> None:
        self.first: list[Any] = []
        self.middle: list[Any] = []
        self.last: list[Any] = []

    def register_first(self, *handler: Any) -> None:
        self.first.append(handler)

    def register(self, *handler: Any) -> None:
        self.middle.append(handler)

    def register_last(self, *handler: Any) -> None:
        self.last.append(handler)


def test_session_has_all_handlers_of_its_services() -> None:
    events = RecordingEvents()
    aws._register_handlers(events)  # type: ignore[arg-type]

    needed = [spec for spec in handlers.BUILTIN_HANDLERS if is_needed(spec[0])]
    assert [spec[:2] for spec in needed if spec[2:] == (handlers.REGISTER_FIRST,)] == events.first
    assert [spec for spec in needed if len(spec) == 2] == events.middle
    assert [spec[:2] for spec in needed if spec[2:] == (handlers.REGISTER_LAST,)] == events.last
    assert len(needed) < len(handlers.BUILTIN_HANDLERS) / 2


def is_needed(event: str) -> bool:
    """Return whether an event of botocore can occur: not of another service, not of documentation."""
    match event.split("."):
        case ["docs", *_]:
            return False
        case [_, service, *_]:
            return service == "*" or service in CLIENTS
    return True


@pytest.mark.parametrize(("token", "method"), [("token", "explicit"), ("", "env")])
def test_keys_of_lambda_are_used_without_a_search(monkeypatch: pytest.MonkeyPatch, token: str, method: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)

    credentials = aws._session().get_credentials()

    assert (credentials.access_key, credentials.secret_key, credentials.method) == ("key", "secret", method)
    assert (credentials.token or "") == token
