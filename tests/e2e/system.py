"""What end-to-end tests hold in their hands: the packaged app, deployed into an emulator of its own."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.config import LOCAL
from tools.bundle import archive, build
from tools.laptop import code_stack
from tools.laptop.emulator import Emulator
from tools.stage import app_sources

ROOT = Path(__file__).parents[2]
EMULATOR_PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
KEPT = ROOT / ".local" / "kept"
"""The packaged dependencies, which `make run` and these tests share."""


class Answer(NamedTuple):
    """What an HTTP request came back with, whatever its status."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class System(NamedTuple):
    """The stage ``local``, as the packaged app and the resource template make it."""

    emulator: Emulator
    project: Path
    """A copy of the project: what it was packaged from."""
    client: Callable[[str], Any]
    """Makes boto3 clients of the emulator, as its root: ``system.client("s3")``."""
    api: str
    """The packaged API's base URL, without a slash at its end."""
    functions: dict[str, str]
    """Lambda's names of the functions, by app.py's: ``system.functions["on_upload"]``."""
    table: str
    bucket: str
    queue_url: str
    dead_letter_queue_url: str

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Call the packaged API; ``body`` is sent as JSON unless it is bytes. Header names take _ for -."""
        return request(method, self.api + path, body, **headers)


def request(method: str, url: str, body: Any = None, **headers: str) -> Answer:
    """Send one HTTP request, following no redirect; ``body`` is sent as JSON unless it is bytes."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent.setdefault("content-type", "application/json")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(urllib.request.Request(url, body, sent, method=method), timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def copy_project(target: Path) -> Path:
    """A copy of the project to change, with the same environments and, at hand, the same packaged dependencies."""
    app_sources.copy(ROOT, target)
    for folder in ("tools", "infra"):
        shutil.copytree(
            ROOT / folder, target / folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    KEPT.mkdir(parents=True, exist_ok=True)
    (target / ".local").mkdir()
    (target / ".local" / "kept").symlink_to(KEPT)
    (target / ".venv-emulator").symlink_to(ROOT / ".venv-emulator")
    return target


def configure(path: Path, **variables: str) -> None:
    """Set variables of the stage local in a configuration of Chalice's."""
    config = json.loads(path.read_text())
    config["stages"][LOCAL]["environment_variables"] |= variables
    path.write_text(json.dumps(config))


def bundled(built: code_stack.Package) -> code_stack.Package:
    """The same, as it is deployed into AWS: made small and precompiled."""
    whole = archive.read(built.archive)
    archive.write(built.archive, build.build(whole).entries)
    return built


def say_errors_as_the_template_does(gateway: Any, api_id: str, template: dict[str, Any]) -> None:
    """Give the packaged API the errors of its template: the emulator ignores those that come with its definition."""
    for kind, response in template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"].items():
        headers = response["ResponseParameters"]["Headers"]
        status = {"statusCode": str(response["StatusCode"])} if "StatusCode" in response else {}
        gateway.put_gateway_response(
            restApiId=api_id,
            responseType=kind,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            responseTemplates=response["ResponseTemplates"],
            **status,
        )
    gateway.create_deployment(restApiId=api_id, stageName="api")


def give_up_sooner(sqs: Any, queue_url: str) -> None:
    """Leave a queue's jobs three deliveries instead of six: 15 seconds until a dead letter, instead of minutes."""
    policy = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    sooner = json.loads(policy["RedrivePolicy"]) | {"maxReceiveCount": 3}
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": json.dumps(sooner)})


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
