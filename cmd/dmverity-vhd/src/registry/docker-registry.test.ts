import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import {
  type Blob,
  descriptorOf,
  diffIds,
  dmverityVhd,
  dockerArchive,
  imageBlobs,
  layers,
  listen,
  sha256,
  TestDirectory,
} from '../dmverity-vhd.fixture.ts';

const hasRegistry = spawnSync('docker-registry', ['--version']).status === 0;
const skip = hasRegistry ? false : '"docker-registry" is not installed';
/** As htpasswd writes it: the password is "secret". */
const passwords = 'me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';
const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;

/** A registry of its own that is gone, with all that it has, when disposed. */
class TestRegistry implements AsyncDisposable {
  readonly address: string;
  readonly directory: TestDirectory;
  readonly #stop: () => Promise<void>;

  private constructor(address: string, directory: TestDirectory, stop: () => Promise<void>) {
    this.address = address;
    this.directory = directory;
    this.#stop = stop;
  }

  static async start({ isPrivate = false } = {}): Promise<TestRegistry> {
    const directory = new TestDirectory();
    const address = await freeAddress();
    const auth = isPrivate
      ? `auth: { htpasswd: { realm: test, path: ${directory.file('passwords')} } }\n`
      : '';
    writeFileSync(directory.file('passwords'), passwords);
    writeFileSync(
      directory.file('config.yml'),
      `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${directory.file('data')} } }\n${auth}http: { addr: "${address}", secret: test }\n`,
    );
    const running = spawn('docker-registry', ['serve', directory.file('config.yml')], {
      stdio: 'ignore',
      timeout: 60_000,
    });
    const exited = once(running, 'exit');
    for (const deadline = AbortSignal.timeout(20_000); ; ) {
      deadline.throwIfAborted();
      if (await fetch(`http://${address}/v2/`).catch(() => undefined)) break;
      await sleep(50);
    }
    return new TestRegistry(address, directory, async () => {
      running.kill();
      await exited;
    });
  }

  /** Puts the last of `blobs` as a manifest under a tag or its digest, after the others. */
  async push(repository: string, blobs: readonly Blob[], tag?: string): Promise<void> {
    for (const { bytes } of blobs.slice(0, -1)) await this.#pushBlob(repository, bytes);
    const { mediaType, bytes } = blobs.at(-1)!;
    await this.#send(
      'PUT',
      `/v2/${repository}/manifests/${tag ?? `sha256:${sha256(bytes)}`}`,
      bytes,
      mediaType,
    );
  }

  async #pushBlob(repository: string, bytes: Uint8Array): Promise<void> {
    const started = await this.#send('POST', `/v2/${repository}/blobs/uploads/`);
    const upload = new URL(started.headers.get('location')!, `http://${this.address}`);
    upload.searchParams.set('digest', `sha256:${sha256(bytes)}`);
    await this.#send('PUT', upload.href, bytes);
  }

  async #send(
    method: string,
    path: string,
    body?: Uint8Array,
    type = 'application/octet-stream',
  ): Promise<Response> {
    const response = await fetch(new URL(path, `http://${this.address}`), {
      method,
      headers: { authorization: basic, 'content-type': type },
      body: body ? Buffer.from(body) : null,
      signal: AbortSignal.timeout(20_000),
    });
    assert.ok(
      response.ok,
      `${method} ${path}: ${response.status} ${response.ok ? '' : await response.text()}`,
    );
    return response;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    this.directory[Symbol.dispose]();
  }
}

async function freeAddress(): Promise<string> {
  const server = createServer();
  const address = await listen(server);
  server.close();
  return address;
}

test('images of a registry have the root hashes that they have in an archive', { skip }, async () => {
  await using registry = await TestRegistry.start();
  const { address, directory } = registry;
  const docker = imageBlobs(layers, { kind: 'docker', compress: gzipSync });
  const oci = imageBlobs(layers, { compress: zstdCompressSync });
  await registry.push('a/docker', docker, '1');
  await registry.push('a/oci', oci);
  const arm = imageBlobs(layers.slice(1), { architecture: 'arm64', compress: gzipSync });
  await registry.push('a/oci', arm);
  const index = {
    mediaType: 'application/vnd.oci.image.index.v1+json',
    bytes: Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [
          { ...descriptorOf(arm.at(-1)!), platform: { os: 'linux', architecture: 'arm64' } },
          { ...descriptorOf(oci.at(-1)!), platform: { os: 'linux', architecture: 'amd64' } },
        ],
      }),
    ),
  };
  await registry.push('a/oci', [index], 'latest');

  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': layers }));
  const inArchive = await dmverityVhd(['-t', archive, 'roothash']);
  assert.equal(inArchive.code, 0, inArchive.stderr);
  for (const name of [
    `${address}/a/docker:1`,
    `${address}/a/oci`,
    `${address}/a/oci@${descriptorOf(index).digest}`,
    `${address}/a/oci@${descriptorOf(oci.at(-1)!).digest}`,
  ]) {
    assert.deepEqual(await dmverityVhd(['roothash', '-i', name]), inArchive, name);
  }
  const other = await dmverityVhd(['--platform', 'linux/arm64', 'roothash', '-i', `${address}/a/oci`]);
  assert.equal(other.stdout.match(/root hash/g)?.length, 1);

  const made = await dmverityVhd(['create', '-i', `${address}/a/docker:1`, '-o', directory.file('out')]);
  assert.equal(made.code, 0, made.stderr);
  assert.deepEqual(directory.list('out'), diffIds.map((diffId) => `${diffId}.vhd`).sort());
});

test('a registry that wants to know who asks is told', { skip }, async () => {
  await using registry = await TestRegistry.start({ isPrivate: true });
  await registry.push('private', imageBlobs(layers, { compress: gzipSync }), 'latest');
  const roothash = (...words: string[]) =>
    dmverityVhd(['roothash', '-i', `${registry.address}/private`, ...words]);
  assert.equal((await roothash('-u', 'me', '-p', 'secret')).code, 0);
  const wrong = await roothash('-u', 'me', '-p', 'wrong');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /the answer is 401, .*; check --username and --password\n$/);
  assert.match((await roothash()).stderr, /the answer is 401; give --username and --password\n$/);
});

test('an image that the registry does not have is told', { skip }, async () => {
  await using registry = await TestRegistry.start();
  const { code, stderr } = await dmverityVhd(['roothash', '-i', `${registry.address}/none:1`]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^dmverity-vhd: Cannot get manifests\/1 of "none" from ".*": the answer is 404, .*\n$/,
  );
});
