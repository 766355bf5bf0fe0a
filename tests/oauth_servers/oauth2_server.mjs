// npm's @node-oauth/oauth2-server behind Node's own HTTP server. Tokens are opaque; the resource is a route here.
import { createServer } from 'node:http';
import OAuth2Server from '@node-oauth/oauth2-server';
import { settings, started } from './settings.mjs';

const tokens = new Map();

const model = {
  async getClient(id, secret) {
    const client = settings.clients.find((one) => one.id === id && one.secret === secret);
    return client && { id, grants: ['client_credentials'] };
  },
  async getUserFromClient(client) {
    return { id: client.id };
  },
  async validateScope(_user, _client, scope = []) {
    return scope.every((word) => word === 'payments') && scope;
  },
  async saveToken(token, client, user) {
    const saved = { ...token, client, user };
    tokens.set(token.accessToken, saved);
    return saved;
  },
  async getAccessToken(accessToken) {
    return tokens.get(accessToken);
  },
  async verifyScope(token, scope) {
    return scope.every((word) => token.scope?.includes(word));
  },
};

const server = new OAuth2Server({ model, accessTokenLifetime: settings.lifetimeS });

async function respond(incoming, outgoing) {
  let text = '';
  for await (const piece of incoming) text += piece;
  const { method, headers } = incoming;
  const { pathname } = new URL(incoming.url, settings.issuer);
  const body = Object.fromEntries(new URLSearchParams(text));
  const request = new OAuth2Server.Request({ method, headers, query: {}, body });
  const response = new OAuth2Server.Response({ headers: {} });
  try {
    if (pathname === '/token') await server.token(request, response);
    else response.body = { client: (await server.authenticate(request, response, { scope: 'payments' })).client.id };
  } catch (error) {
    response.status = error.code;
    response.body ??= { error: error.name };
  }
  outgoing.writeHead(response.status, { ...response.headers, 'Content-Type': 'application/json' });
  outgoing.end(JSON.stringify(response.body));
}

createServer(respond).listen(settings.port, '127.0.0.1', started);
