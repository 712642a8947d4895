"""``python -m tools.ops --stage local …`` with the packaged app in the emulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import boto3
import pytest

from chalicelib import aws, config
from chalicelib.values.ids import new_id
from tests.blocks import block
from tests.builders import as_json, fields
from tests.e2e.pictures import photograph
from tests.e2e.shell import at_the_emulator, type_in
from tests.e2e.system import System
from tests.e2e.test_flows import create, post, processed_image, ticket, waiting
from tests.e2e.waiting import eventually
from tools import processes
from tools.laptop import run
from tools.laptop.emulator import REGION
from tools.ops import __main__ as ops
from tools.stage import provision

Command = Callable[..., Any]


@pytest.fixture
def typed(system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs a command for the stage ``local`` and returns its output, parsed if it is JSON."""
    tell_where_it_is(system)
    monkeypatch.setattr(provision, "PROJECT_DIR", system.project)

    def type_in(*words: str, code: int | None = 0) -> Any:
        capsys.readouterr()
        # chalicelib creates its clients once per process, for one stage. Create them again for each command.
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        read_anew()
        try:
            with mock.patch.dict(os.environ):
                ended = ops.main(["--stage", "local", *words])
        finally:
            read_anew()
        captured = capsys.readouterr()
        assert code in (None, ended), captured.out + captured.err
        return json.loads(captured.out) if "--json" in words else captured.out

    return type_in


def tell_where_it_is(system: System) -> None:
    """Write the AWS configuration as `make run` does for the commands of its stage."""
    run.write_aws_config(system.project, system.emulator)


def read_anew() -> None:
    config.settings.cache_clear()
    aws._client.cache_clear()
    aws._session.cache_clear()
    aws.queue_url.cache_clear()


@pytest.fixture
def no_dead_letters(system: System) -> None:
    for url in (system.dead_letter_queue_url, failed_events(system)):
        system.client("sqs").purge_queue(QueueUrl=url)


def failed_events(system: System) -> str:
    url: str = system.client("sqs").get_queue_url(QueueName="vitrine-local-events-dead")["QueueUrl"]
    return url


@pytest.mark.usefixtures("no_dead_letters")
def test_dead_letter_is_listed_with_its_reason(system: System, typed: Command) -> None:
    message = {"type": "item.create", "owner": "local", "item": fields()}
    body = json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:…", "Message": json.dumps(message)})
    sent = system.client("sqs").send_message(QueueUrl=system.queue_url, MessageBody=body)["MessageId"]
    eventually(lambda: waiting(system, system.dead_letter_queue_url) == 1, 60)

    for _ in range(2):
        (letter,) = typed("dead-letters", "--json")["deadLetters"]
        assert (letter["id"], letter["type"], letter["body"]) == (sent, None, body)
        assert letter["reason"]["error"] == "InvalidRequestError"
        assert "This is an SNS notification: enable raw message delivery" in letter["reason"]["message"]
    assert letter["reason"]["message"] in typed("dead-letters")


@pytest.mark.usefixtures("no_dead_letters")
def test_redriven_item_create_creates_one_item_each(system: System, typed: Command) -> None:
    shelf = f"shelf {time.time_ns()}"
    sqs = system.client("sqs")
    for number in range(12):
        body = json.dumps({"type": "item.create", "owner": "local", "item": fields(shelf=shelf, n=number)})
        sqs.send_message(QueueUrl=system.dead_letter_queue_url, MessageBody=body)
    (first, *_) = typed("dead-letters", "--json")["deadLetters"]
    sqs.send_message(QueueUrl=system.queue_url, MessageBody=json.dumps(with_key(first)))  # as if redriven before

    assert typed("redrive", "--all", "--yes").endswith("Sent back 10 of 12 …\nSent back 12 of 12.\n")

    def on_shelf() -> list[int]:
        items = system.request("GET", "/items?limit=100").json()["items"]
        return sorted(item["n"] for item in items if item.get("shelf") == shelf)

    eventually(lambda: len(on_shelf()) >= 12)
    eventually(lambda: waiting(system, system.queue_url) == 0)
    assert on_shelf() == list(range(12))


def with_key(letter: dict[str, Any]) -> dict[str, Any]:
    return {**json.loads(letter["body"]), "key": letter["id"]}


