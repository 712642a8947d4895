"""Fixtures for the console in a real browser, with everything that `make run` starts on this machine."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from chalicelib.http.local_request_guard import PORTS
from tests.browser import issuer as issuers
from tests.browser.tab import File, Tab
from tests.e2e.system import configure, copy_project, request
from tests.e2e.terminals import Terminal, second_terminal
from tests.edited_item_fields import SHOP, replace_item_fields
from tools import find_chromium as browsers

expect.set_options(timeout=20_000)


class System(NamedTuple):
    """The addresses of a running Vitrine."""

    url: str
    """Of the API and the console by `chalice local`, without a slash at the end."""
    packaged: str
    """Of the packaged app behind the emulator's API Gateway, below a stage's path."""
    project: Path
    client: Callable[[str], Any]
    """Returns a boto3 client of the emulator, as root."""
    emulator: str
    """Of the emulator."""


def create_item(system: System, **fields: Any) -> dict[str, Any]:
    """Create an item by the API, and return it."""
    item: dict[str, Any] = request("POST", f"{system.url}/items", fields).json()
    return item


def find_item(system: System, title: str) -> dict[str, Any]:
    """Return the newest item with that title."""
    found = request("GET", f"{system.url}/items?limit=100").json()["items"]
    return next(item for item in found if item.get("title") == title)


def delete_all_items(system: System) -> None:
    """Delete all items."""
    while items := request("GET", f"{system.url}/items?limit=100").json()["items"]:
        for item in items:
            request("DELETE", f"{system.url}/items/{item['id']}")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Start Vitrine without sign-in."""
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
        # Nothing has to be saved. Killing the emulator and deleting its files with rm is several times faster than its
        # orderly stop.
        emulator = terminal.project / ".local" / "emulator"
        os.kill(int((emulator / "lock").read_text()), signal.SIGKILL)
        subprocess.run(["rm", "-rf", emulator / "tmp"], check=False)
        terminal.close()


def warm(terminal: Terminal, packaged: str) -> None:
    """Have the emulator start the functions' processes, which takes seconds, before a test waits for them."""
    s3 = terminal.client("s3")
    bucket = s3.list_buckets(Prefix="vitrine-local-")["Buckets"][0]["Name"]
    s3.put_object(Bucket=bucket, Key="uploads/first.jpg", Body=File.photograph("coffee").content)
    request("GET", f"{packaged}/health")


@pytest.fixture(scope="session")
def issuer() -> Iterator[issuers.Issuer]:
    with issuers.running() as issuer:
        yield issuer


@contextmanager
def second_server(system: System, project: Path) -> Iterator[str]:
    """Run `chalice local` in a copy of the project, with the data of ``system``. Yield its address."""
    shutil.copy(system.project / ".local" / "aws-config", project / ".local")
    (project / ".local" / PORTS).symlink_to(system.project / ".local" / PORTS)
    with second_terminal(project, {}) as url:
        yield url


@pytest.fixture(scope="session")
def closed(system: System, issuer: issuers.Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a second server on the same data, which requires tokens of the issuer. Return its address."""
    project = copy_project(tmp_path_factory.mktemp("closed") / "project")
    configure(
        project / ".chalice" / "config.json",
        AUTH_MODE="oidc",
        OIDC_ISSUER=issuer.url,
        OIDC_AUDIENCE=issuers.CLIENT,
        OIDC_CLIENT_ID=issuers.CLIENT,
    )
    with second_server(system, project) as url:
        issuer.redirect_uris.add(f"{url}/")
        yield url


@pytest.fixture(scope="session")
def with_fields(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return a function that starts a server on the same data with another class ItemFields, and returns its address.

    Its argument is the source text of the class. Equal texts share one server.
    """
    with ExitStack() as servers:

        @functools.cache
        def start(edit: str) -> str:
            project = copy_project(tmp_path_factory.mktemp("with-fields") / "project")
            replace_item_fields(project, edit)
            subprocess.run([sys.executable, "-m", "tools.openapi"], cwd=project, check=True)
            return servers.enter_context(second_server(system, project))

        yield start


@pytest.fixture
def shop(with_fields: Callable[[str], str]) -> str:
    """Return the address of a server that requires a name, a price and a date of each item."""
    return with_fields(SHOP)


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
    """Open a browser without any data of earlier tests."""
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def new_tab(context: BrowserContext) -> Iterator[Callable[[], Tab]]:
    """Return a function that opens a tab. At the end, no tab may have reported an unexpected fault."""
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
