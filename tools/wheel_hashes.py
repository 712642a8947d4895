"""The hashes of the wheels that go into the functions' package: ``requirements-hashes.txt``.

python -m tools.wheel_hashes

Chalice downloads wheels by version alone, for another platform than this one, so pip's own check of hashes cannot see
to it: hashes in ``requirements.txt`` hold for the first of its downloads, and not for those that follow for Lambda.
Whoever packages checks each wheel here instead, as it is unpacked.
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
    """A wheel that is not known; the message is the sentence to show."""


def read(project_dir: Path) -> frozenset[str]:
    """Return the hashes of all wheels that may be packaged. Raise WheelError if there is no list of them."""
    try:
        lines = (project_dir / NAME).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WheelError(f"{project_dir / NAME} cannot be read: make it with `make hashes`.") from error
    words = (word for line in lines if not line.startswith("#") for word in line.split())
    return frozenset(word.removeprefix("--hash=sha256:") for word in words if word.startswith("--hash=sha256:"))


def check(wheel: Path, known: frozenset[str]) -> None:
    """Raise WheelError unless the file is one of the ``known``."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() not in known:
        raise WheelError(
            f"{wheel.name} is not in {NAME}. If you have changed requirements.txt, say `make hashes`. Otherwise the"
            " package index sent another file than the one that was checked before: find out why."
        )


def listed(requirements: str) -> str:
    """Return the list for the text of ``requirements.txt``, by asking PyPI for the files of each version."""
    lines = ["# Written by `make hashes`: the wheels of requirements.txt for Lambda."]
    for name, version in wanted(requirements):
        hashes = sorted(chosen(_files(name), version))
        if not hashes:
            raise WheelError(f"PyPI has no wheel of {name} {version} for Lambda.")
        lines.append(" \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{hash_}" for hash_ in hashes)]))
    return "\n".join(lines) + "\n"


def wanted(requirements: str, python: str | None = None) -> list[tuple[str, str]]:
    """Return the names and versions that ``requirements.txt`` asks for: on whatever Python, or on ``python3.13``."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    asked = [Requirement(line) for line in lines if line]
    if python is not None:
        version = {"python_version": python.removeprefix("python")}
        asked = [one for one in asked if one.marker is None or one.marker.evaluate(version)]
    return sorted((one.name, str(one.specifier).removeprefix("==")) for one in asked)


def chosen(files: Sequence[Mapping[str, Any]], version: str) -> list[str]:
    """Return the hashes of the version's wheels that run in Lambda: which of them pip takes, its host decides."""
    return [one["hashes"]["sha256"] for one in files if _is_for_lambda(one["filename"], version)]


def _is_for_lambda(filename: str, version: str) -> bool:
    if not filename.endswith(".whl"):
        return False
    try:
        _, of, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:  # a very old one
        return False
    return str(of) == version and any(map(_runs, tags))


def _runs(tag: Tag) -> bool:
    if not _PLATFORM.fullmatch(tag.platform):
        return False
    if tag.abi == "abi3":
        return bool(_STABLE_ABI.fullmatch(tag.interpreter))
    return bool(_INTERPRETER.fullmatch(tag.interpreter)) and not tag.abi.endswith("t")


def _files(name: str) -> list[Mapping[str, Any]]:
    """Return all files of a package (Simple repository API, "JSON-based Simple API")."""
    asked = urllib.request.Request(
        f"{INDEX}/{canonicalize_name(name)}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found: list[Mapping[str, Any]] = json.load(answer)["files"]
    return found


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        text = listed((PROJECT_DIR / "requirements.txt").read_text(encoding="utf-8"))
    except (OSError, ValueError, WheelError) as error:
        print(f"{NAME} could not be written: {error}", file=sys.stderr)
        return 1
    (PROJECT_DIR / NAME).write_text(text, encoding="utf-8")
    print(f"Wrote {NAME}: {text.count('--hash')} wheels.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
