"""`chalice local`, as `make run` runs it: HTTP for the stage local."""

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

from tools import processes
from tools.laptop.terminal import Terminal
from tools.stage.names import LOCAL

_READY_WITHIN = 30.0  # seconds
_NAME = "http"


class ServerError(Exception):
    """The server does not run; the message is the whole sentence to show."""


class Server:
    """A server that can be started anew.

    Chalice's own reloader stays off. It watches the whole project folder, so that each picture that the
    emulator stores in .local/ would restart it, and it ends for good at the first source that does not load.
    """

    def __init__(self, project_dir: Path, port: int, terminal: Terminal) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._project_dir = project_dir
        self._port = port
        self._terminal = terminal
        self._process: subprocess.Popen[bytes] | None = None
        self._output: threading.Thread | None = None

    def start(self) -> None:
        """Start it; it answers a little later (``await_ready``)."""
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

    def await_ready(self) -> None:
        """Wait until it answers GET /health. Raises ServerError where it ends, or takes too long."""
        end = time.monotonic() + _READY_WITHIN
        while time.monotonic() < end:
            self.check()
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except urllib.error.HTTPError as error:
                raise ServerError(f"The app answers {error.code} to GET /health: see its lines above.") from error
            except OSError:
                time.sleep(0.05)
        raise ServerError(f"The server did not answer within {_READY_WITHIN:.0f} s.")

    def check(self) -> None:
        """Raises ServerError where it has ended."""
        if self._process is None or self._process.poll() is not None:
            if self._output is not None:
                self._output.join(1)
            raise ServerError("The server (chalice local) has ended: see its lines above.")

    def stop(self) -> None:
        """End it. May be called twice."""
        if self._process is not None:
            processes.stop(self._process)
            with contextlib.suppress(RuntimeError):
                if self._output is not None:
                    self._output.join(1)
