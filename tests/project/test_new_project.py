"""``make new`` makes a project with another name, and nothing about this one."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.project.test_docs import anchors, links
from tools import processes
from tools.template import new_project, recipe_checks
from tools.template.new_project import NewProjectError
from tools.template.scratch_copy import copy_working_tree, share_environments

PROJECT = Path(__file__).resolve().parents[2]
NAME = "abcdefghijklmn"
"""A name of the greatest length, because it makes lines longer."""
TARGETS = ("new", "recipes", "test-project", "bench", "bench-images")
"""The targets of make that are about this project itself."""


def make_new(clone: Path, *variables: str, **environ: str) -> subprocess.CompletedProcess[str]:
    identity = {"GIT_AUTHOR_NAME": "Ann", "GIT_COMMITTER_NAME": "Ann", "EMAIL": "ann@example.com"}
    # If `make test-project` runs this, the inner make would print the folders that it enters.
    top_level = {"MAKEFLAGS": "", "MAKELEVEL": ""}
    return subprocess.run(
        ["make", "new", *variables],
        cwd=clone,
        env=processes.without_aws(os.environ) | {"GIT_CONFIG_GLOBAL": "/dev/null"} | identity | top_level | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of the working tree with everything committed."""
    folder = tmp_path_factory.mktemp("clone") / "clone"
    copy_working_tree(PROJECT, folder)
    share_environments(PROJECT, folder)
    return folder


@pytest.fixture(scope="module")
def made(clone: Path) -> Path:
    """Return a new project, made from the clone."""
    done = make_new(clone, f"NAME={NAME}")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = clone.parent / NAME
    share_environments(PROJECT, folder)
    return folder


def texts(folder: Path) -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True)
    contents = {name: (folder / name).read_bytes() for name in listed.stdout.splitlines()}
    return {name: content.decode() for name, content in contents.items() if b"\0" not in content}


@pytest.mark.parametrize("path", new_project.LEFT_OUT)
def test_what_is_left_out_exists_here(path: str) -> None:
    assert (PROJECT / path).exists()


def test_no_file_has_the_old_name(made: Path) -> None:
    assert [name for name, text in texts(made).items() if "vitrine" in (name + text).lower()] == ["LICENSE"]


def test_nothing_about_this_project_is_left(made: Path) -> None:
    paths = [path if "/" in path or "." in path else f"{path}/" for path in new_project.LEFT_OUT]
    paths.remove("docs/screenshots")  # make screenshots creates them
    words = [re.escape(text) for text in (*paths, new_project.MARK)]
    words += [rf"make ({'|'.join(TARGETS)})\b(?!-)", rf"^({'|'.join(TARGETS)}):"]
    forbidden = re.compile(rf"(?m)(?<![\w/-])({'|'.join(words)})")
    found = {name: forbidden.findall(text) for name, text in texts(made).items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_links_lead_to_a_page_and_a_heading(made: Path) -> None:
    pages = [made / name for name in texts(made) if name.endswith(".md")]
    assert made / "docs" / "adapting.md" in pages
    for page in pages:
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_project_has_one_commit_and_no_other_files(made: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=made, capture_output=True, text=True, check=True).stdout

    assert git("rev-list", "--count", "HEAD") == "1\n"
    assert git("status", "--porcelain") == ""
    assert git("remote") == ""
    assert git("log", "--format=%an %s").startswith("Ann Start from Vitrine, commit ")
    assert os.access(made / ".ci" / "run", os.X_OK)


def test_recipes_apply_one_after_another(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / NAME
    copy_working_tree(made, copy)
    for name in recipe_checks.compatible(made):
        recipe_checks.apply(copy, name)


def test_dry_run_lists_every_file_and_makes_nothing(clone: Path, tmp_path: Path) -> None:
    done = make_new(clone, "NAME=shop", f"DEST={tmp_path / 'shop'}", "DRY_RUN=1")

    listed = dict(reversed(line.rsplit(" ", 1)) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert listed.keys() == {*subprocess.check_output(["git", "ls-files"], cwd=clone, text=True).splitlines()}
    assert {path: listed[path].strip() for path in ("app.py", "LICENSE", "README.md", "docs/compared.md")} == {
        "app.py": "copied",
        "LICENSE": "copied",
        "README.md": "replaced",
        "docs/compared.md": "left out",
    }
    assert listed["chalicelib/config.py"].strip() == "changed"
    assert list(tmp_path.iterdir()) == []


def test_uncommitted_files_are_named_and_not_copied(clone: Path, tmp_path: Path) -> None:
    note = clone / "note.txt"
    note.write_text("mine")
    try:
        done = make_new(clone, "NAME=shop", f"DEST={tmp_path / 'shop'}")
    finally:
        note.unlink()
    assert "Only committed files are copied. 1 files have changes that are not:\n  note.txt\n" in done.stdout
    assert done.returncode == 0
    assert not (tmp_path / "shop" / "note.txt").exists()


@pytest.mark.parametrize("name", ["my-shop", "Shop", "1st", "a" * 15, "cognitoshop"])
def test_invalid_name_is_refused(clone: Path, name: str) -> None:
    done = make_new(clone, f"NAME={name}")
    assert f"'{name}' is not a name for a project: it must be 1 to 14 lowercase letters and digits" in done.stderr
    assert done.returncode != 0


def test_missing_name_is_explained(clone: Path) -> None:
    assert "The name is missing: make new NAME=shop\n" in make_new(clone).stderr


def test_name_of_this_project_is_refused() -> None:
    with pytest.raises(NewProjectError, match="is called vitrine already"):
        new_project.check_name("vitrine")


def test_existing_destination_is_not_changed(clone: Path, tmp_path: Path) -> None:
    done = make_new(clone, "NAME=shop", f"DEST={tmp_path}")
    assert f"{tmp_path} exists already: choose another folder with DEST=, or delete it.\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("destination", "problem"),
    [(PROJECT / "shop", "is inside this project"), (PROJECT.parent / "no" / "such" / "shop", "is not a folder")],
)
def test_destination_is_checked(destination: Path, problem: str) -> None:
    with pytest.raises(NewProjectError, match=problem):
        new_project.check_destination(destination)


def test_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(new_project, "new_files", lambda _: [])
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)

    with pytest.raises(NewProjectError, match=re.escape(f"{tmp_path} cannot be written: Permission denied.")):
        new_project.make("shop", tmp_path / "shop")


def test_unknown_git_user_is_explained(clone: Path, tmp_path: Path) -> None:
    unknown = {"GIT_AUTHOR_NAME": "", "GIT_COMMITTER_NAME": "", "HOME": str(tmp_path)}
    done = make_new(clone, "NAME=shop", f"DEST={tmp_path / 'shop'}", **unknown)
    assert 'git config --global user.name "Your Name"' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_marked_lines_are_left_out() -> None:
    text = "one\ntwo # left out by make new\n# left out by make new: begin\nthree\n# left out by make new: end\nfour\n"
    assert new_project.without_marked_lines(text) == "one\nfour\n"


def test_marked_block_without_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="There is no 'left out by make new: end'"):
        new_project.without_marked_lines("# left out by make new: begin\n")


def test_links_to_pages_that_are_left_out_are_removed() -> None:
    text = (
        "It is fast\n([how](compared.md)). See [Settings](settings.md).\n\n"
        "- [Compared](compared.md): with\n  others\n- [Errors](errors.md)\n"
    )
    assert new_project.without_dead_links("docs/page.md", text) == (
        "It is fast. See [Settings](settings.md).\n\n- [Errors](errors.md)\n"
    )
