"""A deployed stage with sign-in: real tokens of a real user pool, and the responses of API Gateway itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import app
from chalicelib.config import LOCAL
from tests.blocks import block
from tests.builders import REQUIRED, fields
from tests.e2e.pictures import photograph
from tests.e2e.shell import at_the_emulator, type_in
from tests.e2e.system import (
    KEPT,
    ROOT,
    Answer,
    bundled,
    configure,
    copy_project,
    emulator_without_saves,
    request,
    say_errors_as_the_template_does,
)
from tests.e2e.test_deploying import checkout
from tests.e2e.test_flows import post
from tests.e2e.waiting import eventually
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import Emulator, client_factory
from tools.stage import http_api_conversion, provision

PASSWORD = "Correct horse 1 battery!"


class Pool(NamedTuple):
    """A user pool and a client with which its users can sign in."""

    cognito: Any
    id: str
    client: str

    def tokens(self, email: str) -> dict[str, str]:
        """Create a user, sign in, and return the tokens, with ``AccessToken`` and ``IdToken``."""
        self.cognito.admin_create_user(UserPoolId=self.id, Username=email, MessageAction="SUPPRESS")
        self.cognito.admin_set_user_password(UserPoolId=self.id, Username=email, Password=PASSWORD, Permanent=True)
        answer = self.cognito.admin_initiate_auth(
            UserPoolId=self.id,
            ClientId=self.client,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )
        tokens: dict[str, str] = answer["AuthenticationResult"]
        return tokens


class Closed(NamedTuple):
    """The API of a stage that requires a token."""

    url: str
    emulator: Emulator
    pool: Pool
    client: Callable[[str], Any]
    functions: dict[str, str]

    def __call__(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return request(method, self.url + path, body, **headers)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("sign-in")
    project = copy_project(folder / "project")
    # A separate emulator: a packaged API can be called only in the first account, which has room for only one.
    with emulator_without_saves(folder / "emulator") as emulator:
        client = client_factory(emulator.url, emulator.root())
        resources = provision.provision(LOCAL, client, project, print)
        pool = Pool(client("cognito-idp"), resources["UserPoolId"], resources["UserPoolClientId"])
        # The issuer has its name in AWS, but in the emulator the keys are at another URL.
        keys = f"{emulator.url}/{pool.id}/.well-known/jwks.json"
        configure(project / ".chalice" / "config.json", AUTH_MODE="oidc", OIDC_JWKS_URL=keys)
        built = bundled(function_package.package(project, folder / "build", KEPT, print))
        deployment = code_stack.deploy(built, client)
        say_errors_as_the_template_does(client("apigateway"), deployment.api_id, built.template)
        url = f"{emulator.url}/_aws/execute-api/{deployment.api_id}/api"
        yield Closed(url, emulator, pool, client, deployment.functions)


@pytest.fixture(scope="module")
def http_api(api: Closed) -> Closed:
    """Return the same stage behind an HTTP API, which is created as `make package FRONT=http` describes it."""
    template = json.loads((ROOT / "infra" / "package.json").read_text(encoding="utf-8"))
    variables = template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    settings = http_api_conversion.settings_of(variables | {"STAGE": LOCAL, "AUTH_MODE": "oidc", "CORS_ORIGINS": "*"})
    converted = http_api_conversion.convert(
        template | {"Outputs": {}}, settings, http_api_conversion.app_routes(app.app)
    )
    of_the_api = {
        name: one
        for name, one in converted["Resources"].items()
        if one.get("Type", "").startswith("AWS::ApiGatewayV2::") or name == "HttpApiInvokePermission"
    }
    # The function is that of another stack.
    function = api.functions["api_handler"]
    arn = api.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    text = json.dumps({**converted, "Resources": of_the_api}).replace("${APIHandler.Arn}", arn)
    text = text.replace('{"Ref": "APIHandler"}', json.dumps(function)).replace("${AWS::StackName}", "vitrine-local")
    cloudformation = api.client("cloudformation")
    cloudformation.create_stack(StackName="http-front", TemplateBody=text)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="http-front", WaiterConfig={"Delay": 1})
    [stack] = cloudformation.describe_stacks(StackName="http-front")["Stacks"]
    api_id = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "HttpApiId")
    # The emulator ignores it when it creates the API.
    cors = of_the_api["HttpApi"]["Properties"]["CorsConfiguration"]
    api.client("apigatewayv2").update_api(ApiId=api_id, CorsConfiguration=cors)
    return api._replace(url=f"{api.emulator.url}/_aws/execute-api/{api_id}/api")


@pytest.fixture(scope="module")
def ann(api: Closed) -> dict[str, str]:
    return api.pool.tokens("ann@example.com")


@pytest.fixture(scope="module")
def bob(api: Closed) -> str:
    return api.pool.tokens("bob@example.com")["AccessToken"]


@pytest.mark.parametrize("kind", ["AccessToken", "IdToken"])
def test_token_of_the_user_pool_is_accepted_on_all_routes(api: Closed, ann: dict[str, str], kind: str) -> None:
    created = api("POST", "/items", fields(title="Vase"), ann[kind])
    assert created.status == 201, created.body
    item = f"/items/{created.json()['id']}"

    assert api("GET", item, token=ann[kind]).json()["title"] == "Vase"
    assert api("PATCH", item, {"title": "Bowl"}, ann[kind]).status == 200
    assert created.json()["id"] in [one["id"] for one in api("GET", "/items", token=ann[kind]).json()["items"]]
    assert api("DELETE", item, token=ann[kind]).status == 200


def test_both_tokens_of_a_user_have_the_same_owner(api: Closed, ann: dict[str, str]) -> None:
    item = api("POST", "/items", fields(), ann["AccessToken"]).json()["id"]

    assert api("GET", f"/items/{item}", token=ann["IdToken"]).status == 200


def test_documented_commands_add_a_user_and_get_a_token(api: Closed, tmp_path: Path) -> None:
    page = "docs/deploying.md"
    typed = block(page, "password") + block(page, "add a user") + block(page, "token")
    typed = typed.replace("vitrine-dev-resources", "vitrine-local-resources").replace("ann@", "dora@")

    output = type_in(
        re.sub(r"(?m)^URL=\S+/$", f"URL={api.url}/", typed),
        tmp_path,
        f"{PASSWORD}\n",
        **at_the_emulator(api.emulator),
    )

    assert '{"items":[],' in output


def test_http_api_checks_tokens_without_the_authorizer(http_api: Closed, ann: dict[str, str], bob: str) -> None:
    access, id_token = ann["AccessToken"], ann["IdToken"]
    created = http_api("POST", "/items?", fields(title="Vase"), access, idempotency_key="http-front")
    assert created.status == 201, created.body
    path = f"/items/{created.json()['id']}"
    header, payload, signature = access.split(".")

    assert created.headers["Location"].endswith(f"/api{path}")
    assert http_api("GET", path, token=id_token).json() == created.json()
    assert http_api("PATCH", path, {"title": "Jug"}, access, if_match='"1"').json()["title"] == "Jug"
    found = http_api("GET", "/items?filter%5Btitle%5D=Jug&limit=5", token=access)
    assert [one["title"] for one in found.json()["items"]] == ["Jug"]
    assert http_api("GET", path, token=bob).status == 404
    for token in (None, "abc", f"{header}.{payload}.{signature[::-1]}", ann["RefreshToken"]):
        assert http_api("GET", path, token=token).status == 401
    assert http_api("GET", "/health").json()["status"] == "ok"
    assert http_api("GET", "/web/api.js").status == 200
    assert http_api("GET", "/nowhere").json()["error"] == "NOT_FOUND"
    preflight = http_api("OPTIONS", path, origin=http_api.emulator.url, access_control_request_method="PATCH")
    assert preflight.status == 204
    assert "If-Match" in preflight.headers["Access-Control-Allow-Headers"]


def refused(answer: Answer) -> None:
    assert answer.status == 401
    assert answer.json() == {
        "error": "UNAUTHORIZED",
        "message": "Sign in first: send a valid token as Authorization: Bearer.",
        "requestId": answer.headers["X-Request-Id"],
    }
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_pipeline_smoke_user_is_deleted_afterwards(api: Closed, tmp_path: Path) -> None:
    def users() -> set[str]:
        return {user["Username"] for user in api.pool.cognito.list_users(UserPoolId=api.pool.id)["Users"]}

    project, before = checkout(tmp_path / "project"), users()

    environ = at_the_emulator(api.emulator) | {"URL": api.url, "FIELDS": json.dumps(REQUIRED)}
    output = type_in(".ci/smoke local", project, **environ)

    assert f"{api.url} works (stage local, " in output
    assert users() == before


def test_request_without_a_token_is_refused(api: Closed) -> None:
    for method, path in (("GET", "/items"), ("POST", "/items"), ("DELETE", "/items/1"), ("POST", "/imports")):
        refused(api(method, path))


def test_altered_token_is_refused(api: Closed, ann: dict[str, str]) -> None:
    header, payload, signature = ann["AccessToken"].split(".")

    for altered in (f"{header}.{payload}.{signature[::-1]}", f"{header}.{payload}.", "abc"):
        refused(api("GET", "/items", token=altered))


def test_malformed_token_runs_no_function(api: Closed) -> None:
    group = f"/aws/lambda/{api.functions['authorize']}"

    def refusals() -> list[str]:
        events = api.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events if "Token rejected" in event["message"]]

    refused(api("GET", "/items", Authorization="Bearer a.b.c"))  # runs the function; logged after earlier calls
    eventually(refusals)
    before = len(refusals())

    for rubbish in ("Bearer abc", "Basic YTpi", "Bearer a.b", "x"):
        refused(api("GET", "/items", Authorization=rubbish))
    refused(api("GET", "/items", Authorization="Bearer a.b.d"))

    eventually(lambda: len(refusals()) > before)
    assert len(refusals()) == before + 1


def test_token_of_another_pool_or_client_is_refused(api: Closed) -> None:
    cognito = api.pool.cognito
    flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    other = cognito.create_user_pool(PoolName="another")["UserPool"]["Id"]
    for pool in (other, api.pool.id):
        client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="another", ExplicitAuthFlows=flows)
        tokens = Pool(cognito, pool, client["UserPoolClient"]["ClientId"]).tokens("eve@example.com")
        refused(api("GET", "/items", token=tokens["AccessToken"]))
        refused(api("GET", "/items", token=tokens["IdToken"]))


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/hello", "/health", "/web/api.js"])
def test_public_path_needs_no_token(api: Closed, path: str) -> None:
    assert api("GET", path).status == 200


def test_only_the_owner_can_get_a_picture(api: Closed, ann: dict[str, str], bob: str) -> None:
    token = ann["AccessToken"]
    item = f"/items/{api('POST', '/items', fields(), token).json()['id']}"
    ticket = api("POST", f"{item}/image", {"contentType": "image/jpeg"}, token).json()

    assert post(ticket["upload"], photograph(640, 480)).status_code == 204

    eventually(lambda: api("GET", item, token=token).json()["image"]["status"] == "ready")
    assert api("GET", f"{item}/image?size=200", token=token).status == 302
    assert api("GET", f"{item}/image?size=200", token=bob).status == 404


def test_data_of_another_owner_is_reported_as_missing(api: Closed, ann: dict[str, str], bob: str) -> None:
    token = ann["AccessToken"]
    never = "019ca7b4-e400-7abc-8def-0123456789ab"
    item = api("POST", "/items", fields(title="Vase"), token, Idempotency_Key="1").json()["id"]
    import_ = api("POST", "/imports", {"items": [fields()]}, token).json()["id"]
    routes: list[tuple[str, str, str, Any]] = [
        ("GET", "/items/{}", item, None),
        ("PUT", "/items/{}", item, fields()),
        ("PATCH", "/items/{}", item, {}),
        ("DELETE", "/items/{}", item, None),
        ("POST", "/items/{}/image", item, {"contentType": "image/png"}),
        ("GET", "/items/{}/image", item, None),
        ("PATCH", "/items/{}/image", item, {"focus": None}),
        ("DELETE", "/items/{}/image", item, None),
        ("GET", "/imports/{}", import_, None),
    ]
    for method, path, id_, body in routes:
        of_anns, of_nobodys = (api(method, path.format(one), body, bob) for one in (id_, never))
        assert of_anns.status == of_nobodys.status == 404
        refusal = {**of_anns.json(), "requestId": ""}
        assert json.dumps(refusal).replace(id_, never) == json.dumps({**of_nobodys.json(), "requestId": ""})

    assert api("GET", "/items", token=bob).json()["items"] == []
    of_bobs = api("POST", "/items", fields(title="Lamp"), bob, Idempotency_Key="1")
    assert (of_bobs.status, of_bobs.json()["title"]) == (201, "Lamp")
    assert api("GET", f"/items/{item}", token=token).json()["title"] == "Vase"
    assert api("DELETE", f"/items/{of_bobs.json()['id']}", token=bob).status == 200


def test_no_part_of_a_token_is_logged(api: Closed, ann: dict[str, str]) -> None:
    api("GET", "/items", token=ann["AccessToken"])
    api("GET", "/items", token=ann["AccessToken"] + "x")

    def lines() -> str:
        groups = [f"/aws/lambda/{api.functions[name]}" for name in ("authorize", "api_handler")]
        found = [api.client("logs").filter_log_events(logGroupName=group)["events"] for group in groups]
        return "\n".join(event["message"] for events in found for event in events)

    eventually(lambda: "Token rejected" in lines())
    assert not any(part in lines() for part in ann["AccessToken"].split("."))


class TestApiGatewaysOwnAnswers:
    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer abc"}])
    @pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("POST", "/health"), ("GET", "/items/1/2/3")])
    def test_an_unknown_path_or_method_is_not_found(
        self, api: Closed, method: str, path: str, headers: dict[str, str]
    ) -> None:
        answer = api(method, path, **headers)

        assert (answer.status, answer.json()["error"]) == (404, "NOT_FOUND")
        assert answer.json()["requestId"] == answer.headers["X-Request-Id"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"

    def test_too_many_requests_get_429_with_retry_after(self, api: Closed) -> None:
        gateway, api_id = api.client("apigateway"), api.url.split("/")[-2]

        def limit(rate: str, burst: str) -> None:
            for name, value in (("rateLimit", rate), ("burstLimit", burst)):
                operation = {"op": "replace", "path": f"/*/*/throttling/{name}", "value": value}
                gateway.update_stage(restApiId=api_id, stageName="api", patchOperations=[operation])

        limit("1", "1")
        try:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: api("GET", "/health"), range(16)))
        finally:
            limit("100", "200")

        throttled = [answer for answer in answers if answer.status == 429]
        assert throttled
        assert {answer.status for answer in answers} <= {200, 429}
        assert throttled[0].json()["error"] == "THROTTLED"
        assert throttled[0].headers["Retry-After"] == "1"
        assert throttled[0].headers["Access-Control-Allow-Origin"] == "*"
