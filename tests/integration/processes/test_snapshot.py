"""A process that is copied from a snapshot of a used one: SnapStart, with a fork in its place.

A fork copies the memory and shares the connections, as a snapshot does. Python seeds ``random`` again after a fork, so
the test sets it back.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.values import times

PROJECT = Path(__file__).parents[3]

LIBRARY = """
hooks = []

def register_after_restore(function):
    hooks.append(function)
"""
"""Stands for the library of Lambda's runtime."""

CODE = """
import json, os, random, time
from types import SimpleNamespace

import app
import snapshot_restore_py
from chalicelib import aws
from chalicelib.aws import presigned_downloads

EVENT = {
    "httpMethod": "POST", "resource": "/items", "path": "/items", "body": '{"title": "Vase", "price": 1}',
    "headers": {"Content-Type": "application/json"}, "multiValueHeaders": {"Content-Type": ["application/json"]},
    "pathParameters": None, "multiValueQueryStringParameters": None, "stageVariables": None, "isBase64Encoded": False,
    "requestContext": {"resourcePath": "/items", "httpMethod": "POST", "path": "/api/items", "requestId": "r"},
}
LAMBDA = SimpleNamespace(aws_request_id="i", function_name="f", get_remaining_time_in_millis=lambda: 29000)

def use():
    response = app.app(EVENT, LAMBDA)
    made = {"id": json.loads(response["body"])["id"], "random": random.random(), "url": presigned_downloads.url("k")}
    print("USED " + json.dumps(made), flush=True)

print("USED " + json.dumps({"clients": aws._client.cache_info().currsize}), flush=True)
use()
state, now = random.getstate(), time.time
for _ in range(2):
    if os.fork() == 0:
        random.setstate(state)
        time.time = lambda: now() + 2 * 86400
        for hook in snapshot_restore_py.hooks:
            hook()
        use()
        os._exit(0)
    os.wait()
"""


class Handler(BaseHTTPRequestHandler):
    """Gives other credentials each time, and an empty answer to each call of DynamoDB."""

    protocol_version = "HTTP/1.1"
    keys = itertools.count(1)
    calls: list[tuple[int, str]]
    """The client's port and its access key."""

    def do_GET(self) -> None:
        """Return credentials as Lambda does with SnapStart."""
        assert self.headers["Authorization"] == "secret"
        key = f"KEY{next(self.keys)}"
        expiry = times.now() + timedelta(minutes=5)  # botocore replaces credentials in their last ten minutes
        names = ("SecretAccessKey", "Token")
        self._respond({"AccessKeyId": key, **dict.fromkeys(names, key), "Expiration": times.format_time(expiry)})

    def do_POST(self) -> None:
        """Return an answer without content."""
        self.rfile.read(int(self.headers["Content-Length"]))
        _, _, credential = self.headers["Authorization"].partition("Credential=")
        self.calls.append((self.client_address[1], credential.partition("/")[0]))
        self._respond({})

    def _respond(self, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.calls = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_copies_have_nothing_in_common_that_must_differ(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "snapshot_restore_py.py").write_text(LIBRARY, encoding="utf-8")
    url = f"http://127.0.0.1:{server.server_port}"
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "STAGE": "local",
        "AUTH_MODE": "local",
        "BUCKET_NAME": "bucket",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
    }

    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=PROJECT, env=variables, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    start, *used = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("USED ")]
    assert start == {"clients": 1}  # DynamoDB's is in the snapshot
    ids, numbers, urls = ([one[name] for one in used] for name in ("id", "random", "url"))
    ports, keys = zip(*Handler.calls, strict=True)
    for values in (ids, numbers, ports, keys):
        assert len(set(values)) == 3, values
    keys_of_urls = {url.partition("Credential=")[2].partition("%2F")[0] for url in urls}
    assert len(keys_of_urls) == 3
    before, *after = [url.partition("X-Amz-Date=")[2][:8] for url in urls]
    assert before < min(after)
