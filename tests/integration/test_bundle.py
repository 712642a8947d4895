"""The bundle of this app as it is, unpacked: every function does its work on it, and loads what it needs for that."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import chalice
import pytest

from bench import tls
from bench.stand_in import Services
from tests import builders
from tools.bundle import archive, authorities, package

PROJECT = Path(__file__).parents[2]

# Modules of the bundle that a process has loaded when a function has done its work once; the standard library's differ
# from one Python to the next. A number is what was counted, and a few: who adds an import sees what comes with it.
BUDGET = {"api_handler": 200, "on_upload": 200, "on_messages": 240, "clean_up": 200, "authorize": 265}

# What a function has no business to load.
NEVER = {
    "boto3",
    "s3transfer",
    "multiprocessing",
    "asyncio",
    "importlib.metadata",
    "html",
    "pydantic",
    "botocore.docs.bcdoc",
}
PICTURES = {"PIL", "chalicelib.catalogue.thumbnail_jobs"}
SIGN_IN = {"jwt", "cryptography", "_cffi_backend"}
OF_THE_DOCUMENT = {"chalicelib.openapi.generator", "chalicelib.openapi.operations", "chalicelib.openapi.json_schemas"}
FORBIDDEN = {
    "api_handler": NEVER | PICTURES | SIGN_IN | OF_THE_DOCUMENT,
    "on_upload": NEVER | PICTURES | SIGN_IN | OF_THE_DOCUMENT,
    "on_messages": NEVER | SIGN_IN | OF_THE_DOCUMENT,
    "clean_up": NEVER | PICTURES | SIGN_IN | OF_THE_DOCUMENT,
    "authorize": NEVER | PICTURES | OF_THE_DOCUMENT,
}

# One invocation in a process as Lambda starts it, with AWS answering from the environment: no socket is opened.
RUN = """
import io, json, re, sys
sys.path.insert(0, sys.argv[1])
asked = json.load(sys.stdin)

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
    body = bytes.fromhex(asked["answers"].get(operation, ""))
    return AWSResponse(request.url, 200, {"content-length": str(len(body)), "etag": '"x"'}, Raw(body))

class Context:
    aws_request_id = function_name = function_version = invoked_function_arn = log_group_name = log_stream_name = "x"
    memory_limit_in_mb = 512
    def get_remaining_time_in_millis(self):
        return 60_000

