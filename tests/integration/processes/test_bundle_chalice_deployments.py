"""The bundle is written to the folder in which Chalice looks for packages, and wheels are checked."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from chalice.cli.factory import CLIFactory
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
from chalice.utils import UI, OSUtils

from tools.bundle import __main__ as command
from tools.bundle import archive, build, chalice_deployments
from tools.stage.errors import StageError
from tools.wheel_hashes import WheelError

STAGES = {"dev": {"lambda_architecture": "arm64"}, "old": {}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project without dependencies. Its bundle contains only app.py."""
    for path, text in {
        "app.py": "from chalicelib import one\n",
        "chalicelib/__init__.py": "",
        "chalicelib/one.py": "answer = 42\n",
        "requirements.txt": "",
        ".chalice/config.json": json.dumps({"version": "2.0", "app_name": "some", "stages": STAGES}),
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)

    def only_app(stock: dict[str, bytes]) -> build.Bundle:
        return build.Bundle({"app.py": stock["app.py"]}, set())

    monkeypatch.setattr(build, "build", only_app)
    return tmp_path


def write_bundle(project: Path, stage: str = "dev") -> tuple[Path, list[str]]:
    printed: list[str] = []
    return chalice_deployments.write_bundle(project, stage, printed.append), printed


def chalice_package(project: Path, architecture: str) -> tuple[Path, str]:
    """Return the path of the package that ``chalice deploy`` deploys after importing the app, and its output."""
    subprocess.run([sys.executable, "-c", "import app"], cwd=project, check=True)
    printed = io.StringIO()
    os_utils = OSUtils()
    packager = LambdaDeploymentPackager(os_utils, DependencyBuilder(os_utils), UI(printed, printed), architecture)
    python = CLIFactory(str(project)).create_config_obj("dev").lambda_python_version
    return Path(packager.create_deployment_package(str(project), python)), printed.getvalue()


def write_wheel(folder: Path, content: str = "answer = 42\n") -> Path:
    """Write a wheel of a package named ``some``, and return its path."""
    folder.mkdir(exist_ok=True)
    path = folder / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("some.py", content)
        wheel.writestr("some-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some\nVersion: 1.0\n")
        wheel.writestr("some-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("some-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def wheel(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a required wheel with a listed hash, in a folder in which pip finds it."""
    path = write_wheel(tmp_path / "index")
    (project / "requirements.txt").write_text("some==1.0\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (project / "requirements-hashes.txt").write_text(f"some==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_listed_wheel_is_packaged(project: Path, wheel: Path) -> None:
    place, _ = write_bundle(project)

    assert place.exists()


def test_altered_wheel_is_rejected(project: Path, wheel: Path) -> None:
    write_wheel(wheel.parent, "answer = 43\n")

    with pytest.raises(WheelError, match=wheel.name):
        write_bundle(project)
    assert list((project / ".chalice" / "deployments").glob("*.zip")) == []


def test_unchecked_package_of_chalice_is_rebuilt(project: Path, wheel: Path) -> None:
    chalice_package(project, "arm64")
    write_wheel(wheel.parent, "answer = 43\n")

    with pytest.raises(WheelError, match=wheel.name):
        write_bundle(project)


def test_unchecked_unpacking_fails(project: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another version of Chalice could unpack wheels differently.
    monkeypatch.delattr(chalice_deployments._Unpacker, "extract_zipfile")

    with pytest.raises(StageError, match="not checked"):
        write_bundle(project)
    assert list((project / ".chalice" / "deployments").glob("*.zip")) == []


@pytest.mark.parametrize(("stage", "architecture"), [("dev", "arm64"), ("old", "x86_64")])
def test_chalice_deploys_the_bundle(project: Path, stage: str, architecture: str) -> None:
    place, _ = write_bundle(project, stage)

    taken, printed = chalice_package(project, architecture)

    assert taken == place
    assert "Reusing existing deployment package" in printed
    assert archive.read(taken) == {"app.py": b"from chalicelib import one\n"}


def test_bundle_is_built_once(project: Path) -> None:
    place, _ = write_bundle(project)
    before = place.stat()

    assert write_bundle(project) == (place, [f"The bundle is up to date: {place}"])
    assert place.stat() == before


def test_changed_source_gets_another_bundle(project: Path) -> None:
    place, _ = write_bundle(project)
    (project / "app.py").write_text("from chalicelib import one  # changed\n")

    other, _ = write_bundle(project)

    assert other != place
    assert archive.read(other)["app.py"].endswith(b"# changed\n")


def test_package_of_chalice_becomes_the_bundle(project: Path) -> None:
    chalices, _ = chalice_package(project, "arm64")
    write_bundle(project)  # writes the bytecode that is part of the name

    place, printed = write_bundle(project)

    assert archive.comment(place).startswith(b"vitrine bundle ")
    assert chalices.parent == place.parent
    assert printed


def test_bundle_of_other_tools_is_rebuilt(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, _ = write_bundle(project)
    monkeypatch.setattr(chalice_deployments, "_digest_of_tools", lambda: b"others")

    again, printed = write_bundle(project)

    assert again == place
    assert archive.comment(again) == b"vitrine bundle others"
    assert printed[0].startswith("Packaging")


def test_stock_option_restores_package_of_chalice(project: Path) -> None:
    place, _ = write_bundle(project)

    assert command.main(["--stage", "dev", "--stock", "--project-dir", str(project)]) == 0

    taken, printed = chalice_package(project, "arm64")
    assert taken == place
    assert "Reusing" not in printed
    assert "chalicelib/one.py" in archive.read(taken)
    chalice_deployments.remove_bundle(project, "dev")
    assert taken.exists()  # only a bundle is removed


def test_unknown_stage_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--stage", "prod", "--project-dir", str(project)]) == 1
    error = capsys.readouterr().err
    assert "There is no stage prod" in error
    assert "python -m tools.stage.provision --stage prod" in error

    (project / ".chalice" / "config.json").write_text("{")
    with pytest.raises(StageError, match=r"config\.json cannot be read"):
        write_bundle(project)


def test_dependency_without_wheel_for_lambda_fails(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_some(self: LambdaDeploymentPackager, *_: object) -> str:
        place = project / "made.zip"
        archive.write(place, {})
        self._ui.write("Could not install dependencies:\nsome==1\n")
        return str(place)

    monkeypatch.setattr(LambdaDeploymentPackager, "create_deployment_package", without_some)

    with pytest.raises(StageError, match=r"no wheel for Lambda.*\n?some==1"):
        write_bundle(project)
    assert not (project / "made.zip").exists()
