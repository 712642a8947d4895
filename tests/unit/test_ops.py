"""What an operator is shown and asked, on an AWS that follows a script."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from botocore import exceptions

from tools.interruption import Interrupted, Interruption
from tools.ops import __main__ as ops
from tools.ops import commands, items, logs, queues, reasons, texts
from tools.ops.cleanup import Failure, Swept
from tools.ops.items import Traces
from tools.ops.letters import Letter
from tools.ops.logs import Entry
from tools.ops.objects import Object
from tools.ops.reasons import Reason
from tools.ops.stage import Stage, find
from tools.stage import provision
from tools.stage.errors import StageError

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
ITEM = "019a0000-0000-7000-8000-000000000001"
UPLOAD = "019a0000-0000-7000-8000-000000000002"


def letter(body: str, id_: str = "letter-1", sent_at: datetime = AT) -> Letter:
    return Letter(id_, "vitrine-dev-jobs-dead", sent_at, 4, body, {})


def failed_event(**answer: Any) -> Letter:
    """What Lambda keeps of an event that a function could not deal with."""
    return letter(
        json.dumps(
            {
                "requestContext": {
                    "functionArn": "arn:aws:lambda:eu-west-1:1:function:vitrine-dev-OnUpload-1",
                    "condition": "RetriesExhausted",
                },
                "requestPayload": {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/a"}}},
                **answer,
            }
        )
    )


def line(**said: Any) -> Entry:
    return Entry(AT, "on_messages", json.dumps(said, ensure_ascii=False))


def client_error(code: str, operation: str = "DescribeStacks", message: str = "no") -> exceptions.ClientError:
    return exceptions.ClientError({"Error": {"Code": code, "Message": message}}, operation)


class TestALetter:
    @pytest.mark.parametrize(
        ("body", "type_"),
        [
            ('{"type": "image.render", "key": "uploads/a"}', "image.render"),
            ('{"type": "no.such"}', "no.such"),
            ('{"type": 7}', None),
            ("{}", None),
            ("[1]", None),
            ("not even JSON", None),
            ("[" * 100_000, None),
        ],
    )
    def test_has_the_type_that_its_body_says(self, body: str, type_: str | None) -> None:
        assert letter(body).type == type_

    def test_of_an_event_has_the_events_type(self) -> None:
        assert failed_event().type == "Object Created"

    def test_goes_back_as_it_came(self) -> None:
        body = '{ "type": "item.delete",  "owner": "ann", "id": "1" }'
        assert letter(body).job_again == body
        assert letter("not even JSON").job_again == "not even JSON"

    def test_that_creates_an_item_takes_its_old_id_along_so_that_it_makes_one_item_however_often_it_is_sent(
        self,
    ) -> None:
        again = letter('{"type": "item.create", "owner": "ann", "item": {"price": 1.10, "big": 1e+30}}').job_again
        assert json.loads(again)["key"] == "letter-1"
        assert '"item":{"price":1.10,"big":1E+30}' in again

    def test_that_creates_an_item_under_a_key_of_its_own_keeps_that(self) -> None:
        body = '{"type": "item.create", "owner": "ann", "key": "mine", "item": {}}'
        assert letter(body).job_again == body

    @pytest.mark.parametrize(
        ("answer", "error", "sentence"),
        [
            ({"responsePayload": {"errorType": "ClientError", "errorMessage": "denied"}}, "ClientError", "denied"),
            ({"responsePayload": None}, "RetriesExhausted", ""),
            ({}, "RetriesExhausted", ""),
        ],
    )
    def test_of_an_event_says_which_function_failed_and_how(
        self, answer: dict[str, Any], error: str, sentence: str
    ) -> None:
        failed = failed_event(**answer).failed_event
        assert failed is not None
        assert failed.function.endswith("vitrine-dev-OnUpload-1")
        assert failed.event["detail"] == {"object": {"key": "uploads/a"}}
        assert (failed.error, failed.sentence) == (error, sentence)

    def test_of_a_job_is_no_event(self) -> None:
        assert letter('{"type": "item.delete", "owner": "ann", "id": "1"}').failed_event is None


class TestALetterNamesAnItem:
    @pytest.mark.parametrize(
        "body",
        [
            {"type": "item.delete", "owner": "a/b", "id": ITEM},
            {"type": "image.render", "key": f"uploads/items/a%2Fb/{ITEM}/{UPLOAD}"},
        ],
    )
    def test_that_it_is_about(self, body: dict[str, str]) -> None:
        assert items.names(letter(json.dumps(body)), "a/b", ITEM)
        assert not items.names(letter(json.dumps(body)), "a", ITEM)
        assert not items.names(letter(json.dumps(body)), "a/b", UPLOAD)

    @pytest.mark.parametrize(
        "body",
        [
            '{"type": "image.render", "key": "uploads/loose.png"}',
            '{"type": "import.chunk", "owner": "a/b", "importId": "1", "chunk": 0}',
            "not even JSON",
        ],
    )
    def test_but_no_other(self, body: str) -> None:
        assert not items.names(letter(body), "a/b", ITEM)


class TestLines:
    def test_show_time_function_level_and_message_first_and_then_the_rest(self) -> None:
        entry = line(
            level="ERROR",
            message="A message failed",
            timestamp="2026-01-02T03:04:05.678+00:00",
            service="vitrine",
            stage="dev",
            function="vitrine-dev-on_messages",
            request_id="r-1",
            invocation_id="r-1",
            cold_start=True,
            message_id="m-1",
            exception='Traceback …\n  File "jobs.py", line 1\nValueError: no such thing',
            exception_name="ValueError",
            done={"expired": 2},
            note="",
        )
        assert logs.readable(entry) == (
            "2026-01-02T03:04:05.678Z on_messages ERROR   A message failed  request_id=r-1  cold_start=true"
            '  message_id=m-1  exception="ValueError: no such thing"  done={"expired": 2}  note=""'
        )

    def test_show_both_ids_where_they_differ(self) -> None:
        shown = logs.readable(line(level="INFO", message="Answered", request_id="gateway", invocation_id="lambda"))
        assert shown is not None
        assert shown.endswith("request_id=gateway  invocation_id=lambda")

    def test_leave_out_what_is_for_metrics(self) -> None:
        assert logs.readable(line(_aws={"CloudWatchMetrics": []}, Requests=[1])) is None

    def test_show_what_is_no_json_as_it_is(self) -> None:
        timed_out = Entry(AT, "clean_up", "2026-01-02T03:04:05.678Z r-1 Task timed out after 300.00 seconds")
        assert logs.readable(timed_out) == (
            "2026-01-02T03:04:05.678Z clean_up            2026-01-02T03:04:05.678Z r-1 Task timed out after"
            " 300.00 seconds"
        )

    @pytest.mark.parametrize("nasty", ["\x1b[2J", "\x9b2J", "two\nlines", "\u202egnp.exe"])
    def test_stay_one_line_and_never_steer_the_terminal(self, nasty: str) -> None:
        for entry in (line(level="INFO", message=f"m{nasty}", x=f"x{nasty}"), Entry(AT, "clean_up", f"raw {nasty}")):
            shown = logs.readable(entry)
            assert shown is not None
            assert shown.isprintable()

    def test_for_programs_are_as_they_were_written(self) -> None:
        text = '{"level":"INFO",  "price": 1.10}'
        assert logs.as_it_is(Entry(AT, "on_upload", text)) == text

    def test_for_programs_are_json_throughout(self) -> None:
        said = json.loads(logs.as_it_is(Entry(AT, "on_upload", "Runtime exited with error: signal: killed")))
        assert said == {
            "timestamp": "2026-01-02T03:04:05.678Z",
            "function": "on_upload",
            "message": "Runtime exited with error: signal: killed",
        }

    @pytest.mark.parametrize(
        ("stack", "expected"), [("Traceback\n  File\nKeyError: 'x'\n\n", "KeyError: 'x'"), ("", ""), ("\n", "")]
    )
    def test_of_a_stack_tell_the_last(self, stack: str, expected: str) -> None:
        assert logs.last_line(stack) == expected


class TestAPeriod:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("90s", timedelta(seconds=90)),
            ("10m", timedelta(minutes=10)),
            ("2h", timedelta(hours=2)),
            ("1d", timedelta(days=1)),
        ],
    )
    def test_is_a_number_and_a_letter(self, text: str, expected: timedelta) -> None:
        assert logs.period(text) == expected

    @pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1.5h", "10 m", "1w", "99999d", "１m"])
    def test_is_nothing_else(self, text: str) -> None:
        with pytest.raises(ValueError, match="looks like 90s, 10m, 2h or 1d"):
            logs.period(text)


class TestWhatIsShown:
    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (-3, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3 * 3600 + 720, "3 h 12 min"),
            (86400 * 2 + 3600, "2 d 1 h"),
        ],
    )
    def test_of_an_age_are_its_two_largest_units(self, seconds: int, expected: str) -> None:
        assert texts.age(letter(""), AT + timedelta(seconds=seconds)) == expected

    def test_of_a_letter_is_what_it_is_and_why_it_failed(self) -> None:
        sent = letter('{"type": "image.render",\n "key": "uploads/a"}')
        reason = Reason("NoSuchKey", "botocore.errorfactory.NoSuchKey: it is gone", AT + timedelta(minutes=1))
        assert texts.letter(sent, AT + timedelta(hours=1), texts.why(reason)) == (
            "\nletter-1  image.render  sent 2026-01-02T03:04:05.678Z (1 h 0 min ago), handed out 4 times"
            '\n  body  {"type": "image.render",\\n "key": "uploads/a"}'
            "\n  why   botocore.errorfactory.NoSuchKey: it is gone (2026-01-02T03:05:05.678Z)"
        )

    def test_of_a_long_body_is_its_beginning(self) -> None:
        shown = texts.letter(letter("x" * 5000), AT)
        assert f"{'x' * 120}… (5000 characters)" in shown
        assert "x" * 121 not in shown

    def test_of_a_letter_for_a_program_is_all_of_it(self) -> None:
        assert texts.letter_data(letter("x" * 5000), AT + timedelta(seconds=2)) == {
            "id": "letter-1",
            "queue": "vitrine-dev-jobs-dead",
            "type": None,
            "sentAt": "2026-01-02T03:04:05.678Z",
            "ageSeconds": 2,
            "receives": 4,
            "body": "x" * 5000,
        }

    def test_says_when_there_may_be_more_than_can_be_seen(self) -> None:
        assert texts.how_many(0, "jobs-dead", 0) == "jobs-dead is empty."
        assert "About 3 more cannot be seen now" in texts.how_many(2, "jobs-dead", 3)

    def test_of_a_cleanup_is_a_line_for_each_kind_and_each_failure(self) -> None:
        swept = Swept({"failed": 3, "expired": 12}, [Failure("ITEM", ITEM, "KeyError: 'fields'")], finished=False)
        shown = texts.swept(swept).splitlines()
        assert shown == [
            "     12  expired: expired items, deleted",
            "      3  failed: entries that failed and are left for the next run",
            f"         ITEM {ITEM}: KeyError: 'fields'",
            "         2 that the logs do not name (yet): `logs clean_up` shows them.",
            "It ran out of time: run it again, or leave the rest to the next hour.",
        ]

    def test_of_a_cleanup_that_had_nothing_to_do_says_so(self) -> None:
        assert texts.swept(Swept({}, [], finished=True)) == "Nothing was due."

    def test_has_every_kind_that_a_cleanup_counts_in_words(self) -> None:
        source = (provision.PROJECT_DIR / "chalicelib" / "catalogue" / "cleanup.py").read_text(encoding="utf-8")
        counted = {name for pair in re.findall(r'return "(\w+)"|counts\["(\w+)"\]', source) for name in pair if name}
        assert counted == set(texts.KINDS)

    def test_of_an_item_is_its_record_with_exact_numbers_and_all_that_lies_about(self) -> None:
        record = {
            "version": Decimal(3),
            "fields": {"price": Decimal("1E-130"), "big": Decimal(10**37 + 1)},
            "expiresAt": "2026-02-01T00:00:00.000Z",
            "image": {"status": "processing", "dueAt": "2026-01-02T03:30:00.000Z"},
        }
        key = f"uploads/items/ann/{ITEM}/{UPLOAD}"
        traces = Traces(record, None, [Object(key, 1234, AT), Object("thumb", 6, AT)], [letter("{}")])
        shown = texts.item("ann", ITEM, traces, AT)
        assert '"price": 1E-130' in shown
        assert '"big": 10000000000000000000000000000000000001' in shown
        assert "Due\n  2026-01-02T03:30:00.000Z  its render is stuck\n  2026-02-01T00:00:00.000Z  its time" in shown
        assert f"Objects (2, 1240 bytes)\n        1234  2026-01-02T03:04:05.678Z  {key}\n" in shown
        assert "Dead letters that name it (1)\n\nletter-1" in shown

    def test_of_an_item_that_was_deleted_is_what_is_still_to_go(self) -> None:
        shown = texts.item("ann", ITEM, Traces(None, "2026-01-02T03:30:00.000Z", [], []), AT)
        assert "none: it was deleted or never existed" in shown
        assert "2026-01-02T03:30:00.000Z  the item is deleted, its last objects are not yet" in shown

    def test_of_an_item_with_nothing_due_says_so(self) -> None:
        assert "Due\n  nothing\n" in texts.item("ann", ITEM, Traces({"version": 1}, None, [], []), AT)


class ScriptedLogs:
    """A CloudWatch that has these lines in every group, oldest first, and knows since when its groups are there."""

    def __init__(self, *entries: tuple[datetime, str], made: datetime | None = None, days: int = 0) -> None:
        self._entries = entries
        self._made = made
        self._days = days

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(self, startTime: int, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803 (as boto3 names it)
        for at, text in self._entries:  # a page each, and empty ones in between
            ms = int(at.timestamp() * 1000)
            event = {"timestamp": ms, "message": text, "logStreamName": "stream"}
            yield {"events": [event] if ms >= startTime else []}
            yield {"events": []}

    def describe_log_groups(self, logGroupNamePrefix: str) -> dict[str, Any]:  # noqa: N803
        if self._made is None:
            return {"logGroups": []}
        kept = {"retentionInDays": self._days} if self._days else {}
        made = {"creationTime": int(self._made.timestamp() * 1000), **kept}
        others = {"logGroupName": f"{logGroupNamePrefix}-another", "creationTime": 0}
        return {"logGroups": [others, {"logGroupName": logGroupNamePrefix, **made}]}


def on_lambda(*names: tuple[str, str]) -> Any:
    """A Lambda with these functions, by name and handler."""
    listed = [{"FunctionName": name, "Handler": handler, "Timeout": 60} for name, handler in names]
    pages = [{"Functions": listed[:2]}, {"Functions": listed[2:]}]
    return SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda: pages))


def stage(**services: Any) -> Stage:
    """A stage in an AWS that has these services alone."""
    return Stage("dev", lambda service, **_: services[service], "bucket", "https://sqs/jobs", "https://sqs/dead", None)


CONSUMER = on_lambda(("vitrine-dev-on_messages", "app.on_messages"))


def why(*letters: Letter, cloudwatch: ScriptedLogs, now: datetime = AT) -> dict[str, Reason | str]:
    return reasons.why(stage(logs=cloudwatch, **{"lambda": CONSUMER}), letters, now)


def failure(message_id: str, last: str) -> str:
    said = {"message": "A message failed", "message_id": message_id, "exception_name": "E", "exception": f"T\n{last}"}
    return json.dumps({"level": "ERROR", **said})


RENDER = '{"type": "image.render", "key": "uploads/a.png"}'


class TestWhyALetterFailed:
    def test_is_what_was_logged_of_it_last(self) -> None:
        cloudwatch = ScriptedLogs(
            (AT, failure("a", "first")),
            (AT + timedelta(seconds=5), failure("a", "second")),
            (AT + timedelta(seconds=6), failure("b", "another's")),
            (AT + timedelta(seconds=7), '{"message": "A message failed to convince", "message_id": "a"}'),
            (AT + timedelta(seconds=8), "A message failed, says something that is no JSON"),
        )
        known = why(letter(RENDER, "a"), letter(RENDER, "b"), cloudwatch=cloudwatch)
        assert known["a"] == Reason("E", "second", AT + timedelta(seconds=5))
        assert known["b"] == Reason("E", "another's", AT + timedelta(seconds=6))

    def test_is_not_looked_for_before_it_was_sent(self) -> None:
        earlier = ScriptedLogs((AT - timedelta(seconds=1), failure("letter-1", "of another life")), made=AT)
        assert isinstance(why(letter(RENDER), cloudwatch=earlier)["letter-1"], str)

    def test_is_unknown_where_there_are_no_logs(self) -> None:
        assert why(letter(RENDER), cloudwatch=ScriptedLogs()) == {"letter-1": "The consumer's logs are gone."}

    @pytest.mark.parametrize(
        ("made", "days"), [(AT + timedelta(days=3), 0), (AT - timedelta(days=90), 7)], ids=["made anew", "not kept"]
    )
    def test_is_unknown_where_the_logs_do_not_go_back_so_far(self, made: datetime, days: int) -> None:
        now = AT + timedelta(days=10)
        said = why(letter(RENDER), cloudwatch=ScriptedLogs(made=made, days=days), now=now)["letter-1"]
        assert said == "The consumer's logs of that time are gone: they go back to 2026-01-05T03:04:05.678Z."

    def test_is_unknown_where_the_consumer_never_said_it(self) -> None:
        said = why(letter(RENDER), cloudwatch=ScriptedLogs(made=AT - timedelta(days=90)))["letter-1"]
        assert isinstance(said, str)
        assert said.startswith("No log line names it")

    def test_is_unknown_where_no_code_is_deployed(self) -> None:
        said = reasons.why(stage(**{"lambda": on_lambda()}), [letter(RENDER)], AT)
        assert said == {"letter-1": "No code of the stage dev is deployed in this account and region."}

    def test_is_what_the_message_itself_shows_if_no_log_line_does(self) -> None:
        body = '{"type": "item.delete", "owner": "", "id": "x"}'
        expected = Reason("InvalidRequestError", "owner must be 1 to 255 printable ASCII characters.", AT)
        assert why(letter(body), cloudwatch=ScriptedLogs()) == {"letter-1": expected}
        assert reasons.why(stage(**{"lambda": on_lambda()}), [letter(body)], AT) == {"letter-1": expected}

    def test_stands_beside_an_event(self) -> None:
        event = failed_event(responsePayload={"errorType": "ClientError", "errorMessage": "denied"})
        assert reasons.why(stage(), [event], AT) == {"letter-1": Reason("ClientError", "ClientError: denied", AT)}

    def test_is_for_a_program_what_it_is_for_a_person(self) -> None:
        assert texts.why_data(Reason("E", "E: no", AT)) == {
            "why": {"error": "E", "lastLine": "E: no", "at": "2026-01-02T03:04:05.678Z"}
        }
        assert texts.why_data("The logs are gone.") == {"why": None, "whyNot": "The logs are gone."}


OUTPUTS = {"BucketName": "b", "QueueUrl": "q", "DeadLetterQueueUrl": "d"}


class TestAStage:
    @staticmethod
    def cloudformation(outputs: dict[str, str] | None) -> Any:
        def describe_stacks(StackName: str) -> dict[str, Any]:  # noqa: N803 (as boto3 names it)
            assert StackName == "vitrine-dev-resources"
            if outputs is None:
                raise client_error("ValidationError", message=f"Stack with id {StackName} does not exist")
            listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
            return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Outputs": listed}]}

        return lambda service: SimpleNamespace(describe_stacks=describe_stacks)

    def test_is_what_its_resource_stack_says(self) -> None:
        found = find("dev", self.cloudformation(OUTPUTS | {"FailedEventQueueUrl": "e"}))
        assert (found.bucket, found.queue_url, found.dead_letter_queue_url) == ("b", "q", "d")
        assert found.failed_event_queue_url == "e"

    def test_may_be_older_than_the_queue_of_failed_events(self) -> None:
        found = find("dev", self.cloudformation(OUTPUTS))
        assert found.failed_event_queue_url is None
        with Interruption() as interruption:
            assert queues.of_events(found, interruption) is None

    @pytest.mark.parametrize("outputs", [None, {}])
    def test_that_is_not_there_is_a_sentence_with_a_remedy(self, outputs: dict[str, str] | None) -> None:
        with pytest.raises(StageError, match=r"no stack vitrine-dev-resources.*tools\.stage\.provision --stage dev"):
            find("dev", self.cloudformation(outputs))

    def test_has_its_functions_whichever_way_they_were_deployed_and_no_other_stages(self) -> None:
        there = stage(
            **{
                "lambda": on_lambda(
                    ("vitrine-dev", "app.app"),
                    ("vitrine-dev-OnUpload-1A2B", "app.on_upload"),
                    ("vitrine-dev2-on_upload", "app.on_upload"),
                    ("vitrine-prod", "app.app"),
                    ("somebody-elses", "app.app"),
                )
            }
        )
        assert [(one.handler, one.name) for one in there.functions()] == [
            ("api_handler", "vitrine-dev"),
            ("on_upload", "vitrine-dev-OnUpload-1A2B"),
        ]
        assert [one.log_group for one in there.functions("api_handler")] == ["/aws/lambda/vitrine-dev"]

    def test_names_the_functions_that_it_has_where_another_is_asked_for(self) -> None:
        with pytest.raises(StageError, match="has no function on_mesages: it has on_messages"):
            stage(**{"lambda": CONSUMER}).functions("on_mesages")


class ScriptedMove:
    """As much of SQS as a move of all letters uses; its states follow each other as in ``script``."""

    def __init__(self, *script: dict[str, Any], refusal: Exception | None = None) -> None:
        self._script = list(script)
        self._refusal = refusal
        self.calls: list[str] = []

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": "arn:aws:sqs:eu-west-1:1:vitrine-dev-jobs-dead"}}

    def start_message_move_task(self, SourceArn: str) -> dict[str, str]:  # noqa: N803 (as boto3 names it)
        if self._refusal:
            raise self._refusal
        self.calls.append(f"move {SourceArn.rpartition(':')[2]}")
        return {"TaskHandle": "handle"}

    def list_message_move_tasks(self, **_: Any) -> dict[str, Any]:
        state = self._script.pop(0)
        if state.get("interrupted"):
            os.kill(os.getpid(), signal.SIGINT)
        return {"Results": [state]}

    def cancel_message_move_task(self, TaskHandle: str) -> None:  # noqa: N803
        self.calls.append(f"cancel {TaskHandle}")


def state(status: str, moved: int, **more: Any) -> dict[str, Any]:
    return {"Status": status, "ApproximateNumberOfMessagesMoved": moved, **more}


class TestMovingAllInAws:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queues.time, "sleep", lambda seconds: None)

    def move(self, sqs: Any, report: Callable[[int], None] = lambda done: None) -> int | None:
        with Interruption() as interruption:
            return queues.of_jobs(stage(sqs=sqs), interruption).move_all(report)

    def test_is_left_to_sqs_and_followed_to_its_end(self) -> None:
        sqs, said = ScriptedMove(state("RUNNING", 0), state("RUNNING", 40), state("COMPLETED", 57)), []
        assert self.move(sqs, said.append) == 57
        assert said == [0, 40, 57]
        assert sqs.calls == ["move vitrine-dev-jobs-dead"]

    def test_that_fails_says_why_and_how_far_it_came(self) -> None:
        sqs = ScriptedMove(state("RUNNING", 3), state("FAILED", 3, FailureReason="AccessDenied"))
        with pytest.raises(StageError, match="moved 3 letters of dead and stopped: AccessDenied"):
            self.move(sqs)

    def test_ends_when_it_is_interrupted(self) -> None:
        sqs = ScriptedMove(state("RUNNING", 3), state("RUNNING", 5, interrupted=True))
        with pytest.raises(Interrupted):
            self.move(sqs)
        assert sqs.calls == ["move vitrine-dev-jobs-dead", "cancel handle"]

    def test_is_unknown_to_the_emulator(self) -> None:
        assert self.move(ScriptedMove(refusal=client_error("InvalidAction"))) is None

    def test_that_is_refused_is_not_tried_in_another_way(self) -> None:
        with pytest.raises(exceptions.ClientError, match="AccessDenied"):
            self.move(ScriptedMove(refusal=client_error("AccessDenied")))


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sits down at a terminal and answers what is asked."""

    def answer(text: str) -> None:
        keyboard = io.StringIO(f"{text}\n")
        keyboard.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", keyboard)

    return answer


