"""What is measured: the app as Chalice packages it, the bundle that is deployed, and the Node function beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.events import BUCKET
from tools import local_stage
from tools.bundle import archive, package

PROJECT = Path(__file__).parents[1]
BUILD = PROJECT / ".local" / "bench" / "packages"
KEPT = PROJECT / ".local" / "kept"
"""The packaged dependencies, which `make run` and the tests share."""
PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
NODE = Path(__file__).parent / "node"

Report = Callable[[str], None]


class Variant(NamedTuple):
    """A way to package functions: a folder of what Lambda unpacks, and what runs a handler of it."""

    name: str
    folder: Path
    command: tuple[str, ...]
    functions: tuple[str, ...]
    """By app.py's names."""
    handlers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    """What Lambda is told of each function that it runs: ``app.app``."""
    variables: dict[str, dict[str, str]] = {}  # noqa: RUF012 - nobody changes it
    """The environment that the template gives each function."""

    def start(self, function: str) -> list[str]:
        return [*self.command, *([self.handlers[function]] if function in self.handlers else [])]

    @property
    def bytes(self) -> int:
        """What Lambda has to load, unpacked."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def built(report: Report) -> tuple[list[Variant], str | None]:
    """All that can be built here, and what is in the way of the Node function, or None."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    report("Packaging the app")
    made = local_stage.package(PROJECT, BUILD / "build", KEPT, report)
    bundle = _bundled(made.archive, BUILD / "bundle.zip")
    variants = [
        _python("stock", _unpacked(made.archive, BUILD / "stock"), made.template),
        _python("bundle", _unpacked(bundle, BUILD / "bundle"), made.template),
    ]
    problem = install_node()
    if problem is None:
        variants.append(_node(BUILD / "node"))
    return variants, problem


def _bundled(stock: Path, target: Path) -> Path:
    """The bundle of ``stock``, as ``make deploy`` makes it."""
    archive.write(target, package.bundled(archive.read(stock)).entries)
    return target


def _unpacked(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder)
    return folder


def _python(name: str, folder: Path, template: dict[str, Any]) -> Variant:
    shared = template.get("Globals", {}).get("Function", {}).get("Environment", {}).get("Variables", {})
    functions = {
        local_stage.handler_name(id_): one["Properties"]
        for id_, one in template["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    return Variant(
        name,
        folder,
        (str(PYTHON), "-m", "awslambdaric"),
        tuple(functions),
        {function: properties["Handler"] for function, properties in functions.items()},
        {
            function: shared | _resolved(properties.get("Environment", {}).get("Variables", {}))
            for function, properties in functions.items()
        },
    )


def _resolved(variables: dict[str, Any]) -> dict[str, str]:
    """The variables, the bucket's name put in as CloudFormation would; what else it would put in is sign-in's."""
    known = variables | ({"BUCKET_NAME": BUCKET} if "BUCKET_NAME" in variables else {})
    return {name: value for name, value in known.items() if isinstance(value, str)}


def _node(folder: Path) -> Variant:
    subprocess.run(
        [
            NODE / "node_modules" / ".bin" / "esbuild",
            "handler.mjs",
            "--bundle",
            "--minify",
            "--platform=node",
            "--target=node20",
            "--format=cjs",
            "--log-level=warning",
            f"--outfile={folder / 'index.cjs'}",
        ],
        cwd=NODE,
        check=True,
    )
    shutil.copyfile(NODE / "runtime.cjs", BUILD / "runtime.cjs")
    return Variant("node", folder, ("node", str(BUILD / "runtime.cjs"), "index.cjs"), ("api_handler",))


def install_node() -> str | None:
    """Installs bench/node as its lockfile has it, unless that was done; gives what is in the way, or None."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    installed = NODE / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (NODE / "package-lock.json").stat().st_mtime:
        return None
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=NODE,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    return None if done.returncode == 0 else f"npm ci failed ({done.stderr.strip().splitlines()[-1]})"
