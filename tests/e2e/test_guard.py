"""Access to the emulator: only for its owner's programs and the console's pages, not for other users or sites."""

from __future__ import annotations

import functools
import http.client
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.e2e.system import EMULATOR_PYTHON, emulator_without_saves
from tools.laptop.emulator import ACCOUNT, REGION, Emulator, client_factory
from tools.laptop.emulator_wrapper.request_guard import API, HEALTH

HTTP_PORT = 8000
BUCKET = "pictures"
POOL_KEYS = f"/{REGION}_Ab1/.well-known/jwks.json"
STRANGE_KEYS = ["test", ACCOUNT, "222222222222", "ROOT", "ROOT1", f"ROOT{ACCOUNT}", "AKIAIOSFODNN7EXAMPLE"]
"""Keys that ministack takes for root without a check, and keys whose secret the caller does not know."""


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def is_refused(self) -> bool:
        return self.status == 403 and json.loads(self.body)["error"] == "FORBIDDEN"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("guard")
    (folder / "ports").mkdir()
    (folder / "ports" / str(HTTP_PORT)).touch()
    with emulator_without_saves(folder / "emulator") as started:
        s3 = s3_as(started, *started.root())
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="picture", Body=b"picture")
        rule = {"AllowedMethods": ["GET", "POST"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}
        s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
        yield started


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Any:
    return functools.cache(client_factory(emulator.url, emulator.root()))


def ask(
    emulator: Emulator, method: str, target: str, *headers: tuple[str, str], body: bytes = b"", host: str | None = None
) -> Reply:
    """Send a request with exactly these headers; without Host if ``host`` is ""."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=30)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    sent = [("Host", host or f"127.0.0.1:{emulator.port}")] if host != "" else []
    for name, value in [*sent, *headers, ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    try:
        return Reply(answer.status, answer.msg, answer.read())
    finally:
        connection.close()


def ask_signed(
    emulator: Emulator, method: str, target: str, credentials: Credentials, service: str, operation: str = ""
) -> Reply:
    """Send a request with a signature in its headers."""
    request = AWSRequest(method, emulator.url + target, data=b"{}" if operation else b"")
    if operation:
        request.headers["X-Amz-Target"] = operation
        request.headers["Content-Type"] = "application/x-amz-json-1.0"
    if service == "s3":
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    SigV4Auth(credentials, service, REGION).add_auth(request)
    return ask(emulator, method, target, *request.headers.items(), body=request.data)


def signed(emulator: Emulator, query: dict[str, str], key: str, secret: str, service: str = "iam") -> str:
    """Return the target of a presigned GET of a query API, as an attacker would put it into a link."""
    request = AWSRequest("GET", f"{emulator.url}/?{urlencode(query)}")
    SigV4QueryAuth(Credentials(key, secret), service, REGION).add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def presigned(emulator: Emulator, key: str, secret: str) -> str:
    """Return the target of a presigned GET of an object."""
    parts = urlsplit(s3_as(emulator, key, secret).generate_presigned_url("get_object", _picture()))
    return f"{parts.path}?{parts.query}"


@functools.cache
def s3_as(emulator: Emulator, key: str, secret: str) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return boto3.Session(key, secret, region_name=REGION).client("s3", endpoint_url=emulator.url, config=config)


def _picture() -> dict[str, str]:
    return {"Bucket": BUCKET, "Key": "picture"}


def form(fields: dict[str, str]) -> tuple[tuple[str, str], bytes]:
    """Return a multipart form: its Content-Type header and its body."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nnew\r\n--b--\r\n')
    return ("Content-Type", "multipart/form-data; boundary=b"), "".join(parts).encode()


def upload_form(emulator: Emulator, key: str, secret: str, name: str = "uploaded") -> tuple[tuple[str, str], bytes]:
    return form(s3_as(emulator, key, secret).generate_presigned_post(BUCKET, name)["fields"])


CREATE_ROLE = {
    "Action": "CreateRole",
    "Version": "2010-05-08",
    "RoleName": "mine",
    "AssumeRolePolicyDocument": '{"Statement": []}',
}


def roles(client: Any) -> set[str]:
    return {role["RoleName"] for role in client("iam").list_roles()["Roles"]}


# ------------------------------------------------------------------------------------------------------- other sites


FROM_ELSEWHERE = [
    [("Origin", "https://evil.example")],
    [("Origin", "null")],
    [("Origin", "http://127.0.0.1:3000")],
    [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
    [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
]


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", HEALTH),
        ("POST", "/_ministack/reset"),
        ("GET", f"{API}any/api/items"),
        ("POST", f"{API}any/api/items"),
        ("OPTIONS", f"/{BUCKET}"),
        ("PUT", f"/{BUCKET}/x"),
    ],
)
def test_pages_of_other_origins_are_refused(
    emulator: Emulator, headers: list[tuple[str, str]], method: str, target: str
) -> None:
    reply = ask(emulator, method, target, *headers)

    assert reply.is_refused
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "{bucket}.localhost:{port}", ""])
def test_other_names_of_the_machine_are_refused(emulator: Emulator, host: str) -> None:
    assert ask(emulator, "GET", HEALTH, host=host.format(port=emulator.port, bucket=BUCKET)).status in (400, 403)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_an_absolute_target_is_refused(emulator: Emulator, method: str) -> None:
    assert ask(emulator, method, "http://evil.example/_ministack/health").status in (400, 403)


