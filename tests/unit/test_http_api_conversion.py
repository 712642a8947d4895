"""The template that `make package FRONT=http` makes of that of `make package`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import app
from tools.stage import http_api_conversion
from tools.stage.errors import StageError

PROJECT = Path(__file__).resolve().parents[2]
PACKAGED = json.loads((PROJECT / "infra" / "package.json").read_text(encoding="utf-8")) | {"Outputs": {"RestAPIId": {}}}
VARIABLES = PACKAGED["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"] | {"STAGE": "dev"}
ROUTES = list(http_api_conversion.app_routes(app.app))


def converted(**variables: str) -> dict[str, Any]:
    """Return the template of a stage with these settings."""
    template = json.loads(json.dumps(PACKAGED))
    template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"] = VARIABLES | variables
    return http_api_conversion.convert(template, http_api_conversion.settings_of(VARIABLES | variables), ROUTES)


def properties(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the properties of all resources of a type of API Gateway."""
    made = template["Resources"].values()
    return [one["Properties"] for one in made if one.get("Type") == f"AWS::ApiGatewayV2::{kind}"]


def test_every_route_of_the_app_is_there_once() -> None:
    keys = Counter(route["RouteKey"] for route in properties(converted(), "Route"))

    expected = {
        f"{method} {path}" for path, methods in app.app.routes.items() for method in methods if method != "OPTIONS"
    }
    assert keys == dict.fromkeys(expected | {"$default"}, 1)


def test_only_public_routes_have_no_authorizer() -> None:
    without = {route["RouteKey"] for route in properties(converted(), "Route") if route["AuthorizationType"] == "NONE"}

    public = {f"{method} {path}" for (method, path), one in app.app.operations.items() if one.public}
    public |= {key.replace("GET ", "HEAD ") for key in public if key.startswith("GET ")}
    assert without == public | {"$default"}
    others = [route for route in properties(converted(), "Route") if route["RouteKey"] not in without]
    assert {(one["AuthorizationType"], json.dumps(one["AuthorizerId"])) for one in others} == {
        ("JWT", '{"Ref": "HttpApiAuthorizer"}')
    }


def test_stage_without_sign_in_has_no_authorizer() -> None:
    template = converted(AUTH_MODE="none")

    assert properties(template, "Authorizer") == []
    assert {route["AuthorizationType"] for route in properties(template, "Route")} == {"NONE"}


def test_tokens_are_those_of_the_user_pool() -> None:
    [authorizer] = properties(converted(), "Authorizer")

    assert authorizer["JwtConfiguration"] == {
        "Issuer": VARIABLES["USER_POOL_ISSUER"],
        "Audience": [VARIABLES["USER_POOL_CLIENT_ID"]],
    }
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]


@pytest.mark.parametrize(
    ("variables", "issuer", "audience"),
    [
        ({"OIDC_ISSUER": "https://a.example/", "OIDC_AUDIENCE": "x, y"}, "https://a.example/", ["x", "y"]),
        ({"OIDC_AUDIENCE": "x"}, VARIABLES["USER_POOL_ISSUER"], ["x"]),
    ],
)
def test_tokens_are_those_of_the_configured_issuer(variables: dict[str, str], issuer: Any, audience: list[str]) -> None:
    [authorizer] = properties(converted(**variables), "Authorizer")

    assert authorizer["JwtConfiguration"] == {"Issuer": issuer, "Audience": audience}


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"OIDC_JWKS_URL": "https://a.example/keys"}, "OIDC_JWKS_URL is set"),
        ({"OIDC_ISSUER": "http://127.0.0.1:9", "OIDC_AUDIENCE": "x"}, "OIDC_ISSUER is"),
        (
            {"OIDC_ISSUER": "https://a.example", "OIDC_AUDIENCE": "x", "OIDC_JWKS_URL": "https://a.example/keys"},
            "OIDC_JWKS_URL is set",
        ),
    ],
)
def test_settings_that_an_http_api_cannot_apply_are_refused(variables: dict[str, str], reason: str) -> None:
    with pytest.raises(StageError, match=f"{reason}.*FRONT=rest"):
        converted(**variables)


