"""The code stack of the stage local: packaged by Chalice as for AWS, and deployed into the emulator.

Chalice builds a zip anew, dependencies and all, whenever a source file changes. Here the dependencies are
built once per requirements.txt and kept; a changed app is packaged without any, in a second, and joined with them.
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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tools import processes
from tools.stage import app_sources, chalice_package, stack
from tools.stage.errors import StageError
from tools.stage.names import LOCAL

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

STACK = f"vitrine-{LOCAL}"
ARTIFACTS = "vitrine-artifacts"

Client = Callable[[str], Any]
"""Makes the client of an AWS service from its name, as ``boto3.Session.client`` does."""
Report = Callable[[str], None]

_DIGEST = "SourceDigest"
_TEMPLATE = "sam.json"
_WRECKED = (
    "CREATE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_FAILED",
    "DELETE_FAILED",
)
_LAMBDA = ("Linux", "x86_64")
_SMALLEST_APP = f"""
from chalice import Chalice
app = Chalice("{STACK}")
app.lambda_function()(lambda event, context: None)
"""
_SMALLEST_CONFIG = {"version": "2.0", "app_name": STACK, "stages": {LOCAL: {}}}


class Package(NamedTuple):
    """What Chalice made of the sources."""

    digest: str
    template: dict[str, Any]
    archive: Path


class Deployment(NamedTuple):
    """The code stack as it stands in the emulator."""

    api_id: str
    functions: dict[str, str]
    """The functions' names in Lambda, by what app.py calls them."""


def host() -> tuple[str, str]:
    """The system and the processor that this runs on."""
    return platform.system(), platform.machine()


def source_digest(project_dir: Path, system: tuple[str, str] | None = None) -> str:
    """A name for all that decides what the package holds."""
    return app_sources.digest(project_dir, sys.version, *(system or host()))


def package(
    project_dir: Path, build_dir: Path, kept_dir: Path, report: Report, system: tuple[str, str] | None = None
) -> Package:
    """Package the app for the emulator, whose functions run here: the zip holds the wheels of ``system``.

    ``build_dir`` is emptied first; ``kept_dir`` keeps the dependencies from one time to the next. Raises StageError
    with what Chalice said where the app does not load.
    """
    system = system or host()
    digest = source_digest(project_dir, system)
    folder = build_dir / "app"
    chalice_package.copy_app(project_dir, folder, LOCAL)
    requirements = project_dir / "requirements.txt"
    dependencies = _dependencies(requirements, build_dir / "dependencies", kept_dir, system, report)
    _chalice_package(folder, "--merge-template", "infra/package.json")
    archive = build_dir / "deployment.zip"
    _join(dependencies, folder / "out" / "deployment.zip", archive)
    template = json.loads((folder / "out" / "sam.json").read_text(encoding="utf-8"))
    return Package(digest, template, archive)


def find(client: Client, digest: str | None = None) -> Deployment | None:
    """The code stack, or None where there is none (or, with ``digest``, none of exactly these sources)."""
    cloudformation = client("cloudformation")
    outputs = stack.outputs(cloudformation, STACK)
    if "RestAPIId" not in outputs or (digest and outputs.get(_DIGEST) != digest):
        return None
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    functions = {
        handler_name(resource["LogicalResourceId"]): resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }
    return Deployment(outputs["RestAPIId"], functions)


def deploy(built: Package, client: Client) -> Deployment:
    """Make the emulator run ``built``, unless it does. Raises StageError where it does not take it."""
    if running := find(client, built.digest):
        return running
    s3 = client("s3")
    s3.create_bucket(Bucket=ARTIFACTS)
    key = f"{built.digest}.zip"
    s3.upload_file(str(built.archive), ARTIFACTS, key)
    cloudformation = client("cloudformation")
    template = at(built.template, {"Bucket": ARTIFACTS, "Key": key}, built.digest)
    s3.put_object(Bucket=ARTIFACTS, Key=_TEMPLATE, Body=json.dumps(template).encode())
    _update(cloudformation, f"{s3.meta.endpoint_url}/{ARTIFACTS}/{_TEMPLATE}")
    for old in s3.list_objects_v2(Bucket=ARTIFACTS).get("Contents", []):
        if old["Key"] not in (key, _TEMPLATE):
            s3.delete_object(Bucket=ARTIFACTS, Key=old["Key"])
    deployment = find(client)
    if deployment is None:
        raise StageError(f"The stack {STACK} has no API.")
    return deployment


