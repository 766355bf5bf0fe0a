// npm's oauth2-mock-server: JWTs signed with a new key at each start, and hooks. Each line on standard input is JSON that
// says how the next token responses differ: `{"status": 400, "body": {"error": "invalid_scope"}}`, `{}` for not at all.
import { createInterface } from 'node:readline';
import { OAuth2Server } from 'oauth2-mock-server';
import { settings, started } from './settings.mjs';

const server = new OAuth2Server();
let change = {};

await server.issuer.keys.generate('RS256');
server.service.on('beforeTokenSigning', (token) => {
  token.payload.exp = token.payload.iat + settings.lifetimeS;
});
server.service.on('beforeResponse', (response) => {
  response.statusCode = change.status ?? response.statusCode;
  response.body = change.body ?? { ...response.body, expires_in: settings.lifetimeS, ...change.fields };
});
createInterface({ input: process.stdin }).on('line', (line) => {
  change = JSON.parse(line);
  console.log('(changed)');
});
await server.start(settings.port, '127.0.0.1');
started();
