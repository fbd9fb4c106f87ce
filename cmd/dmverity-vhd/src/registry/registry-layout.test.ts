import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  type Blob,
  descriptorOf,
  imageBlobs,
  layers,
  listen,
  sha256,
  TestDirectory,
} from '../dmverity-vhd.fixture.ts';
import { RegistryLayout, type RegistryLayoutOptions } from './registry-layout.ts';

const blobs = imageBlobs(layers, { compress: gzipSync });
const manifest = blobs.at(-1)!;
const amd64 = { os: 'linux', architecture: 'amd64' };

/** A registry that has these; tag `1` is the last. */
function serve(contents: readonly Blob[]): (request: IncomingMessage, response: ServerResponse) => void {
  return ({ url = '' }, response) => {
    const name = url.split('/').at(-1);
    const found =
      name === '1' ? contents.at(-1) : contents.find(({ bytes }) => `sha256:${sha256(bytes)}` === name);
    response.writeHead(found ? 200 : 404, { 'content-type': found?.mediaType ?? 'application/json' });
    response.end(found?.bytes ?? '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
  };
}

/** Gets the whole image from a server. Returns the digests of its layers. */
async function pull(
  answer: RequestListener,
  { tag = '1', ...options }: Partial<RegistryLayoutOptions> & { tag?: string } = {},
): Promise<string[]> {
  using directory = new TestDirectory();
  const server = createServer(answer);
  const address = await listen(server);
  try {
    const layout = await RegistryLayout.open(`${address}/a/test:${tag}`, directory.path, {
      platform: amd64,
      progress: () => {},
      signal: AbortSignal.timeout(20_000),
      ...options,
    });
    for (const layer of layout.layers) await layout.fetch(layer);
    const names = [...layout.layers.map(({ digest }) => digest.slice('sha256:'.length)), 'index.json'];
    const present = [...directory.list(), ...directory.list('blobs', 'sha256')];
    assert.ok(names.every((name) => present.includes(name)));
    return layout.layers.map(({ digest }) => digest);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const expected = blobs.slice(1, -1).map((blob) => descriptorOf(blob).digest);

test('an image comes with all its blobs', async () => {
  assert.deepEqual(await pull(serve(blobs)), expected);
});

test('of an index the manifest for the platform is taken, and where there is none that is told', async () => {
  const other = imageBlobs(layers.slice(1), { architecture: 'arm' });
  const index = {
    mediaType: 'application/vnd.oci.image.index.v1+json',
    bytes: Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          { ...descriptorOf(other.at(-1)!), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
          { ...descriptorOf(manifest), platform: amd64 },
        ],
      }),
    ),
  };
  const answer = serve([...other, ...blobs, index]);
  assert.deepEqual(await pull(answer), expected);
  assert.equal((await pull(answer, { platform: { os: 'linux', architecture: 'arm' } })).length, 1);
  await assert.rejects(
    pull(answer, { platform: { os: 'linux', architecture: 'arm', variant: 'v6' } }),
    /it is not for linux\/arm\/v6, but for linux\/arm\/v7, linux\/amd64/,
  );
});

