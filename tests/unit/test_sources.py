"""What counts as a source of the app, and what is noticed about it."""

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


def test_sources_are_what_the_package_is_made_of(project: Path) -> None:
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
def test_what_programs_leave_behind_is_no_source(project: Path, left_behind: str) -> None:
    before = app_sources.digest(project)

    (project / left_behind).parent.mkdir(parents=True, exist_ok=True)
    (project / left_behind).write_text("x")

    assert app_sources.digest(project) == before


def test_a_saved_an_added_and_a_removed_file_are_changes(project: Path) -> None:
    before = app_sources.stamps(project)

    (project / "chalicelib/items.py").write_text("ITEMS = 22\n")
    (project / "chalicelib/new.py").write_text("")
    (project / "chalicelib/web/index.html").unlink()

    assert app_sources.changes(before, app_sources.stamps(project)) == [
        Path("chalicelib/items.py"),
        Path("chalicelib/new.py"),
        Path("chalicelib/web/index.html"),
    ]


def test_a_file_saved_with_the_same_size_is_a_change(project: Path) -> None:
    os.utime(project / "app.py", (1, 1))
    before = app_sources.stamps(project)

    (project / "app.py").write_text("app = 2\n")

    assert app_sources.changes(before, app_sources.stamps(project)) == [Path("app.py")]


def test_the_digest_follows_content_names_and_what_else_decides(project: Path) -> None:
    first = app_sources.digest(project, "Linux")
    assert app_sources.digest(project, "Darwin") != first

    (project / "chalicelib/items.py").rename(project / "chalicelib/things.py")
    assert app_sources.digest(project, "Linux") != first

    (project / "chalicelib/things.py").rename(project / "chalicelib/items.py")
    assert app_sources.digest(project, "Linux") == first


def test_a_copy_holds_the_sources_alone(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("copy") / "of"
    target.mkdir()
    (target / "stale.py").write_text("")

    app_sources.copy(project, target)

    assert app_sources.digest(target) == app_sources.digest(project)
    assert not (target / "stale.py").exists()
    assert not (target / "README.md").exists()


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("app.py", "x = 1\ndef (", "app.py, line 2: invalid syntax"),
        (".chalice/config.json", "{,}", ".chalice/config.json: Expecting property name"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(project: Path, path: str, text: str, said: str) -> None:
    (project / path).write_text(text)

    problem = app_sources.problem(project, [Path(path)])

    assert problem is not None
    assert problem.startswith(said)
    assert "\n" not in problem


def test_a_good_file_and_a_removed_one_are_no_problem(project: Path) -> None:
    assert app_sources.problem(project, [Path("app.py"), Path(".chalice/config.json"), Path("gone.py")]) is None
