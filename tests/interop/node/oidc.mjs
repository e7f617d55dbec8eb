// An OpenID provider (npm oidc-provider) on https://localhost, as the tests configure it.
//
// Each line of standard input is a configuration, and starts a provider in place of the one before, at the same
// address:
//   {"cert", "key", "clientCa": PEM, "jwks": a JWK Set with private keys, "alg": what access tokens are signed with,
//    "secret": of the client "web"}
// Each is answered with a line of standard output:
//   {"issuer", "subjectToken": an access token of the user "alice", issued to the client "web"}
// It ends with its standard input.
//
// Clients: "web", by secret, for client credentials and token exchange; "ct1", by TLS client certificate, whose
// tokens are bound to that. Tokens are for the resource that is asked for.
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const LIFETIME = 300; // seconds

function configuration({ jwks, alg, secret }) {
  const client = { redirect_uris: [], response_types: [] };
  return {
    jwks,
    clients: [
      { ...client, client_id: 'web', client_secret: secret, grant_types: ['client_credentials', EXCHANGE] },
      {
        ...client,
        client_id: 'ct1',
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'ct1.example.org',
        tls_client_certificate_bound_access_tokens: true,
      },
    ],
    ttl: { AccessToken: LIFETIME },
    clientAuthMethods: ['client_secret_basic', 'tls_client_auth'],
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] },
    clientDefaults: { id_token_signed_response_alg: alg },
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    extraTokenClaims: (ctx, token) => ({
      roles: token.accountId ? ['radiologist'] : ['modality'],
      ...(token.accountId && { act: { sub: token.clientId } }),
    }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate()?.toString(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns' && ctx.socket.getPeerX509Certificate().checkHost(expected) === expected,
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => resourceServer(resource, alg),
      },
    },
  };
}

function resourceServer(audience, alg) {
  return {
    audience,
    scope: 'dicom.store',
    accessTokenTTL: LIFETIME,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg } },
  };
}

// RFC 8693, which oidc-provider leaves to its user: the token of a user for one about the same user.
async function exchange(provider, alg, ctx) {
  const { client, params } = ctx.oidc;
  const subject = await provider.AccessToken.find(params.subject_token);
  if (!subject) {
    ctx.status = 400;
    ctx.body = { error: 'invalid_request', error_description: `no such token: ${params.subject_token}` };
    return;
  }
  const token = new provider.AccessToken({ accountId: subject.accountId, client, scope: 'dicom.store' });
  token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(params.resource, alg));
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: LIFETIME,
  };
}

async function start(issuer, config) {
  const provider = new Provider(issuer, configuration(config));
  provider.registerGrantType(
    EXCHANGE,
    (ctx) => exchange(provider, config.alg, ctx),
    ['subject_token', 'subject_token_type', 'resource', 'audience', 'scope'],
  );
  const client = await provider.Client.find('web');
  const subjectToken = await new provider.AccessToken({ accountId: 'alice', client, scope: 'openid' }).save();
  return { handle: provider.callback(), subjectToken };
}

console.info = console.error; // oidc-provider's notices; standard output is for answers
let current;
let server;

for await (const line of createInterface({ input: process.stdin })) {
  const config = JSON.parse(line);
  if (!server) {
    const tls = { cert: config.cert, key: config.key, ca: config.clientCa, requestCert: true, rejectUnauthorized: false };
    server = createServer(tls, (request, response) => current.handle(request, response));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  }
  const issuer = `https://localhost:${server.address().port}`;
  current = await start(issuer, config);
  process.stdout.write(`${JSON.stringify({ issuer, subjectToken: current.subjectToken })}\n`);
}
process.exit(0);
