"""AWS clients for the commands that a person runs, and what to do about their errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore import exceptions
from botocore.config import Config

from tools.stage.errors import StageError
from tools.stage.names import LOCAL

if TYPE_CHECKING:
    import boto3

Client = Callable[[str], Any]
"""Creates the client of an AWS service from the service's name, as ``boto3.Session.client`` does."""

SHORT_TIMEOUTS = Config(connect_timeout=3, retries={"mode": "standard", "total_max_attempts": 3})
"""For a command whose user waits for it."""

_SIGN_IN = "sign in (aws sso login), or set AWS_PROFILE"
_SETTING_HINTS: dict[type[Exception], str] = {
    exceptions.NoRegionError: "There is no AWS region: set AWS_DEFAULT_REGION, or a region in your AWS profile.",
    exceptions.InvalidRegionError: "{}: set AWS_DEFAULT_REGION to one such as eu-west-1.",
    exceptions.ProfileNotFound: "{}: set AWS_PROFILE to one that `aws configure list-profiles` shows.",
}
# AWS, "Common error types", with the names that S3 and STS use for the same errors.
_REMEDIES = {
    "AccessDenied": "ask for that permission",
    "AccessDeniedException": "ask for that permission",
    "UnauthorizedOperation": "ask for that permission",
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidAccessKeyId": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "RequestExpired": _SIGN_IN,
    "SignatureDoesNotMatch": _SIGN_IN,
    "UnrecognizedClientException": _SIGN_IN,
}


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


def describe_error(error: Exception, stage: str) -> str:
    """Return one line that says what failed in a command on ``stage``, and what to do about it."""
    match error:
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return f"There are no AWS credentials: {_SIGN_IN}."
        case exceptions.NoRegionError() | exceptions.InvalidRegionError() | exceptions.ProfileNotFound():
            return _SETTING_HINTS[type(error)].format(str(error).rstrip("."))
        case exceptions.EndpointConnectionError() | exceptions.ConnectTimeoutError():
            return f"Nothing answers at {error.kwargs.get('endpoint_url')}: {_connection_hint(stage)}."
        case exceptions.ClientError():
            return _describe_client_error(error)
        case exceptions.SSOTokenLoadError() | exceptions.TokenRetrievalError() | exceptions.CredentialRetrievalError():
            return f"{error} There are no valid AWS credentials: {_SIGN_IN}."
        case _:
            return str(error)


def _connection_hint(stage: str) -> str:
    if stage == LOCAL:
        return "start the emulator with `make run`"
    return "check AWS_ENDPOINT_URL" if os.environ.get("AWS_ENDPOINT_URL") else "check the region, and your network"


def _describe_client_error(error: exceptions.ClientError) -> str:
    sentence = f"AWS refused {error.operation_name}: {error.response['Error'].get('Message') or error}"
    remedy = _REMEDIES.get(error.response["Error"].get("Code", ""))
    return f"{sentence.rstrip('.')}: {remedy}." if remedy else sentence