@pytest.mark.usefixtures("no_dead_letters")
def test_redriven_event_invokes_its_function(system: System, typed: Command) -> None:
    key = f"uploads/again-{time.time_ns()}.txt"
    arn = system.client("lambda").get_function(FunctionName=system.functions["on_upload"])["Configuration"]
    record = {
        "requestContext": {"functionArn": arn["FunctionArn"], "condition": "RetriesExhausted"},
        "requestPayload": object_created(system.bucket, key),
        "responsePayload": {"errorType": "ClientError", "errorMessage": "denied"},
    }
    system.client("sqs").send_message(QueueUrl=failed_events(system), MessageBody=json.dumps(record))
    (letter,) = typed("dead-letters", "--json")["deadLetters"]
    assert (letter["type"], letter["reason"]["message"]) == ("Object Created", "ClientError: denied")
    began = datetime.now(UTC)

    typed("redrive", letter["id"], "--yes")

    def has_run(function: str) -> bool:
        group = f"/aws/lambda/{system.functions[function]}"
        since = int(began.timestamp() * 1000)
        return bool(system.client("logs").filter_log_events(logGroupName=group, startTime=since)["events"])

    eventually(lambda: has_run("on_upload") and has_run("on_messages"))
    assert typed("dead-letters", "--json")["count"] == 0


def object_created(bucket: str, key: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": "2026-01-01T00:00:00Z",
        "region": REGION,
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
    }


def test_cleanup_deletes_an_expired_item(system: System, typed: Command) -> None:
    create(system, title="Honey")  # warms up the API function
    (cleanup,) = runbook("cleanup")
    typed(*cleanup)
    soon = datetime.now(UTC) + timedelta(seconds=3)
    create(system, title="Milk", expiresAt=soon.isoformat())
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.1)

    assert typed("cleanup", "--json") == {"counts": {"expired": 1}, "finished": True, "failures": []}
    assert typed("cleanup").endswith("Nothing was due.\n")


def test_log_of_a_function_is_shown(system: System, typed: Command) -> None:
    first, *others = runbook("logs")
    body = json.dumps({"type": "item.create", "owner": "local", "item": fields()})
    sent = system.client("sqs").send_message(QueueUrl=system.queue_url, MessageBody=body)["MessageId"]

    eventually(lambda: f"  message_id={sent}" in typed(*first))

    (line,) = [line for line in typed(*first).splitlines() if sent in line]
    assert " INFO      Message processed  " in line
    for words in others:
        assert ops.parse(["--stage", "prod", *words]).request or words[-1] == "ERROR"


MISSING_VERSION = "msgspec.ValidationError: Object missing required field `version`"


def test_failed_cleanup_task_is_reported(system: System, typed: Command) -> None:
    id_ = new_id()
    broken = {"pk": "OWNER#local", "sk": f"ITEM#{id_}", "dueShard": "0", "dueAt": "2026-01-01T00:00:00.000Z"}
    item = {name: {"S": value} for name, value in broken.items()}
    table = system.client("dynamodb")
    table.put_item(TableName=system.table, Item=item)
    try:
        report = typed("cleanup", "--json", code=1)
    finally:
        table.delete_item(TableName=system.table, Key={name: item[name] for name in ("pk", "sk")})

    assert report["counts"]["failed"] == 1
    assert report["failures"] == [{"kind": "ITEM", "id": id_, "error": MISSING_VERSION}]


def test_missing_thumbnail_is_rendered(system: System, typed: Command) -> None:
    look, render = runbook("missing")
    s3, key, thumbnail = system.client("s3"), "uploads/lost/photo.jpg", "thumbnails/lost/photo.jpg.jpg"

    def made() -> bool:
        return "Contents" in s3.list_objects_v2(Bucket=system.bucket, Prefix=thumbnail)

    s3.put_object(Bucket=system.bucket, Key=key, Body=photograph(200, 200))
    eventually(made)
    s3.delete_object(Bucket=system.bucket, Key=thumbnail)

    assert key in typed(*look)
    typed(*render)

    eventually(made)


def test_index_is_repaired(system: System, typed: Command) -> None:
    check, repair = runbook("reindex")
    typed(*repair)
    id_, dynamodb = create(system), system.client("dynamodb")
    found = dynamodb.query(
        TableName=system.table,
        KeyConditionExpression="pk = :owner AND begins_with(sk, :updated)",
        ExpressionAttributeValues={":owner": {"S": "OWNER#local"}, ":updated": {"S": "FIND#updatedAt#"}},
    )["Items"]
    [lost] = [record for record in found if record["sk"]["S"].endswith(f"\t{id_}")]
    dynamodb.delete_item(TableName=system.table, Key=lost)

    assert "1  items without some of their index records" in typed(*check, code=1)
    typed(*repair)

    assert "Item" in dynamodb.get_item(TableName=system.table, Key=lost)
    assert "Their index is complete." in typed(*check)


