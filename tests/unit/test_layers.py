"""The packages import one way, and only one of them knows each library and service."""

from __future__ import annotations

import ast
import functools
import graphlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def _module(path: Path) -> str:
    """Return ``catalogue.items`` for ``chalicelib/catalogue/items.py``, and ``aws`` for the package itself."""
    parts = path.relative_to(PROJECT / "chalicelib").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {"app": PROJECT / "app.py"} | {_module(path): path for path in (PROJECT / "chalicelib").rglob("*.py")}
FILES.pop("", None)

# A package may import packages from the lines above its own.
LAYERS = (
    {"config", "errors", "coldstart"},
    {"telemetry", "values"},
    {"aws", "pictures"},
    {"catalogue"},
    {"http"},
    {"events"},
    {"app"},
)

# The packages that may import each library.
ALLOWED_PACKAGES: dict[str, set[str]] = {
    "chalice": {"app", "http"},
    "boto3": set(),
    "botocore": {"aws"},
    "PIL": {"pictures"},
    "aws_lambda_powertools": {"telemetry"},
    # These are not deployed.
    "tools": set(),
    "bench": set(),  # left out by make new
    "tests": set(),
}


@functools.cache
def imported(module: str) -> frozenset[str]:
    """Return what a module imports when it runs, also inside functions: distributions, and ``chalicelib.x.y``."""
    found: set[str] = set()
    for node in _running(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= _ours(node) if node.module.startswith("chalicelib") else {node.module.partition(".")[0]}
    return frozenset(found)


def _ours(node: ast.ImportFrom) -> set[str]:
    inner = f"{node.module}."
    modules = {f"{inner}{alias.name}".removeprefix("chalicelib.") for alias in node.names}
    return {f"chalicelib.{name if name in FILES else inner[11:-1]}" for name in modules}


def _running(tree: ast.AST) -> list[ast.AST]:
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if id(node) not in typing_only]


def own_imports(module: str) -> set[str]:
    """Return the modules of the project that a module imports."""
    return {name.removeprefix("chalicelib.") for name in imported(module) if name.startswith("chalicelib.")}


def package(module: str) -> str:
    """Return ``catalogue`` for ``catalogue.items``."""
    return module.partition(".")[0]


def test_every_package_has_a_layer() -> None:
    assert {name for layer in LAYERS for name in layer} == {package(module) for module in FILES}


@pytest.mark.parametrize("module", sorted(FILES))
def test_packages_import_one_way(module: str) -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}

    others = {package(name) for name in own_imports(module)} - {package(module)}

    assert {name for name in others if rank[name] >= rank[package(module)]} == set()


def test_no_modules_import_each_other() -> None:
    graphlib.TopologicalSorter({module: own_imports(module) - {module} for module in FILES}).prepare()


@pytest.mark.parametrize("distribution", ALLOWED_PACKAGES)
def test_only_its_packages_import_a_library(distribution: str) -> None:
    assert {package(module) for module in FILES if distribution in imported(module)} == ALLOWED_PACKAGES[distribution]
