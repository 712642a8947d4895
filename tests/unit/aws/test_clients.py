"""The AWS clients: their creation, timeouts, retries and connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED, handlers
from botocore.config import Config
from botocore.session import Session

from chalicelib import aws
from chalicelib.catalogue import job_queue_consumer
from tests.function_operations import OPERATIONS

PROJECT = Path(__file__).parents[3]
CLIENTS: dict[str, Callable[[], Any]] = {
    "dynamodb": aws.dynamodb,
    "events": aws.events,
    "s3": aws.s3,
    "sqs": aws.sqs,
    "ssm": aws.ssm,
}

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
    assert client().meta.config.max_pool_connections == job_queue_consumer.WORKERS


@pytest.mark.parametrize(
    ("function", "service"), [(function, service) for function, services in OPERATIONS.items() for service in services]
)
def test_all_attempts_of_a_call_fit_into_the_function_timeout(function: str, service: str) -> None:
    config = CLIENTS[service]().meta.config
    attempts = config.retries["total_max_attempts"]
    waits = sum(2**attempt for attempt in range(attempts - 1))  # the most that ExponentialBackoff waits

    longest = attempts * (config.connect_timeout + config.read_timeout) + waits

    functions = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["lambda_functions"]
    assert longest < functions[function]["lambda_timeout"]


@pytest.mark.parametrize("service", CLIENTS)
def test_client_has_the_handlers_of_a_default_session(service: str) -> None:
    others = [client() for name, client in CLIENTS.items() if name != service]
    client = CLIENTS[service]()
    default = Session().create_client(service, config=client.meta.config)
    events = [spec[0].replace("*", "Any") for spec in handlers.BUILTIN_HANDLERS if is_needed(spec[0], service)]

    assert events
    assert [handler_names(client, event) for event in events] == [handler_names(default, event) for event in events]
    assert others


def is_needed(event: str, service: str) -> bool:
    """Return whether an event of botocore can occur: not of another service, not of documentation."""
    match event.split("."):
        case ["docs", *_]:
            return False
        case [_, named, *_]:
            return named in ("*", service)
    return True


def handler_names(client: Any, event: str) -> list[str]:
    """The handlers of an event in the order in which they are called, without the one that Powertools adds."""
    found = client.meta.events._emitter._handlers.prefix_search(event)
    names = [getattr(handler, "__qualname__", repr(handler)) for handler in found]
    return [name for name in names if not name.endswith("add_powertools_feature")]


def test_client_has_no_handlers_of_other_services() -> None:
    event = "before-parameter-build.s3.PutObject"

    assert "validate_bucket_name" not in handler_names(aws.dynamodb(), event)
    assert "validate_bucket_name" in handler_names(aws.s3(), event)


@pytest.mark.parametrize(("token", "method"), [("token", "explicit"), ("", "env")])
def test_keys_of_lambda_are_used_without_a_search(monkeypatch: pytest.MonkeyPatch, token: str, method: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)

    credentials = aws._session().get_credentials()

    assert (credentials.access_key, credentials.secret_key, credentials.method) == ("key", "secret", method)
    assert (credentials.token or "") == token


@pytest.mark.parametrize("service", ["signin", "sso", "sso-oidc", "sts"])
def test_credential_search_has_the_handlers_of_a_default_session(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    ours, default = (
        session.create_client(service, region_name="eu-central-1", config=Config(signature_version=UNSIGNED))
        for session in (aws._session(), Session())
    )
    events = [spec[0].replace("*", "Any") for spec in handlers.BUILTIN_HANDLERS if is_needed(spec[0], service)]

    assert [handler_names(ours, event) for event in events] == [handler_names(default, event) for event in events]


def test_credentials_of_aws_login_can_be_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    config = Config(signature_version=UNSIGNED)

    client = aws._session().create_client("signin", region_name="eu-central-1", config=config)

    # botocore.credentials.LoginCredentialFetcher calls it by this name, which is an alias.
    assert callable(client.create_o_auth2_token)
