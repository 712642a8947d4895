"""Generate a Python and a TypeScript client of the API from its OpenAPI document.

openapi-python-client makes the Python client, openapi-typescript the types of the TypeScript client, which calls the
API with openapi-fetch. Clients that were generated before are deleted first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GENERATORS = ROOT / ".venv-node"
"""The environment with both generators."""

_TYPESCRIPT = Path(__file__).with_name("typescript")
_DEEP_OBJECTS = Path(__file__).with_name("deep_objects.py")
"""What the clients have in addition to what is generated."""


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    options = parser().parse_args(arguments)
    document = options.document.resolve()
    python, typescript = options.output / "python", options.output / "typescript"
    for folder in (python, typescript):
        shutil.rmtree(folder, ignore_errors=True)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        generate_python(document, python)
        generate_typescript(document, typescript)
    except subprocess.CalledProcessError as failed:
        print(failed.stdout, file=sys.stderr)
        return 1
    for folder, install in ((python, "pip install"), (typescript, "npm install")):
        print(f"Wrote {folder}: {install} {'./' * (not folder.is_absolute())}{folder}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.clients", description=__doc__)
    parser.add_argument("--document", type=Path, default=ROOT / "chalicelib" / "openapi.json")
    parser.add_argument("--output", type=Path, default=Path("out", "clients"))
    return parser


def generate_python(document: Path, folder: Path) -> None:
    """Write an installable Python package, and print what the generator left out."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(json.dumps(_with_files(json.loads(document.read_text(encoding="utf-8")))))
        file.flush()
        path = Path(file.name)
        output = _run("openapi-python-client", "generate", "--path", path, "--meta", "setup", "--output-path", folder)
    for warning in re.findall(r"^(?:WARNING|ERROR|Unable) .*\n\n.*", output, re.MULTILINE):
        print(f"The generator left this out of the Python client: {' '.join(warning.split())}")
    _send_objects_in_brackets(folder)
    _send_types_of_files(folder)
    _import_unset(folder)


_FILE = "application/octet-stream"
"""The content type of a body that openapi-python-client sends as it is, from a ``File``."""


def _with_files(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with files in place of bodies that are text, which openapi-python-client leaves out."""
    for operation in (one for path in document["paths"].values() for one in path.values()):
        content = operation.get("requestBody", {}).get("content", {})
        texts = [type_ for type_ in content if content[type_]["schema"].get("type") == "string"]
        for type_ in texts:
            del content[type_]
            content[_FILE] = {"schema": {"type": "string", "format": "binary"}}
    return document


def _send_types_of_files(folder: Path) -> None:
    """Let the Python client send the ``mime_type`` of a ``File`` as the content type. It must be set."""
    for module in folder.glob("*/api/*/*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(text.replace(f'= "{_FILE}"', "= body.mime_type"), encoding="utf-8")


def _import_unset(folder: Path) -> None:
    """Import the type ``Unset`` where the generator forgot it: if only a body of several content types needs it."""
    for module in folder.glob("*/api/*/*.py"):
        text = module.read_text(encoding="utf-8")
        if "| Unset = UNSET" in text:
            module.write_text(
                text.replace("import UNSET, Response\n", "import UNSET, Response, Unset\n"), encoding="utf-8"
            )


def _send_objects_in_brackets(folder: Path) -> None:
    """Let the Python client send a parameter that is an object as ``filter[price][gte]=5``.

    The generator ignores the style of a parameter, and would send ``price=…``.
    """
    (package,) = (path.parent for path in folder.glob("*/client.py"))
    shutil.copy(_DEEP_OBJECTS, package)
    for module in package.glob("api/*/*.py"):
        text = module.read_text(encoding="utf-8")
        # An underscore follows names that Python has, such as `filter`.
        sent = re.sub(r"params\.update\((json_(\w+?)_?)\)", r'params.update(flattened("\2", \1))', text)
        if sent != text:
            sent = sent.replace("from ...types", "from ...deep_objects import flattened\nfrom ...types", 1)
            module.write_text(sent, encoding="utf-8")


def generate_typescript(document: Path, folder: Path) -> None:
    """Write an installable npm package, in JavaScript with types."""
    shutil.copytree(_TYPESCRIPT, folder)
    command = GENERATORS / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    # Otherwise a field with a default would be required in requests.
    optional = ("--default-non-nullable", "false")
    _run("node", command, document, *optional, "--output", folder / "schema.d.ts")
    info = json.loads(document.read_text(encoding="utf-8"))["info"]
    (folder / "package.json").write_text(json.dumps(_package(info), indent=2) + "\n", encoding="utf-8")


def _package(info: dict[str, Any]) -> dict[str, Any]:
    pinned = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    return {
        "name": f"{info['title'].lower()}-client",
        "version": info["version"],
        "private": True,
        "type": "module",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}},
        "dependencies": {"openapi-fetch": pinned["openapi-fetch"]},
    }


def _run(*command: str | Path) -> str:
    """Run a generator and return its output. Raise CalledProcessError with its output if it fails."""
    path = f"{GENERATORS / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        env={**os.environ, "PATH": path, "RUFF_NO_CACHE": "true"},  # The Python generator formats with ruff.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
