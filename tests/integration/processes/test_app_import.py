"""Import app.py in a new process: the modules that it loads, and side effects that it must not have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import app
from tests.integration.routes import PUBLIC

PROJECT = Path(__file__).parents[3]

CODE = """
import json, sys
import app
from chalicelib import aws
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "own": sorted(name for name in sys.modules if name.startswith("chalicelib.")),
    "clients": aws._client.cache_info().currsize,
    "guarded": sorted(
        f"{method} {path}" for path, methods in app.app.routes.items() for method, route in methods.items()
        if route.authorizer is not None
    ),
}))
"""


@pytest.fixture(scope="module")
def imported() -> Any:
    """Import app.py as in a deployed stage, and return the loaded modules and the other results of ``CODE``."""
    environment = {"PATH": os.environ["PATH"], "STAGE": "prod", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", ["PIL", "jwt", "cryptography", "pydantic", "aws_xray_sdk", "requests", "moto"])
def test_libraries_of_single_functions_are_not_loaded(imported: Any, package: str) -> None:
    assert package not in imported["modules"]


@pytest.mark.parametrize(
    "module", ["http.auth", "http.visitor_pages", "catalogue.consumer", "values.validation_messages"]
)
def test_modules_of_few_requests_are_not_loaded(imported: Any, module: str) -> None:
    assert f"chalicelib.{module}" not in imported["own"]


def test_no_aws_client_is_created(imported: Any) -> None:
    assert imported["clients"] == 0


def test_all_other_routes_require_sign_in(imported: Any) -> None:
    routes = {
        f"{method} {path}" for path, methods in app.app.routes.items() for method in methods if path not in PUBLIC
    }

    assert imported["guarded"] == sorted(routes)
