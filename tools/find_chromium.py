"""Find a Chromium for the browser tests, or install one.

python -m tools.find_chromium
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The names of the program in Debian, Ubuntu and Google's packages. ``BROWSER_PATH`` names another.

The first one has no window and no tab strip, so it takes a quarter less processor time.
"""


class BrowserError(Exception):
    """There is no usable browser. The message is the sentence to show to the user."""


def find() -> str | None:
    """Return the path of a browser that starts, or None. Raise BrowserError if that in ``BROWSER_PATH`` does not."""
    if path := os.environ.get("BROWSER_PATH"):
        if not _starts(path):
            raise BrowserError(f"The program in BROWSER_PATH does not start: {path!r}.")
        return path
    candidates = [*(shutil.which(name) for name in NAMES), _playwright_path()]
    return next((path for path in candidates if path and _starts(path)), None)


def install() -> str:
    """Install a browser and return its path: from apt as root, otherwise Playwright's.

    Raise BrowserError if both fail.
    """
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run(["apt-get", "update", "-qq"])
        for package in ("chromium-headless-shell", "chromium"):
            _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
            if path := find():
                return path
    libraries = ["--with-deps"] if os.geteuid() == 0 else []
    _run([sys.executable, "-m", "playwright", "install", *libraries, "chromium"])
    if path := find():
        return path
    raise BrowserError("Installing Chromium failed: install one, or set BROWSER_PATH to it.")


def _starts(path: str) -> bool:
    """Return whether the browser at ``path`` starts. Ubuntu's package without snapd is a stub that does not."""
    try:
        ended = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def _playwright_path() -> str | None:
    """Return the path of Playwright's own browser, or None if it is not installed."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - starts a process, so only if necessary

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _run(command: list[str]) -> None:
    """Run a command and ignore its exit status: the caller checks whether there is a browser."""
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def main() -> int:
    """Print the path of the browser, after installing one if necessary. Return the exit code."""
    try:
        print(f"Browser: {find() or install()}")
    except BrowserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
