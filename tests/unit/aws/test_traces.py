"""The subsegments of AWS calls and of other requests: what they contain, and when none is sent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ParamValidationError, ReadTimeoutError
from botocore.hooks import HierarchicalEmitter

from chalicelib import aws, telemetry
from chalicelib.aws import traces

PROJECT = Path(__file__).parents[3]
PARENT = "53995c3f42cd8ad8"
ROOT = "1-5759e988-bd862e3fe1be46a994272793"
TABLE = {"TableName": "a-table"}
KEY = {"Key": {"pk": {"S": "SECRET"}}}

# X-Ray Developer Guide, "X-Ray segment documents": the required fields of a subsegment that is sent alone, and the
# types of its others. AWS's schema has no `retries` and `bucket_name`, which its SDKs send too: `aws` may have more
# fields. Nothing else may be sent.
ID = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 250}


def exactly(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


EXCEPTION = exactly({"id": ID, "type": TEXT, "remote": {"type": "boolean"}})
REQUIRED: dict[str, Any] = {
    "type": {"const": "subsegment"},
    "id": ID,
    "trace_id": {"type": "string", "pattern": "^1-[0-9a-f]{8}-[0-9a-f]{24}$"},
    "parent_id": ID,
    "name": {"type": "string", "pattern": r"^[\w .:/%&#=+\\\-@]{1,200}$"},
    "start_time": {"type": "number"},
    "end_time": {"type": "number"},
}
OUTCOME: dict[str, Any] = {
    "http": exactly({"response": exactly({"status": {"type": "integer"}})}),
    "error": {"const": True},
    "throttle": {"const": True},
    "fault": {"const": True},
    "cause": exactly({"exceptions": {"type": "array", "items": EXCEPTION, "minItems": 1, "maxItems": 1}}),
}
AWS_CALL = exactly(
    {"operation": TEXT, "region": TEXT, "retries": {"type": "integer", "minimum": 0}},
    request_id=TEXT,
    table_name=TEXT,
    bucket_name=TEXT,
    queue_url=TEXT,
)
SUBSEGMENT = {
    "anyOf": [
        exactly(REQUIRED | {"namespace": {"const": "aws"}, "aws": AWS_CALL}, **OUTCOME),
        exactly(REQUIRED | {"namespace": {"const": "remote"}}, **OUTCOME),
    ]
}


class Daemon:
    """What Lambda provides: a daemon that receives documents, and the variable of an invocation."""

    def __init__(self, patch: pytest.MonkeyPatch, received: socket.socket) -> None:
        self._patch = patch
        self._socket = received
        self.invoke()

    def invoke(self, header: str = f"Root={ROOT};Parent={PARENT};Sampled=1") -> None:
        """Begin an invocation with this tracing header."""
        self._patch.setenv("_X_AMZN_TRACE_ID", header)

    def read(self, number: int = 1) -> list[dict[str, Any]]:
        """Return the next documents, which must be valid."""
        return [self._read() for _ in range(number)]

    def _read(self) -> dict[str, Any]:
        header, document = self._socket.recv(65_535).split(b"\n")
        assert json.loads(header) == {"format": "json", "version": 1}
        assert b"SECRET" not in document
        found: dict[str, Any] = json.loads(document)
        jsonschema.validate(found, SUBSEGMENT)
        return found


@pytest.fixture(scope="module")
def received() -> Iterator[socket.socket]:
    """Return the socket of a daemon that the clients send to. Creating clients takes longer than most tests."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound, traced_clients() as patch:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        patch.setenv("AWS_XRAY_DAEMON_ADDRESS", address_of(bound))
        yield bound


def address_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()
    return f"{host}:{port}"


@contextmanager
def traced_clients() -> Iterator[pytest.MonkeyPatch]:
    """Create clients again on first use inside the block, and for the tests after it."""
    clear_clients()
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    clear_clients()


def clear_clients() -> None:
    aws._client.cache_clear()
    aws._session.cache_clear()


