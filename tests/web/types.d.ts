// Types that the JSDoc comments of chalicelib/web name. They stand here because every file in that folder is sent to
// browsers.

/** An item as the API returns it. Fields of the caller's own have any name and type. */
interface Item {
  id: string;
  version: number;
  createdAt: string;
  updatedAt: string;
  expiresAt?: string | null;
  image?: ItemImage;
  [field: string]: any;
}

/** The fields of an item that the caller may change. */
type Fields = Record<string, any>;

interface Picture {
  width: number;
  height: number;
  url: string;
}

/** A point of a picture, from 0 to 1, from the left and from the top. */
interface Focus {
  x: number;
  y: number;
}

/** `image` of an item. Sizes and URLs are there if its status is "ready". */
interface ItemImage extends Picture {
  status: "pending" | "processing" | "ready" | "failed";
  contentType: string;
  bytes: number;
  thumbnails?: Picture[];
  focus?: Focus;
  /** A ThumbHash in base64. */
  placeholder?: string;
  warnings?: string[];
  error?: { error: string; message: string };
}

/** An item and its entity tag, which is null until the item was read by itself. */
interface StoredItem {
  item: Item;
  etag: string | null;
}

/** How the list is shown. */
interface ListSettings {
  view: string;
  density: string;
  /** "desc" or "asc" by age, or a field to sort by, after "-" if the greatest come first. */
  order: string;
  /** "any", a number of days, or two dates such as "2026-01-01..2026-01-31", each of which may be missing. */
  added: string;
  /** Words that the items must contain. */
  q: string;
  /** Parameters such as "filter[price][gte]=5&filter[tags][has]=oak". */
  filters: string;
}

/** A condition on a field. Its value is text, as in the URL. */
interface Filter {
  field: string;
  operator: string;
  value: string;
}

type FilterKind = "text" | "number" | "date" | "time" | "boolean" | "choice";

/** A field that items can be filtered by. The kind and the choices of a list are those of its elements. */
interface FilterField {
  name: string;
  label: string;
  kind: FilterKind;
  /** Operators of the API, in the words of the menu. */
  operators: Record<string, string>;
  choices: any[];
}

/** A column of the table that is not a field of the caller's own. */
interface Column {
  label: string;
  cell(item: Item): Child;
}

interface ColumnChoice {
  id: string;
  label: string;
  isShown: boolean;
}

/** What `POST /items/{id}/image` returns: a form that uploads one file to the bucket. */
interface UploadTicket {
  upload: { url: string; fields: Record<string, string> };
  maxBytes: number;
}

/** What `GET /imports/{id}` returns. */
interface ImportStatus {
  id: string;
  status: "queued" | "running" | "done";
  total: number;
  created: number;
  updated: number;
  failed: number;
  errors: { index: number; error: string; message: string }[];
}

/** What `GET /exports/{id}` returns. */
interface ExportStatus {
  id: string;
  status: "queued" | "running" | "done" | "failed";
  format: string;
  /** How many are exported so far. */
  items: number;
  /** Absent until all are found. */
  total?: number;
  /** How many are exported so far; absent if none are to be. */
  pictures?: number;
  files: ExportedFile[];
  expiresAt: string;
  error?: { error: string; message: string };
}

interface ExportedFile {
  name: string;
  bytes: number;
  url: string;
}

/** What `POST /exports` takes. */
interface ExportRequest {
  format: "csv" | "ndjson";
  pictures?: boolean;
  filter?: Record<string, Record<string, string>>;
  q?: string;
  ids?: string[];
}

/** What `GET /catalogue` returns. */
interface Catalogue {
  id: string;
  title: string;
  text: string;
  /** Whether visitors can see it. */
  enabled: boolean;
  /** Of its page. That of a public item follows after a slash. */
  url: string;
  itemCount: number;
}

/** A share link of an item. */
interface Share {
  id: string;
  createdAt: string;
  /** Absent if it never expires. */
  expiresAt?: string;
}

/** What `GET /webhooks/{id}` returns. */
interface Webhook {
  id: string;
  url: string;
  /** Types of events, or "*" for all. */
  events: string[];
  description?: string;
  status: "active" | "failing" | "off";
  createdAt: string;
  failingSince?: string;
  /** Why it fails, or why it was switched off. */
  problem?: string;
  /** Until when requests are also signed with the secret before. */
  previousSecretUntil?: string;
  /** Only in the response that makes it. */
  secret?: string;
}

