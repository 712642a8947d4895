"""The operator's commands on queues, logs, records and objects: nothing is lost, and nothing is counted wrongly."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from chalicelib import aws, config
from chalicelib.values import ids
from tests.builders import jpeg
from tests.integration.stage import Stage as Api
from tests.integration.stage import fails
from tools.interruption import Interrupted, Interruption
from tools.ops import commands, logs
from tools.ops.stage import Stage
from tools.stage.errors import StageError

GROUP = "/aws/lambda/vitrine-local"
CONSUMER_GROUP = "/aws/lambda/vitrine-local-on_messages"
HANDLED = {
    "vitrine-local": "app.app",
    "vitrine-local-on_messages": "app.on_messages",
    "vitrine-local-clean_up": "app.clean_up",
}


class Ops:
    """The commands, on this process's AWS, for somebody who agrees to everything."""

    def __init__(self, stage: Stage, functions: Any) -> None:
        self.stage = stage
        self.functions = functions
        self.sqs = stage.client("sqs")

    def __call__(self, command: Callable[[commands.Job], int], **options: Any) -> int:
        chosen = Namespace(**{"json": True, "yes": True, "all": False, "ids": [], **options})
        with Interruption() as interruption:
            return command(commands.Job(self.stage, chosen, interruption))

    def send(self, *bodies: str, url: str = "", **attributes: Any) -> list[str]:
        """Puts letters into the dead-letter queue (or another); returns their ids."""
        url = url or self.stage.dead_letter_queue_url
        return [
            self.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)["MessageId"]
            for body in bodies
        ]

    def count(self, url: str) -> tuple[int, int]:
        """How many messages a queue shows, and how many are in somebody's hands."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(counts[names[0]]), int(counts[names[1]])

    @property
    def dead(self) -> tuple[int, int]:
        return self.count(self.stage.dead_letter_queue_url)

    def jobs(self) -> list[dict[str, Any]]:
        """Takes what lies in the queue of jobs."""
        taken = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.stage.queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            taken += messages
        return taken


class Functions:
    """A Lambda that has the stage's functions, and notes what is asked of them."""

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
    monkeypatch.setattr("tools.ops.queues.WAIT", 0)
    # What the commands tell chalicelib of their stage is not to outlive the test.
    with monkeypatch.context() as environment:
        for name in ("STAGE", "BUCKET_NAME"):
            environment.setenv(name, os.environ[name])
        bucket = config.settings().bucket or ""
        yield Ops(Stage("local", client, bucket, *queues), functions)


NAMES = ("jobs", "jobs-dead", "events-dead")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """What a command answered, as JSON, behind what the app has logged."""

    def read() -> Any:
        lines = capsys.readouterr().out.splitlines()
        return json.loads("\n".join(lines[lines.index("{") :]))

    return read


RENDER = '{"type": "image.render", "key": "uploads/a.png"}'


