"""A stage's own files: its entry in ``.chalice/config.json`` and its IAM policies, with no AWS in sight."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOCAL = "local"

RECORDED = {
    "BUCKET_NAME": "BucketName",
    "USER_POOL_ISSUER": "UserPoolIssuer",
    "USER_POOL_CLIENT_ID": "UserPoolClientId",
}
"""What the code has to be told: the variable, and the output of the resource stack that it comes from."""

_SAME_EVERYWHERE = {"BUCKET_NAME"}
"""Of these, what the stage local has the same on every machine: it stands in the committed configuration."""

_STAGE_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")  # as the parameter Stage in infra/resources.json has it


class StageError(Exception):
    """Something about a stage that a person has to put right; the message is the sentence to show them."""


def check_name(stage: str) -> str:
    """``stage`` itself. Raises StageError where it cannot name a stage."""
    if not _STAGE_NAME.fullmatch(stage):
        raise StageError(f"{stage!r} is not a stage name: use up to 20 lower-case letters and digits, a letter first.")
    return stage


def policies(project_dir: Path, stage: str) -> dict[str, dict[str, Any]]:
    """The IAM policy of each function, by the function's name, from ``infra/policies.json``."""
    text = (project_dir / "infra" / "policies.json").read_text(encoding="utf-8").replace("{stage}", stage)
    return {function: _policy(text, function, stage) for function in json.loads(text)["functions"]}


def names(project_dir: Path) -> list[str]:
    """The stages that ``.chalice/config.json`` has."""
    return list(_config(project_dir)["stages"])


def environment(project_dir: Path, stage: str) -> dict[str, str]:
    """The environment variables of ``stage`` in ``.chalice/config.json``; none where it has no entry yet."""
    variables: dict[str, str] = _config(project_dir)["stages"].get(stage, {}).get("environment_variables", {})
    return variables


def deployed(project_dir: Path, stage: str) -> list[dict[str, str]]:
    """What `chalice deploy` made for ``stage``, by the list that it keeps; empty once `chalice delete` is done."""
    path = project_dir / ".chalice" / "deployed" / f"{stage}.json"
    if not path.exists():
        return []
    made: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["resources"]
    return made


def deployed_url(project_dir: Path, stage: str) -> str | None:
    """Where `chalice deploy` put the API of ``stage``, by the list that it keeps; None where it did not."""
    apis = (one for one in deployed(project_dir, stage) if one["resource_type"] == "rest_api")
    return next((api["rest_api_url"] for api in apis), None)


def sign_in(stage: str, variables: Mapping[str, str]) -> str:
    """Who gets in with this environment, as a sentence for a person."""
    if variables.get("AUTH_MODE", "oidc") != "oidc":
        return f"The API of stage {stage} is open: anyone who can reach it may read, change and delete."
    if issuer := variables.get("OIDC_ISSUER"):
        return f"The API of stage {stage} accepts tokens from {issuer} for {variables.get('OIDC_AUDIENCE')}."
    return (
        f"The API of stage {stage} accepts tokens from its own user pool, vitrine-{stage}: only users you add to it"
        " get in (docs/deploying.md)."
    )


def record(project_dir: Path, stage: str, outputs: Mapping[str, str]) -> list[Path]:
    """Write the stage's policies, and into its entry what the code must know of the stack's ``outputs``.

    A stage without an entry gets one. Files that hold the same already stay untouched.
    Returns the files written.
    """
    config = _config(project_dir)
    entry = config["stages"].setdefault(stage, _new_entry(stage))
    told = {variable: outputs[output] for variable, output in RECORDED.items() if output in outputs}
    entry.setdefault("environment_variables", {}).update(
        {variable: value for variable, value in told.items() if stage != LOCAL or variable in _SAME_EVERYWHERE}
    )
    path = _config_path(project_dir)
    written = [path] if _write(path, config) else []
    return list(dict.fromkeys([*written, *write_policies(project_dir, stage)]))


def write_policies(project_dir: Path, stage: str) -> list[Path]:
    """Write the policies of ``stage`` from ``infra/policies.json``, and into its entry which function has which.

    Files that hold the same already stay untouched. Returns the files written. Raises StageError where there is no
    such stage.
    """
    config = _config(project_dir)
    if stage not in config["stages"]:
        raise StageError(f"There is no stage {stage}: .chalice/config.json has {', '.join(config['stages'])}.")
    functions = config["stages"][stage].setdefault("lambda_functions", {})
    contents = {_config_path(project_dir): config}
    for name, policy in policies(project_dir, stage).items():
        functions.setdefault(name, {})["iam_policy_file"] = _policy_name(name, stage)
        contents[project_dir / ".chalice" / _policy_name(name, stage)] = policy
    return [path for path, content in contents.items() if _write(path, content)]


def forget(project_dir: Path, stage: str) -> list[Path]:
    """Take what the resource stack told out of the stage's entry, now that the stack is gone.

    The local stage keeps it: its names are the same on every machine, and committed.
    Returns the files written.
    """
    config = _config(project_dir)
    if stage == LOCAL or stage not in config["stages"]:
        return []
    for variable in RECORDED:
        config["stages"][stage].get("environment_variables", {}).pop(variable, None)
    path = _config_path(project_dir)
    return [path] if _write(path, config) else []


def _new_entry(stage: str) -> dict[str, Any]:
    return {"environment_variables": {"STAGE": stage}, "lambda_architecture": "arm64"}


def _policy(source: str, function: str, stage: str) -> dict[str, Any]:
    for name, value in _function_names(function, stage).items():
        source = source.replace(name, value)
    said = json.loads(source)
    statements = [*said["functions"][function], *said["common"]]
    if stage == LOCAL:
        statements = [_widened(statement, said["local"]["actions"]) for statement in statements]
    else:
        statements = [_in_own_account(statement, said["own_account"]) for statement in statements]
    return {"Version": "2012-10-17", "Statement": statements}


def _function_names(function: str, stage: str) -> dict[str, str]:
    """Return what a function is called in AWS: what CloudFormation calls it begins so, and Chalice calls it so.

    Chalice: ``chalice/package.py``, ``_generate_lambdafunction`` and ``chalice/deploy/appgraph.py``.
    """
    stack = f"vitrine-{stage}"
    if function == "api_handler":
        return {"{by_cloudformation}": f"{stack}-APIHandler", "{by_chalice}": stack}
    logical_id = "".join(word.capitalize() for word in function.split("_"))
    return {"{by_cloudformation}": f"{stack}-{logical_id}", "{by_chalice}": f"{stack}-{function}"}


def _in_own_account(statement: dict[str, Any], own_account: Mapping[str, Any]) -> dict[str, Any]:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    if not {action.partition(":")[0] for action in actions} & set(own_account["services"]):
        return statement
    return {**statement, "Condition": {**own_account["condition"], **statement.get("Condition", {})}}


def _widened(statement: dict[str, Any], besides: Mapping[str, str]) -> dict[str, Any]:
    actions = statement["Action"]
    added = [besides[action] for action in besides if action in actions]
    return {**statement, "Action": [*actions, *added]} if added else statement


def _policy_name(function: str, stage: str) -> str:
    return f"policy-{function}-{stage}.json"


def _config_path(project_dir: Path) -> Path:
    return project_dir / ".chalice" / "config.json"


def _config(project_dir: Path) -> dict[str, Any]:
    path = _config_path(project_dir)
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(f"{path} cannot be read: {error}") from error
    config.setdefault("stages", {})
    return config


def _write(path: Path, content: Mapping[str, Any]) -> bool:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True