def test_webhooks_that_are_off_are_shown(system: System, typed: Command) -> None:
    (webhooks,) = runbook("webhooks")
    made = system.request("POST", "/webhooks", {"url": "https://hooks.example/secret", "events": ["*"]}).json()
    system.request("PATCH", f"/webhooks/{made['id']}", {"enabled": False})

    assert f"off      {made['id']} hooks.example, of local\n" in typed(*webhooks)

    system.request("DELETE", f"/webhooks/{made['id']}")


def test_item_is_shown_without_urls(system: System, typed: Command) -> None:
    created = system.request("POST", "/items", as_json('"tiny": 1E-130, "weight": 19.90')).json()["id"]
    picture = photograph(400, 300)
    assert post(ticket(system, created), picture).ok
    processed_image(system, created)

    (item,) = runbook("item", owner="local", id=created)
    text = typed(*item)

    report = typed("item", "local", created, "--json")
    assert '"tiny": 1E-130' in text
    assert report["record"]["image"]["status"] == "ready"
    assert [due["reason"] for due in report["due"]] == ["its upload ticket expires"]
    original, *thumbnails = report["objects"]
    assert original["key"].startswith(f"uploads/items/local/{created}/")
    assert original["size"] == len(picture)
    assert [one["key"].rpartition("/")[2] for one in thumbnails] == ["200.jpg", "800.jpg"]
    assert report["deadLetters"] == []
    assert "http" not in text


def test_events_are_shown(system: System, typed: Command) -> None:
    created = create(system, title="Harbour")
    system.request("PATCH", f"/items/{created}", {"weight": 3})
    shown_arguments, followed_arguments = runbook("events")

    # Other tests write records that cannot be read: then the exit code is 1.
    lines = [line.split() for line in typed(*shown_arguments, code=None).splitlines() if created in line]
    assert [(line[1], line[-1]) for line in lines] == [("item.created", "local"), ("item.updated", "weight")]
    assert followed_arguments == ["events", "--follow"]


def test_closed_pipe_is_no_error(system: System) -> None:
    tell_where_it_is(system)
    ended = subprocess.run(
        f'"{sys.executable}" -m tools.ops --stage local dead-letters | true',
        shell=True,
        cwd=system.project,
        env=processes.without_aws(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""


def test_missing_stage_is_one_sentence(
    system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in at_the_emulator(system.emulator).items():
        monkeypatch.setenv(name, value)
    assert ops.main(["--stage", "pr7", "dead-letters"]) == 1
    assert capsys.readouterr().err.startswith("There is no stage pr7 in this account and region")


@pytest.mark.usefixtures("no_dead_letters")
def test_documented_commands_list_and_redrive(system: System, typed: Command) -> None:
    (look,), (send_back,) = runbook("look"), runbook("send back")
    message = '{"type": "item.create", "owner": "local", "key": "dead", "item": {"title": "Sent back"}}'
    system.client("sqs").send_message(QueueUrl=system.dead_letter_queue_url, MessageBody=message)

    assert message in typed(*look)
    typed(*send_back, "--yes")

    def titles() -> list[str]:
        return [item.get("title", "") for item in system.request("GET", "/items?limit=5").json()["items"]]

    eventually(lambda: "Sent back" in titles())
    assert message not in typed(*look)


@pytest.mark.usefixtures("no_dead_letters")
def test_documented_command_deletes_all_dead_letters(system: System) -> None:
    # The queues of other stages refuse the emulator's plain HTTP.
    command = block("docs/operating.md", "purge").replace("vitrine-prod", "vitrine-local")
    # Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS.
    command = command.replace("aws sqs", f"aws --endpoint-url {system.emulator.url} sqs")
    system.client("sqs").send_message(QueueUrl=system.dead_letter_queue_url, MessageBody="{}")

    type_in(command, system.project, **at_the_emulator(system.emulator))

    assert waiting(system, system.dead_letter_queue_url) == 0


def runbook(name: str, **words: str) -> list[list[str]]:
    """Return the commands of the block ``name`` in the runbook, each as its arguments after ``--stage NAME``.

    Placeholders in angle brackets are replaced by the given words.
    """
    text = block("docs/operating.md", name)
    for placeholder, word in words.items():
        text = text.replace(f"<{placeholder}>", word)
    return [re.sub(r"^\.venv/bin/python -m tools\.ops --stage \w+ ", "", line).split() for line in text.splitlines()]
