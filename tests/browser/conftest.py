"""The console in a real browser, against all of Vitrine on this machine, as `make run` starts it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from chalicelib.http.loopback import PORTS
from tests.browser import issuer as issuers
from tests.browser.looks import Shots
from tests.browser.tab import File, Tab
from tests.e2e.system import configure, copy_project, request
from tests.e2e.terminals import Terminal, second_terminal
from tools import chromium as browsers

expect.set_options(timeout=20_000)


class System(NamedTuple):
    """Where everything is reached."""

    url: str
    """The API and the console, by `chalice local`, without a slash at the end."""
    packaged: str
    """The same, packaged, behind the emulator's API Gateway: below a stage's path."""
    project: Path
    client: Callable[[str], Any]
    """Makes boto3 clients of the emulator, as its root."""
    emulator: str
    """Where the emulator is reached."""


def made(system: System, **fields: Any) -> dict[str, Any]:
    """An item that is there already."""
    item: dict[str, Any] = request("POST", f"{system.url}/items", fields).json()
    return item


def item_of(system: System, title: str) -> dict[str, Any]:
    """The newest item of that title."""
    found = request("GET", f"{system.url}/items?limit=100").json()["items"]
    return next(item for item in found if item.get("title") == title)


def empty(system: System) -> None:
    """Takes away every item that is there."""
    while items := request("GET", f"{system.url}/items?limit=100").json()["items"]:
        for item in items:
            request("DELETE", f"{system.url}/items/{item['id']}")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """All of Vitrine, with sign-in left out."""
    terminal = Terminal(copy_project(tmp_path_factory.mktemp("system") / "project"))
    try:
        terminal.await_text("Ctrl-C stops it", 180)
        stack = terminal.client("cloudformation").describe_stacks(StackName="vitrine-local")["Stacks"][0]
        api_id = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "RestAPIId")
        packaged = f"http://127.0.0.1:{terminal.emulator_port}/_aws/execute-api/{api_id}/api"
        with ThreadPoolExecutor(1) as meanwhile:
            meanwhile.submit(warm, terminal, packaged)
            yield System(
                terminal.url, packaged, terminal.project, terminal.client, f"http://127.0.0.1:{terminal.emulator_port}"
            )
    finally:
        # Nothing of it is to be kept: the emulator need not take its time to save, nor `make run` its own to tidy up
        # thousands of files, which rm is several times as quick with.
        emulator = terminal.project / ".local" / "emulator"
        os.kill(int((emulator / "lock").read_text()), signal.SIGKILL)
        subprocess.run(["rm", "-rf", emulator / "tmp"], check=False)
        terminal.close()


def warm(terminal: Terminal, packaged: str) -> None:
    """Has the emulator start the functions' processes, which takes a while, before a test waits for them."""
    s3 = terminal.client("s3")
    bucket = s3.list_buckets(Prefix="vitrine-local-")["Buckets"][0]["Name"]
    s3.put_object(Bucket=bucket, Key="uploads/first.jpg", Body=File.photograph("coffee").content)
    request("GET", f"{packaged}/health")


@pytest.fixture(scope="session")
def issuer() -> Iterator[issuers.Issuer]:
    with issuers.running() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def closed(system: System, issuer: issuers.Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a second server of the same system, which wants tokens of the issuer."""
    project = copy_project(tmp_path_factory.mktemp("closed") / "project")
    shutil.copy(system.project / ".local" / "aws-config", project / ".local")
    (project / ".local" / PORTS).symlink_to(system.project / ".local" / PORTS)
    configure(
        project / ".chalice" / "config.json",
        AUTH_MODE="oidc",
        OIDC_ISSUER=issuer.url,
        OIDC_AUDIENCE=issuers.CLIENT,
        OIDC_CLIENT_ID=issuers.CLIENT,
    )
    with second_terminal(project, {}) as url:
        issuer.redirect_uris.add(f"{url}/")
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = browsers.find()
    assert path is not None, "There is no Chromium: make test-browser installs one."
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser as somebody has it who was never here; Playwright's own default is a window of 1280 × 720."""
    made = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture
def new_tab(context: BrowserContext) -> Iterator[Callable[[], Tab]]:
    """Opens a tab; when the test is over, each has to have been quiet."""
    opened: list[Tab] = []

    def open_tab() -> Tab:
        opened.append(Tab(context.new_page()))
        return opened[-1]

    yield open_tab
    for tab in opened:
        tab.assert_quiet()


@pytest.fixture
def tab(new_tab: Callable[[], Tab]) -> Tab:
    return new_tab()


@pytest.fixture
def shots() -> Shots:
    return Shots()
