"""A newcomer's first hour: docs/tutorial.md step by step, photographs in the console, a route, checks and a package.

Each test continues where the one before it ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.blocks import PROJECT, block
from tests.browser.tab import File, Tab
from tests.e2e.pictures import photograph
from tests.e2e.shell import at_the_emulator, type_in
from tests.e2e.system import EMULATOR_PYTHON, KEPT, free_port, request
from tests.e2e.terminals import Terminal, until
from tests.e2e.test_deploying import install
from tools.laptop.emulator import Emulator
from tools.template import recipe_checks
from tools.template.scratch_copy import copy_working_tree, share_environments

PAGE = "docs/tutorial.md"

IDENTITY = {"GIT_AUTHOR_NAME": "Ann", "GIT_COMMITTER_NAME": "Ann", "EMAIL": "ann@example.com"}
UNSET = "unset STAGE AUTH_MODE BUCKET_NAME MAKEFLAGS MAKELEVEL\n"
"""A newcomer's shell has none of the settings of these tests, nor of a make that runs them."""


class Newcomer:
    """A person who follows the page, with a terminal in which ``make run`` is running."""

    def __init__(self, folder: Path) -> None:
        self.project = folder
        self.id = ""
        """The item that the page creates."""
        (folder / ".local").mkdir()
        KEPT.mkdir(parents=True, exist_ok=True)
        (folder / ".local" / "kept").symlink_to(KEPT)
        self.terminal = Terminal(folder)

    def types(self, text: str, answers: str = "", **variables: str) -> str:
        """Run commands and return their output."""
        own = {"PYTHONPATH": "out/clients/python", "id": self.id}
        return type_in(UNSET + self._here(text), self.project, answers, 600, **IDENTITY, **own, **variables)

    def saves(self, path: str, text: str) -> None:
        (self.project / path).write_text(self._here(text), encoding="utf-8")

    def applies(self, diff: str) -> None:
        """Apply a diff with git, and wait until ``make run`` has restarted."""
        self.saves("out.diff", diff)
        seen = len(self.terminal.text)
        self.types("git apply out.diff && rm out.diff")
        until(lambda: "in effect after" in self.terminal.text[seen:], 120)

    def item(self) -> Any:
        return request("GET", f"{self.terminal.url}/items/{self.id}").json()

    def _here(self, text: str) -> str:
        return text.replace("http://127.0.0.1:8000", self.terminal.url)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Follow the first section of the page."""
    clone = tmp_path_factory.mktemp("tutorial") / "vitrine"
    copy_working_tree(PROJECT, clone)
    share_environments(PROJECT, clone)
    type_in(UNSET + block(PAGE, "project").removesuffix("make run\n") + "test -f app.py", clone, **IDENTITY)
    project = clone.parent / "shop"
    share_environments(PROJECT, project)
    (project / "out").mkdir()
    (project / "out" / "photo.jpg").write_bytes(photograph())
    newcomer = Newcomer(project)
    try:
        newcomer.terminal.await_text("Shop is running", 120)
        yield newcomer
    finally:
        newcomer.terminal.close()


def test_declared_fields_are_required(shop: Newcomer) -> None:
    shop.applies(block(PAGE, "fields"))

    refused = json.loads(shop.types(block(PAGE, "refused")))
    documented = block(PAGE, "refusal")
    assert refused["error"] == json.loads(documented.replace(", …", ""))["error"]
    assert refused["message"] == json.loads(documented.replace(", …", ""))["message"]


def test_program_creates_an_item(shop: Newcomer) -> None:
    shop.types(block(PAGE, "clients"))
    shop.saves("out/new_item.py", block(PAGE, "file new item"))

    shop.id = shop.types(block(PAGE, "new item")).strip()

    item = shop.item()
    assert (item["name"], item["price"], item["kind"], item["stock"]) == ("Harbour", 19.9, "print", 1)


def test_picture_gets_its_thumbnails(shop: Newcomer) -> None:
    shop.saves("out/add_picture.py", block(PAGE, "file add picture"))

    printed = shop.types(block(PAGE, "add picture"))

    assert [line.partition(":")[0] for line in printed.splitlines()] == ["200 × 200", "800 × 600"]
    assert shop.item()["image"]["status"] == "ready"


def test_job_sets_the_stock(shop: Newcomer) -> None:
    shop.applies(block(PAGE, "job"))
    shop.saves("tests/integration/catalogue/test_stock.py", block(PAGE, "file test stock"))
    assert "1 passed" in shop.types(block(PAGE, "test"))

    shop.saves("out/count_stock.py", block(PAGE, "file count stock"))
    shop.types(block(PAGE, "count stock"))

    until(lambda: shop.item()["stock"] == 7)
    until(lambda: "Message processed" in shop.terminal.text)


def test_programs_have_no_wrong_types(shop: Newcomer) -> None:
    mypy = ".venv/bin/python -m mypy --strict --python-executable .venv-node/bin/python"
    shop.types(f"MYPYPATH=out/clients/python {mypy} out/new_item.py out/add_picture.py")


def test_ten_photographs_become_items(shop: Newcomer, tab: Tab) -> None:
    motifs = ("astronaut", "chelsea", "coffee", "hubble", "moon", "motorcycle", "rocket", "coffee", "moon", "rocket")
    files = [File.photograph(motif, f"Photograph {number}") for number, motif in enumerate(motifs)]
    tab.open(shop.terminal.url)

    tab.drop("main", *files)
    tab.dialog.get_by_label("Price", exact=True).fill("4.50")
    tab.dialog.get_by_label("Kind", exact=True).select_option("postcard")
    tab.press("Create 10 items")

    for number in range(10):
        tab.expect_picture(f"Photograph {number}")
    items = request("GET", f"{shop.terminal.url}/items?limit=10").json()["items"]
    assert {item["name"] for item in items} == {f"Photograph {number}" for number in range(10)}
    assert {(item["price"], item["kind"], item["stock"]) for item in items} == {(4.5, "postcard", 1)}


def test_route_is_added(shop: Newcomer) -> None:
    shop.applies(recipe_checks.diffs(shop.project)["route"])

    request("PATCH", f"{shop.terminal.url}/items/{shop.id}", {"expiresAt": "2100-01-01T00:00:00Z"})
    answer = request("DELETE", f"{shop.terminal.url}/items/{shop.id}/expiry")
    assert answer.status == 200
    assert "expiresAt" not in shop.item()


def test_checks_pass(shop: Newcomer) -> None:
    shop.types(block(PAGE, "checks"))

    assert shop.types("git status --porcelain").splitlines() == []


@pytest.fixture
def in_aws(shop: Newcomer, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the variables of a shell with credentials of an AWS account, which is in an emulator."""
    (shop.project / ".venv").unlink()
    install(shop.project / ".venv")
    emulator = Emulator.start(EMULATOR_PYTHON, tmp_path / "emulator", free_port())
    try:
        yield at_the_emulator(emulator)
    finally:
        emulator.stop()


def test_project_is_packaged_and_deployed(shop: Newcomer, in_aws: dict[str, str]) -> None:
    output = shop.types(block(PAGE, "deploy"), "y\ny\n", **in_aws)
    assert "Rest API URL: https://" in output

    shop.types("make package STAGE=prod", **in_aws)
    packaged = json.loads((shop.project / "out" / "sam.json").read_text(encoding="utf-8"))
    assert packaged["Resources"]["APIHandler"]
