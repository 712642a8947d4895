"""The progress that is shown while a virtual environment is created."""

from __future__ import annotations

import io
from pathlib import Path

from tools import create_venv

PIP = """\
Ignoring colorama: markers 'sys_platform == "win32"' don't match your environment
Collecting boto3==1.44.5 (from -r requirements.txt (line 3))
  Downloading boto3-1.44.5-py3-none-any.whl (140 kB)
Processing /wheels/msgspec-0.22.0.whl (from -r requirements.txt (line 5))
Requirement already satisfied: setuptools==65.5.0 in ./lib (from -r requirements.txt (line 6)) (65.5.0)
Installing collected packages: msgspec, boto3
Successfully installed boto3-1.44.5 msgspec-0.22.0
""".splitlines(keepends=True)


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_packages_are_counted() -> None:
    assert list(create_venv.progress(PIP, 4)) == [
        "1 of 3 packages",
        "2 of 3 packages",
        "3 of 3 packages",
        "installing 3 packages",
    ]


def test_package_that_is_not_pinned_raises_the_total() -> None:
    assert list(create_venv.progress(PIP, 2))[1:3] == ["2 of 2 packages", "3 of 3 packages"]


def test_pins_of_included_files_count(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# boto3==1\nboto3==1.44.5\n\nPillow==12.2.0; python_version < '3.12'\n")
    (tmp_path / "requirements-dev.txt").write_text("-r requirements.txt\nboto3-stubs[s3,sqs]==1.43.126\n")

    assert create_venv.count_pins(tmp_path / "requirements-dev.txt") == 3


def test_terminal_gets_one_line_that_changes() -> None:
    screen = Screen()

    create_venv.show("Setting up: ", ["1 of 2 packages", "2 of 2 packages"], screen)

    assert screen.getvalue() == ("Setting up: \r\x1b[KSetting up: 1 of 2 packages\r\x1b[KSetting up: 2 of 2 packages\n")


def test_pipe_gets_one_line() -> None:
    pipe = io.StringIO()

    create_venv.show("Setting up: ", ["1 of 2 packages", "2 of 2 packages"], pipe)

    assert pipe.getvalue() == "Setting up\n"
