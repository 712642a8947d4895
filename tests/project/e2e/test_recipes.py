"""The recipe for Kinesis of docs/adapting.md, deployed into the emulator with the function's own rights."""

from __future__ import annotations

import shutil
from pathlib import Path

from chalicelib.config import LOCAL
from tests.e2e.system import KEPT, ROOT, copy_project, emulator_without_saves, request
from tests.e2e.waiting import eventually
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import client_factory
from tools.stage import policies, provision
from tools.template import recipes


def test_records_of_a_stream_become_items(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for path in ("docs/adapting.md", "tests/function_operations.py"):
        (project / path).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / path, project / path)
    recipes.apply(project, "kinesis")
    policies.write(project, LOCAL)
    with emulator_without_saves(tmp_path / "emulator") as emulator:
        client = client_factory(emulator.url, emulator.root())
        provision.provision(LOCAL, client, project, print)
        built = function_package.package(project, tmp_path / "build", KEPT, print)
        deployment = code_stack.deploy(built, client)
        items = f"{emulator.url}/_aws/execute-api/{deployment.api_id}/api/items"

        data = (b'{"title": "One"}', b"no JSON", b'{"title": "Two"}')
        records = [{"Data": one, "PartitionKey": LOCAL} for one in data]
        client("kinesis").put_records(StreamName="vitrine-local-records", Records=records)

        def titles() -> list[str] | None:
            found = [one["title"] for one in request("GET", items).json()["items"]]
            return found if len(found) == 2 else None

        assert eventually(titles, 60) == ["Two", "One"]
        mappings = client("lambda").list_event_source_mappings()["EventSourceMappings"]
        [mapping] = [one for one in mappings if ":kinesis:" in one["EventSourceArn"]]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
