"""The unpacked bundle of this app: each function runs on it and loads only the modules that it needs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import builders, bundle_files, local_certificate
from tests.fake_aws import FakeAws
from tests.local_certificate import Authority
from tools.bundle import archive, build, certificate_folder

# The maximum number of modules that a process loads from the bundle for one invocation: the counted number and a few
# more.
# Modules of the standard library are not counted, because they differ between versions of Python.
BUDGET = {
    "api_handler": 230,
    "on_upload": 230,
    "on_messages": 275,
    "on_change": 240,
    "on_deliveries": 248,
    "clean_up": 230,
    "authorize": 297,
}

# Modules that no function needs.
NEVER = {
    "boto3",
    "s3transfer",
    "multiprocessing",
    "asyncio",
    "importlib.metadata",
    "html",
    "pydantic",
    "botocore.docs.method",
}
PICTURES = {"PIL", "chalicelib.catalogue.thumbnail_jobs"}
SIGN_IN = {"jwt", "cryptography", "_cffi_backend"}
FORBIDDEN = {
    "api_handler": NEVER | PICTURES | SIGN_IN,
    "on_upload": NEVER | PICTURES | SIGN_IN,
    "on_messages": NEVER | SIGN_IN,
    "on_change": NEVER | PICTURES | SIGN_IN,
    "on_deliveries": NEVER | PICTURES | SIGN_IN,
    "clean_up": NEVER | PICTURES | SIGN_IN,
    "authorize": NEVER | PICTURES,
}

# One invocation in a new process. AWS's answers come from standard input: no connection is opened.
RUN = """
import io, json, re, sys
sys.path.insert(0, sys.argv[1])
given = json.load(sys.stdin)

compiled = []
compile_ = re._compiler.compile
re._compiler.compile = lambda pattern, flags=0: compiled.append(pattern) or compile_(pattern, flags)

import app
from chalicelib import aws, telemetry
from botocore.awsrequest import AWSResponse

class Raw(io.BytesIO):
    def stream(self, *_, **__):
        yield self.read()

def answer(request, **_):
    operation = (request.headers.get("X-Amz-Target") or b"").decode().rpartition(".")[2] or request.method
    calls.append(operation)
    if request.headers.get("If-None-Match"):
        return AWSResponse(request.url, 304, {}, Raw())
    body = bytes.fromhex(given["answers"].get(operation, ""))
    return AWSResponse(request.url, 200, {"content-length": str(len(body)), "etag": '"x"'}, Raw(body))

class Context:
    aws_request_id = function_name = function_version = invoked_function_arn = log_group_name = log_stream_name = "x"
    memory_limit_in_mb = 512
    def get_remaining_time_in_millis(self):
        return 60_000

