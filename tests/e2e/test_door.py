"""What clients send and get: one suite for two addresses, `chalice local` and the packaged API.

The packaged API stands behind the emulator's API Gateway. What AWS's own does beyond that is in docs/errors.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from tests.e2e.door import Door
from tests.e2e.system import System, free_port
from tools import run
from tools.server import Server
from tools.terminal import Terminal


@pytest.fixture(scope="module", params=["chalice local", "packaged"])
def api(request: pytest.FixtureRequest, system: System) -> Iterator[Door]:
    """The API at one of its two addresses, on the same table, bucket and queue."""
    if request.param == "packaged":
        yield Door(request.param, system.api)
        return
    run.write_aws_config(system.project, system.emulator)
    server = Server(system.project, free_port(), Terminal(io.StringIO()))
    server.start()
    try:
        server.await_ready()
        yield Door(request.param, server.url)
    finally:
        server.stop()


def test_item_is_created_and_read(api: Door) -> None:
    item = api.item(title="Vase")

    reply = api.json("GET", f"/items/{item['id']}")

    assert (reply.status, reply.json()) == (200, item)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_change_to_the_same_writes_nothing(api: Door, method: str) -> None:
    item = api.item(price=19.5)

    reply = api.json(method, f"/items/{item['id']}", {"title": "Vase", "price": 19.50}, if_match='"1"')

    assert (reply.status, reply.json(), reply.headers["ETag"]) == (200, item, '"1"')


def test_id_in_upper_case_names_the_same_item(api: Door) -> None:
    item = api.item()

    reply = api.json("GET", f"/items/{item['id'].upper()}")

    assert (reply.status, reply.json()) == (200, item)
    assert api.json("DELETE", f"/items/{item['id'].upper()}").json()["id"] == item["id"]


def test_other_spellings_of_an_id_are_not_found(api: Door) -> None:
    item = api.item()

    for id_ in (item["id"].replace("-", ""), f"urn:uuid:{item['id']}", f"%7B{item['id']}%7D"):
        assert api.json("GET", f"/items/{id_}").error == "ITEM_NOT_FOUND"
