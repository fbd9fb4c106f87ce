import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type HResultName, isHcsError } from '@hcsshim/schema';
import { LayerCache } from '../layer-cache.ts';
import { type Entry, sha256, tar } from './archive.fixture.ts';
import { openImage } from './image.ts';
import { prepareImage } from './image-disks.ts';

const run = promisify(execFile);

let directory: string;
let path: string;
let cache: LayerCache;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hcsshim-image-test-'));
  path = join(directory, 'image.tar');
  cache = new LayerCache(join(directory, 'cache'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const base = tar([{ name: 'etc/base', content: 'base' }]);
const top = tar([{ name: 'etc/top', content: 'top' }]);
const wanted = { Env: ['A=b'], Cmd: ['sh'], WorkingDir: '/etc', User: '1:2' };

function imageDocument(layers: readonly Uint8Array[], os = 'linux'): string {
  return JSON.stringify({
    os,
    architecture: 'amd64',
    config: { ...wanted, Entrypoint: null, Labels: { a: 'b' } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
    history: [{}],
  });
}

function dockerArchive(layers: readonly Uint8Array[], document = imageDocument(layers)): Entry[] {
  const config = `${sha256(document)}.json`;
  const files = layers.map((content, index) => ({ name: `${index}/layer.tar`, content }));
  const manifest = [{ Config: config, RepoTags: ['test:1'], Layers: files.map(({ name }) => name) }];
  return [
    { name: config, content: document },
    ...files,
    { name: 'manifest.json', content: JSON.stringify(manifest) },
  ];
}

function ociFiles(
  layers: readonly Uint8Array[],
  compress: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Entry[] {
  const blobs: Entry[] = [];
  const put = (content: string | Uint8Array, mediaType: string, more: object = {}): object => {
    blobs.push({ name: `blobs/sha256/${sha256(content)}`, content });
    return { mediaType, digest: `sha256:${sha256(content)}`, size: Buffer.from(content).length, ...more };
  };
  const config = put(imageDocument(layers), 'application/vnd.oci.image.config.v1+json');
  const manifest = put(
    JSON.stringify({
      schemaVersion: 2,
      config,
      layers: layers.map((layer) => put(compress(layer), 'layer')),
    }),
    'application/vnd.oci.image.manifest.v1+json',
    { platform: { os: 'linux', architecture: 'amd64' } },
  );
  const other = put('{}', 'application/vnd.oci.image.manifest.v1+json', {
    platform: { os: 'linux', architecture: 's390x' },
  });
  const inner = put(
    JSON.stringify({ manifests: [other, manifest] }),
    'application/vnd.oci.image.index.v1+json',
    {
      annotations: { 'org.opencontainers.image.ref.name': 'test:1' },
    },
  );
  return [
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: [inner] }) },
    ...blobs,
  ];
}

async function writeDirectory(entries: readonly Entry[]): Promise<string> {
  const target = join(directory, 'layout');
  for (const { name, content = '' } of entries) {
    await mkdir(join(target, name, '..'), { recursive: true });
    await writeFile(join(target, name), content);
  }
  return target;
}

async function catOf(disk: string, file: string): Promise<string> {
  return (await run('/sbin/debugfs', ['-R', `cat ${file}`, disk])).stdout;
}

async function expectImage(image: string): Promise<void> {
  const { layers, config } = await prepareImage(image, cache, { architecture: 'amd64' });
  assert.deepEqual(config, wanted);
  assert.equal(await catOf(layers[0]?.path ?? '', '/etc/top'), 'top', 'the topmost first');
  assert.equal(await catOf(layers[1]?.path ?? '', '/etc/base'), 'base');
  const again = await prepareImage(image, cache, { architecture: 'amd64' });
  assert.deepEqual(
    again.layers.map(({ converted }) => converted),
    [false, false],
    'a second container converts nothing',
  );
}

const refused =
  (code: HResultName, words: RegExp) =>
  (error: Error): boolean => {
    assert.ok(isHcsError(error, code), String(error));
    assert.match(error.message, words);
    return true;
  };

test('a docker archive', async () => {
  await writeFile(path, tar(dockerArchive([base, top])));
  await expectImage(path);
});

test('a docker archive that is compressed leaves no unpacked copy', async () => {
  const copies = async () => (await readdir(tmpdir())).filter((name) => /^hcsshim-image-[^t]/.test(name));
  const before = await copies();
  await writeFile(path, gzipSync(tar(dockerArchive([base, top]))));
  await expectImage(path);
  assert.deepEqual(
    (await copies()).filter((name) => !before.includes(name)),
    [],
  );
});

test('a docker archive in which a layer is a link to another', async () => {
  const entries = dockerArchive([base, base]);
  entries[2] = { name: '1/layer.tar', type: '2', target: '../0/layer.tar' };
  await writeFile(path, tar(entries));
  const { layers } = await prepareImage(path, cache);
  assert.equal(layers[0]?.path, layers[1]?.path);
});

for (const [name, compress] of [
  ['plain', undefined],
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`an OCI layout with ${name} layers, as a directory and as an archive`, async () => {
    const entries = ociFiles([base, top], compress);
    await expectImage(await writeDirectory(entries));
    await writeFile(path, tar(entries));
    await expectImage(path);
  });
}

test('a directory that is no image is a root file system', async () => {
  const root = join(directory, 'root');
  await mkdir(join(root, 'etc'), { recursive: true });
  await writeFile(join(root, 'etc/base'), 'base');
  const { layers, config } = await prepareImage(root, cache);
  assert.deepEqual(config, {});
  assert.equal(await catOf(layers[0]?.path ?? '', '/etc/base'), 'base');
});

test('an image is chosen by its name', async () => {
  await writeFile(path, tar(dockerArchive([base])));
  await using _ = await openImage(path, { reference: 'test:1' });
  await assert.rejects(
    openImage(path, { reference: 'test:2' }),
    refused('ERROR_NOT_FOUND', /does not contain test:2/),
  );
  const layout = await writeDirectory(ociFiles([base]));
  await using __ = await openImage(layout, { reference: 'test:1', architecture: 'amd64' });
  await assert.rejects(
    openImage(layout, { architecture: 'riscv64' }),
    refused('ERROR_NOT_FOUND', /does not contain linux\/riscv64/),
  );
});

test('a layer that was changed is refused, and does not get into the cache', async () => {
  const entries = dockerArchive([base, top]);
  entries[2] = { name: '1/layer.tar', content: tar([{ name: 'etc/top', content: 'evil' }]) };
  await writeFile(path, tar(entries));
  await assert.rejects(prepareImage(path, cache), refused('ERROR_INVALID_DATA', /its digest is sha256:/));
  const files = await readdir(join(directory, 'cache'));
  assert.ok(
    files.every((name) => name === `sha256-${sha256(base)}.vhd`),
    files.join(),
  );
});

test('a configuration, a manifest or a compressed layer that was changed is refused', async () => {
  const docker = dockerArchive([base]);
  docker[0] = { ...(docker[0] as Entry), content: imageDocument([top]) };
  await writeFile(path, tar(docker));
  await assert.rejects(prepareImage(path, cache), refused('ERROR_INVALID_DATA', /configuration of image/));
  for (const broken of [2, 3, 4, 5]) {
    const entries = ociFiles([base], gzipSync);
    const entry = entries[broken] as Entry;
    const content = Buffer.from(entry.content ?? '');
    content[content.length - 1] = (content.at(-1) ?? 0) ^ 1;
    entries[broken] = { ...entry, content };
    if (entry.content === '{}') continue;
    await writeFile(path, tar(entries));
    await assert.rejects(prepareImage(path, cache, { architecture: 'amd64' }), `blob ${broken}`);
  }
});

test('an archive that is cut short is refused', async () => {
  await writeFile(path, tar(dockerArchive([base])));
  await truncate(path, 3000);
  await assert.rejects(prepareImage(path, cache), /Cannot/);
});

test('what is no image says what an image is', async () => {
  await writeFile(path, tar([{ name: 'bin/sh' }]));
  await assert.rejects(openImage(path), refused('ERROR_INVALID_DATA', /docker save/));
  await writeFile(path, 'hello');
  await assert.rejects(openImage(path), refused('HCS_E_INVALID_LAYER', /tar archive/));
  await assert.rejects(openImage('/no/such/image'), refused('ERROR_FILE_NOT_FOUND', /"\/no\/such\/image"/));
});

test('documents that do not fit name the field', async () => {
  await writeFile(path, tar([{ name: 'manifest.json', content: '[{"Config":7}]' }]));
  await assert.rejects(openImage(path), refused('HCS_E_INVALID_JSON', /"\[0\]\.Config" must be a string/));
  await writeFile(path, tar(dockerArchive([base], '{"config":{"Env":"A=b"},"rootfs":{}}')));
  await assert.rejects(openImage(path), refused('HCS_E_INVALID_JSON', /"config\.Env" must be a list/));
  await writeFile(path, tar(dockerArchive([base], imageDocument([]))));
  await assert.rejects(
    openImage(path),
    refused('ERROR_INVALID_DATA', /has 1 layers, its configuration names 0/),
  );
  await writeFile(path, tar(dockerArchive([base], imageDocument([base], 'windows'))));
  await assert.rejects(openImage(path), refused('ERROR_NOT_SUPPORTED', /is for windows/));
});

test('a digest that is a path is refused', async () => {
  const evil = { mediaType: 'm', digest: 'sha256:../../../../etc/passwd', size: 10 };
  const layout = await writeDirectory([
    { name: 'oci-layout' },
    { name: 'index.json', content: JSON.stringify({ manifests: [evil] }) },
  ]);
  await assert.rejects(openImage(layout), refused('ERROR_INVALID_DATA', /is no SHA-256 digest/));
});

test('a link that leads out of the layout is refused', async () => {
  const layout = await writeDirectory([{ name: 'oci-layout' }]);
  await writeFile(join(directory, 'outside'), '{}');
  await symlink('../outside', join(layout, 'manifest.json'));
  await assert.rejects(openImage(layout), refused('ERROR_INVALID_DATA', /neither/));
});
