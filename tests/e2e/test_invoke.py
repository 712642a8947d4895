"""`python -m tools.ops invoke`, against the emulator and in the process of the command."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.system import System
from tests.e2e.terminals import shell, until
from tests.e2e.waiting import eventually
from tools import processes
from tools.laptop import run

FUNCTIONS = ("api_handler", "authorize", "on_upload", "on_messages", "on_deliveries", "on_change", "clean_up")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def invoke(system: System, *words: str, text: str = "") -> Ended:
    """Run the command for the stage local, with ``text`` on standard input."""
    run.write_aws_config(system.project, system.emulator)
    ended = subprocess.run(
        [sys.executable, "-m", "tools.ops", "--stage", "local", "invoke", *words],
        cwd=system.project,
        env=shell(),
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def sample(system: System, function: str, folder: Path) -> str:
    """Write a sample of the function's event into a file, and return its path."""
    printed = invoke(system, function, "--sample")
    assert printed.code == 0, printed.err
    path = folder / f"{function}.json"
    path.write_text(printed.out)
    return str(path)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("here", [(), ("--here",)], ids=["emulator", "here"])
def test_sample_is_a_valid_event(system: System, function: str, here: tuple[str, ...], tmp_path: Path) -> None:
    ended = invoke(system, function, "--event", sample(system, function, tmp_path), *here)

    assert ended.code == 0, ended.err
    assert "Result:" in ended.out


def test_result_and_log_are_shown(system: System, tmp_path: Path) -> None:
    event = sample(system, "api_handler", tmp_path)

    ended = invoke(system, "api_handler", "--event", event)
    data = json.loads(invoke(system, "api_handler", "--event", event, "--json").out)

    assert "api_handler of the stage local succeeded after " in ended.out
    assert '"path":"/hello"' in ended.out
    assert json.loads(data["result"]["body"])["message"] == "Hello, Ann!"
    assert data["error"] is None


def test_sample_of_the_consumer_creates_an_item(system: System, tmp_path: Path) -> None:
    event = json.loads(Path(sample(system, "on_messages", tmp_path)).read_text())
    message = json.loads(event["Records"][0]["body"]) | {"item": {"title": "By hand"}}
    event["Records"][0]["body"] = json.dumps(message)

    assert invoke(system, "on_messages", "--event", "-", text=json.dumps(event)).code == 0

    def titles() -> set[Any]:
        return {item.get("title") for item in system.request("GET", "/items?limit=100").json()["items"]}

    eventually(lambda: "By hand" in titles())


@pytest.mark.parametrize("here", [(), ("--here",)], ids=["emulator", "here"])
def test_failure_has_its_error_and_stack(system: System, here: tuple[str, ...], tmp_path: Path) -> None:
    event = json.loads(Path(sample(system, "on_upload", tmp_path)).read_text()) | {"detail": {"bucket": {}}}

    ended = invoke(system, "on_upload", "--event", "-", *here, text=json.dumps(event))

    assert ended.code == 1
    output = ended.out + ended.err
    assert "KeyError: 'name'" in output
    assert "app.py" in output


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (("nothing", "--event", "-"), "{}", "The function nothing of the stage local is not deployed"),
        (
            ("nothing", "--event", "-"),
            "{}",
            "It has: api_handler, authorize, clean_up, on_change, on_deliveries, on_messages, on_upload.",
        ),
        (("nothing", "--sample"), "", "app.py has no function nothing. It has: api_handler, "),
        (("clean_up", "--event", "-"), "{", "- is not JSON: "),
        (("clean_up", "--event", "gone.json"), "", "gone.json cannot be read: No such file or directory."),
    ],
)
def test_mistakes_are_one_sentence(system: System, words: tuple[str, ...], text: str, message: str) -> None:
    ended = invoke(system, *words, text=text)

    assert ended.code == 1
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_dry_run_runs_nothing(system: System) -> None:
    event = '{"detail": {"bucket": {}}}'  # with which the function would fail

    ended = invoke(system, "on_upload", "--event", "-", "--dry-run", text=event)

    assert ended.code == 0, ended.err
    assert "on_upload would be invoked, as vitrine-local-OnUpload" in ended.out


def test_breakpoint_works_in_this_process(system: System, tmp_path: Path) -> None:
    source = system.project / "app.py"
    good = source.read_text()
    event = sample(system, "clean_up", tmp_path)
    keyboard, terminal = pty.openpty()
    output = tmp_path / "output"
    try:
        source.write_text(
            good.replace("    return hourly_cleanup.run(", "    breakpoint()\n    return hourly_cleanup.run(")
        )
        command = [sys.executable, "-m", "tools.ops", "--stage", "local", "invoke", "clean_up", "--event", event]
        with output.open("wb") as out:
            process = processes.start([*command, "--here"], env=shell(), cwd=system.project, stdin=terminal, output=out)
        os.write(keyboard, b"p type(event).__name__\nc\n")

        until(lambda: process.poll() is not None, 60)
    finally:
        source.write_text(good)
        os.close(keyboard)
        os.close(terminal)

    assert process.returncode == 0, output.read_text()
    assert "'CloudWatchEvent'" in output.read_text()
