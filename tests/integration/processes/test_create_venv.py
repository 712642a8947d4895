"""Creating a virtual environment, with the real venv and pip, but without downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools import create_venv

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_new_environment_has_nothing_of_the_old_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    venv, requirements = tmp_path / "venv", tmp_path / "requirements.txt"
    requirements.write_text("")
    (venv / "lib").mkdir(parents=True)
    (venv / "lib" / "old.py").touch()

    assert create_venv.main([str(venv), str(requirements)]) == 0

    assert (venv / "bin" / "python").exists()
    assert not (venv / "lib" / "old.py").exists()
    assert capsys.readouterr().out.startswith(f"Setting up {venv} (Python 3.")


def test_package_that_cannot_be_installed_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./nothing-here==1.0\n")

    assert create_venv.main([str(tmp_path / "venv"), str(requirements)]) == 1

    output = capsys.readouterr().err
    assert "ERROR" in output
    assert f"Installing {requirements} failed: see {tmp_path}/venv/.log" in output
