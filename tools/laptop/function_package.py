"""Package the app for its functions in the emulator, with the same content as for AWS.

Chalice rebuilds the whole zip, with its dependencies, when a source file changes. Here the dependencies are built once
for each requirements.txt and kept. Chalice packages a changed app without them, in a second; if only the code has
changed, its files are added to the dependencies without Chalice.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.config import LOCAL
from tools import processes
from tools.stage import app_sources, package_without_dependencies
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name
from tools.stage.stack import Report

_LAMBDA = ("Linux", "x86_64")
_APP_NAME = code_stack_name(LOCAL)
_MINIMAL_APP = f"""
from chalice import Chalice
app = Chalice("{_APP_NAME}")
app.lambda_function()(lambda event, context: None)
"""
_MINIMAL_CONFIG = {"version": "2.0", "app_name": _APP_NAME, "stages": {LOCAL: {}}}
_RUNTIME = "chalice/"
"""The folder of Chalice's own code in a package."""


class Code(NamedTuple):
    """The code of all functions."""

    digest: str
    """A digest of all sources, including those that only the template depends on."""
    archive: Path


class Package(NamedTuple):
    """The packaged app."""

    digest: str
    template: dict[str, Any]
    archive: Path

    @property
    def code(self) -> Code:
        """Return the code alone."""
        return Code(self.digest, self.archive)


def host() -> tuple[str, str]:
    """Return the operating system and the processor of this machine."""
    return platform.system(), platform.machine()


def source_digest(project_dir: Path, system: tuple[str, str] | None = None) -> str:
    """Return a digest of everything that the package depends on."""
    return app_sources.digest(project_dir, sys.version, *(system or host()))


def package(
    project_dir: Path, build_dir: Path, cache_dir: Path, report: Report, system: tuple[str, str] | None = None
) -> Package:
    """Package the app with the wheels of ``system``, on which the emulator runs the functions; default: this machine.

    ``build_dir`` is emptied first; ``cache_dir`` keeps the dependencies for the next time. Raise StageError with
    Chalice's output if the app does not load.
    """
    system = system or host()
    digest = source_digest(project_dir, system)
    folder = build_dir / "app"
    package_without_dependencies.copy_app(project_dir, folder, LOCAL)
    dependencies = _dependencies(project_dir, build_dir, cache_dir, system, report)
    _chalice_package(folder, "--merge-template", "infra/package.json")
    archive = build_dir / "deployment.zip"
    with zipfile.ZipFile(folder / "out" / "deployment.zip") as app:
        names = (name for name in app.namelist() if not name.startswith(_RUNTIME))
        _add(dependencies, ((name, app.read(name)) for name in names), archive)
    template = json.loads((folder / "out" / "sam.json").read_text(encoding="utf-8"))
    return Package(digest, template, archive)


def package_code(
    project_dir: Path, build_dir: Path, cache_dir: Path, report: Report, system: tuple[str, str] | None = None
) -> Code:
    """Package the app's code without Chalice: the archive has the same files as that of ``package``."""
    system = system or host()
    digest = source_digest(project_dir, system)
    dependencies = _dependencies(project_dir, build_dir, cache_dir, system, report)
    archive = build_dir / "code.zip"
    build_dir.mkdir(parents=True, exist_ok=True)
    _add(dependencies, _code_files(project_dir), archive)
    return Code(digest, archive)


