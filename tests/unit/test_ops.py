"""``python -m tools.ops``: the command line, what it shows, and why dead letters failed, with scripted AWS clients."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import pytest
from botocore import exceptions

from chalicelib import config
from chalicelib.catalogue.models import Image, Item, Share
from tools.interruption import Interruption
from tools.ops import __main__ as ops
from tools.ops import (
    dead_letter_commands,
    dead_letter_queues,
    failure_reasons,
    function_commands,
    item_lookup,
    log_parsing,
    output,
)
from tools.ops.cleanup_now import Failure, Result
from tools.ops.command_context import CommandContext
from tools.ops.dead_letter import DeadLetter
from tools.ops.deployed_stage import Stage, find
from tools.ops.failure_reasons import Reason
from tools.ops.item_lookup import ItemData
from tools.ops.s3_objects import S3Object
from tools.stage.errors import StageError

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
SOONER, LATER = "2026-01-02T03:30:00.000Z", "2026-01-02T04:00:00.000Z"
ITEM = "019a0000-0000-7000-8000-000000000001"
UPLOAD = "019a0000-0000-7000-8000-000000000002"
RENDER = '{"type": "image.render", "key": "uploads/a.png"}'


def letter(body: str, id_: str = "letter-1", sent_at: datetime = AT) -> DeadLetter:
    return DeadLetter(id_, "vitrine-dev-jobs-dead", sent_at, 4, body, {})


def failed_event(**response: Any) -> DeadLetter:
    return letter(
        json.dumps(
            {
                "requestContext": {
                    "functionArn": "arn:aws:lambda:eu-west-1:1:function:vitrine-dev-OnUpload-1",
                    "condition": "RetriesExhausted",
                },
                "requestPayload": {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/a"}}},
                **response,
            }
        )
    )


def client_error(code: str, operation: str = "DescribeStacks", message: str = "no") -> exceptions.ClientError:
    return exceptions.ClientError({"Error": {"Code": code, "Message": message}}, operation)


class TestDeadLetter:
    @pytest.mark.parametrize(
        ("body", "type_"),
        [
            ('{"type": "image.render", "key": "uploads/a"}', "image.render"),
            ('{"type": "no.such"}', "no.such"),
            ('{"type": 7}', None),
            ("{}", None),
            ("[1]", None),
            ("not JSON", None),
            ("[" * 100_000, None),
        ],
    )
    def test_type_is_read_from_the_body(self, body: str, type_: str | None) -> None:
        assert letter(body).type == type_

    def test_failed_event_has_the_type_of_the_event(self) -> None:
        assert failed_event().type == "Object Created"

    def test_body_is_sent_back_unchanged(self) -> None:
        body = '{ "type": "item.delete",  "owner": "ann", "id": "1" }'
        assert letter(body).redrive_body == body
        assert letter("not JSON").redrive_body == "not JSON"

    def test_item_create_without_key_gets_its_id_as_key(self) -> None:
        body = letter('{"type": "item.create", "owner": "ann", "item": {"price": 1.10, "big": 1e+30}}').redrive_body
        assert json.loads(body)["key"] == "letter-1"
        assert '"item":{"price":1.10,"big":1E+30}' in body

    def test_item_create_with_key_is_unchanged(self) -> None:
        body = '{"type": "item.create", "owner": "ann", "key": "mine", "item": {}}'
        assert letter(body).redrive_body == body

    @pytest.mark.parametrize(
        ("response", "error", "message"),
        [
            ({"responsePayload": {"errorType": "ClientError", "errorMessage": "denied"}}, "ClientError", "denied"),
            ({"responsePayload": None}, "RetriesExhausted", ""),
            ({}, "RetriesExhausted", ""),
        ],
    )
    def test_failed_event_has_function_and_error(self, response: dict[str, Any], error: str, message: str) -> None:
        failed = failed_event(**response).failed_event
        assert failed is not None
        assert failed.function.endswith("vitrine-dev-OnUpload-1")
        assert failed.event["detail"] == {"object": {"key": "uploads/a"}}
        assert (failed.error, failed.message) == (error, message)

    def test_message_is_no_failed_event(self) -> None:
        assert letter('{"type": "item.delete", "owner": "ann", "id": "1"}').failed_event is None


class TestDeadLetterOfAnItem:
    @pytest.mark.parametrize(
        "body",
        [
            {"type": "item.delete", "owner": "a/b", "id": ITEM},
            {"type": "image.render", "key": f"uploads/items/a%2Fb/{ITEM}/{UPLOAD}"},
        ],
    )
    def test_message_about_the_item_is_found(self, body: dict[str, str]) -> None:
        assert item_lookup.is_about(letter(json.dumps(body)), "a/b", ITEM)
        assert not item_lookup.is_about(letter(json.dumps(body)), "a", ITEM)
        assert not item_lookup.is_about(letter(json.dumps(body)), "a/b", UPLOAD)

    @pytest.mark.parametrize(
        "body",
        [
            '{"type": "image.render", "key": "uploads/loose.png"}',
            '{"type": "import.chunk", "owner": "a/b", "importId": "1", "chunk": 0}',
            "not JSON",
        ],
    )
    def test_other_messages_are_not(self, body: str) -> None:
        assert not item_lookup.is_about(letter(body), "a/b", ITEM)


class TestOutput:
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
    def test_age_has_two_units(self, seconds: int, expected: str) -> None:
        assert output.age(letter(""), AT + timedelta(seconds=seconds)) == expected

    def test_dead_letter_has_three_lines(self) -> None:
        sent = letter('{"type": "image.render",\n "key": "uploads/a"}')
        reason = Reason("botocore.errorfactory.NoSuchKey: it is gone", "NoSuchKey", AT + timedelta(minutes=1))
        assert output.dead_letter_text(sent, AT + timedelta(hours=1), reason) == (
            "\nletter-1  image.render  sent 2026-01-02T03:04:05.678Z (1 h 0 min ago), received 4 times"
            '\n  body    {"type": "image.render",\\n "key": "uploads/a"}'
            "\n  reason  botocore.errorfactory.NoSuchKey: it is gone (2026-01-02T03:05:05.678Z)"
        )

    def test_long_body_is_cut_off(self) -> None:
        text = output.dead_letter_text(letter("x" * 5000), AT)
        assert f"{'x' * 120}… (5000 characters)" in text
        assert "x" * 121 not in text

    @pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "two\nlines", "\u202egnp.exe"])
    def test_control_characters_are_escaped(self, text: str) -> None:
        assert output.shorten(f"body {text}", 100).isprintable()

    def test_cleanup_has_a_line_for_each_kind_and_failure(self) -> None:
        result = Result({"failed": 3, "expired": 12}, [Failure("ITEM", ITEM, "KeyError: 'fields'")], finished=False)
        assert output.cleanup_text(result).splitlines() == [
            "     12  expired: expired items deleted",
            "      3  failed: failed, to be retried in the next run",
            f"         ITEM {ITEM}: KeyError: 'fields'",
            "         2 more failed: see the log of clean_up.",
            "Time limit reached: run it again, or leave the rest to the next cleanup.",
        ]

    def test_item_has_record_due_times_objects_and_letters(self) -> None:
        record = {
            "version": Decimal(3),
            "fields": {"price": Decimal("1E-130"), "big": Decimal(10**37 + 1)},
            "expiresAt": "2026-02-01T00:00:00.000Z",
            "image": {"status": "processing", "dueAt": "2026-01-02T03:30:00.000Z"},
        }
        key = f"uploads/items/ann/{ITEM}/{UPLOAD}"
        found = ItemData(record, None, [S3Object(key, 1234, AT), S3Object("thumb", 6, AT)], [letter("{}")])
        text = output.item_text("ann", ITEM, found, AT)
        assert '"price": 1E-130' in text
        assert '"big": 10000000000000000000000000000000000001' in text
        assert (
            "Due for cleanup\n  2026-01-02T03:30:00.000Z  its thumbnail job is overdue"
            "\n  2026-02-01T00:00:00.000Z  the item expires\n"
        ) in text
        assert f"Objects (2, 1240 bytes)\n        1234  2026-01-02T03:04:05.678Z  {key}\n" in text
        assert "Dead letters (1)\n\nletter-1" in text

    def test_deleted_item_shows_when_it_is_purged(self) -> None:
        text = output.item_text("ann", ITEM, ItemData(None, "2026-01-02T03:30:00.000Z", [], []), AT)
        assert "none: it was deleted or never existed" in text
        assert "2026-01-02T03:30:00.000Z  the item is deleted, its last objects are not" in text


@pytest.mark.parametrize(
    "managed",
    [
        {"expires_at": LATER},
        {"ticket_until": LATER},
        {"exposure_due_at": LATER},
        {"hidden": True, "updated_at": LATER},
        {"image": Image(status="processing", due_at=LATER)},
        {"shares": (Share("1", "2", SOONER, LATER), Share("3", "4", SOONER))},
    ],
    ids=", ".join,
)
def test_each_reason_for_the_cleanup_is_shown(managed: dict[str, Any]) -> None:
    values = {"updated_at": SOONER, "created_at": SOONER, "id": ITEM, "version": 1, "owner": "ann", "fields": {}}
    item = Item(**(values | managed))
    assert item.due_at == LATER
    due = ItemData(msgspec.to_builtins(item), None, [], []).due
    assert {at for at, _ in due} == {LATER}


def test_item_that_is_not_due_has_no_reason() -> None:
    assert ItemData({"updatedAt": SOONER, "image": {"status": "ready"}}, None, [], []).due == []


class ScriptedLogs:
    """CloudWatch Logs with these lines in every log group, oldest first; without lines, with no group."""

    def __init__(self, *lines: tuple[datetime, str]) -> None:
        self._lines = lines

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(self, startTime: int, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803 (as boto3 names it)
        if not self._lines:
            raise client_error("ResourceNotFoundException", "FilterLogEvents")
        for at, text in self._lines:  # one page each, with an empty one after it
            milliseconds = int(at.timestamp() * 1000)
            yield {"events": [{"timestamp": milliseconds, "message": text}] if milliseconds >= startTime else []}
            yield {"events": []}


def scripted_lambda(*functions: tuple[str, str]) -> Any:
    """Lambda with these functions, by name and handler."""
    listed = [{"FunctionName": name, "Handler": handler, "Timeout": 60} for name, handler in functions]
    pages = [{"Functions": listed[:2]}, {"Functions": listed[2:]}]
    return SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda: pages))


CONSUMER = scripted_lambda(("vitrine-dev-on_messages", "app.on_messages"))


def stage(**clients: Any) -> Stage:
    return Stage("dev", lambda service: clients[service], "bucket", "jobs", "https://sqs/1/dead", None)


def reasons(*letters: DeadLetter, logs: ScriptedLogs) -> dict[str, Reason]:
    return failure_reasons.find(stage(**{"logs": logs, "lambda": CONSUMER}), letters)


def failure(message_id: str, error: str, at: datetime) -> tuple[datetime, str]:
    line = {"message": "Message failed", "message_id": message_id, "exception_name": "E", "exception": f"T\n{error}"}
    return at, json.dumps({"level": "ERROR", "timestamp": at.isoformat(), **line})


class TestReason:
    def test_last_logged_failure_is_the_reason(self) -> None:
        found = reasons(
            letter(RENDER, "a"),
            letter(RENDER, "b"),
            logs=ScriptedLogs(
                failure("a", "first", AT),
                failure("a", "second", AT + timedelta(seconds=5)),
                failure("b", "of another message", AT + timedelta(seconds=6)),
                (AT + timedelta(seconds=7), '{"message": "Message failed to convince", "message_id": "a"}'),
                (AT + timedelta(seconds=8), "Message failed, in a line that is not JSON"),
                (AT + timedelta(seconds=9), '{"message": "Message failed", "cut off'),
            ),
        )
        assert found["a"] == Reason("second", "E", AT + timedelta(seconds=5))
        assert found["b"] == Reason("of another message", "E", AT + timedelta(seconds=6))

    def test_failures_before_it_was_sent_are_ignored(self) -> None:
        logs = ScriptedLogs(failure("letter-1", "too early", AT - timedelta(seconds=1)))
        assert reasons(letter(RENDER), logs=logs) == {"letter-1": Reason(failure_reasons.NO_LOG_LINE)}

    def test_it_is_unknown_without_a_log_group(self) -> None:
        assert reasons(letter(RENDER), logs=ScriptedLogs()) == {"letter-1": Reason(failure_reasons.NO_LOG_LINE)}

    def test_it_is_unknown_without_deployed_code(self) -> None:
        (found,) = failure_reasons.find(stage(**{"lambda": scripted_lambda()}), [letter(RENDER)]).values()
        assert found.message.startswith("unknown: The function on_messages of the stage dev is not deployed")
        assert found.error is None

    def test_invalid_message_explains_itself(self) -> None:
        body = '{"type": "item.delete", "owner": "", "id": "x"}'
        expected = Reason("owner must be 1 to 255 printable ASCII characters.", "InvalidRequestError", AT)
        assert reasons(letter(body), logs=ScriptedLogs()) == {"letter-1": expected}
        without_code = stage(**{"lambda": scripted_lambda()})
        assert failure_reasons.find(without_code, [letter(body)]) == {"letter-1": expected}

    def test_failed_event_has_its_own_reason(self) -> None:
        event = failed_event(responsePayload={"errorType": "ClientError", "errorMessage": "denied"})
        assert failure_reasons.find(stage(), [event]) == {"letter-1": Reason("ClientError: denied", "ClientError", AT)}

    @pytest.mark.parametrize(
        ("stack", "expected"), [("Traceback\n  File\nKeyError: 'x'\n\n", "KeyError: 'x'"), ("", ""), ("\n", "")]
    )
    def test_last_line_of_a_traceback_is_the_exception(self, stack: str, expected: str) -> None:
        assert log_parsing.last_line(stack) == expected


OUTPUTS = {"BucketName": "b", "QueueUrl": "q", "DeadLetterQueueUrl": "d"}


class TestStage:
    @staticmethod
    def cloudformation(outputs: dict[str, str] | None) -> Any:
        def describe_stacks(StackName: str) -> dict[str, Any]:  # noqa: N803 (as boto3 names it)
            assert StackName == "vitrine-dev-resources"
            if outputs is None:
                raise client_error("ValidationError", message=f"Stack with id {StackName} does not exist")
            listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
            return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Outputs": listed}]}

        return lambda service: SimpleNamespace(describe_stacks=describe_stacks)

    def test_it_is_found_by_its_resource_stack(self) -> None:
        found = find("dev", self.cloudformation(OUTPUTS | {"FailedEventQueueUrl": "e"}))
        assert (found.bucket, found.queue_url, found.dead_letter_queue_url) == ("b", "q", "d")
        assert found.failed_event_queue_url == "e"

    def test_queue_of_failed_events_may_be_missing(self) -> None:
        found = find("dev", self.cloudformation(OUTPUTS))._replace(client=lambda service: None)
        assert found.failed_event_queue_url is None
        with Interruption() as interruption:
            assert [queue.url for queue in dead_letter_queues.of_stage(found, interruption)] == ["d"]

    @pytest.mark.parametrize("outputs", [None, {}])
    def test_missing_stage_is_an_error_with_a_remedy(self, outputs: dict[str, str] | None) -> None:
        with pytest.raises(StageError, match=r"no stack vitrine-dev-resources.*tools\.stage\.provision --stage dev"):
            find("dev", self.cloudformation(outputs))

    @pytest.mark.parametrize("name", ["vitrine-dev-OnUpload-1A2B", "vitrine-dev-on_upload"])
    def test_function_is_found_by_its_handler(self, name: str) -> None:
        functions = scripted_lambda(
            ("vitrine-dev", "app.app"),
            ("vitrine-dev2-on_upload", "app.on_upload"),
            ("vitrine-prod-on_upload", "app.on_upload"),
            (name, "app.on_upload"),
        )
        found = stage(**{"lambda": functions}).function("on_upload")
        assert (found.name, found.log_group, found.timeout) == (name, f"/aws/lambda/{name}", 60)

    def test_missing_function_is_an_error(self) -> None:
        with pytest.raises(StageError, match="The function clean_up of the stage dev is not deployed"):
            stage(**{"lambda": CONSUMER}).function("clean_up")


class TestConfirmation:
    CALL = CommandContext(stage(), SimpleNamespace(yes=False, json=False), None)  # type: ignore[arg-type]

    def confirm(self) -> None:
        queue = SimpleNamespace(url="https://sqs/1/dead")
        dead_letter_commands._confirm(self.CALL, [dead_letter_commands.Selection(queue, [letter("{}")])])  # type: ignore[arg-type]

    @pytest.mark.parametrize("answer", ["y", "YES"])
    def test_yes_confirms(self, terminal: Callable[[str], None], answer: str) -> None:
        terminal(answer)
        self.confirm()

    @pytest.mark.parametrize("answer", ["n", "", "sure"])
    def test_anything_else_does_not(self, terminal: Callable[[str], None], answer: str) -> None:
        terminal(answer)
        with pytest.raises(StageError, match=r"Nothing was sent back\."):
            self.confirm()

    def test_without_a_terminal_nothing_is_done(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
        with pytest.raises(StageError, match=r"Nothing was sent back\."):
            self.confirm()
        assert "Send 1 dead letter of https://sqs/1/dead back? There is no terminal" in capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Answer the next question at a terminal."""

    def answer(text: str) -> None:
        keyboard = io.StringIO(f"{text}\n")
        keyboard.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", keyboard)

    return answer


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def environment(self) -> Iterator[None]:
        """Restore the environment, in which the command line sets AWS variables."""
        with mock.patch.dict(os.environ):
            yield

    @pytest.mark.parametrize(
        "arguments",
        [
            ["dead-letters"],
            ["--stage", "dev"],
            ["--stage", "dev", "redrive"],
            ["--stage", "dev", "redrive", "--all", "some-id"],
            ["--stage", "dev", "item", "ann"],
            ["--stage", "dev", "logs", "on_upload", "--since", "10"],
            ["--stage", "dev", "logs", "on_upload", "--since", "99999999999d"],
            ["--stage", "dev", "logs", "on_upload", "--level", "loud"],
            ["--stage", "dev", "remove", "--yes", "prod"],
            ["--stage", "local", "remove"],
        ],
    )
    def test_invalid_arguments_exit_with_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            ops.main(arguments)
        assert ended.value.code == 2
        assert "error: " in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--stage", "dev-2", "dead-letters"], ["dead-letters", "--stage", "dev-2"]])
    def test_stage_may_stand_before_or_after_the_command(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert ops.main(arguments) == 1
        assert "'dev-2' is not a stage name" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            (exceptions.NoCredentialsError(), "There are no AWS credentials"),
            (client_error("ExpiredToken", message="The token is expired"), "AWS refused DescribeStacks: The token"),
        ],
    )
    def test_aws_error_is_one_sentence(
        self,
        error: Exception,
        sentence: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def refuse(*_: Any) -> None:
            raise error

        monkeypatch.setattr(ops, "find", refuse)
        assert ops.main(["--stage", "dev", "dead-letters"]) == 1
        captured = capsys.readouterr()
        assert sentence in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""

    def test_interruption_exits_with_1(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(ops, "find", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert ops.main(["--stage", "dev", "dead-letters"]) == 1
        assert capsys.readouterr().err == "Stopped.\n"

    @pytest.mark.parametrize(
        ("given", "at"),
        [
            ("2026-01-31T09:00", datetime(2026, 1, 31, 9, tzinfo=UTC)),
            ("2026-01-31T09:00+01:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ],
    )
    def test_since_is_a_time_in_utc(self, given: str, at: datetime) -> None:
        assert ops.parse(["--stage", "dev", "logs", "on_upload", "--since", given]).since == at

    def test_since_may_be_an_age(self) -> None:
        since = ops.parse(["--stage", "dev", "logs", "on_upload", "--since", "2h"]).since
        assert timedelta(0) <= datetime.now(UTC) - timedelta(hours=2) - since < timedelta(minutes=1)

    @pytest.mark.parametrize("arguments", [["--json", "cleanup"], ["cleanup", "--json"]])
    def test_json_may_stand_before_or_after_the_command(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[bool] = []
        monkeypatch.setattr(ops, "find", lambda *_: stage())
        monkeypatch.setattr(ops.repair_commands, "run_cleanup", lambda call: seen.append(call.options.json) or 0)
        assert ops.main(["--stage", "dev", *arguments]) == 0
        assert seen == [True]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[" * 100_000], ids=["cut off", "empty", "no text", "deep"])
def test_event_that_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(content)

    with pytest.raises(StageError, match="is not JSON"):
        function_commands._read_event(str(event))


def test_stage_of_the_command_replaces_the_settings_read_before() -> None:
    stage = Stage("shop", lambda _: None, "shop-bucket", "jobs", "https://sqs/1/dead", None)
    assert config.settings().stage != "shop"

    try:
        with mock.patch.dict(os.environ, AUTH_MODE="none"):
            stage.set_environment()
            assert (config.settings().stage, config.settings().bucket) == ("shop", "shop-bucket")
    finally:
        config.settings.cache_clear()
