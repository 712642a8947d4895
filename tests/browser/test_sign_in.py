"""A stage that wants to know who comes: the code flow with PKCE, with a small issuer that keeps to the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Route, expect

from tests.browser.issuer import CLIENT, Issuer
from tests.browser.looks import serious_faults
from tests.browser.tab import File, Tab
from tests.e2e.waiting import eventually


@pytest.fixture(autouse=True)
def as_usual(issuer: Issuer) -> Iterator[None]:
    """What a test has the issuer do otherwise is over with it."""
    usual = (issuer.token_seconds, issuer.access_token_for)
    issuer.grants.clear()
    issuer.signed_out.clear()
    yield
    issuer.token_seconds, issuer.access_token_for = usual
    issuer.forged.clear()


@pytest.fixture
def door(closed: str, tab: Tab) -> Tab:
    """At the closed console, without a session."""
    tab.expect_fault("401")
    tab.page.goto(f"{closed}/")
    expect(tab.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    return tab


def sign_in(tab: Tab, user: str) -> None:
    tab.page.get_by_role("button", name="Sign in", exact=True).click()
    tab.page.get_by_label("Name").fill(user)
    tab.page.get_by_role("button", name="Sign in").click()


def session(tab: Tab) -> dict[str, str]:
    kept: dict[str, str] = json.loads(tab.page.evaluate("sessionStorage.getItem('vitrine.session')"))
    return kept


def end_session(tab: Tab, token: str = "over.and.done") -> None:
    """Its token is over, or is ``token`` and about to be."""
    tab.page.evaluate(
        "token => sessionStorage.setItem('vitrine.session', JSON.stringify({...JSON.parse("
        "sessionStorage.getItem('vitrine.session')), token, expiresAt: 0}))",
        token,
    )


def test_whoever_signs_in_sees_their_own_items_and_who_they_are(closed: str, door: Tab) -> None:
    assert serious_faults(door.page) == []
    sign_in(door, "ann")

    expect(door.page.get_by_text("No items yet")).to_be_visible()
    expect(door.page.get_by_text("ann@example.com")).to_be_visible()
    assert door.page.url == f"{closed}/"
    assert serious_faults(door.page) == []
    door.create("Of Ann's own")
    door.page.reload()
    expect(door.card("Of Ann's own")).to_be_visible()
    assert "vitrine" not in door.page.evaluate("JSON.stringify({...localStorage}) + document.cookie")


def test_an_access_token_for_others_is_left_alone(issuer: Issuer, door: Tab) -> None:
    issuer.access_token_for = "the issuer itself"
    sign_in(door, "bea")

    expect(door.page.get_by_text("No items yet")).to_be_visible()


def test_a_token_is_renewed_before_it_ends(issuer: Issuer, door: Tab) -> None:
    issuer.token_seconds = 20
    sign_in(door, "cid")
    expect(door.page.get_by_text("No items yet")).to_be_visible()
    first = session(door)
    issuer.token_seconds = 3600
    door.create("After the renewal")

    assert issuer.grants[:2] == ["authorization_code", "refresh_token"]
    assert session(door)["token"] != first["token"]
    assert session(door)["refreshToken"] != first["refreshToken"]


def test_a_session_that_is_over_keeps_what_was_typed(issuer: Issuer, door: Tab) -> None:
    sign_in(door, "dan")
    door.page.get_by_role("button", name="New item").first.click()
    door.field("title").fill("Half a sonnet")
    issuer.refresh_tokens.clear()
    door.expect_fault("400")
    end_session(door)
    door.press("Create")
    expect(door.dialog.get_by_role("alert")).to_contain_text("Sign in")
    door.press("Sign in again")
    door.page.get_by_label("Name").fill("dan")
    door.page.get_by_role("button", name="Sign in").click()

    expect(door.field("title")).to_have_value("Half a sonnet")
    door.press("Create")
    expect(door.card("Half a sonnet")).to_be_visible()


def test_a_bad_token_leads_to_sign_in_also_where_api_gateway_says_so_in_its_own_words(closed: str, door: Tab) -> None:
    sign_in(door, "hal")
    expect(door.page.get_by_text("No items yet")).to_be_visible()
    door.expect_fault("403")
    said = {"Message": "User is not authorized to access this resource"}
    door.page.route("**/items?*", lambda route: route.fulfill(status=403, json=said))
    door.page.reload()

    expect(door.page.get_by_text("Your session has expired.")).to_be_visible()


def test_signing_out_ends_it_here_and_there(issuer: Issuer, door: Tab) -> None:
    sign_in(door, "eve")
    door.page.get_by_role("button", name="Sign out").click()

    expect(door.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    assert sorted(issuer.signed_out) == ["end-session", "revoke"]
    assert door.page.evaluate("sessionStorage.length") == 0


def test_signing_out_while_the_token_is_renewed_ends_the_new_one_too(
    issuer: Issuer, door: Tab, context: BrowserContext
) -> None:
    sign_in(door, "kim")
    expect(door.page.get_by_text("kim@example.com")).to_be_visible()
    others = set(issuer.refresh_tokens) - {session(door)["refreshToken"]}
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        held.append((route, route.fetch()))

    context.route(f"{issuer.url}/token", hold)
    end_session(door)
    door.drop("main", File.photograph("moon"))
    expect(door.panel).to_contain_text("Requesting the upload")
    while not held:
        door.page.wait_for_timeout(100)
    door.page.get_by_role("button", name="Sign out").click()
    expect(door.panel).to_be_hidden()
    for route, answer in held:
        route.fulfill(response=answer)

    expect(door.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    assert eventually(lambda: "end-session" in issuer.signed_out)
    assert sorted(issuer.signed_out) == ["end-session", "revoke", "revoke"]
    assert set(issuer.refresh_tokens) == others
    assert door.page.evaluate("sessionStorage.length") == 0


def test_a_session_that_ends_under_an_upload_says_how_to_go_on(issuer: Issuer, door: Tab) -> None:
    sign_in(door, "lea")
    expect(door.page.get_by_text("lea@example.com")).to_be_visible()
    issuer.refresh_tokens.clear()
    door.expect_fault("400")
    end_session(door)
    door.drop("main", File.photograph("moon"))

    expect(door.panel).to_contain_text("choose these files again afterwards")
    assert serious_faults(door.page) == []
    door.panel.get_by_role("button", name="Sign in").click()
    expect(door.page.get_by_label("Name")).to_be_visible()


def test_the_issuers_no_is_said(door: Tab) -> None:
    door.page.get_by_role("button", name="Sign in", exact=True).click()
    door.page.get_by_role("button", name="No").click()

    expect(door.page.get_by_role("alert")).to_contain_text("Somebody said no.")
    assert "error" not in door.page.url


def test_an_answer_to_what_was_not_asked_is_refused(closed: str, issuer: Issuer, tab: Tab) -> None:
    tab.page.goto(f"{closed}/?code=stolen&state=made-up")

    expect(tab.page.get_by_role("alert")).to_contain_text("not started in this tab")
    assert issuer.grants == []


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        ({"nonce": "of another sign-in"}, "not the one that was asked for"),
        ({"iss": "https://evil.example"}, "not the one that was asked for"),
        ({"aud": "another client"}, "not the one that was asked for"),
        ({"aud": [CLIENT, "another client"], "azp": "another client"}, "not the one that was asked for"),
        ({"exp": 1_500_000_000}, "has expired"),
        ({"exp": None}, "has expired"),
        ({"iat": 4_000_000_000}, "not valid yet"),
    ],
)
def test_an_id_token_that_is_not_the_one_asked_for_is_refused(
    issuer: Issuer, door: Tab, forged: dict[str, Any], words: str
) -> None:
    issuer.forged = forged
    sign_in(door, "mallory")

    expect(door.page.get_by_role("alert")).to_contain_text(words)
    assert door.page.evaluate("sessionStorage.getItem('vitrine.session')") is None


def test_a_renewal_that_brings_somebody_elses_token_is_left_alone(issuer: Issuer, door: Tab) -> None:
    sign_in(door, "ida")
    expect(door.page.get_by_text("ida@example.com")).to_be_visible()
    first = session(door)
    issuer.refresh_tokens = dict.fromkeys(issuer.refresh_tokens, "mallory")
    end_session(door, token=first["token"])
    door.create("Of Ida's own")

    assert issuer.grants == ["authorization_code", "refresh_token"]
    assert session(door)["token"] == first["token"]
    expect(door.page.get_by_text("ida@example.com")).to_be_visible()


def test_another_issuers_answer_is_refused(door: Tab, issuer: Issuer, context: BrowserContext) -> None:
    context.route(f"{issuer.url}/authorize?*", lambda route: route.continue_())
    door.page.get_by_role("button", name="Sign in", exact=True).click()
    door.page.get_by_label("Name").wait_for()
    state = door.page.locator("input[name=state]").input_value()
    back = door.page.locator("input[name=redirect_uri]").input_value()
    door.page.goto(f"{back}?code=x&state={state}&iss=https://evil.example")

    expect(door.page.get_by_role("alert")).to_contain_text("https://evil.example")
    assert issuer.grants == []


def test_a_token_from_elsewhere_will_do(door: Tab, issuer: Issuer) -> None:
    door.page.get_by_text("Use a token instead").click()
    door.page.get_by_label("Bearer token").fill(f"Bearer {issuer.tokens('fay', None)['id_token']}")
    door.page.get_by_role("button", name="Use token").click()

    expect(door.page.get_by_text("No items yet")).to_be_visible()


def test_the_api_page_signs_in_too_and_comes_back_to_where_it_was(closed: str, tab: Tab) -> None:
    tab.page.goto(f"{closed}/docs#get-items")
    sign_in(tab, "gil")
    tab.page.wait_for_url(f"{closed}/docs#get-items")
    expect(tab.page.get_by_text("gil@example.com")).to_be_visible()
    route = tab.page.locator("#get-items")
    expect(route.locator(".curl")).to_contain_text("Authorization: Bearer $TOKEN")
    route.get_by_role("button", name="Send").click()

    expect(route.locator(".result")).to_contain_text("200")
    expect(route.locator(".result")).to_contain_text('"items": []')
    assert CLIENT not in tab.page.url


def test_the_api_page_goes_by_the_session_as_it_is(closed: str, tab: Tab) -> None:
    tab.page.goto(f"{closed}/docs#get-items")
    route = tab.page.locator("#get-items")
    expect(route).to_contain_text("It needs a token")
    sign_in(tab, "moe")
    expect(route.get_by_text("It needs a token")).to_be_hidden()
    expect(route.locator(".curl")).to_contain_text("Authorization")
    tab.page.evaluate("import('/web/session.js').then(session => session.setToken(''))")

    expect(route.get_by_text("It needs a token")).to_be_visible()
    expect(route.locator(".curl")).not_to_contain_text("Authorization")
