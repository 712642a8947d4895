"""The source files of the app: listed, digested, copied and compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.stage import app_sources


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path, text in {
        "app.py": "app = 1\n",
        "chalicelib/items.py": "ITEMS = 1\n",
        "chalicelib/web/index.html": "<html>",
        "requirements.txt": "",
        ".chalice/config.json": "{}",
        "infra/package.json": "{}",
        "infra/resources.json": "{}",
        "README.md": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_sources_are_the_inputs_of_the_package(project: Path) -> None:
    assert [str(path) for path in app_sources.files(project)] == [
        "app.py",
        "chalicelib/items.py",
        "chalicelib/web/index.html",
        "requirements.txt",
        ".chalice/config.json",
        "infra/package.json",
    ]


@pytest.mark.parametrize(
    "left_behind",
    [
        "chalicelib/__pycache__/items.cpython-311.pyc",
        "chalicelib/.items.py.swp",
        "chalicelib/items.py~",
        "chalicelib/.DS_Store",
        ".chalice/deployments/abc.zip",
        ".chalice/deployed/dev.json",
    ],
)
def test_generated_files_are_no_sources(project: Path, left_behind: str) -> None:
    before = app_sources.digest(project)

    (project / left_behind).parent.mkdir(parents=True, exist_ok=True)
    (project / left_behind).write_text("x")

    assert app_sources.digest(project) == before


def test_saved_added_and_removed_files_are_changes(project: Path) -> None:
    before = app_sources.stamps(project)

    (project / "chalicelib/items.py").write_text("ITEMS = 22\n")
    (project / "chalicelib/new.py").write_text("")
    (project / "chalicelib/web/index.html").unlink()

    assert app_sources.changes(before, app_sources.stamps(project)) == [
        Path("chalicelib/items.py"),
        Path("chalicelib/new.py"),
        Path("chalicelib/web/index.html"),
    ]


def test_file_saved_with_the_same_size_is_a_change(project: Path) -> None:
    os.utime(project / "app.py", (1, 1))
    before = app_sources.stamps(project)

    (project / "app.py").write_text("app = 2\n")

    assert app_sources.changes(before, app_sources.stamps(project)) == [Path("app.py")]


def test_digest_depends_on_content_names_and_inputs(project: Path) -> None:
    first = app_sources.digest(project, "Linux")
    assert app_sources.digest(project, "Darwin") != first

    (project / "chalicelib/items.py").rename(project / "chalicelib/things.py")
    assert app_sources.digest(project, "Linux") != first

    (project / "chalicelib/things.py").rename(project / "chalicelib/items.py")
    assert app_sources.digest(project, "Linux") == first


def test_copy_has_the_sources_only(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("copy") / "of"
    target.mkdir()
    (target / "stale.py").write_text("")

    app_sources.copy(project, target)

    assert app_sources.digest(target) == app_sources.digest(project)
    assert not (target / "stale.py").exists()
    assert not (target / "README.md").exists()


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("app.py", "x = 1\ndef (", "app.py, line 2: invalid syntax"),
        (".chalice/config.json", "{,}", ".chalice/config.json: Expecting property name"),
    ],
)
def test_syntax_error_is_one_line(project: Path, path: str, text: str, message: str) -> None:
    (project / path).write_text(text)

    problem = app_sources.syntax_error(project, [Path(path)])

    assert problem is not None
    assert problem.startswith(message)
    assert "\n" not in problem


def test_valid_and_removed_files_are_no_error(project: Path) -> None:
    assert app_sources.syntax_error(project, [Path("app.py"), Path(".chalice/config.json"), Path("gone.py")]) is None
