"""`breakpoint()` in the code of a route, on the terminal in which `make run` was started."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.system import copy_project, free_port, request
from tests.e2e.terminals import shell
from tools import processes
from tools.laptop import breakpoints, emulator

if TYPE_CHECKING:
    import pytest


class Screen:
    """A pseudo-terminal with a program on it, and what it shows."""

    def __init__(self, command: list[str], project: Path) -> None:
        self._keyboard, terminal = pty.openpty()
        self.process = processes.start(command, env=shell(), cwd=project, stdin=terminal, output=terminal)
        os.close(terminal)
        self.text = ""

    def type_in(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def await_text(self, text: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self._keyboard], [], [], 1)[0]:
                self.text += os.read(self._keyboard, 4096).decode(errors="replace")

    def close(self) -> None:
        drain = threading.Thread(target=self._drain, daemon=True)  # so that the program can write its last lines
        drain.start()
        processes.stop(self.process, 30)
        drain.join(5)
        os.close(self._keyboard)

    def _drain(self) -> None:
        with contextlib.suppress(OSError):  # the program has ended
            while self.process.poll() is None:
                if select.select([self._keyboard], [], [], 0.2)[0]:
                    os.read(self._keyboard, 4096)


def test_breakpoint_in_a_route_stops_at_the_terminal(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    source = project / "app.py"
    text = source.read_text()
    for line in ("    return responses.json_response(schemas.Hello(", "    return hourly_cleanup.run("):
        text = text.replace(line, f"    breakpoint()\n{line}")
    source.write_text(text)
    url = f"http://127.0.0.1:{(port := free_port())}"
    emulator_port = free_port()
    ports = ["--port", str(port), "--emulator-port", str(emulator_port)]
    screen = Screen([sys.executable, "-m", "tools.laptop.run", *ports], project)
    answers = []
    try:
        screen.await_text("Ctrl-C stops it")
        caller = threading.Thread(target=lambda: answers.append(request("GET", f"{url}/hello?name=Ann")))
        caller.start()
        screen.await_text("(Pdb)")
        screen.type_in("p query.name\n")
        screen.await_text("'Ann'")
        screen.type_in("c\n")
        caller.join(30)
        cleaned = clean_up_in_the_emulator(project, emulator_port)
    finally:
        screen.close()

    assert [answer.json()["message"] for answer in answers] == ["Hello, Ann!"]
    assert cleaned == {}  # an event function has no terminal, and skips its breakpoint


def clean_up_in_the_emulator(project: Path, port: int) -> Any:
    """Invoke ``clean_up``. Return its result."""
    root = emulator.root_credentials(project / ".local" / "emulator")
    functions = emulator.client_factory(f"http://127.0.0.1:{port}", root)("lambda")
    (name,) = [
        one["FunctionName"] for one in functions.list_functions()["Functions"] if "CleanUp" in one["FunctionName"]
    ]
    return json.load(functions.invoke(FunctionName=name, Payload="{}")["Payload"])


def test_breakpoint_without_a_terminal_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEBUGGER_TERMINAL", "")

    breakpoints.debug_caller()

    assert capfd.readouterr().err == "breakpoint() skipped: make run has no terminal\n"


def test_debugger_of_the_environment_is_kept() -> None:
    assert breakpoints.environment({"PYTHONBREAKPOINT": "ipdb.set_trace"}) == {}
    assert breakpoints.environment({})["PYTHONBREAKPOINT"] == "tools.laptop.breakpoints.debug_caller"
