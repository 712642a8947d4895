"""The commands of ``python -m tools.ops`` on moto: queues, records and objects."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from chalicelib import aws, config
from chalicelib.aws import table
from chalicelib.aws.table import Key
from chalicelib.catalogue import search_index_keys, webhooks
from chalicelib.events import item_events
from chalicelib.values import exact_json, ids
from tests.builders import fields, jpeg
from tests.integration.stage import Stage as Api
from tests.integration.stage import fails, provoke
from tools.interruption import Interrupted, Interruption
from tools.ops import dead_letter_commands, lookup_commands, repair_commands
from tools.ops.command_context import CommandContext
from tools.ops.deployed_stage import Stage
from tools.ops.stream_records import ChangeStream, Record
from tools.stage import search_index_state
from tools.stage.errors import StageError

CONSUMER_GROUP = "/aws/lambda/vitrine-local-on_messages"
HANDLED = {
    "vitrine-local": "app.app",
    "vitrine-local-on_messages": "app.on_messages",
    "vitrine-local-on_change": "app.on_change",
    "vitrine-local-clean_up": "app.clean_up",
}


class Ops:
    """Calls the commands with moto's clients and ``--yes``."""

    def __init__(self, stage: Stage, functions: Any) -> None:
        self.stage = stage
        self.functions = functions
        self.sqs = stage.client("sqs")

    def __call__(self, command: Callable[[CommandContext], int], **options: Any) -> int:
        chosen = Namespace(**{"json": True, "yes": True, "all": False, "ids": [], **options})
        with Interruption() as interruption:
            return command(CommandContext(self.stage, chosen, interruption))

    def send(self, *bodies: str, url: str = "", **attributes: Any) -> list[str]:
        """Send messages to the dead-letter queue, or to another, and return their ids."""
        url = url or self.stage.dead_letter_queue_url
        return [
            self.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)["MessageId"]
            for body in bodies
        ]

    def count(self, url: str) -> tuple[int, int]:
        """Return how many messages of a queue are visible and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(counts[names[0]]), int(counts[names[1]])

    @property
    def dead(self) -> tuple[int, int]:
        return self.count(self.stage.dead_letter_queue_url)

    def jobs(self) -> list[dict[str, Any]]:
        """Receive all messages of the queue of jobs."""
        taken = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.stage.queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            taken += messages
        return taken


class Functions:
    """Lambda with the stage's functions, which records their invocations."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, str, Any]] = []

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_functions"
        listed = [{"FunctionName": name, "Handler": handler} for name, handler in HANDLED.items()]
        return SimpleNamespace(paginate=lambda: [{"Functions": listed}])

    def invoke(self, FunctionName: str, InvocationType: str, Payload: str) -> None:  # noqa: N803 (as boto3 names it)
        self.invoked.append((FunctionName, InvocationType, json.loads(Payload)))


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ops]:
    functions = Functions()
    clients: dict[str, Any] = {"lambda": functions}

    def client(service: str, **_: Any) -> Any:
        if service not in clients:
            clients[service] = boto3.client(service)  # type: ignore[call-overload]
        return clients[service]

    queues = [client("sqs").create_queue(QueueName=f"vitrine-local-{name}")["QueueUrl"] for name in NAMES]
    monkeypatch.setattr("tools.ops.dead_letter_queues.WAIT_TIME", 0)
    # The commands set these for chalicelib.
    with monkeypatch.context() as environment:
        for name in ("STAGE", "BUCKET_NAME"):
            environment.setenv(name, os.environ[name])
        # moto does not know the addresses of streams with the account.
        environment.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
        bucket = config.settings().bucket or ""
        yield Ops(Stage("local", client, bucket, *queues), functions)


NAMES = ("jobs", "jobs-dead", "events-dead", "deliveries", "deliveries-dead")


