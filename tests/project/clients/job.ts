// The main job of Vitrine, done with the TypeScript client of `make clients`: node job.js API PHOTO
// test_clients.py compiles this with `tsc --strict`, so each line also shows that the types are usable.

import { readFile } from "node:fs/promises";
import { type components, createClient } from "vitrine-client";

type Item = components["schemas"]["Item"];

const [baseUrl = "", photo = ""] = process.argv.slice(2);
const api = createClient({ baseUrl });

/** Return the data of a response, or throw the error that came instead. */
function good<Data>(answer: { data?: Data; error?: components["schemas"]["Error"] }): Data {
  if (answer.data === undefined) throw new Error(answer.error?.message);
  return answer.data;
}

/** Ask `look` until it finds something, for a minute at most. */
async function eventually<Found>(look: () => Promise<Found | undefined>): Promise<Found> {
  for (let attempt = 0; attempt < 120; attempt++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error("It took more than a minute");
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`Not so: ${what}`);
}

async function read(item_id: string): Promise<{ item: Item; tag: string }> {
  const answer = await api.GET("/items/{item_id}", { params: { path: { item_id } } });
  return { item: good(answer), tag: answer.response.headers.get("ETag") ?? "" };
}

async function create(): Promise<string> {
  const item = good(await api.POST("/items", { body: { title: "Harbour", price: 19.9 } }));
  check(item.title === "Harbour" && item.price === 19.9, "the fields come back");
  return item.id;
}

async function upload(item_id: string): Promise<void> {
  const path = { item_id };
  const { upload } = good(await api.POST("/items/{item_id}/image", { params: { path }, body: { contentType: "image/jpeg" } }));
  const form = new FormData();
  for (const [name, value] of Object.entries(upload.fields)) form.append(name, value);
  form.append("file", new Blob([await readFile(photo)]));
  const stored = await fetch(upload.url, { method: "POST", body: form });
  check(stored.ok, "S3 accepts the form");

  const image = await eventually(async () => {
    const { item } = await read(item_id);
    return item.image?.status === "ready" ? item.image : undefined;
  });
  const thumbnail = await fetch(image.thumbnails[0]!.url);
  check(thumbnail.ok && (await thumbnail.arrayBuffer()).byteLength > 0, "the thumbnail can be downloaded");
}

async function change(item_id: string): Promise<void> {
  const { tag } = await read(item_id);
  const params = { path: { item_id }, header: { "If-Match": tag } };
  const patched = good(await api.PATCH("/items/{item_id}", { params, body: { price: null, year: 1998 } }));
  check(patched.year === 1998 && !("price" in patched), "a patch sets one field and removes another");
  const late = await api.PATCH("/items/{item_id}", { params, body: { year: 1999 } });
  check(late.response.status === 412 && late.error?.error === "VERSION_MISMATCH", "an old version is not overwritten");

  const now = await read(item_id);
  const replaced = good(
    await api.PUT("/items/{item_id}", {
      params: { path: { item_id }, header: { "If-Match": now.tag } },
      body: { ...now.item, title: "Harbour at dawn", expiresAt: "2100-01-31T12:00:00Z" },
    }),
  );
  check(replaced.title === "Harbour at dawn" && replaced.year === 1998, "an item that was read can be sent back changed");
  check(replaced.image?.status === "ready", "its picture stays");
}

async function find(): Promise<void> {
  const gte = new Date().toISOString();
  const operations = ["One", "Two"].map((title) => ({ op: "create" as const, body: { title } }));
  const { results } = good(await api.POST("/items/batch", { body: { operations } }));
  check(results.every(({ status }) => status === 201), "each operation of a batch succeeds");
  const query = { filter: { updatedAt: { gte, lt: "2100-01-01T00:00:00Z" } }, sort: "-updatedAt" as const };
  const { items } = good(await api.GET("/items", { params: { query } }));
  check(items.map(({ id }) => id).sort().join() === results.map(({ id }) => id).sort().join(), "they are found");
}

async function bulk(): Promise<void> {
  const items: components["schemas"]["ItemFields"][] = [{ title: "One" }, { title: "Two", tags: ["a", "b"] }];
  const { id: import_id } = good(await api.POST("/imports", { body: { items } }));
  const done = await eventually(async () => {
    const progress = good(await api.GET("/imports/{import_id}", { params: { path: { import_id } } }));
    return progress.status === "done" ? progress : undefined;
  });
  check(done.created === 2 && done.failed === 0, "both entries become items");
}

async function exported(id: string): Promise<void> {
  const { id: export_id } = good(await api.POST("/exports", { body: { format: "ndjson", ids: [id] } }));
  const done = await eventually(async () => {
    const progress = good(await api.GET("/exports/{export_id}", { params: { path: { export_id } } }));
    return progress.status === "done" ? progress : undefined;
  });
  const rows = await (await fetch(done.files[0]?.url ?? "")).text();
  check(rows.includes(`"id":"${id}"`), "the item is in the export");
}

async function list(): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = cursor === null ? { limit: 2 } : { limit: 2, cursor };
    const page: components["schemas"]["ItemPage"] = good(await api.GET("/items", { params: { query } }));
    ids.push(...page.items.map((item) => item.id));
    cursor = page.nextCursor;
  } while (cursor !== null);
  return ids;
}

async function remove(item_id: string): Promise<void> {
  const params = { path: { item_id } };
  check(good(await api.DELETE("/items/{item_id}", { params })).id === item_id, "the item is deleted");
  const gone = await api.GET("/items/{item_id}", { params });
  check(gone.response.status === 404 && gone.error?.error === "ITEM_NOT_FOUND", "it is not found afterwards");
}

const id = await create();
await upload(id);
await change(id);
await find();
await bulk();
await exported(id);
const ids = await list();
check(new Set(ids).size === ids.length && ids.length >= 3 && ids.includes(id), "every item is listed once");
await remove(id);
check(!(await list()).includes(id), "a deleted item is not listed");
console.log("done");
