"""What docs/adapting.md tells a person to change, changed in a copy of the project, and used there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib import config
from tests.blocks import block
from tools import processes

PROJECT = Path(__file__).parents[2]
PAGE = "docs/adapting.md"
NOT_COPIED = (
    ".git",
    ".venv*",
    ".local",
    ".hypothesis",
    ".*_cache",
    "__pycache__",
    "node_modules",
    "out",
    "deployments",
)

FIELDS = """
def test_items_are_held_to_them(api):
    assert api("POST", "/items", {"title": "Vase", "price": 9.5, "colour": "blue"}).status_code == 201
    assert said(api("POST", "/items", {"price": 9.5}))["error"] == "INVALID_REQUEST"
    refused = said(api("POST", "/items", {"title": "Vase", "price": -1}))
    assert "A price cannot be below zero" in str(refused)

def test_the_document_has_them(api):
    assert "title" in said(api("GET", "/openapi.json"))["components"]["schemas"]["ItemFields"]["required"]
"""

ROUTE = """
def test_an_item_is_kept(api):
    item = api.item(title="Vase", expiresAt="2100-01-01T00:00:00Z")
    assert "expiresAt" in item
    assert "expiresAt" not in said(api("DELETE", f"/items/{item['id']}/expiry"))
    assert "expiresAt" not in api.read(item["id"])

def test_the_document_has_it(api):
    assert "/items/{item_id}/expiry" in said(api("GET", "/openapi.json"))["paths"]
"""

JOB = """
def test_an_item_is_changed(stage):
    item = stage.item(title="Vase", price=1)
    stage.send({"type": "item.patch", "owner": "local", "id": item["id"], "changes": {"price": 2}})
    stage.work()
    assert stage.read(item["id"])["price"] == 2
    assert stage.on_queue() == 0
"""

HEAD = "from tests.integration.stage import said\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return copy


def change(project: Path, name: str) -> None:
    """Make the change: every place that it names has to be there, and only once."""
    for path, hunks in re.findall(r"(?m)^--- a/.+\n\+\+\+ b/(.+)\n((?:(?!--- a/).*\n)+)", block(PAGE, name)):
        text = (project / path).read_text(encoding="utf-8")
        for hunk in hunks.split("@@\n")[1:]:
            before, after = ("".join(side) for side in sides(hunk))
            assert text.count(before) == 1, f"{path} has this {text.count(before)} times:\n{before}"
            text = text.replace(before, after)
        (project / path).write_text(text, encoding="utf-8")


def sides(hunk: str) -> tuple[list[str], list[str]]:
    lines = [(line[:1], line[1:]) for line in hunk.splitlines(keepends=True)]
    return [text for sign, text in lines if sign != "+"], [text for sign, text in lines if sign != "-"]


def run(project: Path, *command: str | Path) -> None:
    done = subprocess.run(
        command,
        cwd=project,
        env=processes.without_aws(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_tests(project: Path, *tests: str) -> None:
    run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-cov", *tests)


@pytest.mark.parametrize(("name", "tests"), [("fields", FIELDS), ("route", ROUTE), ("job", JOB)])
def test_code_does_what_the_page_says_and_is_as_clean_as_before(project: Path, name: str, tests: str) -> None:
    change(project, name)
    (project / "tests" / "integration" / "test_change.py").write_text(HEAD + tests, encoding="utf-8")

    run_tests(project, "tests/integration/test_change.py")
    bin_ = Path(sys.executable).parent
    run(project, bin_ / "ruff", "check", "app.py", "chalicelib")
    run(project, bin_ / "ruff", "format", "--check", "app.py", "chalicelib")


def test_sizes_are_made_as_the_page_says(project: Path) -> None:
    sizes = settings_of_prod(project, "sizes").thumbnail_sizes
    assert [(size.pixels, size.fit) for size in sizes] == [(160, "cover"), (1024, "fit")]


def test_tokens_of_the_issuer_that_the_page_names_are_taken(project: Path) -> None:
    issuer = config.Issuer("https://login.example.com/", ("catalogue",), None)
    assert settings_of_prod(project, "sign-in").issuer == issuer


def settings_of_prod(project: Path, name: str) -> config.Settings:
    change(project, name)
    stages = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))["stages"]
    return config.load(stages["prod"]["environment_variables"])


def test_another_name_goes_through_all_of_it(project: Path) -> None:
    run(project, "git", "init", "-q")
    run(project, "git", "add", "--all")
    rename = [line for line in block(PAGE, "name").splitlines() if not line.startswith("make")]

    run(project, "bash", "-euo", "pipefail", "-c", "\n".join(rename))

    run(project, "bash", "-c", "! git grep -Ii vitrine")
    run_tests(project, "tests/unit/test_infra.py", "tests/unit/test_layers.py")
