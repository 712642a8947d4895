import createFetchClient from "openapi-fetch";

/** Return a client of the API. */
export const createClient = (options) => createFetchClient(options);
