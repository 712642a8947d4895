"""Replace the REST API in a packaged template by an HTTP API, which costs less for each request.

    python -m tools.stage.http_api_conversion out/sam.json

Chalice cannot create an HTTP API. ``make package FRONT=http`` runs this after ``chalice package``. The HTTP API
verifies the tokens itself, so the authorizer function is left out, with its role, log and alarms. What differs for
clients is in docs/errors.md, the choice between the two in docs/deploying.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib import config
from chalicelib.config import Settings
from chalicelib.http import cors, http_api_events
from tools.stage.errors import StageError

Template = dict[str, Any]

API_STAGE = "api"
"""The stage in the path of the API's address: that of the REST API, so the addresses have the same form."""

_LIMITS = ("ThrottlingRateLimit", "ThrottlingBurstLimit")
_REST_ONLY = "RestAPI", "APIHandlerInvokePermission"
_PARTS = ("", "Role", "LogGroup", "InvokePermission", "ErrorsAlarm", "SlowAlarm", "ThrottlesAlarm")
_AUTHORIZER = {*(f"Authorize{part}" for part in _PARTS), "SigningKeysAlarm"}
"""The ids of the resources that belong to the authorizer function."""

_POOL = "https://cognito-idp.invalid/pool"
"""Stands for values that the template imports from the resource stack, while settings are read."""

_ALARM_DESCRIPTION = (
    "The API responded with a 5xx. Find the request in the log of api_handler (status >= 500): the line before it has "
    "the exception, or for a 503 the error and its cause. If there is none, API Gateway could not run the function: "
    "see the alarms for api_handler. If it began with a deployment, roll back."
)


class Route(NamedTuple):
    """A route of the app."""

    method: str
    path: str
    public: bool

    @property
    def key(self) -> str:
        """Its key in an HTTP API."""
        return f"{self.method} {self.path}".strip()

    @property
    def logical_id(self) -> str:
        """The id of its resource in the template."""
        words = re.findall(r"[A-Za-z0-9]+", self.path) or ["Root"]
        return "Route" + "".join(word[0].upper() + word[1:] for word in (self.method.lower(), *words) if word)


DEFAULT_ROUTE = Route("", http_api_events.DEFAULT, public=True)
"""The route of requests that match no other, to which the app responds with its own 404."""


def convert(template: Template, settings: Settings, routes: Iterable[Route]) -> Template:
    """Return ``template`` with an HTTP API for ``routes`` instead of its REST API.

    Raise StageError if the stage has settings that an HTTP API cannot apply.
    """
    _check(settings)
    routes = [*routes, DEFAULT_ROUTE]
    old = template["Resources"]
    limits = _limits(old["RestAPI"]["Properties"]["MethodSettings"])
    kept = {name: one for name, one in old.items() if name not in _AUTHORIZER.union(_REST_ONLY)}
    kept["ApiServerErrorsAlarm"] = _server_errors_alarm(old["ApiServerErrorsAlarm"])
    kept["Dashboard"] = _dashboard(old["Dashboard"])
    kept["DomainMapping"] = _domain_mapping(old["DomainMapping"])
    variables = old["APIHandler"]["Properties"]["Environment"]["Variables"]
    resources = kept | _api(settings) | _authorizer(settings, variables)
    resources |= {route.logical_id: _route(route, settings) for route in routes} | {
        "HttpApiStage": _stage(routes, limits)
    }
    metadata = {name: text for name, text in template.get("Metadata", {}).items() if name != "Authorizer"}
    outputs = {name: value for name, value in template["Outputs"].items() if name != "RestAPIId"}
    outputs["HttpApiId"] = {"Value": {"Ref": "HttpApi"}}
    address = f"https://${{HttpApi}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{API_STAGE}/"
    outputs["EndpointURL"] = {"Value": {"Fn::Sub": address}}
    return {
        **template,
        "Metadata": metadata,
        "Parameters": template["Parameters"] | {"AccessLogArn": _ACCESS_LOG_ARN},
        "Conditions": template["Conditions"]
        | {"AccessLog": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AccessLogArn"}, ""]}]}},
        "Resources": resources,
        "Outputs": outputs,
    }


def _check(settings: Settings) -> None:
    """Raise StageError if an HTTP API cannot apply the settings of the sign-in as the authorizer function does."""
    issuer = settings.issuer
    if settings.auth_mode != "oidc" or issuer is None:
        return
    if issuer.jwks_url not in (None, f"{_POOL}/.well-known/jwks.json"):
        raise StageError(
            "OIDC_JWKS_URL is set, but an HTTP API takes the URL of the keys from the issuer's discovery document: "
            "leave it out if that document has the right one, or package the stage with FRONT=rest."
        )
    if not issuer.url.startswith("https://"):
        raise StageError(
            f"OIDC_ISSUER is {issuer.url!r}, but an HTTP API accepts only https://: package the stage with FRONT=rest."
        )


# ----------------------------------------------------------------------------------------------------------- resources

_ACCESS_LOG_ARN = {
    "Type": "String",
    "Default": "",
    "Description": "The ARN of the log group that gets a line for each request, also if API Gateway refuses it. "
    "Empty: none.",
    "AllowedPattern": "^(arn:.+:log-group:[^*]+)?$",
}
_ACCESS_LOG_FORMAT = {
    "requestId": "$context.requestId",
    "route": "$context.routeKey",
    "status": "$context.status",
    "ip": "$context.identity.sourceIp",
    "latency": "$context.responseLatency",
    "error": "$context.error.message",
    "authorizer": "$context.authorizer.error",
}


def _api(settings: Settings) -> dict[str, Any]:
    properties: dict[str, Any] = {"Name": {"Ref": "AWS::StackName"}, "ProtocolType": "HTTP"}
    if settings.cors.origins:
        headers = cors.headers_for(settings.cors, settings.cors.origins[0])
        properties["CorsConfiguration"] = {
            "AllowOrigins": list(settings.cors.origins),
            "AllowMethods": ["*"],
            "AllowHeaders": headers["Access-Control-Allow-Headers"].split(","),
            "ExposeHeaders": headers["Access-Control-Expose-Headers"].split(","),
            "MaxAge": int(headers["Access-Control-Max-Age"]),
        }
    function = (
        "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${APIHandler.Arn}/invocations"
    )
    return {
        "HttpApi": {"Type": "AWS::ApiGatewayV2::Api", "Properties": properties},
        "HttpApiIntegration": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "HttpApi"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Fn::Sub": function},
                "PayloadFormatVersion": "2.0",
                "TimeoutInMillis": 30000,
            },
        },
        "HttpApiInvokePermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "APIHandler"},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {
                    "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*"
                },
            },
        },
    }


