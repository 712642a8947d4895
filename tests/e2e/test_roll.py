"""Deploy and roll back code and resources, which are separate stacks: stored items do not change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicelib.config import LOCAL
from tests.builders import fields
from tests.e2e.system import EMULATOR_PYTHON, KEPT, Answer, copy_project, free_port, request
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import Emulator, client_factory
from tools.stage import provision


class Stage(NamedTuple):
    """A separate stage and the project from which it is deployed."""

    project: Path
    scratch: Path
    url: str
    client: Callable[[str], Any]

    def deploy(self) -> None:
        """Deploy the project's resources, then its code."""
        provision.provision(LOCAL, self.client, self.project, print)
        code_stack.deploy(function_package.package(self.project, self.scratch, KEPT, print), self.client)

    def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        deployment = code_stack.find(self.client)
        assert deployment
        return request(method, f"{self.url}/_aws/execute-api/{deployment.api_id}/api{path}", body)

    def version(self) -> str:
        return str(self("GET", "/health").json()["version"])

    def has(self, item: Answer) -> bool:
        """Return whether ``item`` still exists, unchanged since that response."""
        found = self("GET", f"/items/{item.json()['id']}")
        return (found.status, found.headers["ETag"], found.json()) == (200, item.headers["ETag"], item.json())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    project = copy_project(tmp_path / "project")
    emulator = Emulator.start(EMULATOR_PYTHON, tmp_path / "emulator", free_port())
    try:
        yield Stage(project, tmp_path / "scratch", emulator.url, client_factory(emulator.url, emulator.root()))
    finally:
        emulator.stop()


def call_version(project: Path, version: str) -> None:
    path = project / "chalicelib" / "config.py"
    old = next(line for line in path.read_text().splitlines() if line.startswith("VERSION = "))
    path.write_text(path.read_text().replace(old, f'VERSION = "{version}"'))


def change_resources(project: Path) -> None:
    """Change the resources as a newer version could: add a queue, and change a setting of an existing one."""
    path = project / "infra" / "resources.json"
    template = json.loads(path.read_text())
    template["Resources"]["Another"] = {
        "Type": "AWS::SQS::Queue",
        "Properties": {"QueueName": {"Fn::Sub": "vitrine-${Stage}-another"}},
    }
    template["Resources"]["Queue"]["Properties"]["MessageRetentionPeriod"] += 3600
    path.write_text(json.dumps(template))


def queues(stage: Stage) -> set[str]:
    return {url.rpartition("/")[2] for url in stage.client("sqs").list_queues().get("QueueUrls", [])}


def test_items_are_unchanged_after_upgrade_and_rollback(stage: Stage) -> None:
    older = (stage.project / "infra" / "resources.json").read_text()
    call_version(stage.project, "1.0.0")
    stage.deploy()
    first = stage("POST", "/items", fields())
    assert stage.version() == "1.0.0"

    call_version(stage.project, "2.0.0")
    change_resources(stage.project)
    stage.deploy()
    second = stage("POST", "/items", fields())
    assert stage.version() == "2.0.0"
    assert "vitrine-local-another" in queues(stage)
    assert stage.has(first)

    call_version(stage.project, "1.0.0")
    (stage.project / "infra" / "resources.json").write_text(older)
    stage.deploy()
    assert stage.version() == "1.0.0"
    assert "vitrine-local-another" not in queues(stage)
    assert stage.has(first)
    assert stage.has(second)
    third = stage("PATCH", f"/items/{second.json()['id']}", {"title": "Plate"})
    assert stage.has(third)


def test_items_remain_after_the_code_stack_is_deleted(stage: Stage) -> None:
    stage.deploy()
    item = stage("POST", "/items", fields())

    stage.client("cloudformation").delete_stack(StackName=code_stack.STACK)
    stage.client("cloudformation").get_waiter("stack_delete_complete").wait(StackName=code_stack.STACK)
    assert code_stack.find(stage.client) is None
    stage.deploy()

    assert stage.has(item)
