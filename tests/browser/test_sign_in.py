"""Sign-in by the code flow with PKCE."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Route, expect

from tests.browser.accessibility import serious_faults
from tests.browser.issuer import CLIENT, Issuer
from tests.browser.tab import File, Tab
from tests.e2e.waiting import eventually


@pytest.fixture(autouse=True)
def as_usual(issuer: Issuer) -> Iterator[None]:
    """Reset what a test has changed of the issuer."""
    usual = (issuer.token_seconds, issuer.access_token_for)
    issuer.grants.clear()
    issuer.signed_out.clear()
    yield
    issuer.token_seconds, issuer.access_token_for = usual
    issuer.forged.clear()


@pytest.fixture
def signed_out(closed: str, tab: Tab) -> Tab:
    """Open the console without a session."""
    tab.expect_fault("401")
    tab.page.goto(f"{closed}/")
    expect(tab.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    return tab


def sign_in(tab: Tab, user: str) -> None:
    tab.page.get_by_role("button", name="Sign in", exact=True).click()
    tab.page.get_by_label("Name", exact=True).fill(user)
    tab.page.get_by_role("button", name="Sign in").click()


def session(tab: Tab) -> dict[str, str]:
    kept: dict[str, str] = json.loads(tab.page.evaluate("sessionStorage.getItem('vitrine.session')"))
    return kept


def end_session(tab: Tab, token: str = "over.and.done") -> None:
    """Replace the session's token by one that has expired."""
    tab.page.evaluate(
        "token => sessionStorage.setItem('vitrine.session', JSON.stringify({...JSON.parse("
        "sessionStorage.getItem('vitrine.session')), token, expiresAt: 0}))",
        token,
    )


def test_user_sees_own_items_after_sign_in(closed: str, signed_out: Tab) -> None:
    assert serious_faults(signed_out.page) == []
    sign_in(signed_out, "ann")

    expect(signed_out.page.get_by_text("No items yet")).to_be_visible()
    expect(signed_out.page.get_by_text("ann@example.com")).to_be_visible()
    assert signed_out.page.url == f"{closed}/"
    assert serious_faults(signed_out.page) == []
    signed_out.create("Of Ann's own")
    signed_out.page.reload()
    expect(signed_out.card("Of Ann's own")).to_be_visible()
    assert "vitrine" not in signed_out.page.evaluate("JSON.stringify({...localStorage}) + document.cookie")


def test_access_token_for_others_is_not_used(issuer: Issuer, signed_out: Tab) -> None:
    issuer.access_token_for = "the issuer itself"
    sign_in(signed_out, "bea")

    expect(signed_out.page.get_by_text("No items yet")).to_be_visible()


def test_token_is_renewed_before_it_expires(issuer: Issuer, signed_out: Tab) -> None:
    issuer.token_seconds = 20
    sign_in(signed_out, "cid")
    expect(signed_out.page.get_by_text("No items yet")).to_be_visible()
    first = session(signed_out)
    issuer.token_seconds = 3600
    signed_out.create("After the renewal")

    assert issuer.grants[:2] == ["authorization_code", "refresh_token"]
    assert session(signed_out)["token"] != first["token"]
    assert session(signed_out)["refreshToken"] != first["refreshToken"]


def test_form_survives_an_expired_session(issuer: Issuer, signed_out: Tab) -> None:
    sign_in(signed_out, "dan")
    signed_out.page.get_by_role("button", name="New item").first.click()
    signed_out.field("title").fill("Half a sonnet")
    issuer.refresh_tokens.clear()
    signed_out.expect_fault("400")
    end_session(signed_out)
    signed_out.press("Create")
    expect(signed_out.dialog.get_by_role("alert")).to_contain_text("Sign in")
    signed_out.press("Sign in again")
    signed_out.page.get_by_label("Name", exact=True).fill("dan")
    signed_out.page.get_by_role("button", name="Sign in").click()

    expect(signed_out.field("title")).to_have_value("Half a sonnet")
    signed_out.press("Create")
    expect(signed_out.card("Half a sonnet")).to_be_visible()


def test_403_of_api_gateway_leads_to_sign_in(closed: str, signed_out: Tab) -> None:
    sign_in(signed_out, "hal")
    expect(signed_out.page.get_by_text("No items yet")).to_be_visible()
    signed_out.expect_fault("403")
    signed_out.expect_fault("400")  # The reload may interrupt a renewal: then the next one is refused.
    body = {"Message": "User is not authorized to access this resource"}
    signed_out.page.route("**/items?*", lambda route: route.fulfill(status=403, json=body))
    signed_out.page.reload()

    expect(signed_out.page.get_by_text("Your session has expired. Sign in again.")).to_be_visible()


