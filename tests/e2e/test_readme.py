"""What the README and the runbook tell a person to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from PIL import Image

from tests.e2e.pictures import photograph
from tests.e2e.system import ROOT, System
from tools import processes


def block(page: str, name: str) -> str:
    """The code that follows the comment ``name`` in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^<!-- {name} -->\n```\w*\n(.+?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page} has no code behind <!-- {name} -->"
    return found[1]


def type_in(script: str, folder: Path, **variables: str) -> str:
    """Run a script in bash, in ``folder``, which stops at the first command that fails; returns what it printed."""
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=processes.without_aws(os.environ) | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_the_session_of_the_readme_runs_as_it_stands(system: System, tmp_path: Path) -> None:
    (tmp_path / "my photo.jpg").write_bytes(photograph())
    said = type_in(block("README.md", "session"), tmp_path, BASE=system.api, PHOTO="my photo.jpg")
    assert "picture: ready" in said
    assert "import: done" in said
    assert "Item deleted" in said
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (200, 200))
