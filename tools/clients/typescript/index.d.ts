import type { Client, ClientOptions } from "openapi-fetch";
import type { paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";

/**
 * Return a client of the API at `options.baseUrl`: `api.GET("/items/{item_id}", …)`.
 * Sign in with `options.headers`: `{ Authorization: "Bearer TOKEN" }`.
 */
export declare function createClient(options: ClientOptions): Client<paths>;
