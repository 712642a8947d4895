"""A stage's files, and provisioning with a scripted CloudFormation."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from botocore import exceptions

from tools.stage import chalice_config, policies, provision, search_index_state, stack
from tools.stage.errors import StageError, describe_error

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/vitrine-dev-resources/1"
OUTPUTS = {
    "BucketName": "vitrine-dev-123456789012-eu-west-1",
    "TableName": "vitrine-dev",
    "UserPoolIssuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc",
    "UserPoolClientId": "client-1",
    "PublicUrl": "none",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the files that provisioning reads and writes, with the committed stages."""
    shutil.copytree(PROJECT / "infra", tmp_path / "infra")
    (tmp_path / ".chalice").mkdir()
    shutil.copy(PROJECT / ".chalice" / "config.json", tmp_path / ".chalice")
    return tmp_path


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Restore the environment variables after each test, because the command line changes them."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack.time, "sleep", lambda seconds: None)


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return whether the table was new at each record of a deployment. The integration tests look at the records."""
    records: list[bool] = []

    def record(_stage: str, _client: Any, *, created: bool) -> str | None:
        records.append(created)
        return None if created else "INDEX MISSING"

    monkeypatch.setattr(search_index_state, "record_deployment", record)
    return records


def config(project: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))
    return content


def client_error(code: str, message: str) -> exceptions.ClientError:
    return exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


def event(logical_id: str, status: str, reason: str = "") -> dict[str, str]:
    return {
        "EventId": f"{logical_id}-{status}-{reason}",
        "StackName": "vitrine-dev-resources",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": STACK_ID if logical_id == "vitrine-dev-resources" else logical_id,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def ends(status: str, reason: str = "") -> dict[str, str]:
    return event("vitrine-dev-resources", status, reason)


class ScriptedCloudFormation:
    """A fake of CloudFormation with one stack. ``script`` has the events of its next change or deletion."""

    def __init__(
        self,
        status: str | None = None,
        *,
        script: list[dict[str, str]] | None = None,
        refusal: str = "",
        found: str = "",
        imported_by: list[str] | None = None,
        endpoint: str = "https://cloudformation.eu-west-1.amazonaws.com",
    ) -> None:
        self.meta = SimpleNamespace(endpoint_url=endpoint)
        self.status = status
        self.url = ""
        self.parameters: dict[str, str] = {}
        self.change_set_parameters: dict[str, str | None] = {}
        self.calls: list[str] = []
        self._script = script or []
        self._refusal = refusal
        self._found = found
        self._imported_by = imported_by
        self._events = [{**ends("UPDATE_ROLLBACK_COMPLETE", "an older story"), "EventId": "older"}]

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 (as boto3 names it)
        if self.status is None:
            raise client_error("ValidationError", f"Stack with id {StackName} does not exist")
        of_code = {"EndpointURL": self.url} if self.url else {}
        values = of_code if StackName == "vitrine-dev" else OUTPUTS
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in values.items()]
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        named = {"StackName": StackName, "StackId": STACK_ID, "StackStatus": self.status}
        return {"Stacks": [{**named, "Outputs": outputs, "Parameters": parameters}]}

    def create_change_set(self, **parameters: Any) -> dict[str, str]:
        self.calls.append(f"plan {parameters['ChangeSetType'].lower()}")
        self.change_set_parameters = {
            one["ParameterKey"]: one.get("ParameterValue", self.parameters.get(one["ParameterKey"]))
            for one in parameters["Parameters"]
        }
        return {"Id": "change-set"}

    def describe_change_set(self, ChangeSetName: str, **_: str) -> dict[str, Any]:  # noqa: N803
        if self._refusal:
            return {"StackId": STACK_ID, "Status": "FAILED", "StatusReason": self._refusal}
        change = {"Action": "Modify", "LogicalResourceId": "Table", "ResourceType": "AWS::DynamoDB::Table"}
        changes = [{"ResourceChange": {**change, "Replacement": "True"}}]
        return {"StackId": STACK_ID, "Status": "CREATE_COMPLETE", "Changes": changes}

    def execute_change_set(self, ChangeSetName: str, **_: str) -> None:  # noqa: N803
        self.calls.append("execute")
        self._events[:0] = reversed(self._script)
        self.status = self._script[-1]["ResourceStatus"]

    def delete_change_set(self, ChangeSetName: str, **_: str) -> None:  # noqa: N803
        self.calls.append("discard")

    def delete_stack(self, StackName: str) -> None:  # noqa: N803
        self.calls.append("delete")
        self._events[:0] = reversed(self._script)

    def describe_events(self, **where: Any) -> dict[str, Any]:
        failure = {"ValidationFailureMode": "FAIL", "ValidationStatusReason": self._found}
        return {"OperationEvents": [failure] if self._found else []}

    def list_imports(self, ExportName: str) -> dict[str, Any]:  # noqa: N803
        if self._imported_by is None:
            raise client_error("ValidationError", f"Export '{ExportName}' is not imported by any stack.")
        return {"Imports": self._imported_by}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "describe_stack_events"
        return SimpleNamespace(paginate=lambda StackName: [{"StackEvents": list(self._events)}])  # noqa: N803

    def __call__(self, service: str) -> ScriptedCloudFormation:
        """Return this client, as a client factory does. Only cloudformation is supported."""
        assert service == "cloudformation"
        return self


UNCHANGED = "The submitted information didn't contain changes."


class TestRecording:
    def test_bucket_name_is_written_to_that_stage_only(self, project: Path) -> None:
        before = config(project)
        chalice_config.record_outputs(project, "prod", OUTPUTS)
        after = config(project)
        assert after["stages"]["prod"].pop("environment_variables")["BUCKET_NAME"] == OUTPUTS["BucketName"]
        before["stages"]["prod"].pop("environment_variables")
        assert after == before

    def test_user_pool_is_written(self, project: Path) -> None:
        chalice_config.record_outputs(project, "prod", OUTPUTS)
        variables = chalice_config.environment(project, "prod")
        assert variables["USER_POOL_ISSUER"] == OUTPUTS["UserPoolIssuer"]
        assert variables["USER_POOL_CLIENT_ID"] == "client-1"

    def test_url_of_the_distribution_is_written_and_removed(self, project: Path) -> None:
        for url in ("https://d111.cloudfront.net", "none"):
            chalice_config.record_outputs(project, "prod", OUTPUTS | {"PublicUrl": url})
            assert chalice_config.environment(project, "prod")["PUBLIC_URL"] == url

    def test_local_stage_leaves_the_committed_file_unchanged(self, project: Path) -> None:
        # The emulator's user pool has a new id each time.
        committed = {"BucketName": chalice_config.environment(project, "local")["BUCKET_NAME"]}
        before = config(project)
        chalice_config.record_outputs(project, "local", OUTPUTS | committed)
        assert config(project) == before

    def test_second_write_changes_nothing(self, project: Path) -> None:
        assert chalice_config.record_outputs(project, "dev", OUTPUTS)
        assert chalice_config.record_outputs(project, "dev", OUTPUTS) == []

    def test_manual_settings_are_kept(self, project: Path) -> None:
        edited = config(project)
        edited["stages"]["dev"]["environment_variables"]["LOG_LEVEL"] = "DEBUG"
        (project / ".chalice" / "config.json").write_text(json.dumps(edited), encoding="utf-8")
        chalice_config.record_outputs(project, "dev", OUTPUTS)
        assert chalice_config.environment(project, "dev")["LOG_LEVEL"] == "DEBUG"

    def test_new_stage_has_the_same_entry_as_prod(self, project: Path) -> None:
        chalice_config.record_outputs(project, "pr12", {})
        policies.write(project, "pr12")
        prod = config(project)["stages"]["prod"] | {"environment_variables": {"STAGE": "prod"}}
        # As text, so that the order counts as well.
        assert json.dumps(config(project)["stages"]["pr12"]) == json.dumps(prod).replace("prod", "pr12")

    def test_every_function_gets_a_policy_file(self, project: Path) -> None:
        chalice_config.record_outputs(project, "pr12", {})
        policies.write(project, "pr12")
        functions = config(project)["stages"]["pr12"]["lambda_functions"]
        texts = [
            (project / ".chalice" / function["iam_policy_file"]).read_text(encoding="utf-8")
            for function in functions.values()
        ]
        assert all("vitrine-pr12" in text and "{stage}" not in text for text in texts)

    def test_forgetting_removes_the_outputs(self, project: Path) -> None:
        before = config(project)
        chalice_config.record_outputs(project, "prod", OUTPUTS)
        chalice_config.forget_outputs(project, "prod")
        before["stages"]["prod"]["environment_variables"].pop("BUCKET_NAME", None)
        assert config(project) == before

    def test_local_stage_keeps_its_outputs(self, project: Path) -> None:
        assert chalice_config.forget_outputs(project, "local") == []

    def test_invalid_config_is_a_stage_error(self, project: Path) -> None:
        (project / ".chalice" / "config.json").write_text("{", encoding="utf-8")
        with pytest.raises(StageError, match="cannot be read"):
            chalice_config.record_outputs(project, "dev", OUTPUTS)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "only users you add"),
        ({"AUTH_MODE": "oidc"}, "its own user pool, vitrine-dev"),
        ({"OIDC_ISSUER": "https://sign.in", "OIDC_AUDIENCE": "shop"}, "tokens from https://sign.in for shop"),
        ({"AUTH_MODE": "none", "OIDC_ISSUER": "https://sign.in"}, "no sign-in: anyone who can reach it"),
    ],
)
def test_access_is_described(variables: dict[str, str], words: str) -> None:
    assert words in provision.describe_access("dev", variables)


class TestProvisioning:
    def test_new_stage_is_created_and_recorded(self, project: Path, deployed: list[bool]) -> None:
        aws = ScriptedCloudFormation(
            script=[ends("CREATE_IN_PROGRESS"), event("Table", "CREATE_COMPLETE"), ends("CREATE_COMPLETE")]
        )
        lines: list[str] = []
        assert provision.provision("dev", aws, project, lines.append) == OUTPUTS
        assert aws.calls == ["plan create", "execute"]
        assert "Table: create complete" in lines
        assert deployed == [True]
        assert chalice_config.environment(project, "dev")["BUCKET_NAME"] == OUTPUTS["BucketName"]

    def test_unchanged_stage_is_not_updated(self, project: Path, deployed: list[bool]) -> None:
        aws = ScriptedCloudFormation("UPDATE_COMPLETE", refusal=UNCHANGED)
        lines: list[str] = []
        provision.provision("dev", aws, project, lines.append)
        assert (deployed, lines[-1]) == ([False], "INDEX MISSING")
        assert aws.calls == ["plan update", "discard"]

    def test_console_url_is_set_after_the_code_is_deployed(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=[ends("UPDATE_COMPLETE")])
        provision.provision("dev", aws, project)
        assert aws.change_set_parameters == {"Stage": "dev"}

        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=[ends("UPDATE_COMPLETE")])
        aws.url = "https://abc.execute-api.eu-west-1.amazonaws.com/api/"
        provision.provision("dev", aws, project)
        assert aws.change_set_parameters == {"Stage": "dev", "ConsoleUrls": aws.url}

    def test_console_url_of_chalice_deploy_is_set(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=[ends("UPDATE_COMPLETE")])
        deployed = {"resources": [{"resource_type": "rest_api", "rest_api_url": "https://abc/api"}]}
        (project / ".chalice" / "deployed").mkdir()
        (project / ".chalice" / "deployed" / "dev.json").write_text(json.dumps(deployed), encoding="utf-8")
        provision.provision("dev", aws, project)
        assert aws.change_set_parameters["ConsoleUrls"] == "https://abc/api/"

    def test_manual_console_urls_are_kept(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=[ends("UPDATE_COMPLETE")])
        aws.url = "https://abc/api/"
        aws.parameters = {"Stage": "dev", "ConsoleUrls": "https://shop.example/,https://abc/api/"}
        provision.provision("dev", aws, project)
        assert aws.change_set_parameters["ConsoleUrls"] == "https://shop.example/,https://abc/api/"

    def test_other_parameters_keep_their_values(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=[ends("UPDATE_COMPLETE")])
        aws.parameters = {"Stage": "dev", "Another": "kept"}
        provision.provision("dev", aws, project)
        assert aws.change_set_parameters == {"Stage": "dev", "Another": "kept"}

    def test_changes_are_shown_before_the_question(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=[ends("UPDATE_COMPLETE")])
        lines: list[str] = []

        def agree(question: str) -> bool:
            lines.append(question)
            return True

        provision.provision("dev", aws, project, lines.append, agree)
        assert lines[:2] == [
            "Modify  Table (AWS::DynamoDB::Table): REPLACED",
            "Make these changes to vitrine-dev-resources?",
        ]

    def test_refused_change_is_discarded(self, project: Path) -> None:
        aws = ScriptedCloudFormation()
        with pytest.raises(StageError, match=r"Nothing was changed\."):
            provision.provision("dev", aws, project, confirm=lambda question: False)
        assert aws.calls == ["plan create", "discard", "delete"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_interrupted_question_discards_the_change(self, project: Path, error: type[BaseException]) -> None:
        def agree(question: str) -> bool:
            raise error

        aws = ScriptedCloudFormation()
        with pytest.raises(error):
            provision.provision("dev", aws, project, confirm=agree)
        assert aws.calls == ["plan create", "discard", "delete"]

    def test_failed_creation_reports_its_cause_and_is_deleted(self, project: Path) -> None:
        aws = ScriptedCloudFormation(
            script=[
                event("Bucket", "CREATE_FAILED", "it is taken"),
                event("Table", "CREATE_FAILED", "Resource creation cancelled"),
                ends("ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create"),
                ends("ROLLBACK_COMPLETE"),
            ]
        )
        with pytest.raises(StageError, match=r"ROLLBACK_COMPLETE\. Bucket: it is taken\. If it was left over"):
            provision.provision("dev", aws, project)
        assert aws.calls == ["plan create", "execute", "delete"]

    def test_failed_update_deletes_nothing(self, project: Path) -> None:
        aws = ScriptedCloudFormation(
            "CREATE_COMPLETE",
            script=[event("Queue", "UPDATE_FAILED", "no such value"), ends("UPDATE_ROLLBACK_COMPLETE")],
        )
        with pytest.raises(StageError, match="Queue: no such value"):
            provision.provision("dev", aws, project)
        assert "delete" not in aws.calls

    def test_validation_problem_is_reported(self, project: Path) -> None:
        aws = ScriptedCloudFormation(refusal="1 problem. Call DescribeEvents", found="The bucket already exists.")
        with pytest.raises(StageError, match=r"rejected .*: The bucket already exists\. If it .*, use another name"):
            provision.provision("dev", aws, project)

    @pytest.mark.parametrize(
        ("status", "remedy"),
        [
            ("ROLLBACK_COMPLETE", "delete-stack"),
            ("DELETE_FAILED", "delete-stack"),
            ("UPDATE_FAILED", "rollback-stack"),
            ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ],
    )
    def test_stuck_stack_is_reported_with_a_remedy(self, project: Path, status: str, remedy: str) -> None:
        aws = ScriptedCloudFormation(status)
        message = f"stuck in {status}: aws cloudformation {remedy} --stack-name vitrine-dev-resources$"
        with pytest.raises(StageError, match=message):
            provision.provision("dev", aws, project)
        assert aws.calls == []

    def test_stack_in_progress_is_an_error(self, project: Path) -> None:
        with pytest.raises(StageError, match="try again"):
            provision.provision("dev", ScriptedCloudFormation("UPDATE_IN_PROGRESS"), project)

    def test_local_stage_is_refused_in_aws(self, project: Path) -> None:
        aws = ScriptedCloudFormation()
        with pytest.raises(StageError, match="not in AWS"):
            provision.provision("local", aws, project)
        assert aws.calls == []

    def test_local_stage_is_accepted_in_an_emulator(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", refusal=UNCHANGED, endpoint="http://127.0.0.1:4566")
        assert provision.provision("local", aws, project)


class TestDeleting:
    def test_deletion_is_followed_to_its_end(self) -> None:
        lines: list[str] = []
        script = [event("Table", "DELETE_SKIPPED"), event("Queue", "DELETE_COMPLETE"), ends("DELETE_COMPLETE")]
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=script)
        stack.remove(aws, "vitrine-dev-resources", lines.append)
        assert aws.calls == ["delete"]
        assert lines == ["Table: delete skipped", "Queue: delete complete"]

    def test_failed_deletion_reports_its_cause(self) -> None:
        script = [event("Queue", "DELETE_FAILED", "held"), ends("DELETE_FAILED", "could not delete")]
        aws = ScriptedCloudFormation("CREATE_COMPLETE", script=script)
        with pytest.raises(StageError, match="Queue: held"):
            stack.remove(aws, "vitrine-dev-resources", print)

    def test_missing_stack_is_no_error(self) -> None:
        aws = ScriptedCloudFormation()
        stack.remove(aws, "vitrine-dev-resources", print)
        assert aws.calls == []

    def test_unknown_stage_is_an_error(self, project: Path) -> None:
        with pytest.raises(StageError, match=r"There is no stage pord: .* has local, dev, prod\.$"):
            provision.delete("pord", ScriptedCloudFormation(), project)

    def test_resources_used_by_chalice_deploy_are_kept(self, project: Path) -> None:
        deployed = project / ".chalice" / "deployed" / "dev.json"
        deployed.parent.mkdir()
        function = {"resource_type": "lambda_function", "name": "on_upload"}
        deployed.write_text(json.dumps({"resources": [function]}), encoding="utf-8")
        aws = ScriptedCloudFormation("CREATE_COMPLETE")

        with pytest.raises(StageError, match=r"run chalice delete --stage dev first\.$"):
            provision.delete("dev", aws, project, delete_data=True)

        assert aws.calls == []

    def test_resources_used_by_a_stack_are_kept(self, project: Path) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", imported_by=["vitrine-dev"])
        with pytest.raises(StageError, match="vitrine-dev uses these resources"):
            provision.delete("dev", aws, project)
        assert aws.calls == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.NoCredentialsError(), "no AWS credentials"),
        (exceptions.NoRegionError(), "AWS_DEFAULT_REGION"),
        (
            exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
            "Nothing answers at http://127.0.0.1:1",
        ),
        (client_error("AccessDenied", "You may not"), "AWS refused DescribeStacks: You may not: ask for"),
        (client_error("ExpiredToken", "It has expired."), "AWS refused DescribeStacks: It has expired: sign in"),
        (client_error("SignatureDoesNotMatch", "It is not"), "It is not: sign in (aws sso login)"),
        (client_error("Throttling", "Rate exceeded"), "AWS refused DescribeStacks: Rate exceeded"),
        (exceptions.UnauthorizedSSOTokenError(), "run aws sso login"),
        (exceptions.CredentialRetrievalError(provider="x", error_msg="no"), "sign in (aws sso login)"),
        (exceptions.ProfileNotFound(profile="x"), "(x) could not be found"),
        (StageError("As it is."), "As it is."),
    ],
)
def test_aws_error_is_one_sentence(error: Exception, words: str) -> None:
    message = describe_error(error, "dev")
    assert words in message
    assert "\n" not in message


class TestCommandLine:
    def test_missing_emulator_is_an_error(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(provision, "PROJECT_DIR", project)
        assert provision.main(["--stage", "local"]) == 1
        assert "make run" in capsys.readouterr().err

    def test_end_of_input_counts_as_no(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws = ScriptedCloudFormation()
        keyboard = io.StringIO("")
        keyboard.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", keyboard)
        monkeypatch.setattr(provision, "PROJECT_DIR", project)
        monkeypatch.setattr(
            provision.boto3, "Session", lambda: SimpleNamespace(client=lambda service, config: aws(service))
        )
        assert provision.main(["--stage", "dev"]) == 1
        assert capsys.readouterr().err.strip().endswith("Nothing was changed.")
        assert aws.calls == ["plan create", "discard", "delete"]

    def test_access_comes_first_and_the_next_step_last(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws = ScriptedCloudFormation("CREATE_COMPLETE", refusal=UNCHANGED)
        monkeypatch.setattr(provision, "PROJECT_DIR", project)
        monkeypatch.setattr(
            provision.boto3, "Session", lambda: SimpleNamespace(client=lambda service, config: aws(service))
        )
        assert provision.main(["--stage", "dev", "--yes"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("The API of stage dev accepts tokens from its own user pool")
        assert lines[-1].startswith("Next: chalice deploy --stage dev")
