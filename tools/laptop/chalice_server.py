"""Start and stop ``chalice local``, which serves HTTP for the stage local."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from chalicelib.config import LOCAL
from tools import processes
from tools.laptop.terminal import Terminal

_START_TIMEOUT = 30.0  # seconds
_NAME = "http"


class ServerError(Exception):
    """The server is not running. The message is the sentence to show to the user."""


class Server:
    """A server that can be restarted.

    Chalice's own reloader is off. It watches the whole project folder, so it would restart for each picture that the
    emulator stores in .local/, and it exits at the first source file that does not load.
    """

    def __init__(self, project_dir: Path, port: int, terminal: Terminal) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._project_dir = project_dir
        self._port = port
        self._terminal = terminal
        self._process: subprocess.Popen[bytes] | None = None
        self._output: threading.Thread | None = None

    def start(self) -> None:
        """Start it. It is ready a little later (``wait_until_ready``)."""
        chalice = Path(sys.executable).with_name("chalice")
        command: list[str | Path] = [
            chalice,
            "local",
            "--stage",
            LOCAL,
            "--port",
            str(self._port),
            "--no-autoreload",
        ]
        env = processes.without_aws(os.environ) | {"PYTHONUNBUFFERED": "1"}
        self._process = processes.start(command, env=env, cwd=self._project_dir, output=subprocess.PIPE)
        if self._process.stdout is not None:
            self._output = self._terminal.follow(_NAME, self._process.stdout)

    def wait_until_ready(self) -> None:
        """Wait until GET /health succeeds. Raise ServerError if it ends or takes too long."""
        end = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < end:
            self.check()
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except urllib.error.HTTPError as error:
                raise ServerError(
                    f"GET /health failed with status {error.code}: see the lines of http above."
                ) from error
            except OSError:
                time.sleep(0.05)
        raise ServerError(f"Timeout: the server did not respond within {_START_TIMEOUT:.0f} s.")

    def check(self) -> None:
        """Raise ServerError if it has ended."""
        if self._process is None or self._process.poll() is not None:
            if self._output is not None:
                self._output.join(1)
            raise ServerError("The server (chalice local) has ended: see the lines of http above.")

    def stop(self) -> None:
        """Stop it. May be called twice."""
        if self._process is not None:
            processes.stop(self._process)
            with contextlib.suppress(RuntimeError):
                if self._output is not None:
                    self._output.join(1)
