"""``make policies`` writes the IAM policies of all stages from one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tools.stage import policies
from tools.stage.errors import StageError

PROJECT = Path(__file__).resolve().parents[2]
STATEMENT = {"Sid": "Tell", "Effect": "Allow", "Action": "sns:Publish", "Resource": "arn:aws:sns:*:*:x-{stage}"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "infra").mkdir()
    shutil.copy(PROJECT / "infra" / "policies.json", tmp_path / "infra")
    (tmp_path / ".chalice").mkdir()
    for path in (PROJECT / ".chalice").glob("*.json"):
        shutil.copy(path, tmp_path / ".chalice")
    return tmp_path


def allow(project: Path, function: str, statement: dict[str, Any]) -> None:
    path = project / "infra" / "policies.json"
    source = json.loads(path.read_text(encoding="utf-8"))
    source["functions"].setdefault(function, []).append(statement)
    path.write_text(json.dumps(source), encoding="utf-8")


def granted(project: Path, function: str, stage: str) -> list[dict[str, Any]]:
    config = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))
    name = config["stages"][stage]["lambda_functions"][function]["iam_policy_file"]
    policy = json.loads((project / ".chalice" / name).read_text(encoding="utf-8"))
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def test_committed_policies_are_up_to_date(project: Path) -> None:
    assert policies.write_all(project) == []


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_added_statement_is_written_for_every_stage(project: Path, stage: str) -> None:
    allow(project, "clean_up", STATEMENT)

    written = policies.write_all(project)

    assert project / ".chalice" / f"policy-clean_up-{stage}.json" in written
    assert {**STATEMENT, "Resource": f"arn:aws:sns:*:*:x-{stage}"} in granted(project, "clean_up", stage)
    assert policies.write_all(project) == []


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_new_function_gets_its_own_policy_in_every_stage(project: Path, stage: str) -> None:
    allow(project, "report", STATEMENT)

    policies.write_all(project)

    assert granted(project, "report", stage)[0]["Sid"] == "Tell"


def test_unknown_stage_is_an_error(project: Path) -> None:
    with pytest.raises(StageError, match=r"no stage pr12: .* local, dev, prod"):
        policies.write(project, "pr12")
