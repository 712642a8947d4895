// The fields of an item: as a form, as raw JSON, and side by side with what somebody else saved meanwhile.

import { isNumber, number, parse, same, write } from "./api.js";
import { button, h } from "./dom.js";
import { isMoment } from "./items.js";

// ------------------------------------------------------------------------------------------------------------- rows

const KINDS = {
  text: {
    label: "Text",
    holds: (value) => typeof value === "string" && !isNumber(value) && !isMoment(value),
    show: (value) => h("textarea", { rows: 1, value: value ?? "" }),
    read: (control) => control.value,
  },
  number: {
    label: "Number",
    holds: isNumber,
    show: (value) => h("input", { inputMode: "decimal", value: isNumber(value) ? write(value) : "" }),
    read: (control) => number(control.value) ?? refuse(control, "This is not a number. Write it like 12.5."),
  },
  truth: {
    label: "Yes or no",
    holds: (value) => typeof value === "boolean",
    show: (value) => h("input", { type: "checkbox", role: "switch", checked: value === true }),
    read: (control) => control.checked,
  },
  time: {
    label: "Date and time",
    holds: isMoment,
    show: showTime,
    read: (control) => timeOf(control) ?? refuse(control, "Choose a date and a time."),
  },
  json: {
    label: "JSON",
    holds: () => true,
    show: (value) => h("textarea", { rows: 2, class: "code", spellcheck: false, value: value === undefined ? "" : write(value, 2) }),
    read: (control) => readJson(control),
  },
};

/** A time is shown in the zone of whoever looks, to the second. */
function showTime(value) {
  const at = isMoment(value) ? new Date(value) : null;
  const control = h("input", { type: "datetime-local", step: at?.getSeconds() ? 1 : 60 });
  if (!at) return control;
  control.value = new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, at.getSeconds() ? 19 : 16);
  control.dataset.text = value;
  control.dataset.shown = control.value;
  return control;
}

/** The time in the field as the API writes it, or undefined. */
function timeOf({ value, dataset: { text, shown } }) {
  // What nobody has touched stays as it was written, down to the milliseconds and in its own zone.
  if (shown && value === shown) return text;
  return value ? new Date(value).toISOString() : undefined;
}

function refuse(control, message) {
  control.setCustomValidity(message);
  control.addEventListener("input", () => control.setCustomValidity(""), { once: true });
  control.reportValidity();
  throw new SyntaxError(message);
}

function readJson(control) {
  try {
    return parse(control.value);
  } catch (problem) {
    return refuse(control, `This is not JSON: ${problem.message}`);
  }
}

const EXPIRES = "expiresAt";

function inAWeek() {
  const at = new Date();
  at.setDate(at.getDate() + 7);
  at.setSeconds(0, 0);
  return at.toISOString();
}

/** What a control shows, to find out whether somebody has touched it. */
const shown = (control) => (control.type === "checkbox" ? control.checked : control.value);

function row(name, value) {
  let kind = Object.keys(KINDS).find((one) => KINDS[one].holds(value));
  const named = h("input", { class: "name", value: name, required: true, "aria-label": "Name of the field", spellcheck: false });
  const select = h("select", { "aria-label": "Type of the field", onchange: () => change(select.value) },
    Object.entries(KINDS).map(([one, { label }]) => h("option", { value: one, selected: one === kind }, label)));
  let control = KINDS[kind].show(value);
  const untouched = { kind, shown: shown(control) };
  const expires = name === EXPIRES && kind === "time";
  const element = h("li", { class: `field${expires ? " expires" : ""}` }, named, select, button("×", remove, { class: "quiet remove" }), control);
  // This one field has a meaning of its own: it is named for it, and cannot become another.
  if (expires) element.prepend(h("span", { class: "name" }, "Expires"));
  named.hidden = select.hidden = expires;

  function remove() {
    const list = element.parentElement;
    const next = element.nextElementSibling ?? element.previousElementSibling;
    element.dispatchEvent(new Event("removed", { bubbles: true }));
    element.remove();
    (next?.querySelector("input:not([hidden]), textarea") ?? list.parentElement.querySelector("button")).focus();
  }

  function change(to) {
    const from = kind;
    const text = from === "truth" ? undefined : from === "time" ? timeOf(control) : control.value;
    kind = to;
    control.replaceWith((control = KINDS[kind].show(converted(text, from, to))));
    label();
  }

  function label() {
    control.setAttribute("aria-label", expires ? "Expires" : `Value of ${named.value || "the field"}`);
    element.querySelector(".remove").setAttribute("aria-label", expires ? "Never expire" : `Remove the field ${named.value}`);
  }

  named.addEventListener("input", label);
  label();
  // A control may show a value otherwise than it is, as a text area does with line ends (HTML, "API value"). What nobody
  // has touched stays what it was.
  const read = () => (kind === untouched.kind && shown(control) === untouched.shown ? value : KINDS[kind].read(control));
  return { element, named, control, read };
}

/** What of a value can stay when its row gets another type. */
function converted(text, from, to) {
  if (text === undefined) return undefined;
  if (to === "number") return number(text);
  if (to === "json" && ["text", "time"].includes(from)) return text === "" ? undefined : text;
  return to === "text" && from === "json" ? text.replace(/^"(.*)"$/s, "$1") : text;
}

