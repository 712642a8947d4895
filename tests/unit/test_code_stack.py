"""What is called in the emulator to deploy a change, with a fake emulator."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools.laptop import code_stack
from tools.laptop.function_package import Package
from tools.stage.errors import StageError

CHANGES = ("create_stack", "update_stack", "update_function_code", "upload_file")


class Emulator:
    """Fakes of CloudFormation, S3 and Lambda, which record the calls that change something."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.status: str | None = None
        self.next_status = "CREATE_COMPLETE"
        self.meta = type("Meta", (), {"endpoint_url": "http://127.0.0.1:4566"})

    def __call__(self, service: str) -> Emulator:
        return self

    def done(self) -> list[str]:
        """Return the changes since the last call."""
        done, self.calls = self.calls, []
        return [call for call in done if call in CHANGES]

    def describe_stacks(self, **_: str) -> dict[str, Any]:
        if self.status is None:
            error = {"Code": "ValidationError", "Message": "The stack does not exist"}
            raise ClientError({"Error": error}, "DescribeStacks")  # type: ignore[typeddict-item]
        outputs = [{"OutputKey": "RestAPIId", "OutputValue": "abc"}]
        return {"Stacks": [{"StackName": code_stack.STACK, "StackStatus": self.status, "Outputs": outputs}]}

    def describe_stack_resources(self, **_: str) -> dict[str, Any]:
        names = ("OnUpload", "APIHandler")
        resources = [
            {"LogicalResourceId": name, "PhysicalResourceId": f"v-{name}", "ResourceType": "AWS::Lambda::Function"}
            for name in names
        ]
        return {"StackResources": resources}

    def create_stack(self, **_: Any) -> None:
        self.calls.append("create_stack")
        self.status = self.next_status

    def update_stack(self, **_: Any) -> None:
        self.calls.append("update_stack")
        self.status = self.next_status

    def update_function_code(self, **parameters: str) -> None:
        assert parameters["S3Key"] in self.objects
        self.calls.append("update_function_code")

    def create_bucket(self, **_: str) -> None:
        pass

    def upload_file(self, path: str, _: str, key: str) -> None:
        self.calls.append("upload_file")
        self.objects[key] = Path(path).read_bytes()

    def put_object(self, Key: str, Body: bytes, **_: str) -> None:  # noqa: N803 (as boto3 names it)
        self.objects[Key] = Body

    def get_object(self, Key: str, **_: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def list_objects_v2(self, **_: str) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in self.objects]}

    def delete_object(self, Key: str, **_: str) -> None:  # noqa: N803
        del self.objects[Key]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "code.zip"
    path.touch()
    return path


def package(archive: Path, digest: str, **resources: Any) -> Package:
    return Package(digest, {"Resources": resources}, archive)


FUNCTION = {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "./x.zip"}}


def test_first_deployment_creates_the_stack(emulator: Emulator, archive: Path) -> None:
    deployment = code_stack.deploy(package(archive, "1"), emulator)

    assert emulator.done() == ["upload_file", "create_stack"]
    assert deployment.stack_changed
    assert deployment.functions == {"on_upload": "v-OnUpload", "api_handler": "v-APIHandler"}


def test_same_sources_are_not_deployed_again(emulator: Emulator, archive: Path) -> None:
    code_stack.deploy(package(archive, "1"), emulator)
    emulator.done()

    assert not code_stack.deploy(package(archive, "1"), emulator).stack_changed
    assert emulator.done() == []


def test_changed_code_leaves_the_stack(emulator: Emulator, archive: Path) -> None:
    code_stack.deploy(package(archive, "1"), emulator)
    emulator.done()

    assert not code_stack.deploy(package(archive, "2"), emulator).stack_changed
    assert emulator.done() == ["upload_file", "update_function_code", "update_function_code"]


def test_changed_template_updates_the_stack(emulator: Emulator, archive: Path) -> None:
    code_stack.deploy(package(archive, "1"), emulator)
    emulator.done()
    emulator.next_status = "UPDATE_COMPLETE"

    assert code_stack.deploy(package(archive, "2", OnUpload=FUNCTION), emulator).stack_changed
    assert emulator.done() == ["upload_file", "update_stack"]


