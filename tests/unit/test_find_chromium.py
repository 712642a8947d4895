"""The choice of the browser for the browser tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import find_chromium


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setattr(find_chromium, "_playwright_path", lambda: None)
    return tmp_path


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_first_browser_that_starts_is_used(programs: Path) -> None:
    program(programs / "chromium-browser", "echo 'Install it as a snap'; exit 1")
    chrome = program(programs / "google-chrome", "echo Google Chrome 150")

    assert find_chromium.find() == chrome


def test_browser_path_is_used(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs / "chromium", "exit 0")
    monkeypatch.setenv("BROWSER_PATH", program(programs / "mine", "exit 0"))

    assert find_chromium.find() == str(programs / "mine")


def test_wrong_browser_path_is_an_error(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs / "chromium", "exit 0")
    monkeypatch.setenv("BROWSER_PATH", str(programs / "nowhere"))

    with pytest.raises(find_chromium.BrowserError, match="BROWSER_PATH"):
        find_chromium.find()


def test_root_installs_from_apt(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = f"printf '#!{os.path.realpath('/bin/sh')}\\n' > {programs}/chromium; /bin/chmod 755 {programs}/chromium"
    program(programs / "apt-get", f'[ "$1" = update ] || {{ {made}; }}')
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert find_chromium.install() == str(programs / "chromium")


def test_failed_installation_is_an_error(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("sys.executable", program(programs / "python", "exit 1"))

    with pytest.raises(find_chromium.BrowserError, match="install one"):
        find_chromium.install()
