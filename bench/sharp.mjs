// Renders thumbnails with sharp for `make bench-images`, one at a time, on one thread.
// Each input line is a task, {"task", "path"}; each output line is the time that it took, {"ms"}.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import sharp from "sharp";

sharp.concurrency(1);
sharp.cache(false);

const tasks = {
  cover: (data) => sharp(data).autoOrient().resize(200, 200, { fit: "cover" }).jpeg({ quality: 80 }).toBuffer(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { task, path } = JSON.parse(line);
  const data = readFileSync(path);
  const before = process.cpuUsage();
  await tasks[task](data);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ ms: (user + system) / 1000 }));
}
