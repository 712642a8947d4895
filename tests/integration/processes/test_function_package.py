"""The package of the code that `make run` makes without Chalice, compared with Chalice's."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tools.laptop import function_package
from tools.stage import app_sources

PROJECT = Path(__file__).resolve().parents[3]


def contents(archive: Path) -> dict[str, int]:
    """Return the checksums of the files, by name."""
    with zipfile.ZipFile(archive) as whole:
        return {entry.filename: entry.CRC for entry in whole.infolist() if not entry.is_dir()}


def test_code_has_the_same_files_as_chalices_package(tmp_path: Path) -> None:
    project = tmp_path / "project"
    app_sources.copy(PROJECT, project)
    (project / "requirements.txt").write_text("")  # the dependencies are the same in both
    (project / "vendor" / "own").mkdir(parents=True)
    (project / "vendor" / "own" / "module.py").write_text("x = 1\n")

    whole = function_package.package(project, tmp_path / "build", tmp_path / "kept", print)
    code = function_package.package_code(project, tmp_path / "build", tmp_path / "kept", print)

    assert code.digest == whole.digest
    assert contents(code.archive) == contents(whole.archive)
    assert {"app.py", "chalice/app.py", "chalicelib/config.py", "own/module.py"} <= contents(code.archive).keys()
