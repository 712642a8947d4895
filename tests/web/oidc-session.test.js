import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, beforeEach, describe, test } from "node:test";
import { json, setGlobal, stubFetch } from "./browser.js";

const ISSUER = "https://issuer.example";
const CLIENT = "console";
const METADATA = {
  issuer: ISSUER, authorization_endpoint: `${ISSUER}/authorize`, token_endpoint: `${ISSUER}/token`,
  revocation_endpoint: `${ISSUER}/revoke`, end_session_endpoint: `${ISSUER}/logout`,
  scopes_supported: ["openid", "email", "offline_access"],
};

/** Return a copy of the module for a stage that has an issuer. The other tests' copy has none. */
async function loadClosed() {
  const meta = document.querySelector("meta[name=sign-in]");
  meta.content = encodeURIComponent(JSON.stringify({ issuer: ISSUER, clientId: CLIENT, audiences: [CLIENT] }));
  const module = await import("../../chalicelib/web/oidc-session.js?with-issuer");
  meta.content = "";
  return module;
}

const session = await loadClosed();
const { apiRoot, authorizationHeader, completeSignIn, renewToken, signIn, signOut } = session;
const { setToken, token, userName } = session;

const now = () => Math.floor(Date.now() / 1000);
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Return an unsigned token. undefined removes a claim. */
const jwt = (claims) => `${encoded({ alg: "RS256" })}.${encoded({
  iss: ISSUER, sub: "ann", aud: CLIENT, exp: now() + 3600, iat: now(), email: "ann@example.com", ...claims,
})}.signature`;

const stored = () => JSON.parse(sessionStorage.getItem("vitrine.session"));
const store = (value) => sessionStorage.setItem("vitrine.session", JSON.stringify(value));
const soon = () => now() + 30;

