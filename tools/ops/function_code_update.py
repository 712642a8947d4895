"""Replace the code of one deployed function by that of this folder, for development."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from tools.bundle.errors import BundleError
from tools.ops.deployed_stage import Function, Stage
from tools.stage.errors import StageError
from tools.wheel_hashes import WheelError

_WAITER = {"Delay": 1, "MaxAttempts": 300}
"""Seconds between two checks whether Lambda has updated the function, and the most checks."""


class Update(NamedTuple):
    """What was uploaded."""

    size: int
    """Bytes of the package."""
    seconds: float
    """The time from the upload until the function ran the code; 0 if it was not uploaded."""
    outcome: Literal["updated", "unchanged", "checked"]
    """Unchanged if the function had this code; checked if Lambda would have accepted it."""


def package(project_dir: Path, stage: Stage, function: Function, report: Callable[[str], None]) -> Path:
    """Return the package of this folder, made unless it is up to date, as ``make deploy`` does.

    Raise StageError if it is for another runtime or processor than ``function``, or cannot be made.
    """
    # Importing Chalice's command line takes longer than most commands.
    from tools.bundle import chalice_deployments  # noqa: PLC0415

    target = chalice_deployments.target(project_dir, stage.name)
    if (function.runtime, function.architecture) != target:
        raise StageError(
            f"{function.name} runs {function.runtime} on {function.architecture}, and this folder makes packages for "
            f"{target.runtime} on {target.architecture}. `make deploy` or your pipeline changes both together."
        )
    try:
        return chalice_deployments.write_bundle(project_dir, stage.name, report)
    except (BundleError, WheelError) as error:
        raise StageError(str(error)) from error


def require_latest(stage: Stage, function: Function) -> None:
    """Raise StageError if ``function`` has an alias, which runs a published version, not the code that is replaced."""
    for alias in stage.client("lambda").list_aliases(FunctionName=function.name)["Aliases"]:
        raise StageError(
            f"{function.handler} is called by its alias {alias['Name']}, which runs the published version "
            f"{alias['FunctionVersion']}, so replacing its latest code would change nothing: deploy a package of this "
            "folder, or package the stage with FAST=off."
        )


def update(stage: Stage, function: Function, archive: Path, *, dry_run: bool) -> Update:
    """Give ``function`` the code in ``archive``, unless it has that code, and wait until it runs the code.

    With ``dry_run``, Lambda only checks the request. Raise botocore's errors if Lambda refuses it.
    """
    content = archive.read_bytes()
    if base64.b64encode(hashlib.sha256(content).digest()).decode() == function.code_digest:
        return Update(len(content), 0.0, "unchanged")
    client = stage.client("lambda")
    began = time.monotonic()
    client.update_function_code(FunctionName=function.name, ZipFile=content, DryRun=dry_run)
    if dry_run:
        return Update(len(content), 0.0, "checked")
    client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig=_WAITER)
    return Update(len(content), time.monotonic() - began, "updated")