def test_a_websocket_is_refused(emulator: Emulator) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    assert ask(emulator, "GET", f"{API}a/b", *upgrade, ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg==")).status == 403


@pytest.mark.parametrize("key", STRANGE_KEYS)
def test_link_signed_with_a_known_key_is_refused(emulator: Emulator, client: Any, key: str) -> None:
    before = roles(client)

    reply = ask(emulator, "GET", signed(emulator, CREATE_ROLE, key, "test"))

    assert reply.status == 403
    assert roles(client) == before


# ------------------------------------------------------------------------------------------- callers without a secret


def test_request_signed_with_the_secret_is_root(emulator: Emulator, client: Any) -> None:
    target = signed(emulator, CREATE_ROLE | {"RoleName": "ours"}, *emulator.root())

    assert ask(emulator, "GET", target).status == 200
    assert "ours" in roles(client)
    assert client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_each_account_has_its_own_root(emulator: Emulator) -> None:
    other = client_factory(emulator.url, emulator.root("222222222222"))
    other("sqs").create_queue(QueueName="theirs")

    assert other("sts").get_caller_identity()["Account"] == "222222222222"
    assert not client_factory(emulator.url, emulator.root())("sqs").list_queues().get("QueueUrls")


UNSIGNED = [
    ("GET", "/", "", b""),
    ("GET", f"/{BUCKET}", "", b""),
    ("GET", f"/{BUCKET}/picture", "", b""),
    ("PUT", f"/{BUCKET}/x", "", b"x"),
    ("DELETE", f"/{BUCKET}/picture", "", b""),
    ("POST", "/", "DynamoDB_20120810.ListTables", b"{}"),
    ("POST", "/", "AmazonSQS.ListQueues", b"{}"),
    ("POST", "/", "AWSCognitoIdentityProviderService.InitiateAuth", b"{}"),
    ("POST", "/?Action=ListRoles", "AWSCognitoIdentityProviderService.DeleteUser", b"{}"),
    ("GET", "/2015-03-31/functions", "", b""),
    ("POST", "/2015-03-31/functions/f/invocations", "", b"{}"),
    ("GET", f"/?{urlencode(CREATE_ROLE)}", "", b""),
    ("GET", "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a&WebIdentityToken=b", "", b""),
    ("GET", f"{POOL_KEYS}?Action=AssumeRoleWithWebIdentity&Version=2011-06-15", "", b""),
    ("GET", POOL_KEYS, "AWSCognitoIdentityProviderService.InitiateAuth", b"{}"),
    ("GET", f"{API}?Action=AssumeRoleWithWebIdentity&Version=2011-06-15", "", b""),
    ("POST", API, "AWSCognitoIdentityProviderService.InitiateAuth", b"{}"),
    ("GET", "/restapis/a/b/_user_request_/items", "", b""),
    ("GET", "/oauth2/authorize", "", b""),
    ("GET", "/health", "", b""),
    ("GET", "/v2/_catalog", "", b""),
]


@pytest.mark.parametrize(("method", "target", "operation", "body"), UNSIGNED)
def test_an_unsigned_request_is_refused(
    emulator: Emulator, client: Any, method: str, target: str, operation: str, body: bytes
) -> None:
    headers = [("X-Amz-Target", operation), ("Content-Type", "application/x-amz-json-1.0")] if operation else []

    assert ask(emulator, method, target, *headers, body=body).is_refused
    assert ask(emulator, method, target, *headers, ("Authorization", "Bearer x"), body=body).is_refused
    assert client("s3").get_object(**_picture())["Body"].read() == b"picture"


@pytest.mark.parametrize("key", STRANGE_KEYS)
@pytest.mark.parametrize(
    ("service", "method", "target", "operation"),
    [
        ("s3", "GET", "/", ""),
        ("s3", "PUT", f"/{BUCKET}/x", ""),
        ("dynamodb", "POST", "/", "DynamoDB_20120810.ListTables"),
        ("sqs", "POST", "/", "AmazonSQS.ListQueues"),
        ("lambda", "GET", "/2015-03-31/functions", ""),
        ("sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", ""),
        ("iam", "GET", "/?Action=ListRoles&Version=2010-05-08", ""),
    ],
)
def test_known_key_without_secret_has_no_rights(
    emulator: Emulator, key: str, service: str, method: str, target: str, operation: str
) -> None:
    reply = ask_signed(emulator, method, target, Credentials(key, "test"), service, operation)
    ours = ask_signed(emulator, method, target, Credentials(*emulator.root()), service, operation)

    assert reply.status in (400, 403)
    assert ours.status == 200


@pytest.mark.parametrize("key", STRANGE_KEYS)
def test_a_presigned_url_needs_the_secret(emulator: Emulator, key: str) -> None:
    assert ask(emulator, "GET", presigned(emulator, key, "test")).status == 403


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Credential={key}/20260101/us-east-1/s3/aws4_request",
        "X-Amz-Credential={key}/20260101/us-east-1/s3/aws4_request&X-Amz-Signature=0",
        "x-amz-credential={key}/20260101/us-east-1/s3/aws4_request&x-amz-algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential={key}/20260101/s3/aws4_request&X-Amz-Signature=0",
        "AWSAccessKeyId={key}&Signature=x&Expires=9999999999",
        "AWSAccessKeyId={key}",
    ],
)
@pytest.mark.parametrize("target", [f"/{BUCKET}/picture", "/", "/?Action=ListRoles&Version=2010-05-08"])
def test_incomplete_signature_is_refused(emulator: Emulator, query: str, target: str) -> None:
    for key in STRANGE_KEYS:
        joined = f"{target}{'&' if '?' in target else '?'}{query.format(key=key)}"
        assert ask(emulator, "GET", joined).status in (400, 403)


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential={key}/",
        "AWS4-ECDSA-P256-SHA256 Credential={key}/20260101/s3/aws4_request, SignedHeaders=host, Signature=0",
        "AWS {key}:c2ln",
    ],
)
@pytest.mark.parametrize("target", [f"/{BUCKET}/picture", "/", "/?Action=ListRoles&Version=2010-05-08"])
def test_forged_authorization_header_is_refused(emulator: Emulator, authorization: str, target: str) -> None:
    for key in STRANGE_KEYS:
        header = ("Authorization", authorization.format(key=key))
        assert ask(emulator, "GET", target, header).status in (400, 403)


