// The URL of the page, and the history of the browser. The part after "#" holds the route ("item=<id>", "new", or none
// for the list) and how the list is shown, such as "item=0198&order=asc&view=table". It is never sent to the server.

const GO_BACK_TIMEOUT = 1000; // milliseconds; a browser may refuse to go back

const hashParts = () => location.hash.slice(1).split("&").filter(Boolean);

/** @param {string} part */
const isRoute = (part) => /^(new|pictures|webhooks|(item|webhooks)=.*)$/.test(part);

/** Return "#item=<id>", "#new", "#pictures", "#webhooks", "#webhooks=<id>", or "" for the list. */
export function currentRoute() {
  const part = hashParts().find(isRoute);
  return part ? `#${part}` : "";
}

/** Return how the list is shown, such as "order=asc&view=table". */
export const listParameters = () => hashParts().filter((part) => !isRoute(part)).join("&");

/** The last list parameters that were set or visited. */
let parameters = listParameters();

/** @param {string} route */
function urlOf(route) {
  const hash = [route.slice(1), parameters].filter(Boolean).join("&");
  return hash ? `#${hash}` : location.pathname + location.search;
}

/**
 * Return the address that opens an item, to be copied.
 * @param {string} id
 */
export const itemLink = (id) => new URL(itemRoute(id), location.href).href;

/**
 * Return the route that opens an item.
 * @param {string} id
 */
export const itemRoute = (id) => `#item=${encodeURIComponent(id)}`;

/**
 * Return the id of the item that a route opens, or null.
 * @param {string} route
 */
export function itemIdOf(route) {
  if (!route.startsWith("#item=")) return null;
  try {
    return decodeURIComponent(route.slice("#item=".length));
  } catch {
    return null; // A malformed percent-encoding.
  }
}

// ------------------------------------------------------------------------------------------------------------ changing

// Going back takes a while. Later steps wait for it, or they would change another entry of the history.
/** @type {Promise<any>} */
let queue = Promise.resolve();
/** @type {((value?: any) => void) | null} */
let onWentBack = null;

/** @param {() => any} step */
const enqueue = (step) => (queue = queue.then(step));

/**
 * Show a route: as a new step after the list, or in place of another route.
 * @param {string} route
 */
export function setRoute(route) {
  enqueue(() => {
    if (currentRoute() === route) return;
    if (currentRoute()) history.replaceState(history.state, "", urlOf(route));
    else history.pushState({ fromList: true }, "", urlOf(route));
  });
}

/** Show the list's URL: go back to it, if the user came from there. */
export function clearRoute() {
  enqueue(async () => {
    if (!currentRoute()) return;
    if (history.state?.fromList) await goBack();
    // The list may be shown in another way than when the user left it.
    history.replaceState(null, "", urlOf(""));
  });
}

function goBack() {
  return new Promise((resolve) => {
    onWentBack = resolve;
    setTimeout(resolve, GO_BACK_TIMEOUT);
    history.back();
  });
}

/**
 * Set how the list is shown.
 * @param {string} next such as "order=asc"
 * @param {{isStep?: boolean}} [options] whether the user can go back to what was shown before
 */
export function setListParameters(next, { isStep = false } = {}) {
  enqueue(() => {
    if (next === parameters) return;
    parameters = next;
    try {
      if (isStep && !currentRoute()) history.pushState(null, "", urlOf(""));
      else history.replaceState(history.state, "", urlOf(currentRoute()));
    } catch {
      // Safari allows 100 changes in 30 seconds. A later change has these parameters too.
    }
  });
}

// ----------------------------------------------------------------------------------------------------------- listening

/** @type {((route: string) => void)[]} */
const routeListeners = [];
/** @type {((parameters: string) => void)[]} */
const parameterListeners = [];

/**
 * Listen to the user going back or forward, or editing the address.
 * @param {(route: string) => void} listener
 */
export const onRouteChange = (listener) => routeListeners.push(listener);

/**
 * Listen to the same for what the address says about the list.
 * @param {(parameters: string) => void} listener
 */
export const onListParametersChange = (listener) => parameterListeners.push(listener);

addEventListener("popstate", () => {
  const wentBack = onWentBack;
  onWentBack = null;
  if (wentBack) {
    wentBack();
    return;
  }
  const before = parameters;
  parameters = listParameters();
  if (parameters !== before) parameterListeners.forEach((listener) => listener(parameters));
  routeListeners.forEach((listener) => listener(currentRoute()));
});

