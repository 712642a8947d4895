"""Start, replace and stop ``chalice local``, which serves HTTP for the stage local."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from chalicelib.config import LOCAL
from tools import processes
from tools.laptop import breakpoints
from tools.laptop.api_server import LOADED_FD
from tools.laptop.terminal_output import Terminal
from tools.stage.errors import StageError

_START_TIMEOUT = 30.0  # seconds
_NAME = "http"
_OPTIONS = ("local", "--stage", LOCAL)


class ServerError(Exception):
    """The server is not running. The message is the sentence to show to the user."""


class Server:
    """A server whose code can be replaced.

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
        self._next: _LoadingProcess | None = None

    def start(self) -> None:
        """Start it. It is ready a little later (``wait_until_ready``). Raise StageError if the app does not load."""
        self.load()
        self.wait_until_loaded()
        self.replace()

    def load(self) -> None:
        """Start a process that loads the app. Until ``replace``, the one that runs already keeps serving."""
        self.discard()
        self._next = _LoadingProcess(self._project_dir, self._port)

    def wait_until_loaded(self) -> None:
        """Wait until ``replace`` is possible. Raise StageError if the app does not load, or takes too long."""
        if self._next is not None:
            self._next.wait()

    def discard(self) -> None:
        """End the process that ``load`` started, if it was not put into service."""
        if self._next is not None:
            self._next.stop()
            self._next = None

    def replace(self) -> None:
        """Stop the process that serves, if there is one, and let the loaded one serve (``wait_until_ready``)."""
        self._stop_serving()
        if self._next is not None:
            self._process, self._next = self._next.process, None
            if self._process.stdout is not None and self._process.stdin is not None:
                self._output = self._terminal.follow(_NAME, self._process.stdout)
                with contextlib.suppress(BrokenPipeError), self._process.stdin as start:
                    start.write(b"serve\n")

    def wait_until_ready(self) -> None:
        """Wait until it responds, even with an error. Raise ServerError if it ends or takes too long."""
        end = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < end:
            self.check()
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except urllib.error.HTTPError:
                return
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
        self.discard()
        self._stop_serving()

    def _stop_serving(self) -> None:
        if self._process is not None:
            processes.stop(self._process)
            with contextlib.suppress(RuntimeError):
                if self._output is not None:
                    self._output.join(1)


class _LoadingProcess:
    """A process that loads the app, and then waits to be put into service."""

    def __init__(self, project_dir: Path, port: int) -> None:
        self._project_dir = project_dir
        read_end, write_end = os.pipe()
        self._loaded = os.fdopen(read_end, "rb")
        try:
            self.process = processes.start(
                [sys.executable, "-m", "tools.laptop.api_server", *_OPTIONS, "--port", str(port), "--no-autoreload"],
                env=_environment(write_end),
                cwd=project_dir,
                stdin=subprocess.PIPE,
                output=subprocess.PIPE,
                keep_open=[write_end],
            )
        finally:
            os.close(write_end)

    def wait(self) -> None:
        """Wait until the app is loaded. Raise StageError if it does not load, or takes too long."""
        with self._loaded:
            ready, _, _ = select.select([self._loaded], [], [], _START_TIMEOUT)
            if ready and self._loaded.read():
                return
        if not ready:
            raise StageError(f"Timeout: the app did not load within {_START_TIMEOUT:.0f} s.")
        output, _ = self.process.communicate()
        problem = processes.error_summary(output.decode(errors="replace").replace(f"{self._project_dir}/", ""))
        raise StageError(f"The app does not load. {problem}")

    def stop(self) -> None:
        processes.stop(self.process)
        self._loaded.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _environment(write_end: int) -> dict[str, str]:
    own = {"PYTHONUNBUFFERED": "1", LOADED_FD: str(write_end)}
    return processes.without_aws(os.environ) | breakpoints.environment(os.environ) | own
