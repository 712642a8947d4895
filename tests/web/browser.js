// A browser for the tests: the globals that the console's modules use, by happy-dom, and the console's page. Import it
// before those modules. The tests of all files run in one process, which takes a second: so hooks belong into
// `describe`, and no test may leave timers behind.

import { readFileSync } from "node:fs";
import { Window } from "../../.venv-node/node_modules/happy-dom/lib/index.js";

const PAGE = new URL("../../chalicelib/web/index.html", import.meta.url);
const window = new Window({ url: "https://api.example/stage/" });

const OBJECTS = ["document", "history", "location", "navigator", "sessionStorage", "localStorage"];
const CLASSES = ["CSS", "Event", "HTMLDetailsElement", "IntersectionObserver", "KeyboardEvent"];
const FUNCTIONS = ["addEventListener", "dispatchEvent", "matchMedia", "removeEventListener"];

/**
 * Replace a global, also one that Node has.
 * @param {string} name
 * @param {any} value
 */
export function setGlobal(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

for (const name of [...OBJECTS, ...CLASSES]) setGlobal(name, window[name]);
for (const name of FUNCTIONS) setGlobal(name, window[name].bind(window));
document.documentElement.innerHTML = readFileSync(PAGE, "utf8").replace(/<script.*<\/script>/, "");

/**
 * Have `navigator.onLine` say that the browser is online or offline.
 * @param {boolean} isOnline
 */
export function setOnline(isOnline) {
  setGlobal("navigator", { onLine: isOnline });
}

setOnline(true);

/**
 * Replace `fetch`. Return the requests that are made, as they come.
 * @param {(url: URL, init: RequestInit) => Response | Promise<Response>} respond
 * @returns {{url: URL, init: RequestInit}[]}
 */
export function stubFetch(respond) {
  const requests = [];
  setGlobal("fetch", async (url, init = {}) => {
    requests.push({ url: new URL(url), init });
    return respond(new URL(url), init);
  });
  return requests;
}

/**
 * Return a response with JSON.
 * @param {any} data
 * @param {ResponseInit} [init]
 */
export const json = (data, init) => new Response(JSON.stringify(data), init);