class TestLooking:
    def test_shows_all_letters_however_many_and_takes_nothing_away(self, ops: Ops, said: Callable[[], Any]) -> None:
        ids = ops.send(*(json.dumps({"type": "image.render", "key": f"uploads/{n}"}) for n in range(23)))

        for _ in range(2):
            assert ops(commands.dead) == 0
            shown = said()
            assert (shown["count"], shown["heldElsewhere"]) == (23, 0)
            assert {letter["id"] for letter in shown["letters"]} == set(ids)
        assert ops.dead == (23, 0)

    def test_shows_what_a_letter_is_and_why_it_failed(self, ops: Ops, said: Callable[[], Any]) -> None:
        (id_,) = ops.send(RENDER)
        log(CONSUMER_GROUP, failed(id_, "KeyError: 'no such thing'"), failed("another", "ValueError: not this"))

        ops(commands.dead)

        (letter,) = said()["letters"]
        assert (letter["queue"], letter["type"], letter["body"]) == ("vitrine-local-jobs-dead", "image.render", RENDER)
        assert abs(datetime.fromisoformat(letter["sentAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
        assert letter["receives"] == 1
        assert (letter["why"]["error"], letter["why"]["lastLine"]) == ("KeyError", "KeyError: 'no such thing'")

    def test_says_so_where_the_logs_are_gone(self, ops: Ops, said: Callable[[], Any]) -> None:
        ops.send(RENDER)
        ops(commands.dead)
        (letter,) = said()["letters"]
        assert (letter["why"], letter["whyNot"]) == (None, "The consumer's logs are gone.")

    def test_shows_failed_events_with_the_error_that_lambda_kept(self, ops: Ops, said: Callable[[], Any]) -> None:
        ops.send(FAILED_EVENT, url=str(ops.stage.failed_event_queue_url))
        ops(commands.dead)
        (letter,) = said()["letters"]
        assert (letter["queue"], letter["type"]) == ("vitrine-local-events-dead", "Object Created")
        assert letter["why"]["lastLine"] == "ClientError: denied"

    def test_counts_what_somebody_else_holds(self, ops: Ops, said: Callable[[], Any]) -> None:
        ops.send(RENDER, RENDER)
        ops.sqs.receive_message(QueueUrl=ops.stage.dead_letter_queue_url, MaxNumberOfMessages=1)
        ops(commands.dead)
        shown = said()
        assert (shown["count"], shown["heldElsewhere"]) == (1, 1)

    def test_that_is_interrupted_lets_go_of_what_it_took(self, ops: Ops) -> None:
        ops.send(*[RENDER] * 12)
        interrupted(ops.sqs, "ReceiveMessage", after=1)
        with pytest.raises(Interrupted):
            ops(commands.dead)
        assert ops.dead == (12, 0)

    def test_that_fails_lets_go_of_what_it_took(self, ops: Ops) -> None:
        ops.send(*[RENDER] * 12)
        fails_after(ops.sqs, "ReceiveMessage", 1)
        with pytest.raises(ClientError, match="provoked"):
            ops(commands.dead)
        assert ops.dead == (12, 0)

    def test_is_for_a_person_a_few_lines_each(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        (id_,) = ops.send(RENDER)
        ops(commands.dead, json=False)
        shown = capsys.readouterr().out
        assert "1 in vitrine-local-jobs-dead, the oldest first:\n" in shown
        assert f"{id_}  image.render  sent " in shown
        assert "vitrine-local-events-dead is empty.\n" in shown


class TestSendingBack:
    def test_of_chosen_letters_moves_those_and_no_other(self, ops: Ops, said: Callable[[], Any]) -> None:
        bodies = [json.dumps({"type": "item.delete", "owner": "ann", "id": str(n)}) for n in range(15)]
        ids = ops.send(*bodies)

        assert ops(commands.redrive, ids=[ids[3], ids[12]]) == 0

        answer = said()
        assert (answer["sentBack"], answer["chosen"], set(answer["ids"])) == (2, 2, {ids[3], ids[12]})
        assert sorted(job["Body"] for job in ops.jobs()) == sorted([bodies[3], bodies[12]])
        assert ops.dead == (13, 0)

    def test_of_all_moves_each_once(self, ops: Ops, said: Callable[[], Any]) -> None:
        bodies = [json.dumps({"type": "item.delete", "owner": "ann", "id": str(n)}) for n in range(23)]
        ops.send(*bodies)
        fails(ops.sqs, "StartMessageMoveTask", "InvalidAction")

        assert ops(commands.redrive, all=True) == 0

        assert said()["sentBack"] == 23
        assert sorted(job["Body"] for job in ops.jobs()) == sorted(bodies)
        assert ops.dead == (0, 0)

    def test_of_all_sends_each_with_its_old_id_where_one_counts_by_that(
        self, ops: Ops, said: Callable[[], Any]
    ) -> None:
        """Moved by SQS it would be a new message, and the item that its run left behind would come a second time."""
        keyed = {"type": "item.create", "owner": "ann", "item": {"n": 1}, "key": "mine"}
        ids = ops.send(json.dumps(keyed), json.dumps({"type": "item.create", "owner": "ann", "item": {"n": 2}}))
        fails(ops.sqs, "StartMessageMoveTask", "AccessDenied")

        assert ops(commands.redrive, all=True) == 0

        assert sorted(json.loads(job["Body"])["key"] for job in ops.jobs()) == sorted(["mine", ids[1]])
        assert said()["sentBack"] == 2

    def test_of_all_leaves_it_to_sqs_where_that_changes_nothing(self, ops: Ops) -> None:
        ops.send(json.dumps({"type": "item.delete", "owner": "ann", "id": "1"}))
        fails(ops.sqs, "StartMessageMoveTask", "AccessDenied")

        with pytest.raises(ClientError, match="StartMessageMoveTask"):
            ops(commands.redrive, all=True)

    def test_keeps_what_the_sender_gave_along(self, ops: Ops) -> None:
        given = {"DataType": "String", "StringValue": "from the till"}
        ids = ops.send(RENDER, Source=given)
        ops(commands.redrive, ids=ids)
        (job,) = ops.jobs()
        assert job["MessageAttributes"]["Source"] == given

    def test_that_fails_half_way_has_each_letter_in_one_of_the_queues(self, ops: Ops, said: Callable[[], Any]) -> None:
        ids = ops.send(*[RENDER] * 5)
        fails_after(ops.sqs, "SendMessage", 2)

        with pytest.raises(ClientError, match="provoked"):
            ops(commands.redrive, ids=ids)

        assert said()["sentBack"] == 2
        assert len(ops.jobs()) == 2
        assert ops.dead == (3, 0)

    def test_that_is_interrupted_ends_between_two_letters(self, ops: Ops, said: Callable[[], Any]) -> None:
        ids = ops.send(*[RENDER] * 5)
        interrupted(ops.sqs, "SendMessage", after=2)

        with pytest.raises(Interrupted):
            ops(commands.redrive, ids=ids)

        answer = said()
        assert (answer["sentBack"], answer["chosen"]) == (3, 5)
        assert len(ops.jobs()) == 3
        assert ops.dead == (2, 0)

    def test_of_a_letter_that_somebody_took_meanwhile_says_how_many_it_missed(
        self, ops: Ops, said: Callable[[], Any]
    ) -> None:
        ids = ops.send(RENDER, RENDER)

        def take_one() -> None:
            url = ops.stage.dead_letter_queue_url
            (message,) = ops.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
            ops.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

        once_after(ops.sqs, "ChangeMessageVisibilityBatch", take_one)
        assert ops(commands.redrive, ids=ids) == 1
        answer = said()
        assert (answer["sentBack"], answer["chosen"]) == (1, 2)

    def test_of_an_unknown_letter_does_nothing_at_all(self, ops: Ops) -> None:
        ids = ops.send(RENDER)
        with pytest.raises(StageError, match=r"There is no dead letter nobody's\. Nothing was done\."):
            ops(commands.redrive, ids=[*ids, "nobody's"])
        assert ops.jobs() == []
        assert ops.dead == (1, 0)

    def test_without_leave_does_nothing_at_all(self, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = ops.send(RENDER)
        monkeypatch.setattr("sys.stdin", io.StringIO())
        with pytest.raises(StageError, match=r"Nothing was sent back\."):
            ops(commands.redrive, ids=ids, yes=False)
        assert ops.jobs() == []
        assert ops.dead == (1, 0)

    def test_of_nothing_says_that_there_is_nothing(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        assert ops(commands.redrive, all=True, json=False) == 0
        assert capsys.readouterr().out == "There are no dead letters.\n"

    def test_says_how_far_it_is(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        ids = ops.send(*[RENDER] * 21)
        ops(commands.redrive, ids=ids, json=False)
        shown = capsys.readouterr().out
        assert "and 1 more: `dead` shows all of them." in shown
        assert shown.endswith("Sent back 10 of 21 …\nSent back 20 of 21 …\nSent back 21 of 21.\n")

    def test_of_an_event_has_its_function_run_again(self, ops: Ops) -> None:
        ids = ops.send(FAILED_EVENT, url=str(ops.stage.failed_event_queue_url))

        assert ops(commands.redrive, ids=ids) == 0

        event = json.loads(FAILED_EVENT)
        function = event["requestContext"]["functionArn"]
        assert ops.functions.invoked == [(function, "Event", event["requestPayload"])]
        assert ops.count(str(ops.stage.failed_event_queue_url)) == (0, 0)

    def test_of_what_is_no_event_leaves_it_among_the_failed_events(self, ops: Ops) -> None:
        ids = ops.send("not even JSON", url=str(ops.stage.failed_event_queue_url))
        with pytest.raises(StageError, match="is no record of a failed event"):
            ops(commands.redrive, ids=ids)
        assert ops.count(str(ops.stage.failed_event_queue_url)) == (1, 0)


class TestPurging:
    def test_deletes_chosen_letters_and_no_other(self, ops: Ops, said: Callable[[], Any]) -> None:
        ids = ops.send(*[RENDER] * 12)

        assert ops(commands.purge, ids=[ids[0].upper(), ids[11]]) == 0

        answer = said()
        assert (answer["deleted"], answer["chosen"], set(answer["ids"])) == (2, 2, {ids[0], ids[11]})
        assert ops.dead == (10, 0)
        assert ops.jobs() == []

    def test_of_all_deletes_what_was_shown_and_not_what_came_since(self, ops: Ops, said: Callable[[], Any]) -> None:
        ops.send(*[RENDER] * 12)
        once_after(ops.sqs, "ChangeMessageVisibilityBatch", lambda: ops.send("came since"))

        assert ops(commands.purge, all=True) == 0

        assert said()["deleted"] == 12
        ops(commands.dead)
        assert [letter["body"] for letter in said()["letters"]] == ["came since"]

    def test_shows_first_what_goes(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        (id_,) = ops.send(RENDER)
        ops(commands.purge, ids=[id_], json=False)
        shown = capsys.readouterr().out
        assert shown.index(f"{id_}  image.render") < shown.index("Deleted 1 of 1.")

    def test_without_leave_deletes_nothing(self, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
        ops.send(RENDER)
        monkeypatch.setattr("sys.stdin", io.StringIO())
        with pytest.raises(StageError, match=r"Nothing was deleted\."):
            ops(commands.purge, all=True, yes=False)
        assert ops.dead == (1, 0)


class TestLogs:
    SINCE = timedelta(minutes=10)

    def test_of_all_functions_come_together_in_the_order_of_time(
        self, ops: Ops, capsys: pytest.CaptureFixture[str]
    ) -> None:
        at = datetime.now(UTC) - timedelta(minutes=1)
        log(GROUP, answered(at, "first"), answered(at + timedelta(seconds=2), "third"), "START RequestId: 1 Version: 1")
        log(CONSUMER_GROUP, answered(at + timedelta(seconds=1), "second"), '{"_aws": {}, "Requests": [1]}')

        assert ops(commands.tail, json=False, functions=[], since=self.SINCE, follow=False) == 0

        shown = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [(words[1], words[3]) for words in shown] == [
            ("api_handler", "first"),
            ("on_messages", "second"),
            ("api_handler", "third"),
        ]

    def test_for_a_program_are_json_as_it_was_written(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        text = answered(datetime.now(UTC), "as it is")
        log(GROUP, text, "Runtime exited")
        ops(commands.tail, functions=["api_handler"], since=self.SINCE, follow=False)
        lines = capsys.readouterr().out.splitlines()
        assert text in lines
        assert {json.loads(line)["message"] for line in lines} == {"as it is", "Runtime exited"}

    def test_of_one_function_have_no_others_in_them(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        log(GROUP, answered(datetime.now(UTC), "not asked for"))
        ops(commands.tail, functions=["on_messages"], since=self.SINCE, follow=False)
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", "Nothing was logged in that time.\n")

    def test_that_are_followed_show_each_line_once_and_late_ones_too(
        self, ops: Ops, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = datetime.now(UTC)
        log(GROUP, answered(now, "twice alike"), answered(now, "twice alike"))
        looks = iter(
            [
                lambda: log(CONSUMER_GROUP, answered(now - timedelta(seconds=9), "late")),
                lambda: None,
                lambda: os.kill(os.getpid(), signal.SIGINT),
            ]
        )
        monkeypatch.setattr(logs.time, "sleep", lambda seconds: next(looks)())

        with pytest.raises(Interrupted):
            ops(commands.tail, functions=[], since=self.SINCE, follow=True)

        messages = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
        assert messages == ["twice alike", "twice alike", "late"]


class TestAnItem:
    def test_is_shown_with_its_record_its_objects_what_is_due_and_the_letters_about_it(
        self, ops: Ops, api: Api, said: Callable[[], Any]
    ) -> None:
        id_ = api.item(title="Vase", price=19.9, expiresAt="2090-01-01T00:00:00Z")["id"]
        api.picture(id_, jpeg())
        other = api.item(title="Bowl")["id"]
        about, _ = ops.send(*(json.dumps({"type": "item.delete", "owner": "local", "id": one}) for one in (id_, other)))

        assert ops(commands.item, owner="local", id=id_) == 0

        shown = said()
        assert shown["record"]["fields"] == {"title": "Vase", "price": 19.9}
        assert shown["record"]["version"] == api.read(id_)["version"]
        assert [due["what"] for due in shown["due"]] == ["its upload ticket is over", "its time is up"]
        assert shown["due"][1]["at"] == "2090-01-01T00:00:00.000Z"
        assert [one["key"] for one in shown["objects"]] == sorted(api.objects("uploads/")) + sorted(
            api.objects("thumbnails/")
        )
        sizes = {one["key"]: one["size"] for one in shown["objects"]}
        for key, size in sizes.items():
            assert size == aws.s3().head_object(Bucket=aws.bucket_name(), Key=key)["ContentLength"]
        assert [letter["id"] for letter in shown["deadLetters"]] == [about]
        assert "Signature" not in json.dumps(shown)

    def test_that_was_deleted_shows_when_its_last_objects_go(self, ops: Ops, api: Api, said: Callable[[], Any]) -> None:
        id_ = api.item(title="Vase")["id"]
        api.ticket(id_)
        api("DELETE", f"/items/{id_}")

        ops(commands.item, owner="local", id=id_)

        shown = said()
        assert shown["record"] is None
        assert shown["purgeDueAt"] > datetime.now(UTC).isoformat()

    def test_of_which_there_is_nothing_is_a_sentence(self, ops: Ops) -> None:
        id_ = ids.new_id()
        with pytest.raises(StageError, match=rf"There is nothing of an item {id_} of ann: no record, no object"):
            ops(commands.item, owner="ann", id=id_)

    def test_is_found_by_its_id_in_upper_case(self, ops: Ops, api: Api, said: Callable[[], Any]) -> None:
        id_ = api.item()["id"]
        ops.send(json.dumps({"type": "item.delete", "owner": "local", "id": id_.upper()}))

        ops(commands.item, owner="local", id=id_.upper())

        shown = said()
        assert (shown["id"], shown["record"]["version"], len(shown["deadLetters"])) == (id_, 1, 1)

    def test_cannot_have_another_kind_of_id(self, ops: Ops) -> None:
        with pytest.raises(StageError, match="nope is no item id: an id is a UUID"):
            ops(commands.item, owner="ann", id="nope")


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
    said = {"message": "A message failed", "message_id": message_id, "exception_name": last_line.partition(":")[0]}
    return json.dumps({"level": "ERROR", **said, "exception": f"Traceback\n  File\n{last_line}"})


def answered(at: datetime, message: str) -> str:
    return json.dumps({"level": "INFO", "message": message, "timestamp": at.isoformat()})


def log(group: str, *lines: str) -> None:
    """Puts lines into a function's log."""
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
    """Somebody presses Ctrl-C while an operation is under way that was done ``after`` times before."""
    _from_then_on(client, operation, after, lambda: os.kill(os.getpid(), signal.SIGINT))


def fails_after(client: Any, operation: str, times: int) -> None:
    """An operation works so many times, and then no more."""

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
    """Something happens right after an operation was done for the first time."""

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

    def test_queues_loose_files_that_have_no_thumbnail(self, ops: Ops, said: Callable[[], Any]) -> None:
        self.put(ops, "uploads/done.jpg", "uploads/a/b.png", "uploads/items/not-an-item.jpg", "uploads/ü +.jpg")
        self.put(ops, "thumbnails/done.jpg.jpg")

        assert ops(commands.render_missing, dry_run=False) == 0

        missing = ["uploads/a/b.png", "uploads/items/not-an-item.jpg", "uploads/ü +.jpg"]
        assert said() == {"missing": 3, "queued": 3, "keys": missing}
        assert self.queued(ops) == missing

    def test_queues_files_newer_than_their_thumbnail(self, ops: Ops) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        self.put(ops, "uploads/new.jpg", "uploads/same.jpg", "uploads/old.jpg", at=now)
        self.put(ops, "thumbnails/new.jpg.jpg", at=now - timedelta(seconds=5))
        self.put(ops, "thumbnails/same.jpg.jpg", at=now)
        self.put(ops, "thumbnails/old.jpg.jpg", at=now + timedelta(seconds=5))

        ops(commands.render_missing, dry_run=False)

        assert self.queued(ops) == ["uploads/new.jpg"]

    def test_leaves_out_pictures_of_items_and_folders(self, ops: Ops, api: Api, said: Callable[[], Any]) -> None:
        id_ = api.item()["id"]
        self.put(ops, f"uploads/items/local/{id_}/{ids.new_id()}")
        self.put(ops, "uploads/folder/", body=b"")

        ops(commands.render_missing, dry_run=False)

        assert said() == {"missing": 0, "queued": 0, "keys": []}

    def test_queues_nothing_in_a_dry_run(self, ops: Ops, capsys: pytest.CaptureFixture[str]) -> None:
        self.put(ops, "uploads/a.jpg", "uploads/\x1b[1mb.jpg")

        ops(commands.render_missing, dry_run=True, json=False)

        assert self.queued(ops) == []
        assert capsys.readouterr().out.splitlines()[-3:] == [
            "uploads/\\x1b[1mb.jpg",
            "uploads/a.jpg",
            "2 loose files without a current thumbnail: nothing was queued.",
        ]

    def test_queues_more_files_than_one_request_takes(self, ops: Ops, said: Callable[[], Any]) -> None:
        keys = [f"uploads/{number:02}.jpg" for number in range(23)]
        self.put(ops, *keys)

        ops(commands.render_missing, dry_run=False)

        assert said()["queued"] == 23
        assert self.queued(ops) == keys

    def test_says_what_the_queue_refused(self, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put(ops, "uploads/a.jpg")
        monkeypatch.setattr(ops.sqs, "send_message_batch", lambda **_: {"Failed": [{"Code": "Throttled"}]})

        with pytest.raises(StageError, match=r"refused 1 of 1 messages \(Throttled\); 0 files before them are queued"):
            ops(commands.render_missing, dry_run=False)


def keys_to_render(messages: list[dict[str, Any]]) -> list[str]:
    """The keys that jobs ask to render."""
    jobs = [json.loads(message["Body"]) for message in messages]
    assert all(job["type"] == "image.render" for job in jobs)
    return [job["key"] for job in jobs]
