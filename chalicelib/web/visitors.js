// The pages for visitors without reloads: further items while the visitor scrolls, search while the visitor types,
// an item and its neighbours. The server renders all pages; this script loads them, and shows them or parts of them.

const SEARCH_DELAY = 250; // milliseconds

/** @param {string} selector @param {ParentNode} [parent] @returns {any} */
const $ = (selector, parent = document) => parent.querySelector(selector);

/** @type {ShownPage} */
let shown = { url: location.href, title: document.title, main: $("main"), scroll: 0 };
/** The list that was shown before an item. @type {ShownPage | null} */
let list = null;
/** How many pages were asked for. Only the last one is shown. */
let visits = 0;

/** @param {ShownPage} page */
const isList = (page) => page.main.classList.contains("catalogue");

/** Have screen readers say a text. @param {string} text */
const announce = (text) => ($("#announcer").textContent = text);

// ------------------------------------------------------------------------------------------------------------- loading

/** Return a page of the server, also one that is shown in place of an error. @param {string} url */
async function loadPage(url) {
  const page = await loadDocument(url);
  const main = document.adoptNode(makeLinksAbsolute($("main", page)));
  return { url, title: page.title, main, scroll: 0 };
}

/**
 * Trusted types forbid all other ways to parse HTML. This one runs no script (XMLHttpRequest, "Document response").
 * @param {string} url
 * @returns {Promise<Document>}
 */
function loadDocument(url) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const settle = () => (request.responseXML ? resolve(request.responseXML) : reject(new Error("No page was sent.")));
    Object.assign(request, { onload: settle, onerror: settle, ontimeout: settle });
    request.open("GET", url);
    request.responseType = "document";
    request.send();
  });
}

/** Links are relative to the page that they were sent in. @param {HTMLElement} main */
function makeLinksAbsolute(main) {
  for (const link of main.querySelectorAll("a")) link.href = String(link.href);
  for (const form of main.querySelectorAll("form")) form.action = String(form.action);
  return main;
}

// ------------------------------------------------------------------------------------------------------------- showing

/**
 * Show a page in place of the current one.
 * @param {string} url
 * @param {"pushState" | "replaceState" | null} step how the history changes; null if it has changed already
 */
async function visit(url, step) {
  visits += 1;
  const mine = visits;
  history.scrollRestoration = "manual";
  shown.main.setAttribute("aria-busy", "true");
  try {
    const page = list?.url === url ? list : await loadPage(url);
    if (mine !== visits) return;
    const state = step === "pushState" ? { isFromList: isList(shown) } : history.state;
    if (step) history[step](state, "", url);
    show(page);
  } catch {
    location.assign(url);
  }
}

/** @param {ShownPage} page */
function show(page) {
  const before = shown;
  before.main.removeAttribute("aria-busy");
  before.scroll = scrollY;
  if (isList(before)) list = before;
  before.main.replaceWith(page.main);
  document.title = page.title;
  shown = page;
  prepare();
  scrollTo(0, page.scroll);
  const opened = isList(page) && linksOf(page).find(({ href }) => href === before.url);
  (opened || $("h1", page.main)).focus({ preventScroll: true });
}

/** Make what the current page contains ready for use. */
function prepare() {
  addSteps();
  showPlaceholders();
  observer.disconnect();
  const more = $(".more", shown.main);
  if (more) observer.observe(more);
}

/** Show blurred pictures until the pictures are loaded. */
async function showPlaceholders() {
  /** @type {HTMLImageElement[]} */
  const pictures = [...shown.main.querySelectorAll(/** @type {"img"} */ ("img[data-placeholder]"))];
  if (pictures.every(({ complete }) => complete)) return;
  const { placeholderUrl } = await import(`./thumbhash.js${new URL(import.meta.url).search}`);
  for (const picture of pictures.filter(({ complete }) => !complete)) {
    const [width, height] = ["width", "height"].map((side) => Number(picture.getAttribute(side)));
    picture.style.backgroundImage = `url(${placeholderUrl(picture.dataset.placeholder, { width, height })})`;
    picture.addEventListener("load", () => (picture.style.backgroundImage = ""), { once: true });
  }
}

// ---------------------------------------------------------------------------------------------------------------- list

/** Return the links of the cards. @param {ShownPage} page @returns {HTMLAnchorElement[]} */
const linksOf = (page) => [...page.main.querySelectorAll(/** @type {"a"} */ (".card a"))];

/** The links to further items that are being followed. */
const followed = new WeakSet();