class TestUpdateCode:
    def test_functions_get_the_code(self, emulator: Emulator, archive: Path) -> None:
        code_stack.deploy(package(archive, "1"), emulator)
        emulator.done()

        code_stack.update_code(package(archive, "2").code, emulator)

        assert emulator.done() == ["upload_file", "update_function_code", "update_function_code"]
        assert {"1.zip", "2.zip"} <= emulator.objects.keys()  # the first is that of the stack

    def test_package_with_the_same_template_changes_nothing_more(self, emulator: Emulator, archive: Path) -> None:
        code_stack.deploy(package(archive, "1"), emulator)
        code_stack.update_code(package(archive, "2").code, emulator)
        assert code_stack.find(emulator, "2") is None  # not checked yet
        emulator.done()

        code_stack.deploy(package(archive, "2"), emulator)

        assert emulator.done() == []
        assert code_stack.find(emulator, "2") is not None

    def test_package_with_another_template_updates_the_stack(self, emulator: Emulator, archive: Path) -> None:
        code_stack.deploy(package(archive, "1"), emulator)
        code_stack.update_code(package(archive, "2").code, emulator)
        emulator.done()
        emulator.next_status = "UPDATE_COMPLETE"

        code_stack.deploy(package(archive, "2", OnUpload=FUNCTION), emulator)

        assert emulator.done() == ["update_stack"]

    def test_change_without_effect_on_the_template_needs_no_check(self, emulator: Emulator, archive: Path) -> None:
        code_stack.deploy(package(archive, "1"), emulator)

        assert code_stack.update_code(package(archive, "2").code, emulator, same_template=True)

        assert code_stack.find(emulator, "2") is not None

    def test_change_before_it_was_checked_still_needs_the_check(self, emulator: Emulator, archive: Path) -> None:
        code_stack.deploy(package(archive, "1"), emulator)
        code_stack.update_code(package(archive, "2").code, emulator)

        assert not code_stack.update_code(package(archive, "3").code, emulator, same_template=True)

        assert code_stack.find(emulator, "3") is None

    def test_unused_code_is_deleted(self, emulator: Emulator, archive: Path) -> None:
        code_stack.deploy(package(archive, "1"), emulator)
        code_stack.update_code(package(archive, "2").code, emulator)

        code_stack.update_code(package(archive, "3").code, emulator)

        assert sorted(key for key in emulator.objects if key.endswith(".zip")) == ["1.zip", "3.zip"]

    def test_missing_stack_is_an_error(self, emulator: Emulator, archive: Path) -> None:
        with pytest.raises(StageError, match="no stack"):
            code_stack.update_code(package(archive, "1").code, emulator)


def test_failed_update_is_repeated_by_the_next_deployment(emulator: Emulator, archive: Path) -> None:
    code_stack.deploy(package(archive, "1"), emulator)
    emulator.next_status = "UPDATE_ROLLBACK_COMPLETE"
    with pytest.raises(StageError, match="UPDATE_ROLLBACK_COMPLETE"):
        code_stack.deploy(package(archive, "2", OnUpload=FUNCTION), emulator)
    emulator.done()
    emulator.next_status = "UPDATE_COMPLETE"

    code_stack.deploy(package(archive, "3"), emulator)

    assert emulator.done() == ["upload_file", "update_stack"]


def test_record_of_another_version_is_ignored(emulator: Emulator, archive: Path) -> None:
    code_stack.deploy(package(archive, "1"), emulator)
    emulator.done()
    emulator.objects["deployed.json"] = json.dumps({"digest": "1"}).encode()
    emulator.next_status = "UPDATE_COMPLETE"

    code_stack.deploy(package(archive, "1"), emulator)

    assert emulator.done() == ["upload_file", "update_stack"]


def test_template_gets_the_code_location() -> None:
    template = {"Resources": {"CleanUp": FUNCTION}}

    placed = code_stack.with_code(template, {"Bucket": "b", "Key": "k"})

    assert placed["Resources"]["CleanUp"]["Properties"]["CodeUri"] == {"Bucket": "b", "Key": "k"}
    assert template["Resources"]["CleanUp"]["Properties"] == {"CodeUri": "./x.zip"}


@pytest.mark.parametrize(
    ("logical_id", "name"),
    [("APIHandler", "api_handler"), ("OnUpload", "on_upload"), ("CleanUp", "clean_up"), ("Authorize", "authorize")],
)
def test_handler_name_is_that_of_app_py(logical_id: str, name: str) -> None:
    assert code_stack.handler_name(logical_id) == name
