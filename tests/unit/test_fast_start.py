"""`make package FAST=…` with a version of Python that has no SnapStart.

What it makes of a packaged template is tested in tests/integration/processes/test_package.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.stage import fast_start


def template(runtime: str) -> dict[str, Any]:
    """Return the part of a packaged template that decides."""
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": runtime}}
    return {"Parameters": {}, "Resources": {"APIHandler": function}}


@pytest.mark.parametrize(
    ("runtime", "kind", "accepted"),
    [
        ("python3.10", "snapstart", False),
        ("python3.11", "snapstart", False),
        ("python3.12", "snapstart", True),
        ("python3.14", "snapstart", True),
        ("python3.11", "provisioned", True),
    ],
)
def test_snapstart_needs_a_newer_python(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    runtime: str,
    kind: str,
    accepted: bool,
) -> None:
    path = tmp_path / "sam.json"
    path.write_text(json.dumps(template(runtime)))
    monkeypatch.setattr(sys, "argv", ["fast_start", kind, str(path)])

    status = fast_start.main()

    error = capsys.readouterr().err
    if accepted:
        made = json.loads(path.read_text())["Resources"]["APIHandler"]["Properties"]
        assert (status, error, made["AutoPublishAlias"]) == (0, "", "live")
    else:
        assert (status, path.exists()) == (1, False)
        assert error.startswith(f"FAST=snapstart needs Python 3.12 or later, but the package is for {runtime}: ")
