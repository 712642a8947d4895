"""What is measured: the app as Chalice packages it, the bundle that is deployed, and other functions beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench import tls
from bench.events import BUCKET
from tools.bundle import archive, build
from tools.laptop import code_stack

PROJECT = Path(__file__).parents[1]
BUILD = PROJECT / ".local" / "bench" / "packages"
KEPT = PROJECT / ".local" / "kept"
"""The packaged dependencies, which `make run` and the tests share."""
PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
NODE = Path(__file__).parent / "node"

_CLIENT = ("node", str(NODE / "node_modules" / "aws-lambda-ric" / "bin" / "index.mjs"))
_COMPILERS = ("cmake", "g++", "make", "autoreconf", "libtoolize")
_LOOP = ("node", str(NODE / "runtime.cjs"))

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


class Built(NamedTuple):
    """All that can be built here."""

    variants: list[Variant]
    missing: list[str]
    """What is not as it would be elsewhere: a sentence for each."""
    node: bool
    """Whether Node is there, with what bench/node asks for."""
    authority: tls.Authority
    """Who signed for the services stood in for: each of the variants trusts it."""


def built(report: Report) -> Built:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    report("Packaging the app")
    made = code_stack.package(PROJECT, BUILD / "build", KEPT, report)
    bundle = _bundled(made.archive, BUILD / "bundle.zip")
    variants = [
        _python("stock", _unpacked(made.archive, BUILD / "stock"), made.template),
        _python("bundle", _unpacked(bundle, BUILD / "bundle"), made.template),
        _sdk_alone(_unpacked(bundle, BUILD / "sdk")),
    ]
    authority = tls.made(BUILD)
    for variant in variants:
        authority.trust_in(variant.folder)
    problem = install_node()
    if problem:
        missing = [f"No Node function beside ours, and no scale: {problem}."]
        return Built(variants, missing, node=False, authority=authority)
    problem = compile_client(report)
    variants.append(_node(BUILD / "node", _LOOP if problem else _CLIENT, authority))
    missing = [f"The Node function is run by a loop of the bench's own, not by AWS's client: {problem}."]
    return Built(variants, missing if problem else [], node=True, authority=authority)


def _bundled(stock: Path, target: Path) -> Path:
    """The bundle of ``stock``, as ``make deploy`` makes it."""
    archive.write(target, build.build(archive.read(stock)).entries)
    return target


def _unpacked(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder)
    return folder


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


def _sdk_alone(folder: Path) -> Variant:
    source = folder / "sdk_alone.py"
    shutil.copyfile(Path(__file__).parent / "contenders" / source.name, source)
    subprocess.run([PYTHON, "-m", "py_compile", source], check=True)
    return Variant(
        "sdk", folder, (str(PYTHON), "-m", "awslambdaric"), ("api_handler",), {"api_handler": "sdk_alone.handler"}
    )


def _node(folder: Path, client: tuple[str, ...], authority: tls.Authority) -> Variant:
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
    # Node's own authorities are trusted as well, and read as they would be without it.
    trusted = {"api_handler": {"NODE_EXTRA_CA_CERTS": str(authority.certificate)}}
    return Variant("node", folder, client, ("api_handler",), {"api_handler": "index.handler"}, trusted)


def install_node() -> str | None:
    """Installs bench/node as its lockfile has it, unless that was done; gives what is in the way, or None."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    installed = NODE / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (NODE / "package-lock.json").stat().st_mtime:
        return None
    return _npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")


def compile_client(report: Report) -> str | None:
    """Has AWS's runtime interface client for Node compiled, unless that was done; gives what is in the way, or None."""
    if (NODE / "node_modules" / "aws-lambda-ric" / "dist" / "rapid-client.node").exists():
        return None
    missing = [program for program in _COMPILERS if shutil.which(program) is None]
    if missing:
        return f"to compile it takes {', '.join(missing)}"
    report("Compiling AWS's runtime interface client for Node: a minute or two, once")
    return _npm("rebuild", "aws-lambda-ric")


def client_of(node: Variant) -> str:
    """What runs the Node function: AWS's own client, or the bench's loop."""
    return "aws-lambda-ric" if node.command == _CLIENT else "bench/node/runtime.cjs"


def _npm(*command: str) -> str | None:
    done = subprocess.run(
        ["npm", *command], cwd=NODE, capture_output=True, text=True, check=False, env=os.environ | _headers()
    )
    return None if done.returncode == 0 else f"npm {command[0]} failed ({done.stderr.strip().splitlines()[-1]})"


def _headers() -> dict[str, str]:
    """Where node-gyp finds Node's headers, if they lie beside it: else it fetches them."""
    node = Path(shutil.which("node") or "").resolve().parents[1]
    return {"npm_config_nodedir": str(node)} if (node / "include" / "node" / "node_version.h").exists() else {}
