"""``logs`` and ``deploy-function`` of ``python -m tools.ops`` on moto."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import time
import zipfile
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tools.bundle import chalice_deployments
from tools.interruption import Interruption
from tools.ops import function_commands
from tools.ops.command_context import CommandContext
from tools.ops.deployed_stage import Stage
from tools.stage.errors import StageError

GROUP = "/aws/lambda/vitrine-dev-on_upload"
TARGET = chalice_deployments.Target("python3.12", "arm64")


# Creating a client takes longer than a test.
client = functools.cache(boto3.client)


@pytest.fixture
def stage() -> Stage:
    """Return the stage dev with two functions."""
    client("iam").create_role(RoleName="vitrine-dev", AssumeRolePolicyDocument="{}")
    create_function("vitrine-dev-on_upload", "app.on_upload")
    create_function("vitrine-dev", "app.app")
    return Stage("dev", client, "bucket", "jobs", "dead", None)


def create_function(name: str, handler: str) -> None:
    client("lambda").create_function(
        FunctionName=name,
        Handler=handler,
        Role="arn:aws:iam::123456789012:role/vitrine-dev",
        Runtime=TARGET.runtime,
        Architectures=[TARGET.architecture],
        Code={"ZipFile": archive("old")},
    )


def archive(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as whole:
        whole.writestr("app.py", text)
    return content.getvalue()


def call(command: Callable[[CommandContext], int], stage: Stage, **options: Any) -> int:
    with Interruption() as interruption:
        return command(CommandContext(stage, Namespace(function="on_upload", json=False, **options), interruption))


class TestLogs:
    def show(self, stage: Stage, **options: Any) -> int:
        since = datetime.now(UTC) - timedelta(minutes=1)
        given = {"stage": stage.name, "since": since, "level": "DEBUG", "request": None, "follow": False, **options}
        as_json = given.pop("json", False)
        with Interruption() as interruption:
            chosen = Namespace(function="on_upload", json=as_json, **given)
            return function_commands.show_log(CommandContext(stage, chosen, interruption))

    def test_lines_are_readable(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        log(stage, "INIT_START Runtime Version: 1", '{"_aws": {}}'.replace(" ", ""), line("Stored", key="a b", size=7))
        log(stage, line("Failed", "ERROR", exception="Traceback\n  File\nKeyError: 1"), "Task timed out\x1b[2J")

        assert self.show(stage) == 0

        lines = [one.partition("Z  ")[2] or one for one in capsys.readouterr().out.splitlines()]
        assert lines == [
            'INFO      Stored  request_id=r-1  key="a b"  size=7',
            "ERROR     Failed  request_id=r-1",
            "  Traceback",
            "    File",
            "  KeyError: 1",
            "Task timed out\\x1b[2J",
        ]

    def test_json_is_raw_and_one_object_a_line(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        log(stage, line("Stored"), "Task timed out")

        self.show(stage, json=True)

        first, second = capsys.readouterr().out.splitlines()
        assert first == line("Stored")
        assert json.loads(second)["message"] == "Task timed out"

    def test_level_and_request_select_lines(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        log(stage, line("info"), line("warning", "WARNING"), line("other", "ERROR", request_id="r-2"), "i-1 timed out")

        self.show(stage, level="WARNING")
        assert words(capsys.readouterr().out) == ["warning", "other", "timed"]
        self.show(stage, request="r-1")
        assert words(capsys.readouterr().out) == ["info", "warning"]
        self.show(stage, request="i-1")
        assert words(capsys.readouterr().out) == ["timed"]

    def test_missing_log_is_reported(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.show(stage) == 0

        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"on_upload has no log yet: Lambda creates {GROUP} when")

    def test_empty_log_is_reported(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        log(stage, line("info"))
        self.show(stage, level="ERROR")
        assert "on_upload has logged nothing of this kind since 20" in capsys.readouterr().err

    def test_new_lines_are_followed_until_the_user_ends_it(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        steps = iter([lambda: log(stage, line("second"), line("second")), lambda: os.kill(os.getpid(), signal.SIGINT)])
        monkeypatch.setattr(function_commands.time, "sleep", lambda _: next(steps)())
        log(stage, line("first"))

        assert self.show(stage, follow=True) == 0

        assert words(capsys.readouterr().out) == ["first", "second", "second"]


class TestDeployFunction:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "bundle.zip"
        path.write_bytes(archive("new"))
        monkeypatch.setattr(chalice_deployments, "write_bundle", lambda *_: path)
        monkeypatch.setattr(chalice_deployments, "target", lambda *_: TARGET)
        # moto's CloudFormation takes seconds to import.
        monkeypatch.setattr(function_commands.stack, "describe", lambda *_: None)
        return path

    def deploy(self, stage: Stage, **options: Any) -> int:
        return call(function_commands.deploy_function, stage, **{"dry_run": False, "yes": False, **options})

    @pytest.mark.usefixtures("package")
    def test_code_of_one_function_is_replaced(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        before = digests(stage)

        assert self.deploy(stage) == 0

        after = digests(stage)
        assert [name for name in after if after[name] != before[name]] == ["vitrine-dev-on_upload"]
        output = capsys.readouterr().out
        assert "on_upload (vitrine-dev-on_upload) runs the code of this folder: 0.0 MiB, " in output
        assert "Unchanged: its settings, rights and routes, and the code of api_handler.\n" in output
        assert "The next `make deploy STAGE=dev` replaces this code." in output

        self.deploy(stage)
        assert "runs the code of this folder already" in capsys.readouterr().out

    @pytest.mark.usefixtures("package")
    def test_drift_of_the_stack_is_reported(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(function_commands.stack, "describe", lambda *_: {"StackName": "vitrine-dev"})
        self.deploy(stage)
        assert "does not know of this code (drift): the stack vitrine-dev replaces it" in capsys.readouterr().out

    @pytest.mark.usefixtures("package")
    def test_dry_run_changes_nothing(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        before = digests(stage)
        assert self.deploy(stage, dry_run=True) == 0
        assert digests(stage) == before
        assert "would get the code of this folder: 0.0 MiB. Nothing was changed." in capsys.readouterr().out

    @pytest.mark.usefixtures("package")
    def test_other_stage_than_dev_needs_an_answer(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        create_function("vitrine-prod-OnUpload-1", "app.on_upload")
        with pytest.raises(StageError, match=r"Nothing was changed\."):
            self.deploy(stage._replace(name="prod"))
        assert self.deploy(stage._replace(name="prod"), yes=True) == 0

    def test_package_for_another_processor_is_refused(
        self, stage: Stage, package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chalice_deployments, "target", lambda *_: TARGET._replace(architecture="x86_64"))
        with pytest.raises(
            StageError, match=r"runs python3\.12 on arm64, and this folder makes packages for .* x86_64"
        ):
            self.deploy(stage)

    @pytest.mark.usefixtures("package")
    def test_function_behind_an_alias_is_refused(self, stage: Stage) -> None:
        name, before = "vitrine-dev-on_upload", digests(stage)
        version = stage.client("lambda").publish_version(FunctionName=name)["Version"]
        stage.client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion=version)

        with pytest.raises(StageError, match=f"on_upload is called by its alias live, .* version {version}, "):
            self.deploy(stage, yes=True)

        assert digests(stage) == before

    def test_local_stage_is_refused(self, stage: Stage) -> None:
        with pytest.raises(StageError, match="`make run` brings a saved file into effect"):
            self.deploy(stage._replace(name="local"))


def line(message: str, level: str = "INFO", **fields: Any) -> str:
    return json.dumps({"level": level, "message": message, "function": "on_upload", "request_id": "r-1", **fields})


def words(output: str) -> list[str]:
    """Return the third word of each line, which is the message."""
    return [one.split()[2] for one in output.splitlines()]


def log(stage: Stage, *lines: str) -> None:
    """Write lines to the log of on_upload, into a stream of its own."""
    logs, stream = stage.client("logs"), f"stream-{time.time_ns()}"
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    events = [{"timestamp": int(time.time() * 1000), "message": one} for one in lines]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def digests(stage: Stage) -> dict[str, str]:
    return {one["FunctionName"]: one["CodeSha256"] for one in stage.client("lambda").list_functions()["Functions"]}
