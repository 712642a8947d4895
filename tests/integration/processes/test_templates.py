"""cfn-lint finds no error in the templates that are sent to CloudFormation unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from cfnlint.api import lint_file

from tools import infrastructure_scan

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", infrastructure_scan.TEMPLATES)
def test_template_is_valid_cloudformation(name: str) -> None:
    assert lint_file(PROJECT / name) == []
