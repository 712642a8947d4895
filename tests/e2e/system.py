"""The packaged app, deployed into a separate emulator for the end-to-end tests, and helpers to deploy and call it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicelib.config import LOCAL
from tools.bundle import archive, build
from tools.laptop import emulator as emulators
from tools.laptop import function_package
from tools.laptop.emulator import Emulator
from tools.stage import app_sources

ROOT = Path(__file__).parents[2]
EMULATOR_PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
KEPT = ROOT / ".local" / "kept"
"""The cache of packaged dependencies, which `make run` and these tests share."""


class Answer(NamedTuple):
    """An HTTP response with any status."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class System(NamedTuple):
    """The stage ``local``, made from the packaged app and the resource template."""

    emulator: Emulator
    project: Path
    """The copy of the project from which the app was packaged."""
    client: Callable[[str], Any]
    """Create a boto3 client of the emulator with root credentials: ``system.client("s3")``."""
    api: str
    """The packaged API's base URL, without a trailing slash."""
    functions: dict[str, str]
    """The Lambda function names, by their name in app.py: ``system.functions["on_upload"]``."""
    table: str
    bucket: str
    queue_url: str
    dead_letter_queue_url: str

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Call the packaged API; send ``body`` as JSON unless it is bytes. Write - in header names as _."""
        return request(method, self.api + path, body, **headers)


def request(method: str, url: str, body: Any = None, **headers: str) -> Answer:
    """Send one HTTP request without following redirects; send ``body`` as JSON unless it is bytes.

    Write - in header names as _. The timeout is 30 seconds.
    """
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


@contextlib.contextmanager
def emulator_without_saves(home: Path) -> Iterator[Emulator]:
    """Run an emulator that saves its state only when it stops. Every 3 seconds it would fork a process for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulators, "SAVE_EVERY", 3600.0)
        started = Emulator.start(EMULATOR_PYTHON, home, free_port())
    try:
        yield started
    finally:
        started.stop()


def copy_project(target: Path) -> Path:
    """Copy the project, with default settings, to ``target`` and return it. Link the environment of the emulator."""
    app_sources.copy(ROOT, target)
    use_default_settings(target / ".chalice" / "config.json")
    for folder in ("tools", "infra"):
        shutil.copytree(
            ROOT / folder, target / folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    KEPT.mkdir(parents=True, exist_ok=True)
    (target / ".local").mkdir()
    (target / ".local" / "kept").symlink_to(KEPT)
    (target / ".venv-emulator").symlink_to(ROOT / ".venv-emulator")
    return target


OPTIONAL_SETTINGS = ("CORS_", "LOG_OWNER", "OIDC_", "THUMBNAIL_SIZES")
"""The first letters of settings with a default, on which tests rely."""
SETTINGS_OF_DEPLOYED_STAGES = ("AUTH_MODE", "BUCKET_NAME", "USER_POOL_")
"""Those of settings that a person chooses, or a deployment writes."""


def use_default_settings(path: Path) -> None:
    """Remove optional settings from a Chalice configuration file, so that tests do not depend on them."""
    config = json.loads(path.read_text())
    for name, stage in config["stages"].items():
        removed = OPTIONAL_SETTINGS if name == LOCAL else OPTIONAL_SETTINGS + SETTINGS_OF_DEPLOYED_STAGES
        variables = stage["environment_variables"]
        stage["environment_variables"] = {
            name: value for name, value in variables.items() if not name.startswith(removed)
        }
    path.write_text(json.dumps(config, indent=2) + "\n")


def configure(path: Path, **variables: str) -> None:
    """Set environment variables of the stage ``local`` in a Chalice configuration file."""
    config = json.loads(path.read_text())
    config["stages"][LOCAL]["environment_variables"] |= variables
    path.write_text(json.dumps(config))


def bundled(built: function_package.Package) -> function_package.Package:
    """Reduce and precompile the package's archive, as for a deployment to AWS, and return the package."""
    whole = archive.read(built.archive)
    archive.write(built.archive, build.build(whole).entries)
    return built


def say_errors_as_the_template_does(gateway: Any, api_id: str, template: dict[str, Any]) -> None:
    """Set the gateway responses of the template: the emulator ignores them when it creates the API."""
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
    """Reduce a queue's maxReceiveCount to 3, so that a failed job becomes a dead letter in seconds, not minutes."""
    policy = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    sooner = json.loads(policy["RedrivePolicy"]) | {"maxReceiveCount": 3}
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": json.dumps(sooner)})


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
