"""The recipes of docs/adapting.md, applied to a copy of the project and used there.

``make recipes`` runs all checks after each recipe. Here, all recipes are applied one after another, and used.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chalicelib import config
from tools import processes
from tools.template import recipe_checks
from tools.template.scratch_copy import copy_working_tree

PROJECT = Path(__file__).resolve().parents[2]
DIFFS = list(recipe_checks.diffs())

TESTS_OF_THE_CHANGES = """
import base64
import pytest
from chalicelib import aws
from tests.integration.stage import fails, json_of, run

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

def test_records_of_a_stream_become_items(api, configured):
    def read(*numbers):
        data = (b"no JSON", b'{"title": "One"}', b'{"title": "Two"}', b'{"title": "Three"}')
        records = [
            {
                "eventID": f"shardId-000000000000:{number}",
                "kinesis": {
                    "data": base64.b64encode(data[number]).decode(),
                    "partitionKey": "local",
                    "sequenceNumber": str(number),
                    "kinesisSchemaVersion": "1.0",
                    "approximateArrivalTimestamp": 1.5,
                },
            }
            for number in numbers
        ]
        return run("on_records", {"Records": records})

    def titles():
        return [item["title"] for item in json_of(api("GET", "/items"))["items"]]

    configured(REPORT_BATCH_ITEM_FAILURES="true")
    fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError", times=1)
    assert read(0, 1, 2) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert titles() == []
    assert read(1, 2) == read(2) == {"batchItemFailures": []}
    assert titles() == ["Two", "One"]
    configured(REPORT_BATCH_ITEM_FAILURES=None)
    fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError", times=1)
    with pytest.raises(Exception, match="InternalServerError"):
        read(3)
"""

TESTS_WITHOUT_FIELDS = """
from tests.integration.stage import json_of

def test_item_is_any_object(api):
    item = api.item(title=7, price="cheap", tags={"a": None})
    assert api.read(item["id"]) == item

def test_items_are_sorted_by_their_last_change(api):
    ids = [api.item(n=number)["id"] for number in range(3)]
    api("PATCH", f"/items/{ids[0]}", {"n": 3})
    listed = json_of(api("GET", "/items?sort=updatedAt"))["items"]
    assert [item["id"] for item in listed] == [ids[1], ids[2], ids[0]]

def test_own_fields_cannot_be_found(api):
    for query in ("sort=title", "filter[title]=Vase"):
        refused = json_of(api("GET", f"/items?{query}"))
        assert refused["error"] == "FIELD_NOT_FINDABLE"
        assert "updatedAt" in refused["message"]
    assert json_of(api("GET", "/items?q=vase"))["message"] == "q cannot be used: no field is searchable."
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    copy_working_tree(PROJECT, copy)
    return copy


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


def hunks(diff: str) -> list[tuple[str, str]]:
    """Return the path of each hunk in an existing file, and the lines that must be in that file."""
    found = []
    for path, text in re.findall(r"(?m)^--- a/.+\n\+\+\+ b/(.+)\n((?:(?!--- (?:a/|/dev/null)).*\n)+)", diff):
        for hunk in re.split(r"(?m)^@@ .*\n", text)[1:]:
            lines = hunk.splitlines(keepends=True)
            found.append((path, "".join(line[1:] for line in lines if not line.startswith("+"))))
    return found


@pytest.mark.parametrize("name", DIFFS)
def test_diff_applies_at_one_place_only(project: Path, name: str) -> None:
    for one in recipe_checks.with_its_basis(name)[:-1]:
        recipe_checks.apply(project, one)

    for path, before in hunks(recipe_checks.diffs()[name]):
        assert (project / path).read_text(encoding="utf-8").count(before) == 1, f"{path}:\n{before}"
    recipe_checks.apply(project, name)


def test_project_with_all_diffs_works(project: Path) -> None:
    for name in recipe_checks.compatible():
        recipe_checks.apply(project, name)

    run(project, sys.executable, "-m", "tools.openapi")

    bin_ = Path(sys.executable).parent
    run(project, bin_ / "ruff", "check", "app.py", "chalicelib", "tests")
    run(project, bin_ / "ruff", "format", "--check", "app.py", "chalicelib", "tests")
    run_tests(project, TESTS_OF_THE_CHANGES)


