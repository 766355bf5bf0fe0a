// An app that calls the gateway with Node's fetch: tests/clients/gateway_clients.py says how it is run.
import { createHash } from "node:crypto";

const [base, ...steps] = process.argv.slice(2);
const headers = { "Sidecar-Request": "true" };

async function* pieces(count) {
  for (let each = 0; each < count; each++) {
    yield Buffer.alloc(100_000, 97 + (each % 26));
  }
}

function request(kind, size) {
  if (kind === "json") {
    const body = JSON.stringify({ partnerReference: "order-4711", amount: 100, text: "é€" + "x".repeat(size) });
    return { method: "POST", body, headers: { ...headers, "Content-Type": "application/json" } };
  }
  if (kind === "stream") {
    return { method: "POST", body: ReadableStream.from(pieces(size)), duplex: "half", headers };
  }
  return { method: kind.toUpperCase(), headers };
}

for (const step of steps) {
  const [, kind, size, path] = step.match(/^(\w+):(\d+) (.*)$/);
  const response = await fetch(base + path, { ...request(kind, Number(size)), redirect: "manual" });
  const body = Buffer.from(await response.arrayBuffer());
  const digest = createHash("sha256").update(body).digest("hex");
  const fields = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const start = body.subarray(0, 65_536);
  console.log(`${response.status} ${body.length} ${digest} ${btoa(fields)} ${start.toString("base64")}`);
  // Its connection is free again in the next turn of the event loop.
  await new Promise(setImmediate);
}
