"""Make a copy of the project to run checks in, which uses its installed environments."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ENVIRONMENTS = (".venv", ".venv-awscli", ".venv-emulator", ".venv-node", ".venv-scan")
_LISTED = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]


def copy_working_tree(project: Path, copy: Path) -> None:
    """Copy the files of ``project`` that git tracks or would add, as they are now, into a new git repository."""
    listed = subprocess.run(_LISTED, cwd=project, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (project / name).is_file():  # git also lists files that were deleted but not yet removed from the index
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, copy / name)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    commit_all(copy)


def commit_all(copy: Path) -> None:
    """Commit all files of ``copy``."""
    identity = ["-c", "user.name=copy", "-c", "user.email=copy@localhost"]
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "--message", "Copy"], cwd=copy, check=True)


def share_environments(project: Path, copy: Path) -> None:
    """Let ``copy`` use the environments that ``project`` has. make creates the others in it."""
    for name in ENVIRONMENTS:
        if (project / name).exists():
            (copy / name).symlink_to((project / name).resolve())
    with (copy / ".git" / "info" / "exclude").open("a") as excluded:
        excluded.writelines(f"/{name}\n" for name in ENVIRONMENTS)
    # make creates an environment again if one of these files is newer than it.
    for path in (*copy.glob("requirements*.txt"), copy / "package-lock.json"):
        os.utime(path, (0, 0))
