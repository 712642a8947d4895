"""AWS clients for the commands that a person runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore import exceptions
from botocore.config import Config

from chalicelib.config import LOCAL
from tools.stage.errors import StageError

if TYPE_CHECKING:
    import boto3

ClientFactory = Callable[..., Any]
"""Creates the client of an AWS service from the service's name, as ``boto3.Session.client`` does."""

SHORT_TIMEOUTS = Config(connect_timeout=3, retries={"mode": "standard", "total_max_attempts": 3})
"""The configuration of clients for a command whose user waits for it."""


def apply_settings(stage: str, variables: Mapping[str, str], project_dir: Path) -> None:
    """Set the AWS variables of the stage's entry in this process, as Chalice does for its own commands.

    Raise StageError if ``stage`` is local and its emulator has never been started.
    """
    for name, value in variables.items():
        if name.startswith("AWS_"):
            # A relative path starts at the project, whatever the current folder is.
            os.environ[name] = str(project_dir / value) if name.endswith("_FILE") else value
    config_file = Path(os.environ.get("AWS_CONFIG_FILE", ""))
    if stage == LOCAL and "AWS_CONFIG_FILE" in variables and not config_file.exists():
        raise StageError(f"There is no emulator yet ({config_file} is missing): start it with `make run`.")


def make_client(session: boto3.Session, service: str, config: Config = SHORT_TIMEOUTS) -> Any:
    """Return a client of ``service``. Raise botocore's errors, or StageError if AWS_ENDPOINT_URL is not a URL."""
    try:
        return session.client(service, config=config)  # type: ignore[call-overload]
    except exceptions.BotoCoreError:
        raise
    except ValueError as error:
        raise StageError(f"{error}. AWS_ENDPOINT_URL takes an address such as http://127.0.0.1:4566.") from error
