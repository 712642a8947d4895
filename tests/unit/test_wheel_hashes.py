"""The hashes of the wheels in the functions' package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from tools import wheel_hashes

PROJECT = Path(__file__).resolve().parents[2]
REQUIREMENTS = """
# What runs.
six==1.17.0
Pillow==12.2.0; python_version < "3.12"
Pillow==13.0.0; python_version >= "3.12"  # newer
"""


def file(name: str) -> dict[str, Any]:
    return {"filename": name, "hashes": {"sha256": hashlib.sha256(name.encode()).hexdigest()}}


def test_file_has_the_hashes_of_exactly_the_requirements() -> None:
    pinned = wheel_hashes.pinned_versions((PROJECT / "requirements.txt").read_text(encoding="utf-8"))
    lines = (PROJECT / wheel_hashes.NAME).read_text(encoding="utf-8").splitlines()

    assert [line.split()[0] for line in lines if re.match(r"\w", line)] == [
        f"{name}=={version}" for name, version in pinned
    ]
    assert len(wheel_hashes.read(PROJECT)) >= len(pinned)
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in wheel_hashes.read(PROJECT))


@pytest.mark.parametrize(
    ("python", "pillows"),
    [(None, ["12.2.0", "13.0.0"]), ("python3.11", ["12.2.0"]), ("3.12", ["13.0.0"]), ("python3.14", ["13.0.0"])],
)
def test_requirements_are_those_of_the_python_that_runs_them(python: str | None, pillows: list[str]) -> None:
    assert wheel_hashes.pinned_versions(REQUIREMENTS, python) == [
        *(("Pillow", one) for one in pillows),
        ("six", "1.17.0"),
    ]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("a-1.0-py3-none-any.whl", True),
        ("a-1.0-py2.py3-none-any.whl", True),
        ("a-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", True),
        ("a-1.0-cp314-cp314-manylinux_2_34_aarch64.whl", True),
        ("a-1.0-cp39-abi3-manylinux_2_28_aarch64.whl", True),
        ("a-1.0-cp314-cp314t-manylinux_2_34_aarch64.whl", False),
        ("a-1.0-cp310-cp310-manylinux2014_x86_64.whl", False),
        ("a-1.0-cp313-cp313-musllinux_1_2_x86_64.whl", False),
        ("a-1.0-cp313-cp313-macosx_11_0_arm64.whl", False),
        ("a-1.0-cp313-cp313-manylinux_2_28_ppc64le.whl", False),
        ("a-1.1-py3-none-any.whl", False),
        ("a-1.0.tar.gz", False),
        ("a-1.0-py3.whl", False),
    ],
)
def test_hashes_are_those_of_wheels_for_lambda(name: str, runs: bool) -> None:
    assert wheel_hashes.lambda_hashes([file(name)], "1.0") == ([file(name)["hashes"]["sha256"]] if runs else [])


def test_unknown_wheel_is_an_error(tmp_path: Path) -> None:
    wheel = tmp_path / "six-1.17.0-py3-none-any.whl"
    wheel.write_bytes(b"six")
    known = frozenset([hashlib.sha256(b"six").hexdigest()])
    wheel_hashes.check(wheel, known)

    wheel.write_bytes(b"six and more")

    with pytest.raises(
        wheel_hashes.WheelError, match=r"six-1\.17\.0-py3-none-any\.whl is not in requirements-hashes\.txt"
    ):
        wheel_hashes.check(wheel, known)


def test_project_without_a_list_is_told_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(wheel_hashes.WheelError, match="make hashes"):
        wheel_hashes.read(tmp_path)
