"""The source files of the app: list, digest and copy them, and find those that changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_ROOTS = (
    "app.py",
    "chalicelib",
    "vendor",
    "requirements.txt",
    "requirements-hashes.txt",
    ".chalice",
    "infra/package.json",
)
_NOT_IN_CHALICE = ("deployments", "deployed")


class Stamp(NamedTuple):
    """A file's state, to notice a change without reading the file."""

    modified: int
    """Nanoseconds since the epoch."""
    size: int
    """Bytes."""


def files(project_dir: Path) -> Iterator[Path]:
    """Yield the path of every source file of the app, relative to ``project_dir``, in a fixed order.

    Skip hidden files, backups, bytecode and Chalice's own output.
    """
    for root in _ROOTS:
        start = project_dir / root
        found = [start] if start.is_file() else sorted(start.rglob("*"))
        for path in found:
            if path.is_file() and _is_source(path.relative_to(start), root):
                yield path.relative_to(project_dir)


def stamps(project_dir: Path) -> dict[Path, Stamp]:
    """Return the stamp of every source file."""
    found = {}
    for path in files(project_dir):
        try:
            found[path] = stamp(project_dir / path)
        except FileNotFoundError:  # removed since it was listed
            continue
    return found


def stamp(path: Path) -> Stamp:
    """Return the stamp of a file. Raise FileNotFoundError if there is none."""
    status = path.stat()
    return Stamp(status.st_mtime_ns, status.st_size)


def changes(before: Mapping[Path, Stamp], after: Mapping[Path, Stamp]) -> list[Path]:
    """Return the files that were added, saved or removed between two sets of stamps."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def digest(project_dir: Path, *more: str) -> str:
    """Return a digest of the source files and of ``more``, the other inputs of a build."""
    total = hashlib.sha256("\0".join(more).encode())
    for path in files(project_dir):
        content = hashlib.sha256((project_dir / path).read_bytes()).hexdigest()
        total.update(f"{path.as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:32]


def copy(project_dir: Path, target: Path) -> None:
    """Replace ``target`` by a folder with the source files only."""
    shutil.rmtree(target, ignore_errors=True)
    for path in files(project_dir):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_dir / path, target / path)


def syntax_error(project_dir: Path, paths: Iterable[Path]) -> str | None:
    """Return the first syntax error in ``paths``, Python or JSON files, as one line, or None."""
    for path in paths:
        try:
            text = (project_dir / path).read_text(encoding="utf-8")
            if path.suffix == ".py":
                compile(text, str(path), "exec", dont_inherit=True)
            elif path.suffix == ".json":
                json.loads(text)
        except FileNotFoundError:
            continue
        except SyntaxError as error:
            return f"{path}, line {error.lineno}: {error.msg}"
        except ValueError as error:
            return f"{path}: {error}"
    return None


def _is_source(path: Path, root: str) -> bool:
    if root == ".chalice" and path.parts[0] in _NOT_IN_CHALICE:
        return False
    return not any(
        part == "__pycache__" or part.startswith(".") or part.endswith(("~", ".pyc", ".swp")) for part in path.parts
    )
