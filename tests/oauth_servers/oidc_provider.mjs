// npm's oidc-provider: a certified OpenID provider. Tokens are opaque; a resource asks for them by introspection.
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';
import { settings, started } from './settings.mjs';

const METHODS = { basic: 'client_secret_basic', body: 'client_secret_post', private_key_jwt: 'private_key_jwt' };

const clients = settings.clients.map(({ id, secret, auth, jwks }) => ({
  client_id: id,
  ...(jwks ? { jwks: { keys: jwks } } : { client_secret: secret }),
  token_endpoint_auth_method: METHODS[auth],
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  scope: 'payments',
}));

const provider = new Provider(settings.issuer, {
  clients: [...clients, {
    client_id: 'resource', client_secret: 'resource-secret', grant_types: [], response_types: [], redirect_uris: [],
  }],
  scopes: ['payments', 'admin'],
  clientAuthMethods: Object.values(METHODS),
  jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
  cookies: { keys: ['unused'] },
  ttl: { ClientCredentials: settings.lifetimeS },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
});
provider.on('server_error', (_ctx, error) => console.error(error));
provider.listen(settings.port, '127.0.0.1', started);
