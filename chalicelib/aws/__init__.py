"""The AWS clients: made once per process, on first use, with limits on how long they wait.

Where they point (region, credentials, ``AWS_ENDPOINT_URL``) is the environment's matter alone.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore.config import Config
from botocore.session import Session

from chalicelib.config import settings

if TYPE_CHECKING:
    from botocore import exceptions
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


def dynamodb() -> DynamoDBClient:
    """The client for the table."""
    return _shared("dynamodb", _CONFIG)


def s3() -> S3Client:
    """The client for the bucket."""
    return _shared("s3", _S3_CONFIG)


def sqs() -> SQSClient:
    """The client for the queue."""
    return _shared("sqs", _CONFIG)


class NotProvisionedError(Exception):
    """The stage has no resources yet: ``tools/stage/provision.py`` creates them and writes the bucket's name."""


def require_provisioned() -> None:
    """Raise NotProvisionedError if the stage is not provisioned."""
    bucket_name()


def bucket_name() -> str:
    """Return the name of the stage's bucket. Raise NotProvisionedError if the stage is not provisioned."""
    name = settings().bucket
    if name is None:
        raise NotProvisionedError(f"The stage {settings().stage} is not provisioned")
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


def check_backend() -> None:
    """Raise an exception if the stage's table does not exist or cannot be reached."""
    dynamodb().describe_table(TableName=settings().table)


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
    require_provisioned()
    return _session().create_client(service, config=config)


@functools.cache
def _session() -> Session:
    # boto3 makes its clients of this very session. It would bring resources, transfers and multiprocessing as well.
    return Session()


_making = threading.Lock()
