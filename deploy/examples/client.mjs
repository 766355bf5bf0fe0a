// Shows: Node 18 or later without dependencies. Asks the sidecar for the partner's header, calls the partner with it,
// and after a 401 reports the token and tries once more.
//
//   node client.mjs
//
// TOKEN_SIDECAR         http://host:port or unix:/path of the vending listener (http://127.0.0.1:8181)
// TOKEN_SIDECAR_PROFILE the profile, where the sidecar has several (default)
// TOKEN_SIDECAR_CALLER  a line of the caller token file, where the sidecar wants one
// PARTNER_URL           what to get from the partner
//
// Prints the partner's answer. Exit code 0: the partner answered 2xx; 1: it did not, or there is no token.
import http from "node:http";

const sidecar = process.env.TOKEN_SIDECAR ?? "http://127.0.0.1:8181";
const partnerUrl = process.env.PARTNER_URL ?? "https://api-gateway.carry1st.com/api/pay1st/payments/methods";
const profile = process.env.TOKEN_SIDECAR_PROFILE ?? "default";
const callerToken = process.env.TOKEN_SIDECAR_CALLER;

/** Asks the sidecar; resolves to {status, headers, body}. With node:http, because fetch knows no unix sockets. */
function ask(method, path, body) {
  const headers = { "Sidecar-Request": "true" };
  if (callerToken) headers.Authorization = `Bearer ${callerToken}`;
  if (body) Object.assign(headers, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  const where = sidecar.startsWith("unix:")
    ? { socketPath: sidecar.slice("unix:".length), host: "localhost" }
    : { host: new URL(sidecar).hostname.replace(/^\[|\]$/g, ""), port: new URL(sidecar).port || 80 };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...where, method, path, headers, timeout: 60_000 }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() });
      });
    });
    request.on("timeout", () => request.destroy(new Error("the sidecar did not answer within 60 s")));
    request.on("error", reject);
    request.end(body);
  });
}

/** What the sidecar answered; throws with its code, and the seconds to wait where they are known. */
async function expect(status, answering) {
  const answer = await answering;
  if (answer.status === status) return answer;
  let problem = {};
  try {
    problem = JSON.parse(answer.body);
  } catch {
    // Whatever answers there is no sidecar; the status says enough.
  }
  // What answers there may be anything, and this goes to a terminal.
  const code = /^[a-z][a-z-]{0,63}$/.test(problem?.code) ? problem.code : "not a sidecar's answer";
  const wait = Number.isInteger(problem?.retryAfter) ? `; try again in ${problem.retryAfter} s` : "";
  throw new Error(`no token: ${code} (${answer.status})${wait}`);
}

/** [name, value] of the header that the partner expects now. */
async function currentHeader() {
  const { headers } = await expect(200, ask("GET", `/v1/authorize/${profile}`));
  // The sidecar names the header where the partner takes another scheme than Bearer, or none.
  const named = headers["token-header"]?.toLowerCase();
  return Object.entries(headers).find(([name, value]) => (named ? name === named : value.startsWith("Bearer ")));
}

/**
 * As fetch, with the current token; after a 401 once more with the next, if there is one. A redirect is not followed:
 * fetch would send the token along, wherever it leads.
 */
async function fetchFromPartner(url, options = {}) {
  const call = ([name, value]) => {
    return fetch(url, { ...options, redirect: "manual", headers: { ...options.headers, [name]: value } });
  };
  const header = await currentHeader();
  const response = await call(header);
  if (response.status !== 401) return response;
  const accessToken = header[1].split(" ").at(-1);
  await expect(202, ask("POST", `/v1/token/${profile}/rejected`, JSON.stringify({ accessToken })));
  const next = await currentHeader();
  if (next[1] === header[1]) return response;
  await response.body?.cancel();
  return call(next);
}

try {
  const response = await fetchFromPartner(partnerUrl);
  console.log(await response.text());
  if (!response.ok) throw new Error(`the partner answered ${response.status}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
