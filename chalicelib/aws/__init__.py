"""The AWS clients and the names of the stage's resources.

Clients are created on first use, once per process. Region, credentials and endpoint come from the environment
(``AWS_DEFAULT_REGION``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL`` …).
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore import handlers
from botocore.config import Config
from botocore.endpoint_provider import RuleSetStandardLibrary
from botocore.exceptions import NoCredentialsError, NoRegionError
from botocore.session import Session

from chalicelib.config import Queue, settings

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.credentials import ReadOnlyCredentials
    from botocore.hooks import BaseEventHooks
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

CONNECTIONS = 4
"""The most connections to one service, and so the most calls at once. A connection is kept for the next call."""

# Waiting functions cost money, and inside a region a connection takes milliseconds, so a call times out early and the
# SDK's standard retries (with backoff and jitter) follow. A call takes at most 3 × (1 + 5) s and 3 s between attempts,
# less than the time limit of each function. A large object may take longer: the 5 s are for one read from the socket.
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
    """Return the DynamoDB client."""
    return _shared("dynamodb", _CONFIG)


def s3() -> S3Client:
    """Return the S3 client."""
    return _shared("s3", _S3_CONFIG)


def sqs() -> SQSClient:
    """Return the SQS client."""
    return _shared("sqs", _CONFIG)


def events() -> EventBridgeClient:
    """Return the EventBridge client."""
    return _shared("events", _CONFIG)


def ssm() -> SSMClient:
    """Return the client of AWS Systems Manager, whose Parameter Store has the key of the webhooks' secrets."""
    return _shared("ssm", _CONFIG)


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
def bucket_url() -> str:
    """Return the URL of the stage's bucket, without a slash at its end."""
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and not any(name.startswith(_ENDPOINT_SETTINGS) for name in os.environ):
        # Without a client, the first response of a new process is some milliseconds earlier.
        return f"https://{bucket_name()}.s3.{region()}.{_dns_suffix()}"
    url = s3().generate_presigned_url("get_object", Params={"Bucket": bucket_name(), "Key": "k"})
    return url.partition("?")[0].removesuffix("/k")


def region() -> str:
    """Return the region. Raise NoRegionError if none is configured."""
    found = _shared_session().get_config_variable("region")
    if found is None:
        raise NoRegionError
    return str(found)


def credentials() -> ReadOnlyCredentials:
    """Return the current credentials. Raise NoCredentialsError if there are none.

    Raise NotProvisionedError if the stage is not provisioned.
    """
    require_provisioned()
    found = _shared_session().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found.get_frozen_credentials()


@functools.cache
def queue_url(queue: Queue) -> str:
    """Return the URL of a queue. SQS is asked for it once per process."""
    return sqs().get_queue_url(QueueName=settings().queue_name(queue))["QueueUrl"]


def check_backend() -> None:
    """Raise an exception if the stage's table does not exist or cannot be reached."""
    dynamodb().describe_table(TableName=settings().table)


def _dns_suffix() -> str:
    """Return the domain of the region's services. A region that botocore does not know is recognised by its name."""
    partitions = RuleSetStandardLibrary(_shared_session().get_data("partitions"))
    return str(partitions.aws_partition(region())["dnsSuffix"])


@overload
def _shared(service: Literal["dynamodb"], config: Config) -> DynamoDBClient: ...
@overload
def _shared(service: Literal["events"], config: Config) -> EventBridgeClient: ...
@overload
def _shared(service: Literal["s3"], config: Config) -> S3Client: ...
@overload
def _shared(service: Literal["sqs"], config: Config) -> SQSClient: ...
@overload
def _shared(service: Literal["ssm"], config: Config) -> SSMClient: ...
def _shared(service: Any, config: Config) -> Any:
    # Threads may share a client, but creating one is not thread-safe (boto3, "Multithreading or multiprocessing").
    with _creating:
        return _client(service, config)


@functools.cache
def _client(service: Any, config: Config) -> Any:
    # If the stage is not provisioned, the shell's credentials may be of another account: make no calls with them.
    require_provisioned()
    session = _session()
    _register_handlers(session.get_component("event_emitter"), service)
    client = session.create_client(service, config=config)
    _clients.add(client)
    return client


def create_first_client() -> None:
    """Create the client of DynamoDB, which almost every request needs. Raise botocore's errors."""
    _shared("dynamodb", _CONFIG)


def close_connections() -> None:
    """Close the connections of all clients. The next calls open others."""
    for client in _clients:
        client.close()


def _shared_session() -> Session:
    with _creating:
        return _session()


@functools.cache
def _session() -> Session:
    # boto3.client() creates its clients from such a session too. Importing boto3 would take longer: it also loads
    # resources, transfers and multiprocessing.
    session = Session(include_builtin_handlers=False)
    events = session.get_component("event_emitter")
    _register_handlers(events, "", "*")
    # Lambda sets the keys of the execution role. Without a search for others, a cold start is 3 ms of CPU shorter.
    keys = [os.environ.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
    if all(keys):
        session.set_credentials(*keys)
    else:
        _register_handlers(events, *_CREDENTIAL_SERVICES)
    # Lambda sets this variable. Without it, no daemon receives traces.
    if daemon := os.environ.get("AWS_XRAY_DAEMON_ADDRESS"):
        from chalicelib.aws import traces  # noqa: PLC0415 - a process without a daemon does not need it

        traces.trace_calls(events, daemon)
    return session


def _register_handlers(events: BaseEventHooks, *services: str) -> None:
    """Register botocore's own handlers for events of ``services``, except those for documentation.

    Clients that are created later have them. A session registers all 127 by default, which takes 3 ms of CPU.
    """
    positions = {handlers.REGISTER_FIRST: events.register_first, handlers.REGISTER_LAST: events.register_last}
    for event, handler, *position in handlers.BUILTIN_HANDLERS:
        kind, _, rest = event.partition(".")
        if kind != "docs" and rest.partition(".")[0] in services:
            register = positions[position[0]] if position else events.register
            register(event, handler)


_CREDENTIAL_SERVICES = ("signin", "sso", "sso-oidc", "sts")
"""The services that botocore may call in its search for credentials, such as those of ``aws login``."""

_ENDPOINT_SETTINGS = ("AWS_ENDPOINT_URL", "AWS_USE_")
"""The beginnings of the environment variables that give a service another address than the default."""

_creating = threading.Lock()

_clients: weakref.WeakSet[BaseClient] = weakref.WeakSet()
"""All clients of this process."""