def at(template: dict[str, Any], code: dict[str, str], digest: str) -> dict[str, Any]:
    """``template`` with its functions' code at ``code``, named by ``digest`` in an output."""
    placed: dict[str, Any] = json.loads(json.dumps(template))
    for resource in placed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
    placed.setdefault("Outputs", {})[_DIGEST] = {"Value": digest}
    return placed


def handler_name(logical_id: str) -> str:
    """What app.py calls the function that Chalice's template calls ``logical_id``."""
    if logical_id == "APIHandler":
        return "api_handler"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", logical_id).lower()


def _dependencies(requirements: Path, build_dir: Path, kept_dir: Path, system: tuple[str, str], report: Report) -> Path:
    """A zip of what ``requirements`` names, built in ``build_dir`` unless ``kept_dir`` has it."""
    decides = (*system, sys.version, requirements.read_text(encoding="utf-8"))
    kept = kept_dir / f"dependencies-{hashlib.sha256(repr(decides).encode()).hexdigest()[:16]}.zip"
    kept_dir.mkdir(parents=True, exist_ok=True)
    with (kept_dir / "lock").open("w") as lock:
        # Whoever comes second waits for what the first one makes.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            return kept
        report("Packaging the functions' dependencies: half a minute, once")
        unfinished = kept_dir / "unfinished.part"
        build = _build_for_lambda if system == _LAMBDA else _build_for_host
        build(requirements, build_dir, unfinished)
        shutil.rmtree(build_dir)
        for old in kept_dir.glob("dependencies-*.zip"):
            old.unlink()
        return unfinished.rename(kept)


def _build_for_lambda(requirements: Path, scratch: Path, target: Path) -> None:
    """The wheels that Chalice picks for Lambda, by having it package the smallest app there is."""
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / ".chalice").mkdir(parents=True)
    (scratch / "app.py").write_text(_SMALLEST_APP, encoding="utf-8")
    (scratch / ".chalice" / "config.json").write_text(json.dumps(_SMALLEST_CONFIG), encoding="utf-8")
    shutil.copyfile(requirements, scratch / "requirements.txt")
    said = _chalice_package(scratch)
    if "Could not install dependencies" in said:  # Chalice says so, and packages the rest
        raise StageError(f"Some of requirements.txt has no wheel for Lambda. {last_lines(said)}")
    with zipfile.ZipFile(scratch / "out" / "deployment.zip") as whole, _new_zip(target) as kept:
        for entry in whole.infolist():
            if entry.filename != "app.py" and not entry.filename.startswith("chalice/"):
                kept.writestr(entry, whole.read(entry), zipfile.ZIP_DEFLATED, 1)


def _build_for_host(requirements: Path, scratch: Path, target: Path) -> None:
    """The wheels of this machine, for an emulator that runs functions on it: Lambda's would not load."""
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
    status, said = processes.run(
        [*install, "--target", scratch, "-r", requirements], env=os.environ, cwd=requirements.parent
    )
    if status != 0:
        raise StageError(f"The functions' dependencies cannot be installed. {last_lines(said)}")
    with _new_zip(target) as kept:
        for path in sorted(scratch.rglob("*")):
            if path.is_file() and path.relative_to(scratch).parts[0] != "bin":
                kept.write(path, path.relative_to(scratch))


def _chalice_package(folder: Path, *options: str) -> str:
    """Run ``chalice package`` for the stage local. Returns what it said."""
    status, said = chalice_package.run(folder, LOCAL, os.environ, *options)
    if status != 0:
        raise StageError(f"The app cannot be packaged. {last_lines(said.replace(f'{folder}/', ''))}")
    return said


def _update(cloudformation: CloudFormationClient, template_url: str) -> None:
    """Make the code stack what the template at ``template_url`` says: a request itself holds no more than 51,200 bytes.

    Raises StageError with the reason where it fails.
    """
    before = stack.describe(cloudformation, STACK)
    if before is not None and before["StackStatus"] in _WRECKED:
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
        raise StageError(f"The emulator does not take the stack {STACK}: {reason}")


def _join(dependencies: Path, code: Path, target: Path) -> None:
    shutil.copyfile(dependencies, target)
    with zipfile.ZipFile(code) as app, zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as whole:
        for entry in app.infolist():
            whole.writestr(entry, app.read(entry))


def _new_zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)


def last_lines(said: str) -> str:
    """Return the end of what a program said: of a Python stack, the place and the error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith('File "')]
    return " ".join([*places[-1:], *[line for line in lines[-1:] if line not in places]])
