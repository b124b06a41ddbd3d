// A certified OpenID Connect provider for tests: reads what it should be from stdin, says where it listens, and
// ends when stdin does. Its keys are made anew at every start.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const SECRET = 'only-for-tests-on-this-machine';

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

function makeKey(alg, generation) {
  const { privateKey } = generateKeyPairSync(...KINDS[alg]);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${generation}` };
}

function makeProvider(issuer, { clients, generation }) {
  const known = (client) => clients[client.clientId];
  return new Provider(issuer, {
    jwks: { keys: Object.keys(KINDS).map((alg) => makeKey(alg, generation)) },
    clients: Object.keys(clients).map((name) => ({
      client_id: name,
      client_secret: SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, _resource, client) => ({
          scope: '',
          audience: known(client).audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: known(client).lifetime,
          jwt: { sign: { alg: known(client).alg } },
        }),
      },
    },
    extraTokenClaims: (_ctx, token) => known(token.client).claims,
    formats: {
      customizers: {
        jwt: (_ctx, token, parts) => {
          for (const [name, seconds] of Object.entries(known(token.client).times)) {
            parts.payload[name] = Math.floor(Date.now() / 1000) + seconds;
          }
          Object.assign(parts.payload, known(token.client).overrides);
        },
      },
    },
  });
}

const chunks = [];
process.stdin.on('data', (chunk) => {
  chunks.push(chunk);
  const [line, rest] = Buffer.concat(chunks).toString().split('\n');
  if (rest === undefined || chunks.done) return;
  chunks.done = true;
  const wanted = JSON.parse(line);
  const server = createServer();
  server.listen(wanted.port, '127.0.0.1', () => {
    const issuer = `http://127.0.0.1:${server.address().port}`;
    server.on('request', makeProvider(issuer, wanted).callback());
    process.stdout.write(`${JSON.stringify({ issuer, secret: SECRET })}\n`);
  });
});
process.stdin.on('end', () => process.exit(0));
