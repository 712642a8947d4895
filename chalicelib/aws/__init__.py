"""The AWS clients: made once per process, on first use, with limits on how long they wait.

Where they point (region, credentials, ``AWS_ENDPOINT_URL``) is the environment's matter alone.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore import exceptions
from botocore.config import Config
from botocore.session import Session

from chalicelib.config import LOCAL, settings
from chalicelib.errors import ApiError, BackendUnavailableError, BusyError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

CONNECTIONS = 4
"""Calls of one service that can be under way at once, each on a connection that is kept for the next."""

# One second is ages for a connection inside a region; a waiting function is paid for, so it gives up early and the
# SDK's standard retries (with backoff and jitter) take over. All of it ends within the time that a function has: at
# worst 3 × (1 + 5) s and 3 s between them. A large object may take longer, for each read from the connection has 5 s.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=CONNECTIONS,
    tcp_keepalive=True,
    signature_version="v4",
)
_S3_CONFIG = _CONFIG.merge(Config(signature_version="s3v4"))

_WHAT_TO_DO = "start it all with `make run`, or provision the stage with `python -m tools.stage.provision`"

_NO_BACKEND = (
    exceptions.EndpointConnectionError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.NoRegionError,
    exceptions.ProfileNotFound,
)
_NO_BACKEND_CODES = frozenset({"ResourceNotFoundException", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue"})
# What the SDK's own retries did not get over: what its standard mode retries, by exception, status and code
# (botocore.retries.standard, whose names for them are private; a test compares).
_BUSY = (exceptions.ConnectionError, exceptions.HTTPClientError)
_BUSY_STATUSES = frozenset({500, 502, 503, 504})
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
# Of those, what services call by other names, in the reasons of a cancelled transaction among others.
_OTHER_BUSY_CODES = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "OverLimit",
        "ProvisionedThroughputExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
    }
)
_BUSY_CODES = _TRANSIENT_CODES | _THROTTLING_CODES | _OTHER_BUSY_CODES


def dynamodb() -> DynamoDBClient:
    """The client for the table."""
    return _shared("dynamodb", _CONFIG)


def s3() -> S3Client:
    """The client for the bucket."""
    return _shared("s3", _S3_CONFIG)


def sqs() -> SQSClient:
    """The client for the queue."""
    return _shared("sqs", _CONFIG)


def bucket_name() -> str:
    """The stage's bucket. Raises BackendUnavailableError while the stage is not provisioned."""
    name = settings().bucket
    if name is None:
        raise BackendUnavailableError(problem=f"The stage {settings().stage} is not provisioned: {_WHAT_TO_DO}")
    return name


@functools.cache
def queue_url() -> str:
    """The jobs queue's URL, asked for once per process: its name follows from the stage, its URL from the account."""
    return sqs().get_queue_url(QueueName=settings().queue)["QueueUrl"]


def code_of(error: exceptions.ClientError) -> str:
    """The service's own code for what went wrong, such as ``NoSuchKey``."""
    return error.response.get("Error", {}).get("Code", "")


def reasons_of(error: exceptions.ClientError) -> set[str]:
    """Why a transaction was cancelled: one code for each of its writes, ``None`` for one that was not the cause."""
    reasons: list[dict[str, str]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return {reason.get("Code", "None") for reason in reasons}


def was_retried(error: exceptions.ClientError) -> bool:
    """Whether the SDK had made the call before, so that an earlier attempt may have had an effect."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0


def as_api_error(error: BaseException) -> ApiError | None:
    """What an error means to a caller of the API, or None where it means nothing but a bug.

    What a caller is told holds nothing of the error's own text, which names endpoints, accounts and keys.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, _NO_BACKEND):
        return _unavailable(f"The stage {settings().stage} has no backend to talk to")
    if _is_busy(error):
        return BusyError(problem="AWS did not answer in time, or is limiting requests")
    if _codes(error) & _NO_BACKEND_CODES:
        return _unavailable(f"The resources of the stage {settings().stage} are missing")
    return None


def _codes(error: BaseException) -> set[str]:
    return {code_of(error), *reasons_of(error)} if isinstance(error, exceptions.ClientError) else set()


def _is_busy(error: BaseException) -> bool:
    if not isinstance(error, exceptions.ClientError):
        return isinstance(error, _BUSY)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in _BUSY_STATUSES or bool(_codes(error) & _BUSY_CODES)


def _unavailable(problem: str) -> BackendUnavailableError:
    # Only on the laptop is the caller somebody who can do anything about it.
    advice = f": {_WHAT_TO_DO}" if settings().stage == LOCAL else ""
    return BackendUnavailableError(problem=f"{problem}{advice}")


def check() -> None:
    """Looks whether the stage's backend answers.

    Raises BackendUnavailableError where it does not, with the reason and what to do: it is for a developer's log.
    """
    try:
        dynamodb().describe_table(TableName=settings().table)
    except BackendUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        problem = f"The stage {settings().stage} has no backend to talk to ({error})"
        raise BackendUnavailableError(problem=f"{problem}: {_WHAT_TO_DO}") from None


@overload
def _shared(service: Literal["dynamodb"], config: Config) -> DynamoDBClient: ...
@overload
def _shared(service: Literal["s3"], config: Config) -> S3Client: ...
@overload
def _shared(service: Literal["sqs"], config: Config) -> SQSClient: ...
def _shared(service: Any, config: Config) -> Any:
    # A client may be used by several threads, and be made by one (boto3, "Multithreading or multiprocessing").
    with _making:
        return _client(service, config)


@functools.cache
def _client(service: Any, config: Config) -> Any:
    # A stage that nobody provisioned must not be looked for in whatever account the caller's shell is signed in to.
    bucket_name()
    return _session().create_client(service, config=config)


@functools.cache
def _session() -> Session:
    # boto3 makes its clients of this very session. It would bring resources, transfers and multiprocessing as well.
    return Session()


_making = threading.Lock()
