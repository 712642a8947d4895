// The user's session, by OpenID Connect's code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636), as a client
// without a secret. It is kept in this tab's session storage.

/** The API's address, stage's path included. This file is served as `web/oidc-session.js` below it. */
export const apiRoot = new URL("..", import.meta.url);

/** @type {HTMLMetaElement | null} */
const meta = document.querySelector('meta[name="sign-in"]');

/** The issuer and the client's id; null if the stage has no sign-in, or no client for the console. @type {any} */
const client = meta?.content ? JSON.parse(decodeURIComponent(meta.content)) : null;

const SESSION_KEY = "vitrine.session";
const REQUEST_KEY = "vitrine.sign-in";
const RENEW_BEFORE = 60; // seconds before a token expires
const CLOCK_SKEW = 300; // seconds that this device's clock and the issuer's may differ
const ISSUER_TIMEOUT = 15000; // milliseconds

/** @param {string} key */
const load = (key) => JSON.parse(sessionStorage.getItem(key) ?? "null");

/** @param {string} key @param {any} value */
function save(key, value) {
  if (value) sessionStorage.setItem(key, JSON.stringify(value));
  else sessionStorage.removeItem(key);
}

/** @returns {Session | null} */
const loadSession = () => load(SESSION_KEY);

/** The window gets the event `session`. @param {Session | null} session */
function saveSession(session) {
  save(SESSION_KEY, session);
  dispatchEvent(new Event("session"));
}

export const canSignIn = client !== null;

/** Return the token that requests are authorized with, or "". */
export const token = () => loadSession()?.token ?? "";

/** Return the signed-in user's email address or name, or "". */
export const userName = () => loadSession()?.userName ?? "";

/** Return the id of the token's user at its issuer, or "". */
export const userId = () => claimsOf(token()).sub ?? "";

/**
 * Use a token from elsewhere, with or without "Bearer". "" ends the session.
 * @param {string} value
 */
export const setToken = (value) => saveSession(value ? { token: value.replace(/^bearer\s+/i, "").trim() } : null);

/**
 * Return the headers that authorize a request. Renew a token that is about to expire.
 * @returns {Promise<Record<string, string>>}
 */
export async function authorizationHeader() {
  const { expiresAt = Infinity, refreshToken } = loadSession() ?? {};
  if (refreshToken && expiresAt - RENEW_BEFORE < Date.now() / 1000) await renewToken();
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

// ------------------------------------------------------------------------------------------------------------- sign-in

/** Go to the issuer's page, which leads back to this URL. Throw Error. */
export async function signIn() {
  const { authorization_endpoint: page, scopes_supported: scopes = [] } = await issuerMetadata();
  if (!page) throw new Error(`${client.issuer} has no sign-in page.`);
  const request = { state: randomText(), nonce: randomText(), verifier: randomText(), returnTo: location.href };
  save(REQUEST_KEY, request);
  location.assign(withQuery(page, {
    response_type: "code",
    client_id: client.clientId,
    redirect_uri: apiRoot.href,
    scope: scopes.includes("offline_access") ? "openid email offline_access" : "openid email",
    state: request.state,
    nonce: request.nonce,
    code_challenge: base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(request.verifier))),
    code_challenge_method: "S256",
  }));
}

/** Complete a sign-in, if the issuer's page led here. Throw Error with a message to show. */
export async function completeSignIn() {
  const answer = Object.fromEntries(new URL(location.href).searchParams);
  if (!client || !answer.state || !(answer.code || answer.error)) return;
  history.replaceState(null, "", apiRoot); // The code must not stay in the history.
  const request = load(REQUEST_KEY);
  save(REQUEST_KEY, null);
  checkAnswer(answer, request);
  const tokens = await requestTokens({
    grant_type: "authorization_code", code: answer.code, redirect_uri: apiRoot.href, code_verifier: request.verifier,
  });
  if (!tokens.id_token) throw new Error("The sign-in service sent no id token.");
  checkIdToken(tokens.id_token);
  if (claimsOf(tokens.id_token).nonce !== request.nonce) throw new Error(WRONG_TOKEN);
  startSession(tokens);
  const { pathname, hash } = new URL(request.returnTo);
  if (pathname !== apiRoot.pathname) location.replace(request.returnTo);
  else if (hash) history.replaceState(null, "", apiRoot.href + hash);
}

/** @param {Record<string, string>} answer @param {{state: string} | null} request */
function checkAnswer({ state, iss, error, error_description: description }, request) {
  if (request?.state !== state) throw new Error("This sign-in was started in another tab. Sign in again here.");
  // RFC 9207: the answer must come from this issuer.
  if (iss && iss !== client.issuer) throw new Error(`This sign-in is from ${iss}, not from ${client.issuer}.`);
  if (error) throw new Error(description || `The sign-in failed: ${error}.`);
}

const WRONG_TOKEN = "The sign-in service sent a token that was not requested.";

/**
 * Check an id token (OpenID Connect Core 1.0, 3.1.3.7). It came from the issuer over TLS, which replaces checking its
 * signature. A renewed one must have the same subject (12.2).
 * @param {string} idToken
 * @param {string} [subject]
 */
function checkIdToken(idToken, subject) {
  const { iss, sub, aud, azp = client.clientId, exp, iat } = claimsOf(idToken);
  const now = Date.now() / 1000;
  const isForClient = iss === client.issuer && [aud].flat().includes(client.clientId) && azp === client.clientId;
  if (!isForClient || (subject !== undefined && sub !== subject)) throw new Error(WRONG_TOKEN);
  if (!(exp > now - CLOCK_SKEW)) throw new Error("The token has expired already. Check this device's clock.");
  if (!(iat < now + CLOCK_SKEW)) throw new Error("The token is not valid yet. Check this device's clock.");
}

