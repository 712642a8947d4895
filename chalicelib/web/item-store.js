// The items that were read, in their newest version, and who is told when one changes.

/** @type {Map<string, StoredItem>} */
const stored = new Map();

/** @type {((item: Item, before?: Item) => void)[]} */
const listeners = [];

/** Ids of items that are deleted unless the user undoes that. @type {Set<string>} */
export const pendingDeletes = new Set();

/** @param {string} id */
export const getStored = (id) => stored.get(id);

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
 * Store an item, unless a newer version is stored. Return what is stored then.
 * @param {Item} item
 * @param {string | null} [etag]
 * @returns {StoredItem}
 */
export function storeItem(item, etag = null) {
  const before = stored.get(item.id);
  if (before && before.item.version > item.version) return before;
  const tag = etag ?? (before?.item.version === item.version ? before.etag : null);
  const entry = { item, etag: tag };
  stored.set(item.id, entry);
  for (const listener of listeners) listener(item, before?.item);
  return entry;
}

/** @param {string} id */
export const removeStored = (id) => stored.delete(id);

/** Remove all items, as at sign-out. */
export function clearStore() {
  stored.clear();
  pendingDeletes.clear();
}