/** Add the next page of items to a list. @param {HTMLElement} main */
async function loadMore(main) {
  const more = $(".more", main);
  if (!more || followed.has(more)) return;
  followed.add(more);
  const gallery = $(".gallery", more.closest("section"));
  try {
    const next = await loadPage($("a", more).href);
    const cards = next.main.querySelectorAll(".card");
    gallery.append(...cards);
    more.replaceWith(...next.main.querySelectorAll(".more"));
    if (main !== shown.main) return;
    announce(`${cards.length} more ${cards.length === 1 ? "item" : "items"}`);
    prepare();
  } catch {
    followed.delete(more); // It is still a link.
  }
}

const observer = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && loadMore(shown.main), {
  rootMargin: "800px",
});

// -------------------------------------------------------------------------------------------------------------- search

let searchTimer = 0;
/** Whether the last step of the history is a search that is being typed. */
let isTyping = false;

/** @param {HTMLFormElement} form */
async function search(form) {
  const words = form.q.value.trim();
  const url = words ? `${form.action}?${new URLSearchParams({ q: words })}` : form.action;
  if (url === shown.url) return;
  visits += 1;
  const mine = visits;
  $("section", shown.main).setAttribute("aria-busy", "true");
  try {
    const page = await loadPage(url);
    if (mine !== visits) return;
    if (!isList(page)) throw new Error("No list was sent.");
    $("section", shown.main).replaceWith($("section", page.main));
    history[isTyping ? "replaceState" : "pushState"](null, "", url);
    isTyping = true;
    document.title = page.title;
    Object.assign(shown, { url, title: page.title });
    prepare();
    announce($(".status span", shown.main)?.textContent ?? "All items");
  } catch {
    location.assign(url);
  }
}

document.addEventListener("input", ({ target }) => {
  const { form, name } = /** @type {HTMLInputElement} */ (target);
  if (name !== "q" || !form) return;
  clearTimeout(searchTimer);
  searchTimer = setTimeout(search, SEARCH_DELAY, form);
});
document.addEventListener("change", () => (isTyping = false));
document.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(searchTimer);
  search(/** @type {HTMLFormElement} */ (event.target));
});

// ---------------------------------------------------------------------------------------------------------- neighbours

/** Add links to the items before and after the current one in the list that it was opened from. */
function addSteps() {
  const from = list;
  if (!from || !shown.main.matches(".item")) return;
  const links = linksOf(from);
  const at = links.findIndex(({ href }) => href === shown.url);
  if (at < 0) return;
  shown.main.querySelectorAll(".step").forEach((step) => step.remove());
  const steps = [stepTo(links[at - 1], "prev", "Previous", "‹"), stepTo(links[at + 1], "next", "Next", "›")];
  $("nav", shown.main)?.append(...steps.filter(Boolean));
  if (!links[at + 1]) loadMore(from.main).then(() => linksOf(from)[at + 1] && addSteps());
}

/** @param {HTMLAnchorElement | undefined} link @param {string} rel @param {string} word @param {string} sign */
function stepTo(link, rel, word, sign) {
  if (!link) return "";
  const step = document.createElement("a");
  step.setAttribute("aria-label", `${word} item: ${link.textContent}`);
  return Object.assign(step, { className: "step", href: link.href, rel, textContent: sign });
}

// ------------------------------------------------------------------------------------------------------ links and keys

/** @param {MouseEvent | KeyboardEvent} event */
const hasModifier = (event) => event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;

/** Return what a link does here, or undefined if the browser follows it. @param {HTMLAnchorElement} link */
function actionOf(link) {
  if (link.matches(".more a")) return () => loadMore(shown.main);
  if (link.matches(".back") && history.state?.isFromList) return () => history.back();
  if (link.matches(".step")) return () => visit(link.href, "replaceState");
  return link.matches(".card a, .back, .all") ? () => visit(link.href, "pushState") : undefined;
}

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a");
  const action = link && event.button === 0 && !hasModifier(event) && actionOf(link);
  if (!action) return;
  event.preventDefault();
  action();
});

/** What the keys press on the page of an item. @type {Record<string, string>} */
const LINKS_OF_KEYS = { Escape: ".back", ArrowLeft: ".step[rel=prev]", ArrowRight: ".step[rel=next]" };

addEventListener("keydown", (event) => {
  const selector = LINKS_OF_KEYS[event.key];
  const link = selector && !hasModifier(event) && shown.main.matches(".item") && $(selector, shown.main);
  if (!link) return;
  event.preventDefault();
  link.click();
});

addEventListener("popstate", () => visit(location.href, null));

makeLinksAbsolute(shown.main);
prepare();
