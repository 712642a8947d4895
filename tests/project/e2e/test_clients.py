"""Generate the clients with ``make clients``, check their types and run the main job against the packaged API.

The job is in ``tests/project/clients``: ``job.ts`` and ``job.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blocks import FENCED
from tests.e2e.pictures import photograph
from tests.e2e.system import ROOT, System
from tests.integration.processes.test_item_fields import NAMESAKES, run_edited
from tools.clients.__main__ import GENERATORS, main

JOBS = ROOT / "tests" / "project" / "clients"
PYTHON = GENERATORS / "bin" / "python"

OWN_IN_TYPESCRIPT = """
const value = { amount: 1, currency: "EUR" };
export const sent: components["schemas"]["ItemFields"] = { value, name: "Vase", note: [1] };
export const stored = (item: components["schemas"]["Item"]): number => item.value.amount;
// @ts-expect-error A name is text.
export const refused: components["schemas"]["ItemFields"] = { value, name: 7 };
"""

OWN_IN_PYTHON = """
from vitrine_client.models import Item, ItemFields, ItemFieldsItemFields, ItemFieldsValue

value = ItemFieldsValue(amount=1, currency="EUR")
sent = ItemFields(value=value, name="Vase", inner=[ItemFieldsItemFields(value=value, name="Lid")])
sent["note"] = [1]
assert ItemFields.from_dict(sent.to_dict()) == sent
refused = ItemFields(value=value, name=7)  # type: ignore[arg-type]

def stored(item: Item) -> int:
    return item.value.amount
"""


@pytest.fixture
def folder(system: System, tmp_path: Path) -> Path:
    """Return a folder with the clients of the running API and a photo."""
    (tmp_path / "photo.jpg").write_bytes(photograph())
    return with_clients(tmp_path, system.request("GET", "/openapi.json").body)


def with_clients(folder: Path, document: bytes) -> Path:
    """Generate the clients in ``folder`` and make them available to programs there."""
    (folder / "openapi.json").write_bytes(document)
    assert main(["--document", str(folder / "openapi.json"), "--output", str(folder / "clients")]) == 0
    modules = folder / "node_modules"
    modules.mkdir()
    (modules / "vitrine-client").symlink_to(folder / "clients" / "typescript")
    for name in ("openapi-fetch", "openapi-typescript-helpers", "@types", "undici-types"):
        (modules / name).symlink_to(GENERATORS / "node_modules" / name)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return folder


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in ``folder`` with the Python client and return its output.

    Raise AssertionError if the command fails, and TimeoutExpired after 120 seconds.
    """
    client = folder / "clients" / "python"
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            "PATH": f"{GENERATORS / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(client),
            "MYPYPATH": str(client),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def compile_typescript(folder: Path, program: str) -> None:
    """Compile ``program`` as job.js, checking its types and those of the client."""
    (folder / "job.ts").write_text(program, encoding="utf-8")
    strict = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--types", "node")
    target = ("--target", "es2022", "--module", "nodenext")
    run(folder, "node", GENERATORS / "node_modules" / "typescript" / "bin" / "tsc", *strict, *target, "job.ts")


def check_python(folder: Path, program: str) -> None:
    """Write ``program`` to job.py and check its types and those of the whole client."""
    (folder / "job.py").write_text(program, encoding="utf-8")
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", PYTHON)
    run(folder, *mypy, "job.py", folder / "clients" / "python" / "vitrine_client")


def test_typescript_client_does_the_main_job(system: System, folder: Path) -> None:
    compile_typescript(folder, (JOBS / "job.ts").read_text(encoding="utf-8"))

    assert run(folder, "node", "job.js", system.api, "photo.jpg").endswith("done\n")


def test_python_client_does_the_main_job(system: System, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_python(folder, (JOBS / "job.py").read_text(encoding="utf-8"))

    assert len(list((folder / "clients/python/vitrine_client/models").glob("[!_]*.py"))) < 140
    assert run(folder, PYTHON, "job.py", system.api, "photo.jpg").endswith("done\n")


def test_python_client_is_complete_and_installable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_clients(tmp_path, (ROOT / "chalicelib" / "openapi.json").read_bytes())
    assert "left this out" not in capsys.readouterr().out

    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    run(tmp_path, sys.executable, "-m", "pip", "install", *offline, "--target", "installed", "./clients/python")
    assert (tmp_path / "installed" / "vitrine_client" / "py.typed").exists()


def test_custom_fields_are_typed_in_clients(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    document = json.loads(run_edited(tmp_path / "app", NAMESAKES, []).stdout)["document"]
    with_clients(tmp_path, json.dumps(document).encode())

    readme = (tmp_path / "clients" / "typescript" / "README.md").read_text(encoding="utf-8")
    compile_typescript(tmp_path, OWN_IN_TYPESCRIPT + FENCED.findall(readme)[0][-1])
    check_python(tmp_path, OWN_IN_PYTHON)

    run(tmp_path, PYTHON, "job.py")