// ------------------------------------------------------------------------------------------------ settings of the list

const DAY = 24 * 60 * 60 * 1000;

/** @type {ListSettings} */
export const DEFAULTS = { view: "cards", density: "comfortable", order: "desc", added: "any", q: "", filters: "" };

/** The values that each setting can have. @type {Record<string, RegExp>} */
const VALID = {
  view: /^(cards|table)$/,
  density: /^(comfortable|compact)$/,
  order: /^(desc|asc|-?[A-Za-z]\w*)$/,
  added: /^(any|1|7|30|(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?)$/,
  q: /./,
};

const NAMES = /** @type {(keyof ListSettings)[]} */ (Object.keys(VALID));

/**
 * Return the settings that a URL's parameters describe. What is missing or not valid gets its default.
 * @param {string} text such as "order=asc&q=oak&filter[price][gte]=5"
 * @returns {ListSettings}
 */
export function settingsOf(text) {
  const given = new URLSearchParams(text);
  const valid = NAMES.filter((name) => VALID[name].test(given.get(name) ?? ""));
  const named = Object.fromEntries(valid.map((name) => [name, given.get(name)]));
  return { ...DEFAULTS, ...named, filters: filtersText(filtersOf(text)) };
}

/**
 * Return the URL parameters that describe settings, without those that have their default.
 * @param {ListSettings} settings
 */
export function parametersOf(settings) {
  const changed = NAMES.filter((name) => settings[name] !== DEFAULTS[name]);
  const named = new URLSearchParams(changed.map((name) => [name, settings[name]])).toString();
  return [named, settings.filters].filter(Boolean).join("&");
}

/**
 * Return whether two settings list the same items in the same order.
 * @param {ListSettings} one
 * @param {ListSettings} other
 */
export const isSameList = (one, other) => LISTED.every((name) => one[name] === other[name]);

const LISTED = /** @type {const} */ (["order", "added", "q", "filters"]);

/** Return whether settings may leave items out. @param {ListSettings} settings */
export const hasBounds = ({ added, q, filters }) => added !== DEFAULTS.added || hasWord(q) || filters !== "";

// ------------------------------------------------------------------------------------------------------------- filters

const FILTER = /^filter\[([A-Za-z]\w*)\](?:\[(gte?|lte?|prefix|in|has)\])?$/;

/**
 * Return the filters in parameters. The API takes one of each name.
 * @param {string} text such as "filter[price][gte]=5&filter[title]=Oak%20bench"
 * @returns {Filter[]}
 */
export function filtersOf(text) {
  const found = [...new Map(new URLSearchParams(text))].filter(([name, value]) => FILTER.test(name) && value);
  return found.map(([name, value]) => {
    const [, field, operator = "eq"] = /** @type {RegExpMatchArray} */ (name.match(FILTER));
    return { field, operator, value };
  });
}

/** Return the name of a filter's parameter. @param {Filter} filter */
export const filterName = ({ field, operator }) => `filter[${field}]${operator === "eq" ? "" : `[${operator}]`}`;

/** Return the parameters of filters. @param {Filter[]} filters */
export const filtersText = (filters) =>
  filters.map((one) => `${filterName(one)}=${encodeURIComponent(one.value)}`).join("&");

// --------------------------------------------------------------------------------------------------------------- query

/**
 * Return the parameters of `GET /items`. The API excludes the bounds themselves.
 * @param {ListSettings} settings
 * @param {number} [now] in milliseconds
 * @returns {Record<string, string>}
 */
export function queryOf({ order, added, q, filters }, now = Date.now()) {
  const bounds = Object.fromEntries(filtersOf(filters).map((one) => [filterName(one), one.value]));
  const words = hasWord(q) && { q };
  return { ...(isByAge(order) ? { order } : { sort: order }), ...period(added, now), ...words, ...bounds };
}

/** Return whether an order is by the time of creation. @param {string} order */
export const isByAge = (order) => ["desc", "asc"].includes(order);

/** Return whether a text has anything to search for. @param {string} text */
export const hasWord = (text) => /[\p{L}\p{N}]/u.test(text);

/**
 * @param {string} added
 * @param {number} now
 * @returns {Record<string, string>}
 */
function period(added, now) {
  if (added === "any") return {};
  if (!added.includes("..")) return { createdAfter: new Date(now - Number(added) * DAY).toISOString() };
  const [from, to] = added.split("..");
  return {
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
