"""The user pool's sign-in page, which is configured once the URL of the console is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.system import System, copy_project
from tools.laptop.emulator import client_factory
from tools.stage import provision

ACCOUNT = "222222222222"
CONSOLE = "https://abc.execute-api.us-east-1.amazonaws.com/api/"


def test_second_provisioning_sets_the_callback_urls(system: System, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    client = client_factory(system.emulator.url, system.emulator.root(ACCOUNT))

    def sign_in() -> tuple[Any, Any]:
        outputs = provision.provision("dev", client, project, print)
        pool, client_id = outputs["UserPoolId"], outputs["UserPoolClientId"]
        found = client("cognito-idp").describe_user_pool_client(UserPoolId=pool, ClientId=client_id)["UserPoolClient"]
        return found, client("cognito-idp").describe_user_pool(UserPoolId=pool)["UserPool"].get("Domain")

    before, page = sign_in()
    assert (before.get("AllowedOAuthFlows") or [], page) == ([], None)
    deployed = project / ".chalice" / "deployed" / "dev.json"
    deployed.parent.mkdir()
    deployed.write_text(json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_url": CONSOLE}]}))

    after, page = sign_in()
    assert after["ClientId"] == before["ClientId"]
    assert (after["CallbackURLs"], after["LogoutURLs"], after["AllowedOAuthFlows"]) == ([CONSOLE], [CONSOLE], ["code"])
    assert page == f"vitrine-dev-{ACCOUNT}"
