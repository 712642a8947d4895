// Stands in for AWS's runtime interface client for Node (npm's aws-lambda-ric) where that cannot be compiled: the same
// calls, and nothing besides. What it leaves out speaks for Node. `node runtime.cjs index.handler` runs what
// index.cjs exports as `handler`.

const http = require("node:http");
const path = require("node:path");

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });

function call(method, what, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const request = http.request(
      { host, port, method, agent, headers, path: `/2018-06-01/runtime/${what}` },
      (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts).toString() }));
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

async function run() {
  const [module, name] = process.argv[2].split(".");
  const handler = require(path.resolve(`${module}.cjs`))[name];
  for (;;) {
    const { headers, body } = await call("GET", "invocation/next");
    const id = headers["lambda-runtime-aws-request-id"];
    try {
      const answer = await handler(JSON.parse(body), { awsRequestId: id });
      await call("POST", `invocation/${id}/response`, JSON.stringify(answer));
    } catch (error) {
      await call("POST", `invocation/${id}/error`, JSON.stringify({ errorMessage: String(error?.stack) }));
    }
  }
}

run();
