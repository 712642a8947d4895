"""What the pages tell a person to type, and a terminal to type it in."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import textwrap
from pathlib import Path

from tests.e2e.system import ROOT
from tools import processes

AWSCLI = ROOT / ".venv-awscli" / "bin"


def at_the_emulator(url: str) -> dict[str, str]:
    """The environment of a shell in which ``aws``, and every SDK, talk to the emulator there."""
    return {
        "PATH": f"{AWSCLI}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def block(page: str, name: str) -> str:
    """The code that follows the comment ``name`` in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^( *)<!-- {name} -->\n\1```\w*\n(.+?)^\1```$", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page} has no code behind <!-- {name} -->"
    return textwrap.dedent(found[2])


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
