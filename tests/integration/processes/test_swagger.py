"""The Swagger document that ``chalice deploy --stage dev`` sends to API Gateway. The emulator does not use it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import app
from tests.integration import routes
from tools import processes

PROJECT = Path(__file__).resolve().parents[3]
# Chalice's deployer uses the same generator (chalice/deploy/deployer.py, _create_deployer).
PRINT_SWAGGER = """
import json
from chalice.cli.factory import CLIFactory
from chalice.deploy.swagger import TemplatedSwaggerGenerator
app = CLIFactory(".").create_config_obj("dev").chalice_app
print(json.dumps(TemplatedSwaggerGenerator().generate_swagger(app), default=lambda value: value.template))
"""
PUBLIC = {path: {"get", "head"} for path in routes.PUBLIC}
GUARDED = {
    path: {method.lower() for method in of_path} for path, of_path in app.app.routes.items() if path not in PUBLIC
}
LAMBDA = "arn:{{partition}}:apigateway:{{region_name}}:lambda:path/2015-03-31/functions/{{{}_lambda_arn}}/invocations"


@pytest.fixture(scope="module")
def swagger() -> dict[str, Any]:
    env = processes.without_aws(os.environ) | {"AWS_DEFAULT_REGION": "eu-west-1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("STAGE", "AUTH_MODE", "BUCKET_NAME"):  # a test run sets them
        env.pop(name, None)
    status, output = processes.run([sys.executable, "-c", PRINT_SWAGGER], env=env, cwd=PROJECT)
    assert status == 0, output
    made: dict[str, Any] = json.loads(output)
    return made


def methods(swagger: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the definition of each route by path and method, without preflight requests."""
    return {
        (path, method): definition
        for path, of_path in swagger["paths"].items()
        for method, definition in of_path.items()
        if method != "options"
    }


def test_asks_the_authorizer_about_every_route_that_is_not_public(swagger: dict[str, Any]) -> None:
    guarded = {
        path for (path, _), definition in methods(swagger).items() if definition.get("security") == [{"authorize": []}]
    }
    assert guarded == set(GUARDED)
    assert {path for (path, _), definition in methods(swagger).items() if "security" not in definition} == set(PUBLIC)


def test_authorizer_is_the_function_and_is_asked_every_five_minutes(swagger: dict[str, Any]) -> None:
    [(name, authorizer)] = swagger["securityDefinitions"].items()
    assert (name, authorizer["in"], authorizer["name"]) == ("authorize", "header", "Authorization")
    assert authorizer["x-amazon-apigateway-authorizer"] == {
        "type": "token",
        "authorizerUri": LAMBDA.format("authorize"),
        "authorizerResultTtlInSeconds": 300,
    }


def test_any_page_may_ask_beforehand_with_every_method_of_a_path(swagger: dict[str, Any]) -> None:
    for path, allowed in (PUBLIC | GUARDED).items():
        preflight = swagger["paths"][path]["options"]
        assert "security" not in preflight
        answer = preflight["x-amazon-apigateway-integration"]["responses"]["default"]["responseParameters"]
        header = answer["method.response.header.Access-Control-Allow-Methods"].strip("'").lower()
        assert set(header.split(",")) == allowed | {"options"}


def test_nothing_that_is_sent_or_answered_is_taken_for_binary(swagger: dict[str, Any]) -> None:
    """Browsers exchange pictures with the bucket directly. API Gateway would encode binary bodies as base64."""
    assert swagger["x-amazon-apigateway-binary-media-types"] == []
