"""`make run` in the process of the tests, from start to stop, so that its lines count as covered."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.system import copy_project, free_port, request
from tests.e2e.test_run import until
from tools.laptop import run
from tools.laptop.emulator import client_factory, root_credentials
from tools.laptop.terminal_output import Terminal


class Inside:
    """A run in this process: its output, and the actions that a thread takes on it."""

    def __init__(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.port, self.emulator_port = free_port(), free_port()
        self._stream = io.StringIO()
        self._failure: BaseException | None = None
        monkeypatch.setattr(run, "PROJECT_DIR", project)
        monkeypatch.setattr(run, "Terminal", lambda: Terminal(self._stream))

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def run(self, deeds: Callable[[], None]) -> int:
        """Run until it ends and return the exit status. Once ready, a thread calls ``deeds`` and sends SIGINT."""

        def do() -> None:
            try:
                until(lambda: "Ctrl-C stops it" in self.text, 60)
                deeds()
            except BaseException as error:  # noqa: BLE001 (raised again below, in the main thread)
                self._failure = error
            os.kill(os.getpid(), signal.SIGINT)

        before = signal.signal(signal.SIGINT, lambda number, frame: None)  # ignores a late Ctrl-C
        thread = threading.Thread(target=do)
        thread.start()
        try:
            return run.main(["--port", str(self.port), "--emulator-port", str(self.emulator_port)])
        finally:
            thread.join()
            signal.signal(signal.SIGINT, before)
            if self._failure is not None:
                raise self._failure


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(copy_project(tmp_path / "project"), monkeypatch)


def test_run_in_this_process(inside: Inside, tmp_path: Path) -> None:
    source = tmp_path / "project" / "chalicelib" / "errors.py"
    views = tmp_path / "project" / "app.py"

    def summary() -> str:
        document = request("GET", f"http://127.0.0.1:{inside.port}/openapi.json").json()
        text: str = document["paths"]["/hello"]["get"]["summary"]
        return text

    def deeds() -> None:
        home = tmp_path / "project" / ".local" / "emulator"
        client = client_factory(f"http://127.0.0.1:{inside.emulator_port}", root_credentials(home))
        good = source.read_text()
        source.write_text("def (")
        until(lambda: "The previous code keeps running." in inside.text)
        source.write_text(f"{good}\nSAVED = True\n")
        (tmp_path / "project" / "requirements.txt").touch()
        until(lambda: "in effect after" in inside.text)
        assert summary() == "Greet somebody"
        views.write_text(views.read_text().replace('"""Greet somebody."""', '"""Greet a person."""'))
        until(lambda: inside.text.count("in effect after") == 2)
        assert summary() == "Greet a person"
        assert "Wrote chalicelib/openapi.json" in inside.text
        assert request("GET", f"http://127.0.0.1:{inside.port}/health").status == 200
        client("s3").put_object(Bucket="vitrine-local-000000000000-us-east-1", Key="uploads/note.txt", Body=b"x")
        until(lambda: "on_upload     │ " in inside.text)

    assert inside.run(deeds) == 0
    assert inside.text.rstrip().endswith("Stopped. The data is kept for the next start.")
    assert "Saved chalicelib/openapi.json" not in inside.text


def test_killed_server_ends_the_run(inside: Inside) -> None:
    def deeds() -> None:
        output = os.popen("ps -A -ww -o pid=,args=").read()
        server = next(line for line in output.splitlines() if f"--port {inside.port} " in line)
        os.kill(int(server.split()[0]), signal.SIGKILL)
        until(lambda: "Stopping" in inside.text)

    assert inside.run(deeds) == 1
    assert "The server (chalice local) has ended" in inside.text
