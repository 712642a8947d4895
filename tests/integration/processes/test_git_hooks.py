"""The git hooks that ``make hooks`` enables."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
FAKE_MAKE = """\
#!/bin/sh
echo "$@ ${GIT_DIR:-} ${GIT_INDEX_FILE:-}" >> ../made
exit "$(cat ../status)"
"""


class Repository:
    """A git repository with the hooks and a fake make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.status = folder / "status"
        self.made = folder / "made"
        self.made.touch()
        self.status.write_text("0")
        (folder / "bin").mkdir()
        (folder / "bin" / "make").write_text(FAKE_MAKE)
        (folder / "bin" / "make").chmod(0o755)
        self._env = {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        shutil.copytree(PROJECT / ".githooks", self.folder / ".githooks")
        self.git("init", "--quiet", "--bare", str(folder / "origin"))
        self.git("init", "--quiet")
        self.git("remote", "add", "origin", str(folder / "origin"))
        self.git("config", "user.name", "ann")
        self.git("config", "user.email", "ann@example.com")
        # `make hooks` sets the same option.
        self.git("config", "core.hooksPath", ".githooks")

    def git(self, *arguments: str) -> int:
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self._env, capture_output=True, check=False
        ).returncode


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_commit_runs_make_lint_without_gits_variables(repository: Repository) -> None:
    assert repository.git("commit", "--quiet", "--allow-empty", "--message", "x") == 0
    assert repository.made.read_text().split() == ["lint"]


def test_push_is_refused_if_unit_tests_fail(repository: Repository) -> None:
    repository.git("commit", "--quiet", "--allow-empty", "--message", "x")
    repository.status.write_text("1")
    assert repository.git("push", "--quiet", "origin", "HEAD:main") == 1
    assert repository.made.read_text().split() == ["lint", "test-unit"]
