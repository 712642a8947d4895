// Who is signed in: OpenID Connect's code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636), as a client
// without a secret. All of it is kept for this tab alone, and gone with it.

/** Where the API lies: this file is served as `web/session.js` below it, whatever stage path comes before. */
export const root = new URL("..", import.meta.url);

const told = document.querySelector('meta[name="sign-in"]')?.content;

/** Who signs people in, as `{issuer, clientId, audiences}`; null where nobody has to, or the console is no client there. */
const client = told ? JSON.parse(decodeURIComponent(told)) : null;

const SESSION = "vitrine.session";
const ASKED = "vitrine.asked";
const EARLY = 60; // seconds before its end that a token is renewed
const SKEW = 300; // seconds that this device's clock and the issuer's may differ
const PATIENCE = 15000; // milliseconds that the issuer has for an answer

const read = (key) => JSON.parse(sessionStorage.getItem(key));
const keep = (key, value) => (value ? sessionStorage.setItem(key, JSON.stringify(value)) : sessionStorage.removeItem(key));

/** Keeps a session, or ends it; the window hears of it as the event `session`. */
function keepSession(session) {
  keep(SESSION, session);
  dispatchEvent(new Event("session"));
}

/** Whether there is a page of an issuer to sign in on. */
export const canSignIn = client !== null;

/** The token that the API is asked with, or "". */
export const token = () => read(SESSION)?.token ?? "";

/** Whose session it is, in the issuer's words: an address or a name; "" where it does not say. */
export const person = () => read(SESSION)?.person ?? "";

/** Takes a token that somebody had from elsewhere; "" forgets the one that is there. */
export const setToken = (value) => keepSession(value && { token: value.replace(/^bearer\s+/i, "").trim() });

/** What a request has to say of who asks; a token about to end is renewed first, where that can be done. */
export async function authorization() {
  const { until, refresh } = read(SESSION) ?? {};
  if (refresh && until - EARLY < Date.now() / 1000) await renew();
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

// ----------------------------------------------------------------------------------------------------------- signing in

/** Leaves for the issuer's page. `draft` is given back when somebody returns from it. Throws Error with a sentence. */
export async function signIn(draft = null) {
  const { authorization_endpoint: page, scopes_supported: scopes = [] } = await discovered();
  if (!page) throw new Error(`${client.issuer} has no page to sign in on.`);
  const asked = { state: random(), nonce: random(), verifier: random(), back: location.href, draft };
  keep(ASKED, asked);
  location.assign(withQuery(page, {
    response_type: "code",
    client_id: client.clientId,
    redirect_uri: root.href,
    scope: ["openid", "email", ...(scopes.includes("offline_access") ? ["offline_access"] : [])].join(" "),
    state: asked.state,
    nonce: asked.nonce,
    code_challenge: base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(asked.verifier))),
    code_challenge_method: "S256",
  }));
}

/**
 * Takes up what the issuer's page sent somebody back with, if that is how this page was opened: gives the draft that
 * `signIn` was called with. Throws Error with a sentence.
 */
export async function returned() {
  const said = Object.fromEntries(new URL(location).searchParams);
  if (!client || !said.state || !(said.code || said.error)) return null;
  history.replaceState(null, "", root); // A code is not for the history, nor to be sent again by reloading.
  const asked = read(ASKED);
  keep(ASKED, null);
  if (asked?.state !== said.state) throw new Error("This sign-in was not begun in this tab.");
  // RFC 9207: the answer is of the issuer that was asked, where it says so.
  if (said.iss && said.iss !== client.issuer) throw new Error(`This sign-in comes from ${said.iss}, which was not asked.`);
  if (said.error) throw new Error(said.error_description || `The sign-in ended with ${said.error}.`);
  const tokens = await redeemed({ grant_type: "authorization_code", code: said.code, redirect_uri: root.href, code_verifier: asked.verifier });
  if (!tokens.id_token) throw new Error("The issuer gave no id token.");
  check(tokens.id_token);
  if (claims(tokens.id_token).nonce !== asked.nonce) throw new Error("The token that came is not the one that was asked for.");
  begin(tokens);
  if (asked.back !== root.href && new URL(asked.back).pathname !== root.pathname) location.replace(asked.back);
  return asked.draft;
}

/**
 * Whether an id token is one to go by (OpenID Connect Core 1.0, 3.1.3.7). It came from the issuer itself over TLS, which
 * stands for checking its signature. One that renews another is of the same person (12.2). Throws Error with a sentence.
 */