@pytest.fixture
def daemon(received: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    yield Daemon(monkeypatch, received)
    while responders:
        client, respond = responders.pop()
        client.meta.events.unregister("before-send", respond)


responders: list[tuple[Any, Callable[..., AWSResponse]]] = []
"""The handlers that respond in place of AWS, with their clients."""


class Raw:
    """The body of a response, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.body


Answer = tuple[int, bytes] | Exception


def answer(client: Any, *answers: Answer, requests: list[Any] | None = None) -> None:
    """Let AWS respond to the next attempts with these statuses and bodies, and repeat the last.

    Add the requests to ``requests``.
    """
    left = list(answers)

    def respond(request: Any, **_: Any) -> AWSResponse:
        if requests is not None:
            requests.append(request)
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return AWSResponse(request.url, one[0], {"x-amzn-requestid": "R1", "x-amz-request-id": "R1"}, Raw(one[1]))

    client.meta.events.register_first("before-send", respond)
    responders.append((client, respond))


def refusal(code: str, status: int = 400, **details: Any) -> Answer:
    """Return a response of DynamoDB with an error code. Its message contains a key."""
    return status, json.dumps({"__type": f"x#{code}", "message": "SECRET", **details}).encode()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


def get_item() -> None:
    aws.dynamodb().get_item(**TABLE, **KEY)


def test_call_is_a_subsegment_of_the_invocation(daemon: Daemon) -> None:
    answer(aws.dynamodb(), (200, b"{}"))
    before = time.time()

    get_item()

    [sent] = daemon.read()
    assert before <= sent.pop("start_time") <= sent.pop("end_time") <= time.time()
    assert sent.pop("id") != PARENT
    assert sent == {
        "type": "subsegment",
        "trace_id": ROOT,
        "parent_id": PARENT,
        "name": "DynamoDB",
        "namespace": "aws",
        "http": {"response": {"status": 200}},
        "aws": {
            "operation": "GetItem",
            "region": "us-east-1",
            "retries": 0,
            "request_id": "R1",
            "table_name": "a-table",
        },
    }


@pytest.mark.parametrize(
    ("call", "name", "resource"),
    [
        (lambda: aws.dynamodb().query(**TABLE, KeyConditionExpression="SECRET"), "DynamoDB", {"table_name": "a-table"}),
        (
            lambda: aws.dynamodb().batch_get_item(RequestItems={"a-table": {"Keys": [KEY["Key"]]}}),
            "DynamoDB",
            {"table_name": "a-table"},
        ),
        (
            lambda: aws.dynamodb().transact_write_items(
                TransactItems=[{"Put": TABLE | {"Item": {"pk": {"S": "SECRET"}}}}, {"Delete": TABLE | KEY}]
            ),
            "DynamoDB",
            {"table_name": "a-table"},
        ),
        (lambda: aws.s3().delete_object(Bucket="a-bucket", Key="SECRET"), "S3", {"bucket_name": "a-bucket"}),
        (lambda: aws.s3().list_buckets(), "S3", {}),
        (
            lambda: aws.sqs().send_message(QueueUrl="https://sqs/1/jobs", MessageBody="SECRET"),
            "SQS",
            {"queue_url": "https://sqs/1/jobs"},
        ),
    ],
    ids=["query", "batch", "transaction", "object", "buckets", "message"],
)
def test_resource_of_a_call_is_named(
    daemon: Daemon, call: Callable[[], object], name: str, resource: dict[str, str]
) -> None:
    for client in (aws.dynamodb(), aws.sqs()):
        answer(client, (200, b"{}"))
    answer(aws.s3(), (200, b""))

    call()

    [sent] = daemon.read()
    assert sent["name"] == name
    common = {"operation", "region", "retries", "request_id"}
    assert {field: value for field, value in sent["aws"].items() if field not in common} == resource


CANCELLED = {"CancellationReasons": [{"Code": "None"}, {"Code": "ThrottlingError", "Message": "SECRET"}]}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("answered", "marks", "code"),
    [
        (refusal("ConditionalCheckFailedException"), {"error"}, "ConditionalCheckFailedException"),
        (refusal("ThrottlingException"), {"error", "throttle"}, "ThrottlingException"),
        (refusal("TransactionCanceledException", **CANCELLED), {"error", "throttle"}, "TransactionCanceledException"),
        (refusal("SomethingElse", 429), {"error", "throttle"}, "SomethingElse"),
        (refusal("InternalServerError", 500), {"fault"}, "InternalServerError"),
    ],
)
def test_refused_call_is_marked(daemon: Daemon, answered: Answer, marks: set[str], code: str) -> None:
    answer(aws.dynamodb(), answered)

    with pytest.raises(aws.dynamodb().exceptions.ClientError):
        aws.dynamodb().transact_write_items(TransactItems=[{"Delete": TABLE | KEY}])

    [sent] = daemon.read()
    assert {"error", "throttle", "fault"} & sent.keys() == marks
    [cause] = sent["cause"]["exceptions"]
    assert (cause["type"], cause["remote"]) == (code, True)
    assert sent["http"]["response"]["status"] == answered[0]  # type: ignore[index]


def test_object_that_has_not_changed_is_no_error(daemon: Daemon) -> None:
    answer(aws.s3(), (304, b""))

    with pytest.raises(aws.s3().exceptions.ClientError):
        aws.s3().head_object(Bucket="a-bucket", Key="SECRET", IfNoneMatch='"SECRET"')

    [sent] = daemon.read()
    assert sent["http"]["response"]["status"] == 304
    assert not {"error", "fault", "throttle", "cause"} & sent.keys()


@pytest.mark.usefixtures("no_waiting")
def test_retries_are_counted(daemon: Daemon) -> None:
    answer(
        aws.dynamodb(), refusal("ThrottlingException"), ReadTimeoutError(endpoint_url="https://SECRET"), (200, b"{}")
    )

    get_item()

    [sent] = daemon.read()
    assert sent["aws"]["retries"] == 2
    assert sent["http"]["response"]["status"] == 200


@pytest.mark.usefixtures("no_waiting")
def test_timeout_is_a_fault(daemon: Daemon) -> None:
    answer(aws.dynamodb(), ReadTimeoutError(endpoint_url="https://SECRET"))

    with pytest.raises(ReadTimeoutError):
        get_item()

    [sent] = daemon.read()
    assert sent["fault"] is True
    assert (sent["aws"]["retries"], sent["aws"]["table_name"]) == (2, "a-table")
    [cause] = sent["cause"]["exceptions"]
    assert (cause["type"], cause["remote"]) == ("ReadTimeoutError", False)
    assert "http" not in sent


@pytest.mark.parametrize(
    "header",
    ["", f"Root={ROOT};Parent={PARENT};Sampled=0", f"Root={ROOT};Sampled=1", f"Root={ROOT};Parent={PARENT}", "=;=;;x"],
)
def test_invocation_that_is_not_sampled_sends_nothing(daemon: Daemon, header: str) -> None:
    answer(aws.dynamodb(), (200, b"{}"))
    daemon.invoke(header)
    get_item()
    daemon.invoke()
    aws.dynamodb().describe_table(**TABLE)

    [sent] = daemon.read()

    assert sent["aws"]["operation"] == "DescribeTable"


def test_each_invocation_has_its_own_parent(daemon: Daemon) -> None:
    answer(aws.dynamodb(), (200, b"{}"))
    expected = [(f"1-5759e988-{number:024x}", f"{number:016x}") for number in range(3)]
    for root, parent in expected:
        daemon.invoke(f"Root={root};Parent={parent};Sampled=1;Lineage=1:a87bd80c:0")
        get_item()
        get_item()

    sent = daemon.read(6)

    assert [(one["trace_id"], one["parent_id"]) for one in sent[::2]] == expected
    assert len({one["id"] for one in sent}) == 6


def test_calls_of_threads_are_not_mixed(daemon: Daemon) -> None:
    answer(aws.dynamodb(), (200, b"{}"))
    tables = [f"table-{number}" for number in range(24)]

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda name: aws.dynamodb().describe_table(TableName=name), tables):
            pass

    assert sorted(one["aws"]["table_name"] for one in daemon.read(24)) == sorted(tables)


def test_message_has_the_id_of_the_trace(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    # botocore sends the header. SQS keeps it with the message, and Lambda links the trace of the consumer.
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "api_handler")
    requests: list[Any] = []
    answer(aws.sqs(), (200, b"{}"), requests=requests)

    aws.sqs().send_message(QueueUrl="https://sqs/1/jobs", MessageBody="SECRET")

    daemon.read()
    assert requests[0].headers["X-Amzn-Trace-Id"].decode() == f"Root={ROOT};Parent={PARENT};Sampled=1"


def test_presigned_url_and_invalid_call_send_nothing(daemon: Daemon) -> None:
    answer(aws.s3(), (204, b""))
    aws.s3().generate_presigned_url("get_object", Params={"Bucket": "a-bucket", "Key": "SECRET"})
    with pytest.raises(ParamValidationError):
        aws.s3().get_object(Bucket="a-bucket", Key=1)  # type: ignore[arg-type]
    aws.s3().delete_object(Bucket="a-bucket", Key="SECRET")

    [sent] = daemon.read()

    assert sent["aws"]["operation"] == "DeleteObject"


def test_longest_names_fit_into_a_document(daemon: Daemon) -> None:
    # The longest of each in the models of AWS; X-Ray accepts 64 kB.
    answer(aws.dynamodb(), refusal("x" * 200))

    with pytest.raises(aws.dynamodb().exceptions.ClientError):
        aws.dynamodb().describe_table(TableName="t" * 250)

    assert len(json.dumps(daemon.read())) < 2000


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "daemon:2000", "127.0.0.1:x", "tcp:127.0.0.1:2000", "127.0.0.1:99999", "1.1:2000"]
)
def test_invalid_address_is_logged(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(telemetry.logger, "warning", lambda text, **_: warnings.append(text))
    events = HierarchicalEmitter()

    traces.trace_calls(events, address)

    assert warnings == ["Calls are not traced: AWS_XRAY_DAEMON_ADDRESS must be IP:PORT"]
    assert events.emit("after-call.s3.GetObject", context={}) == []


def test_calls_work_if_nobody_listens(daemon: Daemon) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        address = address_of(unused)
    events = HierarchicalEmitter()
    traces.trace_calls(events, address)
    model = aws.dynamodb().meta.service_model.operation_model("GetItem")
    meta = {"HTTPStatusCode": 200, "RequestId": "R1"}

    for _ in range(3):  # an earlier document must not make a later one fail
        context: dict[str, Any] = {"client_region": "us-east-1"}
        events.emit("provide-client-params.dynamodb.GetItem", params=TABLE, model=model, context=context)
        events.emit("after-call.dynamodb.GetItem", parsed={"ResponseMetadata": meta}, context=context)


@pytest.mark.parametrize(("problem", "logged"), [(BlockingIOError(), []), (TypeError(), ["Tracing a call failed"])])
def test_calls_work_if_tracing_fails(
    daemon: Daemon, problem: Exception, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[str] = []

    def fail(*_: Any) -> bytes:
        raise problem

    answer(aws.dynamodb(), (200, b"{}"))
    monkeypatch.setattr(telemetry.logger, "exception", lambda text, **_: errors.append(text))
    monkeypatch.setattr(traces, "_subsegment", fail)

    get_item()

    assert errors == logged


CODE = """
import sys
from chalicelib import aws
aws.dynamodb()
print("chalicelib.aws.traces" in sys.modules)
"""


def test_without_a_daemon_the_module_is_not_imported() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AWS_XRAY_DAEMON_ADDRESS"}

    printed = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "False"


@pytest.mark.parametrize(
    ("status", "marked"),
    [(204, set()), (404, {"error"}), (429, {"error", "throttle"}), (500, {"fault"})],
)
def test_request_to_another_server(daemon: Daemon, status: int, marked: set[str]) -> None:
    with traces.traced_request("hooks.example") as traced:
        traced.status = status

    [found] = daemon.read()
    assert (found["name"], found["namespace"]) == ("hooks.example", "remote")
    assert (found["trace_id"], found["parent_id"]) == (ROOT, PARENT)
    assert found["http"] == {"response": {"status": status}}
    assert found.keys() & {"error", "fault", "throttle"} == marked


def test_request_without_a_response(daemon: Daemon) -> None:
    with pytest.raises(TimeoutError), traces.traced_request("hooks.example"):
        raise TimeoutError("SECRET")

    [found] = daemon.read()
    assert found["fault"] is True
    assert found["cause"]["exceptions"][0]["type"] == "TimeoutError"


def test_request_is_not_traced_if_its_invocation_is_not(daemon: Daemon) -> None:
    daemon.invoke(f"Root={ROOT};Parent={PARENT};Sampled=0")
    with traces.traced_request("not-traced.example") as traced:
        traced.status = 200
    daemon.invoke()
    with traces.traced_request("traced.example") as traced:
        traced.status = 200

    assert daemon.read()[0]["name"] == "traced.example"
