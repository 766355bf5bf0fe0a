// Shows: Node 18 or later without dependencies that creates a payment through the sidecar's gateway: it needs no token, no
// key and no secret.
//
//   node pay_gateway.mjs order-4711
//
// The argument is the payment's partnerReference. Your app stores it before the first attempt, and never pays the same
// order under another one: the partner takes a reference once, so a repeated request cannot become a second payment.
//
// TOKEN_SIDECAR_GATEWAY  http://host:port of the gateway (http://127.0.0.1:8282)
// TOKEN_SIDECAR_CALLER   a line of the caller token file, if the sidecar requires one
//
// Prints the partner's answer. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
import { setTimeout as sleep } from "node:timers/promises";

const gateway = process.env.TOKEN_SIDECAR_GATEWAY ?? "http://127.0.0.1:8282";
const callerToken = process.env.TOKEN_SIDECAR_CALLER;
const attempts = 4;

const reference = process.argv[2];
const body = JSON.stringify({ amount: 100, currencyCode: "NGN", countryCode: "NG", partnerReference: reference });
const headers = { "Sidecar-Request": "true", "Content-Type": "application/vnd.carry1st.payments.payment+json" };
if (callerToken) headers.Authorization = `Bearer ${callerToken}`;

function outcomeOf(response) {
  const { ok, status, headers } = response;
  if (ok) return "created";
  const notSent = headers.get("Sidecar-Answer") === "sidecar" && (status === 502 || status === 503);
  if (notSent || headers.get("Sidecar-Token") === "replaced" || status === 429) return "not created yet";
  // Such as 504 partner-outcome-unknown, or a 5xx of the partner, which may have created the payment before.
  return status >= 500 ? "unknown" : "refused";
}

/** Resolves to the outcome, and the seconds to wait before the next attempt. */
async function attempt() {
  try {
    // Longer than SIDECAR_GATEWAY_TIMEOUT_S, so that the gateway says what became of the request.
    const options = { method: "POST", headers, body, redirect: "manual", signal: AbortSignal.timeout(60_000) };
    const response = await fetch(`${gateway}/api/pay1st/payments/create`, options);
    const text = await response.text();
    if (response.ok) console.log(text);
    else console.error(`${response.status} ${JSON.stringify(text.slice(0, 500))}`);
    return [outcomeOf(response), Number.parseInt(response.headers.get("Retry-After"), 10) || 1];
  } catch (error) {
    return [error.cause?.code === "ECONNREFUSED" ? "not created yet" : "unknown", 1];
  }
}

let known = true;
let code = 1;
for (let left = attempts - 1; left >= 0; left--) {
  const [found, wait] = await attempt();
  known &&= found !== "unknown";
  if (found === "created") code = 0;
  if (found === "created" || found === "refused" || left === 0) break;
  await sleep(wait * 1000);
}
if (code !== 0 && !known) {
  console.error(`${reference} may exist: look for its webhook, and do not pay under another reference`);
  code = 3;
}
process.exitCode = code;