def test_project_that_declares_no_fields_works(project: Path) -> None:
    recipe_checks.apply(project, "no-fields")

    run(project, sys.executable, "-m", "tools.openapi")

    run_tests(project, TESTS_WITHOUT_FIELDS)


def run_tests(project: Path, source: str) -> None:
    tests = project / "tests" / "integration" / "test_change.py"
    tests.write_text(source, encoding="utf-8")
    run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", "-n", "0", tests)


def test_setting_is_read(project: Path) -> None:
    recipe_checks.apply(project, "setting")
    show = "from chalicelib import config; print(config.load({'GREETING': 'Welcome'}).greeting)"
    run(project, "bash", "-c", f'test "$("{sys.executable}" -c "{show}")" = Welcome')


def test_pipeline_passes_fields_to_the_smoke_test(project: Path) -> None:
    recipe_checks.apply(project, "smoke")
    build = yaml.safe_load((project / ".ci" / "buildspec-smoke.yml").read_text(encoding="utf-8"))
    assert json.loads(build["env"]["variables"]["FIELDS"]) == {"title": "Smoke"}


def test_thumbnail_sizes_are_set(project: Path) -> None:
    sizes = settings_after(project, "sizes", "dev").thumbnail_sizes
    assert [(size.pixels, size.fit) for size in sizes] == [(160, "cover"), (1024, "fit")]


def test_issuer_is_set(project: Path) -> None:
    issuer = config.Issuer("https://login.example.com/", ("catalogue",), None)
    assert settings_after(project, "sign-in", "prod").issuer == issuer


def test_owner_claim_is_set(project: Path) -> None:
    recipe_checks.apply(project, "sign-in")
    issuer = settings_after(project, "company", "prod").issuer
    assert issuer
    assert issuer.owner_claim == "org_id"


def settings_after(project: Path, name: str, stage: str) -> config.Settings:
    recipe_checks.apply(project, name)
    stages = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))["stages"]
    return config.load(stages[stage]["environment_variables"])


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("fields", {"chalicelib/catalogue/item_fields.py", "tests/builders.py"}),
        ("no-fields", {"chalicelib/catalogue/item_fields.py"}),
        ("setting", {"chalicelib/config.py", "app.py"}),
        ("route", {"app.py", "chalicelib/catalogue/items.py"}),
        ("error", {"chalicelib/errors.py", "chalicelib/catalogue/items.py", "app.py"}),
        ("job", {"chalicelib/catalogue/messages.py", "chalicelib/catalogue/job_queue_consumer.py"}),
    ],
)
def test_recipe_takes_few_files(name: str, changed: set[str]) -> None:
    assert set(recipe_checks.files(recipe_checks.diffs()[name])) == changed


class TestCommand:
    def test_written_diff_has_the_lines_of_the_page(self) -> None:
        def without_numbers(diff: str) -> str:
            return re.sub(r"(?m)^@@ .*", "@@", diff)

        assert without_numbers(recipe_checks.rewritten("error")) == without_numbers(recipe_checks.diffs()["error"])

    def test_only_some_or_all_are_selected(self) -> None:
        assert recipe_checks.select("route,fields") == ["route", "fields"]
        assert recipe_checks.select("") == recipe_checks.names()

    def test_unknown_recipe_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert recipe_checks.main(["--only", "fields,rout"]) == 1
        assert "There is no recipe 'rout': choose from fields, smoke" in capsys.readouterr().err

    def test_failed_check_fails_the_command(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert recipe_checks.main(["--only", "sizes", "--targets", "no-such-target"]) == 1
        assert capfd.readouterr().out.endswith("\nRecipes that failed: sizes\n")

    def test_new_project_is_checked_like_a_recipe(self) -> None:
        assert recipe_checks.main(["--only", "new", "--targets", "help"]) == 0

    def test_workflow_runs_every_recipe(self) -> None:
        workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "recipes.yml").read_text(encoding="utf-8"))
        assert workflow["jobs"]["recipe"]["strategy"]["matrix"]["recipe"] == recipe_checks.names()