calls = []
aws._session().register("before-send", answer)
handler = app.app if given["function"] == "api_handler" else getattr(app, given["function"])
result = handler(given["event"], Context())
print()
print(json.dumps({"result": result, "calls": calls, "modules": sorted(sys.modules), "compiled": compiled}, default=str))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the unpacked bundle, which is built from the sources and the installed dependencies."""
    folder = tmp_path_factory.mktemp("bundle")
    archive.unpack(build.build(bundle_files.stock_package()).entries, folder)
    return folder


class Functions:
    """Invoke functions, each in a new process that has only the bundle and the standard library."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def invoke(
        self, function: str, event: dict[str, Any], variables: Mapping[str, str] | None = None, **answers: bytes
    ) -> Any:
        given = {"function": function, "event": event, "answers": {name: body.hex() for name, body in answers.items()}}
        environment = {
            "STAGE": "local",
            "AUTH_MODE": "local",
            "BUCKET_NAME": "vitrine-local-000000000000-us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "REPORT_BATCH_ITEM_FAILURES": "true",
            **(variables or {}),
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", RUN, str(self._folder)],
            input=json.dumps(given),
            env=environment,
            cwd=os.sep,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def output(folder: Path, code: str) -> str:
    """Run ``code`` with only the bundle in ``folder`` and the standard library, and return its output."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def functions(unpacked: Path) -> Functions:
    return Functions(unpacked)


ITEM_ID = "0192d2b0-0000-7000-8000-000000000001"
RECORD = {
    "pk": {"S": "OWNER#local"},
    "sk": {"S": f"ITEM#{ITEM_ID}"},
    "version": {"N": "1"},
    "createdAt": {"S": "2026-01-01T00:00:00.000Z"},
    "updatedAt": {"S": "2026-01-01T00:00:00.000Z"},
    "fields": {"M": {"title": {"S": "Harbour"}, "price": {"N": "19.90"}}},
}

TIME = {"S": "2026-01-01T00:00:00.000Z"}
WEBHOOK = {
    "id": {"S": ITEM_ID},
    "url": {"S": "http://127.0.0.1:9/"},
    "events": {"L": [{"S": "*"}]},
    "createdAt": TIME,
    "updatedAt": TIME,
}
# A record that is read as either of them, because the same answer is given to every call of an operation.
WEBHOOKS_AND_DELIVERY = {
    "webhooks": {"L": [{"M": WEBHOOK}]},
    "revision": {"N": "1"},
    **{name: {"S": ITEM_ID} for name in ("webhookId", "eventId", "eventType", "event")},
    "createdAt": TIME,
}


def request(path: str, resource: str, **parameters: str) -> dict[str, Any]:
    """Return the event of a GET request, as API Gateway sends it."""
    return {
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
        "requestContext": {"resourcePath": resource, "httpMethod": "GET", "path": f"/api{path}", "requestId": "r"},
    }


def render(key: str) -> dict[str, Any]:
    """Return the event of a message that requests the thumbnails of ``key``."""
    return batch({"type": "image.render", "key": key})


def batch(message: Any) -> dict[str, Any]:
    """Return the event of a message."""
    record = {
        "messageId": "m",
        "receiptHandle": "h",
        "body": json.dumps(message),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1767225600000"},
    }
    return {"Records": [record]}


EVENTBRIDGE_EVENT = {
    "version": "0",
    "account": "123456789012",
    "region": "us-east-1",
    "detail": {},
    "detail-type": "x",
    "source": "aws.x",
    "time": "2026-01-01T00:00:00Z",
    "id": "x",
    "resources": [],
}
INVOCATIONS: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {
    "api_handler": (
        request(f"/items/{ITEM_ID}", "/items/{item_id}", item_id=ITEM_ID),
        {"GetItem": json.dumps({"Item": RECORD}).encode()},
    ),
    "on_upload": (
        {
            **EVENTBRIDGE_EVENT,
            "detail": {
                "bucket": {"name": "vitrine-local-000000000000-us-east-1"},
                "object": {"key": "uploads/a.jpg", "size": 1},
            },
        },
        {
            "GetQueueUrl": b'{"QueueUrl": "http://127.0.0.1/queue"}',
            "SendMessageBatch": b'{"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": []}',
        },
    ),
    "on_messages": (render("uploads/a.jpg"), {"GET": builders.jpeg()}),
    # Nothing listens on the port, so the delivery fails, and is attempted again in five seconds.
    "on_deliveries": (
        batch(
            {
                "owner": "local",
                "webhookId": ITEM_ID,
                "event": {"id": ITEM_ID, "type": "item.created", "data": {"itemId": ITEM_ID}},
            }
        ),
        {
            "GetItem": json.dumps({"Item": WEBHOOKS_AND_DELIVERY}).encode(),
            "GetParameter": b'{"Parameter": {"Value": "AAAA"}}',
            "GetQueueUrl": b'{"QueueUrl": "http://127.0.0.1/queue"}',
        },
    ),
    "on_change": (
        {
            "Records": [
                {
                    "eventID": "1",
                    "eventName": "INSERT",
                    "eventSource": "aws:dynamodb",
                    "awsRegion": "us-east-1",
                    "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/vitrine-local/stream/1",
                    "dynamodb": {
                        "ApproximateCreationDateTime": 1767225600,
                        "Keys": {name: RECORD[name] for name in ("pk", "sk")},
                        "NewImage": RECORD,
                        "SequenceNumber": "1",
                        "SizeBytes": 1,
                        "StreamViewType": "NEW_AND_OLD_IMAGES",
                    },
                }
            ]
        },
        {"PutEvents": b'{"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}', "GetItem": b"{}"},
    ),
    "clean_up": (EVENTBRIDGE_EVENT, {"Query": b'{"Items": [], "Count": 0}'}),
    "authorize": ({"type": "TOKEN", "authorizationToken": "Bearer a.b.c", "methodArn": "arn:aws:x:y:z:a/b/c/d"}, {}),
}
CALLS = {
    "api_handler": ["GetItem"],
    "on_upload": ["GetQueueUrl", "SendMessageBatch"],
    # Before and after it writes a thumbnail, the function checks that the upload is still the one that it read.
    "on_messages": ["GET", "GET", "PUT", "GET"],
    # The delivery, the owner's webhooks, the key of its secret, and what came of it.
    "on_deliveries": [
        "GetItem",
        "GetItem",
        "GetParameter",
        *("GetItem", "PutItem"),
        *("GetItem", "PutItem"),
        "GetQueueUrl",
        "ChangeMessageVisibilityBatch",
    ],
    # The event, the owner's webhooks and the number of changes.
    "on_change": ["PutEvents", "GetItem", "UpdateItem"],
    "clean_up": ["Query"] * 8,  # four shards of deliveries, and four of all other work
    "authorize": [],
}


@pytest.fixture(scope="module", params=INVOCATIONS)
def invoked(functions: Functions, request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Return the name of a function and the result of its first invocation."""
    function = request.param
    event, answers = INVOCATIONS[function]
    return function, functions.invoke(function, event, **answers)


def test_function_works(invoked: tuple[str, Any]) -> None:
    function, done = invoked

    assert done["calls"] == CALLS[function]
    if function == "api_handler":
        assert done["result"]["statusCode"] == 200
        assert json.loads(done["result"]["body"])["price"] == 19.9
    if function == "on_deliveries":
        assert done["result"] == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    if function in ("on_messages", "on_change"):
        assert done["result"] == {"batchItemFailures": []}


def from_bundle(modules: list[str]) -> list[str]:
    """Return the names in ``modules`` that do not belong to the standard library."""
    return [name for name in modules if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__"}]


def test_function_loads_only_what_it_needs(invoked: tuple[str, Any]) -> None:
    function, done = invoked

    assert [name for name in done["modules"] if name in FORBIDDEN[function]] == []
    assert len(from_bundle(done["modules"])) <= BUDGET[function]


def test_regular_expressions_are_precompiled(invoked: tuple[str, Any]) -> None:
    """Without the cache, a function compiles about 150. The functions compile a few when they run."""
    _, done = invoked

    assert len(done["compiled"]) <= 10, done["compiled"]


def test_precompiled_expressions_equal_pythons(unpacked: Path) -> None:
    code = """
import re
re.purge()
import precompiled_regexes
kept = dict(re._cache)
assert len(kept) > 100
print([pattern for (_, pattern, flags), it in kept.items() if re._compiler.compile(pattern, flags) != it])
"""
    assert output(unpacked, code) == "[]"


def test_another_engine_ignores_precompiled_expressions(unpacked: Path) -> None:
    code = "import _sre, re; _sre.MAGIC += 1; re.purge(); import precompiled_regexes; print(len(re._cache))"

    assert output(unpacked, code) == "0"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
def test_every_format_is_rendered(functions: Functions, kind: str) -> None:
    done = functions.invoke(
        "on_messages", render(f"uploads/a.{kind.lower()}"), GET=builders.saved(builders.quarters(), kind)
    )

    assert done["result"] == {"batchItemFailures": []}
    assert done["calls"] == CALLS["on_messages"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_are_verified(unpacked: Path, algorithm: str) -> None:
    code = f"""
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from chalicelib.http import auth
key = ec.generate_private_key(ec.SECP256R1()) if {algorithm!r} == "ES256" else rsa.generate_private_key(65537, 2048)
token = jwt.encode({{"sub": "ann"}}, key, {algorithm!r})
print(jwt.decode(token, key.public_key(), algorithms=auth.ALGORITHMS)["sub"])
"""
    assert output(unpacked, code) == "ann"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that is not trusted."""
    return local_certificate.create(tmp_path)


def call_with_tls(folder: Path, authority: Authority, environment: str = "") -> str:
    """Return the result of a call by the bundle in ``folder`` to a service with a certificate of ``authority``."""
    with FakeAws([], {}, authority.context()) as aws:
        code = f"""
import os
os.environ |= {{"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}}
{environment}
from botocore.config import Config
from botocore.session import Session
once = Config(retries={{"total_max_attempts": 1}})
client = Session().create_client("dynamodb", "us-east-1", endpoint_url={aws.url!r}, config=once)
try:
    client.get_item(TableName="t", Key={{"pk": {{"S": "a"}}, "sk": {{"S": "b"}}}})
    print("answered")
except Exception as error:
    print(type(error).__name__)
"""
        return output(folder, code)


def test_authority_in_the_folder_is_trusted(unpacked: Path, authority: Authority, tmp_path: Path) -> None:
    folder = shutil.copytree(unpacked, tmp_path / "bundle")
    for path, content in certificate_folder.split(authority.certificate.read_bytes()).items():
        (folder / path).write_bytes(content)

    assert call_with_tls(folder, authority) == "answered"


def test_unknown_authority_is_not_trusted(unpacked: Path, authority: Authority) -> None:
    assert call_with_tls(unpacked, authority) == "SSLError"


def test_aws_ca_bundle_is_used_instead(unpacked: Path, authority: Authority) -> None:
    named = f'os.environ["AWS_CA_BUNDLE"] = {str(authority.certificate)!r}'

    assert call_with_tls(unpacked, authority, named) == "answered"


def test_garbage_is_not_collected_during_start(unpacked: Path) -> None:
    """Collections before the first line of app.py cannot be avoided. Afterwards, collection is enabled."""
    code = """
import gc, os
os.environ |= {"STAGE": "local", "AUTH_MODE": "local"}
def collections(): return sum(generation["collections"] for generation in gc.get_stats())
before = collections()
import app
print(collections() - before, gc.isenabled())
"""
    collected, enabled = output(unpacked, code).split()

    assert int(collected) <= 5
    assert enabled == "True"


def test_calls_of_a_sampled_invocation_are_traced(functions: Functions) -> None:
    event, answers = INVOCATIONS["api_handler"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        variables = {
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            "_X_AMZN_TRACE_ID": header,
        }

        with_daemon = functions.invoke("api_handler", event, variables, **answers)

        sent = json.loads(daemon.recv(65_535).splitlines()[1])
    without = functions.invoke("api_handler", event, **answers)
    assert (sent["parent_id"], sent["aws"]["operation"]) == ("53995c3f42cd8ad8", "GetItem")
    assert set(with_daemon["modules"]) - set(without["modules"]) == {"chalicelib.aws.traces"}


def test_document_and_pages_are_served(functions: Functions) -> None:
    document = functions.invoke("api_handler", request("/openapi.json", "/openapi.json"))["result"]
    console = functions.invoke("api_handler", request("/", "/"))["result"]

    assert json.loads(document["body"])["openapi"].startswith("3.1")
    assert "<html" in console["body"]


def test_traceback_shows_source_line(unpacked: Path) -> None:
    path = f"import sys; sys.path.insert(0, {str(unpacked)!r})"
    code = f"{path}; from chalicelib.aws import dynamodb_json; dynamodb_json.serialize(1.5)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], env={}, capture_output=True, text=True, check=False
    )

    assert 'raise TypeError(f"DynamoDB cannot store a value of type {type(value).__name__}.")' in done.stderr
    assert f'File "{unpacked / "chalicelib" / "aws" / "dynamodb_json.py"}", line ' in done.stderr


def test_bundle_is_reproducible(unpacked: Path) -> None:
    again = build.build(bundle_files.stock_package()).entries

    assert {path: (unpacked / path).read_bytes() for path in again} == again
