"""``.ci/audit`` checks every pinned package and fails on a finding. Fake programs replace pipx and npm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
REQUIREMENTS = {path.name for path in PROJECT.glob("requirements*.txt")} - {"requirements-hashes.txt"}
TRACKED = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
LOCKED = {str((PROJECT / path).parent) for path in TRACKED.splitlines() if path.endswith("package-lock.json")}

Audit = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Return a function that runs ``.ci/audit`` with fake programs, and returns its exit status and their calls.

    Each line has the working directory and the command. ``npm=1`` is the exit status of npm, as for a finding.
    """

    def run(**answers: int) -> tuple[int, list[str]]:
        log = tmp_path / "log"
        for name in ("pipx", "npm"):
            program = tmp_path / name
            program.write_text(f'#!/bin/sh\necho "$(pwd) {name} $@" >>"{log}"\nexit {answers.get(name, 0)}\n')
            program.chmod(0o755)
        env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        ended = subprocess.run([PROJECT / ".ci" / "audit"], env=env, capture_output=True, check=False)
        return ended.returncode, log.read_text().splitlines()

    return run


def test_every_package_that_is_pinned_is_looked_up(audit: Audit) -> None:
    status, calls = audit()

    assert status == 0
    assert {line.rpartition(" -r ")[2] for line in calls if " pipx " in line} == REQUIREMENTS
    # Without --strict, a package that could not be looked up passes.
    assert all(" --strict " in line for line in calls if " pipx " in line)
    assert {line.partition(" npm ")[0] for line in calls if " npm " in line} == LOCKED


@pytest.mark.parametrize("program", ["pipx", "npm"])
def test_one_finding_fails_and_the_others_are_still_looked_up(audit: Audit, program: str) -> None:
    status, calls = audit(**{program: 1})

    assert status == 1
    assert len(calls) == len(REQUIREMENTS) + len(LOCKED)
