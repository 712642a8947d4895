"""Run the app in this process on a separate table in the emulator, so that tests can observe its DynamoDB calls."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import aws, config
from tests.e2e.system import ROOT
from tests.integration.stage import Stage
from tools.laptop.emulator import Emulator

STAGE = "inprocess"


@contextlib.contextmanager
def app_on_a_table_of_its_own(emulator: Emulator, folder: Path, auth_mode: str = "none") -> Iterator[Stage]:
    """Yield the app as the stage ``inprocess`` with a new table, and delete the table at the end.

    With the default ``auth_mode``, every request is accepted without sign-in and has the same owner.
    """
    with pointed_at(emulator, STAGE=STAGE, AUTH_MODE=auth_mode):
        aws.dynamodb().create_table(TableName=config.settings().table, **template_table())
        try:
            yield Stage(folder)
        finally:
            aws.dynamodb().delete_table(TableName=config.settings().table)


@contextlib.contextmanager
def pointed_at(emulator: Emulator, **variables: str) -> Iterator[None]:
    """Set these settings of the app, and point its AWS clients to ``emulator`` with root credentials.

    Clear the cached settings and clients at the end.
    """
    root = emulator.root()
    variables |= {"AWS_ENDPOINT_URL": emulator.url}
    variables |= {"AWS_ACCESS_KEY_ID": root.access_key, "AWS_SECRET_ACCESS_KEY": root.secret_key}
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(name, value)
            # boto3's default session has already cached other credentials.
            environment.setattr(boto3, "DEFAULT_SESSION", None)
            _read_anew()
            yield
    finally:
        _read_anew()


def _read_anew() -> None:
    config.settings.cache_clear()
    aws._client.cache_clear()
    aws._session.cache_clear()
    aws.queue_url.cache_clear()


def template_table() -> dict[str, Any]:
    """Return the CreateTable parameters of the table in infra/resources.json, without its name."""
    resources = json.loads((ROOT / "infra" / "resources.json").read_text(encoding="utf-8"))["Resources"]
    table = next(one["Properties"] for one in resources.values() if one["Type"] == "AWS::DynamoDB::Table")
    kept = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    return {name: table[name] for name in kept}
