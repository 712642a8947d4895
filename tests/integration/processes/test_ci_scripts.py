"""The shell scripts in ``.ci``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted(path for path in (Path(__file__).parents[3] / ".ci").iterdir() if not path.suffix)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_syntax_is_valid(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
