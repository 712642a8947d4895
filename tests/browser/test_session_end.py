"""The end of a session: by sign-out, or while the user works."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Route, expect

from tests.browser.conftest import System
from tests.browser.issuer import Issuer
from tests.browser.tab import Tab
from tests.e2e.system import request
from tests.e2e.waiting import eventually


@pytest.fixture
def enter(closed: str, issuer: Issuer, tab: Tab) -> Callable[[str], str]:
    """Return a function that opens the console with a token of a user, and returns the token."""

    def enter(user: str) -> str:
        token: str = issuer.tokens(user, None)["id_token"]
        tab.page.goto(f"{closed}/docs")
        tab.page.evaluate("token => sessionStorage.setItem('vitrine.session', JSON.stringify({token}))", token)
        tab.page.goto(f"{closed}/")
        expect(tab.page.get_by_role("button", name="Sign out")).to_be_visible()
        return token

    return enter


def create(closed: str, token: str, title: str) -> str:
    answer = request("POST", f"{closed}/items", {"title": title}, Authorization=f"Bearer {token}")
    item_id: str = answer.json()["id"]
    return item_id


def test_late_list_is_not_shown_after_sign_out(closed: str, tab: Tab, enter: Callable[[str], str]) -> None:
    tab.expect_fault("401")
    create(closed, enter("ida"), "Ida's diary")
    held = tab.hold("GET", "**/items?*")
    tab.page.reload()
    held.await_one()
    tab.page.get_by_role("button", name="Sign out").click()
    held.release()

    expect(tab.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    expect(tab.card("Ida's diary")).to_have_count(0)


def test_sign_out_finishes_deletes(closed: str, tab: Tab, enter: Callable[[str], str]) -> None:
    tab.expect_fault("401")
    token = enter("jan")
    item_id = create(closed, token, "Jan's letter")
    tab.open(closed)
    tab.view_item("Jan's letter")
    tab.press("Delete")
    tab.press("Sign out")
    expect(tab.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()

    assert eventually(
        lambda: request("GET", f"{closed}/items/{item_id}", Authorization=f"Bearer {token}").status == 404
    )
    expect(tab.card("Jan's letter")).to_have_count(0)


def refuse_writes(tab: Tab, method: str) -> None:
    """Reject the next write as if the token had expired."""

    def refuse(route: Route) -> None:
        if route.request.method != method:
            return route.fallback()
        return route.fulfill(status=401, json={"error": "UNAUTHORIZED", "message": "Sign in.", "requestId": "r"})

    tab.page.route("**/items**", refuse, times=1)


def test_form_accepts_a_new_token(system: System, tab: Tab) -> None:
    tab.expect_fault("401")
    tab.open(system.url)
    tab.press("New item")
    tab.field("title").fill("Long work")
    refuse_writes(tab, "POST")
    tab.press("Create")
    tab.dialog.get_by_label("Token").fill("a.new.one")
    tab.press("Use token")
    expect(tab.dialog.get_by_label("Token")).to_have_count(0)
    tab.press("Create")

    expect(tab.card("Long work")).to_be_visible()


def test_sign_in_again_keeps_a_resolved_conflict(closed: str, tab: Tab, enter: Callable[[str], str]) -> None:
    tab.expect_fault("412")
    tab.expect_fault("401")
    token = enter("kim")
    item_id = create(closed, token, "Kim's map")
    tab.open(closed)
    tab.open_item("Kim's map")
    auth = {"Authorization": f"Bearer {token}"}
    request("PUT", f"{closed}/items/{item_id}", {"title": "Kim's map", "scale": 50}, **auth)
    tab.field("title").fill("Kim's own map")
    tab.press("Save")
    expect(tab.dialog).to_contain_text("Someone else changed this item")
    refuse_writes(tab, "PUT")
    dialogs: list[str] = []

    def leave(dialog: Dialog) -> None:
        dialogs.append(dialog.type)
        dialog.accept()

    tab.page.on("dialog", leave)
    tab.press("Save these values")
    tab.press("Sign in again")
    tab.page.get_by_label("Name", exact=True).fill("kim")
    tab.page.get_by_role("button", name="Sign in").click()
    expect(tab.field("title")).to_have_value("Kim's own map")
    expect(tab.field("scale")).to_have_value("50")
    tab.save()

    item = request("GET", f"{closed}/items/{item_id}", **auth).json()
    assert (item["title"], item["scale"]) == ("Kim's own map", 50)
    assert dialogs == []


def test_sign_in_returns_to_the_item(closed: str, issuer: Issuer, tab: Tab) -> None:
    tab.expect_fault("401")
    item_id = create(closed, issuer.tokens("lea", None)["id_token"], "Lea's link")
    tab.page.goto(f"{closed}/#item={item_id}")
    tab.dialog.get_by_role("button", name="Sign in", exact=True).click()
    tab.page.get_by_label("Name", exact=True).fill("lea")
    tab.page.get_by_role("button", name="Sign in").click()

    expect(tab.dialog.get_by_role("heading", name="Lea's link")).to_be_visible()