def test_sign_out_ends_the_session_at_the_issuer(issuer: Issuer, signed_out: Tab) -> None:
    sign_in(signed_out, "eve")
    signed_out.page.get_by_role("button", name="Sign out").click()

    expect(signed_out.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    assert sorted(issuer.signed_out) == ["end-session", "revoke"]
    assert signed_out.page.evaluate("sessionStorage.length") == 0


def test_sign_out_during_a_renewal_revokes_both_tokens(
    issuer: Issuer, signed_out: Tab, context: BrowserContext
) -> None:
    sign_in(signed_out, "kim")
    expect(signed_out.page.get_by_text("kim@example.com")).to_be_visible()
    others = set(issuer.refresh_tokens) - {session(signed_out)["refreshToken"]}
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        held.append((route, route.fetch()))

    context.route(f"{issuer.url}/token", hold)
    end_session(signed_out)
    signed_out.drop("main", File.photograph("moon"))
    expect(signed_out.panel).to_contain_text("Uploading")
    while not held:
        signed_out.page.wait_for_timeout(100)
    signed_out.page.get_by_role("button", name="Sign out").click()
    expect(signed_out.panel).to_be_hidden()
    for route, answer in held:
        route.fulfill(response=answer)

    expect(signed_out.page.get_by_role("heading", name="Sign in to see the items")).to_be_visible()
    assert eventually(lambda: "end-session" in issuer.signed_out)
    assert sorted(issuer.signed_out) == ["end-session", "revoke", "revoke"]
    assert set(issuer.refresh_tokens) == others
    assert signed_out.page.evaluate("sessionStorage.length") == 0


def test_session_that_expires_during_an_upload(issuer: Issuer, signed_out: Tab) -> None:
    sign_in(signed_out, "lea")
    expect(signed_out.page.get_by_text("lea@example.com")).to_be_visible()
    issuer.refresh_tokens.clear()
    signed_out.expect_fault("400")
    end_session(signed_out)
    signed_out.drop("main", File.photograph("moon"))

    expect(signed_out.panel).to_contain_text("choose these files again afterwards")
    assert serious_faults(signed_out.page) == []
    signed_out.panel.get_by_role("button", name="Sign in").click()
    expect(signed_out.page.get_by_label("Name", exact=True)).to_be_visible()


def test_refusal_of_the_issuer_is_shown(signed_out: Tab) -> None:
    signed_out.page.get_by_role("button", name="Sign in", exact=True).click()
    signed_out.page.get_by_role("button", name="No").click()

    expect(signed_out.page.get_by_role("alert")).to_contain_text("Somebody said no.")
    assert "error" not in signed_out.page.url


def test_unrequested_sign_in_is_rejected(closed: str, issuer: Issuer, tab: Tab) -> None:
    tab.page.goto(f"{closed}/?code=stolen&state=made-up")

    expect(tab.page.get_by_role("alert")).to_contain_text("started in another tab")
    assert issuer.grants == []


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        ({"nonce": "of another sign-in"}, "sent a token that was not requested"),
        ({"iss": "https://evil.example"}, "sent a token that was not requested"),
        ({"aud": "another client"}, "sent a token that was not requested"),
        ({"aud": [CLIENT, "another client"], "azp": "another client"}, "sent a token that was not requested"),
        ({"exp": 1_500_000_000}, "has expired"),
        ({"exp": None}, "has expired"),
        ({"iat": 4_000_000_000}, "not valid yet"),
    ],
)
def test_wrong_id_token_is_rejected(issuer: Issuer, signed_out: Tab, forged: dict[str, Any], words: str) -> None:
    issuer.forged = forged
    sign_in(signed_out, "mallory")

    expect(signed_out.page.get_by_role("alert")).to_contain_text(words)
    assert signed_out.page.evaluate("sessionStorage.getItem('vitrine.session')") is None


def test_renewed_token_of_another_user_is_rejected(issuer: Issuer, signed_out: Tab) -> None:
    sign_in(signed_out, "ida")
    expect(signed_out.page.get_by_text("ida@example.com")).to_be_visible()
    first = session(signed_out)
    issuer.refresh_tokens = dict.fromkeys(issuer.refresh_tokens, "mallory")
    signed_out.expect_fault("400")  # The page may ask for changes meanwhile, and try again to renew the token.
    end_session(signed_out, token=first["token"])
    signed_out.create("Of Ida's own")

    assert {*issuer.grants} == {"authorization_code", "refresh_token"}
    assert session(signed_out)["token"] == first["token"]
    expect(signed_out.page.get_by_text("ida@example.com")).to_be_visible()


def test_answer_of_another_issuer_is_rejected(signed_out: Tab, issuer: Issuer, context: BrowserContext) -> None:
    context.route(f"{issuer.url}/authorize?*", lambda route: route.continue_())
    signed_out.page.get_by_role("button", name="Sign in", exact=True).click()
    signed_out.page.get_by_label("Name", exact=True).wait_for()
    state = signed_out.page.locator("input[name=state]").input_value()
    back = signed_out.page.locator("input[name=redirect_uri]").input_value()
    signed_out.page.goto(f"{back}?code=x&state={state}&iss=https://evil.example")

    expect(signed_out.page.get_by_role("alert")).to_contain_text("https://evil.example")
    assert issuer.grants == []


def test_token_from_elsewhere_is_accepted(signed_out: Tab, issuer: Issuer) -> None:
    signed_out.page.get_by_text("Use a token instead").click()
    signed_out.page.get_by_label("Token").fill(f"Bearer {issuer.tokens('fay', None)['id_token']}")
    signed_out.page.get_by_role("button", name="Use token").click()

    expect(signed_out.page.get_by_text("No items yet")).to_be_visible()


def test_sign_in_returns_to_the_api_reference(closed: str, tab: Tab) -> None:
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


def test_api_reference_follows_the_session(closed: str, tab: Tab) -> None:
    tab.page.goto(f"{closed}/docs#get-items")
    route = tab.page.locator("#get-items")
    expect(route).to_contain_text("Sign in above")
    sign_in(tab, "moe")
    expect(route.get_by_text("Sign in above")).to_be_hidden()
    expect(route.locator(".curl")).to_contain_text("Authorization")
    tab.page.evaluate("import('/web/oidc-session.js').then(session => session.setToken(''))")

    expect(route.get_by_text("Sign in above")).to_be_visible()
    expect(route.locator(".curl")).not_to_contain_text("Authorization")
