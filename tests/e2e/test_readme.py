"""What the README and the runbook tell a person to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.e2e.pictures import photograph
from tests.e2e.system import ROOT, System
from tests.e2e.waiting import eventually
from tools import processes
from tools.emulator import ACCESS_KEY, REGION, SECRET_KEY


def block(page: str, name: str) -> str:
    """The code that follows the comment ``name`` in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^<!-- {name} -->\n```\w*\n(.+?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page} has no code behind <!-- {name} -->"
    return found[1]


def type_in(script: str, folder: Path, **variables: str) -> str:
    """Run a script in bash, in ``folder``, which stops at the first command that fails; returns what it printed."""
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=processes.without_aws(os.environ) | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_the_session_of_the_readme_runs_as_it_stands(system: System, tmp_path: Path) -> None:
    (tmp_path / "my photo.jpg").write_bytes(photograph())
    said = type_in(block("README.md", "session"), tmp_path, BASE=system.api, PHOTO="my photo.jpg")
    assert "picture: ready" in said
    assert "import: done" in said
    assert "Item deleted" in said
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (200, 200))


def test_the_runbook_shows_dead_letters_and_sends_them_back(system: System, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    aws = {
        "AWS_ENDPOINT_URL": system.emulator.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    sqs = system.client("sqs")
    sqs.purge_queue(QueueUrl=system.dead_letter_queue_url)
    message = '{"type": "item.create", "owner": "local", "key": "dead", "item": {"title": "Sent back"}}'
    sqs.send_message(QueueUrl=system.dead_letter_queue_url, MessageBody=message)

    assert message in type_in(block("docs/operating.md", "look"), tmp_path, **aws)
    type_in(block("docs/operating.md", "send back"), tmp_path, **aws)

    def titles() -> list[str]:
        return [item.get("title", "") for item in system.request("GET", "/items?limit=5").json()["items"]]

    eventually(lambda: "Sent back" in titles())
    assert message not in type_in(block("docs/operating.md", "look"), tmp_path, **aws)