/** One of `GET /webhooks/{id}/deliveries`. */
interface Delivery {
  id: string;
  type: string;
  itemId?: string;
  status: "pending" | "succeeded" | "failed";
  attempts: number;
  createdAt: string;
  lastAttemptAt?: string;
  nextAttemptAt?: string;
  responseStatus?: number;
  durationMs?: number;
  /** How the answer begins. */
  response?: string;
  error?: string;
}

/** One entry of `details` of an error. */
interface ProblemDetail {
  path: string;
  message: string;
}

interface ProblemFields {
  message: string;
  /** HTTP status; 0 if the API did not respond. */
  status?: number;
  /** The API's error code. */
  error?: string;
  requestId?: string;
  details?: ProblemDetail[];
  /** In seconds. */
  retryAfter?: number;
}

/** What the dialog shows. */
interface View {
  id?: string;
  kind: "viewing" | "editing" | "listing";
  /** The part of the address that leads here, such as "#new". */
  route: string;
  onItemChange(item: Item): void;
  /** Called if the item does not exist any more. */
  onItemGone?(problem: ApiProblem): void;
  /** Use files that were dropped on the dialog or pasted. */
  addFiles(files: File[]): void;
  /** Go one step back. Ask first if that would lose changes. */
  leave(): void;
  hasChanges(): boolean;
  /** Whether changes would be lost if the page were closed now. */
  losesChanges(): boolean;
}

/** A JSON Schema, or a part of one, in the OpenAPI document. */
type Schema = Record<string, any>;

/** One operation of the OpenAPI document, and where it is. */
interface Operation {
  method: string;
  path: string;
  spec: Record<string, any>;
}

/** What `h` accepts as children: strings and nodes; null, undefined and false are left out. */
type Child = Node | string | null | undefined | false | Child[];

type OperationGroup = { name: string; description?: string; operations: Operation[] };
type ApiRequest = { method: string; url: URL; headers: Record<string, string>; body?: string };
type RequestParameter = {
  name: string;
  in: string;
  element: HTMLElement;
  values: () => [string, string][];
  renew?: () => void;
};
type SchemaReader = import("../../chalicelib/web/json-schema.js").SchemaReader;

type ApiProblem = import("../../chalicelib/web/api.js").Problem;

/** What live updates do. */
interface LiveActions {
  /** Return whether there is a list to keep up to date. */
  isReady(): boolean;
  /** Show what has changed. Return whether that succeeded. May throw Problem. */
  show(): Promise<boolean>;
  /** Return whether something that is shown may change without being counted. */
  isUnfinished(): boolean;
}

interface CallOptions {
  /** A value, which is sent as JSON, or a text of `type`. */
  body?: any;
  /** Content type of the body. */
  type?: string;
  headers?: Record<string, string>;
  keepalive?: boolean;
  signal?: AbortSignal;
}

interface PollOptions {
  signal?: AbortSignal;
  /** Give up after that time. The time while the browser is offline does not count. */
  seconds?: number;
  /** Return the shortest delay between two calls, in milliseconds. */
  minDelay?: () => number;
  /** Called before a temporary failure is waited out, with what to show meanwhile. */
  onRetry?: (text: string) => void;
}

/** What is done to each of many items. */
interface BulkAction {
  /** Such as "Setting the price". */
  running: string;
  /** Such as "Set the price". */
  done: string;
  /** Return the operation of a batch, without the item's id. */
  operationOf(item: Item): { op: "patch" | "delete"; body?: Fields };
  /** Called with items as they were before they were written, and with their versions after that. */
  onWritten(written: { item: Item; version?: number }[]): void;
  /** Write to an item that has changed since, unless that matters. Throw Problem. */
  writeAlone(item: Item): Promise<any>;
}

interface BulkOptions {
  signal?: AbortSignal;
  onProgress?: (done: number) => void;
}

/** One of the results of `POST /items/batch`. */
interface BatchResult {
  id: string;
  status: number;
  version?: number;
  error?: { error: string; message: string; details?: ProblemDetail[] };
}

interface Session {
  /** What requests are authorized with. */
  token: string;
  /** In seconds since 1970. */
  expiresAt?: number;
  refreshToken?: string;
  idToken?: string;
  userName?: string;
}

/** What a form starts with. */
interface FormStart {
  /** null for a new item. */
  item: Item | null;
  etag: string | null;
  /** What is shown instead of the item's fields or its draft. */
  fields?: Fields;
}

