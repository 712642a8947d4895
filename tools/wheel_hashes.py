"""Write and check ``requirements-hashes.txt``, the hashes of the wheels in the functions' package.

python -m tools.wheel_hashes

Chalice downloads wheels by name and version, for another platform than this one, and pip checks hashes in
``requirements.txt`` only at the first of these downloads. So packaging checks each wheel against this file instead.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

if TYPE_CHECKING:
    from packaging.tags import Tag

PROJECT_DIR = Path(__file__).resolve().parent.parent
NAME = "requirements-hashes.txt"

INDEX = "https://pypi.org/simple"

_PLATFORM = re.compile(r"any|manylinux.*_(aarch64|x86_64)")
_INTERPRETER = re.compile(r"py3|cp31[1-4]")
_STABLE_ABI = re.compile(r"cp3\d+")  # PEP 384: abi3 of an older Python runs on a newer one


class WheelError(Exception):
    """A wheel has no known hash. The message is the sentence to show to the user."""


def read(project_dir: Path) -> frozenset[str]:
    """Return the hashes of all wheels that may be packaged. Raise WheelError if the file is missing."""
    try:
        lines = (project_dir / NAME).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WheelError(f"{project_dir / NAME} cannot be read: create it with `make hashes`.") from error
    words = (word for line in lines if not line.startswith("#") for word in line.split())
    return frozenset(word.removeprefix("--hash=sha256:") for word in words if word.startswith("--hash=sha256:"))


def check(wheel: Path, known: frozenset[str]) -> None:
    """Raise WheelError unless the hash of the file is in ``known``."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() not in known:
        raise WheelError(
            f"{wheel.name} is not in {NAME}. If you have changed requirements.txt, run `make hashes`. Otherwise the"
            " package index sent a different file than before: find out why."
        )


def hashes_file(requirements: str) -> str:
    """Return the content of the file for the text of ``requirements.txt``, with the hashes that PyPI has."""
    lines = ["# Written by `make hashes`: the wheels of requirements.txt for Lambda."]
    for name, version in pinned_versions(requirements):
        hashes = sorted(lambda_hashes(_files(name), version))
        if not hashes:
            raise WheelError(f"PyPI has no wheel of {name} {version} for Lambda.")
        lines.append(" \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{hash_}" for hash_ in hashes)]))
    return "\n".join(lines) + "\n"


def pinned_versions(requirements: str, python: str | None = None) -> list[tuple[str, str]]:
    """Return the names and versions in ``requirements.txt``; with ``python``, such as python3.13, only those for it."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    parsed = [Requirement(line) for line in lines if line]
    if python is not None:
        version = {"python_version": python.removeprefix("python")}
        parsed = [one for one in parsed if one.marker is None or one.marker.evaluate(version)]
    return sorted((one.name, str(one.specifier).removeprefix("==")) for one in parsed)


def lambda_hashes(files: Sequence[Mapping[str, Any]], version: str) -> list[str]:
    """Return the hashes of the version's wheels that run in Lambda, of which pip chooses one."""
    return [one["hashes"]["sha256"] for one in files if _is_for_lambda(one["filename"], version)]


def _is_for_lambda(filename: str, version: str) -> bool:
    if not filename.endswith(".whl"):
        return False
    try:
        _, wheel_version, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:  # the name of a very old wheel
        return False
    return str(wheel_version) == version and any(map(_runs, tags))


def _runs(tag: Tag) -> bool:
    if not _PLATFORM.fullmatch(tag.platform):
        return False
    if tag.abi == "abi3":
        return bool(_STABLE_ABI.fullmatch(tag.interpreter))
    return bool(_INTERPRETER.fullmatch(tag.interpreter)) and not tag.abi.endswith("t")


def _files(name: str) -> list[Mapping[str, Any]]:
    """Return all files of a package (Simple repository API, "JSON-based Simple API")."""
    request = urllib.request.Request(
        f"{INDEX}/{canonicalize_name(name)}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        found: list[Mapping[str, Any]] = json.load(response)["files"]
    return found


def main() -> int:
    """Run the command line. Return the exit code."""
    try:
        text = hashes_file((PROJECT_DIR / "requirements.txt").read_text(encoding="utf-8"))
    except (OSError, ValueError, WheelError) as error:
        print(f"Writing {NAME} failed: {error}", file=sys.stderr)
        return 1
    (PROJECT_DIR / NAME).write_text(text, encoding="utf-8")
    print(f"Wrote {NAME}: {text.count('--hash')} wheels.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