def test_refused_template_is_deleted(tmp_path: Path) -> None:
    template = json.loads(json.dumps(PACKAGED))
    template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"] |= {
        "STAGE": "dev",
        "OIDC_JWKS_URL": "https://a.example/keys",
    }
    path = tmp_path / "sam.json"
    path.write_text(json.dumps(template))

    command = [sys.executable, "-m", "tools.stage.http_api_conversion", path]
    environ = {name: value for name, value in os.environ.items() if name == "PATH"}
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, check=False)

    assert (done.returncode, path.exists()) == (1, False)
    assert done.stderr.startswith("OIDC_JWKS_URL is set")


def test_limits_are_those_of_the_rest_api() -> None:
    [stage] = properties(converted(), "Stage")
    of_rest = {}
    for one in PACKAGED["Resources"]["RestAPI"]["Properties"]["MethodSettings"]:
        path = one["ResourcePath"].removeprefix("/").replace("~1", "/") or "/"
        of_rest[f"{one['HttpMethod']} {path}"] = {name: value for name, value in one.items() if "Limit" in name}
    assert stage["DefaultRouteSettings"] == of_rest.pop("* *")
    default = stage["RouteSettings"].pop("$default")
    assert stage["RouteSettings"] == {key: one for key, one in of_rest.items() if not key.startswith("OPTIONS")}
    assert default == min(of_rest.values(), key=lambda one: one["ThrottlingRateLimit"])


def test_stage_is_created_after_its_routes() -> None:
    # A limit of a route that does not exist is refused.
    resources = converted()["Resources"]
    routes = {name for name, one in resources.items() if one.get("Type") == "AWS::ApiGatewayV2::Route"}
    assert set(resources["HttpApiStage"]["DependsOn"]) == routes


@pytest.mark.parametrize("origins", [["*"], ["https://a.example", "https://b.example"]])
def test_cors_is_that_of_the_app(origins: list[str]) -> None:
    [api] = properties(converted(CORS_ORIGINS=",".join(origins), CORS_ALLOW_HEADERS="X-One"), "Api")

    allowed = api["CorsConfiguration"]
    assert allowed["AllowOrigins"] == origins
    assert {"Authorization", "Content-Type", "If-Match", "Idempotency-Key", "X-One"} <= set(allowed["AllowHeaders"])
    assert {"ETag", "Location", "X-Request-Id", "Retry-After"} <= set(allowed["ExposeHeaders"])
    assert allowed["MaxAge"] == 3600


def test_without_origins_there_is_no_cors() -> None:
    settings = http_api_conversion.settings_of({"STAGE": "local", "AUTH_MODE": "local"})
    [api] = properties(http_api_conversion.convert(PACKAGED, settings, ROUTES), "Api")
    assert "CorsConfiguration" not in api


def test_nothing_of_the_authorizer_function_remains() -> None:
    text = json.dumps({name: one for name, one in converted().items() if name in ("Resources", "Outputs", "Metadata")})
    assert [
        word for word in ("RestAPI", "${Authorize", '"Authorize"', "SigningKeys", "SignInRefused") if word in text
    ] == []


def test_alarm_uses_the_metric_of_an_http_api() -> None:
    alarm = converted()["Resources"]["ApiServerErrorsAlarm"]["Properties"]
    assert alarm["MetricName"] == "5xx"
    assert alarm["Dimensions"] == [{"Name": "ApiId", "Value": {"Ref": "HttpApi"}}, {"Name": "Stage", "Value": "api"}]


def test_access_log_is_off_by_default() -> None:
    template = converted()
    [stage] = properties(template, "Stage")
    condition, log, _ = stage["AccessLogSettings"]["Fn::If"]
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AccessLogArn"}, ""]}]}
    assert template["Parameters"]["AccessLogArn"]["Default"] == ""
    # The query string may contain what the caller searches for, and the header the token.
    assert not any(word in log["Format"] for word in ("query", "header", "claims"))
