"""The stages in ``.chalice/config.json``, and what ``chalice deploy`` recorded in ``.chalice/deployed/``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalicelib.config import LOCAL
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORDED_OUTPUTS = {
    "BUCKET_NAME": "BucketName",
    "PUBLIC_URL": "PublicUrl",
    "TABLE_STREAM_ARN": "TableStreamArn",
    "USER_POOL_ISSUER": "UserPoolIssuer",
    "USER_POOL_CLIENT_ID": "UserPoolClientId",
}
"""The outputs of the resource stack that become environment variables of the code, by variable."""

_SAME_ON_EVERY_MACHINE = {"BUCKET_NAME"}
"""The variables of the stage local that are committed."""


def stage_names(project_dir: Path) -> list[str]:
    """Return the names of the stages in ``.chalice/config.json``."""
    return list(read(project_dir)["stages"])


def environment(project_dir: Path, stage: str) -> dict[str, str]:
    """Return the environment variables of ``stage`` in ``.chalice/config.json``; none if it has no entry yet."""
    variables: dict[str, str] = read(project_dir)["stages"].get(stage, {}).get("environment_variables", {})
    return variables


def deployed_resources(project_dir: Path, stage: str) -> list[dict[str, str]]:
    """Return what ``chalice deploy`` created for ``stage``; nothing after ``chalice delete``."""
    path = project_dir / ".chalice" / "deployed" / f"{stage}.json"
    if not path.exists():
        return []
    resources: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["resources"]
    return resources


def deployed_url(project_dir: Path, stage: str) -> str | None:
    """Return the URL of the API that ``chalice deploy`` created for ``stage``, or None if it created none."""
    apis = (one for one in deployed_resources(project_dir, stage) if one["resource_type"] == "rest_api")
    return next((api["rest_api_url"] for api in apis), None)


def record_outputs(project_dir: Path, stage: str, outputs: Mapping[str, str]) -> list[Path]:
    """Write the ``outputs`` of the resource stack that the code needs into the stage's entry, which is added if new.

    Return the files that changed.
    """
    config = read(project_dir)
    entry = config["stages"].setdefault(stage, _new_entry(stage))
    found = {variable: outputs[output] for variable, output in RECORDED_OUTPUTS.items() if output in outputs}
    entry.setdefault("environment_variables", {}).update(
        {variable: value for variable, value in found.items() if stage != LOCAL or variable in _SAME_ON_EVERY_MACHINE}
    )
    return [path_of(project_dir)] if write_json(path_of(project_dir), config) else []


def forget_outputs(project_dir: Path, stage: str) -> list[Path]:
    """Remove the outputs of the resource stack from the stage's entry, after the stack was deleted.

    The stage local keeps them: they are committed. Return the files that changed.
    """
    config = read(project_dir)
    if stage == LOCAL or stage not in config["stages"]:
        return []
    for variable in RECORDED_OUTPUTS:
        config["stages"][stage].get("environment_variables", {}).pop(variable, None)
    return [path_of(project_dir)] if write_json(path_of(project_dir), config) else []


def path_of(project_dir: Path) -> Path:
    """Return the path of Chalice's configuration."""
    return project_dir / ".chalice" / "config.json"


def read(project_dir: Path) -> dict[str, Any]:
    """Return the content of ``.chalice/config.json``. Raise StageError if it cannot be read."""
    path = path_of(project_dir)
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(f"{path} cannot be read: {error}") from error
    config.setdefault("stages", {})
    return config


def write_json(path: Path, content: Mapping[str, Any]) -> bool:
    """Write ``content`` to ``path`` unless the file has it already. Return whether the file changed."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def _new_entry(stage: str) -> dict[str, Any]:
    return {"environment_variables": {"STAGE": stage}, "lambda_architecture": "arm64"}
