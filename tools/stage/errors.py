"""The error of a command about a stage, and what to do about the errors of AWS."""

from __future__ import annotations

import os

from botocore import exceptions

from chalicelib.config import LOCAL

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


class StageError(Exception):
    """A command on a stage failed. The message is the sentence to show to the user."""


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
