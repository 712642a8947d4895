"""Run the shell commands from the documentation in a pseudo-terminal."""

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
    """Return the environment in which ``aws`` and the AWS SDKs use the emulator as root of ``account``."""
    root = emulator.root(account)
    return {
        "PATH": f"{AWSCLI}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": root.access_key,
        "AWS_SECRET_ACCESS_KEY": root.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def type_in(script: str, folder: Path, answers: str = "", timeout: float = 180, **variables: str) -> str:
    """Run a bash script in ``folder`` and return its output; stop at the first command that fails.

    ``answers`` are the lines on standard input, which is a pseudo-terminal. Raise AssertionError if the script fails,
    and TimeoutExpired after ``timeout`` seconds.
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
            timeout=timeout,
            check=False,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