def test_a_second_authorization_is_refused(emulator: Emulator) -> None:
    request = AWSRequest("GET", f"{emulator.url}/?Action=ListRoles&Version=2010-05-08")
    SigV4Auth(Credentials("test", "test"), "iam", REGION).add_auth(request)
    other = [("Authorization", value) for value in (request.headers["Authorization"], "AWS4-HMAC-SHA256 Credential=x/")]
    for headers in (other, other[::-1]):
        assert ask(emulator, "GET", "/?Action=ListRoles&Version=2010-05-08", *headers).status in (400, 403)


def test_delete_user_with_an_invalid_token_is_refused(emulator: Emulator) -> None:
    target = ("X-Amz-Target", "AWSCognitoIdentityProviderService.DeleteUser")
    json_type = ("Content-Type", "application/x-amz-json-1.1")

    reply = ask(emulator, "POST", "/", target, json_type, body=b'{"AccessToken": "x"}')

    assert (reply.status, json.loads(reply.body)["__type"]) == (400, "NotAuthorizedException")


# --------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize("key", STRANGE_KEYS)
def test_a_form_needs_the_secret(emulator: Emulator, client: Any, key: str) -> None:
    type_, body = upload_form(emulator, key, "test", name="stranger")

    assert ask(emulator, "POST", f"/{BUCKET}", type_, body=body).status == 403
    assert client("s3").list_objects_v2(Bucket=BUCKET, Prefix="stranger")["KeyCount"] == 0


