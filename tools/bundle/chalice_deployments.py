"""Replace a package that Chalice keeps under ``.chalice/deployments`` by the bundle."""

from __future__ import annotations

import compileall
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager, PipRunner, SubprocessPip
from chalice.utils import UI, OSUtils

from tools import wheel_hashes
from tools.bundle import archive, build
from tools.stage.errors import StageError

Report = Callable[[str], None]

_MARK = b"vitrine bundle "


class Target(NamedTuple):
    """What a package is made for."""

    runtime: str
    """Such as python3.12: the version of this process."""
    architecture: str
    """Such as arm64."""


def write_bundle(project_dir: Path, stage: str, report: Report) -> Path:
    """Build the bundle of a stage where Chalice looks for its package, unless it is up to date. Return its path.

    Raise StageError if Chalice cannot package all of requirements.txt, WheelError for a wheel that is not in
    requirements-hashes.txt, and BundleError.
    """
    packages = _Packages(project_dir, stage)
    place = packages.place
    mark = _MARK + _digest_of_tools()
    if place.exists() and archive.comment(place) == mark:
        report(f"The bundle is up to date: {place}")
        return place
    # A bundle that was made by another version of tools/bundle may lack files. If Chalice made the package alone, its
    # wheels were not checked.
    place.unlink(missing_ok=True)
    report("Packaging takes half a minute")
    stock_size = packages.make().stat().st_size
    stock = archive.read(place)
    bundle = build.build(stock)
    archive.write(place, bundle.entries, mark)
    for line in build.report(stock, bundle):
        report(line)
    report(f"  zip: {stock_size / 2**20:.1f} MiB → {place.stat().st_size / 2**20:.1f} MiB, {place}")
    return place


def remove_bundle(project_dir: Path, stage: str) -> None:
    """Remove the bundle of a stage, if there is one. Chalice then makes its own package."""
    place = _Packages(project_dir, stage).place
    if place.exists() and archive.comment(place).startswith(_MARK):
        place.unlink()


def target(project_dir: Path, stage: str) -> Target:
    """Return what a stage's package is made for. Raise StageError if the stage is not configured."""
    config = _config(project_dir, stage)
    return Target(config.lambda_python_version, config.lambda_architecture)


def _config(project_dir: Path, stage: str) -> Config:
    try:
        settings = CLIFactory(str(project_dir)).load_project_config()
    except (OSError, ValueError) as error:
        raise StageError(f"{project_dir}/.chalice/config.json cannot be read: {error}") from error
    if stage not in settings["stages"]:
        raise StageError(
            f"There is no stage {stage} in .chalice/config.json: create it with "
            f"`python -m tools.stage.provision --stage {stage}`."
        )
    return Config(chalice_stage=stage, config_from_disk=settings)


class _Packages:
    """Chalice's packager, configured as ``chalice deploy --stage`` does (``chalice.deploy.deployer``)."""

    def __init__(self, project_dir: Path, stage: str) -> None:
        self._project_dir = str(project_dir)
        config = _config(project_dir, stage)
        self._python: str = config.lambda_python_version
        self._output = io.StringIO()
        tools = self._unpacker = _Unpacker(project_dir)
        pip = PipRunner(pip=SubprocessPip(osutils=tools), osutils=tools)
        self._packager = LambdaDeploymentPackager(
            osutils=tools,
            dependency_builder=DependencyBuilder(tools, pip, architecture=config.lambda_architecture),
            ui=UI(out=self._output, err=self._output),
            architecture=config.lambda_architecture,
        )
        # Chalice names the package by a hash of the sources and their bytecode, which it writes itself when it imports
        # the app. With all of it written first, the name is the same when Chalice looks for it.
        compileall.compile_dir(project_dir / "chalicelib", quiet=1)
        self.place = Path(self._packager.deployment_package_filename(self._project_dir, self._python))

    def make(self) -> Path:
        """Make Chalice's package, unless it exists. Return its path. Raise StageError or WheelError."""
        made = Path(self._packager.create_deployment_package(self._project_dir, self._python))
        if "Could not install dependencies" in self._output.getvalue():  # Chalice prints this and packages the rest
            made.unlink()
            raise StageError(f"Some of requirements.txt has no wheel for Lambda. {self._output.getvalue().strip()}")
        if self._unpacker.unpacked < len(wheel_hashes.pinned_versions(self._requirements(), self._python)):
            made.unlink()
            raise StageError("Chalice unpacked wheels that were not checked. Adapt _Unpacker to this version.")
        return made

    def _requirements(self) -> str:
        path = Path(self._project_dir, "requirements.txt")
        return path.read_text(encoding="utf-8") if path.exists() else ""


class _Unpacker(OSUtils):
    """Check each wheel before Chalice unpacks it into the package (``DependencyBuilder._install_wheels``)."""

    def __init__(self, project_dir: Path) -> None:
        self._project_dir = project_dir
        self.unpacked = 0

    def extract_zipfile(self, zipfile_path: str, unpack_dir: str) -> None:
        """Unpack a wheel. Raise WheelError if it is not in requirements-hashes.txt."""
        wheel_hashes.check(Path(zipfile_path), wheel_hashes.read(self._project_dir))
        self.unpacked += 1
        super().extract_zipfile(zipfile_path, unpack_dir)


def _digest_of_tools() -> bytes:
    """Return a hash of the code that builds the bundle."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:32].encode()
