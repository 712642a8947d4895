"""Build the function packages that are measured: stock, bundle, its steps, and other functions for comparison."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.sample_events import BUCKET
from tests import local_certificate
from tests.local_certificate import Authority
from tools.bundle import archive, build
from tools.laptop import code_stack, function_package

PROJECT = Path(__file__).parents[1]
BUILD = PROJECT / ".local" / "bench" / "packages"
DEPENDENCIES = PROJECT / ".local" / "kept"
"""The packaged dependencies, shared with `make run` and the tests."""
PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
NODE = Path(__file__).parent / "node"

STOCK, BUNDLE, SDK, NODE_JS = "stock", "bundle", "sdk", "node"
WITH_GARBAGE_COLLECTION = "bundle, with garbage collection"
"""The names of the variants in bench/results.json. The others are those of the bundle's steps."""

_NODE_CLIENT = NODE / "node_modules" / "aws-lambda-ric"
_COMPILERS = ("cmake", "g++", "make", "autoreconf", "libtoolize")
_GARBAGE_COLLECTION_OFF = b"gc.disable()\n"

Report = Callable[[str], None]


class Variant(NamedTuple):
    """A way to package functions: a folder of what Lambda unpacks, and the command that runs a handler of it."""

    name: str
    folder: Path
    command: tuple[str, ...]
    handlers: dict[str, str]
    """The handler of each function, such as ``app.app``, by the function's name in app.py."""
    variables: dict[str, dict[str, str]]
    """The environment variables that the template sets, by function."""

    def start(self, function: str) -> list[str]:
        """Return the command that runs ``function``."""
        return [*self.command, self.handlers[function]]

    @property
    def unpacked_bytes(self) -> int:
        """Return the size of the unpacked package."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Packages(NamedTuple):
    """All variants that can be built on this machine."""

    compared: list[Variant]
    """Stock, bundle, the SDK alone, and Node if possible."""
    steps: list[Variant]
    """Stock, the package after each step of the bundle if requested, and Node if possible."""
    authority: Authority
    """The certificate authority of the fake AWS services, which every variant trusts."""
    problem: str | None
    """Why there is no Node, or None."""


def build_packages(report: Report, *, with_steps: bool) -> Packages:
    """Build the packages in BUILD, which is emptied first; ``with_steps``: also those after each step of the bundle."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    report("Packaging the app")
    package = function_package.package(PROJECT, BUILD / "build", DEPENDENCIES, report)
    stock = archive.read(package.archive)
    authority = local_certificate.create(BUILD)

    def python(name: str, entries: Mapping[str, bytes]) -> Variant:
        variant = _python(name, BUILD / name.replace(" ", "-").replace(",", ""), package.template)
        archive.unpack(entries, variant.folder)
        authority.add_to(variant.folder)
        return variant

    bundle = build.build(stock).entries
    compared = [python(STOCK, stock), python(BUNDLE, bundle), _sdk_alone(python(SDK, bundle))]
    steps = [python(name, entries) for name, entries in _after_each_step(stock)] if with_steps else []
    problem = install_node(report)
    node = [] if problem else [_node(BUILD / NODE_JS, authority)]
    return Packages(compared + node, compared[:1] + steps + node, authority, problem)


def _after_each_step(stock: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    yield "bytecode", build.build(stock, ()).entries
    steps = list(build.STEPS)
    for number, step in enumerate(steps, 1):
        yield step, build.build(stock, steps[:number]).entries
    yield WITH_GARBAGE_COLLECTION, build.build(_with_garbage_collection(stock)).entries


def _with_garbage_collection(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    path = "chalicelib/coldstart.py"
    assert entries[path].count(_GARBAGE_COLLECTION_OFF) == 1
    return {**entries, path: entries[path].replace(_GARBAGE_COLLECTION_OFF, b"")}


def _python(name: str, folder: Path, template: dict[str, Any]) -> Variant:
    shared = template.get("Globals", {}).get("Function", {}).get("Environment", {}).get("Variables", {})
    functions = {
        code_stack.handler_name(id_): one["Properties"]
        for id_, one in template["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    return Variant(
        name,
        folder,
        (str(PYTHON), "-m", "awslambdaric"),
        {function: properties["Handler"] for function, properties in functions.items()},
        {
            function: shared | _resolved(properties.get("Environment", {}).get("Variables", {}))
            for function, properties in functions.items()
        },
    )


def _resolved(variables: dict[str, Any]) -> dict[str, str]:
    """Return the variables with the bucket's name. Others that CloudFormation resolves belong to sign-in."""
    known = variables | ({"BUCKET_NAME": BUCKET} if "BUCKET_NAME" in variables else {})
    return {name: value for name, value in known.items() if isinstance(value, str)}


def _sdk_alone(bundle: Variant) -> Variant:
    source = bundle.folder / "sdk_alone.py"
    shutil.copyfile(Path(__file__).parent / "handlers" / source.name, source)
    subprocess.run([PYTHON, "-m", "py_compile", source], check=True)
    return bundle._replace(handlers={"api_handler": "sdk_alone.handler"})


def _node(folder: Path, authority: Authority) -> Variant:
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
    # Node trusts its own authorities too, and loads them as it does without this variable.
    trusted = {"api_handler": {"NODE_EXTRA_CA_CERTS": str(authority.certificate)}}
    command = ("node", str(_NODE_CLIENT / "bin" / "index.mjs"))
    return Variant(NODE_JS, folder, command, {"api_handler": "index.handler"}, trusted)


def install_npm_packages() -> str | None:
    """Install bench/node from its lockfile, once. Return the problem, or None."""
    if problem := _missing("node", "npm"):
        return problem
    installed = NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (NODE / "package-lock.json").stat().st_mtime:
        return _npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
    return None


def install_node(report: Report) -> str | None:
    """Install bench/node and compile AWS's client for Node, once. Return the problem, or None."""
    if problem := _missing("node", "npm", *_COMPILERS) or install_npm_packages():
        return problem
    if (_NODE_CLIENT / "dist" / "rapid-client.node").exists():
        return None
    report("Compiling AWS's runtime interface client for Node, once: a minute or two")
    return _npm("rebuild", "aws-lambda-ric")


def _missing(*programs: str) -> str | None:
    missing = [program for program in programs if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def _npm(*command: str) -> str | None:
    done = subprocess.run(
        ["npm", *command], cwd=NODE, capture_output=True, text=True, check=False, env=os.environ | _headers()
    )
    return None if done.returncode == 0 else f"npm {command[0]} failed ({done.stderr.strip().splitlines()[-1]})"


def _headers() -> dict[str, str]:
    """Return the variable that names Node's headers, if they are installed. Otherwise node-gyp downloads them."""
    node = Path(shutil.which("node") or "").resolve().parents[1]
    return {"npm_config_nodedir": str(node)} if (node / "include" / "node" / "node_version.h").exists() else {}
