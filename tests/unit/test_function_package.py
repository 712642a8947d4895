"""Packaging for the emulator, with fake programs."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tools import processes
from tools.laptop import function_package
from tools.stage.errors import StageError

MAC = ("Darwin", "arm64")
LAMBDA = ("Linux", "x86_64")


class Programs:
    """Fakes of chalice and pip, which record their calls."""

    def __init__(self) -> None:
        self.called: list[list[str]] = []
        self.says = ""
        self.status = 0

    def run(self, command: list[Any], *, env: dict[str, str], cwd: Path) -> tuple[int, str]:
        self.called.append([str(part) for part in command])
        assert not [name for name in env if name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID")] or "pip" in self.called[-1]
        if "pip" in self.called[-1]:
            target = Path(self.called[-1][self.called[-1].index("--target") + 1])
            (target / "bin").mkdir(parents=True)
            (target / "bin" / "tool").write_text("")
            (target / "boto3.py").write_text("of this machine")
        else:
            self._package(cwd)
        return self.status, self.says

    def _package(self, project: Path) -> None:
        (project / "out").mkdir()
        (project / "out" / "sam.json").write_text(json.dumps({"Resources": {}, "seen": _environment(project)}))
        with zipfile.ZipFile(project / "out" / "deployment.zip", "w") as whole:
            for path in (project / "app.py", *project.glob("chalicelib/*")):
                whole.writestr(path.relative_to(project).as_posix(), path.read_text())
            whole.writestr("chalice/app.py", "chalice")
            if (project / "requirements.txt").read_text():
                whole.writestr("boto3.py", "of Lambda")


def _environment(project: Path) -> Any:
    return json.loads((project / ".chalice" / "config.json").read_text())["stages"]["local"].get(
        "environment_variables"
    )


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    stand_in = Programs()
    monkeypatch.setattr(processes, "run", stand_in.run)
    return stand_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".chalice").mkdir(parents=True)
    (folder / "app.py").write_text("app = 1")
    (folder / "requirements.txt").write_text("boto3==1.44.5")
    variables = {"STAGE": "local", "AWS_CONFIG_FILE": ".local/aws-config", "AWS_ACCESS_KEY_ID": "test"}
    (folder / ".chalice" / "config.json").write_text(
        json.dumps({"stages": {"local": {"environment_variables": variables}}})
    )
    return folder


def build(project: Path, system: tuple[str, str]) -> tuple[function_package.Package, dict[str, str]]:
    folder = project.parent
    built = function_package.package(project, folder / "build", folder / "kept", lambda line: None, system)
    return built, contents(built.archive)


def contents(archive: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as whole:
        assert len(whole.namelist()) == len(set(whole.namelist()))
        return {name: whole.read(name).decode() for name in whole.namelist()}


def test_linux_package_has_the_wheels_for_lambda(project: Path, programs: Programs) -> None:
    _, content = build(project, LAMBDA)

    assert content == {"app.py": "app = 1", "chalice/app.py": "chalice", "boto3.py": "of Lambda"}


@pytest.mark.parametrize("system", [MAC, ("Linux", "aarch64")])
def test_other_package_has_the_wheels_of_the_machine(
    project: Path, programs: Programs, system: tuple[str, str]
) -> None:
    _, content = build(project, system)

    assert content == {"app.py": "app = 1", "chalice/app.py": "chalice", "boto3.py": "of this machine"}


def test_code_is_packaged_without_chalice(project: Path, programs: Programs) -> None:
    build(project, MAC)
    programs.called.clear()
    for path in ("chalicelib/items.py", "chalicelib/.items.py.swp", "vendor/own/one.py"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("x = 1")

    folder = project.parent
    code = function_package.package_code(project, folder / "build", folder / "kept", print, MAC)

    assert programs.called == []
    assert contents(code.archive) == {
        "app.py": "app = 1",
        "chalicelib/items.py": "x = 1",
        "own/one.py": "x = 1",
        "chalice/app.py": "chalice",
        "boto3.py": "of this machine",
    }


def test_same_code_makes_the_same_archive(project: Path, programs: Programs) -> None:
    built, _ = build(project, MAC)
    before = built.archive.read_bytes()
    os.utime(project / "app.py", (1, 1))

    built, _ = build(project, MAC)

    assert built.archive.read_bytes() == before


def test_dependencies_are_built_once(project: Path, programs: Programs) -> None:
    build(project, MAC)
    (project / "app.py").write_text("app = 2")
    _, content = build(project, MAC)
    assert sum("pip" in command for command in programs.called) == 1
    assert content["app.py"] == "app = 2"

    (project / "requirements.txt").write_text("boto3==1.44.6")
    build(project, MAC)
    assert sum("pip" in command for command in programs.called) == 2


def test_functions_get_no_aws_variables(project: Path, programs: Programs) -> None:
    built, _ = build(project, MAC)

    assert built.template["seen"] == {"STAGE": "local"}
    assert "AWS_CONFIG_FILE" in (project / ".chalice" / "config.json").read_text()


def test_missing_wheel_for_lambda_is_an_error(project: Path, programs: Programs) -> None:
    programs.says = "Could not install dependencies:\nPillow==13.0.0\n"

    with pytest.raises(StageError, match=r"no wheel for Lambda.*Pillow==13.0.0"):
        build(project, LAMBDA)


def test_app_that_does_not_load_is_an_error_with_its_place(project: Path, programs: Programs) -> None:
    build(project, MAC)
    app = project.parent / "build" / "app" / "app.py"
    programs.status = 1
    programs.says = f'Traceback:\n  File "/else.py", line 1\n  File "{app}", line 7, in f\n    x\nNameError: no x\n'

    with pytest.raises(StageError) as refused:
        build(project, MAC)

    assert str(refused.value) == 'The app cannot be packaged. File "app.py", line 7, in f NameError: no x'
