"""The IAM policy of each function and stage, made from ``infra/policies.json`` without asking AWS.

python -m tools.stage.policies
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalicelib.config import LOCAL
from tools.stage import chalice_config
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name

PROJECT_DIR = Path(__file__).resolve().parents[2]


def for_stage(project_dir: Path, stage: str) -> dict[str, dict[str, Any]]:
    """Return the IAM policy of each function of ``stage``, by the function's name in app.py."""
    text = (project_dir / "infra" / "policies.json").read_text(encoding="utf-8").replace("{stage}", stage)
    return {function: _policy(text, function, stage) for function in json.loads(text)["functions"]}


def write(project_dir: Path, stage: str) -> list[Path]:
    """Write the policies of ``stage``, and refer to them in its entry in ``.chalice/config.json``.

    Return the files that changed. Raise StageError if the stage has no entry.
    """
    config = chalice_config.read(project_dir)
    if stage not in config["stages"]:
        raise StageError(f"There is no stage {stage}: .chalice/config.json has {', '.join(config['stages'])}.")
    functions = config["stages"][stage].setdefault("lambda_functions", {})
    contents = {chalice_config.path_of(project_dir): config}
    for function, policy in for_stage(project_dir, stage).items():
        file_name = f"policy-{function}-{stage}.json"
        functions.setdefault(function, {})["iam_policy_file"] = file_name
        contents[project_dir / ".chalice" / file_name] = policy
    return [path for path, content in contents.items() if chalice_config.write_json(path, content)]


def write_all(project_dir: Path = PROJECT_DIR) -> list[Path]:
    """Write the policies of every stage in ``.chalice/config.json``. Return the files that changed."""
    return list(
        dict.fromkeys(path for stage in chalice_config.stage_names(project_dir) for path in write(project_dir, stage))
    )


def main() -> int:
    """Run the command line. Return the exit code."""
    try:
        written = write_all()
    except (StageError, OSError, ValueError) as error:
        print(f"Writing the policies failed: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"Wrote {path.relative_to(PROJECT_DIR)}")
    if not written:
        print("The policies of all stages are up to date.")
    return 0


def _policy(source: str, function: str, stage: str) -> dict[str, Any]:
    for placeholder, name in _function_names(function, stage).items():
        source = source.replace(placeholder, name)
    content = json.loads(source)
    statements = [*content["functions"][function], *content["common"]]
    if stage == LOCAL:
        statements = [_with_local_actions(statement, content["local"]["actions"]) for statement in statements]
    else:
        statements = [_in_own_account(statement, content["own_account"]) for statement in statements]
    return {"Version": "2012-10-17", "Statement": statements}


def _function_names(function: str, stage: str) -> dict[str, str]:
    """Return the function's names in AWS: the beginning of the one CloudFormation makes, and the one Chalice gives.

    Source: ``_generate_lambdafunction`` in ``chalice/package.py``, and ``chalice/deploy/appgraph.py``.
    """
    stack = code_stack_name(stage)
    if function == "api_handler":
        return {"{by_cloudformation}": f"{stack}-APIHandler", "{by_chalice}": stack}
    logical_id = "".join(word.capitalize() for word in function.split("_"))
    return {"{by_cloudformation}": f"{stack}-{logical_id}", "{by_chalice}": f"{stack}-{function}"}


def _in_own_account(statement: dict[str, Any], own_account: Mapping[str, Any]) -> dict[str, Any]:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    if not {action.partition(":")[0] for action in actions} & set(own_account["services"]):
        return statement
    return {**statement, "Condition": {**own_account["condition"], **statement.get("Condition", {})}}


def _with_local_actions(statement: dict[str, Any], local_actions: Mapping[str, str]) -> dict[str, Any]:
    """Return the statement with the action that the emulator asks for beside each action of AWS."""
    actions = statement["Action"]
    added = [local_actions[action] for action in local_actions if action in actions]
    return {**statement, "Action": [*actions, *added]} if added else statement


if __name__ == "__main__":
    sys.exit(main())