/** @param {Record<string, string>} tokens */
function startSession({ id_token: idToken, access_token: accessToken, refresh_token: refreshToken }) {
  const previous = loadSession();
  // An access token may be for the issuer alone. The id token is for this client.
  const usable = [accessToken, idToken].find(isForApi);
  if (!usable) throw new Error("The sign-in service sent no token for this API.");
  saveSession({
    token: usable,
    expiresAt: claimsOf(usable).exp,
    refreshToken: refreshToken ?? previous?.refreshToken,
    idToken: idToken ?? previous?.idToken,
    userName: nameIn(claimsOf(idToken)) ?? previous?.userName ?? "",
  });
}

/** @param {Record<string, any>} claims */
const nameIn = (claims) => claims.email ?? claims.preferred_username ?? claims.name;

/** @param {string} jwt */
function isForApi(jwt) {
  const { aud, client_id: clientId } = claimsOf(jwt);
  return [aud ?? clientId].flat().some((one) => client.audiences.includes(one));
}

// -------------------------------------------------------------------------------------------------- renewal, sign-out

/** The running renewal. @type {{refreshToken: string, done: Promise<boolean>} | null} */
let renewal = null;

/** Renew the token, and return whether that succeeded. Calls at the same time share one renewal. */
export async function renewToken() {
  const refreshToken = loadSession()?.refreshToken;
  if (!refreshToken) return false;
  if (renewal?.refreshToken === refreshToken) return renewal.done;
  const mine = { refreshToken, done: renewWith(refreshToken).finally(() => renewal === mine && (renewal = null)) };
  renewal = mine;
  return mine.done;
}

/** @param {string} refreshToken */
async function renewWith(refreshToken) {
  const isCurrent = () => loadSession()?.refreshToken === refreshToken;
  try {
    const tokens = await requestTokens({ grant_type: "refresh_token", refresh_token: refreshToken });
    if (!isCurrent()) {
      await revoke(tokens.refresh_token); // The user has signed out.
      return false;
    }
    if (tokens.id_token) checkIdToken(tokens.id_token, claimsOf(loadSession()?.idToken).sub);
    startSession(tokens);
    return true;
  } catch (problem) {
    // What was refused will be refused again. An issuer out of reach may respond the next time.
    const session = problem instanceof IssuerRefusal && isCurrent() && loadSession();
    if (session) saveSession({ ...session, refreshToken: undefined });
    return false;
  }
}

/** Revoke a refresh token (RFC 7009). @param {string} [refreshToken] */
async function revoke(refreshToken) {
  const { revocation_endpoint: endpoint } = await issuerMetadata();
  if (!refreshToken || !endpoint) return;
  await postForm(endpoint, { token: refreshToken, client_id: client.clientId }).catch(() => {});
}

/** End the session, here and at the issuer. This may leave the page. */
export async function signOut() {
  const { refreshToken, idToken } = loadSession() ?? {};
  const running = renewal?.done;
  saveSession(null);
  if (!client || !idToken) return;
  const { end_session_endpoint: page } = await issuerMetadata();
  await Promise.all([revoke(refreshToken), running]); // The renewal revokes its token.
  if (!page) return;
  // OpenID Connect RP-Initiated Logout 1.0; Cognito calls the address to return to `logout_uri`.
  const returnTo = apiRoot.href;
  location.assign(withQuery(page, {
    id_token_hint: idToken, client_id: client.clientId, post_logout_redirect_uri: returnTo, logout_uri: returnTo,
  }));
}

// --------------------------------------------------------------------------------------------------------- the issuer

class IssuerRefusal extends Error {}

/** @type {Record<string, any> | null} */
let metadata = null;

/** OpenID Connect Discovery 1.0, section 4. @returns {Promise<Record<string, any>>} */
async function issuerMetadata() {
  if (metadata) return metadata;
  const url = `${client.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const found = await jsonFrom(fetch(url, { credentials: "omit", signal: AbortSignal.timeout(ISSUER_TIMEOUT) }));
  if (found.issuer !== client.issuer) throw new Error(`${client.issuer} identifies itself as ${found.issuer}.`);
  return (metadata = found);
}

/** @param {Record<string, string>} form */
async function requestTokens(form) {
  const { token_endpoint: endpoint } = await issuerMetadata();
  return jsonFrom(postForm(endpoint, { ...form, client_id: client.clientId }));
}

/** @param {string} url @param {Record<string, string>} form */
const postForm = (url, form) => fetch(url, {
  method: "POST", body: new URLSearchParams(form), credentials: "omit", cache: "no-store",
  signal: AbortSignal.timeout(ISSUER_TIMEOUT),
});

/** @param {Promise<Response>} request @returns {Promise<any>} */
async function jsonFrom(request) {
  let response;
  let body;
  try {
    response = await request;
    body = await response.json();
  } catch {
    throw new Error(navigator.onLine ? `${client.issuer} does not respond.` : "You are offline.");
  }
  if (response.ok) return body;
  const reason = body.error_description ?? body.error ?? response.status;
  throw new IssuerRefusal(`${client.issuer} refused the sign-in: ${reason}`);
}

// ------------------------------------------------------------------------------------------------------------ encoding

/** @param {string} address @param {Record<string, string>} parameters */
function withQuery(address, parameters) {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

/** @param {ArrayBuffer | Uint8Array} bytes */
function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const randomText = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** Return a token's claims, unchecked. {} if it is no JSON Web Token. @param {any} jwt */
function claimsOf(jwt) {
  try {
    const text = atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (one) => one.charCodeAt(0))));
  } catch {
    return {};
  }
}
