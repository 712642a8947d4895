// How the list is shown: its view, density, order, filter and the age of its items. They become parameters of the URL
// and of `GET /items`.

const DAY = 24 * 60 * 60 * 1000;

/** @type {ListSettings} */
export const DEFAULTS = { view: "cards", density: "comfortable", order: "desc", added: "any", filter: "" };

/** The values that each setting can have. @type {Record<string, RegExp>} */
const VALID = {
  view: /^(cards|table)$/,
  density: /^(comfortable|compact)$/,
  order: /^(desc|asc)$/,
  added: /^(any|1|7|30|(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?)$/,
  filter: /./,
};

const NAMES = /** @type {(keyof ListSettings)[]} */ (Object.keys(DEFAULTS));

/**
 * Return the settings that a URL's parameters describe. What is missing or not valid gets its default.
 * @param {string} parameters such as "order=asc&filter=oak"
 * @returns {ListSettings}
 */
export function settingsOf(parameters) {
  const given = new URLSearchParams(parameters);
  const valid = NAMES.filter((name) => VALID[name].test(given.get(name) ?? ""));
  return { ...DEFAULTS, ...Object.fromEntries(valid.map((name) => [name, given.get(name)])) };
}

/**
 * Return the URL parameters that describe settings, without those that have their default.
 * @param {ListSettings} settings
 */
export function parametersOf(settings) {
  const changed = NAMES.filter((name) => settings[name] !== DEFAULTS[name]);
  return new URLSearchParams(changed.map((name) => [name, settings[name]])).toString();
}

/**
 * Return the parameters of `GET /items`. The API excludes the bounds themselves.
 * @param {ListSettings} settings
 * @param {number} [now] in milliseconds
 * @returns {Record<string, string>}
 */
export function queryOf({ order, added }, now = Date.now()) {
  if (added === "any") return { order };
  if (!added.includes("..")) return { order, createdAfter: new Date(now - Number(added) * DAY).toISOString() };
  const [from, to] = added.split("..");
  return {
    order,
    ...(from && { createdAfter: new Date(startOfDay(from).getTime() - 1).toISOString() }),
    ...(to && { createdBefore: startOfDay(to, 1).toISOString() }),
  };
}

/**
 * Return the start of a day in the user's time zone.
 * @param {string} date such as "2026-01-31"
 * @param {number} [daysLater]
 */
function startOfDay(date, daysLater = 0) {
  const [year, month, day] = date.split("-").map(Number);
  return new Date(year, month - 1, day + daysLater);
}
