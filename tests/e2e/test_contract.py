"""Check the running API against its OpenAPI document with Schemathesis: `chalice local`, a REST API and an HTTP API.

`make fuzz` runs longer. FUZZ_EXAMPLES is the maximum number of generated examples per operation; FUZZ_SEED is the
seed, or ``random``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from chalicelib.config import LOCAL
from tests.builders import fields
from tests.e2e import http_api
from tests.e2e.in_process import pointed_at
from tests.e2e.pictures import photograph
from tests.e2e.system import ROOT, System, copy_project, request
from tests.e2e.test_run import Terminal
from tests.e2e.waiting import eventually

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
SEED = os.environ.get("FUZZ_SEED", "1")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
IN_BRIEF = () if EXAMPLES else ("--phases", "fuzzing,stateful")
"""The phases against API Gateway, unless FUZZ_EXAMPLES is set. The others send thousands of requests."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Yield a running `make run` with its own data."""
    opened = Terminal(copy_project(tmp_path / "project"))
    try:
        opened.await_text("Ctrl-C stops it", 120)
        yield opened
    finally:
        opened.close()


def add_picture(api: str, data: bytes) -> str:
    """Create an item, upload ``data`` as its image and return the image's status: ``ready`` or ``failed``."""
    item = f"{api}/items/{request('POST', f'{api}/items', fields(title='With a picture')).json()['id']}"
    form = request("POST", f"{item}/image", {"contentType": "image/jpeg"}).json()["upload"]
    requests.post(form["url"], form["fields"], files={"file": data}, timeout=30).raise_for_status()

    def final_status() -> str | None:
        status: str = request("GET", item).json()["image"]["status"]
        return status if status in ("ready", "failed") else None

    return eventually(final_status, 60)


def add_delivery(api: str) -> None:
    """Create a webhook whose URL nobody listens at, and await an attempt to deliver an event to it."""
    webhook = request("POST", f"{api}/webhooks", {"url": "http://127.0.0.1:9/", "events": ["picture.failed"]}).json()[
        "id"
    ]
    request("POST", f"{api}/webhooks/{webhook}/test")
    eventually(lambda: request("GET", f"{api}/webhooks/{webhook}/deliveries").json()["deliveries"], 60)


def fuzz(api: str, folder: Path, *options: str) -> dict[str, Any]:
    """Run Schemathesis with ``options`` against ``api`` and return its JSON report; its output is printed."""
    document, report = folder / "openapi.json", folder / "report.json"
    document.write_bytes(request("GET", f"{api}/openapi.json").body)
    schemathesis = [Path(sys.executable).with_name("st"), "--config-file", ROOT / "tests" / "e2e" / "contract.toml"]
    always = ["--url", api, "--checks", "all", "--max-examples", EXAMPLES or "1", "--report-json-path", report]
    seed = [] if SEED == "random" else ["--seed", SEED]
    subprocess.run(
        [*schemathesis, "run", document, *always, *options, *seed],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def test_api_matches_its_openapi_document(terminal: Terminal, tmp_path: Path) -> None:
    assert add_picture(terminal.url, photograph()) == "ready"
    assert add_picture(terminal.url, b"no picture") == "failed"
    add_delivery(terminal.url)

    report = fuzz(terminal.url, tmp_path)

    print(*(line for line in terminal.text.splitlines() if '"level":"ERROR"' in line), sep="\n")
    assert report["failures"] == report["errors"] == []
    assert {phase: report["phases"][phase]["status"] for phase in PHASES} == dict.fromkeys(PHASES, "success")
    document = json.loads((tmp_path / "openapi.json").read_text())
    assert report["operations"]["tested"] == sum(map(len, document["paths"].values()))
    accepted = {
        label: any(rate["accepted"] for rate in rates.values()) for label, rates in report["valid_rates"].items()
    }
    assert accepted == dict.fromkeys(accepted, True)


@pytest.fixture(params=["packaged", "HTTP API"])
def api(request: pytest.FixtureRequest, system: System) -> Iterator[str]:
    """Yield the URL of the packaged API behind the emulator's API Gateway, or of the app behind an HTTP API."""
    if request.param == "packaged":
        yield system.api
        return
    with pointed_at(system.emulator, STAGE=LOCAL, AUTH_MODE=LOCAL, BUCKET_NAME=system.bucket), http_api.serve() as url:
        yield url


def test_api_behind_api_gateway_matches_the_document(api: str, tmp_path: Path) -> None:
    assert add_picture(api, photograph()) == "ready"

    # API Gateway responds with 404 to a method that a path does not have (docs/errors.md).
    report = fuzz(api, tmp_path, *IN_BRIEF, "--exclude-checks", "unsupported_method")

    assert report["failures"] == report["errors"] == []
    assert report["operations"]["tested"] == report["operations"]["selected"]