calls = []
aws._session().register("before-send", answer)
handler = app.app if asked["function"] == "api_handler" else getattr(app, asked["function"])
result = handler(asked["event"], Context())
print()
print(json.dumps({"result": result, "calls": calls, "modules": sorted(sys.modules), "compiled": compiled}, default=str))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the sources here and the dependencies that are installed here."""
    folder = tmp_path_factory.mktemp("bundle")
    archive.unpack(package.bundled(dict(stock())).entries, folder)
    return folder


def stock() -> Iterator[tuple[str, bytes]]:
    """A package as Chalice makes it, by path."""
    for line in (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0]
        if "python_version <" in line or not name or name.startswith("#"):
            continue
        for file in metadata.files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                yield file.as_posix(), file.read_binary()
    for name in ("__init__.py", "app.py"):
        yield f"chalice/{name}", Path(chalice.__file__).with_name(name).read_bytes()
    for path in [PROJECT / "app.py", *(PROJECT / "chalicelib").rglob("*")]:
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(PROJECT).as_posix(), path.read_bytes()


class Functions:
    """Invokes the functions, each in a process of its own that has the bundle and the standard library, no more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def invoke(self, function: str, event: dict[str, Any], **answers: bytes) -> Any:
        asked = {"function": function, "event": event, "answers": {name: body.hex() for name, body in answers.items()}}
        environment = {
            "STAGE": "local",
            "AUTH_MODE": "local",
            "BUCKET_NAME": "vitrine-local-000000000000-us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "REPORT_BATCH_ITEM_FAILURES": "true",
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", RUN, str(self._folder)],
            input=json.dumps(asked),
            env=environment,
            cwd=os.sep,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def printed(folder: Path, code: str) -> str:
    """What ``code`` prints, run with the bundle in ``folder`` and the standard library alone."""
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


def request(path: str, resource: str, **parameters: str) -> dict[str, Any]:
    """The event of a GET, as API Gateway sends it."""
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
    """The event of a message that asks for the thumbnails of ``key``."""
    record = {
        "messageId": "m",
        "receiptHandle": "h",
        "body": json.dumps({"type": "image.render", "key": key}),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1767225600000"},
    }
    return {"Records": [record]}


SAID_BY_EVENTBRIDGE = {
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
WORK: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {
    "api_handler": (
        request(f"/items/{ITEM_ID}", "/items/{item_id}", item_id=ITEM_ID),
        {"GetItem": json.dumps({"Item": RECORD}).encode()},
    ),
    "on_upload": (
        {
            **SAID_BY_EVENTBRIDGE,
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
    "clean_up": (SAID_BY_EVENTBRIDGE, {"Query": b'{"Items": [], "Count": 0}'}),
    "authorize": ({"type": "TOKEN", "authorizationToken": "Bearer a.b.c", "methodArn": "arn:aws:x:y:z:a/b/c/d"}, {}),
}
DONE = {
    "api_handler": ["GetItem"],
    "on_upload": ["GetQueueUrl", "SendMessageBatch"],
    # Before and after a thumbnail is written, the renderer looks whether the file is still the one that it read.
    "on_messages": ["GET", "GET", "PUT", "GET"],
    "clean_up": ["Query"] * 4,
    "authorize": [],
}


@pytest.fixture(scope="module", params=WORK)
def invoked(functions: Functions, request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Each function, and what came of its first invocation."""
    function = request.param
    event, answers = WORK[function]
    return function, functions.invoke(function, event, **answers)


def test_a_function_does_its_work(invoked: tuple[str, Any]) -> None:
    function, done = invoked

    assert done["calls"] == DONE[function]
    if function == "api_handler":
        assert done["result"]["statusCode"] == 200
        assert json.loads(done["result"]["body"])["price"] == 19.9
    if function == "on_messages":
        assert done["result"] == {"batchItemFailures": []}


def ours(modules: list[str]) -> list[str]:
    """Those of ``modules`` that came out of the bundle."""
    return [name for name in modules if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__"}]


def test_a_function_loads_only_what_it_runs(invoked: tuple[str, Any]) -> None:
    function, done = invoked

    assert [name for name in done["modules"] if name in FORBIDDEN[function]] == []
    assert len(ours(done["modules"])) <= BUDGET[function]


def test_regular_expressions_are_compiled_already(invoked: tuple[str, Any]) -> None:
    """But for a few that are first asked for by what a function does: some hundred and fifty otherwise."""
    _, done = invoked

    assert len(done["compiled"]) <= 10, done["compiled"]


def test_they_are_what_python_makes_of_them(unpacked: Path) -> None:
    code = """
import re
re.purge()
import compiled_patterns
kept = dict(re._cache)
assert len(kept) > 100
print([pattern for (_, pattern, flags), it in kept.items() if re._compiler.compile(pattern, flags) != it])
"""
    assert printed(unpacked, code) == "[]"


def test_a_python_with_another_engine_compiles_them_itself(unpacked: Path) -> None:
    code = "import _sre, re; _sre.MAGIC += 1; re.purge(); import compiled_patterns; print(len(re._cache))"

    assert printed(unpacked, code) == "0"


def test_a_session_has_the_handlers_of_the_services_in_use(unpacked: Path) -> None:
    """All that botocore has for them, and none that is there for another or for documentation."""
    code = "from botocore import handlers; print([handler[0] for handler in handlers.BUILTIN_HANDLERS])"
    # A process of its own: in this one, moto has added some.
    whole = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    kept = ast.literal_eval(printed(unpacked, code))

    assert kept == [event for event in ast.literal_eval(whole) if concerns(event, {"dynamodb", "s3", "sqs"})]


def concerns(event: str, services: set[str]) -> bool:
    """Whether an event of botocore's is one of these services', or of all, and not one of its documentation's."""
    match event.split("."):
        case ["docs", *_]:
            return False
        case [_, service, *_]:
            return service == "*" or service in services
    return True


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
def test_every_kind_of_picture_is_rendered(functions: Functions, kind: str) -> None:
    done = functions.invoke(
        "on_messages", render(f"uploads/a.{kind.lower()}"), GET=builders.saved(builders.quarters(), kind)
    )

    assert done["result"] == {"batchItemFailures": []}
    assert done["calls"] == DONE["on_messages"]


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
    assert printed(unpacked, code) == "ann"


@pytest.fixture
def authority(tmp_path: Path) -> tls.Authority:
    """One that nobody trusts so far."""
    return tls.made(tmp_path)


def called(folder: Path, authority: tls.Authority, environment: str = "") -> str:
    """What comes of a call by the bundle in ``folder`` to a service that shows a certificate of ``authority``."""
    with Services([], {}, authority.context()) as services:
        code = f"""
import os
os.environ |= {{"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}}
{environment}
from botocore.config import Config
from botocore.session import Session
once = Config(retries={{"total_max_attempts": 1}})
client = Session().create_client("dynamodb", "us-east-1", endpoint_url={services.url!r}, config=once)
try:
    client.get_item(TableName="t", Key={{"pk": {{"S": "a"}}, "sk": {{"S": "b"}}}})
    print("answered")
except Exception as error:
    print(type(error).__name__)
"""
        return printed(folder, code)


def test_a_service_is_trusted_by_an_authority_in_the_folder(
    unpacked: Path, authority: tls.Authority, tmp_path: Path
) -> None:
    folder = shutil.copytree(unpacked, tmp_path / "bundle")
    for path, content in authorities.files(authority.certificate.read_bytes()).items():
        (folder / path).write_bytes(content)

    assert called(folder, authority) == "answered"


def test_a_service_of_an_unknown_authority_is_not_trusted(unpacked: Path, authority: tls.Authority) -> None:
    assert called(unpacked, authority) == "SSLError"


def test_authorities_that_somebody_names_count_instead(unpacked: Path, authority: tls.Authority) -> None:
    named = f'os.environ["AWS_CA_BUNDLE"] = {str(authority.certificate)!r}'

    assert called(unpacked, authority, named) == "answered"


def test_a_start_is_not_held_up_by_looking_for_garbage(unpacked: Path) -> None:
    """But for what comes before the app's first line; afterwards it is collected as ever."""
    code = """
import gc, os
os.environ |= {"STAGE": "local", "AUTH_MODE": "local"}
def collections(): return sum(generation["collections"] for generation in gc.get_stats())
before = collections()
import app
print(collections() - before, gc.isenabled())
"""
    held_up, goes_on = printed(unpacked, code).split()

    assert int(held_up) <= 3
    assert goes_on == "True"


def test_the_document_and_the_pages_are_there(functions: Functions) -> None:
    document = functions.invoke("api_handler", request("/openapi.json", "/openapi.json"))["result"]
    console = functions.invoke("api_handler", request("/", "/"))["result"]

    assert json.loads(document["body"])["openapi"].startswith("3.1")
    assert "<html" in console["body"]


def test_an_error_shows_its_line_in_the_log(unpacked: Path) -> None:
    path = f"import sys; sys.path.insert(0, {str(unpacked)!r})"
    code = f"{path}; from chalicelib.aws import dynamodb_json; dynamodb_json.serialize(1.5)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], env={}, capture_output=True, text=True, check=False
    )

    assert 'raise TypeError(f"DynamoDB cannot store a value of type {type(value).__name__}.")' in done.stderr
    assert f'File "{unpacked / "chalicelib" / "aws" / "dynamodb_json.py"}", line ' in done.stderr


def test_it_is_the_same_bytes_every_time(unpacked: Path) -> None:
    again = package.bundled(dict(stock())).entries

    assert {path: (unpacked / path).read_bytes() for path in again} == again
