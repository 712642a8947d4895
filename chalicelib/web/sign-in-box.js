// Offers to sign in on the issuer's page, or with a token from elsewhere.

import { Problem } from "./api.js";
import { button, h, problemBox, requestLine } from "./dom.js";
import { canSignIn, setToken, signIn, token } from "./oidc-session.js";

/**
 * Return a box that offers to sign in.
 * @param {Error} problem a failed call, or a failed sign-in
 * @param {() => void} onToken
 */
export function signInBox(problem, onToken) {
  const failure = h("div");
  const start = () => signIn().catch((error) => failure.replaceChildren(problemBox(error)));
  return h("div", { class: "sign-in" },
    h("h2", {}, "Sign in to see the items"),
    problem instanceof Problem ? h("p", {}, signInReason()) : problemBox(problem),
    canSignIn && h("div", { class: "row" }, button("Sign in", start, { class: "primary" })),
    failure,
    canSignIn ? h("details", {}, h("summary", {}, "Use a token instead"), tokenForm(onToken)) : tokenForm(onToken),
    problem instanceof Problem && problem.requestId && requestLine(problem));
}

function signInReason() {
  if (!token()) return canSignIn ? "You come back to this page afterwards." : "Enter a token of your sign-in service.";
  if (canSignIn) return "Your session has expired. Sign in again.";
  return "The token was not accepted. It may have expired, or be from another sign-in service.";
}

/**
 * Return a form for a token from elsewhere.
 * @param {() => void} onToken
 */
export function tokenForm(onToken) {
  const { label, input } = tokenInput("Token");
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    event.stopPropagation(); // It may be inside another form.
    setToken(input.value);
    onToken();
  };
  return h("form", { class: "token-form", onsubmit }, label,
    h("p", { class: "note" }, "It is kept only in this tab, until you close it."),
    h("div", { class: "row" }, h("button", {}, "Use token")));
}

/** @param {string} text */
export function tokenInput(text) {
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: false });
  return { input, label: h("label", {}, text, input) };
}
