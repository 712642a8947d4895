"""Start one emulator for all end-to-end tests and deploy the resources and the packaged app, as `make run` does."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.config import LOCAL
from tests.e2e.system import (
    KEPT,
    System,
    bundled,
    copy_project,
    emulator_without_saves,
    give_up_sooner,
    say_errors_as_the_template_does,
)
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import client_factory
from tools.stage import provision


def worker_parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def package_once(project: Path, shared: Path) -> function_package.Package:
    """Package and reduce the app, unless another worker has. That takes ten seconds of CPU time."""
    described = shared / "package.json"
    with (shared / "package.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            built = bundled(function_package.package(project, shared / "package", KEPT, print))
            described.write_text(json.dumps([built.digest, built.template, str(built.archive)]))
        digest, template, archive = json.loads(described.read_text())
        return function_package.Package(digest, template, Path(archive))


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield the packaged app in an emulator that only this test session uses."""
    folder = tmp_path_factory.mktemp("system")
    project = copy_project(folder / "project")
    with emulator_without_saves(folder / "emulator") as emulator:
        client = client_factory(emulator.url, emulator.root())
        resources = provision.provision(LOCAL, client, project, print)
        give_up_sooner(client("sqs"), resources["QueueUrl"])
        built = package_once(project, worker_parent(tmp_path_factory))
        deployment = code_stack.deploy(built, client)
        say_errors_as_the_template_does(client("apigateway"), deployment.api_id, built.template)
        yield System(
            emulator=emulator,
            project=project,
            client=client,
            api=f"{emulator.url}/_aws/execute-api/{deployment.api_id}/api",
            functions=deployment.functions,
            table=resources["TableName"],
            bucket=resources["BucketName"],
            queue_url=resources["QueueUrl"],
            dead_letter_queue_url=resources["DeadLetterQueueUrl"],
        )