class TestAQuestion:
    JOB = commands.Job(stage(), SimpleNamespace(yes=False, json=False), None)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("said", "agreed"), [("y", True), ("YES", True), ("n", False), ("", False)])
    def test_about_what_can_be_undone_takes_y(self, console: Callable[[str], None], *, said: str, agreed: bool) -> None:
        console(said)
        assert commands.agreed(self.JOB, "Send back?", "y", "yes") is agreed

    @pytest.mark.parametrize(("said", "agreed"), [("yes", True), ("y", False), ("", False)])
    def test_about_what_cannot_takes_the_whole_word(
        self, console: Callable[[str], None], capsys: pytest.CaptureFixture[str], *, said: str, agreed: bool
    ) -> None:
        console(said)
        assert commands.agreed(self.JOB, "Delete?", "yes") is agreed
        assert capsys.readouterr().err == "Delete? Type yes: "

    def test_that_nobody_can_answer_is_a_no(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
        assert not commands.agreed(self.JOB, "Delete?", "yes")
        assert "use --yes" in capsys.readouterr().err


class TestTheCommandLine:
    @pytest.fixture(autouse=True)
    def environment(self) -> Iterator[None]:
        """The environment as it was, after the command line has pointed it somewhere."""
        with mock.patch.dict(os.environ):
            yield

    @pytest.mark.parametrize(
        "arguments",
        [
            ["dead"],
            ["--stage", "dev"],
            ["--stage", "dev", "redrive"],
            ["--stage", "dev", "purge"],
            ["--stage", "dev", "purge", "--all", "some-id"],
            ["--stage", "dev", "logs", "--since", "yesterday"],
            ["--stage", "dev", "item", "ann"],
        ],
    )
    def test_that_makes_no_sense_ends_with_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            ops.main(arguments)
        assert ended.value.code == 2
        assert "error: " in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--stage", "dev-2", "dead"], ["dead", "--stage", "dev-2"]])
    def test_takes_the_stage_before_or_behind_the_command(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert ops.main(arguments) == 1
        assert "dev-2" in capsys.readouterr().err

    def test_without_a_stage_says_so(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            ops.main(["dead"])
        assert "required: --stage" in capsys.readouterr().err

    def test_that_asks_for_help_gets_an_example_of_each_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            ops.main(["--help"])
        examples = re.findall(r"python -m tools\.ops --stage \w+ ([\w-]+)", capsys.readouterr().out)
        assert set(examples) == {"dead", "redrive", "purge", "cleanup", "render-missing", "logs", "item"}

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            (exceptions.NoCredentialsError(), "There are no AWS credentials"),
            (exceptions.NoRegionError(), "There is no AWS region"),
            (exceptions.ProfileNotFound(profile="nobody"), "nobody"),
            (client_error("ExpiredToken", message="The token is expired"), "AWS refused DescribeStacks: The token"),
            (exceptions.EndpointConnectionError(endpoint_url="https://x"), "Nothing answers at https://x"),
        ],
    )
    def test_that_aws_refuses_is_one_sentence(
        self,
        error: Exception,
        sentence: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def refuse(*_: Any) -> None:
            raise error

        monkeypatch.setattr(ops, "find", refuse)
        assert ops.main(["--stage", "dev", "dead"]) == 1
        said = capsys.readouterr()
        assert sentence in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""

    def test_with_a_name_that_no_stage_has_is_one_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert ops.main(["--stage", "dev-2", "dead"]) == 1
        assert "is not a stage name" in capsys.readouterr().err

    @pytest.mark.parametrize(("arguments", "code"), [(["logs", "--follow"], 0), (["logs"], 1), (["dead"], 1)])
    def test_that_is_interrupted_ends_at_once(
        self, arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(ops, "find", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert ops.main(["--stage", "dev", *arguments]) == code
        assert "Traceback" not in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--json", "dead"], ["dead", "--json"]])
    def test_takes_json_before_the_command_and_behind_it(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[bool] = []
        monkeypatch.setattr(ops, "find", lambda *_: stage())
        monkeypatch.setattr(ops.commands, "dead", lambda job: asked.append(job.options.json) or 0)
        assert ops.main(["--stage", "dev", *arguments]) == 0
        assert asked == [True]
