"""The files from which a bundle is built, read from the project and from the installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import botocore
import chalice

from tools.bundle import aws_operations, botocore_data

PROJECT = Path(__file__).parents[1]
SITE_PACKAGES = Path(botocore.__file__).parents[1]


def own_sources() -> dict[str, str]:
    """Return the source of the app's own modules by path."""
    paths = [PROJECT / "app.py", *(PROJECT / "chalicelib").rglob("*.py")]
    return {path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def aws_models() -> dict[str, bytes]:
    """Return botocore's data files of the services in use by path, as in its wheel."""
    root = SITE_PACKAGES / botocore_data.ROOT
    folders = [root / service for service in aws_operations.SERVICES]
    paths = [*root.glob("*.json"), *(path for folder in folders for path in folder.rglob("*.*"))]
    return {path.relative_to(SITE_PACKAGES).as_posix(): path.read_bytes() for path in paths}


def stock_package() -> dict[str, bytes]:
    """Return a package of the installed dependencies as Chalice builds it."""
    return dict(_stock_package())


def _stock_package() -> Iterator[tuple[str, bytes]]:
    for line in (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0]
        if "python_version <" in line or not name or name.startswith("#"):
            continue
        for file in metadata.files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                yield file.as_posix(), file.read_binary()
    for name in ("__init__.py", "app.py"):
        yield f"chalice/{name}", Path(chalice.__file__).with_name(name).read_bytes()
    for path in [PROJECT / "app.py", *(PROJECT / "chalicelib").rglob("*")]:
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(PROJECT).as_posix(), path.read_bytes()
