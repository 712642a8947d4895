"""Start long-running commands, such as `make run` and `chalice local`, as a developer does in a terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.e2e.system import free_port, request
from tools import processes
from tools.laptop import emulator


class Terminal:
    """A running `make run` in a copy of the project."""

    def __init__(self, project: Path, port: int | None = None, emulator_port: int | None = None) -> None:
        self.project = project
        self.port = port or free_port()
        self.emulator_port = emulator_port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = emulator.client_factory(
            f"http://127.0.0.1:{self.emulator_port}", emulator.root_credentials(project / ".local" / "emulator")
        )
        self._log = project / ".local" / "terminal.log"
        ports = ["--port", str(self.port), "--emulator-port", str(self.emulator_port)]
        with self._log.open("wb") as log:
            self.process = processes.start(
                [sys.executable, "-m", "tools.laptop.run", *ports], env=shell(), cwd=project, output=log
            )

    @property
    def text(self) -> str:
        return self._log.read_text()

    def await_text(self, text: str, seconds: float = 60) -> None:
        until(lambda: text in self.text or self.process.poll() is not None, seconds)
        assert text in self.text, self.text

    def await_end(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)

    def descendants(self) -> set[int]:
        """Return the ids of all direct and indirect child processes."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}

    def close(self) -> None:
        processes.stop(self.process, 30)


def shell() -> dict[str, str]:
    """Return this process's environment without AWS variables and without the app's settings."""
    settings = ("STAGE", "AUTH_MODE", "BUCKET_NAME", "CORS_ORIGINS")
    return {name: value for name, value in processes.without_aws(os.environ).items() if name not in settings}


def until(happened: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"still not after {seconds} s"
        time.sleep(0.1)


@contextlib.contextmanager
def second_terminal(project: Path, variables: dict[str, str], stage: str | None = "local") -> Iterator[str]:
    """Run `chalice local` with these environment variables and yield its URL; stop it at the end.

    Pass ``--stage`` unless ``stage`` is None.
    """
    port = free_port()
    of_stage = ["--stage", stage] if stage else []
    command = [Path(sys.executable).with_name("chalice"), "local", *of_stage, "--port", str(port)]
    env = shell() | variables
    process = processes.start(command, env=env, cwd=project, output=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return request("GET", f"{url}/health").status == 200
        return False

    try:
        until(answers)
        yield url
    finally:
        processes.stop(process)
