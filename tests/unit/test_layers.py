"""Imports point one way, only one module knows a thing, and a function imports only what it runs."""

from __future__ import annotations

import ast
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
FILES = {"app": PROJECT / "app.py"} | {path.stem: path for path in (PROJECT / "chalicelib").glob("[!_]*.py")}

# Who may import whom: a module imports from lines above its own, and from none below.
LAYERS = (
    {"errors", "config", "start", "loopback", "sentences"},
    {"telemetry", "primitives", "cursor", "avif"},
    {"stills"},
    {"thumbnails", "signing_keys"},
    {"models"},
    {"aws", "auth", "cors", "events", "preconditions", "wire"},
    {"table", "bucket", "queue"},
    {"idempotency"},
    {"items"},
    {"images", "imports", "messages"},
    {"renders", "operations"},
    {"jobs", "cleanup", "http", "schemas"},
    {"pages", "local", "openapi"},
    {"app"},
)

# Who may import what comes from elsewhere.
KNOWN_BY: dict[str, set[str]] = {
    "chalice": {"app", "cors", "events", "http", "local"},
    "boto3": set(),
    "botocore": {"aws", "table", "bucket", "queue"},
    "PIL": {"thumbnails"},
    "aws_lambda_powertools": {"telemetry"},
}


@functools.cache
def imported(module: str) -> frozenset[str]:
    """What a module imports when it runs, anywhere in it: top-level names, and ``chalicelib.x`` for our own."""
    found: set[str] = set()
    for node in _running(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "chalicelib":
            found |= {f"chalicelib.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return frozenset(name if name.startswith("chalicelib.") else name.partition(".")[0] for name in found)


def _running(tree: ast.AST) -> list[ast.AST]:
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if id(node) not in typing_only]


def test_every_module_has_its_layer() -> None:
    assert {name for layer in LAYERS for name in layer} == set(FILES)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_point_one_way(module: str) -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}

    ours = {name.removeprefix("chalicelib.") for name in imported(module) if name.startswith("chalicelib.")}

    assert {name for name in ours if rank[name] >= rank[module]} == set()


@pytest.mark.parametrize("package", KNOWN_BY)
def test_only_those_who_own_a_thing_know_it(package: str) -> None:
    assert {module for module in FILES if package in imported(module)} == KNOWN_BY[package]


def test_pictures_are_made_without_aws() -> None:
    assert imported("thumbnails") & {"chalicelib.aws", "boto3", "botocore"} == set()


def test_only_the_edge_and_the_app_know_http() -> None:
    assert {module for module in FILES if "chalicelib.http" in imported(module)} == {"app", "local", "pages"}
    assert {module for module in FILES if "chalicelib.wire" in imported(module)} == {
        "app",
        "http",
        "operations",
        "schemas",
    }


def test_only_one_module_knows_the_table_and_only_one_the_bucket() -> None:
    calls = {
        "dynamodb": {"table", "aws"},
        "s3": {"bucket"},
    }
    for service, owners in calls.items():
        assert {module for module, path in FILES.items() if f"aws.{service}()" in path.read_text()} <= owners
        assert {module for module, path in FILES.items() if f"{service}()." in path.read_text()} <= owners


def test_the_app_is_a_table_of_contents() -> None:
    tree = ast.parse(FILES["app"].read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]

    assert all(function.decorator_list for function in functions)
    assert max(len(function.body) for function in functions) <= 4


CODE = """
import json, sys
import app
from chalicelib import aws
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "ours": sorted(name for name in sys.modules if name.startswith("chalicelib.")),
    "clients": aws._client.cache_info().currsize,
    "guarded": sorted(
        f"{method} {path}" for path, methods in app.app.routes.items() for method, route in methods.items()
        if route.authorizer is not None
    ),
}))
"""


@pytest.fixture(scope="module")
def deployed() -> Any:
    """What the app is right after it was imported in a stage that says nothing of itself but its name."""
    environment = {"PATH": os.environ["PATH"], "STAGE": "prod", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", ["PIL", "jwt", "cryptography", "pydantic", "aws_xray_sdk", "requests", "moto"])
def test_starting_the_app_imports_nothing_that_only_some_functions_need(deployed: Any, package: str) -> None:
    assert package not in deployed["modules"]


@pytest.mark.parametrize("module", ["auth", "jobs", "openapi", "sentences"])
def test_starting_the_app_imports_nothing_of_ours_that_few_requests_need(deployed: Any, module: str) -> None:
    assert f"chalicelib.{module}" not in deployed["ours"]


def test_starting_the_app_speaks_to_nobody_and_needs_no_account(deployed: Any) -> None:
    assert deployed["clients"] == 0


def test_a_stage_is_closed_unless_it_says_otherwise(deployed: Any) -> None:
    from chalicelib.openapi import OPERATIONS

    asked = {(method, path) for (method, path), operation in OPERATIONS.items() if not operation.public}
    asked |= {("HEAD", path) for method, path in asked if method == "GET"}
    assert deployed["guarded"] == sorted(map(" ".join, asked))
