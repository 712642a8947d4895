"""``python -m tools.stage.provision`` with the emulator: an error is one sentence, and nothing is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shell import at_the_emulator
from tests.e2e.system import System, copy_project, free_port
from tools import processes
from tools.laptop.emulator import Emulator, client_factory

OURS, THEIRS = "444444444444", "555555555555"


class Shell:
    """A shell with the credentials of an account of the emulator."""

    def __init__(self, project: Path, emulator: Emulator) -> None:
        self.project = project
        self._emulator = emulator
        self.env = {
            **at_the_emulator(emulator, OURS),
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(project),
        }

    def client(self, service: str, account: str = OURS) -> Any:
        return client_factory(self._emulator.url, self._emulator.root(account))(service)

    def provision(self, *arguments: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
        """Run the tool in its project. ``changed`` sets environment variables; None removes one."""
        variables = {name: value for name, value in (self.env | changed).items() if value is not None}
        return subprocess.run(
            [sys.executable, "-m", "tools.stage.provision", *arguments],
            cwd=self.project,
            env=processes.without_aws(os.environ) | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def configuration(self) -> str:
        return (self.project / ".chalice" / "config.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shell(system: System, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(copy_project(tmp_path_factory.mktemp("provision") / "project"), system.emulator)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"},
            "The security token included in the request is invalid: sign in",
        ),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "There are no AWS credentials: sign in"),
        ({"AWS_DEFAULT_REGION": None}, "There is no AWS region: set AWS_DEFAULT_REGION"),
        ({"AWS_DEFAULT_REGION": "no where"}, "set AWS_DEFAULT_REGION to one such as"),
        ({"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found: set AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "localhost:4566"}, "AWS_ENDPOINT_URL takes an address such as"),
        ({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, "check AWS_ENDPOINT_URL"),
    ],
    ids=[
        "wrong credentials",
        "no credentials",
        "no region",
        "no such region",
        "no such profile",
        "no address",
        "out of reach",
    ],
)
def test_missing_setting_is_one_sentence(shell: Shell, changed: dict[str, str | None], words: str) -> None:
    before = shell.configuration()

    done = shell.provision("--stage", "dev", "--yes", **changed)

    assert (done.returncode, words in done.stderr, done.stderr.count("\n")) == (1, True, 1), done.stderr
    assert shell.configuration() == before


def test_bucket_name_of_another_account_is_an_error(shell: Shell) -> None:
    shell.client("s3", THEIRS).create_bucket(Bucket=f"vitrine-taken-{OURS}-us-east-1")

    done = shell.provision("--stage", "taken", "--yes")

    print(done.stdout, done.stderr)
    assert done.returncode == 1
    assert f"vitrine-taken-{OURS}-us-east-1" in done.stderr
    assert "use another name for the stage" in done.stderr
    assert done.stderr.count("\n") == 1
    assert '"taken"' not in shell.configuration()
    assert shell.provision("--stage", "taken", "--yes").stderr == done.stderr


def test_failed_stack_is_an_error_with_a_remedy(shell: Shell) -> None:
    shell.client("s3", THEIRS).create_bucket(Bucket=f"vitrine-stuck-{OURS}-us-east-1")
    template = (shell.project / "infra" / "resources.json").read_text(encoding="utf-8")
    shell.client("cloudformation").create_stack(
        StackName="vitrine-stuck-resources",
        TemplateBody=template,
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "stuck"}],
    )

    done = shell.provision("--stage", "stuck", "--yes")

    assert done.returncode == 1
    assert done.stderr == (
        "The stack vitrine-stuck-resources is stuck in ROLLBACK_COMPLETE:"
        " aws cloudformation delete-stack --stack-name vitrine-stuck-resources\n"
    )


def test_stage_is_created_and_deleted(shell: Shell) -> None:
    before = json.loads(shell.configuration())

    refused = shell.provision("--stage", "pr12")
    assert refused.returncode == 1
    assert "Add     Table (AWS::DynamoDB::Table)" in refused.stdout
    assert "Nothing was changed." in refused.stderr
    assert json.loads(shell.configuration()) == before

    made = shell.provision("--stage", "pr12", "--yes")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines()[-1] == "Next: chalice deploy --stage pr12, then run this again"
    after = json.loads(shell.configuration())
    assert after["stages"].pop("pr12")["environment_variables"]["BUCKET_NAME"] == f"vitrine-pr12-{OURS}-us-east-1"
    assert after == before
    again = shell.provision("--stage", "pr12")
    assert (again.returncode, again.stderr) == (0, "")
    assert "vitrine-pr12-resources is up to date." in again.stdout

    shell.client("dynamodb").put_item(TableName="vitrine-pr12", Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    refused = shell.provision("--stage", "pr12", "--delete", "--yes")
    assert refused.returncode == 1
    assert refused.stderr == ("There is data in the table vitrine-pr12, so nothing was deleted: add --delete-data.\n")
    gone = shell.provision("--stage", "pr12", "--delete", "--delete-data", "--yes")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert "vitrine-pr12" not in shell.client("dynamodb").list_tables()["TableNames"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stage", "No-Good"], "'No-Good' is not a stage name: it must be 1 to 20 lowercase letters"),
        (["--stage", "pord", "--delete", "--yes"], "There is no stage pord: .chalice/config.json has "),
    ],
)
def test_wrong_stage_name_is_an_error(shell: Shell, arguments: list[str], words: str) -> None:
    done = shell.provision(*arguments)

    assert (done.returncode, done.stderr.startswith(words), done.stderr.count("\n")) == (1, True, 1), done.stderr
