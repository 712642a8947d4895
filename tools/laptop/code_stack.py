"""Deploy the packaged app into the emulator, as the code stack of the stage local.

If only the code has changed since the last deployment, the functions get the new code, and the stack stays: that takes
half the time. The bucket of the packages has a file that says what is deployed.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.config import LOCAL
from tools.laptop.function_package import Code, Package
from tools.stage import stack
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

STACK = code_stack_name(LOCAL)
ARTIFACTS = "vitrine-artifacts"

_TEMPLATE = "sam.json"
_RECORD = "deployed.json"
_UNUSABLE = (
    "CREATE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_FAILED",
    "DELETE_FAILED",
)


class Deployment(NamedTuple):
    """The code stack in the emulator."""

    api_id: str
    functions: dict[str, str]
    """The functions' names in Lambda, by their names in app.py."""
    stack_changed: bool = False
    """Whether this deployment created or updated the stack. If not, it replaced at most the code of the functions."""


class _Record(NamedTuple):
    """What is deployed. Each value is a digest, or empty if it is not known."""

    code: str = ""
    """The digest of the sources of the functions' code, whose package is ``<digest>.zip``."""
    template: str = ""
    sources: str = ""
    """The digest of all sources, after it was checked that they make the deployed template."""
    stack_code: str = ""
    """The digest of the code in the stack's template, to which CloudFormation returns if an update fails."""


def find(client: ClientFactory, digest: str | None = None) -> Deployment | None:
    """Return the code stack, or None if there is none or, with ``digest``, if it has other sources."""
    cloudformation = client("cloudformation")
    outputs = stack.outputs(cloudformation, STACK)
    if "RestAPIId" not in outputs or (digest and _read_record(client("s3")).sources != digest):
        return None
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    functions = {
        handler_name(resource["LogicalResourceId"]): resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }
    return Deployment(outputs["RestAPIId"], functions)


def deploy(built: Package, client: ClientFactory) -> Deployment:
    """Deploy what has changed: nothing, the code, or the stack. Raise StageError if the emulator refuses it."""
    if running := find(client, built.digest):
        return running
    s3 = client("s3")
    s3.create_bucket(Bucket=ARTIFACTS)
    record = _read_record(s3)
    template = hashlib.sha256(json.dumps(built.template, sort_keys=True).encode()).hexdigest()[:32]
    changes_stack = template != record.template or find(client) is None
    if changes_stack:
        _write_record(s3, record._replace(template="", sources=""))  # if this fails, the next deployment is a whole one
        if record.code != built.digest:
            _upload(s3, built.code, record)
        placed = with_code(built.template, {"Bucket": ARTIFACTS, "Key": _key(built.digest)})
        s3.put_object(Bucket=ARTIFACTS, Key=_TEMPLATE, Body=json.dumps(placed).encode())
        _update(client("cloudformation"), f"{s3.meta.endpoint_url}/{ARTIFACTS}/{_TEMPLATE}")
        record = _Record(built.digest, template, stack_code=built.digest)
    elif record.code != built.digest:
        update_code(built.code, client)
        record = record._replace(code=built.digest)
    _write_record(s3, record._replace(sources=built.digest))
    deployment = find(client)
    if deployment is None:
        raise StageError(f"The stack {STACK} has no API.")
    return deployment._replace(stack_changed=changes_stack)


def update_code(code: Code, client: ClientFactory, *, same_template: bool = False) -> bool:
    """Give all functions of the stack new code. Return whether the stack is known to need no update.

    ``same_template`` says that the template cannot depend on the files that have changed. If that is not known,
    ``deploy`` must follow.
    """
    deployment = find(client)
    if deployment is None:
        raise StageError(f"There is no stack {STACK}.")
    s3, functions = client("s3"), client("lambda")
    record = _read_record(s3)
    checked = same_template and record.sources != ""
    _upload(s3, code, record)
    _write_record(s3, record._replace(code="", sources=""))
    for name in deployment.functions.values():
        functions.update_function_code(FunctionName=name, S3Bucket=ARTIFACTS, S3Key=_key(code.digest))
    _write_record(s3, record._replace(code=code.digest, sources=code.digest if checked else ""))
    return checked


def with_code(template: dict[str, Any], code: dict[str, str]) -> dict[str, Any]:
    """Return ``template`` with ``code`` as the location of its functions' code."""
    changed: dict[str, Any] = json.loads(json.dumps(template))
    for resource in changed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
    return changed


def handler_name(logical_id: str) -> str:
    """Return the name in app.py of the function that is ``logical_id`` in Chalice's template."""
    if logical_id == "APIHandler":
        return "api_handler"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", logical_id).lower()


def _read_record(s3: S3Client) -> _Record:
    try:
        return _Record(**json.load(s3.get_object(Bucket=ARTIFACTS, Key=_RECORD)["Body"]))
    except TypeError:  # another version of Vitrine has written it
        return _Record()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchKey"):
            return _Record()
        raise


def _write_record(s3: S3Client, record: _Record) -> None:
    s3.put_object(Bucket=ARTIFACTS, Key=_RECORD, Body=json.dumps(record._asdict()).encode())


def _upload(s3: S3Client, code: Code, record: _Record) -> None:
    """Upload the code, and delete all other code but that in the stack's template."""
    s3.upload_file(str(code.archive), ARTIFACTS, _key(code.digest))
    kept = {_key(code.digest), _key(record.stack_code), _TEMPLATE, _RECORD}
    for old in s3.list_objects_v2(Bucket=ARTIFACTS).get("Contents", []):
        if old["Key"] not in kept:
            s3.delete_object(Bucket=ARTIFACTS, Key=old["Key"])


def _key(digest: str) -> str:
    return f"{digest}.zip"


def _update(cloudformation: CloudFormationClient, template_url: str) -> None:
    """Create or update the code stack from the template at ``template_url``: in a request, its limit is 51,200 bytes.

    Raise StageError if that fails.
    """
    before = stack.describe(cloudformation, STACK)
    if before is not None and before["StackStatus"] in _UNUSABLE:
        cloudformation.delete_stack(StackName=STACK)
        before = None
    change = cloudformation.update_stack if before else cloudformation.create_stack
    change(StackName=STACK, TemplateURL=template_url, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
    while True:
        after = stack.describe(cloudformation, STACK)
        if after is None or not after["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.05)
    if after is None or after["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reason = after and (after.get("StackStatusReason") or after["StackStatus"])
        raise StageError(f"Deploying the stack {STACK} into the emulator failed: {reason}")