function check(idToken, person) {
  const { iss, sub, aud, azp = client.clientId, exp, iat } = claims(idToken);
  const now = Date.now() / 1000;
  const meant = iss === client.issuer && [aud].flat().includes(client.clientId) && azp === client.clientId;
  if (!meant || sub !== (person ?? sub)) throw new Error("The token that came is not the one that was asked for.");
  if (!(exp > now - SKEW)) throw new Error("The token that came is over already. Is this device's clock right?");
  if (!(iat < now + SKEW)) throw new Error("The token that came is of a time to come. Is this device's clock right?");
}

function begin(tokens) {
  const { id_token: id, access_token: access, refresh_token: refresh } = tokens;
  const before = read(SESSION) ?? {};
  const whose = claims(id);
  // An access token may be for the issuer alone, and then opens nothing here: the id token names this client.
  const good = [access, id].find((one) => [claims(one).aud ?? claims(one).client_id].flat().some((whom) => client.audiences.includes(whom)));
  if (!good) throw new Error("None of the tokens that came is for this API.");
  keepSession({
    token: good,
    until: claims(good).exp,
    refresh: refresh ?? before.refresh,
    id: id ?? before.id,
    person: whose.email ?? whose.preferred_username ?? whose.name ?? before.person ?? "",
  });
}

/** The renewal that is under way, as `{refresh, done}`: by which token, and a promise of whether it succeeds. */
let renewing = null;

/** Has the issuer give a new token for one that is over; whether it did. */
export function renew() {
  const { refresh } = read(SESSION) ?? {};
  if (!refresh) return Promise.resolve(false);
  if (renewing?.refresh === refresh) return renewing.done;
  const mine = { refresh, done: renewed(refresh).finally(() => renewing === mine && (renewing = null)) };
  renewing = mine;
  return mine.done;
}

async function renewed(refresh) {
  const still = () => read(SESSION)?.refresh === refresh;
  try {
    const tokens = await redeemed({ grant_type: "refresh_token", refresh_token: refresh });
    // Whoever signed out meanwhile is to stay so, here and at the issuer.
    if (!still()) return await revoke(tokens.refresh_token);
    if (tokens.id_token) check(tokens.id_token, claims(read(SESSION).id).sub);
    begin(tokens);
    return true;
  } catch (problem) {
    // Refused once, it always will be; an issuer out of reach may be there again the next time.
    if (problem.refused && still()) keepSession({ ...read(SESSION), refresh: undefined });
    return false;
  }
}

/** Has the issuer forget a refresh token (RFC 7009), if it can; false, for renewals that come to nothing. */
async function revoke(refresh) {
  const { revocation_endpoint: endpoint } = await discovered();
  if (refresh && endpoint) await post(endpoint, { token: refresh, client_id: client.clientId }).catch(() => {});
  return false;
}

/** Ends the session, here and at the issuer. */
export async function signOut() {
  const { refresh, id } = read(SESSION) ?? {};
  const late = renewing?.done;
  keepSession(null);
  if (!client || !id) return;
  const { end_session_endpoint: leave } = await discovered();
  await Promise.all([revoke(refresh), late]); // Leaving would break off what revokes the token that comes late.
  // OpenID Connect RP-Initiated Logout 1.0; Cognito calls the address to come back to `logout_uri`.
  if (leave) location.assign(withQuery(leave, { id_token_hint: id, client_id: client.clientId, post_logout_redirect_uri: root.href, logout_uri: root.href }));
}

// --------------------------------------------------------------------------------------------------------- the issuer

let known = null;

/** What an issuer says of itself (OpenID Connect Discovery 1.0, section 4). */
async function discovered() {
  if (known) return known;
  const found = await answered(fetch(`${client.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, { credentials: "omit", signal: AbortSignal.timeout(PATIENCE) }));
  if (found.issuer !== client.issuer) throw new Error(`${client.issuer} calls itself ${found.issuer}.`);
  return (known = found);
}

async function redeemed(form) {
  const { token_endpoint: endpoint } = await discovered();
  return answered(post(endpoint, { ...form, client_id: client.clientId }));
}

const post = (url, form) => fetch(url, { method: "POST", body: new URLSearchParams(form), credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });

async function answered(request) {
  let response;
  let said;
  try {
    response = await request;
    said = await response.json();
  } catch {
    throw new Error(navigator.onLine ? `${client.issuer} does not answer.` : "You are offline.");
  }
  if (!response.ok) throw Object.assign(new Error(`${client.issuer} says no: ${said.error_description ?? said.error ?? response.status}`), { refused: true });
  return said;
}

// -------------------------------------------------------------------------------------------------------------- texts

function withQuery(address, parameters) {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** What a JSON Web Token says, unchecked; nothing where it is none. */
function claims(jwt) {
  try {
    const bytes = Uint8Array.from(atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}
