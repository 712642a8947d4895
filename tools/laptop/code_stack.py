"""Package the app and deploy it into the emulator, as the code stack of the stage local.

Chalice rebuilds the whole zip, with its dependencies, when a source file changes. Here the dependencies are built once
for each requirements.txt and kept; a changed app is packaged without them, in a second, and merged with them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib.config import LOCAL
from tools import processes
from tools.stage import app_sources, chalice_package, stack
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name
from tools.stage.stack import Report

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

STACK = code_stack_name(LOCAL)
ARTIFACTS = "vitrine-artifacts"

_DIGEST_OUTPUT = "SourceDigest"
_TEMPLATE = "sam.json"
_UNUSABLE = (
    "CREATE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_FAILED",
    "DELETE_FAILED",
)
_LAMBDA = ("Linux", "x86_64")
_MINIMAL_APP = f"""
from chalice import Chalice
app = Chalice("{STACK}")
app.lambda_function()(lambda event, context: None)
"""
_MINIMAL_CONFIG = {"version": "2.0", "app_name": STACK, "stages": {LOCAL: {}}}


class Package(NamedTuple):
    """The packaged app."""

    digest: str
    template: dict[str, Any]
    archive: Path


class Deployment(NamedTuple):
    """The code stack in the emulator."""

    api_id: str
    functions: dict[str, str]
    """The functions' names in Lambda, by their names in app.py."""


def host() -> tuple[str, str]:
    """Return the operating system and the processor of this machine."""
    return platform.system(), platform.machine()


def source_digest(project_dir: Path, system: tuple[str, str] | None = None) -> str:
    """Return a digest of everything that the package depends on."""
    return app_sources.digest(project_dir, sys.version, *(system or host()))


def package(
    project_dir: Path, build_dir: Path, cache_dir: Path, report: Report, system: tuple[str, str] | None = None
) -> Package:
    """Package the app with the wheels of ``system``, on which the emulator runs the functions; default: this machine.

    ``build_dir`` is emptied first; ``cache_dir`` keeps the dependencies for the next time. Raise StageError with
    Chalice's output if the app does not load.
    """
    system = system or host()
    digest = source_digest(project_dir, system)
    folder = build_dir / "app"
    chalice_package.copy_app(project_dir, folder, LOCAL)
    requirements = project_dir / "requirements.txt"
    dependencies = _dependencies(requirements, build_dir / "dependencies", cache_dir, system, report)
    _chalice_package(folder, "--merge-template", "infra/package.json")
    archive = build_dir / "deployment.zip"
    _merge(dependencies, folder / "out" / "deployment.zip", archive)
    template = json.loads((folder / "out" / "sam.json").read_text(encoding="utf-8"))
    return Package(digest, template, archive)


def find(client: ClientFactory, digest: str | None = None) -> Deployment | None:
    """Return the code stack, or None if there is none or, with ``digest``, if it has other sources."""
    cloudformation = client("cloudformation")
    outputs = stack.outputs(cloudformation, STACK)
    if "RestAPIId" not in outputs or (digest and outputs.get(_DIGEST_OUTPUT) != digest):
        return None
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    functions = {
        handler_name(resource["LogicalResourceId"]): resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }
    return Deployment(outputs["RestAPIId"], functions)


def deploy(built: Package, client: ClientFactory) -> Deployment:
    """Deploy ``built`` unless it is deployed already. Raise StageError if the emulator refuses it."""
    if running := find(client, built.digest):
        return running
    s3 = client("s3")
    s3.create_bucket(Bucket=ARTIFACTS)
    key = f"{built.digest}.zip"
    s3.upload_file(str(built.archive), ARTIFACTS, key)
    cloudformation = client("cloudformation")
    template = with_code(built.template, {"Bucket": ARTIFACTS, "Key": key}, built.digest)
    s3.put_object(Bucket=ARTIFACTS, Key=_TEMPLATE, Body=json.dumps(template).encode())
    _update(cloudformation, f"{s3.meta.endpoint_url}/{ARTIFACTS}/{_TEMPLATE}")
    for old in s3.list_objects_v2(Bucket=ARTIFACTS).get("Contents", []):
        if old["Key"] not in (key, _TEMPLATE):
            s3.delete_object(Bucket=ARTIFACTS, Key=old["Key"])
    deployment = find(client)
    if deployment is None:
        raise StageError(f"The stack {STACK} has no API.")
    return deployment