describe("session", () => {
  const page = { location: globalThis.location, history: globalThis.history };
  let visited;
  let revoked;

  /** Answer as the issuer; `tokens` is the response of the token endpoint. */
  function issue(tokens) {
    return stubFetch((url, init) => {
      if (url.pathname === "/.well-known/openid-configuration") return json(METADATA);
      if (url.pathname === "/revoke") revoked.push(init.body.get("token"));
      return url.pathname === "/token" ? tokens(init.body) : json({});
    });
  }

  function openAt(href) {
    const visit = (url) => visited.push(new URL(url));
    setGlobal("location", { href, assign: visit, replace: visit });
  }

  beforeEach(() => {
    visited = [];
    revoked = [];
    sessionStorage.clear();
    setGlobal("history", { replaceState: (_, __, url) => openAt(new URL(url).href) });
    openAt(apiRoot.href);
  });

  after(() => {
    sessionStorage.clear();
    for (const [name, value] of Object.entries(page)) setGlobal(name, value);
  });

  /** Sign in at the issuer, whose answer has the parameters that `change` returns. */
  async function signInWith(claims, change = (parameters) => parameters) {
    const tokens = () => ({ id_token: jwt(claims(visited[0])), access_token: "opaque", refresh_token: "r-1" });
    const requests = issue(() => json(tokens()));
    await signIn();
    const state = visited[0].searchParams.get("state");
    const answer = new URLSearchParams(change({ code: "c-1", state, iss: ISSUER }));
    openAt(`${apiRoot.href}?${answer}`);
    await completeSignIn();
    return requests;
  }
  const withNonce = (claims = {}) => (url) => ({ nonce: url.searchParams.get("nonce"), ...claims });

  test("a token from elsewhere is used without its scheme", () => {
    setToken("Bearer  a.b.c ");
    assert.equal(token(), "a.b.c");
    setToken("");
    assert.equal(token(), "");
    assert.equal(sessionStorage.length, 0);
  });

  test("changes of the session are announced", () => {
    let changes = 0;
    const listener = () => (changes += 1);
    addEventListener("session", listener);
    setToken("a.b.c");
    removeEventListener("session", listener);
    assert.equal(changes, 1);
  });

  test("requests are authorized by the token", async () => {
    assert.deepEqual(await authorizationHeader(), {});
    setToken("a.b.c");
    assert.deepEqual(await authorizationHeader(), { Authorization: "Bearer a.b.c" });
  });

  test("sign-in asks the issuer with PKCE", async () => {
    issue(() => json({}));
    await signIn();
    const { origin, pathname, searchParams } = visited[0];
    const { verifier } = JSON.parse(sessionStorage.getItem("vitrine.sign-in"));
    assert.equal(origin + pathname, `${ISSUER}/authorize`);
    assert.equal(searchParams.get("client_id"), CLIENT);
    assert.equal(searchParams.get("redirect_uri"), apiRoot.href);
    assert.equal(searchParams.get("scope"), "openid email offline_access");
    assert.equal(searchParams.get("code_challenge_method"), "S256");
    assert.equal(searchParams.get("code_challenge"), createHash("sha256").update(verifier).digest("base64url"));
  });

  test("a completed sign-in starts a session", async () => {
    const requests = await signInWith(withNonce());
    assert.deepEqual([userName(), stored().refreshToken], ["ann@example.com", "r-1"]);
    const form = requests.at(-1).init.body;
    assert.deepEqual([form.get("grant_type"), form.get("code")], ["authorization_code", "c-1"]);
    assert.ok(form.get("code_verifier").length >= 43);
    assert.equal(location.href, apiRoot.href);
    assert.equal(sessionStorage.getItem("vitrine.sign-in"), null);
  });

  test("a sign-in returns to the page where it began", async () => {
    openAt(`${apiRoot.href}docs#get-items`);
    await signInWith(withNonce());
    assert.equal(visited.at(-1).href, `${apiRoot.href}docs#get-items`);
  });

  test("a sign-in returns to the route and the list where it began", async () => {
    openAt(`${apiRoot.href}#item=item-1&order=asc`);
    await signInWith(withNonce());
    assert.equal(location.href, `${apiRoot.href}#item=item-1&order=asc`);
  });

  test("a page that no sign-in led to completes none", async () => {
    const requests = issue(() => json({}));
    await completeSignIn();
    openAt(`${apiRoot.href}?code=c-1`);
    await completeSignIn();
    assert.deepEqual(requests, []);
  });

  test("an answer without a request is refused", async () => {
    const requests = issue(() => json({}));
    openAt(`${apiRoot.href}?code=c-1&state=other`);
    await assert.rejects(completeSignIn(), /started in another tab/);
    assert.equal(requests.length, 0);
  });

  test("an answer of another state or issuer is refused", async () => {
    for (const [change, message] of [
      [(one) => ({ ...one, state: "other" }), /started in another tab/],
      [(one) => ({ ...one, iss: "https://evil.example" }), /https:\/\/evil\.example/],
      [({ state }) => ({ state, error: "access_denied", error_description: "You said no." }), /You said no\./],
      [({ state }) => ({ state, error: "access_denied" }), /failed: access_denied/],
    ]) {
      visited = [];
      await assert.rejects(signInWith(withNonce(), change), message);
      assert.equal(stored(), null);
    }
  });

  test("an id token with other claims is refused", async () => {
    for (const [claims, message] of [
      [{ nonce: "other" }, /sent a token that was not requested/],
      [{ iss: "https://evil.example" }, /sent a token that was not requested/],
      [{ aud: "another client" }, /sent a token that was not requested/],
      [{ aud: [CLIENT, "another client"], azp: "another client" }, /sent a token that was not requested/],
      [{ exp: now() - 301 }, /has expired/],
      [{ exp: undefined }, /has expired/],
      [{ iat: now() + 360 }, /not valid yet/],
    ]) {
      visited = [];
      await assert.rejects(signInWith(withNonce(claims)), message);
      assert.equal(stored(), null);
    }
  });

  test("an access token is preferred if it is for the API", async () => {
    for (const [claims, isUsed] of [
      [{ aud: CLIENT }, true], [{ aud: undefined, client_id: CLIENT }, true], [{ aud: "other" }, false],
    ]) {
      const accessToken = jwt({ ...claims, scope: "access" });
      store({ token: "old", refreshToken: "r-1" });
      issue(() => json({ access_token: accessToken, id_token: jwt() }));
      assert.equal(await renewToken(), true);
      assert.equal(token() === accessToken, isUsed);
    }
  });

  test("a token is renewed a minute before it expires", async () => {
    const fresh = jwt({ exp: now() + 3600 });
    issue((form) => json({ id_token: fresh, refresh_token: `${form.get("refresh_token")}+` }));
    store({ token: "old", expiresAt: now() + 120, refreshToken: "r-1", idToken: jwt() });
    assert.equal((await authorizationHeader()).Authorization, "Bearer old");
    store({ token: "old", expiresAt: soon(), refreshToken: "r-1", idToken: jwt() });
    assert.equal((await authorizationHeader()).Authorization, `Bearer ${fresh}`);
    assert.equal(stored().refreshToken, "r-1+");
  });

  test("a refresh token is kept if the issuer sends no new one", async () => {
    issue(() => json({ id_token: jwt() }));
    store({ token: "old", expiresAt: 0, refreshToken: "r-1", idToken: jwt() });
    assert.equal(await renewToken(), true);
    assert.equal(stored().refreshToken, "r-1");
  });

  test("a token from elsewhere is never renewed", async () => {
    const requests = issue(() => json({}));
    store({ token: "old", expiresAt: 0 });
    assert.equal((await authorizationHeader()).Authorization, "Bearer old");
    assert.equal(await renewToken(), false);
    assert.equal(requests.length, 0);
  });

  test("renewals at the same time are one", async () => {
    const requests = issue(() => json({ id_token: jwt() }));
    store({ token: "old", expiresAt: 0, refreshToken: "r-1", idToken: jwt() });
    assert.deepEqual(await Promise.all([renewToken(), renewToken(), renewToken()]), [true, true, true]);
    assert.equal(requests.filter(({ url }) => url.pathname === "/token").length, 1);
  });

  test("a refresh token that was refused is not used again", async () => {
    issue(() => json({ error: "invalid_grant" }, { status: 400 }));
    store({ token: "old", expiresAt: 0, refreshToken: "r-1", idToken: jwt() });
    assert.equal(await renewToken(), false);
    assert.equal(stored().refreshToken, undefined);
    assert.equal(token(), "old");
  });

  test("a refresh token is kept if the issuer does not respond", async () => {
    issue(() => Promise.reject(new TypeError("Failed to fetch")));
    store({ token: "old", expiresAt: 0, refreshToken: "r-1", idToken: jwt() });
    assert.equal(await renewToken(), false);
    assert.equal(stored().refreshToken, "r-1");
  });

  test("a renewed token must be for the same user", async () => {
    issue(() => json({ id_token: jwt({ sub: "mallory" }) }));
    store({ token: "old", expiresAt: 0, refreshToken: "r-1", idToken: jwt() });
    assert.equal(await renewToken(), false);
    assert.equal(token(), "old");
  });

  test("sign-out ends the session here and at the issuer", async () => {
    issue(() => json({}));
    store({ token: "t", refreshToken: "r-1", idToken: "id-1" });
    await signOut();
    assert.equal(stored(), null);
    assert.deepEqual(revoked, ["r-1"]);
    assert.equal(visited[0].pathname, "/logout");
    assert.equal(visited[0].searchParams.get("id_token_hint"), "id-1");
  });

  test("sign-out forgets a token from elsewhere without the issuer", async () => {
    const requests = issue(() => json({}));
    setToken("a.b.c");
    await signOut();
    assert.equal(stored(), null);
    assert.deepEqual([requests.length, visited.length], [0, 0]);
  });

  test("sign-out during a renewal revokes the new token too", async () => {
    let respond;
    issue(() => new Promise((resolve) => (respond = resolve)));
    store({ token: "old", expiresAt: 0, refreshToken: "r-1", idToken: jwt() });
    const renewal = renewToken();
    while (!respond) await new Promise(setImmediate);
    const signedOut = signOut();
    respond(json({ id_token: jwt(), refresh_token: "r-2" }));
    await signedOut;
    assert.equal(await renewal, false);
    assert.deepEqual(revoked.sort(), ["r-1", "r-2"]);
    assert.equal(stored(), null);
  });
});
