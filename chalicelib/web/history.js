// The route in the address ("#item=<id>", "#new", or "" for the gallery) and the browser's history.

export const currentRoute = () => location.hash;

const GO_BACK_TIMEOUT = 1000; // milliseconds; a browser may refuse to go back

// Going back takes a while. Later steps wait for it, or they would change another entry of the history.
/** @type {Promise<any>} */
let queue = Promise.resolve();
/** @type {((value?: any) => void) | null} */
let onWentBack = null;

/** @param {() => any} step */
const enqueue = (step) => (queue = queue.then(step));

/**
 * Show a route: as a new step after the gallery, or in place of another route.
 * @param {string} route
 */
export function setRoute(route) {
  enqueue(() => {
    if (currentRoute() === route) return;
    if (currentRoute()) history.replaceState(history.state, "", route);
    else history.pushState({ fromGallery: true }, "", route);
  });
}

/** Show the gallery's route: go back to it, if the user came from there. */
export function clearRoute() {
  enqueue(() => {
    if (!currentRoute()) return undefined;
    if (!history.state?.fromGallery) return history.replaceState(null, "", location.pathname + location.search);
    return new Promise((resolve) => {
      onWentBack = resolve;
      setTimeout(resolve, GO_BACK_TIMEOUT);
      history.back();
    });
  });
}

/**
 * Listen to the user going back or forward, or editing the address.
 * @param {(route: string) => void} listener
 */
export function onRouteChange(listener) {
  addEventListener("popstate", () => {
    const wentBack = onWentBack;
    onWentBack = null;
    if (wentBack) wentBack();
    else listener(currentRoute());
  });
}