test('a token is got where the registry says, with the credentials if there are some', async () => {
  const seen: string[] = [];
  const withTokens: RequestListener = (request, response) => {
    const url = new URL(request.url!, `http://${request.headers.host}`);
    if (url.pathname === '/token') {
      seen.push(`${url.searchParams} ${request.headers.authorization}`);
      response.end('{"token":"t0"}');
    } else if (request.headers.authorization === 'Bearer t0') serve(blobs)(request, response);
    else {
      const challenge = `Bearer realm="http://${request.headers.host}/token",service="here"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    }
  };
  const credentials = { username: 'me', password: 'se:cret' };
  assert.deepEqual(await pull(withTokens, { credentials }), expected);
  await pull(withTokens);
  const query = 'service=here&scope=repository%3Aa%2Ftest%3Apull';
  const basic = `Basic ${Buffer.from('me:se:cret').toString('base64')}`;
  assert.deepEqual(seen, [`${query} ${basic}`, `${query} undefined`]);
});

test('a realm without TLS gets no credentials', async () => {
  const challenge = 'Bearer realm="http://auth.example.com/token"';
  await assert.rejects(
    pull((_, response) => response.writeHead(401, { 'www-authenticate': challenge }).end(), {
      credentials: { username: 'me', password: 'secret' },
    }),
    /it names "http:\/\/auth\.example\.com\/token" for tokens, which is no place with TLS/,
  );
});

test('a redirect is followed, and the other host does not see who we are', async () => {
  const seen: (string | undefined)[] = [];
  const store = createServer((request, response) => {
    seen.push(request.headers.authorization);
    serve(blobs)(request, response);
  });
  const address = await listen(store);
  try {
    const answer: RequestListener = (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else if (request.url!.includes('/blobs/')) {
        response.writeHead(307, { location: `http://${address}${request.url}` }).end();
      } else serve(blobs)(request, response);
    };
    await pull(answer, { credentials: { username: 'me', password: 'secret' } });
  } finally {
    store.closeAllConnections();
    store.close();
  }
  assert.deepEqual(seen, [undefined, undefined, undefined]);
});

test('redirects without end are given up', async () => {
  await assert.rejects(
    pull(({ url }, response) => response.writeHead(302, { location: url! }).end()),
    /it leads on more than 5 times/,
  );
});

test('a transfer that breaks, and a registry that is busy, are tried again', async () => {
  let count = 0;
  const flaky: RequestListener = (request, response) => {
    count++;
    if (count === 2) response.writeHead(503).end();
    else if (count === 4) {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('begin', () => response.destroy());
    } else serve(blobs)(request, response);
  };
  assert.deepEqual(await pull(flaky), expected);
});

const isBlob = ({ url = '' }: IncomingMessage): boolean => url.includes('/blobs/');

const hostile: [string, RequestListener, RegExp][] = [
  [
    'another blob',
    (_, response) => response.end(Buffer.alloc(blobs[0]!.bytes.length)),
    /its digest is sha256:/,
  ],
  ['a blob without end', (_, response) => response.end(Buffer.alloc(1 << 20)), /more than the \d+ bytes/],
  ['a blob that ends early', (_, response) => response.end('{'), /it ends after 1 of \d+ bytes/],
  ['a refusal', (_, response) => response.writeHead(403).end('<html>'), /the answer is 403$/],
];

for (const [name, answer, message] of hostile) {
  test(`${name} is refused`, async () => {
    await assert.rejects(
      pull((request, response) => (isBlob(request) ? answer : serve(blobs))(request, response)),
      (error: Error) => {
        assert.match(error.message, /^Cannot get blobs\/sha256:\w+ of "a\/test" from "127\.0\.0\.1:\d+": /);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test('manifests that cannot be used are told', async () => {
  const document = (mediaType: string, bytes: string | Uint8Array): Blob => ({
    mediaType,
    bytes: Buffer.from(bytes as string),
  });
  const layer = (digest: string): string =>
    JSON.stringify({ config: descriptorOf(blobs[0]!), layers: [{ digest, size: 1 }] });
  const cases: [Blob, RegExp][] = [
    [
      document('application/vnd.docker.distribution.manifest.v1+json', '{}'),
      /not of OCI, nor of Docker's schema 2/,
    ],
    [document(manifest.mediaType, 'x'), /it is not JSON/],
    [document(manifest.mediaType, '{"layers":[]}'), /field "config" is missing/],
    [document(manifest.mediaType, layer('sha256:../../../etc')), /only SHA-256 is known/],
    [document(manifest.mediaType, Buffer.alloc(5 << 20, ' ')), /more than 4194304 bytes/],
  ];
  for (const [blob, message] of cases) await assert.rejects(pull(serve([...blobs, blob])), message);
  await assert.rejects(pull(serve(blobs), { tag: 'none' }), /the answer is 404, manifest unknown$/);
});

test('an image is given up when its signal is aborted', async () => {
  const stop = new AbortController();
  const pulling = pull(() => stop.abort(new Error('enough')), { signal: stop.signal });
  await assert.rejects(pulling, /enough/);
});
