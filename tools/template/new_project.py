"""Make a project of your own from this one: with another name, without the pages about this one, in a new repository.

python -m tools.template.new_project --name shop [--destination ../shop] [--dry-run]

The project consists of the committed files. A line with the comment ``left out by make new`` is not copied, and neither
are the lines from ``left out by make new: begin`` to ``left out by make new: end``.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from chalicelib.config import APP
from tools.stage.names import APP_NAME_RULE, is_app_name

PROJECT_DIR = Path(__file__).resolve().parents[2]

LEFT_OUT = (
    ".ci/recipes",
    ".github/workflows/recipes.yml",
    "bench",
    "docs/article.md",
    "docs/benchmarks",
    "docs/benchmarks.md",
    "docs/compared.md",
    "docs/decisions/0015-powertools-for-logs-and-metrics-only.md",
    "docs/decisions/0018-low-level-clients-and-msgspec.md",
    "docs/decisions/0019-thumbnails-come-from-one-decode.md",
    "docs/decisions/0023-a-batch-overlaps-transfers-and-is-bounded-by-memory.md",
    "docs/decisions/0025-what-is-deployed-is-a-small-precompiled-bundle.md",
    "docs/decisions/0026-clients-come-from-botocores-session.md",
    "docs/decisions/0027-memory-sizes-follow-from-measurements.md",
    "docs/screenshots",
    "docs/tutorial.md",
    "requirements-bench.txt",
    "tests/project",
    "tools/template",
)
"""Files and folders about this project itself: its measurements, its comparison, and the tests of its pages."""

REPLACED = {name: f"tools/template/new_project_files/{name}" for name in ("README.md", "CHANGELOG.md")}
"""Files with another text in a new project, and where that text is."""

UNCHANGED = ("LICENSE",)
"""Files that keep this project's name (Apache License 2.0, section 4)."""

MARK = "left out by make new"

_GIT_VARIABLES = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE")
"""git sets them for hooks. They name this repository."""


class NewProjectError(Exception):
    """The project cannot be made. The message says what to do."""


class File(NamedTuple):
    """A file of the new project. ``status`` is what happened to it: ``copied``, ``changed`` or ``replaced``."""

    path: str
    content: bytes
    mode: int
    status: str


def check_name(name: str) -> str:
    """Return ``name``. Raise NewProjectError if a project cannot have it."""
    if not name:
        raise NewProjectError("The name is missing: make new NAME=shop")
    if not is_app_name(name):
        raise NewProjectError(f"{name!r} is not a name for a project: it must be {APP_NAME_RULE}.")
    if name == APP:
        raise NewProjectError(f"This project is called {APP} already: choose another name.")
    return name


def check_destination(destination: Path) -> Path:
    """Return the absolute path of ``destination``. Raise NewProjectError if no project can be made there."""
    path = destination.expanduser().absolute()
    if path.exists():
        raise NewProjectError(f"{path} exists already: choose another folder with DEST=, or delete it.")
    if not path.parent.is_dir():
        raise NewProjectError(f"{path.parent} is not a folder: create it, or choose another one with DEST=.")
    if path.parent.resolve().is_relative_to(PROJECT_DIR):
        raise NewProjectError(f"{path} is inside this project: choose a folder outside with DEST=.")
    return path


def new_files(name: str) -> Iterator[File]:
    """Yield the files of the new project, made from the committed files of this one."""
    committed = {member.name: (member, content) for member, content in _archive()}
    for path, (member, content) in committed.items():
        if is_left_out(path):
            continue
        source = committed[REPLACED[path]][1] if path in REPLACED else content
        changed = source if path in UNCHANGED else _changed(path, source, name)
        status = "replaced" if path in REPLACED else "copied" if changed == content else "changed"
        yield File(_renamed(path, name), changed, member.mode, status)


def left_out() -> list[str]:
    """Return the committed files that a new project does not have."""
    return [member.name for member, _ in _archive() if is_left_out(member.name)]


def is_left_out(path: str) -> bool:
    """Return whether a new project has no file ``path``, relative to the project."""
    return any(path == one or path.startswith(f"{one}/") for one in LEFT_OUT)


