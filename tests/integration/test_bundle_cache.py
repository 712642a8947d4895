"""The bundle in the place where Chalice keeps its packages."""

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
from tools.bundle import archive, cache, package
from tools.stage.errors import StageError
from tools.wheel_hashes import WheelError

STAGES = {"dev": {"lambda_architecture": "arm64"}, "old": {}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without dependencies, for which a bundle is whatever its app.py says."""
    for path, text in {
        "app.py": "from chalicelib import one\n",
        "chalicelib/__init__.py": "",
        "chalicelib/one.py": "answer = 42\n",
        "requirements.txt": "",
        ".chalice/config.json": json.dumps({"version": "2.0", "app_name": "some", "stages": STAGES}),
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    made = []

    def bundled(stock: dict[str, bytes]) -> package.Bundle:
        made.append(stock)
        return package.Bundle({"app.py": stock["app.py"]}, set())

    monkeypatch.setattr(package, "bundled", bundled)
    return tmp_path


def fill(project: Path, stage: str = "dev") -> tuple[Path, list[str]]:
    said: list[str] = []
    return cache.fill(project, stage, said.append), said


def chalices(project: Path, architecture: str) -> tuple[Path, str]:
    """The package that ``chalice deploy`` would deploy now, after importing the app, and what it says of it."""
    subprocess.run([sys.executable, "-c", "import app"], cwd=project, check=True)
    said = io.StringIO()
    tools = OSUtils()
    packager = LambdaDeploymentPackager(tools, DependencyBuilder(tools), UI(said, said), architecture)
    python = CLIFactory(str(project)).create_config_obj("dev").lambda_python_version
    return Path(packager.create_deployment_package(str(project), python)), said.getvalue()


def a_wheel(folder: Path, content: str = "answer = 42\n") -> Path:
    """A package named ``some`` as a wheel, the one thing that requirements.txt asks for."""
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
    """A wheel that requirements.txt asks for and whose hash is listed; pip finds it in a folder, and asks no index."""
    path = a_wheel(tmp_path / "index")
    (project / "requirements.txt").write_text("some==1.0\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (project / "requirements-hashes.txt").write_text(f"some==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_wheel_whose_hash_is_listed_is_packaged(project: Path, wheel: Path) -> None:
    place, _ = fill(project)

    assert place.exists()


def test_wheel_that_was_altered_is_not_packaged(project: Path, wheel: Path) -> None:
    a_wheel(wheel.parent, "answer = 43\n")

    with pytest.raises(WheelError, match=wheel.name):
        fill(project)
    assert list((project / ".chalice" / "deployments").glob("*.zip")) == []


def test_package_that_chalice_made_without_a_check_is_made_anew(project: Path, wheel: Path) -> None:
    chalices(project, "arm64")
    a_wheel(wheel.parent, "answer = 43\n")

    with pytest.raises(WheelError, match=wheel.name):
        fill(project)


def test_wheels_that_are_unpacked_unchecked_are_not_packaged(
    project: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As by a version of Chalice that unpacks them by other means.
    monkeypatch.delattr(cache._Unpacker, "extract_zipfile")

    with pytest.raises(StageError, match="not checked"):
        fill(project)
    assert list((project / ".chalice" / "deployments").glob("*.zip")) == []


@pytest.mark.parametrize(("stage", "architecture"), [("dev", "arm64"), ("old", "x86_64")])
def test_chalice_takes_the_bundle_for_its_own_package(project: Path, stage: str, architecture: str) -> None:
    place, _ = fill(project, stage)

    taken, said = chalices(project, architecture)

    assert taken == place
    assert "Reusing existing deployment package" in said
    assert archive.read(taken) == {"app.py": b"from chalicelib import one\n"}


def test_what_is_there_already_is_not_made_again(project: Path) -> None:
    place, _ = fill(project)
    before = place.stat()

    assert fill(project) == (place, [f"The bundle is up to date: {place}"])
    assert place.stat() == before


def test_a_changed_source_has_a_bundle_of_its_own(project: Path) -> None:
    place, _ = fill(project)
    (project / "app.py").write_text("from chalicelib import one  # changed\n")

    other, _ = fill(project)

    assert other != place
    assert archive.read(other)["app.py"].endswith(b"# changed\n")


def test_a_package_that_chalice_made_before_becomes_the_bundle(project: Path) -> None:
    theirs, _ = chalices(project, "arm64")
    fill(project)  # writes the bytecode that names it from now on

    place, said = fill(project)

    assert archive.comment(place).startswith(b"vitrine bundle ")
    assert theirs.parent == place.parent
    assert said


def test_a_bundle_of_other_tools_is_made_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, _ = fill(project)
    monkeypatch.setattr(cache, "_digest_of_tools", lambda: b"others")

    again, said = fill(project)

    assert again == place
    assert archive.comment(again) == b"vitrine bundle others"
    assert said[0].startswith("Packaging")


def test_without_the_bundle_chalice_makes_its_own(project: Path) -> None:
    place, _ = fill(project)

    assert command.main(["--stage", "dev", "--stock", "--project-dir", str(project)]) == 0

    taken, said = chalices(project, "arm64")
    assert taken == place
    assert "Reusing" not in said
    assert "chalicelib/one.py" in archive.read(taken)
    cache.clear(project, "dev")
    assert taken.exists()  # Chalice's own stays


def test_a_stage_that_is_not_there_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--stage", "prod", "--project-dir", str(project)]) == 1
    assert "There is no stage prod" in capsys.readouterr().err

    (project / ".chalice" / "config.json").write_text("{")
    with pytest.raises(StageError, match=r"config\.json cannot be read"):
        fill(project)


def test_a_dependency_without_a_wheel_for_lambda_is_no_bundle(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say_so(self: LambdaDeploymentPackager, *_: object) -> str:
        place = project / "made.zip"
        archive.write(place, {})
        self._ui.write("Could not install dependencies:\nsome==1\n")
        return str(place)

    monkeypatch.setattr(LambdaDeploymentPackager, "create_deployment_package", say_so)

    with pytest.raises(StageError, match=r"no wheel for Lambda.*\n?some==1"):
        fill(project)
    assert not (project / "made.zip").exists()
