"""Clients that are generated from the document compile, and do the main job against the packaged API.

The job itself is in ``tests/clients``: ``job.ts`` for openapi-typescript with openapi-fetch, ``job.py`` for
openapi-python-client.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.pictures import photograph
from tests.e2e.system import ROOT, System

CLIENTS = ROOT / "tests" / "clients"
ENVIRONMENT = ROOT / ".venv-clients"
"""The generators: made by `make environments`."""


@pytest.fixture
def folder(system: System, tmp_path: Path) -> Path:
    """A folder with the API's document and a photo."""
    (tmp_path / "openapi.json").write_bytes(system.request("GET", "/openapi.json").body)
    (tmp_path / "photo.jpg").write_bytes(photograph())
    return tmp_path


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in ``folder`` with the generators' programs; return what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_typescript_client_does_the_main_job(system: System, folder: Path) -> None:
    (folder / "node_modules").symlink_to(ENVIRONMENT / "node_modules")
    (folder / "package.json").write_bytes((CLIENTS / "package.json").read_bytes())
    (folder / "job.ts").write_bytes((CLIENTS / "job.ts").read_bytes())
    options = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--types", "node")

    run(folder, "node", "node_modules/openapi-typescript/bin/cli.js", "openapi.json", "--output", "api.ts")
    run(
        folder,
        "node",
        "node_modules/typescript/bin/tsc",
        *options,
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "job.ts",
    )

    assert run(folder, "node", "job.js", system.api, "photo.jpg").endswith("done\n")


def test_python_client_does_the_main_job(system: System, folder: Path) -> None:
    (folder / "job.py").write_bytes((CLIENTS / "job.py").read_bytes())
    python = ENVIRONMENT / "bin" / "python"
    package = folder / "vitrine_client"

    said = run(
        folder,
        "openapi-python-client",
        "generate",
        "--path",
        "openapi.json",
        "--meta",
        "none",
        "--output-path",
        package,
    )
    run(
        folder,
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", python),
        # Of the generated files only what they export counts: not how the generator writes them.
        *("--follow-imports", "silent", "job.py"),
    )

    # What it cannot generate, it says and leaves out.
    assert re.findall(r"^(?:WARNING|ERROR) .*\n\n.*", said, re.MULTILINE) == [
        "WARNING parsing POST /imports within imports.\n\nUnsupported content type application/x-ndjson"
    ]
    assert len(list((package / "models").glob("[!_]*.py"))) < 40
    assert run(folder, python, "job.py", system.api, "photo.jpg").endswith("done\n")