def without_marked_lines(text: str) -> str:
    """Return ``text`` without the lines that are marked to be left out. Raise ValueError if a block has no end."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if f"{MARK}: begin" in line:
            inside = True
        elif f"{MARK}: end" in line:
            inside = False
        elif not inside and MARK not in line:
            kept.append(line)
    if inside:
        raise ValueError(f"There is no '{MARK}: end' in: {text[:60]}")
    return re.sub(r"\n{4,}", "\n\n\n", "".join(kept))


def without_dead_links(page: str, text: str) -> str:
    """Return a Markdown page without list items and remarks in parentheses that link to a page that is left out."""

    def is_dead(link: str) -> bool:
        target = os.path.normpath(PurePosixPath(page).parent / link.partition("#")[0])
        return "://" not in link and is_left_out(target)

    def remark(found: re.Match[str]) -> str:
        return "" if is_dead(found[1]) else found[0]

    text = re.sub(r"\s\(\[[^]]*\]\(([^)\s]+)\)\)", remark, text)
    item = r"(?m)^- \**\[[^]]*\]\(([^)\s]+)\).*\n(?:  .*\n)*"
    without_items = re.sub(item, remark, text)
    return re.sub(r"(?m)^## .*\n\s*(?=^## |\Z)", "", without_items).rstrip() + "\n"


def make(name: str, destination: Path) -> int:
    """Write the project and commit it. Return the number of its files. Raise NewProjectError if git cannot commit."""
    files = list(new_files(name))
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=destination.parent))
    except OSError as error:
        raise NewProjectError(f"{destination.parent} cannot be written: {error.strerror}.") from error
    try:
        for file in files:
            _write(folder / file.path, file)
        _format(folder)
        _git(folder, "init", "--quiet", "--initial-branch=main")
        _git(folder, "add", "--all")
        commit = _git(PROJECT_DIR, "rev-parse", "--short", "HEAD").decode().strip()
        _git(folder, "commit", "--quiet", "--no-verify", "--message", f"Start from {APP.capitalize()}, commit {commit}")
        folder.chmod(0o755)
        folder.rename(destination)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return len(files)


def _archive() -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield the committed files with their content."""
    archive = _git(PROJECT_DIR, "archive", "--format=tar", "HEAD")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content:
                yield member, content.read()


def _changed(path: str, content: bytes, name: str) -> bytes:
    if b"\0" in content:
        return content  # a picture
    text = without_marked_lines(content.decode())
    if path.endswith(".md"):
        text = without_dead_links(path, text)
    return _renamed(text, name).encode()


def _renamed(text: str, name: str) -> str:
    return text.replace(APP, name).replace(APP.capitalize(), name.capitalize())


def _write(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    path.chmod(file.mode | 0o200)


def _format(folder: Path) -> None:
    """Sort the imports and break the lines again, which depend on the name."""
    for arguments in (["check", "--fix", "--select", "I"], ["format"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--no-cache", "."]
        subprocess.run(command, cwd=folder, check=True)


def _git(folder: Path, *arguments: str) -> bytes:
    """Run git and return its output. Raise NewProjectError with its message if it fails."""
    environ = {name: value for name, value in os.environ.items() if name not in _GIT_VARIABLES}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, check=False)
    if done.returncode != 0:
        raise NewProjectError(f"git {arguments[0]} failed: {(done.stderr or done.stdout).decode().strip()}")
    return done.stdout


def _check_git() -> None:
    """Raise NewProjectError if this project is no git clone, or git cannot commit."""
    if not (PROJECT_DIR / ".git").exists():
        raise NewProjectError("This folder is not a git clone, but what is committed is copied: clone the repository.")
    try:
        _git(PROJECT_DIR, "var", "GIT_COMMITTER_IDENT")
    except NewProjectError:
        raise NewProjectError(
            "git does not know who you are, so it cannot commit:\n"
            '  git config --global user.name "Your Name"\n'
            "  git config --global user.email you@example.com"
        ) from None


def _report_uncommitted_files() -> None:
    lines = _git(PROJECT_DIR, "status", "--porcelain").decode().splitlines()
    if lines:
        print(f"Only committed files are copied. {len(lines)} files have changes that are not:")
        print("\n".join(f"  {line[3:]}" for line in lines[:20]))


def _report_files(name: str) -> None:
    for file in new_files(name):
        print(f"{file.status:<9} {file.path}")
    for path in left_out():
        print(f"left out  {path}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.template.new_project",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help=f"the name of the project: {APP_NAME_RULE}")
    parser.add_argument("--destination", type=Path, help="its folder; by default, it is beside this one")
    parser.add_argument("--dry-run", action="store_true", help="only list the files")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    options = parser().parse_args(arguments)
    try:
        name = check_name(options.name)
        destination = check_destination(options.destination or PROJECT_DIR.parent / name)
        _check_git()
        _report_uncommitted_files()
        if options.dry_run:
            _report_files(name)
            return 0
        number = make(name, destination)
    except NewProjectError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Made {name} in {destination}: {number} files, in a new git repository with one commit. Next:")
    print(f"  cd {shlex.quote(os.path.relpath(destination))}\n  make run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
