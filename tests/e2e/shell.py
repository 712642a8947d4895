"""A terminal, to type in what the pages tell a person to type."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.e2e.system import ROOT
from tools import processes
from tools.laptop.emulator import ACCOUNT, Emulator

AWSCLI = ROOT / ".venv-awscli" / "bin"


def at_the_emulator(emulator: Emulator, account: str = ACCOUNT) -> dict[str, str]:
    """The environment of a shell in which ``aws``, and every SDK, talk to the emulator as an account's root."""
    root = emulator.root(account)
    return {
        "PATH": f"{AWSCLI}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": root.access_key,
        "AWS_SECRET_ACCESS_KEY": root.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def type_in(script: str, folder: Path, answers: str = "", **variables: str) -> str:
    """Run a script in bash, in ``folder``, which stops at the first command that fails; returns what it printed.

    ``answers`` are lines that somebody types ahead, to be read by whoever asks.
    """
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answers.encode())
    try:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=processes.without_aws(os.environ) | variables,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