@pytest.fixture
def json_output(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """Return a command's JSON output, which follows the app's log lines."""

    def read() -> Any:
        lines = capsys.readouterr().out.splitlines()
        return json.loads("\n".join(lines[lines.index("{") :]))

    return read


RENDER = '{"type": "image.render", "key": "uploads/a.png"}'


class TestDeadLetters:
    def test_all_are_listed_and_kept(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        ids = ops.send(*(json.dumps({"type": "image.render", "key": f"uploads/{n}"}) for n in range(23)))

        for _ in range(2):
            assert ops(dead_letter_commands.show_dead_letters) == 0
            report = json_output()
            assert (report["count"], report["inFlight"]) == (23, 0)
            assert {letter["id"] for letter in report["deadLetters"]} == set(ids)
        assert ops.dead == (23, 0)

    def test_message_is_listed_with_its_reason(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        (id_,) = ops.send(RENDER)
        log(CONSUMER_GROUP, failed(id_, "KeyError: 'no such thing'"), failed("another", "ValueError: not this"))

        ops(dead_letter_commands.show_dead_letters)

        (letter,) = json_output()["deadLetters"]
        assert (letter["queue"], letter["type"], letter["body"]) == ("vitrine-local-jobs-dead", "image.render", RENDER)
        assert abs(datetime.fromisoformat(letter["sentAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
        assert letter["receives"] == 1
        assert (letter["reason"]["error"], letter["reason"]["message"]) == ("KeyError", "KeyError: 'no such thing'")

    def test_messages_in_flight_are_counted(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        ops.send(RENDER, RENDER)
        ops.sqs.receive_message(QueueUrl=ops.stage.dead_letter_queue_url, MaxNumberOfMessages=1)
        ops(dead_letter_commands.show_dead_letters)
        report = json_output()
        assert (report["count"], report["inFlight"]) == (1, 1)

    def test_interrupted_listing_makes_messages_visible(self, ops: Ops) -> None:
        ops.send(*[RENDER] * 12)
        interrupted(ops.sqs, "ReceiveMessage", after=1)
        with pytest.raises(Interrupted):
            ops(dead_letter_commands.show_dead_letters)
        assert ops.dead == (12, 0)

    def test_failed_listing_makes_messages_visible(self, ops: Ops) -> None:
        ops.send(*[RENDER] * 12)
        fails_after(ops.sqs, "ReceiveMessage", 1)
        with pytest.raises(ClientError, match="provoked"):
            ops(dead_letter_commands.show_dead_letters)
        assert ops.dead == (12, 0)


class TestRedrive:
    def test_given_ids_are_sent_back(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        bodies = [json.dumps({"type": "item.delete", "owner": "ann", "id": str(n)}) for n in range(15)]
        ids = ops.send(*bodies)

        assert ops(dead_letter_commands.redrive, ids=[ids[3], ids[12]]) == 0

        report = json_output()
        assert (report["sentBack"], report["selected"], set(report["ids"])) == (2, 2, {ids[3], ids[12]})
        assert sorted(job["Body"] for job in ops.jobs()) == sorted([bodies[3], bodies[12]])
        assert ops.dead == (13, 0)

    def test_all_are_sent_back_once(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        bodies = [json.dumps({"type": "item.delete", "owner": "ann", "id": str(n)}) for n in range(23)]
        ops.send(*bodies)
        fails(ops.sqs, "StartMessageMoveTask", "InvalidAction")

        assert ops(dead_letter_commands.redrive, all=True) == 0

        assert json_output()["sentBack"] == 23
        assert sorted(job["Body"] for job in ops.jobs()) == sorted(bodies)
        assert ops.dead == (0, 0)

    def test_item_create_is_sent_back_with_its_id_as_key(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        keyed = {"type": "item.create", "owner": "ann", "item": {"n": 1}, "key": "mine"}
        ids = ops.send(json.dumps(keyed), json.dumps({"type": "item.create", "owner": "ann", "item": {"n": 2}}))
        fails(ops.sqs, "StartMessageMoveTask", "AccessDenied")

        assert ops(dead_letter_commands.redrive, all=True) == 0

        assert sorted(json.loads(job["Body"])["key"] for job in ops.jobs()) == sorted(["mine", ids[1]])
        assert json_output()["sentBack"] == 2

    def test_message_attributes_are_kept(self, ops: Ops) -> None:
        given = {"DataType": "String", "StringValue": "from the till"}
        ids = ops.send(RENDER, Source=given)
        ops(dead_letter_commands.redrive, ids=ids)
        (job,) = ops.jobs()
        assert job["MessageAttributes"]["Source"] == given

    def test_failure_loses_no_message(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        ids = ops.send(*[RENDER] * 5)
        fails_after(ops.sqs, "SendMessage", 2)

        with pytest.raises(ClientError, match="provoked"):
            ops(dead_letter_commands.redrive, ids=ids)

        assert json_output()["sentBack"] == 2
        assert len(ops.jobs()) == 2
        assert ops.dead == (3, 0)

    def test_interruption_loses_no_message(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        ids = ops.send(*[RENDER] * 5)
        interrupted(ops.sqs, "SendMessage", after=2)

        with pytest.raises(Interrupted):
            ops(dead_letter_commands.redrive, ids=ids)

        report = json_output()
        assert (report["sentBack"], report["selected"]) == (3, 5)
        assert len(ops.jobs()) == 3
        assert ops.dead == (2, 0)

    def test_message_taken_by_another_is_reported_as_skipped(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        ids = ops.send(RENDER, RENDER)

        def take_one() -> None:
            url = ops.stage.dead_letter_queue_url
            (message,) = ops.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
            ops.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

        once_after(ops.sqs, "ChangeMessageVisibilityBatch", take_one)
        assert ops(dead_letter_commands.redrive, ids=ids) == 1
        report = json_output()
        assert (report["sentBack"], report["selected"]) == (1, 2)

    def test_unknown_id_sends_nothing(self, ops: Ops) -> None:
        ids = ops.send(RENDER)
        with pytest.raises(StageError, match=r"There is no dead letter nobody's\. Nothing was sent back\."):
            ops(dead_letter_commands.redrive, ids=[*ids, "nobody's"])
        assert ops.jobs() == []
        assert ops.dead == (1, 0)

    def test_without_confirmation_nothing_is_sent(self, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = ops.send(RENDER)
        monkeypatch.setattr("sys.stdin", io.StringIO())
        with pytest.raises(StageError, match=r"Nothing was sent back\."):
            ops(dead_letter_commands.redrive, ids=ids, yes=False)
        assert ops.jobs() == []
        assert ops.dead == (1, 0)

    def test_progress_is_printed(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        ids = ops.send(*[RENDER] * 21)
        ops(dead_letter_commands.redrive, ids=ids, json=False)
        output = capsys.readouterr().out
        assert "and 1 more: `dead-letters` shows all of them." in output
        assert output.endswith("Sent back 10 of 21 …\nSent back 20 of 21 …\nSent back 21 of 21.\n")

    def test_failed_event_invokes_its_function(self, ops: Ops) -> None:
        ids = ops.send(FAILED_EVENT, url=str(ops.stage.failed_event_queue_url))

        assert ops(dead_letter_commands.redrive, ids=ids) == 0

        event = json.loads(FAILED_EVENT)
        function = event["requestContext"]["functionArn"]
        assert ops.functions.invoked == [(function, "Event", event["requestPayload"])]
        assert ops.count(str(ops.stage.failed_event_queue_url)) == (0, 0)

    def test_other_message_stays_among_the_failed_events(self, ops: Ops) -> None:
        ids = ops.send("not even JSON", url=str(ops.stage.failed_event_queue_url))
        with pytest.raises(StageError, match="is not the record of a failed event"):
            ops(dead_letter_commands.redrive, ids=ids)
        assert ops.count(str(ops.stage.failed_event_queue_url)) == (1, 0)

    def test_delivery_goes_back_to_its_queue(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        body = json.dumps({"owner": "ann", "webhookId": "w", "event": {"type": "item.created"}})
        ids = ops.send(body, url=str(ops.stage.delivery_dead_letter_queue_url))

        ops(dead_letter_commands.show_dead_letters)
        [letter] = json_output()["deadLetters"]
        assert (letter["id"], letter["type"]) == (ids[0], "item.created")
        assert "The function on_deliveries of the stage local is not deployed" in letter["reason"]["message"]
        assert ops(dead_letter_commands.redrive, ids=ids) == 0
        assert ops.count(str(ops.stage.delivery_queue_url)) == (1, 0)
        assert ops.jobs() == []

    def test_changes_that_lambda_gave_up_on_are_read_from_the_stream(
        self, ops: Ops, api: Api, json_output: Callable[[], Any]
    ) -> None:
        follow_table()
        names = [api.item(title=title)["title"] for title in ("before", "first", "last", "after")]
        records = [one for one in ChangeStream(ops.stage).read_new() if item_events.item_key(one)]
        ids = ops.send(failed_batch(records[1], records[2]), url=str(ops.stage.failed_event_queue_url))
        have_an_empty_page(ops.stage.client("dynamodbstreams"))

        ops(dead_letter_commands.show_dead_letters)
        [letter] = json_output()["deadLetters"]
        assert letter["type"] == "Changes"
        assert letter["reason"]["message"].startswith("RetryAttemptsExhausted: on_change did not process 2 changes")
        assert ops(dead_letter_commands.redrive, ids=ids) == 0

        assert {(name, kind) for name, kind, _ in ops.functions.invoked} == {("vitrine-local-on_change", "Event")}
        sent = [record for _, _, event in ops.functions.invoked for record in event["Records"]]
        assert all(record["setAside"] for record in sent)
        events = [exact_json.from_json(event.json) for one in sent for event in item_events.from_record(one)]
        assert [event["data"]["item"]["title"] for event in events] == names[1:3]

    def test_changes_that_the_stream_no_longer_has_stay(self, ops: Ops, api: Api) -> None:
        follow_table()
        api.item()
        [record] = [one for one in ChangeStream(ops.stage).read_new() if item_events.item_key(one)]
        fails(ops.stage.client("dynamodbstreams"), "GetShardIterator", "TrimmedDataAccessException")
        ids = ops.send(failed_batch(record, record), url=str(ops.stage.failed_event_queue_url))
        with pytest.raises(StageError, match="its changes are gone from the table's stream"):
            ops(dead_letter_commands.redrive, ids=ids)
        assert ops.count(str(ops.stage.failed_event_queue_url)) == (1, 0)


class TestEvents:
    def show(self, ops: Ops, capsys: pytest.CaptureFixture[str], **options: Any) -> list[str]:
        capsys.readouterr()
        defaults = {"since": datetime.now(UTC) - timedelta(minutes=1), "follow": False, "json": False}
        self.code = ops(lookup_commands.show_events, **defaults | options)
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if not line.startswith(('{"level"', '{"_aws"'))]  # the API's log

    def test_events_are_shown_in_order(self, ops: Ops, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
        follow_table()
        id_ = api.item(title="Vase")["id"]
        api("PATCH", f"/items/{id_}", {"title": "Bowl", "n": 1})
        api("DELETE", f"/items/{id_}")
        have_an_empty_page(ops.stage.client("dynamodbstreams"))

        lines = [re.split(" {2,}", line) for line in self.show(ops, capsys)]
        assert [tuple(one[1:]) for one in lines] == [
            ("item.created", id_, "version 1", "local"),
            ("item.updated", id_, "version 2", "local", "n, title"),
            ("item.deleted", id_, "version 2", "local", "asked"),
        ]
        types = [json.loads(line)["type"] for line in self.show(ops, capsys, json=True)]
        assert types == ["item.created", "item.updated", "item.deleted"]
        assert self.show(ops, capsys, since=datetime.now(UTC) + timedelta(minutes=1)) == []

    def test_new_events_are_followed(
        self, ops: Ops, api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        follow_table()
        api.item(title="before")
        turns = iter([lambda: api.item(title="after"), lambda: signal.raise_signal(signal.SIGINT)])
        monkeypatch.setattr(time, "sleep", lambda _: next(turns)())

        assert len(self.show(ops, capsys, follow=True)) == 2

    def test_change_that_cannot_be_read_is_reported(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        follow_table()
        aws.dynamodb().put_item(TableName="vitrine-local", Item={"pk": {"S": "OWNER#a"}, "sk": {"S": "ITEM#1"}})
        assert self.show(ops, capsys) == []
        assert self.code == 1

    def test_table_without_a_stream_is_reported(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(StageError, match="The table of the stage local has no stream"):
            self.show(ops, capsys)


def follow_table() -> None:
    """Turn the table's stream on."""
    stream: Any = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    aws.dynamodb().update_table(TableName="vitrine-local", StreamSpecification=stream)


def have_an_empty_page(client: Any) -> None:
    """Let the first page of records be empty, as AWS may."""
    pages = [0]

    def empty(params: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        if not pages:
            return None
        pages.clear()
        same = json.loads(params["body"])["ShardIterator"]
        meta = {"HTTPStatusCode": 200, "RequestId": "1", "HTTPHeaders": {}, "RetryAttempts": 0}
        parsed = {"Records": [], "NextShardIterator": same, "ResponseMetadata": meta}
        return AWSResponse("https://aws.invalid", 200, {}, None), parsed

    provoke(client, "GetRecords", empty, "before-call")


def failed_batch(first: Record, last: Record) -> str:
    """Return Lambda's record of a batch (AWS, "Retaining discarded batches" of DynamoDB)."""
    return json.dumps(
        {
            "requestContext": {
                "requestId": "1",
                "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:old",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 1,
            },
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001541626099285-f35f62ef",
                "startSequenceNumber": first["dynamodb"]["SequenceNumber"],
                "endSequenceNumber": last["dynamodb"]["SequenceNumber"],
                "batchSize": 2,
                "streamArn": first["eventSourceARN"],
            },
        }
    )


class TestItem:
    def test_record_objects_due_times_and_letters_are_shown(
        self, ops: Ops, api: Api, json_output: Callable[[], Any]
    ) -> None:
        id_ = api.item(title="Vase", price=19.9, expiresAt="2090-01-01T00:00:00Z")["id"]
        api.picture(id_, jpeg())
        other = api.item(title="Bowl")["id"]
        about, _ = ops.send(*(json.dumps({"type": "item.delete", "owner": "local", "id": one}) for one in (id_, other)))

        assert ops(lookup_commands.show_item, owner="local", id=id_) == 0

        report = json_output()
        assert report["record"]["fields"] == fields(title="Vase", price=19.9)
        assert report["record"]["version"] == api.read(id_)["version"]
        assert [due["reason"] for due in report["due"]] == ["its upload ticket expires", "the item expires"]
        assert report["due"][1]["at"] == "2090-01-01T00:00:00.000Z"
        assert [one["key"] for one in report["objects"]] == sorted(api.objects("uploads/")) + sorted(
            api.objects("thumbnails/")
        )
        sizes = {one["key"]: one["size"] for one in report["objects"]}
        for key, size in sizes.items():
            assert size == aws.s3().head_object(Bucket=aws.bucket_name(), Key=key)["ContentLength"]
        assert [letter["id"] for letter in report["deadLetters"]] == [about]
        assert "Signature" not in json.dumps(report)

    def test_deleted_item_shows_when_it_is_purged(self, ops: Ops, api: Api, json_output: Callable[[], Any]) -> None:
        id_ = api.item(title="Vase")["id"]
        api.ticket(id_)
        api("DELETE", f"/items/{id_}")

        ops(lookup_commands.show_item, owner="local", id=id_)

        report = json_output()
        assert report["record"] is None
        assert report["purgeDueAt"] > datetime.now(UTC).isoformat()

    def test_unknown_item_is_an_error(self, ops: Ops) -> None:
        id_ = ids.new_id()
        with pytest.raises(StageError, match=rf"Nothing is stored about an item {id_} of ann: no record, no object"):
            ops(lookup_commands.show_item, owner="ann", id=id_)

    def test_id_may_be_in_upper_case(self, ops: Ops, api: Api, json_output: Callable[[], Any]) -> None:
        id_ = api.item()["id"]
        ops.send(json.dumps({"type": "item.delete", "owner": "local", "id": id_.upper()}))

        ops(lookup_commands.show_item, owner="local", id=id_.upper())

        report = json_output()
        assert (report["id"], report["record"]["version"], len(report["deadLetters"])) == (id_, 1, 1)

    def test_invalid_id_is_an_error(self, ops: Ops) -> None:
        with pytest.raises(StageError, match="nope is not an item id: an id is a UUID"):
            ops(lookup_commands.show_item, owner="ann", id="nope")


class TestReindex:
    @pytest.fixture
    def lacking(self, api: Api) -> None:
        """Create an item that lacks one of its index records."""
        api.item()
        table.write(table.Delete(Key.from_attributes(api.records("FIND")[0])))

    @pytest.mark.usefixtures("lacking")
    def test_index_is_repaired_and_recorded(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        assert ops(repair_commands.reindex, check=False) == 0

        assert json_output() == {"items": 1, "outdated": 0, "missing": 1, "orphaned": 0, "failed": {}}
        assert search_index_state.state("local", ops.stage.client).built == search_index_state.declared()
        assert ops(repair_commands.reindex, check=True) == 0

    @pytest.mark.usefixtures("lacking")
    def test_check_changes_nothing(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        for _ in range(2):
            assert ops(repair_commands.reindex, check=True) == 1
            assert json_output()["missing"] == 1
        assert search_index_state.state("local", ops.stage.client).built is None

    def test_unreadable_item_fails(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        table.write(table.Put(Key("local", "ITEM", ids.new_id()), {"version": "three"}))

        assert ops(repair_commands.reindex, check=False) == 1

        assert len(json_output()["failed"]) == 1
        assert search_index_state.state("local", ops.stage.client).built is None

    def test_other_fields_than_the_deployed_ones_are_refused(self, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = ops.stage._replace(name="dev")
        ops.stage.client("dynamodb").create_table(
            TableName="vitrine-dev",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        search_index_state.record_deployment("dev", stage.client, created=True)
        monkeypatch.setattr(search_index_keys, "current", lambda: search_index_keys.parse("1;another=s"))

        with pytest.raises(StageError, match="marks other fields than in the code that is deployed as dev"):
            Ops(stage, ops.functions)(repair_commands.reindex, check=True)

    def test_progress_is_printed(
        self, ops: Ops, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(repair_commands, "REINDEX_PROGRESS_INTERVAL", 2)
        for _ in range(3):
            api.item()

        ops(repair_commands.reindex, check=False, json=False)

        output = capsys.readouterr().out
        assert output.endswith("3 items read, 0 differences …\n3 items read. Their index is complete.\n")

    @pytest.mark.usefixtures("lacking")
    def test_differences_are_printed(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        ops(repair_commands.reindex, check=True, json=False)
        assert capsys.readouterr().out.endswith("1 items read:\n        1  items without some of their index records\n")
        ops(repair_commands.reindex, check=False, json=False)
        assert capsys.readouterr().out.endswith("without some of their index records: indexed again\n")


# ------------------------------------------------------------------------------------------------------- what is sent

FAILED_EVENT = json.dumps(
    {
        "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "requestContext": {
            "requestId": "1",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:vitrine-local-on_upload:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/a.png", "size": 7}}},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "ClientError", "errorMessage": "denied"},
    }
)


def failed(message_id: str, last_line: str) -> str:
    line = {"message": "Message failed", "message_id": message_id, "exception_name": last_line.partition(":")[0]}
    return json.dumps({"level": "ERROR", **line, "exception": f"Traceback\n  File\n{last_line}"})


def log(group: str, *lines: str) -> None:
    """Write lines to a log group."""
    client = boto3.client("logs")
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
    stream = f"stream-{time.time_ns()}"
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    at = int(time.time() * 1000)
    client.put_log_events(
        logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": at, "message": line} for line in lines]
    )


def interrupted(client: Any, operation: str, after: int) -> None:
    """Send SIGINT during each call of an operation after the first ``after`` ones."""
    _from_then_on(client, operation, after, lambda: os.kill(os.getpid(), signal.SIGINT))


def fails_after(client: Any, operation: str, times: int) -> None:
    """Make an operation fail after so many calls."""

    def fail() -> None:
        raise ClientError({"Error": {"Code": "InternalError", "Message": "provoked"}}, operation)

    _from_then_on(client, operation, times, fail)


def _from_then_on(client: Any, operation: str, times: int, act: Callable[[], None]) -> None:
    before = 0

    def step(**_: Any) -> None:
        nonlocal before
        before += 1
        if before > times:
            act()

    client.meta.events.register_first(f"before-call.sqs.{operation}", step)


def once_after(client: Any, operation: str, act: Callable[[], object]) -> None:
    """Call ``act`` after the first call of an operation."""

    def step(**_: Any) -> None:
        client.meta.events.unregister(name, step)
        act()

    name = f"after-call.sqs.{operation}"
    client.meta.events.register(name, step)


class TestRenderMissing:
    def put(self, ops: Ops, *keys: str, body: bytes = b"x", at: datetime | None = None) -> None:
        for key in keys:
            aws.s3().put_object(Bucket=ops.stage.bucket, Key=key, Body=body)
            if at:
                backend = s3_backends["123456789012"]["aws"]
                backend.buckets[ops.stage.bucket].keys[key].last_modified = at

    def queued(self, ops: Ops) -> list[str]:
        return sorted(keys_to_render(ops.jobs()))

    def test_files_without_thumbnail_are_queued(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        self.put(ops, "uploads/done.jpg", "uploads/a/b.png", "uploads/items/not-an-item.jpg", "uploads/ü +.jpg")
        self.put(ops, "thumbnails/done.jpg.jpg")

        assert ops(repair_commands.render_missing, dry_run=False) == 0

        missing = ["uploads/a/b.png", "uploads/items/not-an-item.jpg", "uploads/ü +.jpg"]
        assert json_output() == {"missing": 3, "queued": 3, "keys": missing}
        assert self.queued(ops) == missing

    def test_files_newer_than_their_thumbnail_are_queued(self, ops: Ops) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        self.put(ops, "uploads/new.jpg", "uploads/same.jpg", "uploads/old.jpg", at=now)
        self.put(ops, "thumbnails/new.jpg.jpg", at=now - timedelta(seconds=5))
        self.put(ops, "thumbnails/same.jpg.jpg", at=now)
        self.put(ops, "thumbnails/old.jpg.jpg", at=now + timedelta(seconds=5))

        ops(repair_commands.render_missing, dry_run=False)

        assert self.queued(ops) == ["uploads/new.jpg"]

    def test_item_pictures_and_folders_are_skipped(self, ops: Ops, api: Api, json_output: Callable[[], Any]) -> None:
        id_ = api.item()["id"]
        self.put(ops, f"uploads/items/local/{id_}/{ids.new_id()}")
        self.put(ops, "uploads/folder/", body=b"")

        ops(repair_commands.render_missing, dry_run=False)

        assert json_output() == {"missing": 0, "queued": 0, "keys": []}

    def test_dry_run_queues_nothing(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        self.put(ops, "uploads/a.jpg", "uploads/\x1b[1mb.jpg")

        ops(repair_commands.render_missing, dry_run=True, json=False)

        assert self.queued(ops) == []
        assert capsys.readouterr().out.splitlines()[-3:] == [
            "uploads/\\x1b[1mb.jpg",
            "uploads/a.jpg",
            "2 loose files (belonging to no item) without a current thumbnail: none queued.",
        ]

    def test_more_files_than_one_batch_are_queued(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        keys = [f"uploads/{number:02}.jpg" for number in range(23)]
        self.put(ops, *keys)

        ops(repair_commands.render_missing, dry_run=False)

        assert json_output()["queued"] == 23
        assert self.queued(ops) == keys

    def test_refused_message_is_an_error(self, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put(ops, "uploads/a.jpg")
        monkeypatch.setattr(ops.sqs, "send_message_batch", lambda **_: {"Failed": [{"Code": "Throttled"}]})

        with pytest.raises(StageError, match=r"refused 1 of 1 messages \(Throttled\); 0 files before them are queued"):
            ops(repair_commands.render_missing, dry_run=False)


def keys_to_render(messages: list[dict[str, Any]]) -> list[str]:
    """Return the keys in ``image.render`` messages."""
    jobs = [json.loads(message["Body"]) for message in messages]
    assert all(job["type"] == "image.render" for job in jobs)
    return [job["key"] for job in jobs]


class TestWebhooks:
    def test_failing_and_switched_off_webhooks_are_shown(self, ops: Ops, json_output: Callable[[], Any]) -> None:
        at = datetime(2026, 11, 27, tzinfo=UTC)
        states: list[dict[str, Any]] = [
            {},
            {"consecutive_failures": 5, "failing_since": "2026-11-27T12:00:00.000Z", "problem": "Down."},
            {"enabled": False},
        ]
        created = []
        for owner in ("ann", "bob"):
            for state in states:
                webhook, _ = webhooks.create(owner, "https://hooks.example/secret", ["*"], "", at)
                webhooks.change(owner, webhook.id, lambda old, state=state: msgspec.structs.replace(old, **state))  # type: ignore[misc]
                created.append((owner, webhook.id))

        assert ops(lookup_commands.show_webhooks) == 0
        shown_webhooks = json_output()["webhooks"]

        assert {(one["owner"], one["id"]) for one in shown_webhooks} == {*created[1:3], *created[4:6]}
        assert {(one["status"], one["host"], one["problem"]) for one in shown_webhooks} == {
            ("failing", "hooks.example", "Down."),
            ("off", "hooks.example", ""),
        }

    def test_all_webhooks_are_shown(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        assert ops(lookup_commands.show_webhooks, json=False, all=False) == 0
        assert ops(lookup_commands.show_webhooks, json=False, all=True) == 0
        webhook, _ = webhooks.create("ann", "https://hooks.example/secret", ["*"], "", datetime.now(UTC))
        assert ops(lookup_commands.show_webhooks, json=False, all=True) == 0
        table.write(table.Put(table.Key("bob", "WEBHOOKS", ""), {"webhooks": [{"id": "w"}]}))
        assert ops(lookup_commands.show_webhooks, json=False, all=True) == 1

        assert capsys.readouterr().out.splitlines() == [
            "No webhook is failing or switched off.",
            "There are no webhooks.",
            *[f"active   {webhook.id} hooks.example, of ann"] * 2,
            "invalid  record WEBHOOKS# of bob: Object missing required field `url` - at `$.webhooks[0]`",
        ]