// ----------------------------------------------------------------------------------------------------------- editor

/**
 * An editor of `fields`: `element` to show, `read()` for what stands in it (throws SyntaxError, having said why).
 * `changed()` is called whenever something in it is.
 */
export function editor(fields, changed) {
  let read;
  const body = h("div");
  const tabs = Object.entries({ Fields: form, JSON: raw }).map(([label, show]) =>
    button(label, () => swap(show), { role: "tab", id: `tab-${label}`, "aria-controls": "editor-body" }));
  body.id = "editor-body";
  body.setAttribute("role", "tabpanel");

  function swap(show) {
    let value;
    try {
      value = read();
    } catch {
      return; // What is wrong has been said, where it is wrong.
    }
    show(value);
  }

  function select(index) {
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === index));
      tab.tabIndex = place === index ? 0 : -1;
    });
    body.setAttribute("aria-labelledby", tabs[index].id);
  }

  function form(value) {
    const rows = new Map();
    const list = h("ul", { class: "fields" });
    const add = (name, one) => {
      const made = row(name, one);
      rows.set(made.element, made);
      list.append(made.element);
      list.dispatchEvent(new Event("input", { bubbles: true }));
      return made;
    };
    // Its expiry last, where the button for it is when it has none.
    Object.entries(value).sort(([one], [other]) => (one === EXPIRES) - (other === EXPIRES)).forEach(([name, one]) => add(name, one));
    const expire = button("Set an expiry", () => add(EXPIRES, inAWeek()).control.focus(), { class: "text" });
    const showExpire = () => (expire.hidden = [...rows.values()].some(({ element, named }) => element.isConnected && named.value === EXPIRES));
    list.addEventListener("removed", () => queueMicrotask(showExpire));
    list.addEventListener("input", showExpire);
    body.replaceChildren(list, h("div", { class: "row" }, button("Add a field", () => add("", "").named.focus()), expire));
    showExpire();
    select(0);
    read = () => readRows([...list.children].map((element) => rows.get(element)));
  }

  function raw(value) {
    const area = h("textarea", { class: "code raw", spellcheck: false, value: write(value, 2), "aria-label": "The item's fields as JSON" });
    body.replaceChildren(area);
    select(1);
    read = () => {
      const said = readJson(area);
      if (said === null || typeof said !== "object" || Array.isArray(said)) refuse(area, "An item is a JSON object: { … }.");
      return said;
    };
  }

  const strip = h("div", { role: "tablist", class: "tabs", "aria-label": "How to edit", onkeydown: arrows }, tabs);
  function arrows(event) {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = tabs.find((tab) => tab.tabIndex < 0);
    other.click();
    other.focus();
  }

  form(fields);
  const element = h("div", { class: "editor", oninput: changed, onchange: changed, onremoved: changed }, strip, body);
  return { element, read: () => read() };
}

function readRows(rows) {
  const fields = {};
  for (const { named, read } of rows) {
    if (named.value === "") refuse(named, "A field needs a name.");
    if (Object.hasOwn(fields, named.value)) refuse(named, "There is another field of this name.");
    Object.defineProperty(fields, named.value, { value: read(), enumerable: true, configurable: true, writable: true });
  }
  return fields;
}

// --------------------------------------------------------------------------------------------------------- conflict

/** The three versions of a conflict, and what to take of each: `read()` gives the fields that were chosen. */
export function comparison(base, theirs, mine) {
  [base, theirs, mine] = [base, theirs, mine].map(bare);
  const names = [...new Set([...Object.keys(theirs), ...Object.keys(mine)])];
  const choices = names.filter((name) => !same(theirs[name], mine[name])).map((name) => choice(name, base, theirs, mine));
  const element = h("table", { class: "conflict" },
    h("caption", {}, "Choose what to keep of each field that differs."),
    h("thead", {}, h("tr", {}, ["Field", "Theirs", "Yours"].map((label) => h("th", { scope: "col" }, label)))),
    h("tbody", {}, choices.map((one) => one.element)));
  return { element, differs: choices.length > 0, read: () => choices.reduce((fields, one) => one.apply(fields), { ...theirs }) };
}

/** Fields alone, without what an object has by itself, such as `constructor`. */
const bare = (fields) => Object.assign(Object.create(null), fields);

function choice(name, base, theirs, mine) {
  // Who alone has changed a field is not in anybody's way.
  const keepMine = !same(base[name], mine[name]);
  const pick = (value, whose, checked) => h("td", {}, h("label", {},
    h("input", { type: "radio", name: `keep-${name}`, value: whose, checked, "aria-label": `${name}: keep ${whose}` }),
    value === undefined ? h("em", {}, "not there") : h("span", { class: "code" }, isNumber(value) || typeof value !== "string" ? write(value) : value)));
  const element = h("tr", {}, h("th", { scope: "row" }, name),
    pick(theirs[name], "theirs", !keepMine), pick(mine[name], "yours", keepMine));
  const apply = (fields) => {
    const { [name]: dropped, ...rest } = fields;
    const kept = element.querySelector(":checked").value === "yours" ? mine : theirs;
    return Object.hasOwn(kept, name) ? { ...rest, [name]: kept[name] } : rest;
  };
  return { element, apply };
}