@pytest.mark.parametrize("fields", [{}, {"policy": "e30="}, {"note": 'name="x-amz-signature"'}])
def test_an_unsigned_form_is_refused(emulator: Emulator, client: Any, fields: dict[str, str]) -> None:
    type_, body = form({"key": "stranger", **fields})

    assert ask(emulator, "POST", f"/{BUCKET}", type_, body=body).is_refused
    assert client("s3").list_objects_v2(Bucket=BUCKET, Prefix="stranger")["KeyCount"] == 0


@pytest.mark.parametrize(
    ("target", "header"),
    [
        ("/", ("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")),
        (f"/{BUCKET}", ("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")),
        ("/?Action=AssumeRoleWithWebIdentity", ("X-A", "")),
        (f"/{BUCKET}?Action=AssumeRoleWithWebIdentity", ("X-A", "")),
        (f"/{BUCKET}", ("X-Amz-Content-SHA256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")),
        (f"/{BUCKET}", ("Content-Encoding", "aws-chunked")),
    ],
)
def test_ambiguous_form_is_refused(emulator: Emulator, target: str, header: tuple[str, str]) -> None:
    type_, body = form({"key": "stranger", "x-amz-signature": "0"})

    assert ask(emulator, "POST", target, type_, header, body=body).is_refused


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_console_uploads_and_shows_pictures(emulator: Emulator, client: Any, name: str) -> None:
    origin = ("Origin", f"http://{name}:{HTTP_PORT}")
    site = ("Sec-Fetch-Site", "same-site" if name == "127.0.0.1" else "cross-site")
    type_, body = upload_form(emulator, *emulator.root(), name=name)

    preflight = ask(emulator, "OPTIONS", f"/{BUCKET}", origin, site, ("Access-Control-Request-Method", "POST"))
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", origin[1])
    assert ask(emulator, "POST", f"/{BUCKET}", type_, origin, site, body=body).status == 204
    assert client("s3").get_object(Bucket=BUCKET, Key=name)["Body"].read() == b"new"
    # Without Origin, as for an <img> and for a link opened in a new tab.
    assert ask(emulator, "GET", presigned(emulator, *emulator.root()), site).body == b"picture"
    assert ask(emulator, "GET", presigned(emulator, *emulator.root()), site, origin).body == b"picture"


def test_page_of_a_second_server_may_upload(emulator: Emulator) -> None:
    origin = ("Origin", "http://127.0.0.1:8001")
    type_, body = upload_form(emulator, *emulator.root())
    assert ask(emulator, "POST", f"/{BUCKET}", type_, origin, body=body).is_refused

    (emulator.home.parent / "ports" / "8001").touch()

    assert ask(emulator, "POST", f"/{BUCKET}", type_, origin, body=body).status == 204


# -------------------------------------------------------------------------------------------------------- admin paths


@functools.cache
def admin_paths() -> list[str]:
    """Return the ministack admin paths, all under ``/_``, that occur in the source of the installed package."""
    package = next((EMULATOR_PYTHON.parents[1] / "lib").glob("python3*/site-packages/ministack"))
    sources = [source.read_text(encoding="utf-8") for source in package.rglob("*.py")]
    return sorted({path for source in sources for path in re.findall(r"""["'](/_[a-z]+/[\w./-]*)""", source)})


def test_known_admin_paths_are_found_in_the_source() -> None:
    assert {"/_ministack/reset", "/_ministack/config", HEALTH, API} <= set(admin_paths())


def test_all_admin_paths_but_two_are_refused(emulator: Emulator) -> None:
    served = set()
    for path in admin_paths():
        for method in ("GET", "POST", "PUT"):
            if not ask_signed(emulator, method, path, Credentials(*emulator.root()), "s3").is_refused:
                served.add(path)

    assert served == {HEALTH, API}


def test_unauthorized_reset_deletes_nothing(emulator: Emulator, client: Any) -> None:
    assert ask(emulator, "POST", "/_ministack/reset").is_refused
    assert ask(emulator, "POST", "/%5Fministack/reset").is_refused
    assert ask(emulator, "POST", "/x/../_ministack/reset").status == 403
    assert ask(emulator, "POST", "//_ministack/reset").status == 403
    assert client("s3").get_object(**_picture())["Body"].read() == b"picture"
