// The other side of `make bench-images`: thumbnails made by sharp, one at a time, on one thread.
// Each line that comes in is a task, {"task", "path"}; each line that goes out is what it took, {"ms"}.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import sharp from "sharp";

sharp.concurrency(1);
sharp.cache(false);

const tasks = {
  nothing: async () => {},
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
