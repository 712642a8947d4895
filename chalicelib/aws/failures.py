"""Read the error codes of AWS, and classify the exceptions of botocore: which kind of failure each one is.

:mod:`chalicelib.http.error_translation` decides with which error the API responds to each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore import exceptions

_UNREACHABLE = (
    exceptions.EndpointConnectionError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.NoRegionError,
    exceptions.ProfileNotFound,
)
_MISSING_CODES = frozenset({"ResourceNotFoundException", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue"})
# The next four are what botocore's standard mode retries. They are private in botocore.retries.standard: a test
# compares them.
_TRANSIENT = (exceptions.ConnectionError, exceptions.HTTPClientError)
_TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})
_TRANSIENT_CODES = frozenset({"PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException"})
_THROTTLING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
# Other spellings of the same failures, such as the reasons of a cancelled transaction.
_OTHER_TRANSIENT_CODES = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "OverLimit",
        "ProvisionedThroughputExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
    }
)
_THROTTLED = _THROTTLING_CODES | {"OverLimit", "ProvisionedThroughputExceeded", "ThrottlingError"}


def code(response: Mapping[str, Any]) -> str:
    """Return the error code in a response, such as ``NoSuchKey``, or an empty string."""
    return str(response.get("Error", {}).get("Code", ""))


def error_code(error: exceptions.ClientError) -> str:
    """Return the service's error code, such as ``NoSuchKey``, or an empty string."""
    return code(error.response)


def cancellation_codes(error: exceptions.ClientError) -> set[str]:
    """Return the error codes of a cancelled transaction's writes: "None" for a write that is not the cause."""
    return _reasons(error.response)


def was_retried(error: exceptions.ClientError) -> bool:
    """Return whether the SDK repeated the call, so that an earlier attempt may have succeeded."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0


def is_throttled(response: Mapping[str, Any]) -> bool:
    """Return whether AWS throttled the call with this response, also if it cancelled a transaction for that reason."""
    return not _THROTTLED.isdisjoint({code(response), *_reasons(response)})


def is_unreachable(error: BaseException) -> bool:
    """Return whether no request could be sent: no endpoint, credentials, region or profile."""
    return isinstance(error, _UNREACHABLE)


def is_missing_resource(error: BaseException) -> bool:
    """Return whether the table, the bucket or the queue does not exist."""
    return bool(_codes(error) & _MISSING_CODES)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed later: AWS timed out, failed or throttled it, despite retries."""
    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        codes = _TRANSIENT_CODES | _THROTTLING_CODES | _OTHER_TRANSIENT_CODES
        return status in _TRANSIENT_STATUSES or bool(_codes(error) & codes)
    return isinstance(error, _TRANSIENT) and not is_unreachable(error)


def _codes(error: BaseException) -> set[str]:
    if isinstance(error, exceptions.ClientError):
        return {error_code(error), *cancellation_codes(error)}
    return set()


def _reasons(response: Mapping[str, Any]) -> set[str]:
    return {reason.get("Code", "None") for reason in response.get("CancellationReasons", [])}
