"""The AWS clients: when they are made, how long they wait, and how many may use one at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import handlers
from botocore.retries import standard

from chalicelib import aws
from chalicelib.aws import failures
from chalicelib.catalogue import consumer
from tools.aws_calls import CALLS

PROJECT = Path(__file__).parents[2]
CLIENTS: dict[str, Callable[[], Any]] = {"dynamodb": aws.dynamodb, "s3": aws.s3, "sqs": aws.sqs}

of_every_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


@pytest.fixture(autouse=True)
def made_anew() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    aws._client.cache_clear()
    aws._session.cache_clear()


@of_every_client
def test_a_client_is_made_once_for_all_threads(client: Callable[[], Any]) -> None:
    assert aws._client.cache_info().currsize == 0

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: client(), range(32)))

    assert len({id(one) for one in made}) == 1
    assert aws._client.cache_info().currsize == 1


@of_every_client
def test_a_client_gives_up_a_connection_after_a_second_and_keeps_those_it_has(client: Callable[[], Any]) -> None:
    config = client().meta.config

    assert config.connect_timeout == 1
    assert config.tcp_keepalive is True
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


@of_every_client
def test_every_worker_of_the_consumer_has_a_connection(client: Callable[[], Any]) -> None:
    assert client().meta.config.max_pool_connections == consumer.WORKERS


@pytest.mark.parametrize(
    ("function", "service"), [(function, service) for function, services in CALLS.items() for service in services]
)
def test_the_last_attempt_of_a_call_ends_before_the_function_does(function: str, service: str) -> None:
    config = CLIENTS[service]().meta.config
    attempts = config.retries["total_max_attempts"]
    waits = sum(2**attempt for attempt in range(attempts - 1))  # at most: botocore.retries.standard, ExponentialBackoff

    longest = attempts * (config.connect_timeout + config.read_timeout) + waits

    functions = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["lambda_functions"]
    assert longest < functions[function]["lambda_timeout"]


def test_what_the_sdk_retries_asks_to_come_again() -> None:
    checker = standard.TransientRetryableChecker

    assert set(checker._TRANSIENT_ERROR_CODES) == failures._TRANSIENT_CODES
    assert set(standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES) == failures._THROTTLING_CODES
    assert set(checker._TRANSIENT_STATUS_CODES) == failures._TRANSIENT_STATUSES
    assert set(checker._TRANSIENT_EXCEPTION_CLS) == set(failures._TRANSIENT)


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
    """Whether an event of botocore can occur: not of another service, not of documentation."""
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
