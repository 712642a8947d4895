"""A Chromium to test the console with: one that is on this machine, or else one that is put here.

python -m tools.chromium
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Debian, Ubuntu and Google call it. ``BROWSER_PATH`` names another."""


class BrowserError(Exception):
    """There is no browser to test with; the message is the sentence to show."""


def find() -> str | None:
    """The path of a browser that starts, or None. Raises BrowserError where ``BROWSER_PATH`` names none that does."""
    if named := os.environ.get("BROWSER_PATH"):
        if not _starts(named):
            raise BrowserError(f"BROWSER_PATH is {named!r}: that does not start.")
        return named
    candidates = [*(shutil.which(name) for name in NAMES), _of_playwright()]
    return next((path for path in candidates if path and _starts(path)), None)


def install() -> str:
    """Put one on this machine and return its path: Debian's where this may, else Playwright's own.

    Raises BrowserError where neither is to be had.
    """
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _tried(["apt-get", "update", "-qq"])
        _tried(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
        if path := find():
            return path
    libraries = ["--with-deps"] if os.geteuid() == 0 else []
    _tried([sys.executable, "-m", "playwright", "install", *libraries, "chromium"])
    if path := find():
        return path
    raise BrowserError("There is no Chromium, and none could be installed: install one, or name it in BROWSER_PATH.")


def _starts(path: str) -> bool:
    """Whether it is a browser. A stub that only tells of another package is none (Ubuntu's, without snapd)."""
    try:
        ended = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def _of_playwright() -> str | None:
    """Where Playwright keeps its own, or would."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it starts a process, and is the last resort

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _tried(command: list[str]) -> None:
    """Run it for what it may do: whether there is a browser afterwards is looked at, not how it ended."""
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def main() -> int:
    """Say which browser there is, after installing one where there was none. Returns the exit code."""
    try:
        print(f"Browser: {find() or install()}")
    except BrowserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
