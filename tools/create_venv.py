"""Create a virtual environment with the packages of a requirements file, and show the progress.

python -m tools.create_venv .venv requirements-dev.txt

It uses only the standard library, because it runs before anything is installed. On a terminal, one line counts the
packages; without a terminal, it is written once. pip's output is kept in ``.log`` in the environment.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

_FOUND = ("Collecting ", "Processing ", "Requirement already satisfied: ")
"""How pip's line about each package starts, which it writes before it downloads the package or reads it from a file."""

_FOR_ANOTHER_PYTHON = "Ignoring "
_INSTALLING = "Installing collected packages"
# Most modules are never imported: compiling none of them saves a quarter of the time.
_INSTALL = ("-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile")
_CLEAR_LINE = "\r\x1b[K"  # ECMA-48, section 8.3.41


class VenvError(Exception):
    """The environment could not be created. The message is what to show to the user."""


def create(venv: Path, requirements: Path, out: IO[str]) -> None:
    """Replace the environment ``venv`` by a new one with the packages of ``requirements``. Raise VenvError if it fails.

    A new one has nothing left of an older set.
    """
    shutil.rmtree(venv, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, check=False).returncode != 0:
        shutil.rmtree(venv, ignore_errors=True)
        raise VenvError(
            f"{sys.executable} cannot create virtual environments: install its venv module"
            " (Debian, Ubuntu: apt install python3-venv)."
        )
    log = venv / ".log"
    process = subprocess.Popen(
        [venv / "bin" / "python", *_INSTALL, "-r", requirements],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    title = f"Setting up {venv} (Python {platform.python_version()}), once: "
    with log.open("w", encoding="utf-8") as file, process:
        show(title, progress(_copied(process.stdout or (), file), count_pins(requirements)), out)
    if process.returncode != 0:
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "error" in line.lower()]
        raise VenvError("\n".join([*errors, f"Installing {requirements} failed: see {log} for pip's output."]))


def count_pins(requirements: Path) -> int:
    """Return the number of packages that a requirements file, and the files it includes, name with a version."""
    count = 0
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if included := re.fullmatch(r"-r +(\S+)", line.strip()):
            count += count_pins(requirements.with_name(included[1]))
        else:
            count += re.match(r"[A-Za-z0-9][^#]*==", line) is not None
    return count


def progress(lines: Iterable[str], total: int) -> Iterator[str]:
    """Yield the state after each line of pip's output that changes it. ``total`` is the number of packages."""
    found = 0
    for line in lines:
        if line.startswith(_FOR_ANOTHER_PYTHON):
            total -= 1
        elif line.startswith(_FOUND):
            found += 1
            yield f"{found} of {max(found, total)} packages"
        elif line.startswith(_INSTALLING):
            yield f"installing {found} packages"


def show(title: str, states: Iterable[str], out: IO[str]) -> None:
    """Write ``title`` with the current state, on one line that changes, or without a terminal ``title`` alone."""
    if not out.isatty():
        out.write(f"{title.rstrip(': ')}\n")
        out.flush()
        for _ in states:
            pass
        return
    out.write(title)
    out.flush()
    for state in states:
        out.write(f"{_CLEAR_LINE}{title}{state}")
        out.flush()
    out.write("\n")


def _copied(lines: Iterable[str], file: IO[str]) -> Iterator[str]:
    for line in lines:
        file.write(line)
        file.flush()
        yield line


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    parser = argparse.ArgumentParser(description="Create a virtual environment, and show the progress.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("requirements", type=Path)
    options = parser.parse_args(arguments)
    try:
        create(options.venv, options.requirements, sys.stdout)
    except VenvError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
