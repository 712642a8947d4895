// The items that were read, in their newest version, and the listeners that are called when one changes.

import { call, itemPath } from "./api.js";

/** @type {Map<string, StoredItem>} */
const stored = new Map();

/** @type {((item: Item, before?: Item) => void)[]} */
const listeners = [];

/** The URL that each picture was read with first, and until when it is used, by the picture's address. */
const knownUrls = /** @type {Map<string, {url: string, until: number}>} */ (new Map());

const URL_REUSE = 3600_000; // ms. The server's URLs are valid for two hours.

/** Ids of items that are deleted unless the user undoes that. @type {Set<string>} */
export const pendingDeletes = new Set();

/** @param {string} id */
export const getStored = (id) => stored.get(id);

export const storedIds = () => [...stored.keys()];

/**
 * Return the entity tag of the stored version of an item. An item of a list has none, but the API compares the version
 * only.
 * @param {string} id
 */
export function entityTag(id) {
  const entry = stored.get(id);
  return entry && (entry.etag ?? `"${entry.item.version}"`);
}

/** Return an item that must be stored. @param {string} id */
export const storedItem = (id) => /** @type {StoredItem} */ (stored.get(id)).item;

/**
 * Call `listener` when an item is stored, also with what was stored before.
 * @param {(item: Item, before?: Item) => void} listener
 */
export const onItemStored = (listener) => listeners.push(listener);

/**
 * Store an item, unless a newer version is stored. Return the stored version.
 * @param {Item} item
 * @param {string | null} [etag]
 * @returns {StoredItem}
 */
export function storeItem(item, etag = null) {
  const before = stored.get(item.id);
  if (before && before.item.version > item.version) return before;
  const tag = etag ?? (before?.item.version === item.version ? before.etag : null);
  const entry = { item: withKnownUrls(item), etag: tag };
  stored.set(item.id, entry);
  for (const listener of listeners) listener(entry.item, before?.item);
  return entry;
}

/**
 * Read an item from the API, and store it. Return what was read. Throw Problem.
 * @param {string} id
 * @param {CallOptions} [options]
 * @returns {Promise<StoredItem>}
 */
export async function readItem(id, options) {
  const { data: item, etag } = await call("GET", itemPath(id), options);
  storeItem(item, etag);
  return { item, etag };
}

/** Return an item with the URLs with which its picture was shown before: browsers cache by URL. @param {Item} item */
function withKnownUrls(item) {
  const { image } = item;
  if (!image?.url) return item;
  const thumbnails = image.thumbnails?.map((one) => ({ ...one, url: knownUrl(one.url) }));
  return { ...item, image: { ...image, url: knownUrl(image.url), ...(thumbnails && { thumbnails }) } };
}

/** @param {string} url */
function knownUrl(url) {
  const known = knownUrls.get(addressOf(url));
  if (known && known.until > Date.now()) return known.url;
  knownUrls.set(addressOf(url), { url, until: Date.now() + URL_REUSE });
  return url;
}

/** Use new URLs of a picture from now on, because one could not be loaded. @param {ItemImage} image */
export function forgetUrls(image) {
  for (const { url } of [image, ...(image.thumbnails ?? [])]) knownUrls.delete(addressOf(url));
}

/** Return a presigned URL without its signature. @param {string} url */
const addressOf = (url) => url.split("?")[0];

/** @param {string} id */
export const removeStored = (id) => stored.delete(id);

/** Remove all items, as at sign-out. */
export function clearStore() {
  stored.clear();
  knownUrls.clear();
  pendingDeletes.clear();
}
