import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import {
  dmverityVhd,
  dockerArchive,
  layers,
  listen,
  type Outcome,
  TestDirectory,
} from './dmverity-vhd.fixture.ts';

/** Docker itself is too much for a test: this answers the one question that is asked, as its API says. */
async function withDaemon(answer: RequestListener, args: readonly string[]): Promise<Outcome> {
  using directory = new TestDirectory();
  const server = createServer(answer);
  const socket = directory.file('docker.sock');
  await listen(server, socket);
  try {
    return await dmverityVhd(args, { DOCKER_HOST: `unix://${socket}` });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('an image comes from the daemon as docker save writes it', async () => {
  const asked: (string | undefined)[] = [];
  const { code, stdout, stderr } = await withDaemon(
    ({ url }, response) => {
      asked.push(url);
      response.end(dockerArchive({ 'example.com/a/test:1': layers }));
    },
    ['--docker', 'roothash', '-i', 'example.com/a/test:1'],
  );
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  assert.deepEqual(asked, ['/images/example.com/a/test%3A1/get']);
  assert.match(stdout, /^(Layer \d root hash: [0-9a-f]{64}\n){2}$/);
});

test("the daemon's own words are in the error", async () => {
  const { code, stderr } = await withDaemon(
    (_, response) => {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ message: 'reference does not exist \x1b[2J' }));
    },
    ['-d', 'roothash', '-i', 'test'],
  );
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^dmverity-vhd: Cannot get image "test" from the Docker daemon at "unix:.*": the answer is 404, reference does not exist \\x1b\[2J\n$/,
  );
});

test('an archive that breaks off is told', async () => {
  const { code, stderr } = await withDaemon(
    (_, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      response.write(Buffer.alloc(5000), () => response.destroy());
    },
    ['-d', 'roothash', '-i', 'test'],
  );
  assert.equal(code, 1);
  assert.match(stderr, /: connection reset by peer\n$/);
});

test('a daemon that is not there is told', async () => {
  const cases: [string, RegExp][] = [
    ['unix:///nowhere/docker.sock', /no such file or directory/],
    ['tcp://127.0.0.1:1', /connection refused/],
    ['ssh://host', /DOCKER_HOST must begin with/],
  ];
  for (const [host, message] of cases) {
    const { code, stderr } = await dmverityVhd(['-d', 'roothash', '-i', 'test'], { DOCKER_HOST: host });
    assert.equal(code, 1);
    assert.match(stderr, message);
  }
});
