"""The commands of docs/debugging.md."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.blocks import block
from tests.e2e.shell import type_in
from tests.e2e.system import ROOT, System, free_port, request
from tests.e2e.terminals import shell, until
from tools import processes
from tools.laptop import run

PAGE = "docs/debugging.md"


def test_second_server_starts_as_launch_json_says(system: System) -> None:
    run.write_aws_config(system.project, system.emulator)
    (launch,) = json.loads(block(PAGE, "launch"))["configurations"]
    paths: dict[str, str] = {
        name: launch[name].replace("${workspaceFolder}", str(ROOT)) for name in ("python", "program")
    }
    assert block(PAGE, "second server").split() == [".venv/bin/chalice", *launch["args"]]
    port = free_port()
    arguments = [str(port) if one == "8001" else one for one in launch["args"]]

    process = processes.start(
        [paths["python"], paths["program"], *arguments], env=shell(), cwd=system.project, output=subprocess.DEVNULL
    )

    def has_the_data() -> Any:
        try:
            return request("GET", f"http://127.0.0.1:{port}/items").status == 200
        except OSError:
            return False

    try:
        until(has_the_data, 60)
    finally:
        processes.stop(process)


def test_event_function_runs_here(system: System) -> None:
    run.write_aws_config(system.project, system.emulator)
    if not (system.project / ".venv").exists():
        (system.project / ".venv").symlink_to(ROOT / ".venv")

    output = type_in(block(PAGE, "here"), system.project, **shell())

    assert "Message processed" in output
    assert "Result:" in output


def test_function_runs_alone_as_operating_says(system: System) -> None:
    run.write_aws_config(system.project, system.emulator)
    if not (system.project / ".venv").exists():
        (system.project / ".venv").symlink_to(ROOT / ".venv")

    assert "on_upload of the stage local succeeded" in type_in(
        block("docs/operating.md", "invoke"), system.project, **shell()
    )


def test_one_test_runs_alone() -> None:
    output = type_in(block(PAGE, "one test"), ROOT, **os.environ)

    assert " passed" in output
