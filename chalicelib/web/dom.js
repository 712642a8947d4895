// Elements, values in words, error boxes and notices.

/**
 * Return the first match. Its type is any, because only the caller knows the element.
 * @param {string} selector
 * @param {ParentNode} [parent]
 * @returns {any}
 */
export const $ = (selector, parent = document) => parent.querySelector(selector);

/**
 * Return a new element. Properties that begin with "on" are listeners; others are DOM properties if those exist, if not
 * attributes. null, undefined and false are left out. Text is never parsed as HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (isPresent(value)) setProperty(element, name, value);
  }
  element.append(.../** @type {any[]} */ (children).flat(Infinity).filter(isPresent));
  return element;
}

/** @param {any} value */
const isPresent = (value) => value !== null && value !== undefined && value !== false;

/** @param {any} element @param {string} name @param {any} value */
function setProperty(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in element && !name.includes("-")) element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

/**
 * @param {string} label
 * @param {(event: MouseEvent) => any} onclick
 * @param {Record<string, any>} [properties]
 */
export function button(label, onclick, properties = {}) {
  return h("button", { type: "button", onclick, ...properties }, label);
}

/**
 * Open the browser's file picker. Call `onPick` unless the user cancels.
 * @param {string} accept
 * @param {boolean} multiple
 * @param {(files: File[]) => void} onPick
 * @param {string | null} [capture] "environment" for the camera of a phone (W3C, HTML Media Capture)
 */
export function pickFiles(accept, multiple, onPick, capture = null) {
  const input = h("input", { type: "file", accept, multiple });
  if (capture) input.setAttribute("capture", capture);
  input.addEventListener("change", () => input.files?.length && onPick([...input.files]));
  input.click();
}

/**
 * Return the element that an event happened to.
 * @param {Event} event
 * @returns {any}
 */
export const targetOf = (event) => event.target;

/** @param {MouseEvent | KeyboardEvent} event */
export const hasModifier = (event) => event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;

const exactTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
/** How many of a unit make one of the next. @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 7]];

/**
 * Return a relative time, with the exact one as its tooltip.
 * @param {string} iso
 */
export function timeElement(iso) {
  const at = new Date(iso);
  return h("time", { dateTime: iso, title: exactTime.format(at) }, relativeTime(at));
}

/**
 * Return "5 minutes ago", or the date if that is a week or more away.
 * @param {Date} at
 */
export function relativeTime(at) {
  let distance = (at.getTime() - Date.now()) / 1000;
  if (Math.abs(distance) < 45) return "just now";
  for (const [unit, size] of UNITS) {
    if (Math.abs(distance) < size) return relativeFormat.format(Math.round(distance), unit);
    distance /= size;
  }
  return at.toLocaleDateString(undefined, { dateStyle: "medium" });
}

/**
 * Return "1.5 KB".
 * @param {number} count
 */
export function formatBytes(count) {
  if (count < 1024) return `${count} bytes`;
  const [value, unit] = count < 1024 ** 2 ? [count / 1024, "KB"] : [count / 1024 ** 2, "MB"];
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 })} ${unit}`;
}

/** @param {number} count @param {string} noun */
export const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

/**
 * Return a box that shows an error. The request id finds it in the logs.
 * @param {Error & Partial<ProblemFields>} problem
 * @param {...Child} actions buttons
 */
export function problemBox(problem, ...actions) {
  const more = (problem.details ?? []).filter(({ message }) => message && !problem.message.includes(message));
  return h("div", { class: "problem", role: "alert" },
    h("p", {}, problem.message),
    more.length > 0 && h("ul", {}, more.map(({ path, message }) => h("li", {}, h("code", {}, path), ` ${message}`))),
    problem.requestId && requestLine(problem),
    actions.length > 0 && h("div", { class: "row" }, actions));
}

/** @param {Partial<ProblemFields>} problem */
export const requestLine = ({ error, requestId }) =>
  h("p", { class: "request" }, `${error} · request `, h("code", {}, requestId));

/**
 * Have screen readers say a text.
 * @param {string} text
 */
export const announce = (text) => $("#announcer").replaceChildren(text);

/**
 * Show a notice in the corner. It is in use while the pointer or the focus is on it.
 * @param {string} title
 * @param {...Child} actions buttons
 */
export function showNotice(title, ...actions) {
  const text = h("div", { class: "message" });
  const close = () => notice.remove();
  const dismiss = button("×", close, { class: "quiet", "aria-label": `Dismiss: ${title}`, hidden: true });
  const notice = h("li", {}, h("div", { class: "row" }, h("strong", { title }, title), actions, dismiss), text);
  $("#tray .notices").append(notice);
  const show = (/** @type {(Node | string)[]} */ ...content) => text.replaceChildren(...content);
  let isPointedAt = false; // It may appear under a pointer that does not move.
  notice.addEventListener("pointermove", ({ movementX, movementY }) => {
    if (movementX || movementY) isPointedAt = true;
  });
  return {
    close,
    /** Show more below the title. */
    show,
    /** Keep the notice until the user dismisses it. */
    keep: () => (dismiss.hidden = false),
    isInUse: () => notice.matches(isPointedAt ? ":hover, :focus-within" : ":focus-within"),
    fail(/** @type {Error} */ problem) {
      dismiss.hidden = false;
      notice.classList.add("error");
      show(problemBox(problem));
    },
  };
}

/**
 * Show a notice of an error.
 * @param {string} title
 * @param {Error} problem
 */
export const showErrorNotice = (title, problem) => showNotice(title).fail(problem);
