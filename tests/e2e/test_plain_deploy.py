"""``chalice deploy``: its event source mapping cannot say ReportBatchItemFailures, and no message may get lost by that.

Deployed into an account of its own, so that both ways of deploying stand side by side in one emulator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from tests.e2e.system import System, copy_project
from tests.e2e.waiting import eventually
from tools import processes, provision
from tools.stages import LOCAL

ACCOUNT = "111111111111"


class Deployed(NamedTuple):
    client: Callable[[str], Any]
    table: str
    queue_url: str
    dead_letter_queue_url: str


@pytest.fixture(scope="module")
def deployed(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    project = copy_project(tmp_path_factory.mktemp("deploy") / "project")
    env = {
        "AWS_ENDPOINT_URL": system.emulator.url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    session = boto3.Session(ACCOUNT, "test", region_name="us-east-1")

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=system.emulator.url)

    resources = provision.provision(LOCAL, client, project, print)
    tell_functions_nothing_of_aws(project)
    chalice = Path(sys.executable).with_name("chalice")
    command = [chalice, "deploy", "--stage", LOCAL]
    done = subprocess.run(
        command, cwd=project, env=processes.without_aws(os.environ) | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield Deployed(client, resources["TableName"], resources["QueueUrl"], resources["DeadLetterQueueUrl"])
    for mapping in client("lambda").list_event_source_mappings()["EventSourceMappings"]:
        client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def tell_functions_nothing_of_aws(project: Path) -> None:
    """As in AWS, where the configuration of a stage has no endpoint and no keys in it."""
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    variables = config["stages"][LOCAL]["environment_variables"]
    config["stages"][LOCAL]["environment_variables"] = {
        name: value for name, value in variables.items() if not name.startswith("AWS_")
    }
    path.write_text(json.dumps(config))


def test_one_bad_message_of_ten_comes_back_alone_without_report_batch_item_failures(deployed: Deployed) -> None:
    mappings = deployed.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert [mapping.get("FunctionResponseTypes", []) for mapping in mappings] == [[]]
    bodies = [json.dumps({"type": "item.create", "owner": "local", "item": {"n": n}}) for n in range(9)]
    bodies.insert(4, "not even JSON")
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]

    deployed.client("sqs").send_message_batch(QueueUrl=deployed.queue_url, Entries=entries)

    assert eventually(lambda: items(deployed) == list(range(9)))
    eventually(lambda: waiting(deployed, deployed.queue_url) == 1)
    eventually(lambda: waiting(deployed, deployed.dead_letter_queue_url) == 1, 90)
    dead = deployed.client("sqs").receive_message(QueueUrl=deployed.dead_letter_queue_url)["Messages"]
    assert [message["Body"] for message in dead] == ["not even JSON"]
    assert waiting(deployed, deployed.queue_url) == 0
    assert items(deployed) == list(range(9))


def items(deployed: Deployed) -> list[int]:
    rows = deployed.client("dynamodb").scan(TableName=deployed.table)["Items"]
    return sorted(int(row["fields"]["M"]["n"]["N"]) for row in rows if row["sk"]["S"].startswith("ITEM#"))


def waiting(deployed: Deployed, queue_url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = deployed.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)
