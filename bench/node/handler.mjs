// GET /items/{id} in JavaScript, with AWS SDK v3 for DynamoDB and no framework.

import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

const client = new DynamoDBClient({});
const table = `vitrine-${process.env.STAGE}`;

const plain = {
  S: (value) => value,
  N: (value) => Number(value),
  BOOL: (value) => value,
  NULL: () => null,
  L: (values) => values.map(read),
  M: (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, read(value)])),
};

function read(typed) {
  const [[type, value]] = Object.entries(typed);
  return plain[type](value);
}

function answer(status, body, requestId, headers = {}) {
  const shown = { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "X-Request-Id": requestId };
  return { statusCode: status, headers: { ...shown, ...headers }, body: JSON.stringify(body) };
}

export async function handler(event) {
  const started = performance.now();
  const { requestId } = event.requestContext;
  const id = event.pathParameters.item_id;
  const { Item } = await client.send(
    new GetItemCommand({
      TableName: table,
      Key: { pk: { S: "OWNER#local" }, sk: { S: `ITEM#${id}` } },
      ConsistentRead: true,
    }),
  );
  const log = { level: "INFO", message: "Response sent", requestId, method: event.httpMethod, path: event.resource };
  console.log(JSON.stringify({ ...log, duration_ms: performance.now() - started }));
  if (Item === undefined) {
    return answer(404, { error: "ITEM_NOT_FOUND", message: `There is no item ${id}.`, requestId }, requestId);
  }
  const { fields, version, createdAt, updatedAt } = read({ M: Item });
  return answer(200, { id, version, createdAt, updatedAt, ...fields }, requestId, { ETag: `"${version}"` });
}
