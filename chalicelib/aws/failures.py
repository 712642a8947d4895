"""Classify the exceptions of botocore: which kind of failure each one is.

:mod:`chalicelib.http.error_translation` decides with which error the API responds to each kind.
"""

from __future__ import annotations

from botocore import exceptions

from chalicelib import aws

_UNREACHABLE = (
    exceptions.EndpointConnectionError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.NoRegionError,
    exceptions.ProfileNotFound,
)
_MISSING_CODES = frozenset({"ResourceNotFoundException", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue"})
# These four are what botocore's standard mode retries (botocore.retries.standard, in private names; a test compares).
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


def is_unreachable(error: BaseException) -> bool:
    """Return whether no request could be sent: no endpoint, credentials, region or profile."""
    return isinstance(error, _UNREACHABLE)


def is_missing_resource(error: BaseException) -> bool:
    """Return whether the table, the bucket or the queue does not exist."""
    return bool(_codes(error) & _MISSING_CODES)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed later: AWS timed out, failed or throttled it, even when retried."""
    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        codes = _TRANSIENT_CODES | _THROTTLING_CODES | _OTHER_TRANSIENT_CODES
        return status in _TRANSIENT_STATUSES or bool(_codes(error) & codes)
    return isinstance(error, _TRANSIENT) and not is_unreachable(error)


def _codes(error: BaseException) -> set[str]:
    if isinstance(error, exceptions.ClientError):
        return {aws.error_code(error), *aws.cancellation_codes(error)}
    return set()
