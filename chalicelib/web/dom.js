// What the pages build themselves from: elements, words for values, problems, and notices.

/**
 * An element. `on…` are listeners, names of properties are set as such, all others are attributes; what is null,
 * undefined or false is left out, of children as of properties. Text is always text, never markup.
 */
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const $ = (selector, within = document) => within.querySelector(selector);

export const button = (label, onclick, properties = {}) => h("button", { type: "button", onclick, ...properties }, label);

// ------------------------------------------------------------------------------------------------------------ words

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 7]];

/** A time as people say it: "5 minutes ago" in the last week, the date before that; the exact one on hover. */
export function time(iso) {
  const at = new Date(iso);
  return h("time", { dateTime: iso, title: clock.format(at) }, relative(at));
}

/** The same in words alone. */
export function relative(at) {
  let distance = (at - Date.now()) / 1000;
  if (Math.abs(distance) < 45) return "just now";
  for (const [unit, size] of STEPS) {
    if (Math.abs(distance) < size) return ago.format(Math.round(distance), unit);
    distance /= size;
  }
  return at.toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** A number of bytes as people say it. */
export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  const [value, unit] = count < 1024 ** 2 ? [count / 1024, "KB"] : [count / 1024 ** 2, "MB"];
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 })} ${unit}`;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** A problem in words, with the id that finds its request in the logs. */
export function problemBox(problem, ...actions) {
  const more = (problem.details ?? []).filter((detail) => detail.message && !problem.message.includes(detail.message));
  return h("div", { class: "problem", role: "alert" },
    h("p", {}, problem.message),
    more.length > 0 && h("ul", {}, more.map((detail) => h("li", {}, h("code", {}, detail.path), ` ${detail.message}`))),
    problem.requestId && h("p", { class: "request" }, `${problem.error} · request `, h("code", {}, problem.requestId)),
    actions.length > 0 && h("div", { class: "row" }, actions));
}

// ---------------------------------------------------------------------------------------------------------- notices

/** Says something to those who do not see the page change. */
export const announce = (text) => $("#said").replaceChildren(text);

/**
 * Puts up a notice beside the page, with what can be done about it (uploads and imports have the activity panel). What it
 * gives: `say(text)`, `fail(problem, ...extra)` which stays until it is dismissed, `close()`, and `attended()`: whether
 * somebody is at it right now.
 */
export function task(title, ...actions) {
  const words = h("div", { class: "words" });
  const dismiss = button("×", () => close(), { class: "quiet", "aria-label": `Dismiss: ${title}`, hidden: true });
  const notice = h("li", {}, h("div", { class: "row" }, h("strong", { title }, title), actions, dismiss), words);
  const close = () => notice.remove();
  $("#tray .notices").append(notice);
  return {
    close,
    attended: () => notice.matches(":hover, :focus-within"),
    say: (text) => words.replaceChildren(text),
    fail(problem, ...extra) {
      dismiss.hidden = false;
      notice.classList.add("bad");
      words.replaceChildren(problemBox(problem), ...extra.filter(Boolean));
    },
  };
}