/** Fields and the key that they were sent under: sent again under the same key, they create one item. */
type CreationKey = { fields: Fields; value: string };

/** What was typed in a form and not saved yet. */
interface Draft {
  /** The item's fields when the form was opened, and their entity tag: a conflict is found by these. */
  base: Fields;
  etag: string | null;
  /** What the form began with. */
  fields: Fields;
  /** What was typed; see `FieldEditor.content`. */
  content?: any;
  key?: CreationKey;
}
type KeptDraft = Draft & { savedAt: string };

interface FormActions {
  save: (fields: Fields) => Promise<void>;
  leave: () => void;
  /** Return what is shown if the session has ended. */
  offerSignIn: () => Node;
}

/** How to make an item of each picture: the items, or the questions to ask first. */
type PicturesPlan = { field: string; items: Fields[] } | ({ items?: undefined } & PicturesQuestions);
interface PicturesQuestions {
  /** The field that names each item after its picture's file, or "". */
  field: string;
  /** The schemas of the form that asks. */
  schemas: Record<string, Schema>;
  /** What the form shows as if it were typed; see `FieldEditor.content`. */
  suggested: { name: string; content: any }[];
  /** Return the items for what was entered. */
  itemsOf(entered: Fields): Fields[];
}

type FieldEditor = import("../../chalicelib/web/field-editor.js").FieldEditor;

/** The kinds of inputs for single values. */
type InputKind = "text" | "long" | "number" | "boolean" | "date" | "time" | "choice" | "json";
/** The types that a user chooses for undeclared fields. */
type FreeKind = Exclude<InputKind, "choice"> | "list";

/** How a kind of input shows and reads a value. */
interface InputType {
  label: string;
  fits(value: any): boolean;
  create(schema: Schema, value?: any): HTMLElement;
  /** Return what the input shows of a value; without it, the value itself. */
  show?(value: any): any;
  /** Return the value of what was entered. Throw InvalidInput. */
  parse(content: any, schema: Schema, input: any): any;
  /** The value of an undeclared field that is left empty; without it, `message` is shown. */
  empty?: any;
  message?: string;
}

/** An input, or several for a list or an object. */
interface FieldControl {
  element: HTMLElement;
  /** What was entered, valid or not, as JSON: what a draft keeps. */
  content: any;
  /** Return the value, or undefined if there is none. Throw InvalidInput. */
  read(isPartial?: boolean): any;
  /** Mark the part at a path. Return whether its message is shown: if not, the control's row shows it. */
  showError(path: string, message: string): boolean;
  focus(): void;
  setLabel(label: string, id?: string): void;
}

/** The rows of an object inside an item. */
type ObjectFields = Omit<FieldControl, "element" | "setLabel"> & { elements: HTMLElement[] };

interface RowOptions {
  name: string;
  /** Without it, the name can be edited. */
  label?: string;
  help?: Child;
  isRequired?: boolean;
  /** Without it, only a field whose name can be edited can be removed. */
  removeLabel?: string;
}

/** A picture that is in the bucket, and the item as it was before that. */
type SentUpload = { uploadId: string; before: Item };
/** What frames show of an upload. */
interface ShownUpload {
  text: string;
  state: "processing" | "failed";
  /** Of the preview, which is null if the browser cannot decode the picture, or has not yet. */
  url: string | null;
  /** Why it failed. */
  problem?: ApiProblem;
  /** Return buttons for what the user can do if it failed. */
  buttons: () => HTMLButtonElement[];
}
type UploadResult = { state: "ready" | "stopped"; text: string; thumbnail?: string } | { state: "failed"; problem: ApiProblem };

/** What is sent of a file to import, and its entries as the API reads them. */
interface ImportContent {
  body: string;
  /** Content type of the body. */
  type: string;
  /** The numbers of the lines of its items; null if it is one JSON value. */
  lines: number[] | null;
  /** The names of the fields, in the order of the file. */
  columns: string[];
  /** Objects; undefined for a line that is not valid JSON. */
  entries: any[];
}

/** Returns whether a value fits, and the message if it does not. */
type KindRule = [(value: any, schema: Schema) => boolean, string];

/** A row, and the number of the line where it begins. */
type CsvRow = { line: number; cells: string[] };

/** A page for visitors that is or was shown. */
interface ShownPage {
  url: string;
  title: string;
  main: HTMLElement;
  /** How far it was scrolled when it was left, in pixels. */
  scroll: number;
}
