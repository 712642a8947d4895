// The URL of the page, and the history of the browser. The part after "#" holds the route ("item=<id>", "new", or none
// for the list) and how the list is shown, such as "item=0198&order=asc&view=table". It is never sent to the server.

const GO_BACK_TIMEOUT = 1000; // milliseconds; a browser may refuse to go back

const hashParts = () => location.hash.slice(1).split("&").filter(Boolean);

/** @param {string} part */
const isRoute = (part) => ["new", "pictures"].includes(part) || part.startsWith("item=");

/** Return "#item=<id>", "#new", "#pictures", or "" for the list. */
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
    if (isStep && !currentRoute()) history.pushState(null, "", urlOf(""));
    else history.replaceState(history.state, "", urlOf(currentRoute()));
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
