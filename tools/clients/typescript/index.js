import createFetchClient from "openapi-fetch";

/** Return the names and values of a parameter: `filter[price][gte]` and 5 for `{ price: { gte: 5 } }` of `filter`. */
function flattened(name, value) {
  if (value === undefined || value === null) return [];
  if (typeof value !== "object") return [[name, String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flattened(`${name}[${key}]`, inner));
}

/** Return the query of a URL. openapi-fetch's own serializer refuses objects inside objects. */
const querySerializer = (query) =>
  new URLSearchParams(Object.entries(query).flatMap(([name, value]) => flattened(name, value))).toString();

/** Return a client of the API. */
export const createClient = (options) => createFetchClient({ querySerializer, ...options });
