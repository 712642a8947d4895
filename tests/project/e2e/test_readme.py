"""The script in the README, run unchanged."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.blocks import block
from tests.e2e.pictures import photograph
from tests.e2e.shell import type_in
from tests.e2e.system import System


def test_script_in_the_readme_runs(system: System, tmp_path: Path) -> None:
    (tmp_path / "my photo.jpg").write_bytes(photograph())
    printed = type_in(block("README.md", "session"), tmp_path, BASE=system.api, PHOTO="my photo.jpg")
    assert "picture: ready" in printed
    assert "import: done" in printed
    assert '"count":1,"nextCursor":null' in printed
    assert "Item deleted" in printed
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (200, 200))
