// Shows: Node 18 or later without dependencies that has a payment signed by the sidecar's /v1/sign, and sends it to the partner
// itself.
//
//   node pay_sign.mjs order-4711
//
// The argument is the payment's partnerReference. Your app stores it before the first attempt, and never pays the same
// order under another one: the partner takes a reference once, so a repeated request cannot become a second payment.
//
// TOKEN_SIDECAR         http://host:port of the vending listener (http://127.0.0.1:8181)
// TOKEN_SIDECAR_CALLER  a line of the caller token file, if the sidecar requires one
// PARTNER               the partner's base URL
//
// Prints the partner's answer. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
import { setTimeout as sleep } from "node:timers/promises";

const sidecar = process.env.TOKEN_SIDECAR ?? "http://127.0.0.1:8181";
const callerToken = process.env.TOKEN_SIDECAR_CALLER;
const partner = process.env.PARTNER ?? "https://api-gateway.carry1st.com";
const attempts = 4;

const reference = process.argv[2];
// Encoded once: the partner has to get the bytes that were signed.
const payment = { amount: 100, currencyCode: "NGN", countryCode: "NG", partnerReference: reference };
const body = Buffer.from(JSON.stringify(payment));

// A redirect is not followed: fetch would send token and signature along, wherever it leads.
const post = (url, headers, body) =>
  fetch(url, { method: "POST", headers, body, redirect: "manual", signal: AbortSignal.timeout(60_000) });

function askSidecar(path, headers, body) {
  const caller = callerToken ? { Authorization: `Bearer ${callerToken}` } : {};
  return post(sidecar + path, { "Sidecar-Request": "true", ...caller, ...headers }, body);
}

const secondsOf = (response) => Number.parseInt(response.headers.get("Retry-After"), 10) || 1;
const shown = (status, text) => `${status} ${JSON.stringify(text.slice(0, 500))}`;

/** Resolves to the outcome, and the seconds to wait before the next attempt. */
async function attempt() {
  const signed = await askSidecar("/v1/sign", { Accept: "application/json" }, body);
  const text = await signed.text();
  if (signed.status !== 200) {
    console.error(`not signed: ${shown(signed.status, text)}`);
    return [signed.status === 503 ? "not created yet" : "refused", secondsOf(signed)];
  }
  const { headers, tokenId } = JSON.parse(text);
  try {
    const contentType = { "Content-Type": "application/vnd.carry1st.payments.payment+json" };
    const response = await post(`${partner}/api/pay1st/payments/create`, { ...headers, ...contentType }, body);
    const answer = await response.text();
    if (response.ok) console.log(answer);
    else console.error(shown(response.status, answer));
    if (response.status === 401) {
      const report = JSON.stringify({ tokenId });
      await askSidecar("/v1/token/rejected", { "Content-Type": "application/json" }, report).catch(() => {});
    }
    return [outcomeOf(response), secondsOf(response)];
  } catch (error) {
    return [error.cause?.code === "ECONNREFUSED" ? "not created yet" : "unknown", 1];
  }
}

function outcomeOf({ ok, status }) {
  if (ok) return "created";
  if (status === 401 || status === 429) return "not created yet";
  // After a 5xx the payment may have been created before.
  return status >= 500 ? "unknown" : "refused";
}

let known = true;
let code = 1;
for (let left = attempts - 1; left >= 0; left--) {
  // Signing creates nothing, so its failure is no unknown outcome.
  const [found, wait] = await attempt().catch(() => ["not created yet", 1]);
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
