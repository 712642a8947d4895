"""Start one emulator for all end-to-end tests and deploy the resources and the packaged app, as `make run` does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.config import LOCAL
from tests.e2e.system import (
    EMULATOR_PYTHON,
    KEPT,
    System,
    bundled,
    copy_project,
    free_port,
    give_up_sooner,
    say_errors_as_the_template_does,
)
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import Emulator, client_factory
from tools.stage import provision


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield the packaged app in an emulator that only this test session uses."""
    folder = tmp_path_factory.mktemp("system")
    project = copy_project(folder / "project")
    emulator = Emulator.start(EMULATOR_PYTHON, folder / "emulator", free_port())
    try:
        client = client_factory(emulator.url, emulator.root())
        resources = provision.provision(LOCAL, client, project, print)
        give_up_sooner(client("sqs"), resources["QueueUrl"])
        built = bundled(function_package.package(project, folder / "build", KEPT, print))
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
    finally:
        emulator.stop()
