// Changes and deletes of items that other users may change at the same time.

import { Problem, call, ifMatch, itemPath } from "./api.js";
import { isEqual } from "./exact-json.js";
import { isObject } from "./field-controls.js";
import { ownFields } from "./item-fields.js";
import { getStored, storeItem } from "./item-store.js";

/**
 * Set some fields of an item (null removes one), unless someone else has changed one of them. Throw Problem.
 * @param {Item} item as the user saw it
 * @param {Fields} changes
 * @param {CallOptions} [options]
 */
export async function patchItem(item, changes, options) {
  const isUnchanged = (/** @type {Item} */ now) => Object.keys(changes).every((name) => isEqual(now[name], item[name]));
  const message = "Someone else changed this field.";
  const patch = Object.entries(changes).map(([name, value]) => [name, replacing(item[name], value)]);
  const body = Object.fromEntries(patch);
  const { data, etag } = await writeUnless(item, "PATCH", { isUnchanged, message, ...options, body });
  return storeItem(data, etag).item;
}

/**
 * Return the merge patch (RFC 7396) that replaces a value. An object would be merged with the one before.
 * @param {any} before
 * @param {any} value
 * @returns {any}
 */
function replacing(before, value) {
  if (!isObject(before) || !isObject(value)) return value;
  const names = [...new Set([...Object.keys(before), ...Object.keys(value)])];
  return Object.fromEntries(names.map((name) => [name, name in value ? replacing(before[name], value[name]) : null]));
}

/**
 * Delete an item, unless someone else has changed its fields. An item that is gone already counts as deleted. Throw
 * Problem.
 * @param {Item} item as the user saw it
 * @param {CallOptions} [options]
 */
export async function deleteItemNow(item, options) {
  const fields = ownFields(item);
  const isUnchanged = (/** @type {Item} */ now) => isEqual(ownFields(now), fields);
  const message = "Someone else changed this item. Delete it again if you still want to.";
  try {
    await writeUnless(item, "DELETE", { isUnchanged, message, ...options });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
  }
}

/**
 * Return a function that writes to one of some items, as the user saw them. If someone else has changed one, a second
 * write goes to what that is now, because the user was told.
 * @template Result
 * @param {Item[]} items
 * @param {(item: Item) => Promise<Result>} write
 */
export function writerOf(items, write) {
  const seen = new Map(items.map((item) => [item.id, item]));
  return async (/** @type {string} */ id) => {
    try {
      return await write(/** @type {Item} */ (seen.get(id)));
    } catch (problem) {
      const now = getStored(id)?.item;
      if (problem instanceof Problem && problem.status === 412 && now) seen.set(id, now);
      throw problem;
    }
  };
}

/**
 * Write with the entity tag of what is stored. If the item has changed meanwhile, write again if that does not matter.
 * @param {Item} item
 * @param {string} method
 * @param {CallOptions & {isUnchanged: (now: Item) => boolean, message: string}} options
 */
async function writeUnless({ id }, method, { isUnchanged, message, ...options }) {
  for (;;) {
    const stored = getStored(id);
    // An item of a list has no entity tag. The API compares the version only.
    const tag = stored && (stored.etag ?? `"${stored.item.version}"`);
    try {
      return await call(method, itemPath(id), { headers: ifMatch(tag), ...options });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
    }
    const { data, etag } = await call("GET", itemPath(id));
    storeItem(data, etag);
    if (!isUnchanged(data)) throw new Problem({ status: 412, message });
  }
}