def with_code(template: dict[str, Any], code: dict[str, str], digest: str) -> dict[str, Any]:
    """Return ``template`` with ``code`` as the location of its functions' code, and ``digest`` in an output."""
    changed: dict[str, Any] = json.loads(json.dumps(template))
    for resource in changed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
    changed.setdefault("Outputs", {})[_DIGEST_OUTPUT] = {"Value": digest}
    return changed


def handler_name(logical_id: str) -> str:
    """Return the name in app.py of the function that is ``logical_id`` in Chalice's template."""
    if logical_id == "APIHandler":
        return "api_handler"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", logical_id).lower()


def _dependencies(
    requirements: Path, build_dir: Path, cache_dir: Path, system: tuple[str, str], report: Report
) -> Path:
    """Return a zip of the packages in ``requirements``, built in ``build_dir`` unless ``cache_dir`` has it."""
    inputs = (*system, sys.version, requirements.read_text(encoding="utf-8"))
    cached = cache_dir / f"dependencies-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]}.zip"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "lock").open("w") as lock:
        # A second process waits for the result of the first one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cached.exists():
            return cached
        report("Packaging the dependencies of the functions (about 30 s, only once)")
        unfinished = cache_dir / "unfinished.part"
        build = _build_for_lambda if system == _LAMBDA else _build_for_host
        build(requirements, build_dir, unfinished)
        shutil.rmtree(build_dir)
        for old in cache_dir.glob("dependencies-*.zip"):
            old.unlink()
        return unfinished.rename(cached)


def _build_for_lambda(requirements: Path, scratch: Path, target: Path) -> None:
    """Write a zip of the wheels that Chalice chooses for Lambda, by packaging a minimal app."""
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / ".chalice").mkdir(parents=True)
    (scratch / "app.py").write_text(_MINIMAL_APP, encoding="utf-8")
    (scratch / ".chalice" / "config.json").write_text(json.dumps(_MINIMAL_CONFIG), encoding="utf-8")
    shutil.copyfile(requirements, scratch / "requirements.txt")
    output = _chalice_package(scratch)
    if "Could not install dependencies" in output:  # Chalice packages the others without an error
        raise StageError(f"A package in requirements.txt has no wheel for Lambda. {processes.error_summary(output)}")
    with zipfile.ZipFile(scratch / "out" / "deployment.zip") as whole, _new_zip(target) as kept:
        for entry in whole.infolist():
            if entry.filename != "app.py" and not entry.filename.startswith("chalice/"):
                kept.writestr(entry, whole.read(entry), zipfile.ZIP_DEFLATED, 1)


def _build_for_host(requirements: Path, scratch: Path, target: Path) -> None:
    """Write a zip of this machine's wheels: those for Lambda would not load here."""
    shutil.rmtree(scratch, ignore_errors=True)
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-compile",
        "--only-binary=:all:",
    ]
    status, output = processes.run(
        [*install, "--target", scratch, "-r", requirements], env=os.environ, cwd=requirements.parent
    )
    if status != 0:
        raise StageError(f"The functions' dependencies cannot be installed. {processes.error_summary(output)}")
    with _new_zip(target) as kept:
        for path in sorted(scratch.rglob("*")):
            if path.is_file() and path.relative_to(scratch).parts[0] != "bin":
                kept.write(path, path.relative_to(scratch))


def _chalice_package(folder: Path, *options: str) -> str:
    """Run ``chalice package`` for the stage local. Return its output."""
    status, output = chalice_package.run(folder, LOCAL, os.environ, *options)
    if status != 0:
        raise StageError(f"The app cannot be packaged. {processes.error_summary(output.replace(f'{folder}/', ''))}")
    return output


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


def _merge(dependencies: Path, code: Path, target: Path) -> None:
    shutil.copyfile(dependencies, target)
    with zipfile.ZipFile(code) as app, zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as whole:
        for entry in app.infolist():
            whole.writestr(entry, app.read(entry))


def _new_zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