def _code_files(project_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name in the package and the content of each file of the app (Chalice, "App Packaging")."""
    for path in app_sources.files(project_dir):
        match path.parts[0]:
            case "app.py" | "chalicelib":
                yield path.as_posix(), (project_dir / path).read_bytes()
            case "vendor":
                yield path.relative_to("vendor").as_posix(), (project_dir / path).read_bytes()


def _dependencies(project_dir: Path, build_dir: Path, cache_dir: Path, system: tuple[str, str], report: Report) -> Path:
    """Return a zip of everything but the app, built in ``build_dir`` unless ``cache_dir`` has it."""
    requirements = project_dir / "requirements.txt"
    chalice = importlib.metadata.version("chalice")
    inputs = (*system, sys.version, chalice, requirements.read_text(encoding="utf-8"))
    cached = cache_dir / f"dependencies-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]}.zip"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "lock").open("w") as lock:
        # A second process waits for the result of the first one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cached.exists():
            return cached
        report("Packaging the dependencies of the functions (about 30 s, only once)")
        unfinished = cache_dir / "unfinished.part"
        scratch = build_dir / "dependencies"
        build = _build_for_lambda if system == _LAMBDA else _build_for_host
        build(requirements, scratch, unfinished)
        shutil.rmtree(scratch)
        for old in cache_dir.glob("dependencies-*.zip"):
            old.unlink()
        return unfinished.rename(cached)


def _build_for_lambda(requirements: Path, scratch: Path, target: Path) -> None:
    """Write a zip of the wheels that Chalice chooses for Lambda, and of its own runtime."""
    output = _package_minimal_app(scratch, requirements.read_text(encoding="utf-8"))
    if "Could not install dependencies" in output:  # Chalice packages the others without an error
        raise StageError(f"A package in requirements.txt has no wheel for Lambda. {processes.error_summary(output)}")
    with _new_zip(target) as kept:
        _copy_minimal_package(scratch, kept)


def _build_for_host(requirements: Path, scratch: Path, target: Path) -> None:
    """Write a zip of this machine's wheels, because those for Lambda would not load here, and of Chalice's runtime."""
    _package_minimal_app(scratch, "")
    wheels = scratch / "wheels"
    options = ("--disable-pip-version-check", "--no-compile", "--only-binary=:all:")
    install = [sys.executable, "-m", "pip", "install", *options]
    status, output = processes.run(
        [*install, "--target", wheels, "-r", requirements], env=os.environ, cwd=requirements.parent
    )
    if status != 0:
        raise StageError(f"The functions' dependencies cannot be installed. {processes.error_summary(output)}")
    with _new_zip(target) as kept:
        _copy_minimal_package(scratch, kept)
        for path in sorted(wheels.rglob("*")):
            if path.is_file() and path.relative_to(wheels).parts[0] != "bin":
                kept.write(path, path.relative_to(wheels))


def _package_minimal_app(scratch: Path, requirements: str) -> str:
    """Package an app without code in the empty folder ``scratch``. Return Chalice's output."""
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / ".chalice").mkdir(parents=True)
    (scratch / "app.py").write_text(_MINIMAL_APP, encoding="utf-8")
    (scratch / ".chalice" / "config.json").write_text(json.dumps(_MINIMAL_CONFIG), encoding="utf-8")
    (scratch / "requirements.txt").write_text(requirements, encoding="utf-8")
    return _chalice_package(scratch)


def _copy_minimal_package(scratch: Path, target: zipfile.ZipFile) -> None:
    with zipfile.ZipFile(scratch / "out" / "deployment.zip") as whole:
        for name in whole.namelist():
            if name != "app.py":
                target.writestr(name, whole.read(name))


def _chalice_package(folder: Path, *options: str) -> str:
    """Run ``chalice package`` for the stage local. Return its output."""
    status, output = package_without_dependencies.run(folder, LOCAL, os.environ, *options)
    if status != 0:
        raise StageError(f"The app cannot be packaged. {processes.error_summary(output.replace(f'{folder}/', ''))}")
    return output


def _add(dependencies: Path, files: Iterator[tuple[str, bytes]], target: Path) -> None:
    """Write a zip with the content of ``dependencies`` and ``files``, which is the same for the same content."""
    shutil.copyfile(dependencies, target)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as whole:
        for name, content in files:
            entry = zipfile.ZipInfo(name)  # with the earliest time of a zip, not that of the file
            entry.external_attr = 0o644 << 16
            whole.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _new_zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
