"""The recipes for SNS and Kinesis of docs/adapting.md, deployed into the emulator with the functions' own rights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from chalicelib.config import LOCAL
from tests.e2e.system import KEPT, ROOT, copy_project, emulator_without_saves, request
from tests.e2e.waiting import eventually
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import client_factory
from tools.stage import policies, provision
from tools.template import recipe_checks


def test_published_item_is_notified_and_records_become_items(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for path in ("docs/adapting.md", "tests/function_operations.py"):
        (project / path).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / path, project / path)
    for recipe in ("sns", "kinesis"):
        recipe_checks.apply(project, recipe)
    policies.write(project, LOCAL)
    with emulator_without_saves(tmp_path / "emulator") as emulator:
        client = client_factory(emulator.url, emulator.root())
        provision.provision(LOCAL, client, project, print)
        built = function_package.package(project, tmp_path / "build", KEPT, print)
        deployment = code_stack.deploy(built, client)
        items = f"{emulator.url}/_aws/execute-api/{deployment.api_id}/api/items"

        published = request("POST", items, {"title": "Zero", "visibility": "public"}).json()["id"]
        group = f"/aws/lambda/{deployment.functions['on_published']}"
        logged = client("logs")
        assert eventually(lambda: published in log_of(logged, group), 60)
        request("DELETE", f"{items}/{published}")

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


def log_of(logs: Any, group: str) -> str:
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return ""
    return "".join(one["message"] for one in logs.filter_log_events(logGroupName=group)["events"])
