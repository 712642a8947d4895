"""Pages of other sites cannot use Vitrine on the same machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.browser.conftest import System
from tests.e2e.system import request
from tools.laptop.emulator import REGION

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Response

CREATE_ROLE = {
    "Action": "CreateRole",
    "Version": "2010-05-08",
    "RoleName": "of-another-site",
    "AssumeRolePolicyDocument": '{"Statement": []}',
}
PAGE = "<!doctype html><title>Somebody's page</title><button>Win a prize</button>"


@pytest.fixture(scope="module")
def another_port() -> Iterator[str]:
    """Serve a page of another program on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["another site", "another port"])
def stranger(request: pytest.FixtureRequest, context: BrowserContext, another_port: str) -> Page:
    page = context.new_page()
    if request.param == "another port":
        page.goto(another_port)
    else:
        context.route("http://evil.example/**", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto("http://evil.example/")
    return page


def in_a_popup(page: Page, url: str, script: str) -> Response:
    """Run ``script`` at a click, which opens a tab. Return the response of ``url``."""
    page.evaluate(f"() => {{ document.querySelector('button').onclick = () => {{ {script} }} }}")
    with page.context.expect_event("response", lambda response: response.url == url) as answered:
        page.click("button")
    answer: Response = answered.value
    return answer


def posting(url: str, **fields: str) -> str:
    """Return a script that sends a form as plain text, which may be JSON, into a new tab."""
    return f"""
        const form = document.createElement("form");
        Object.assign(form, {{method: "post", action: {json.dumps(url)}, target: "_blank", enctype: "text/plain"}});
        for (const [name, value] of Object.entries({json.dumps(fields)})) {{
            form.append(Object.assign(document.createElement("input"), {{name, value}}));
        }}
        document.body.append(form);
        form.submit();"""


def signed_link(system: System) -> str:
    aws_request = AWSRequest("GET", f"{system.emulator}/?{urlencode(CREATE_ROLE)}")
    SigV4QueryAuth(Credentials("test", "test"), "iam", REGION).add_auth(aws_request)
    return str(aws_request.url)


def test_popup_cannot_use_the_emulator_as_root(system: System, stranger: Page) -> None:
    link = signed_link(system)

    answer = in_a_popup(stranger, link, f"window.open({json.dumps(link)})")

    assert answer.status == 403
    roles = system.client("iam").list_roles()["Roles"]
    assert "of-another-site" not in [role["RoleName"] for role in roles]


def test_form_cannot_erase_the_data(system: System, stranger: Page) -> None:
    url = f"{system.emulator}/_ministack/reset"

    answer = in_a_popup(stranger, url, posting(url))

    assert answer.status == 403
    assert system.client("s3").list_buckets()["Buckets"]


def test_form_cannot_create_an_item(system: System, stranger: Page) -> None:
    url = f"{system.url}/items"
    before = request("GET", url).json()["count"]

    answer = in_a_popup(stranger, url, posting(url, **{'{"title": "': '"}'}))

    assert answer.status == 403
    assert request("GET", url).json()["count"] == before


def test_script_can_read_nothing(system: System, stranger: Page) -> None:
    for url in (f"{system.url}/items", f"{system.emulator}/_ministack/health", f"{system.packaged}/items"):
        result = stranger.evaluate("url => fetch(url).then(answer => answer.text(), () => 'failed')", url)
        assert result == "failed"


def test_link_opens_the_console(system: System, stranger: Page) -> None:
    stranger.evaluate("url => { location.href = url }", f"{system.url}/")

    stranger.wait_for_selector("text=Vitrine")
