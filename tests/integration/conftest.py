"""The resources of the stage ``local`` in moto, created for each test from ``infra/resources.json``."""

from __future__ import annotations

import functools
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib import aws, config
from chalicelib.aws import webhook_master_key
from chalicelib.catalogue import item_fields, search_index_keys, validation
from tests.function_operations import OPERATIONS
from tests.integration import faster_moto
from tests.integration.calls import RECORDER
from tests.integration.parameter_store import ParameterStore
from tests.integration.stage import Stage, remove_faults
from tests.rights import Called, Grant, grants, missing
from tools.stage import policies

_PROJECT = Path(__file__).parents[2]
_PARAMETERS = ParameterStore()
_TEMPLATE = _PROJECT / "infra" / "resources.json"


@pytest.fixture(scope="module", autouse=True)
def moto() -> Iterator[Any]:
    """Start moto once per module, because starting it takes longer than most tests.

    The consumer's threads call it one at a time: a transaction that fails restores what it changed.
    """
    turns = threading.RLock()
    answer = BotocoreStubber.__call__

    def answer_in_turn(self: BotocoreStubber, *args: Any, **options: Any) -> Any:
        with turns:
            return answer(self, *args, **options)

    with mock_aws() as moto, pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", answer_in_turn)
        faster_moto.install(patch)
        _PARAMETERS.install(patch)
        RECORDER.install(patch)
        yield moto


@pytest.fixture(autouse=True)
def backend(moto: Any) -> Iterator[None]:
    """Create the table, the bucket and two queues of the stage ``local``, and nothing else."""
    moto.reset()
    _PARAMETERS.values.clear()
    aws.queue_url.cache_clear()
    webhook_master_key.read.cache_clear()
    _client("dynamodb").create_table(**_table())
    _client("s3").create_bucket(Bucket=config.settings().bucket)
    for queue in ("jobs", "deliveries"):
        _client("sqs").create_queue(QueueName=f"{config.APP}-{config.settings().stage}-{queue}")
    yield
    remove_faults()


# Creating a client takes longer than most tests, so they are kept, like those of the app. moto serves all clients.
@functools.cache
def _client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]


@functools.cache
def _table() -> dict[str, Any]:
    resources = json.loads(_TEMPLATE.read_text())["Resources"]
    table = next(one["Properties"] for one in resources.values() if one["Type"] == "AWS::DynamoDB::Table")
    kept = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes")
    return {name: table[name] for name in kept} | {
        "TableName": config.settings().table,
        "BillingMode": "PAY_PER_REQUEST",
    }


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[Called]]:
    """Record the AWS calls of the app, and check after each test that its functions have the rights to them."""
    RECORDER.forget()
    yield RECORDER.calls
    for called in RECORDER.calls:
        listed = OPERATIONS[called.function].get(called.service, [])
        assert called.operation in listed, f"function_operations.py has no {called.operation} for {called.function}"
        assert missing(_granted(called.function), called) == [], f"{called.function} may not {called.operation}"


@functools.cache
def _granted(function: str) -> list[Grant]:
    return grants(policies.for_stage(_PROJECT, config.settings().stage)[function])


@pytest.fixture
def api(stage: Stage) -> Stage:
    """Return the app with what invokes it. For tests of the API."""
    return stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return the app with what invokes it."""
    return Stage(tmp_path)


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[msgspec.Struct]], None]]:
    """Return a function that replaces the class ItemFields."""

    def replace(model: type[msgspec.Struct]) -> None:
        monkeypatch.setattr(item_fields, "ItemFields", model)
        monkeypatch.setattr(validation, "_fields_decoder", msgspec.json.Decoder(model))
        search_index_keys.current.cache_clear()

    yield replace
    monkeypatch.undo()
    search_index_keys.current.cache_clear()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that sets settings in the environment. None removes one."""

    changed: set[str] = set()

    def configure(**settings: str | None) -> None:
        for name, value in settings.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        changed.update(settings)
        _clear_caches(changed)

    yield configure
    monkeypatch.undo()
    _clear_caches(changed)


def _clear_caches(changed: set[str]) -> None:
    """Clear what depends on the settings ``changed``. Creating clients takes longer than most tests."""
    config.settings.cache_clear()
    aws.queue_url.cache_clear()
    if any(name.startswith(("AWS_", "BUCKET_NAME")) for name in changed):
        aws._client.cache_clear()
        aws._session.cache_clear()


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return a function that returns the output since its last call, or since the test began."""
    (handler,) = logging.getLogger(config.APP).handlers
    assert isinstance(handler, logging.StreamHandler)
    before, handler.stream = handler.stream, _Stdout()

    def read() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    yield read
    handler.stream = before


class _Stdout:
    """The current standard output. pytest replaces it in each phase of a test."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()
