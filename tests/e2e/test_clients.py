"""Generate clients from the OpenAPI document, check their types and run the main job against the packaged API.

The job is in ``tests/clients``: ``job.ts`` for openapi-typescript with openapi-fetch, ``job.py`` for
openapi-python-client.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.pictures import photograph
from tests.e2e.system import ROOT, System
from tests.integration.processes.test_item_fields import NAMESAKES, run_edited

CLIENTS = ROOT / "tests" / "clients"
ENVIRONMENT = ROOT / ".venv-node"
"""The environment with Node, TypeScript and the client generators."""
PYTHON = ENVIRONMENT / "bin" / "python"


OWN_IN_TYPESCRIPT = """
import type { components } from "./api.js";
const value = { amount: 1, currency: "EUR" };
export const sent: components["schemas"]["ItemFields"] = { value, name: "Vase", note: [1] };
export const stored = (item: components["schemas"]["Item"]): number => item.value.amount;
"""

OWN_IN_PYTHON = """
from vitrine_client.models import Item, ItemFields, ItemFieldsItemFields, ItemFieldsValue

value = ItemFieldsValue(amount=1, currency="EUR")
sent = ItemFields(value=value, name="Vase", inner=[ItemFieldsItemFields(value=value, name="Lid")])
sent["note"] = [1]
assert ItemFields.from_dict(sent.to_dict()) == sent

def stored(item: Item) -> int:
    return item.value.amount
"""


@pytest.fixture
def folder(system: System, tmp_path: Path) -> Path:
    """Return a folder with the API's OpenAPI document and a photo."""
    (tmp_path / "openapi.json").write_bytes(system.request("GET", "/openapi.json").body)
    (tmp_path / "photo.jpg").write_bytes(photograph())
    return tmp_path


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in ``folder`` with the generators on the PATH and return its output.

    Raise AssertionError if the command fails, and TimeoutExpired after 120 seconds.
    """
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


def typescript(folder: Path, program: str) -> None:
    """Generate a TypeScript client from ``folder``/openapi.json and compile it with ``program``."""
    (folder / "node_modules").symlink_to(ENVIRONMENT / "node_modules")
    (folder / "package.json").write_bytes((ROOT / "package.json").read_bytes())
    (folder / "job.ts").write_text(program, encoding="utf-8")
    options = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--types", "node")
    generate = "node_modules/openapi-typescript/bin/cli.js"
    run(folder, "node", generate, "openapi.json", "--default-non-nullable", "false", "--output", "api.ts")
    run(
        folder,
        *("node", "node_modules/typescript/bin/tsc", *options),
        *("--target", "es2022", "--module", "nodenext", "job.ts"),
    )


def python(folder: Path, program: str) -> Path:
    """Generate a Python client from ``folder``/openapi.json and return its path; check the types of ``program``."""
    (folder / "job.py").write_text(program, encoding="utf-8")
    client = folder / "vitrine_client"
    said = run(
        folder, "openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none", "--output-path", client
    )
    # The generator prints a warning for each operation that it omits.
    assert re.findall(r"^(?:WARNING|ERROR|Unable) .*\n\n.*", said, re.MULTILINE) == [
        "WARNING parsing POST /imports within imports.\n\nUnsupported content type application/x-ndjson"
    ]
    run(
        folder,
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", PYTHON),
        # Report no errors inside the generated files: only their exported types matter here.
        *("--follow-imports", "silent", "job.py"),
    )
    return client


def test_typescript_client_does_the_main_job(system: System, folder: Path) -> None:
    typescript(folder, (CLIENTS / "job.ts").read_text(encoding="utf-8"))

    assert run(folder, "node", "job.js", system.api, "photo.jpg").endswith("done\n")


def test_python_client_does_the_main_job(system: System, folder: Path) -> None:
    client = python(folder, (CLIENTS / "job.py").read_text(encoding="utf-8"))

    assert len(list((client / "models").glob("[!_]*.py"))) < 40
    assert run(folder, PYTHON, "job.py", system.api, "photo.jpg").endswith("done\n")


def test_custom_fields_are_typed_in_clients(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    document = json.loads(run_edited(tmp_path / "app", NAMESAKES, []).stdout)["document"]
    (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")

    typescript(tmp_path, OWN_IN_TYPESCRIPT)
    python(tmp_path, OWN_IN_PYTHON)

    run(tmp_path, PYTHON, "job.py")
