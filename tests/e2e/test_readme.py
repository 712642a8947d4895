"""What the README tells a person to type, typed."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.blocks import block
from tests.e2e.pictures import photograph
from tests.e2e.shell import type_in
from tests.e2e.system import System


def test_the_session_of_the_readme_runs_as_it_stands(system: System, tmp_path: Path) -> None:
    (tmp_path / "my photo.jpg").write_bytes(photograph())
    said = type_in(block("README.md", "session"), tmp_path, BASE=system.api, PHOTO="my photo.jpg")
    assert "picture: ready" in said
    assert "import: done" in said
    assert "Item deleted" in said
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (200, 200))