def _authorizer(settings: Settings, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JWT authorizer, or nothing for a stage without sign-in. ``variables`` are those of the function."""
    if settings.auth_mode != "oidc" or settings.issuer is None:
        return {}
    own_issuer = settings.issuer.url != _POOL
    audiences: list[Any] = list(settings.issuer.audiences)
    if not own_issuer and not variables.get("OIDC_AUDIENCE"):
        audiences = [variables["USER_POOL_CLIENT_ID"]]
    return {
        "HttpApiAuthorizer": {
            "Type": "AWS::ApiGatewayV2::Authorizer",
            "Properties": {
                "ApiId": {"Ref": "HttpApi"},
                "Name": "tokens",
                "AuthorizerType": "JWT",
                "IdentitySource": ["$request.header.Authorization"],
                "JwtConfiguration": {
                    "Issuer": settings.issuer.url if own_issuer else variables["USER_POOL_ISSUER"],
                    "Audience": audiences,
                },
            },
        }
    }


def _route(route: Route, settings: Settings) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "ApiId": {"Ref": "HttpApi"},
        "RouteKey": route.key,
        "Target": {"Fn::Sub": "integrations/${HttpApiIntegration}"},
    }
    if not route.public and settings.auth_mode == "oidc":
        return {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": properties | {"AuthorizationType": "JWT", "AuthorizerId": {"Ref": "HttpApiAuthorizer"}},
        }
    comment = "It is public: see Operation.public in app.py, or AUTH_MODE is none."
    return {
        "Type": "AWS::ApiGatewayV2::Route",
        "Metadata": {"checkov": {"skip": [{"id": "CKV_AWS_309", "comment": comment}]}},
        "Properties": properties | {"AuthorizationType": "NONE"},
    }


def _stage(routes: Iterable[Route], limits: Mapping[tuple[str, str], dict[str, int]]) -> dict[str, Any]:
    """Return the API's stage. Limits of routes that do not exist yet would be refused, so it is created after them."""
    own = {route.key: limits[route.method, route.path] for route in routes if (route.method, route.path) in limits}
    logged = {"DestinationArn": {"Ref": "AccessLogArn"}, "Format": json.dumps(_ACCESS_LOG_FORMAT)}
    comment = "The parameter AccessLogArn switches it on. Every request that runs the function has a line in its log."
    return {
        "Type": "AWS::ApiGatewayV2::Stage",
        "DependsOn": [route.logical_id for route in routes],
        "Metadata": {"checkov": {"skip": [{"id": "CKV_AWS_95", "comment": comment}]}},
        "Properties": {
            "ApiId": {"Ref": "HttpApi"},
            "StageName": API_STAGE,
            "AutoDeploy": True,
            "DefaultRouteSettings": limits["*", "/*"],
            "RouteSettings": own,
            "AccessLogSettings": {"Fn::If": ["AccessLog", logged, {"Ref": "AWS::NoValue"}]},
        },
    }


def _domain_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping of the stage's own domain with the HTTP API. It has no key, which ``rawPath`` would lack."""
    changed = {"ApiId": {"Ref": "HttpApi"}, "Stage": {"Ref": "HttpApiStage"}}
    return {**mapping, "Properties": mapping["Properties"] | changed}


def _limits(method_settings: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """Return the limits in the MethodSettings of a REST API, by method and path: ``*`` and ``/*`` for all others.

    A slash in a path is written ~1 there, except the first (AWS::ApiGateway::Stage MethodSetting).
    """
    found = {}
    for one in method_settings:
        path = one["ResourcePath"]
        path = path if path in ("/", "/*") else path.removeprefix("/").replace("~1", "/")
        found[one["HttpMethod"], path] = {name: one[name] for name in _LIMITS}
    lowest = min(found.values(), key=lambda limits: limits["ThrottlingRateLimit"])
    return found | {(DEFAULT_ROUTE.method, DEFAULT_ROUTE.path): lowest}


# ------------------------------------------------------------------------------------------------- alarm and dashboard

_METRICS = {"4XXError": "4xx", "5XXError": "5xx"}
"""The names of an HTTP API's metrics, by those of a REST API (API Gateway Developer Guide, "HTTP API metrics")."""


def _server_errors_alarm(alarm: Mapping[str, Any]) -> dict[str, Any]:
    dimensions = [{"Name": "ApiId", "Value": {"Ref": "HttpApi"}}, {"Name": "Stage", "Value": API_STAGE}]
    changed = {"MetricName": "5xx", "Dimensions": dimensions, "AlarmDescription": _ALARM_DESCRIPTION}
    return {**alarm, "Properties": alarm["Properties"] | changed}


def _dashboard(dashboard: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dashboard with the metrics of the HTTP API and without those of the authorizer function."""
    separator, parts = dashboard["Properties"]["DashboardBody"]["Fn::Join"]
    body = {"Fn::Join": [separator, [_widget(part) for part in parts]]}
    return {**dashboard, "Properties": dashboard["Properties"] | {"DashboardBody": body}}


def _widget(part: Any) -> Any:
    """Return a part of the dashboard's body: a widget with a comma after it, or the text around the widgets."""
    if isinstance(part, str):
        return part
    text = part["Fn::Sub"]
    if isinstance(text, list):
        return {"Fn::Sub": [_widget({"Fn::Sub": text[0]})["Fn::Sub"], *text[1:]]}
    comma = "," if text.endswith(",") else ""
    widget = json.loads(text.removesuffix(","))
    properties = widget["properties"]
    if "alarms" in properties:
        properties["alarms"] = [arn for arn in properties["alarms"] if not _of_authorizer(arn)]
    if "metrics" in properties:
        properties["metrics"] = [_metric(one) for one in properties["metrics"] if not _of_authorizer(json.dumps(one))]
    if "query" in properties:
        sources = properties["query"].split(" | ")
        properties["query"] = " | ".join(one for one in sources if not _of_authorizer(one))
    return {"Fn::Sub": json.dumps(widget, separators=(",", ":")) + comma}


def _of_authorizer(text: str) -> bool:
    return "SignInRefused" in text or not _AUTHORIZER.isdisjoint(re.findall(r"\$\{(\w+)", text))


def _metric(metric: list[Any]) -> list[Any]:
    if metric[0] != "AWS/ApiGateway":
        return metric
    _, name, _, _, *rest = metric
    return ["AWS/ApiGateway", _METRICS.get(name, name), "ApiId", "${HttpApi}", *rest]


# -------------------------------------------------------------------------------------------------------- command line


def settings_of(variables: Mapping[str, Any]) -> Settings:
    """Return the settings in the variables of the packaged function, with a stand-in for what the template imports."""
    return config.load(
        {name: value if isinstance(value, str) else _POOL for name, value in variables.items() if name != "PUBLIC_URL"}
    )


def app_routes(app: Any) -> Iterator[Route]:
    """Yield the routes of the app, without those for preflights, to which an HTTP API responds itself."""
    for path, methods in app.routes.items():
        for method in methods:
            if method != "OPTIONS":
                operation = app.operations["GET" if method == "HEAD" else method, path]
                yield Route(method, path, operation.public)


def main() -> int:
    """Run the command line. Return the exit code. If the template cannot be converted, delete it."""
    parser = argparse.ArgumentParser(prog="python -m tools.stage.http_api_conversion", description=__doc__)
    parser.add_argument("template", type=Path)
    path: Path = parser.parse_args().template
    template = json.loads(path.read_text(encoding="utf-8"))
    variables = template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    os.environ |= {name: value for name, value in variables.items() if isinstance(value, str)}
    import app  # noqa: PLC0415 - it reads its settings from these variables

    try:
        converted = convert(template, settings_of(variables), app_routes(app.app))
    except StageError as error:
        path.unlink()
        print(error, file=sys.stderr)
        return 1
    path.write_text(json.dumps(converted, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
