"""The changes that docs/adapting.md describes, made in a copy of the project and used there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
DIFFS = ("fields", "smoke", "sizes", "sign-in", "company", "setting", "route", "error", "job")
"""The names of the diffs, in the order of the page."""

TESTS_OF_THE_PROJECT = [
    *(f"tests/unit/test_{name}.py" for name in ("config", "errors", "openapi")),
    "tests/project/test_docs.py",
    "tests/unit/catalogue/test_validation.py",
    "tests/integration/processes/test_swagger.py",
    *(f"tests/integration/http/test_{name}.py" for name in ("auth", "owners")),
    *(f"tests/integration/catalogue/test_{name}.py" for name in ("consumer", "items")),
    "tests/integration/test_document.py",
]
"""The tests that must pass in a changed project: of fields, settings, routes, errors and messages."""

TESTS_OF_THE_CHANGES = """
from tests.integration.stage import json_of

def test_declared_fields_are_validated(api):
    assert api("POST", "/items", {"title": "Vase", "price": 9.5, "colour": "blue"}).status_code == 201
    assert json_of(api("POST", "/items", {"price": 9.5}))["error"] == "INVALID_REQUEST"
    refused = json_of(api("POST", "/items", {"title": "Vase", "price": -1}))
    assert "A price cannot be below zero" in str(refused)

def test_document_has_the_declared_fields(api):
    assert "title" in json_of(api("GET", "/openapi.json"))["components"]["schemas"]["ItemFields"]["required"]

def test_greeting_has_a_default(api):
    assert json_of(api("GET", "/hello"))["message"] == "Hello, World!"

def test_expiry_is_removed(api):
    item = api.item(expiresAt="2100-01-01T00:00:00Z")
    assert "expiresAt" not in json_of(api("DELETE", f"/items/{item['id']}/expiry"))
    assert "expiresAt" not in api.read(item["id"])
    assert json_of(api("DELETE", f"/items/{item['id']}/expiry"))["error"] == "NO_EXPIRY"

def test_message_patches_an_item(stage):
    item = stage.item(price=1)
    stage.send({"type": "item.patch", "owner": "local", "id": item["id"], "changes": {"price": 2}})
    stage.work()
    assert stage.read(item["id"])["price"] == 2
    assert stage.on_queue() == 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return copy


def apply(project: Path, name: str) -> None:
    """Apply a diff of the page. Raise AssertionError if a place is missing, or is not unique."""
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
    run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", *tests)


@pytest.mark.parametrize("name", [name for name in DIFFS if name != "error"])
def test_diff_applies_alone(project: Path, name: str) -> None:
    apply(project, name)


def test_project_with_all_diffs_works(project: Path) -> None:
    for name in DIFFS:
        apply(project, name)

    run(project, sys.executable, "-m", "tools.openapi")

    bin_ = Path(sys.executable).parent
    run(project, bin_ / "ruff", "check", "app.py", "chalicelib", "tests")
    run(project, bin_ / "ruff", "format", "--check", "app.py", "chalicelib", "tests")
    (project / "tests" / "integration" / "test_change.py").write_text(TESTS_OF_THE_CHANGES, encoding="utf-8")
    run_tests(project, "-n", "2", "tests/integration/test_change.py", *TESTS_OF_THE_PROJECT)


def test_setting_is_read(project: Path) -> None:
    apply(project, "setting")
    show = "from chalicelib import config; print(config.load({'GREETING': 'Welcome'}).greeting)"
    run(project, "bash", "-c", f'test "$("{sys.executable}" -c "{show}")" = Welcome')


def test_pipeline_passes_fields_to_the_smoke_test(project: Path) -> None:
    apply(project, "smoke")
    build = yaml.safe_load((project / ".ci" / "buildspec-smoke.yml").read_text(encoding="utf-8"))
    assert json.loads(build["env"]["variables"]["FIELDS"]) == {"title": "Smoke"}


def test_thumbnail_sizes_are_set(project: Path) -> None:
    sizes = settings_of_prod(project, "sizes").thumbnail_sizes
    assert [(size.pixels, size.fit) for size in sizes] == [(160, "cover"), (1024, "fit")]


def test_issuer_is_set(project: Path) -> None:
    issuer = config.Issuer("https://login.example.com/", ("catalogue",), None)
    assert settings_of_prod(project, "sign-in").issuer == issuer


def settings_of_prod(project: Path, name: str) -> config.Settings:
    apply(project, name)
    stages = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))["stages"]
    return config.load(stages["prod"]["environment_variables"])
