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
import yaml

from chalicelib import config
from tests.blocks import block
from tests.builders import REQUIRED
from tests.integration.stage import OWNER, Stage, json_of
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
"""Of the page, in its order."""

OF_THE_PROJECT = [
    *(f"tests/unit/test_{name}.py" for name in ("config", "docs", "errors", "openapi")),
    "tests/unit/catalogue/test_validation.py",
    "tests/integration/processes/test_swagger.py",
    *(f"tests/integration/http/test_{name}.py" for name in ("auth", "owners")),
    *(f"tests/integration/catalogue/test_{name}.py" for name in ("consumer", "items")),
    "tests/integration/test_document.py",
]
"""What has to hold in a project that was changed: its tests of fields, settings, routes, errors and jobs."""

OF_THE_CHANGES = """
from tests.integration.stage import json_of

def test_items_are_held_to_the_fields(api):
    assert api("POST", "/items", {"title": "Vase", "price": 9.5, "colour": "blue"}).status_code == 201
    assert json_of(api("POST", "/items", {"price": 9.5}))["error"] == "INVALID_REQUEST"
    refused = json_of(api("POST", "/items", {"title": "Vase", "price": -1}))
    assert "A price cannot be below zero" in str(refused)

def test_the_document_has_them(api):
    assert "title" in json_of(api("GET", "/openapi.json"))["components"]["schemas"]["ItemFields"]["required"]

def test_people_are_greeted_as_it_is_set(api):
    assert json_of(api("GET", "/hello"))["message"] == "Hello, World!"

def test_an_item_is_kept(api):
    item = api.item(expiresAt="2100-01-01T00:00:00Z")
    assert "expiresAt" not in json_of(api("DELETE", f"/items/{item['id']}/expiry"))
    assert "expiresAt" not in api.read(item["id"])
    assert json_of(api("DELETE", f"/items/{item['id']}/expiry"))["error"] == "NO_EXPIRY"

def test_an_item_is_changed_by_a_job(stage):
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
    run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", *tests)


@pytest.mark.parametrize("name", [name for name in DIFFS if name != "error"])
def test_each_change_can_be_made_alone(project: Path, name: str) -> None:
    change(project, name)


def test_with_all_changes_the_project_does_what_the_page_says_and_its_tests_pass(project: Path) -> None:
    for name in DIFFS:
        change(project, name)

    run(project, sys.executable, "-m", "tools.openapi")

    bin_ = Path(sys.executable).parent
    run(project, bin_ / "ruff", "check", "app.py", "chalicelib", "tests")
    run(project, bin_ / "ruff", "format", "--check", "app.py", "chalicelib", "tests")
    (project / "tests" / "integration" / "test_change.py").write_text(OF_THE_CHANGES, encoding="utf-8")
    run_tests(project, "-n", "2", "tests/integration/test_change.py", *OF_THE_PROJECT)


def test_a_stage_greets_as_the_page_sets_it(project: Path) -> None:
    change(project, "setting")
    show = "from chalicelib import config; print(config.load({'GREETING': 'Welcome'}).greeting)"
    run(project, "bash", "-c", f'test "$("{sys.executable}" -c "{show}")" = Welcome')


def test_smoke_is_told_the_fields_in_the_pipeline(project: Path) -> None:
    change(project, "smoke")
    build = yaml.safe_load((project / ".ci" / "buildspec-smoke.yml").read_text(encoding="utf-8"))
    assert json.loads(build["env"]["variables"]["FIELDS"]) == {"title": "Smoke"}


def test_a_job_that_is_sent_as_the_page_says_is_done(stage: Stage) -> None:
    message = json.loads(re.search(r"--message-body '(.+?)'", block(PAGE, "send"), re.DOTALL)[1])  # type: ignore[index]
    stage.send({**message, "owner": OWNER, "item": {**message["item"], **REQUIRED}})

    stage.work()

    assert [item["title"] for item in json_of(stage("GET", "/items"))["items"]] == [
        {"title": "Vase", **REQUIRED}["title"]
    ]


def test_a_producer_may_send_to_the_queue_that_the_page_names() -> None:
    queue = config.load({"STAGE": "prod"}).queue
    statement = json.loads(block(PAGE, "producer"))
    assert f"--queue-name {queue} " in block(PAGE, "send")
    assert statement["Resource"].rpartition(":")[2] == queue
    assert statement["Action"] == ["sqs:GetQueueUrl", "sqs:SendMessage"]


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
    run_tests(project, "tests/unit/test_infra.py", "tests/integration/processes/test_app_import.py")
